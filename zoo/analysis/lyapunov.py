"""Lyapunov exponents: the rates at which differences between states grow or shrink along a trajectory."""

from __future__ import annotations

from collections.abc import Mapping
from operator import itemgetter
from typing import Any

import numpy as np

from zoo.analysis.state_map import check_smooth, state_map_of, trajectory
from zoo.analysis.target import AnalysisTarget, inputs_of
from zoo.arguments import as_integer, check_seed
from zoo.errors import UsageError
from zoo.layers.direction import Array


def lyapunov_exponents(
    model: AnalysisTarget,
    inputs: Any,
    layer: int | str = 0,
    count: int | None = None,
    state: Mapping[str, Any] | None = None,
    warmup: int | None = None,
    seed: int = 0,
) -> Array:
    """The largest Lyapunov exponents of a layer along the trajectory that inputs make of it.

    The product of the Jacobians of all steps has singular values that grow as ``exp(n * exponent)``. They are
    found without forming it: a few directions are carried through the steps and made orthogonal again, by a
    QR decomposition, after each, whose diagonal says how far they were stretched (G. Benettin, L. Galgani,
    A. Giorgilli & J.-M. Strelcyn 1980, https://doi.org/10.1007/BF02128237; for recurrent networks
    R. Engelken, F. Wolf & L. F. Abbott 2020, https://arxiv.org/abs/2006.02427, and R. Vogt,
    M. Puelma Touzel, E. Shlizerman & G. Lajoie 2022, https://doi.org/10.3389/fams.2022.818799). The
    directions are those of gradients, carried from the last step to the first: a product and its transpose
    have the same singular values, and no Jacobian is formed.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        inputs: Floats ``(T, B, I)`` or tokens ``(T, B)``; for a language model also a text; zeros for a layer
            that runs by itself. The longer they are, the nearer the exponents come to their limits.
        layer: Which layer, as a number or as ``"l0"``. The exponents of a stack are those of all its layers,
            each driven by the one below.
        count: How many exponents, the largest first; all ``S`` if None.
        state: States before the first step; zeros if None.
        warmup: Steps that do not count, at the beginning, where the trajectory is not yet what it will be,
            and as many at the end, where directions turn to where they belong; a tenth of all if None.
        seed: Of the random first directions.

    Returns:
        float64 ``(B, count)``, in nats per step, descending: below zero differences are forgotten, above zero
        they grow, and so do gradients.

    Raises:
        UsageError: if an argument does not fit, or the cell's derivative is a surrogate.
    """
    step = state_map_of(model, layer)
    check_smooth(step, "lyapunov_exponents")
    x = inputs_of(model, inputs)
    steps, batch = x.shape[:2]
    who = "lyapunov_exponents"
    count = as_integer(step.size if count is None else count, f"{who}: count", 1, step.size)
    warmup = steps // 10 if warmup is None else warmup
    warmup = as_integer(warmup, f"{who}: warmup", 0, max(0, (steps - 1) // 2))
    if steps == 0:
        raise UsageError(f"{step.cell.label()}: lyapunov_exponents takes at least one step.")
    step_inputs, before = trajectory(model, step, x, state)
    drawn = np.random.default_rng(check_seed(seed)).standard_normal((batch, step.size, count))
    directions = _orthogonal(drawn)[0]
    total = np.zeros((batch, count))
    for t in reversed(range(warmup, steps)):
        now = step_inputs.map(itemgetter(t))
        pulled = step.vjp(now, before[t], np.moveaxis(directions, 2, 0))
        directions, stretched = _orthogonal(np.moveaxis(pulled, 0, 2))
        if t < steps - warmup:
            total += stretched
    return -np.sort(-total / (steps - 2 * warmup), axis=1)


def _orthogonal(directions: Array) -> tuple[Array, Array]:
    """Orthonormal directions ``(B, S, K)``, and the logarithms of how long they were, ``(B, K)``."""
    orthonormal, triangular = np.linalg.qr(directions)
    with np.errstate(divide="ignore"):  # what is mapped to nothing shrinks at the rate of minus infinity
        return orthonormal, np.log(np.abs(np.diagonal(triangular, axis1=1, axis2=2)))
