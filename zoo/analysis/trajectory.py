"""The states that a layer goes through when inputs drive it, and the map from each to the next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.analysis.kernel_map import KernelMap
from zoo.analysis.step_map import StatedMap, StepMap, Told
from zoo.analysis.subject import Subject, layer_of, run, stack_of
from zoo.compiler import passes
from zoo.errors import UsageError
from zoo.layers.asking import traceable
from zoo.layers.layer import Array


def step_map(subject: Subject, layer: int | str) -> StepMap:
    """The map of a layer.

    Raises:
        UsageError: if there is no such layer.
    """
    found = layer_of(subject, layer)
    is_stated = None not in traceable(found.cell).values()
    return StatedMap(subject, found) if is_stated else KernelMap(subject, found)


def trajectory(
    subject: Subject, step: StepMap, x: Array, state: Mapping[str, Any] | None
) -> tuple[Told, Array]:
    """What a layer is told at every step, and its states before it, ``(T, B, S)``.

    Args:
        subject: A ``zoo.Recurrent`` or a model.
        step: The map of the layer.
        x: Inputs of the first layer.
        state: States before the first step; zeros if None.
    """
    layer = step.layer
    course = run(subject, x, state, list(layer.states))
    tape = course.tapes[stack_of(subject).layers.index(layer)]
    before = {
        name: np.concatenate([first[None], course.traces[full]])[: len(x)].astype(np.float64)
        for name, full, first in zip(layer.cell.states, layer.states, tape.state, strict=True)
    }
    whole = {name: value for name, value in before.items() if name not in step.shapes}
    told = Told(_as_float64(tape.x), tuple(each.astype(np.float64) for each in tape.inputs), whole)
    return told, step.join([before[name] for name in step.shapes], x.shape[:2])


def check_smooth(step: StepMap, who: str) -> None:
    """Refuse a layer whose derivative, on purpose, is not that of its step.

    Raises:
        UsageError: if it is such a layer.
    """
    if passes(step.cell).surrogate:
        raise UsageError(
            f"{step.cell.label()}: {who} needs the derivative of the step, and this cell trains by a "
            f"surrogate of it; choose another cell."
        )


def _as_float64(x: Array) -> Array:
    return x if x.dtype.kind == "i" else x.astype(np.float64)
