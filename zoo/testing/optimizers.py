"""The laws of an optimizer: each ``check_x(optimizer)`` raises AssertionError if its docstring does not hold.

No law depends on the name of an optimizer: the class declares all that a law needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias
from unittest import SkipTest

import numpy as np
from hypothesis import strategies as st

from zoo.array_types import Vector
from zoo.base import Optimizer
from zoo.errors import DefinitionError
from zoo.kernels.jit import pure_python
from zoo.testing.assertions import is_close, require, require_docs, skip_unless_compiled, try_examples

Check: TypeAlias = Callable[[Optimizer], None]

_DTYPES = ("float32", "float64")
_SIZES = st.integers(1, 33)  # below, at and past the width of a vector register
_SEEDS = st.integers(0, 2**32 - 1)  # of values near 1; another law tries extreme ones
_COUNT = 20  # examples of a law
_ROUNDING = {"float32": 1e-5, "float64": 1e-11}  # relative, after a few updates of numbers near 1


def check_card(optimizer: Optimizer) -> None:
    """The card names its variant, and every option and slot has a help text."""
    require_docs(optimizer, {**optimizer.declared_options, **optimizer.slots})


def check_shapes_and_dtypes(optimizer: Optimizer) -> None:
    """An update keeps the shapes and dtypes of parameters and slots."""

    def law(size: int, dtype: str, seed: int) -> None:
        try:
            _run(optimizer, *_problem(size, dtype, seed, steps=1))
        except DefinitionError as error:  # `apply` checks them
            raise AssertionError(f"{optimizer.label()}: {error}") from error

    _for_many_vectors(law)


def check_inputs_unchanged(optimizer: Optimizer) -> None:
    """An update does not write to its arguments."""

    def law(size: int, dtype: str, seed: int) -> None:
        theta, grads = _problem(size, dtype, seed)
        slots = _run(optimizer, theta, grads[:2])[1]
        arguments = {"theta": theta, "grad": grads[2], **slots}
        before = _bytes(arguments)
        optimizer.apply(theta, grads[2], slots, 3)
        changed = [name for name, data in _bytes(arguments).items() if data != before[name]]
        require(optimizer, not changed, f"that update wrote to {changed}", "unchanged arguments")

    _for_many_vectors(law)


def check_deterministic(optimizer: Optimizer) -> None:
    """Equal inputs give bitwise equal results."""

    def law(size: int, dtype: str, seed: int) -> None:
        theta, grads = _problem(size, dtype, seed)
        first, second = (_bytes(_arrays(_run(optimizer, theta, grads))) for _ in range(2))
        changed = [name for name in first if first[name] != second[name]]
        require(optimizer, not changed, f"{changed} differ between two runs in {dtype}", "equal bits")

    _for_many_vectors(law)


def check_jit_equals_python(optimizer: Optimizer) -> None:
    """The compiled kernel agrees with its source run as plain Python, up to rounding."""
    skip_unless_compiled(optimizer, "update")

    def law(size: int, dtype: str, seed: int) -> None:
        theta, grads = _problem(size, dtype, seed)
        with pure_python():
            expected = _arrays(_run(optimizer, theta, grads))
        for name, actual in _arrays(_run(optimizer, theta, grads)).items():
            _require_close(optimizer, actual, expected[name], f"{name} compiled, against plain Python")

    _for_many_vectors(law)


def check_reference(optimizer: Optimizer) -> None:
    """Twenty updates agree with the class's ``reference``, its definition in plain NumPy."""
    reference = getattr(type(optimizer), "reference", None)
    if reference is None:
        raise SkipTest("the class has no reference(theta, grad, slots, step, *options)")

    def law(size: int, seed: int) -> None:
        theta, grads = _problem(size, "float64", seed, steps=20)
        expected, slots = theta, tuple(optimizer.init(theta).values())
        for step, grad in enumerate(grads, start=1):
            expected, slots = reference(expected, grad, slots, step, *optimizer.options.values())
        actual = _arrays(_run(optimizer, theta, grads))
        for name, value in {"theta": expected, **dict(zip(optimizer.slots, slots, strict=True))}.items():
            what = f"{name} after {len(grads)} updates, by its reference"
            _require_close(optimizer, actual[name], value, what)

    try_examples(law, _SIZES, _SEEDS, count=_COUNT)


def check_zero_rate(optimizer: Optimizer) -> None:
    """With a learning rate of zero and no weight decay, parameters do not change."""
    without_decay = _without_decay(optimizer)

    def law(size: int, dtype: str, seed: int) -> None:
        theta, grads = _problem(size, dtype, seed)
        distance = np.abs(_run(without_decay, theta, grads, lr=0.0)[0] - theta).max()
        require(optimizer, distance == 0.0, f"a parameter moved by {distance} with lr=0 in {dtype}", 0)

    _for_many_vectors(law)


def check_split_run(optimizer: Optimizer) -> None:
    """A run resumed from copies of parameters and slots ends with bitwise equal results."""

    def law(size: int, dtype: str, seed: int, cut: int) -> None:
        theta, grads = _problem(size, dtype, seed, steps=6)
        uncut = _bytes(_arrays(_run(optimizer, theta, grads)))
        middle, slots = _run(optimizer, theta, grads[:cut])
        fresh = type(optimizer)(**optimizer.options)
        copies = {name: slot.copy() for name, slot in slots.items()}
        parts = _bytes(_arrays(_run(fresh, middle.copy(), grads[cut:], copies, done=cut)))
        changed = [name for name in uncut if parts[name] != uncut[name]]
        what = f"{changed} differ after a run cut at update {cut} in {dtype}"
        require(optimizer, not changed, what, "equal bits, and all memory in the slots")

    _for_many_vectors(law, st.integers(1, 5))


def check_elementwise(optimizer: Optimizer) -> None:
    """The update of a parameter depends only on its own gradient, unless ``elementwise = False``."""
    if not optimizer.elementwise:
        raise SkipTest("the class declares elementwise = False")

    def law(size: int, dtype: str, seed: int) -> None:
        theta, grads = _problem(size, dtype, seed)
        chosen = np.random.default_rng(seed).permutation(size)[: (size + 1) // 2]
        part = _arrays(_run(optimizer, theta[chosen], np.ascontiguousarray(grads[:, chosen])))
        for name, whole in _arrays(_run(optimizer, theta, grads)).items():
            expected = _select(optimizer, name, whole, chosen)
            _require_close(
                optimizer, part[name], expected, f"{name} of some parameters updated without the rest"
            )

    _for_many_vectors(law)


def check_scale_free(optimizer: Optimizer) -> None:
    """With ``scale_free = True``, gradients that are a million times as large give the same updates."""
    if not optimizer.scale_free:
        raise SkipTest("the class declares no scale_free = True")
    without_decay = _without_decay(optimizer)

    def law(size: int, dtype: str, seed: int) -> None:
        theta, grads = _problem(size, dtype, seed)
        change = _run(without_decay, theta, grads)[0] - theta
        of_large = _run(without_decay, theta, grads * np.asarray(2.0**20, dtype))[0] - theta
        difference = np.abs(of_large - change).max() / np.abs(change).max()
        what = f"relative difference of the updates in {dtype}"
        # A gradient of 1e-5 is not rare, and Adam adds an eps of 1e-8 to its size.
        require(optimizer, difference < 0.01, difference, "less than 0.01", what)

    _for_many_vectors(law)


def check_nan_gradient(optimizer: Optimizer) -> None:
    """A NaN gradient makes its parameter NaN permanently, so that a diverged run is visible."""

    def law(size: int, dtype: str, seed: int) -> None:
        theta, grads = _problem(size, dtype, seed)
        index = seed % size
        grads[1, index] = np.nan
        bad = np.flatnonzero(np.isnan(_run(optimizer, theta, grads)[0])).tolist()
        what = f"parameters that become NaN after a NaN gradient of parameter {index} in {dtype}"
        require(optimizer, index in bad, bad, f"{index} among them", what)
        require(optimizer, bad == [index] or not optimizer.elementwise, bad, [index], what)

    _for_many_vectors(law)


def check_downhill(optimizer: Optimizer) -> None:
    """300 updates at lr 0.1 or 0.01 reduce a quadratic loss to less than 2 %, without weight decay."""
    curvature, start = np.linspace(0.5, 2.0, 8), np.linspace(-1.5, 2.0, 8)
    left = {lr: _descend(_without_decay(optimizer), curvature, start, lr) for lr in (0.1, 0.01)}
    what = "share of the loss on a bowl after 300 updates, by lr"
    require(optimizer, min(left.values()) < 0.02, left, "less than 0.02 for one of them", what)


def check_single_parameter(optimizer: Optimizer) -> None:
    """A single parameter changes by a finite amount."""

    def law(start: float, gradient: float, dtype: str) -> None:
        theta = np.full(1, start, dtype)
        theta_after = _run(optimizer, theta, np.full((3, 1), gradient, dtype))[0]
        moved = bool(np.isfinite(theta_after[0])) and theta_after[0] != theta[0]
        what = f"one parameter of {start} with gradients of {gradient} in {dtype}"
        require(optimizer, moved, theta_after, "another finite number", what)

    gradients = st.floats(0.125, 8.0, width=32) | st.floats(-8.0, -0.125, width=32)
    try_examples(law, st.floats(-1.0, 1.0, width=32), gradients, st.sampled_from(_DTYPES), count=_COUNT)


def check_extreme_gradients(optimizer: Optimizer) -> None:
    """Gradients from 1e-30 to 1e30, and zeros, give finite parameters and slots in float64."""
    sizes = 10.0 ** np.arange(-30.0, 31.0, 3.0)
    grad = np.concatenate([sizes, -sizes, [0.0]])
    for pattern in ((1, 1, 1, 1), (1, -1, 1, -1), (1, 0, 0, 0)):
        for name, array in _arrays(_run(optimizer, np.ones_like(grad), np.outer(pattern, grad))).items():
            lost = ~np.isfinite(array)
            where = np.unique(np.abs(grad[lost])).tolist() if array.shape == grad.shape else array
            what = f"{name} after gradients of {where} times {pattern}"
            require(optimizer, not lost.any(), "numbers that are not finite", "finite ones", what)


def check_compiles_once(optimizer: Optimizer) -> None:
    """After the first update in a dtype, further updates compile nothing."""
    skip_unless_compiled(optimizer, "update")
    for dtype in _DTYPES:
        theta, grads = _problem(17, dtype, seed=6)
        for name, array in _arrays(_run(optimizer, theta, grads[:1])).items():
            # Check the arrays, since an earlier call may have compiled for the other layout already.
            plain = array.flags.c_contiguous and array.flags.writeable and array.flags.aligned
            strided = f"{name} with strides {array.strides}, for which the next update compiles again"
            require(optimizer, plain, strided, "a writable C-contiguous array")
        before = _signature_count(optimizer)
        _run(optimizer, *_problem(5, dtype, seed=7))
        added = _signature_count(optimizer) - before
        require(optimizer, added == 0, f"{added} more signatures in {dtype}", "none")


OPTIMIZER_CHECKS: list[Check] = [
    *(check_shapes_and_dtypes, check_inputs_unchanged, check_deterministic),
    *(check_jit_equals_python, check_reference, check_zero_rate, check_split_run),
    *(check_elementwise, check_scale_free, check_nan_gradient),
    *(check_downhill, check_single_parameter),
    *(check_extreme_gradients, check_compiles_once, check_card),
]


def _for_many_vectors(law: Callable[..., None], *others: st.SearchStrategy[int]) -> None:
    """Try a law on vectors of different sizes, dtypes and seeds."""
    try_examples(law, _SIZES, st.sampled_from(_DTYPES), _SEEDS, *others, count=_COUNT)


def _problem(size: int, dtype: str, seed: int, steps: int = 3) -> tuple[Vector, Vector]:
    """Parameters ``(P,)`` and gradients ``(steps, P)``."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=size).astype(dtype), rng.normal(size=(steps, size)).astype(dtype)


def _run(
    optimizer: Optimizer,
    theta: Vector,
    grads: Vector,
    slots: Mapping[str, Vector] | None = None,
    done: int = 0,
    lr: float | None = None,
) -> tuple[Vector, dict[str, Vector]]:
    """Parameters and slots after one update for each row of ``grads (steps, P)``."""
    now = dict(optimizer.init(theta) if slots is None else slots)
    for step, grad in enumerate(grads, start=done + 1):
        theta, now = optimizer.apply(theta, grad, now, step, lr)
    return theta, now


def _descend(optimizer: Optimizer, curvature: Vector, start: Vector, lr: float) -> float:
    """The fraction of the loss ``sum(curvature * theta²) / 2`` that remains after 300 updates."""
    theta, slots = start, optimizer.init(start)
    with np.errstate(all="ignore"):  # a diverging optimizer may overflow, which the share shows
        for step in range(1, 301):
            theta, slots = optimizer.apply(theta, curvature * theta, slots, step, lr)
        return float((curvature * theta**2).sum() / (curvature * start**2).sum())


def _without_decay(optimizer: Optimizer) -> Optimizer:
    off = {"weight_decay": 0.0} if "weight_decay" in optimizer.declared_options else {}
    return type(optimizer)(**{**optimizer.options, **off})


def _select(optimizer: Optimizer, name: str, array: Vector, chosen: Vector) -> Vector:
    """Select parameters along every axis of length ``P``."""
    sizes = [size.text for size in optimizer.slots[name].shape] if name in optimizer.slots else ["P"]
    for axis, size in enumerate(sizes):
        array = np.take(array, chosen, axis) if size == "P" else array
    return array


def _signature_count(optimizer: Optimizer) -> int:
    return len(getattr(optimizer.kernel("update"), "signatures", []))


def _arrays(result: tuple[Vector, dict[str, Vector]]) -> dict[str, Vector]:
    return {"theta": result[0], **result[1]}


def _bytes(arrays: Mapping[str, Vector]) -> dict[str, bytes]:
    return {name: array.tobytes() for name, array in arrays.items()}


def _require_close(optimizer: Optimizer, actual: Vector, expected: Vector, what: str) -> None:
    tolerance = _ROUNDING[expected.dtype.name]
    holds = is_close(actual, expected, tolerance, equal_nan=True)
    require(optimizer, holds, actual, f"{expected} within {tolerance:g}", what)
