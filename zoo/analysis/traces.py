"""Traces of a layer or a model alike: values of a step at every step, and gradients of a loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.analysis.loss_gradients import gradient_at, targets_of
from zoo.analysis.target import AnalysisTarget, gradients, inputs_of, run, stack_of
from zoo.errors import UsageError
from zoo.layers.direction import Array
from zoo.layers.tracing import TraceRequest


def trace(
    model: AnalysisTarget, inputs: Any, names: TraceRequest = True, state: Mapping[str, Any] | None = None
) -> Mapping[str, Array]:
    """Named values of ``step`` at every step, as ``zoo.Recurrent.forward(x, trace=...)`` traces them.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        inputs: Floats ``(T, B, I)`` or tokens ``(T, B)``; for a language model also a text.
        names: What to trace: True for everything, or names, ``"f"`` in every layer or ``"l0.f"`` in one.
        state: States before the first step; zeros if None.

    Returns:
        Name to values, ``(T, B, ...)``.

    Raises:
        UsageError: if an argument does not fit.
        UnknownNameError: if there is nothing of a name.
    """
    return run(model, inputs_of(model, inputs), state, names).traces


def trace_grads(
    model: AnalysisTarget,
    inputs: Any,
    targets: Any = None,
    names: TraceRequest = True,
    state: Mapping[str, Any] | None = None,
) -> Mapping[str, Array]:
    """Gradients of a model's loss at every step, the loss being the mean over all steps and rows.

    They are what ``zoo.Recurrent.backward(dy, trace_grads=...)`` traces.

    Args:
        model: A model, or a ``zoo.Recurrent``, whose loss is the mean squared error.
        inputs: As for :func:`trace`.
        targets: Of the loss, ``(T, B)`` or ``(T, B, V)``, or those of the last step alone, which then alone
            counts; for a language model without any the symbols that follow in the inputs.
        names: Of what: True for all states, or names.
        state: States before the first step; zeros if None.

    Returns:
        Name to gradients, ``(T, B, ...)``.

    Raises:
        UsageError: if an argument does not fit, or what is asked for has no gradient.
        UnknownNameError: if there is nothing of a name.
    """
    x, known, only_last = targets_of(model, inputs_of(model, inputs), targets)
    if known is None:
        raise UsageError(f"{stack_of(model).label()}: trace_grads takes the targets of a loss; found none.")
    run_result = run(model, x, state)
    dy = np.zeros_like(run_result.y)
    first = max(0, len(x) - 1) if only_last else 0
    rows = run_result.y[first:].reshape(-1, run_result.y.shape[2])
    slope = gradient_at(model, rows, known[first:].reshape(len(rows), *known.shape[2:]))
    dy[first:] = slope.reshape(dy[first:].shape) / max(1, len(rows))
    return gradients(model, run_result, dy, names)
