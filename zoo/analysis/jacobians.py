"""The Jacobian of a step with respect to the states, along a trajectory, and its spectrum."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import numpy as np

from zoo.analysis.state_map import StateMap, StepInputs, state_map_of, trajectory
from zoo.analysis.target import AnalysisTarget, inputs_of
from zoo.arguments import as_bool
from zoo.errors import UsageError
from zoo.layers.direction import Array

CHUNK_ELEMENTS = 2**22
"""Elements of derivatives that are computed at once."""

MAX_ELEMENTS = 2**28
"""Largest number of elements of all Jacobians: 2 GiB."""


def jacobian(
    model: AnalysisTarget, inputs: Any, layer: int | str = 0, state: Mapping[str, Any] | None = None
) -> Array:
    """The exact derivative of a layer's states after each step by those before it.

    ``J[i, j]`` is ``d after_i / d before_j``. In a stack the states of a layer depend on those of the layers
    below, too: the Jacobian of all states together is block triangular, and its eigenvalues are those of all
    layers.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        inputs: Floats ``(T, B, I)`` or tokens ``(T, B)``; for a language model also a text.
        layer: Which layer, as a number or as ``"l0"``; of one that reads backwards, ``"l0.reverse"``, a step
            leads to the time before.
        state: States before the first step; zeros if None.

    Returns:
        float64 ``(T, B, S, S)``, where S counts the numbers of all states of the layer, one state after the
        other (:func:`state_slices`).

    Raises:
        UsageError: if an argument does not fit, or the Jacobians are too large to be held.
    """
    step = state_map_of(model, layer)
    x = inputs_of(model, inputs)
    steps, batch = x.shape[:2]
    if (total := steps * batch * step.size**2) > MAX_ELEMENTS:
        raise UsageError(
            f"{step.cell.label()}: {steps * batch} Jacobians of {step.size} x {step.size} are {total:,} "
            f"numbers, more than {MAX_ELEMENTS:,}; take fewer steps, rows or units."
        )
    step_inputs, before = trajectory(model, step, x, state)
    flat = step_inputs.map(lambda value: value.reshape(-1, *value.shape[2:]))
    values = jacobians(step, flat, before.reshape(-1, step.size))
    values = values.reshape(steps, batch, step.size, step.size)
    return values[::-1] if step.layer.reverse else values


def jacobians(step: StateMap, step_inputs: StepInputs, vectors: Array) -> Array:
    """Jacobians ``(N, S, S)`` at N states, some at a time."""
    values = np.empty((len(vectors), step.size, step.size))
    rows = max(1, CHUNK_ELEMENTS // step.size**2)
    for first in range(0, len(vectors), rows):
        part = slice(first, first + rows)
        values[part] = step.jacobian(step_inputs.map(itemgetter(part)), vectors[part])
    return values


def jacobian_spectrum(
    model: AnalysisTarget,
    inputs: Any,
    layer: int | str = 0,
    state: Mapping[str, Any] | None = None,
    singular: bool = False,
) -> Array:
    """Eigenvalues, or singular values, of the Jacobian of every step, the largest first.

    Args:
        model: As for :func:`jacobian`.
        inputs: As for :func:`jacobian`.
        layer: As for :func:`jacobian`.
        state: As for :func:`jacobian`.
        singular: Whether singular values are wanted: how far one step can stretch a difference.

    Returns:
        ``(T, B, S)``: complex eigenvalues by modulus, or real singular values; NaN where a Jacobian is not
        finite.

    Raises:
        UsageError: as for :func:`jacobian`.
    """
    matrices = jacobian(model, inputs, layer, state)
    if not as_bool(singular, "jacobian_spectrum: singular"):
        return eigenvalues(matrices)
    values = np.full(matrices.shape[:-1], np.nan)
    finite = np.isfinite(matrices).all(axis=(-2, -1))
    values[finite] = np.linalg.svd(matrices[finite], compute_uv=False)
    return values


def eigenvalues(matrices: Array) -> Array:
    """Complex eigenvalues ``(..., S)``, the largest modulus first; NaN where a matrix is not finite."""
    values = np.full(matrices.shape[:-1], np.nan, complex)
    finite = np.isfinite(matrices).all(axis=(-2, -1))
    values[finite] = np.linalg.eigvals(matrices[finite])
    return np.take_along_axis(values, np.argsort(-np.abs(values), axis=-1, kind="stable"), axis=-1)


def state_slices(model: AnalysisTarget, layer: int | str = 0) -> dict[str, slice]:
    """Rows and columns of each state of a layer in its Jacobian, ``{"l0.h": slice(0, H)}``.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        layer: Which layer, as a number or as ``"l0"``.

    Raises:
        UsageError: if there is no such layer.
    """
    return dict(state_map_of(model, layer).slices)
