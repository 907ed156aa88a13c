"""Table of the traceable values of a cell."""

from __future__ import annotations

from zoo.base import Cell
from zoo.compiler.frontend.traceable_values import TraceableValue, step_graph_of
from zoo.compiler.frontend.value_names import SQUASHING_RANGES
from zoo.compiler.printing import format_shape
from zoo.layers.tracing import cell_trace_values
from zoo.tables import TextTable


def trace_table(cell: Cell) -> TextTable:
    """Name, shape in one row, and description of every traceable value.

    Raises:
        DefinitionError: if the ``step`` of the cell cannot be traced.
    """
    rows = tuple(_trace_row(cell, name, value) for name, value in cell_trace_values(cell).items())
    return TextTable("Traces", ("name", "shape", "description"), rows)


def _trace_row(cell: Cell, name: str, value: TraceableValue | None) -> tuple[str, ...]:
    if value is None:
        return name, f"({', '.join(size.text for size in cell.states[name].shape)})", "state"
    return name, format_shape(value.shape), ", ".join(_description(cell, value))


def _description(cell: Cell, value: TraceableValue) -> list[str]:
    words = ["state"] if value.is_state else []
    words += ["output"] if value.nodes == (step_graph_of(cell).y,) else []
    if value.function in SQUASHING_RANGES:
        low, high = SQUASHING_RANGES[value.function]
        words.append(f"{value.function}, from {low:g} to {high:g}")
    elif value.function:
        words.append(value.function)
    words += ["complex, as real and imaginary parts"] if len(value.nodes) > 1 else []
    return words + ([] if value.varies else ["the same at every step"])
