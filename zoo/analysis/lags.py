"""Gradient against lag: how much of what happened k steps ago a loss still feels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.analysis.losses import gradient_at, projected, targets_of
from zoo.analysis.subject import Array, Subject, gradients, inputs_of, run, stack_of
from zoo.errors import UsageError

MOST_TIMES = 4
"""Losses whose gradients are averaged: each costs a pass forward and back."""


def gradient_by_lag(
    model: Subject,
    inputs: Any,
    targets: Any = None,
    lags: int = 64,
    state: Mapping[str, Any] | None = None,
    times: int = MOST_TIMES,
    seed: int = 0,
) -> dict[str, Array]:
    """Norms of ``dL_t / dh_{t-k}``, the mean over rows and over some times t, for each lag k.

    The loss at one time alone is back-propagated, so that what is k steps before it is felt through k steps.
    That this falls off, or grows, as a power of k is the vanishing or exploding gradient (R. Pascanu,
    T. Mikolov & Y. Bengio 2013, https://arxiv.org/abs/1211.5063).

    Args:
        model: A ``zoo.Recurrent`` or a model.
        inputs: Floats ``(T, B, I)`` or tokens ``(T, B)``; for a language model also a text.
        targets: What the loss compares with: for a model the targets of its loss, ``(T, B)`` or ``(T, B, V)``,
            or those of the last step, which is then the only time; for a language model without any the
            symbols that follow in the inputs; for a ``zoo.Recurrent`` outputs ``(T, B, ·)``, of which the
            mean squared error is taken. Without targets the loss is the projection of the output on a random
            unit vector.
        lags: How many, from 0 on; fewer where the sequence is shorter.
        state: States before the first step; zeros if None.
        times: At most so many times t, evenly from the first that has all lags to the last.
        seed: Of the random projection.

    Returns:
        ``{"l0.h": norms (lags,), ...}`` for every state that has a gradient.

    Raises:
        UsageError: if an argument does not fit.
    """
    for name, value in {"lags": lags, "times": times}.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise UsageError(f"gradient_by_lag: {name} is {value!r}; expected a positive integer.")
    x, targets, only_last = targets_of(model, inputs_of(model, inputs), targets)
    if len(x) == 0:
        raise UsageError(
            f"{stack_of(model).cell.label()}: gradient_by_lag takes at least one step, and for a language model "
            f"without targets at least two symbols."
        )
    lags = min(lags, len(x))
    chosen = np.unique(np.linspace(len(x) - 1, lags - 1, 1 if only_last else times).round().astype(int))
    course = run(model, x, state)
    found = [_norms(model, course, targets, int(t), lags, seed) for t in chosen]
    return {name: np.mean([each[name] for each in found], axis=0) for name in found[0]}


def _norms(model: Subject, course: Any, targets: Any, t: int, lags: int, seed: int) -> dict[str, Array]:
    """The norms for the loss at one time, each lag's the mean over the rows."""
    dy = np.zeros_like(course.y)
    dy[t] = projected(course.y[t], seed) if targets is None else gradient_at(model, course.y[t], targets[t])
    back = slice(t, t - lags if t >= lags else None, -1)
    return {
        name: np.linalg.norm(value[back].reshape(lags, value.shape[1], -1), axis=2).mean(axis=1, dtype=float)
        for name, value in gradients(model, course, dy).items()
    }
