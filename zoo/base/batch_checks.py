"""Checks of the values that a task's methods return."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from zoo.errors import DefinitionError, ZooError

if TYPE_CHECKING:
    from zoo.base.task import Batch, Task


def call_method(task: Task, method: str, *arguments: Any) -> Any:
    """Call a method of a task.

    Raises:
        DefinitionError: if it raises an exception that is not zoo's, with its file and line.
    """
    try:
        return getattr(task, method)(*arguments)
    except (ZooError, MemoryError):
        raise
    except Exception as error:
        from zoo.foreign_errors import error_text

        raise DefinitionError(f"{task.label()}: {method} raised {error_text(error)}.") from error


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

    from zoo.base.task import Batch

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
            f"inputs {_dtype_and_shape(inputs)}",
            f"tokens (T, {size}) or numbers (T, {size}, {task.input_size}) with T of at least 1",
        )
    if tokens and not _is_below(inputs, task.input_size):
        fail(f"tokens from {inputs.min()} to {inputs.max()}", f"tokens from 0 to {task.input_size - 1}")
    classes = task.criterion.target == "class"
    shape = (steps, size) if classes else (steps, size, task.output_size)
    if targets.shape != shape or (classes and targets.dtype.kind not in "iu"):
        kind = "classes, integers" if classes else "numbers"
        fail(f"targets {_dtype_and_shape(targets)}", f"{kind} {shape}")
    if classes and not _is_below(targets, task.output_size):
        fail(f"targets from {targets.min()} to {targets.max()}", f"classes from 0 to {task.output_size - 1}")
    if weights.shape != (steps, size):
        fail(f"weights {_dtype_and_shape(weights)}", f"one number for each step, {(steps, size)}")
    if not weights.min() >= 0 or not weights.any():  # not, because of NaN
        fail("no weight above zero" if not weights.any() else "weights below zero or NaN", "zeros and ones")
    return batch


def _dtype_and_shape(array: Any) -> str:
    return f"{array.dtype} {array.shape}"


def _is_below(array: Any, count: int) -> bool:
    return bool(array.min() >= 0 and array.max() < count)
