"""Check that the shapes and slices of a step are valid for the sizes of a layer."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping

from zoo.compiler.frontend.trace_step import StepGraph, location_of, step_graph_of
from zoo.compiler.ir.dims import ONE, Dim, Sizes
from zoo.compiler.ir.graph import Node, ancestors, format_shape
from zoo.compiler.ir.structural_ops import SLICE, STRIDE
from zoo.errors import UsageError


def check_shapes(step_graph: StepGraph, input_size: int, hidden_size: int) -> None:
    """Check that all shapes and slices of a step are valid for some sizes.

    Kernels do no checks: they would read beyond the end of an array.

    Raises:
        UsageError: if an array has a negative or fractional length, or a slice is out of range.
    """
    cell = step_graph.cell
    sizes = cell.size_values(input_size, hidden_size)
    problem = _size_problem(_conditions(step_graph), sizes)
    if problem is not None and step_graph.size_options:
        step_graph = step_graph_of(cell)  # whose message has the values of the options
        problem = _size_problem(_conditions(step_graph), sizes) or problem
    if problem is not None:
        where = location_of(cell, lambda node: _size_problem(_conditions_of([node]), sizes))
        raise UsageError(
            f"{cell.label()}: {where}: {problem} for I={input_size}, H={hidden_size}; choose "
            f"{_fitting_sizes(step_graph, input_size, hidden_size)}."
        )


SizeConditions = Mapping[tuple[Dim, int], str]


def _size_problem(conditions: SizeConditions, sizes: Sizes) -> str | None:
    """The first condition that does not hold, as the beginning of a sentence."""
    for (dim, minimum), description in conditions.items():
        value = dim.evaluate(sizes)
        if value.denominator != 1:
            return f"{description}, and {dim} is not an integer"
        if value < minimum:
            return f"{description}, and {dim} is less than {minimum}"
    return None


def _fitting_sizes(step_graph: StepGraph, input_size: int, hidden_size: int) -> str:
    """The nearest sizes for which all conditions hold."""
    for distance in range(1, 65):
        for name, i, h in (
            ("H", input_size, hidden_size + distance),
            ("H", input_size, hidden_size - distance),
            ("I", input_size + distance, hidden_size),
        ):
            if h > 0 and _size_problem(_conditions(step_graph), step_graph.cell.size_values(i, h)) is None:
                return f"other sizes, for example {name}={h if name == 'H' else i}"
    return "other sizes"


@functools.lru_cache(maxsize=256)
def _conditions(step_graph: StepGraph) -> SizeConditions:
    """Lengths and indices that must be integers and at least a minimum, with a description.

    Many arrays have the same shape. With an entry for each array, layers evaluated equal conditions often,
    which took half the time of the laws in plain Python.
    """
    return _conditions_of(ancestors(step_graph.outputs))


def _conditions_of(nodes: Iterable[Node]) -> SizeConditions:
    """The conditions of nodes; of equal ones the first."""
    conditions: dict[tuple[Dim, int], str] = {}
    for description, dim, minimum in _size_conditions(nodes):
        conditions.setdefault((dim, minimum), description)
    return conditions


def _size_conditions(nodes: Iterable[Node]) -> Iterator[tuple[str, Dim, int]]:
    """Lengths and indices of nodes: a description, the value, its minimum."""
    for node in nodes:
        for dim in node.shape:
            yield f"step makes an array of shape {format_shape(node.shape)}", dim, 0
        if node.op == SLICE:
            axis, start, stop = node.attr
            whole = node.inputs[0].shape[axis]
            description = f"step cuts from {start} to {stop} of an axis of length {whole}"
            yield description, start, 0
            yield description, whole - stop, 0
        if node.op == STRIDE:
            axis, start, step, length = node.attr
            whole = node.inputs[0].shape[axis]
            for index in (start, start + step * (length - ONE)):
                description = f"step takes entry {index} of an axis of length {whole}"
                yield description, index, 0
                yield description, whole - index, 1
