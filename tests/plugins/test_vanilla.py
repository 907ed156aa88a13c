"""The vanilla cell's two kernels: PyTorch's values, a case worked by hand, and what they must not do."""

from __future__ import annotations

import math
import threading
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.runtime import _nrt_python, rtsys
from zoo_cells.classic.vanilla import Vanilla, backward, forward

import zoo
from zoo import kernels
from zoo.compiler import kernels_of

GOLDEN = np.load(Path(__file__).parents[1] / "golden" / "vanilla.npz")
PARAMS = ("Wxh", "Whh", "bh")
KINDS = ["dense", "tokens"]
# The values are sums of some tens of products of numbers around one, over seven steps.
TOLERANCE = {"float64": 1e-13, "float32": 2e-5}


def given(name: str, dtype: str) -> Any:
    """A golden array, with the dtype that a layer hands to a kernel: tokens are int32."""
    value = GOLDEN[name]
    return np.ascontiguousarray(value.astype(np.int32 if value.dtype.kind == "i" else dtype))


def run(kind: str, dtype: str) -> dict[str, Any]:
    """Both kernels on the golden inputs, results by name."""
    params = tuple(given(name, dtype) for name in PARAMS)
    x, state = given("x" if kind == "dense" else "tokens", dtype), (given("h0", dtype),)
    y, (last,), tape = forward(params, x, state)
    dx, (dh0,), dparams = backward(params, x, state, tape, given("dy", dtype), (given("dlast", dtype),))
    gradients = {f"d{name}": value for name, value in zip(PARAMS, dparams, strict=True)}
    return {"y": y, "last": last, "dx": dx, "dh0": dh0} | gradients


compiled = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")

# --- Values ---


@pytest.mark.parametrize("interpreted", [False, True], ids=["compiled", "interpreted"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", KINDS)
def test_golden_values(kind: str, dtype: str, interpreted: bool) -> None:
    if interpreted:
        with kernels.pure_python():
            actual = run(kind, dtype)
    else:
        actual = run(kind, dtype)
    for name, value in actual.items():
        assert value.dtype == dtype, name
        if (kind, name) == ("tokens", "dx"):
            assert value.shape == (0, 0, 0)
        else:
            expected = GOLDEN[f"{kind}_{name}"]
            np.testing.assert_allclose(value, expected, rtol=0, atol=TOLERANCE[dtype], err_msg=name)


def test_golden_values_cover_all_inputs() -> None:
    names = [name for name in GOLDEN.files if name.startswith(tuple(KINDS))] + [*PARAMS, "h0", "dy", "dlast"]
    assert all((np.abs(GOLDEN[name]) > 1e-6).any() for name in names)
    assert {name.partition("_")[2] for name in names if "_" in name} == set(run("dense", "float64"))


def test_two_steps_of_one_unit_by_hand() -> None:
    """The chain rule written out, number by number, for ``h' = tanh(w x + u h + b)``."""
    w, u, b, h0, x1, x2 = 0.5, -0.75, 0.25, 0.4, 1.5, -2.0
    dy1, dy2, dlast = 0.3, -0.7, 1.1

    h1 = math.tanh(0.5 * 1.5 - 0.75 * 0.4 + 0.25)  # tanh(0.7)
    h2 = math.tanh(-0.5 * 2.0 - 0.75 * h1 + 0.25)  # tanh(-0.75 - 0.75 h1)
    assert h1 == pytest.approx(0.6043677771171636, rel=1e-15)
    assert h2 == pytest.approx(-0.8346510766953943, rel=1e-15)
    # Into the second step come the gradient of its output and of the last state, which is the same number.
    da2 = (dy2 + dlast) * (1 - h2 * h2)
    da1 = (dy1 + u * da2) * (1 - h1 * h1)
    expected = {
        "dx": [w * da1, w * da2],
        "dw": x1 * da1 + x2 * da2,
        "du": h0 * da1 + h1 * da2,
        "db": da1 + da2,
        "dh0": u * da1,
    }

    params = np.array([[w]]), np.array([[u]]), np.array([b])
    x, state = np.array([[[x1]], [[x2]]]), (np.array([[h0]]),)
    y, (last,), tape = forward(params, x, state)
    np.testing.assert_allclose(y.ravel(), [h1, h2], rtol=1e-15)
    assert last[0, 0] == y[1, 0, 0]
    dy = np.array([[[dy1]], [[dy2]]])
    dx, (dh0,), (dw, du, db) = backward(params, x, state, tape, dy, (np.array([[dlast]]),))
    results = {"dx": dx.ravel(), "dw": dw.ravel(), "du": du.ravel(), "db": db, "dh0": dh0.ravel()}
    for name, value in expected.items():
        np.testing.assert_allclose(results[name], np.ravel(value), rtol=1e-14, err_msg=name)


def test_no_steps() -> None:
    params = tuple(given(name, "float64") for name in PARAMS)
    state, dlast = (given("h0", "float64"),), (given("dlast", "float64"),)
    x = np.zeros((0, 3, 5))
    y, (last,), tape = forward(params, x, state)
    assert y.shape == (0, 3, 6)
    np.testing.assert_array_equal(last, state[0])
    dx, (dh0,), dparams = backward(params, x, state, tape, y, dlast)
    assert dx.shape == x.shape
    np.testing.assert_array_equal(dh0, dlast[0])
    assert not any(gradient.any() for gradient in dparams)


# --- derived kernels ---


class DerivedVanilla(zoo.Cell):
    """The vanilla cell without its kernels: zoo derives them from the same equations."""

    card = Vanilla.card
    Wxh = zoo.Param("I", "H")
    Whh = zoo.Param("H", "H")
    bh = zoo.Param("H")
    h = zoo.State("H")
    step = Vanilla.step


def both_passes(cell: zoo.Cell, given: tuple[Any, ...], dy: Any, dlast: Any) -> dict[str, Any]:
    """Values and gradients of a cell's kernels, by name."""
    kernels, (params, x, state) = kernels_of(cell), given
    y, (last,), tape = kernels.forward(kernels.forward_params(params, x.ndim == 3), x, state)
    arguments = x, state, tape, dy, (dlast,), *kernels.last_backward_arguments(needs_dx=True)
    dx, (dh0,), dparams = kernels.backward(kernels.backward_params(params, x.ndim == 3), *arguments)
    return {"y": y, "last": last, "dx": dx, "dh0": dh0, **dict(zip(PARAMS, dparams, strict=True))}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("steps", "batch", "hidden"), [(0, 2, 3), (1, 1, 1), (9, 3, 6), (20, 17, 33)])
def test_kernels_derived_from_the_step_give_the_same(
    kind: str, dtype: str, steps: int, batch: int, hidden: int
) -> None:
    rng = np.random.default_rng([steps, batch, hidden])

    def normal(*shape: int) -> Any:
        return (rng.normal(size=shape) / np.sqrt(shape[-1])).astype(dtype)

    x = normal(steps, batch, 5) if kind == "dense" else rng.integers(0, 5, (steps, batch), np.int32)
    given = (normal(5, hidden), normal(hidden, hidden), normal(hidden)), x, (normal(batch, hidden),)
    dy, dlast = normal(steps, batch, hidden), normal(batch, hidden)
    derived, own = (both_passes(cell, given, dy, dlast) for cell in (DerivedVanilla(), Vanilla()))
    for name, expected in own.items():
        assert (derived[name].shape, derived[name].dtype) == (expected.shape, expected.dtype), name
        tolerance = 64 * np.finfo(dtype).eps * max(1.0, np.abs(expected).max(initial=0))
        np.testing.assert_allclose(derived[name], expected, rtol=0, atol=tolerance, err_msg=name)


# --- What the kernels must not do ---


def arguments(steps: int, hidden: int, kind: str) -> tuple[Any, ...]:
    rng = np.random.default_rng(steps)
    params = rng.normal(size=(5, hidden)), rng.normal(size=(hidden, hidden)), rng.normal(size=hidden)
    x = rng.normal(size=(steps, 3, 5)) if kind == "dense" else rng.integers(0, 5, (steps, 3), np.int32)
    return params, x, (rng.normal(size=(3, hidden)),)


def allocations(steps: int, hidden: int, kind: str) -> tuple[int, int]:
    """Arrays that the forward and the backward kernel allocate."""
    params, x, state = arguments(steps, hidden, kind)
    counts = [rtsys.get_allocation_stats().alloc]
    y, last, tape = forward(params, x, state)
    counts.append(rtsys.get_allocation_stats().alloc)
    backward(params, x, state, tape, y, last)
    counts.append(rtsys.get_allocation_stats().alloc)
    return counts[1] - counts[0], counts[2] - counts[1]


@pytest.fixture
def counted():
    """Numba counts allocations only while statistics are on."""
    _nrt_python.memsys_enable_stats()
    yield
    _nrt_python.memsys_disable_stats()


@compiled
@pytest.mark.usefixtures("counted")
@pytest.mark.parametrize("hidden", [6, 32, 33])
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_allocated_in_the_time_loop(kind: str, hidden: int) -> None:
    allocations(1, hidden, kind)  # compile first: what numba itself allocates does not count
    short, long = allocations(2, hidden, kind), allocations(50, hidden, kind)
    assert short == long
    assert 0 < short[0] < 10, "the counter counts"


@compiled
@pytest.mark.parametrize("kind", KINDS)
def test_float32_stays_float32_inside(kind: str) -> None:
    params, x, state = (
        (given(name, "float32") for name in PARAMS),
        given("x", "float32"),
        given("h0", "float32"),
    )
    params, x, state = tuple(params), x if kind == "dense" else given("tokens", "float32"), (state,)
    run(kind, "float32")  # teaches Numba what it needs to know
    # Compiled here and now: Numba shows no code that it has loaded from a file.
    first, second = (numba.njit(**kernel.options)(kernel.py_func) for kernel in (forward, backward))
    y, last, tape = first(params, x, state)
    second(params, x, state, tape, y, last)
    for kernel in (first, second):
        (code,) = kernel.inspect_llvm().values()
        assert "fmul" in code, "there is arithmetic"
        assert "fpext" not in code, "a float32 number became a float64"


@compiled
def test_kernel_runs_without_gil() -> None:
    for kernel in (forward, backward):
        assert kernel.dispatcher.targetoptions["nogil"] is True


def test_threads_do_not_disturb_one_another() -> None:
    cases = [arguments(40, 33, kind) for kind in KINDS * 2]
    alone = [forward(*case)[0] for case in cases]
    result: list[Any] = [None] * len(cases)

    def work(n: int) -> None:
        for _ in range(20):
            result[n] = forward(*cases[n])[0]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one, other in zip(result, alone, strict=True):
        np.testing.assert_array_equal(one, other)


def test_inputs_are_not_written_to_and_results_are_new() -> None:
    params, x, state = arguments(4, 6, "dense")
    y, last, tape = forward(params, x, state)
    inputs = [*params, x, *state, *tape, y, *last]
    before = [array.copy() for array in inputs]
    dx, dstate, dparams = backward(params, x, state, tape, y, last)
    for array, copy in zip(inputs, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    for result in (*last, dx, *dstate, *dparams):
        assert not any(np.shares_memory(result, array) for array in inputs if array is not result)


# --- The record ---


def test_record() -> None:
    cell = Vanilla()
    assert cell.name == "vanilla"
    assert cell.param_shapes(5, 6) == {"Wxh": (5, 6), "Whh": (6, 6), "bh": (6,)}
    assert cell.state_shapes(5, 6) == {"h": (6,)}
    assert Vanilla.parameter_formula() == "I·H + H·H + H"
    assert cell.parameter_count(5, 6) == 72
    assert cell.card.year == 1990
    assert all(part.help for part in (*cell.params.values(), *cell.states.values()))
