"""Figures of gates over time, from traces."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo.arguments import as_elements, as_integer, as_mapping, short_repr
from zoo.array_types import Array
from zoo.arrays import as_array
from zoo.errors import UsageError
from zoo.report.blocks import array_location, readable
from zoo.report.figures import SETTINGS, check_matplotlib, draw_gate_rows


def draw_gates(
    traces: Mapping[str, ArrayLike],
    *,
    sequence: int = 0,
    symbols: Sequence[str] | None = None,
    lines: Mapping[str, ArrayLike] | None = None,
) -> Any:
    """Draw the gates of one sequence over time as a figure of matplotlib.

    From top to bottom: a row for each entry of ``lines``, the mean of each gate over its units, and a heat
    map of each gate with a row of pixels for each unit. White is 0, a closed gate, and blue is 1, an open
    one. A map with values outside of 0 to 1, for example of a candidate, has a scale of its own: white is
    still 0, full blue is the largest magnitude, and orange is below zero.

    Args:
        traces: Name to values, ``(T, B, ...)``, as ``zoo.analysis.gate_traces`` returns them. Gates of a
            layer with equal values have one heat map.
        sequence: Index of the sequence in the batch.
        symbols: Text of each step, ``T`` strings or a string of ``T`` characters, shown for up to 100 steps.
        lines: Name to values of each step, ``(T,)``, for example inputs.

    Returns:
        A ``matplotlib.figure.Figure``. ``figure.savefig("gates.svg")`` writes it.

    Raises:
        UsageError: if an argument does not fit, there is no trace, or matplotlib is not installed.
    """
    arrays = _as_traces(traces)
    steps, batch = next(iter(arrays.values())).shape[:2]
    row = as_integer(sequence, "draw_gates: sequence", 0, batch - 1)
    texts, rows = _as_symbols(symbols, steps), _as_lines(lines, steps)
    check_matplotlib("draw_gates")
    gates = merge_equal({name: values[:, row].reshape(steps, -1).T for name, values in arrays.items()})
    layers = {name.rpartition(".")[0] for name in gates}
    labels = {
        gate_label(name if len(layers) > 1 else name.rpartition(".")[2]): values
        for name, values in gates.items()
    }
    matplotlib: Any = importlib.import_module("matplotlib")
    with matplotlib.rc_context(SETTINGS):
        return draw_gate_rows(labels, symbols=texts, lines=rows)


def merge_equal(gates: Mapping[str, Array]) -> dict[str, Array]:
    """Join the names of gates of a layer with equal values: ``l0.forget_gate = update_gate``."""
    merged: dict[str, Array] = {}
    for name, values in gates.items():
        layer, _, gate = name.rpartition(".")
        equal = [
            other
            for other in merged
            if other.rpartition(".")[0] == layer and np.array_equal(merged[other], values)
        ]
        if equal:
            merged = {f"{key} = {gate}" if key == equal[0] else key: each for key, each in merged.items()}
        else:
            merged[name] = values
    return merged


def gate_label(name: str) -> str:
    """Layer and name of a gate: ``l0.forget_gate`` becomes ``layer 1, forget gate``."""
    return readable(array_location(name))


def _as_traces(traces: Any) -> dict[str, Array]:
    """Check traces: numbers ``(T, B, ...)`` of equal ``T`` and ``B``, at least one step and one trace."""
    arrays: dict[str, Array] = {}
    for name, values in as_mapping(traces, "draw_gates: traces").items():
        arrays[str(name)] = array = _as_numbers(
            values, f"draw_gates: traces[{short_repr(name)}]", "(T, B, ...)"
        )
        first = next(iter(arrays.values()))
        if array.ndim < 2 or array.size == 0 or array.shape[:2] != first.shape[:2]:
            expected = "(T, B, ...)" if array is first else f"({first.shape[0]}, {first.shape[1]}, ...)"
            raise UsageError(
                f"draw_gates: traces[{name!r}] has shape {array.shape}; expected {expected}, none of "
                f"them zero."
            )
    if not arrays:
        raise UsageError(
            "draw_gates: traces are empty; expected at least one gate. If the cell declares none, trace "
            "other values with zoo.analysis.trace."
        )
    return arrays


def _as_lines(lines: Any, steps: int) -> list[tuple[str, Array]]:
    """Check lines: numbers ``(T,)`` by name."""
    rows = []
    for name, values in as_mapping({} if lines is None else lines, "draw_gates: lines").items():
        array = _as_numbers(values, f"draw_gates: lines[{short_repr(name)}]", f"({steps},)")
        if array.shape != (steps,):
            raise UsageError(
                f"draw_gates: lines[{name!r}] has shape {array.shape}; expected ({steps},), a number for "
                f"each step."
            )
        rows.append((str(name), array))
    return rows


def _as_numbers(values: Any, name: str, shape: str) -> Array:
    """Convert to finite float64 numbers."""
    array = as_array(values, name)
    if array.dtype.kind not in "biuf" or not np.isfinite(array).all():
        raise UsageError(f"{name} is {short_repr(values)}; expected an array {shape} of finite real numbers.")
    return array.astype(np.float64)


def _as_symbols(symbols: Any, steps: int) -> tuple[str, ...]:
    """Check the texts of the steps; empty for None."""
    expected = f"{steps} strings, one for each step"
    texts = () if symbols is None else as_elements(symbols, "draw_gates: symbols", expected)
    if symbols is not None and (len(texts) != steps or not all(isinstance(text, str) for text in texts)):
        raise UsageError(f"draw_gates: symbols are {short_repr(symbols)}; expected {expected}.")
    return texts
