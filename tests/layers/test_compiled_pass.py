"""Compiled passes of a stack, which must equal the passes in Python to the bit."""

from __future__ import annotations

import copy
import gc
import math
import os
import pickle
import threading
import time
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numba.core.runtime import _nrt_python, rtsys
from zoo_cells.classic import vanilla

import zoo
from zoo import kernels
from zoo.compiler.background import PROCESS
from zoo.errors import DefinitionError
from zoo.layers import compiled_pass
from zoo.layers.batch import BatchRun
from zoo.layers.compiled_pass import CompiledSegments
from zoo.layers.sharding import shards

pytestmark = pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="compiled code alone")


@zoo.njit
def forward(params, x, state, odd):
    """Drop a step of a sequence of ``odd`` steps; raise an error for one step more."""
    if x.shape[0] == odd + 1:
        raise ValueError("too long by one")
    y, last, tape = vanilla.forward(params, x, state)
    return (y[1:] if x.shape[0] == odd else y), last, tape


@zoo.njit
def backward(params, x, state, tape, dy, dlast, odd):
    if x.shape[0] == odd + 2:
        raise ValueError("too long by two")
    return vanilla.backward(params, x, state, tape, dy, dlast)


class Odd(zoo.Cell):
    """A cell with its own kernels whose results are wrong at some lengths."""

    card = vanilla.Vanilla.card
    odd = zoo.Option(9, help="the first of these lengths")
    Wxh, Whh, bh, h = (getattr(vanilla.Vanilla, name) for name in ("Wxh", "Whh", "bh", "h"))
    forward = forward
    backward = backward


class Delayed(zoo.Cell):
    """A cell with two states, one of them a matrix."""

    card = vanilla.Vanilla.card
    W, h, S = zoo.Param("I", "H", init="glorot_uniform"), zoo.State("H"), zoo.State("2", "H")

    def step(self, x, h, S):
        return np.tanh(x @ self.W + S[1]), np.tanh(S + h)


STACKS = [
    ("vanilla", {}),
    (["lstm", "vanilla"], {"residual": True}),
    (Delayed, {}),
    (Odd, {}),
]
SIZE = 6


def passes_of(layer):
    return layer.functional._compiled


def in_python(layer):
    passes_of(layer).shards.interpreted = math.inf
    return layer


def warmed_up(layer, x, dy):
    """The layer after a pass in Python, which compiles its kernels; all others are compiled."""
    in_python(layer).forward(x)
    layer.backward(dy)
    passes_of(layer).shards.interpreted = 0
    return layer


def results(layer, x, dy, **arguments):
    """Everything that both passes return, and the gradient."""
    layer.grad = np.full_like(layer.grad, 7)
    y, final = layer.forward(x, **arguments)
    dx, dinitial = layer.backward(dy, {name: value + 1 for name, value in final.items()})
    arrays = {"y": y, "grad": layer.grad.copy()} | ({} if dx is None else {"dx": dx})
    return arrays | {f"final {k}": v for k, v in final.items()} | {f"d {k}": v for k, v in dinitial.items()}


def assert_same(one, other):
    assert one.keys() == other.keys()
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], name)


def is_compiled(layer):
    return isinstance(layer._tape.segments_by_shard, CompiledSegments)


def is_backward_compiled(layer):
    passes = list(passes_of(layer)._backward.values())
    return bool(passes) and passes[0].compilation.function() is not None


@pytest.fixture(autouse=True)
def no_patience(monkeypatch):
    """Compile a pass when its shards in Python are done."""
    monkeypatch.setattr(compiled_pass, "SHARDS_BEFORE_COMPILING", 0)


@pytest.fixture
def no_python(monkeypatch):
    """Make passes in Python fail."""
    monkeypatch.setattr(BatchRun, "forward", None)
    monkeypatch.setattr(BatchRun, "backward", None)


# One dtype each: a pair of passes compiles for two to six seconds.
@pytest.mark.parametrize(
    ("cell", "options", "dtype"),
    [(*stack, ("float32", "float64")[number % 2]) for number, stack in enumerate(STACKS)],
)
def test_compiled_passes_equal_those_in_python(cell, options, dtype):
    layer, expected = (zoo.Recurrent(cell, SIZE, SIZE, dtype=dtype, threads=2, **options) for _ in range(2))
    in_python(expected)
    rng = np.random.default_rng(0)
    warmed_up(layer, rng.normal(size=(2, 1, SIZE)), rng.normal(size=(2, 1, SIZE)))
    warmed_up(layer, np.zeros((2, 1), int), rng.normal(size=(2, 1, SIZE)))
    for steps, batch, is_tokens in [
        (3, 1, False),
        (5, 17, False),
        (1, 8, True),
        (4, 33, True),
        (0, 9, False),
    ]:
        x = rng.integers(SIZE, size=(steps, batch)) if is_tokens else rng.normal(size=(steps, batch, SIZE))
        dy, state = rng.normal(size=(steps, batch, SIZE)), None
        if steps == 5:
            shapes = layer.stack.state_shapes.items()
            state = {name: rng.normal(size=(batch, *shape)) for name, shape in shapes}
        assert_same(results(layer, x, dy, state=state), results(expected, x, dy, state=state))
        assert is_compiled(layer)
    x, dy = rng.normal(size=(4, 9, SIZE)), rng.normal(size=(4, 9, SIZE))
    for each in (layer, expected):
        each.forward(x)
        dx, _ = each.backward(dy, needs_dx=False)
        assert dx is None
    np.testing.assert_array_equal(layer.grad, expected.grad)
    kinds = [(kind, is_without_dx) for kind, is_without_dx in passes_of(layer)._backward if kind == dtype]
    assert sorted(kinds) == [(np.dtype(dtype), False), (np.dtype(dtype), True)]


def test_no_pass_runs_in_python(request):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(4, 20, 3)), rng.normal(size=(4, 20, 5))
    layer = warmed_up(zoo.Recurrent("lstm", 3, 5), x, dy)
    expected = results(layer, x, dy)
    request.getfixturevalue("no_python")
    assert_same(results(layer, x, dy), expected)


class NamedTape(NamedTuple):
    h0: Any
    h: Any


@zoo.njit
def named_forward(params, x, state):
    y, last, tape = vanilla.forward(params, x, state)
    return y, last, NamedTape(state[0], tape[0])


@zoo.njit
def named_backward(params, x, state, tape, dy, dlast):
    dx, dstate, dparams = vanilla.backward(params, x, (tape.h0,), (tape.h,), dy, dlast)
    return dx, dstate, dparams


@zoo.njit
def view_forward(params, x, state):
    y, last, tape = vanilla.forward(params, x, state)
    return y, last, (state[0], tape[0])


@zoo.njit
def view_backward(params, x, state, tape, dy, dlast):
    return vanilla.backward(params, x, (tape[0],), (tape[1],), dy, dlast)


class Named(Odd):
    """A cell whose tape is a named tuple, so that its passes run in Python."""

    odd = None
    forward, backward = named_forward, named_backward


class Views(Odd):
    """A cell whose tape has a view of the initial state."""

    odd = None
    forward, backward = view_forward, view_backward


@pytest.mark.parametrize("cell", [Named, Views])
def test_tapes_with_names_and_views(cell):
    rng = np.random.default_rng(0)
    x, dy, h = (rng.normal(size=(*shape, 5)).astype("f") for shape in ((4, 20), (4, 20), (20,)))
    layer = warmed_up(zoo.Recurrent(cell, 5, 5), x, dy)
    for _ in range(2):
        assert_same(results(layer, x, dy, state=h), results(zoo.Recurrent("vanilla", 5, 5), x, dy, state=h))
        assert is_compiled(layer) == (cell is Views)
    if cell is Views:
        *_, tape = layer.apply(layer.theta, x, h.copy())
        saved = tape.segments_by_shard[0][0].tape[0].directions[0][0].saved
        del tape
        gc.collect()
        np.testing.assert_array_equal(saved[0], h[: len(saved[0])])


@pytest.mark.parametrize("kind", ["every second element", "float64"])
def test_a_destination_of_another_kind(kind):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(4, 20, 3)).astype("f"), rng.normal(size=(4, 20, 5)).astype("f")
    layer = warmed_up(zoo.Recurrent("lstm", 3, 5), x, dy)
    out = np.zeros(2 * layer.theta.size, "f")[::2] if kind != "float64" else np.zeros(layer.theta.size)
    *_, tape = layer.apply(layer.theta, x)
    layer.functional.vjp(tape, dy, None, 2, out)
    *_, expected = layer.vjp(tape, dy)
    np.testing.assert_allclose(out, expected, rtol=1e-6)


@given(batch=st.integers(1, 70), steps=st.integers(0, 12), threads=st.integers(1, 3), seed=st.integers(0, 99))
def test_any_batch_and_number_of_threads(batch, steps, threads, seed):
    layer, expected = (zoo.Recurrent("lstm", 3, 5, threads=threads) for _ in range(2))
    rng = np.random.default_rng(seed)
    warmed_up(layer, np.zeros((1, 1, 3)), np.zeros((1, 1, 5)))
    x, dy = rng.normal(size=(steps, batch, 3)), rng.normal(size=(steps, batch, 5))
    assert_same(results(layer, x, dy), results(in_python(expected), x, dy))


def test_passes_are_compiled_after_some_shards():
    layer, x, dy = zoo.Recurrent("lstm", 3, 5), np.ones((2, 9, 3)), np.ones((2, 9, 5))
    passes_of(layer).shards.interpreted = 5
    kinds = []
    for _ in range(5):
        layer.forward(x)
        layer.backward(dy)
        kinds.append(is_compiled(layer))
    assert kinds == [False, False, False, True, True]  # two shards each
    assert list(passes_of(layer)._backward) == []  # a tape of a pass in Python has other arrays
    layer.forward(x)
    layer.backward(dy)
    assert list(passes_of(layer)._backward) == []  # after five shards


def own_cell(factor):
    """A cell of which no other test compiles the passes."""

    class Own(zoo.Cell):
        """A cell with one constant."""

        W, h = zoo.Param("I", "H", init="glorot_uniform"), zoo.State("H")
        factor = zoo.Option(0.0, help="the constant")

        def step(self, x, h):
            return np.tanh(x @ self.W + self.factor * h)

    return Own(factor=factor)


@pytest.mark.parametrize(("is_stored", "batch"), [(False, 3), (True, 3), (False, 17)])
def test_without_another_process_many_shards_run_in_python(kernel_cache, monkeypatch, is_stored, batch):

    def passes(patience):
        monkeypatch.setattr(compiled_pass, "SHARDS_BEFORE_COMPILING", patience * len(shards(batch)))
        layer = zoo.Recurrent(own_cell(batch / 64), 3, 5, threads=1)
        x, dy = np.ones((2, batch, 3)), np.ones((2, batch, 5))
        passes_of(layer).shards.interpreted = 1
        kinds = []
        for _ in range(6):
            layer.forward(x)
            kinds.append(is_compiled(layer))
            layer.backward(dy)
        return kinds

    if is_stored:
        passes(0)
    assert passes(3) == ([False, *[True] * 5] if is_stored else [*[False] * 4, True, True])


@pytest.mark.usefixtures("kernel_cache")
def test_python_runs_passes_while_another_process_compiles():
    layer, expected = (zoo.Recurrent(own_cell(0.375), 3, 5, threads=2) for _ in range(2))
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(4, 19, 3)), rng.normal(size=(4, 19, 5))
    in_python(expected)
    results(expected, x, dy)
    PROCESS.stop()  # it has compiled kernels of both passes
    passes_of(layer).shards.interpreted = 1
    deadline = time.monotonic() + 600
    assert_same(results(layer, x, dy), results(expected, x, dy))
    assert_same(results(layer, x, dy), results(expected, x, dy))
    assert not is_compiled(layer)  # while another process compiles
    while not is_backward_compiled(layer):
        assert_same(results(layer, x, dy), results(expected, x, dy))
        assert time.monotonic() < deadline
        time.sleep(0.1)  # a busy loop takes 4 s of a processor
    assert_same(results(layer, x, dy), results(expected, x, dy))
    assert is_compiled(layer)
    forward_passes = [each for each, _ in passes_of(layer)._forward.values()]
    for each in (*forward_passes, *passes_of(layer)._backward.values()):
        stats = each.compilation._calls[-1].kernel.dispatcher.stats
        assert stats.cache_hits
        assert not stats.cache_misses


@pytest.mark.parametrize("batch", [1, 20])
def test_a_tape_can_be_used_twice(batch):
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(4, batch, 3)).astype("f"), rng.normal(size=(4, batch, 5)).astype("f")
    layer = warmed_up(zoo.Recurrent("lstm", 3, 5), x, dy)
    _, _, tape = layer.apply(layer.theta, x)
    before = layer.vjp(tape, dy)
    layer.apply(layer.theta, rng.normal(size=x.shape))  # reuses memory that is free
    repeated = layer.vjp(tape, dy)
    segments = list(tape.segments_by_shard)  # as Python objects
    del tape
    gc.collect()
    layer.apply(layer.theta, rng.normal(size=x.shape))
    np.testing.assert_array_equal(np.concatenate([s.tape[0].directions[0][0].x for (s,) in segments], 1), x)
    for one, other in (
        (before, repeated),
        (before, in_python(layer).vjp(layer.apply(layer.theta, x)[2], dy)),
    ):
        for a, b in zip(one[:1] + one[2:], other[:1] + other[2:], strict=True):
            np.testing.assert_array_equal(a, b)


def test_traces_read_a_compiled_tape():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(4, 9, 3)), rng.normal(size=(4, 9, 5))
    layer = warmed_up(zoo.Recurrent("lstm", 3, 5), x, dy)
    layer.forward(x)
    assert is_compiled(layer)
    layer.backward(dy, trace_grads=True)
    expected = in_python(zoo.Recurrent("lstm", 3, 5))
    expected.forward(x)
    expected.backward(dy, trace_grads=True)
    assert_same(dict(layer.trace_grads), dict(expected.trace_grads))
    layer.forward(x, trace=True)
    assert not is_compiled(layer)


def test_copies_and_pickles_have_passes_of_their_own():
    x, dy = np.ones((3, 9, 3)), np.ones((3, 9, 5))
    layer = warmed_up(zoo.Recurrent("lstm", 3, 5), x, dy)
    expected = results(layer, x, dy)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert_same(results(other, x, dy), expected)


def test_inputs_may_change_after_the_forward_pass():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(4, 20, 3)).astype("f"), rng.normal(size=(4, 20, 5)).astype("f")
    layer = warmed_up(zoo.Recurrent("lstm", 3, 5), x, dy)
    expected = results(layer, x, dy)
    layer.forward(given := x.copy())
    given[...] = np.nan
    layer.backward(
        dy, {name.removeprefix("final "): v + 1 for name, v in expected.items() if "final" in name}
    )
    np.testing.assert_array_equal(layer.grad, expected["grad"])


@pytest.mark.parametrize("change", ["read only", "reversed", "columns first", "every second"])
def test_arrays_of_any_layout(change):
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(8, 18, size)).astype("f") for size in (3, 5)]
    layer = warmed_up(zoo.Recurrent("lstm", 3, 5), *arrays)
    for n, array in enumerate(arrays):
        if change == "read only":
            array.flags.writeable = False
        elif change == "reversed":
            arrays[n] = array[::-1]
        elif change == "columns first":
            arrays[n] = np.asfortranarray(array)
        else:
            arrays[n] = array[::2, ::2]
    expected = in_python(zoo.Recurrent("lstm", 3, 5))
    assert_same(results(layer, *arrays), results(expected, *(np.array(each, order="C") for each in arrays)))


@pytest.mark.parametrize("batch", [3, 20])
def test_errors_of_kernels_are_those_of_python(batch):
    layer = warmed_up(zoo.Recurrent(Odd, 3, 5), np.ones((2, 1, 3)), np.ones((2, 1, 5)))
    assert_same(
        results(layer, x := np.ones((3, batch, 3)), dy := np.ones((3, batch, 5))),
        results(in_python(zoo.Recurrent(Odd, 3, 5)), x, dy),
    )
    with pytest.raises(DefinitionError, match="the output of forward is"):
        layer.forward(np.ones((9, batch, 3)))
    with pytest.raises(ValueError, match="too long by one"):
        layer.forward(np.ones((10, batch, 3)))
    layer.forward(np.ones((11, batch, 3)))
    with pytest.raises(ValueError, match="too long by two"):
        layer.backward(np.ones((11, batch, 5)))
    assert is_compiled(layer)


@pytest.fixture
def live_allocations():
    """A function that returns the number of arrays of compiled code that are not released."""

    def count():
        gc.collect()
        stats = rtsys.get_allocation_stats()
        return stats.mi_alloc - stats.mi_free

    was_enabled = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    yield count
    if not was_enabled:
        _nrt_python.memsys_disable_stats()


@pytest.mark.parametrize("steps", [4, 9])  # results of 9 steps do not fit
def test_no_array_is_kept(steps, live_allocations):
    layer = warmed_up(zoo.Recurrent(Odd, 3, 5), np.ones((2, 1, 3)), np.ones((2, 1, 5)))

    def run():
        for _ in range(3):
            try:
                layer.forward(np.ones((steps, 20, 3)))
                layer.backward(np.ones((steps, 20, 5)))
                list(layer._tape.segments_by_shard)
            except DefinitionError:  # not an error of a kernel: there Numba releases nothing
                pass

    run()
    before = live_allocations()
    for _ in range(10):
        run()
    # A frame of a worker may still hold an array; one array of each pass would be 30.
    assert live_allocations() <= before + 3


def test_layers_in_several_threads():
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(20, 33, 3)), rng.normal(size=(20, 33, 5))
    layers = [warmed_up(zoo.Recurrent("lstm", 3, 5, threads=2), x, dy) for _ in range(4)]
    expected, wrong = results(layers[0], x, dy), []

    def run(layer):
        for _ in range(20):
            actual = results(layer, x, dy)
            wrong.extend(name for name in expected if not np.array_equal(actual[name], expected[name]))

    threads = [threading.Thread(target=run, args=[layer]) for layer in layers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.parametrize("reason", ["lengths", "recompute", "bidirectional", "dropout", "pure python"])
def test_other_batches_run_in_python(reason):
    options = {"recompute": {"recompute": 2}, "bidirectional": {"bidirectional": True}}.get(reason, {})
    options |= {"num_layers": 2, "dropout": 0.5} if reason == "dropout" else {}
    layer = zoo.Recurrent("lstm", 3, 5, **options)
    passes_of(layer).shards.interpreted = 0
    arguments = {"lengths": {"lengths": [1, 2, 3]}, "dropout": {"noise": (0, 0)}}.get(reason, {})
    x = np.ones((4, 3, 3))
    layer.forward(x)  # for the types
    if reason == "pure python":
        with kernels.pure_python():
            layer.forward(x)
    else:
        layer.forward(x, **arguments)
    assert not is_compiled(layer)
