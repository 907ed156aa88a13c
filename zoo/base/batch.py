"""Batches of examples, which tasks return, and the check of their arrays."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from zoo.arguments import dtype_and_shape, short_repr
from zoo.errors import DefinitionError
from zoo.field_repr import one_line_repr

if TYPE_CHECKING:
    from zoo.array_types import Array
    from zoo.base.task import Task


@one_line_repr
class Batch(NamedTuple):
    """A batch of examples, time-major.

    Attributes:
        inputs: Tokens ``(T, B)`` or numbers ``(T, B, I)``.
        targets: Classes ``(T, B)``, or numbers ``(T, B, V)``.
        weights: Weight of each step, ``(T, B)``: one where an answer is expected, else zero. Evaluation does
            not count an example without one.
        continues: Whether sequences continue the sequences of the previous batch, so that states carry over.
        aux: Auxiliary inputs by name, ``(T, B, ...)``, for example the time ``dt`` between steps. Cells that
            declare the name get them; the others compute without.
        context: Number of steps before a free run of validation or test, or None. From this step on, a model
            reads its own outputs of the step before, and the inputs have no effect: leave them zero.
    """

    inputs: Array
    targets: Array
    weights: Array
    continues: bool = False
    aux: Mapping[str, Array] = MappingProxyType({})
    context: int | None = None

    def rows(self, chosen: Any) -> Batch:
        """Some of the examples, selected by their indices or a mask ``(B,)``."""
        inputs, targets, weights = (array[:, chosen] for array in self[:3])
        aux = {name: array[:, chosen] for name, array in self.aux.items()}
        return Batch(inputs, targets, weights, self.continues, aux, self.context)


def check_batch(task: Task, method: str, batch: Any, size: int) -> Batch:
    """Check that the arrays of a batch fit the sizes and the loss of the task.

    Args:
        task: The task.
        method: The method that returned the batch.
        batch: The returned value.
        size: The expected number of examples, ``B``.

    Raises:
        DefinitionError: if the value is not a ``zoo.Batch`` or an array in it does not fit.
    """
    import numpy as np

    def fail(actual: str, expected: str) -> NoReturn:
        raise DefinitionError(f"{task.label()}: {method}: found {actual}, expected {expected}.")

    if not isinstance(batch, Batch):
        fail(f"a {type(batch).__name__}", "a zoo.Batch(inputs, targets, weights)")
    for name in ("inputs", "targets", "weights"):
        array = getattr(batch, name)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            kind = f"of dtype {array.dtype}" if isinstance(array, np.ndarray) else f"a {type(array).__name__}"
            fail(f"{name} {kind}", "an array of numbers")
    inputs, targets, weights = batch[:3]
    tokens = inputs.ndim == 2 and inputs.dtype.kind in "iu"
    steps = len(inputs) if inputs.ndim else 0
    if steps < 1 or inputs.shape != ((steps, size) if tokens else (steps, size, task.input_size)):
        fail(
            f"inputs {dtype_and_shape(inputs)}",
            f"tokens (T, {size}) or numbers (T, {size}, {task.input_size}) with T of at least 1",
        )
    if tokens and not _is_below(inputs, task.input_size):
        fail(f"tokens from {inputs.min()} to {inputs.max()}", f"tokens from 0 to {task.input_size - 1}")
    classes = task.criterion.target == "class"
    shape = (steps, size) if classes else (steps, size, task.output_size)
    if targets.shape != shape or (classes and targets.dtype.kind not in "iu"):
        kind = "classes, integers" if classes else "numbers"
        fail(f"targets {dtype_and_shape(targets)}", f"{kind} {shape}")
    if classes and not _is_below(targets, task.output_size):
        fail(f"targets from {targets.min()} to {targets.max()}", f"classes from 0 to {task.output_size - 1}")
    if weights.shape != (steps, size):
        fail(f"weights {dtype_and_shape(weights)}", f"one number for each step, {(steps, size)}")
    if not weights.any():
        fail("no weight above zero", "a weight above zero")
    if not (np.isfinite(weights) & (weights >= 0)).all():
        fail("weights that are negative, infinite or NaN", "finite weights of at least zero")
    if batch.context is not None:
        if inputs.ndim == 2 or task.criterion.target != "value" or task.input_size != task.output_size:
            fail("a context of other inputs than outputs", "as many numbers in inputs as in targets")
        if not 0 < batch.context < steps:
            fail(f"context {batch.context}", f"a number of steps from 1 to {steps - 1}, or None")
    if not isinstance(batch.aux, Mapping):
        fail(f"aux a {type(batch.aux).__name__}", "a mapping from names of auxiliary inputs to arrays")
    for name, array in batch.aux.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "biuf":
            fail(f"auxiliary input {name!r} {short_repr(array)}", f"an array of numbers {(steps, size)}")
        if array.shape[:2] != (steps, size):
            fail(f"auxiliary input {name!r} {dtype_and_shape(array)}", f"{(steps, size)} and its own axes")
    return batch


def _is_below(array: Any, count: int) -> bool:
    return bool(array.min() >= 0 and array.max() < count)
