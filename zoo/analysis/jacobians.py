"""Jacobians of a step along a trajectory, their spectrum, and Lyapunov exponents."""

from __future__ import annotations

from operator import itemgetter

import numpy as np
from numpy.typing import ArrayLike

from zoo.analysis.state_map import StateMap, StepInputs, check_smooth, state_map_of, trajectory
from zoo.analysis.target import AnalysisTarget, inputs_of, takes_inputs_by_name
from zoo.arguments import as_bool, as_integer, check_seed
from zoo.array_types import Array
from zoo.errors import UsageError
from zoo.layers.states import GivenState

CHUNK_ELEMENTS = 2**22
"""Elements of derivatives that are computed at once."""

MAX_ELEMENTS = 2**28
"""Largest number of elements of all Jacobians: 2 GiB."""


@takes_inputs_by_name
def jacobian(
    model: AnalysisTarget,
    inputs: ArrayLike,
    layer: int | str = 0,
    *,
    state: GivenState | None = None,
    **aux: ArrayLike,
) -> Array:
    """The exact derivative of a layer's states after each step with respect to its states before.

    ``J[i, j]`` is ``d after_i / d before_j``. In a stack the states of a layer also depend on the states of
    the layers below. The Jacobian of all states together is block triangular, and its eigenvalues are the
    eigenvalues of all layers.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        inputs: Floats ``(T, B, I)`` or tokens ``(T, B)``; for a language model also a text.
        layer: Index of the layer, or ``"l0"``. A step of ``"l0.reverse"`` leads to the time before.
        state: States before the first step; zeros if None.
        **aux: Auxiliary inputs of the cells by name, ``(T, B, ...)``, as in ``dt=dt``; defaults if left out.

    Returns:
        float64 ``(T, B, S, S)``, where S is the state size of the layer, one state after the other
        (:func:`state_slices`).

    Raises:
        UsageError: if an argument does not fit, or the Jacobians do not fit into memory.
    """
    step = state_map_of(model, layer)
    x = inputs_of(model, inputs)
    steps, batch = x.shape[:2]
    if (total := steps * batch * step.size**2) > MAX_ELEMENTS:
        raise UsageError(
            f"{step.cell.label()}: {steps * batch} Jacobians of {step.size} x {step.size} are {total:,} "
            f"elements, more than {MAX_ELEMENTS:,}; take fewer steps, rows or units."
        )
    step_inputs, before = trajectory(model, step, x, state, aux)
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


@takes_inputs_by_name
def jacobian_spectrum(
    model: AnalysisTarget,
    inputs: ArrayLike,
    layer: int | str = 0,
    *,
    state: GivenState | None = None,
    singular: bool = False,
    **aux: ArrayLike,
) -> Array:
    """Eigenvalues or singular values of the Jacobian of every step, the largest first.

    Args:
        model: As for :func:`jacobian`.
        inputs: As for :func:`jacobian`.
        layer: As for :func:`jacobian`.
        state: As for :func:`jacobian`.
        singular: Whether to return singular values, by which one step can stretch a difference.
        **aux: As for :func:`jacobian`.

    Returns:
        ``(T, B, S)``: complex eigenvalues by modulus, or real singular values; NaN where a Jacobian is not
        finite.

    Raises:
        UsageError: as for :func:`jacobian`.
    """
    matrices = jacobian(model, inputs, layer, state=state, **aux)
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
        layer: Index of the layer, or ``"l0"``.

    Raises:
        UsageError: if there is no such layer.
    """
    return dict(state_map_of(model, layer).slices)


@takes_inputs_by_name
def lyapunov_exponents(
    model: AnalysisTarget,
    inputs: ArrayLike,
    layer: int | str = 0,
    *,
    count: int | None = None,
    state: GivenState | None = None,
    burn_in: int | None = None,
    seed: int = 0,
    **aux: ArrayLike,
) -> Array:
    """The largest Lyapunov exponents of a layer along its trajectory for some inputs.

    The product of the Jacobians of all steps has singular values that grow as ``exp(n * exponent)``. A few
    directions pass through the steps, and a QR decomposition after each step makes them orthogonal again. Its
    diagonal is the factor by which the step stretched them (G. Benettin, L. Galgani, A. Giorgilli &
    J.-M. Strelcyn 1980, https://doi.org/10.1007/BF02128237; for recurrent networks R. Engelken, F. Wolf &
    L. F. Abbott 2020, https://arxiv.org/abs/2006.02427, and R. Vogt, M. Puelma Touzel, E. Shlizerman &
    G. Lajoie 2022, https://doi.org/10.3389/fams.2022.818799). The directions are gradients, which pass from
    the last step to the first: a product and its transpose have the same singular values. So no Jacobian is
    computed.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        inputs: Floats ``(T, B, I)`` or tokens ``(T, B)``; for a language model also a text. Zeros make an
            autonomous layer. With more steps the exponents come closer to their limits.
        layer: Index of the layer, or ``"l0"``. A stack has the exponents of all its layers, each driven by
            the one below.
        count: Number of exponents, the largest first; all ``S`` if None.
        state: States before the first step; zeros if None.
        burn_in: Number of steps that do not count at the beginning, before the trajectory reaches its
            attractor, and at the end, before the directions align; a tenth of all if None.
        seed: Seed of the random first directions.
        **aux: As for :func:`jacobian`.

    Returns:
        float64 ``(B, count)``, in nats per step, descending. Below zero, differences between states shrink.
        Above zero, differences and gradients grow.

    Raises:
        UsageError: if an argument does not fit, or the cell's derivative is a surrogate.
    """
    step = state_map_of(model, layer)
    check_smooth(step, "lyapunov_exponents")
    x = inputs_of(model, inputs)
    steps, batch = x.shape[:2]
    owner = "lyapunov_exponents"
    count = as_integer(step.size if count is None else count, f"{owner}: count", 1, step.size)
    burn_in = steps // 10 if burn_in is None else burn_in
    burn_in = as_integer(burn_in, f"{owner}: burn_in", 0, max(0, (steps - 1) // 2))
    if steps == 0:
        raise UsageError(f"{step.cell.label()}: lyapunov_exponents takes at least one step.")
    step_inputs, before = trajectory(model, step, x, state, aux)
    drawn = np.random.default_rng(check_seed(seed)).standard_normal((batch, step.size, count))
    directions = _orthogonal(drawn)[0]
    total = np.zeros((batch, count))
    for t in reversed(range(burn_in, steps)):
        now = step_inputs.map(itemgetter(t))
        pulled = step.vjp(now, before[t], np.moveaxis(directions, 2, 0))
        directions, stretched = _orthogonal(np.moveaxis(pulled, 0, 2))
        if t < steps - burn_in:
            total += stretched
    return -np.sort(-total / (steps - 2 * burn_in), axis=1)


def _orthogonal(directions: Array) -> tuple[Array, Array]:
    """Orthonormal directions ``(B, S, K)``, and the logarithms of their former lengths, ``(B, K)``."""
    orthonormal, triangular = np.linalg.qr(directions)
    with np.errstate(divide="ignore"):  # a direction that is mapped to zero has the exponent minus infinity
        return orthonormal, np.log(np.abs(np.diagonal(triangular, axis1=1, axis2=2)))
