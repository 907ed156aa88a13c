"""Laws about kernels: they agree with the step and with plain Python, at large sizes too, and compile once.

The other laws stop at four steps, four units and three rows, where Hypothesis finds most faults and prints
small examples. The large sizes are fixed: they lie on both sides of the widths at which compiled loops
change.
"""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from unittest import SkipTest

from zoo.array_types import Array, Arrays
from zoo.base import Cell
from zoo.compiler import kernels_of
from zoo.errors import DefinitionError
from zoo.kernels.jit import Kernel, pure_python
from zoo.testing.assertions import assert_close, fail
from zoo.testing.laws.gradients import compare_direction
from zoo.testing.laws.sequence import Y, take_rows
from zoo.testing.reference import dense_input, layers_of, run_reference, run_sequence
from zoo.testing.trials import (
    ALL_KINDS,
    Case,
    InputKind,
    Trial,
    astype,
    at_case,
    law,
    make_trial,
    named_outputs,
    nearest_size,
    run,
    suitable_sizes,
)


def _require_step(cell: Cell) -> None:
    if not cell.has_step():
        raise SkipTest("it has kernels and no step to compare with")


@law(before=_require_step)
def check_step_agrees(case: Case) -> None:
    """The compiled forward pass agrees with ``step`` called on NumPy arrays."""
    meaning = "Expected is `step`, row by row and time step by time step; one of the two is wrong."
    trial = make_trial(case)
    y, last, _ = trial.apply()
    assert_close(case.cell, named_outputs(y, last), named_outputs(*_run_step(trial)), trial.rounding, meaning)


def _run_step(trial: Trial) -> tuple[Array, Arrays]:
    """Outputs and last states of all layers by ``step`` alone."""
    y, last = dense_input(trial), Arrays()
    for layer_arrays in layers_of(trial):
        y, after = run_sequence(
            layer_arrays.layer.cell, layer_arrays.arrays, y, layer_arrays.state, layer_arrays.inputs
        )
        last |= {f"{layer_arrays.layer.prefix}{name}": value for name, value in after.items()}
    return y, last


def _kernels(cell: Cell) -> dict[str, Kernel[..., Any]]:
    cell_kernels = kernels_of(cell)
    names = "forward", "backward", "prepare_forward", "prepare_backward"
    kernels: dict[str, Any] = {name: getattr(cell_kernels, name) for name in names}
    kernels = {name: kernel for name, kernel in kernels.items() if kernel is not None}
    for name, kernel in kernels.items():
        if not isinstance(kernel, Kernel):
            meaning = "Plain Python is some hundred times slower; put @zoo.njit above it."
            fail(cell, name, f"a {type(kernel).__name__}", "a function decorated with @zoo.njit", meaning)
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        raise SkipTest("Numba is switched off by NUMBA_DISABLE_JIT")
    return kernels


LAYERS = (1, 2)


@law(before=_kernels, kinds=ALL_KINDS, layers=LAYERS)
def check_jit_equals_python(case: Case) -> None:
    """The compiled kernels agree with their source run as plain Python, up to rounding.

    Each of ``kinds`` has to be compiled. The second of ``layers`` is dense if the first reads tokens.
    """
    meaning = (
        "Expected is plain Python. Compiled code does not check indices, wraps integers, and takes globals "
        "as they were when it was compiled."
    )
    trial = make_trial(case)
    with pure_python():
        expected = run(trial)
    assert_close(case.cell, run(trial), expected, trial.rounding, meaning)


def check_compiles_once(
    cell: Cell, kinds: tuple[InputKind, ...] = ALL_KINDS, layers: tuple[int, ...] = LAYERS
) -> None:
    """A second call compiles nothing: there is one version per dtype and kind of input, for all sizes.

    Args:
        cell: The cell.
        kinds: Dtypes, each with tokens or without; each of them has to be compiled. Dense ones come first:
            the second layer of a model that reads tokens is dense.
        layers: Numbers of layers.
    """
    kernels = _kernels(cell)
    for kind in kinds:
        first, *others = _cases(cell, kind, layers)
        run(make_trial(first))
        before = {name: len(_compiled_versions(kernel)) for name, kernel in kernels.items()}
        for case in others:
            run(make_trial(case))
            for name, kernel in kernels.items():
                _check_signature_count(cell, name, kernel, before[name])
    for name, kernel in kernels.items():  # an earlier law may have compiled every version
        _check_signature_count(cell, name, kernel, len(ALL_KINDS))


def _cases(cell: Cell, kind: InputKind, layers: tuple[int, ...]) -> list[Case]:
    """The smallest sizes, at which every array is contiguous, and others; the last batch makes two shards."""
    sizes = suitable_sizes(cell, layers=layers)
    spans = ((1, 1, sizes[0]), (3, 2, sizes[-1]), (0, 2, sizes[-1]), (2, 11, sizes[-1]))
    return [Case(cell, steps, batch, size, *kind, seed=0) for steps, batch, size in spans]


def _compiled_versions(kernel: Kernel[..., Any]) -> set[tuple[Any, ...]]:
    """Types of the arguments of each compiled version.

    Numba compiles calls without an optional argument apart. They count with those that pass it: zoo always
    passes ``needs_dx``, and a call without it, by a user or another test, is no fault of the cell.
    """
    import numba

    typeof: Any = numba.typeof  # Numba's own functions are untyped
    return {
        tuple(typeof(kind.value) if isinstance(kind, numba.types.Omitted) else kind for kind in signature)
        for signature in kernel.signatures
    }


def _check_signature_count(cell: Cell, name: str, kernel: Kernel[..., Any], most: int) -> None:
    versions = _compiled_versions(kernel)
    count = len(versions)
    if count > most:
        names = inspect.signature(kernel).parameters
        strided = {
            argument: repr(kind)
            for signature in versions
            for argument, kind in zip(names, signature, strict=False)
            if "'A'" in repr(kind) or "'F'" in repr(kind)
        }
        meaning = f"Arguments of a layout that varies: {strided}. Return contiguous arrays, also in the tape."
        fail(cell, f"compiled versions of {name}", count, most, meaning)


# T, B, I and H. A vector register holds 2 to 16 numbers and a panel of packed weights 8 to 32, so these
# widths leave a last vector and a last panel that is full, that lacks one number, or that holds only one. A
# shard has 4 to 8 rows, and 9 to 16 for a batch of 129 to 256.
SIZES = (
    (40, 3, 5, 15),
    (2, 130, 3, 16),
    (24, 9, 18, 17),
    (9, 11, 33, 31),
    (17, 2, 2, 32),
    (12, 9, 3, 33),
    (3, 17, 9, 63),
    (10, 4, 34, 64),
    (5, 9, 65, 65),
)

MEANING = (
    "If the laws of small sizes hold, look at what only long sequences, wide layers and large batches reach, "
    "such as a truncated sum over time, the last units that do not fill a vector, and rows beyond the first "
    "eight."
)


def check_large_sizes(
    cell: Cell,
    kinds: tuple[InputKind, ...] = ALL_KINDS,
    sizes: Iterable[tuple[int, int, int, int]] = SIZES,
    meaning: str = MEANING,
) -> None:
    """Up to 40 steps, 65 units and 130 rows, outputs, states and gradients agree with ``step``.

    The reference evaluates the equations of ``step`` in NumPy, and differentiates them in reverse mode. A
    cell without a ``step`` that can be read is compared with central differences, in a random direction of
    everything at once, and its passes for tokens and in float32 with those for dense input in float64.

    Args:
        cell: The cell.
        kinds: Dtypes, each with tokens or without.
        sizes: T, B, I and H of each case; the nearest I and H that suit the cell are taken.
        meaning: The usual cause of a failure at these sizes and the remedy, in whole sentences.
    """
    for kind in kinds:
        for steps, batch, inputs, hidden in sizes:
            nearest = nearest_size(cell, inputs, hidden)
            if nearest is not None:
                case = Case(cell, steps, batch, nearest, *kind, seed=hidden)
                at_case(case, functools.partial(_check, meaning=meaning))


def _check(case: Case, meaning: str) -> None:
    """Compare one case; in float32 with a second seed before it fails.

    Where the input of a rectifier is zero to rounding, float32 and float64 differ in its derivative. Another
    seed has no such input, or has it elsewhere; a wrong kernel is wrong again.
    """
    try:
        _compare(make_trial(case), meaning)
    except AssertionError:
        if case.dtype != "float32":
            raise
        _compare(make_trial(replace(case, seed=case.seed + 100)), meaning)


def _compare(trial: Trial, meaning: str) -> None:
    double = astype(trial, "float64")
    expected = _reference(double, meaning)
    actual = run(trial)
    assert_close(trial.cell, actual, {name: expected[name] for name in actual}, trial.rounding, meaning)
    if trial.cell.has_step():
        _compare_row(double, expected, meaning)


def _reference(trial: Trial, meaning: str) -> Arrays:
    """Both passes by ``step``, or by the kernels after a comparison with central differences."""
    if trial.cell.has_step():
        try:
            return run_reference(trial)
        except DefinitionError:
            if trial.cell.is_derived():
                raise
    dense = replace(trial, x=dense_input(trial))
    compare_direction(dense, meaning)
    return run(dense)


def _compare_row(trial: Trial, expected: Arrays, meaning: str) -> None:
    """Compare the last row of the reference with ``step`` called on NumPy arrays."""
    row = take_rows(trial, [-1])
    of_step = named_outputs(*_run_step(row))
    actual = {name: expected[name][-1:] for name in of_step} | {Y: expected[Y][:, -1:]}
    assert_close(trial.cell, actual, of_step, trial.rounding, meaning)
