"""Derived passes tried out: against the NumPy run of ``step``, and gradients against finite differences."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

import zoo
from zoo import kernels
from zoo.compiler.cell_kernels import CellKernels, derive_kernels
from zoo.testing.reference import run_sequence

Arrays = dict[str, np.ndarray]
Interval = tuple[float, float]

EQUAL = 1e-9
DERIVATIVE = 1e-6
# Differences of fourth order: the truncation error goes with STEP⁴, the rounding error is 1e-16 / STEP.
STEP = 2e-4
# A derivative smaller than this is compared in absolute terms.
FLOOR = 1e-3


@pytest.fixture(autouse=True, scope="module")
def no_files() -> Iterator[None]:
    """Hundreds of modules are made here that nobody will read: they leave no files in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.compiler.codegen.source_module.kernel_directory", lambda: None)
        yield


@dataclass
class Trial:
    """A cell and everything its passes take."""

    cell: zoo.Cell
    passes: CellKernels
    params: Arrays
    buffers: Arrays
    state: Arrays
    inputs: Arrays
    x: np.ndarray
    tokens: np.ndarray
    rng: np.random.Generator
    dy: np.ndarray = field(init=False)
    dlast: tuple[np.ndarray, ...] = field(init=False)

    @property
    def one_hot(self) -> np.ndarray:
        """The tokens as one-hot vectors."""
        return np.eye(self.x.shape[2])[self.tokens]

    def reference(self, x: np.ndarray) -> tuple[np.ndarray, Arrays]:
        """The NumPy run."""
        return run_sequence(self.cell, {**self.params, **self.buffers}, x, self.state, self.inputs)

    def both_passes(self, x: np.ndarray, dtype: str = "float64") -> Any:
        """Results of the forward pass, and of the backward pass."""
        params, *others = self._arguments(x, dtype)
        is_dense = x.ndim == 3
        forward = self.passes.forward(self.passes.forward_params(params, is_dense), *others)
        dlast = tuple(each.astype(dtype) for each in self.dlast)
        others += [forward[2], self.dy.astype(dtype), dlast, *self.passes.last_backward_arguments(True)]
        return forward, self.passes.backward(self.passes.backward_params(params, is_dense), *others)

    def _arguments(self, x: np.ndarray, dtype: str) -> list[Any]:
        """The arrays as kernels take them."""

        def group(*arrays: Arrays) -> tuple[np.ndarray, ...]:
            return tuple(array.astype(dtype) for each in arrays for array in each.values())

        x = x.astype(dtype) if x.ndim == 3 else x
        extra = [group(self.inputs)] if self.inputs else []
        return [group(self.params, self.buffers), x, group(self.state), *extra]


def trial(
    cell: zoo.Cell,
    sizes: tuple[int, int] = (3, 4),
    steps: int = 3,
    batch: int = 2,
    seed: int = 0,
    ranges: Mapping[str, Interval] | None = None,
) -> Trial:
    """Arrays for a cell, uniform within -1 and 1, or within the interval given for a name.

    Args:
        cell: The cell.
        sizes: I and H.
        steps: T.
        batch: B.
        seed: Seed of all arrays.
        ranges: Intervals by name.
    """
    rng = np.random.default_rng(seed)

    def within(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return rng.uniform(*(ranges or {}).get(name, (-1.0, 1.0)), size=shape)

    def state(name: str, shape: tuple[int, ...]) -> np.ndarray:
        whole = cell.states[name].discrete
        return rng.integers(0, 5, size=shape).astype(float) if whole else within(name, shape)

    case = Trial(
        cell,
        derive_kernels(cell),
        {name: within(name, shape) for name, shape in cell.param_shapes(*sizes).items()},
        {name: within(name, shape) for name, shape in cell.buffer_shapes(*sizes).items()},
        {name: state(name, (batch, *shape)) for name, shape in cell.state_shapes(*sizes).items()},
        {name: within(name, (steps, batch, *shape)) for name, shape in cell.input_shapes(*sizes).items()},
        within("x", (steps, batch, sizes[0])),
        rng.integers(0, sizes[0], size=(steps, batch)).astype(np.int32),
        rng,
    )
    y, last = case.reference(case.x)
    case.dy = rng.normal(size=y.shape)
    case.dlast = tuple(rng.normal(size=each.shape) for each in last.values())
    return case


class _Poisoned:
    """NumPy, but for ``empty``: what nobody has written to is NaN."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def empty(self, shape: Any, dtype: Any = float) -> np.ndarray:
        """An array of NaN."""
        return np.full(shape, np.nan, dtype)


def set_chunk(patch: pytest.MonkeyPatch, steps: int) -> None:
    """Make the chunks of states that kernels compute for all steps so short that a trial has several."""
    # The others import the constant of the last, with the value that it has at that time.
    modules = "selective_scan diagonal_filter short_convolution matrix_memory column_memory "
    modules += "momentum_memory memory_operands memory_rotation memory_weights memory_chunk"
    for module in modules.split():
        patch.setattr(f"zoo.kernels.{module}.CHUNK", steps)


@contextlib.contextmanager
def interpreted(case: Trial) -> Iterator[None]:
    """Run the passes of a trial as plain Python, with NaN in new arrays, and block by block.

    A block has four rows, so that a sequence of three steps has several blocks.
    """
    with pytest.MonkeyPatch.context() as patch, kernels.pure_python():
        patch.setattr("zoo.kernels.matmul.CHUNK", 4)
        for each in (case.passes.forward, case.passes.backward):
            patch.setitem(each.py_func.__globals__, "np", _Poisoned())
        yield


def check(case: Trial, tokens: bool = True) -> float:
    """Check both passes in the interpreter; the worst relative error of a gradient."""
    with interpreted(case):
        dense = case.both_passes(case.x)
        assert_forward(case, dense[0], case.x)
        if tokens:
            actual, expected = case.both_passes(case.tokens), case.both_passes(case.one_hot)
            assert_forward(case, actual[0], case.one_hot)
            assert actual[1][0].shape == (0, 0, 0)
            assert_same(actual, expected, "tokens and one-hot rows")
    return assert_gradients(case, dense[1])


def assert_forward(case: Trial, result: Any, x: np.ndarray) -> None:
    """Outputs and last states are those of the NumPy run."""
    y, last, _ = result
    expected_y, expected_last = case.reference(x)
    assert_close(y, expected_y, "y")
    for name, array in zip(case.state, last, strict=True):
        assert_close(array, expected_last[name], f"last {name}")


def assert_same(actual: Any, expected: Any, what: str, tolerance: float = EQUAL) -> None:
    """Results of both passes are equal; but for dx, which tokens have none of."""
    (y, last, _), (dx, dstate, dparams) = actual
    (expected_y, expected_last, _), (expected_dx, expected_dstate, expected_dparams) = expected
    pairs = [("y", y, expected_y), *_numbered("last", last, expected_last)]
    pairs += [*_numbered("dstate", dstate, expected_dstate), *_numbered("dparams", dparams, expected_dparams)]
    pairs += [("dx", dx, expected_dx)] if dx.size else []
    for name, mine, theirs in pairs:
        assert_close(mine, theirs, f"{what}: {name}", tolerance)


def _numbered(name: str, actual: Any, expected: Any) -> list[tuple[str, Any, Any]]:
    return [(f"{name}[{i}]", a, b) for i, (a, b) in enumerate(zip(actual, expected, strict=True))]


def assert_close(actual: Any, expected: np.ndarray, what: str, tolerance: float = EQUAL) -> None:
    """Arrays are equal, relative to the largest number."""
    assert actual.shape == expected.shape, f"{what}: {actual.shape} in place of {expected.shape}"
    assert np.isfinite(actual).all(), f"{what}: not all numbers are finite\n{actual}"
    if expected.size:
        error = float(np.abs(actual - expected).max() / max(1.0, np.abs(expected).max()))
        assert error <= tolerance, f"{what}: off by {error:.1e}\nfound\n{actual}\nexpected\n{expected}"


def assert_gradients(case: Trial, result: Any) -> float:
    """Every gradient is what central differences of the NumPy run say; the worst relative error."""
    dx, dstate, dparams = result
    leaves = [*zip(case.params, case.params.values(), dparams, strict=True), ("x", case.x, dx)]
    leaves += list(zip(case.state, case.state.values(), dstate, strict=True))
    worst = 0.0
    for name, array, gradient in leaves:
        assert gradient.shape == array.shape, f"gradient of {name}: {gradient.shape} for {array.shape}"
        assert np.isfinite(gradient).all(), f"gradient of {name}: not all numbers are finite"
        if name not in case.cell.states or not case.cell.states[name].discrete:
            for direction in _directions(array.shape, case.rng):
                worst = max(worst, _assert_derivative(case, name, array, gradient, direction))
    return worst


def _assert_derivative(
    case: Trial, name: str, array: np.ndarray, gradient: np.ndarray, direction: np.ndarray
) -> float:
    actual = float((gradient * direction).sum())
    expected = difference(lambda: _loss(case), array, direction)
    error = abs(actual - expected) / max(abs(expected), float(np.abs(gradient * direction).sum()), FLOOR)
    assert error < DERIVATIVE, (
        f"gradient of {name}: {actual!r}, by differences {expected!r}, along\n{direction}"
    )
    return error


def _loss(case: Trial) -> float:
    y, last = case.reference(case.x)
    pairs = zip(case.dlast, last.values(), strict=True)
    return float((case.dy * y).sum() + sum((a * b).sum() for a, b in pairs))


def _directions(shape: tuple[int, ...], rng: np.random.Generator) -> Iterator[np.ndarray]:
    """A random direction, and those of two entries."""
    full = rng.normal(size=shape)
    yield full / max(1.0, float(np.sqrt((full * full).sum())))
    for place in rng.permutation(full.size)[: 2 if full.size > 1 else 0]:
        entry = np.zeros(full.size)
        entry[place] = 1
        yield entry.reshape(shape)


def difference(value: Callable[[], float], array: np.ndarray, direction: np.ndarray) -> float:
    """The derivative of a value that depends on an array, along a direction."""
    start = array.copy()

    def at(steps: float) -> float:
        array[...] = start + steps * STEP * direction
        return value()

    slope = (8 * (at(1) - at(-1)) - (at(2) - at(-2))) / (12 * STEP)
    array[...] = start
    return slope
