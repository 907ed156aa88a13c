"""The gradient of a training step on streams: truncated BPTT, or an online gradient across the batches."""

from __future__ import annotations

from typing import Any

from zoo.array_types import Array
from zoo.base import Task
from zoo.errors import UsageError
from zoo.model import AnyModel
from zoo.online.gradients import GRADIENTS, carry_shapes, online_gradient
from zoo.training.dataset import NoiseKey, State


def check_gradient(name: str, model: AnyModel, batch: int) -> None:
    """Check that a model has the gradient of this name, before a run has a directory.

    Raises:
        UsageError: if it has not, or the influence is too large.
    """
    if name in GRADIENTS:
        online_gradient(name, model, seed=0)
    carry_shapes(name, model.stack, batch)


def check_task_gradient(name: str, task: Task, batch: int, seed: int = 0) -> None:
    """Check that the batches of a task continue the ones before, if the gradient crosses batches.

    Raises:
        UsageError: if they do not.
    """
    if name in GRADIENTS and not task.batch(1, batch, seed).continues:
        raise UsageError(
            f"`gradient` is {name!r}, and the batches of task {task.name!r} do not continue the ones before, "
            f"so that BPTT is exact; leave out `gradient`."
        )


def loss_and_grad(
    name: str,
    model: AnyModel,
    inputs: Array,
    targets: Array,
    carry: State | None,
    noise: NoiseKey,
    /,  # an auxiliary input may have any name
    **others: Any,
) -> tuple[float, dict[str, Array]]:
    """The loss of a batch, filling the gradient of the model, and the carry for the next batch.

    Args:
        name: ``"bptt"``, or the name of an online gradient.
        model: The model.
        inputs: As for ``model.loss_and_grad``.
        targets: As for ``model.loss_and_grad``.
        carry: The states after the batch before, and with an online gradient their influence; None if the
            batch begins other streams.
        noise: Seed and step.
        **others: Other arguments of ``model.loss_and_grad``.
    """
    if name not in GRADIENTS:
        return model.loss_and_grad(inputs, targets, state=carry, noise=noise, **others)
    seed, step = noise
    online = online_gradient(name, model, seed)
    online.chunks, online.carry = step, None if carry is None else dict(carry)
    loss = online.loss_and_grad(inputs, targets, noise=noise, **others)
    assert online.carry is not None
    return loss, online.carry


def states_of(model: AnyModel, carry: State | None) -> State | None:
    """The states of a carry, without their influence."""
    return None if carry is None else {name: carry[name] for name in model.stack.state_shapes}
