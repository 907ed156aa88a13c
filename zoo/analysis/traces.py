"""Named values of a step at every step, gradients of a loss with respect to them, and saturation of gates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo.analysis.loss_gradients import gradient_at, inputs_and_targets
from zoo.analysis.target import (
    AnalysisTarget,
    aux_of,
    gradients,
    inputs_of,
    run,
    stack_of,
    takes_inputs_by_name,
)
from zoo.arguments import as_elements, as_number
from zoo.array_types import Array
from zoo.compiler.frontend.value_names import SQUASHING_RANGES
from zoo.errors import UsageError
from zoo.layers.states import GivenState
from zoo.layers.tracing import TraceRequest, cell_gates, cell_trace_values


@takes_inputs_by_name
def trace(
    model: AnalysisTarget,
    inputs: ArrayLike,
    names: TraceRequest = True,
    *,
    state: GivenState | None = None,
    **aux: ArrayLike,
) -> Mapping[str, Array]:
    """Named values of ``step`` at every step, as ``zoo.Recurrent.forward(x, trace=...)`` traces them.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        inputs: Floats ``(T, B, I)`` or tokens ``(T, B)``; for a language model also a text.
        names: Names of values, ``"f"`` in every layer or ``"l0.f"`` in one; True for all values.
        state: States before the first step; zeros if None.
        **aux: Auxiliary inputs of the cells by name, ``(T, B, ...)``, as in ``dt=dt``; defaults if left out.

    Returns:
        Name to values, ``(T, B, ...)``.

    Raises:
        UsageError: if an argument does not fit.
        UnknownNameError: if a name is unknown.
    """
    return run(model, inputs_of(model, inputs), state, names, aux).traces


@takes_inputs_by_name
def gate_traces(
    model: AnalysisTarget, inputs: ArrayLike, *, state: GivenState | None = None, **aux: ArrayLike
) -> Mapping[str, Array]:
    """Trace every gate of every layer at every step, under the names of :class:`zoo.Gates`.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        inputs: Floats ``(T, B, I)`` or tokens ``(T, B)``; for a language model also a text.
        state: States before the first step; zeros if None.
        **aux: As for :func:`trace`.

    Returns:
        ``{"l0.forget_gate": (T, B, ...), ...}``, without candidates; empty if no cell declares gates.

    Raises:
        UsageError: if an argument does not fit.
    """
    return run(model, inputs_of(model, inputs), state, gate_names(model), aux).traces


def gate_names(model: AnalysisTarget) -> list[str]:
    """Full names of the gates that the cells of all layers declare, without candidates."""
    return [
        layer.prefix + name
        for layer in stack_of(model).directions
        for name in cell_gates(layer.cell)
        if name != "candidate"
    ]


@takes_inputs_by_name
def trace_grads(
    model: AnalysisTarget,
    inputs: ArrayLike,
    targets: ArrayLike | None = None,
    *,
    names: TraceRequest = True,
    state: GivenState | None = None,
    **aux: ArrayLike,
) -> Mapping[str, Array]:
    """Gradients of a model's loss at every step, the loss being the mean over all steps and rows.

    They are what ``zoo.Recurrent.backward(dy, trace_grads=...)`` traces.

    Args:
        model: A model, or a ``zoo.Recurrent``, whose loss is the mean squared error.
        inputs: As for :func:`trace`.
        targets: Targets of the loss, ``(T, B)`` or ``(T, B, V)``, or targets of the last step, which then
            counts alone. If None, a language model has the next symbols of its inputs as targets.
        names: Names of values; True for all states.
        state: States before the first step; zeros if None.
        **aux: As for :func:`trace`.

    Returns:
        Name to gradients, ``(T, B, ...)``.

    Raises:
        UsageError: if an argument does not fit, or a value has no gradient.
        UnknownNameError: if a name is unknown.
    """
    all_x = inputs_of(model, inputs)
    x, known, only_last = inputs_and_targets(model, all_x, targets)
    if known is None:
        raise UsageError(f"{stack_of(model).label()}: trace_grads takes the targets of a loss; found none.")
    arrays = {name: value[: len(x)] for name, value in aux_of(model, aux, all_x).items()}
    run_result = run(model, x, state, aux=arrays)
    dy = np.zeros_like(run_result.y)
    first = max(0, len(x) - 1) if only_last else 0
    rows = run_result.y[first:].reshape(-1, run_result.y.shape[2])
    slope = gradient_at(model, rows, known[first:].reshape(len(rows), *known.shape[2:]))
    dy[first:] = slope.reshape(dy[first:].shape) / max(1, len(rows))
    return gradients(model, run_result, dy, names)


@takes_inputs_by_name
def gate_saturation(
    model: AnalysisTarget,
    inputs: ArrayLike,
    names: Iterable[str] | None = None,
    *,
    state: GivenState | None = None,
    margin: float = 0.1,
    **aux: ArrayLike,
) -> dict[str, tuple[float, float]]:
    """Shares of the values of sigmoid and tanh that are near either end of their range.

    A value of a sigmoid, from 0 to 1, counts as low below ``margin`` and as high above ``1 - margin``. A
    value of tanh, from -1 to 1, counts as low below ``margin - 1`` and as high above ``1 - margin``. The
    functions are recognised in the equations by name: ``1 / (1 + np.exp(-a))`` is not a sigmoid here.

    Args:
        model: A ``zoo.Recurrent`` or a model.
        inputs: Floats ``(T, B, I)`` or tokens ``(T, B)``; for a language model also a text.
        names: Names of values as for ``trace``; None for all results of sigmoid and tanh, gates under the
            names of :class:`zoo.Gates`.
        state: States before the first step; zeros if None.
        margin: Largest distance from an end that counts.
        **aux: As for :func:`trace`.

    Returns:
        ``{"l0.reset_gate": (low, high), ...}``, shares from 0 to 1 over all steps, rows and units.

    Raises:
        UsageError: if an argument does not fit, or a name is not of a value of a sigmoid or tanh.
        UnknownNameError: if a name is unknown.
    """
    return saturation_shares(model, inputs, aux, names=names, state=state, margin=margin)


def saturation_shares(
    model: AnalysisTarget,
    inputs: ArrayLike,
    aux: Mapping[str, ArrayLike],
    *,
    names: Iterable[str] | None = None,
    state: GivenState | None = None,
    margin: float = 0.1,
) -> dict[str, tuple[float, float]]:
    """:func:`gate_saturation` with the auxiliary inputs in a mapping, so that they may have any name."""
    expected = "a number between 0 and 0.5"
    if not 0 < as_number(margin, "gate_saturation: margin", expected) < 0.5:
        raise UsageError(f"gate_saturation: margin is {margin!r}; expected {expected}.")
    ranges = squashed(model)
    request = (
        squashed_once(model)
        if names is None
        else as_elements(names, "gate_saturation: names", "names, or None for all")
    )
    traces = run(model, inputs_of(model, inputs), state, request, aux).traces if request else {}
    for name in traces:
        if name not in ranges:
            raise UsageError(
                f"gate_saturation: {name!r} is not the value of a sigmoid or tanh; of these there are "
                f"{', '.join(ranges) or 'none'}."
            )
    return {name: _shares(traces[name], *ranges[name], margin) for name in traces}


def squashed(model: AnalysisTarget) -> dict[str, tuple[float, float]]:
    """The range of each result of sigmoid and tanh, under all its names."""
    ranges_by_name = {}
    for layer in stack_of(model).directions:
        values, gates = cell_trace_values(layer.cell), cell_gates(layer.cell)
        for name in (*values, *gates):
            value = values[gates[name].value if name in gates else name]
            if value is not None and value.function in SQUASHING_RANGES:
                ranges_by_name[layer.prefix + name] = SQUASHING_RANGES[value.function]
    return ranges_by_name


def squashed_once(model: AnalysisTarget) -> list[str]:
    """One name of each result of sigmoid and tanh: the name of the gate, or the name in ``step``."""
    names = []
    for layer in stack_of(model).directions:
        gates = cell_gates(layer.cell).items()
        of_gates = {source.value: name for name, source in reversed([*gates]) if not source.is_complement}
        for name, value in cell_trace_values(layer.cell).items():
            if value is not None and value.function in SQUASHING_RANGES:
                names.append(layer.prefix + of_gates.get(name, name))
    return names


def _shares(values: Any, low: float, high: float, margin: float) -> tuple[float, float]:
    if values.size == 0:
        return 0.0, 0.0
    return float(np.mean(values < low + margin)), float(np.mean(values > high - margin))
