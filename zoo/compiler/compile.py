"""The compiler's driver: trace ``step``, differentiate it, schedule it, generate its module and load it."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType

from zoo.base import Cell
from zoo.compiler.codegen.decode_step import decode_source
from zoo.compiler.codegen.kernel_source import TapeArray, backward_source, forward_source
from zoo.compiler.codegen.source_module import load_source
from zoo.compiler.frontend.size_checks import check_shapes
from zoo.compiler.frontend.trace_step import StepGraph, step_graph_of
from zoo.compiler.frontend.value_names import ValueNames
from zoo.compiler.ir.dims import ONE
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.passes.autodiff import StepGradient, differentiate
from zoo.compiler.passes.sequence_states import find_sequence_states
from zoo.compiler.schedule.sections import (
    PassSchedule,
    backward_schedule,
    decode_schedule,
    forward_schedule,
    gradient_with_copies,
)
from zoo.compiler.size_options import is_general_form, is_variable, trace_for_all_sizes
from zoo.errors import UsageError
from zoo.kernels.precision import with_precision


@dataclass(frozen=True)
class KernelPlan:
    """The compiled form of a ``step`` before it is loaded.

    Args:
        gradient: The graphs of both passes.
        forward: The schedule of the forward pass.
        backward: The schedule of the backward pass.
        names: The names of all values.
        source: The module of both passes and the decode step (:mod:`zoo.compiler.cell_kernels`).
        tape: The arrays of the tape.
    """

    gradient: StepGradient
    forward: PassSchedule
    backward: PassSchedule
    names: ValueNames
    source: str
    tape: tuple[TapeArray, ...]


@functools.lru_cache(maxsize=1024)  # all cells with all modifiers; 60 ms and 0.3 MB for each
def plan_kernels(cell: Cell) -> KernelPlan:
    """Plan the kernels of a cell that has a ``step``.

    Raises:
        DefinitionError: if its ``step`` cannot be compiled.
    """
    gradient, decoded = _gradients(cell)
    forward, backward = forward_schedule(gradient), backward_schedule(gradient)
    names = gradient.value_names()
    forward_lines, tape = forward_source(gradient, forward, names)
    backward_lines = backward_source(gradient, backward, names, tape)
    decode_lines = decode_source(decoded, decode_schedule(decoded.step_graph), decoded.value_names())
    source = _module_source(cell, forward_lines, backward_lines, *decode_lines)
    return KernelPlan(gradient, forward, backward, names, source, tuple(tape))


def _gradients(cell: Cell) -> tuple[StepGradient, StepGradient]:
    """The graphs of both passes, and those of the decode step.

    An option whose value ``step`` needs stays a number, and so does one over which a loop sums. LLVM adds in
    an order that depends on a known length, so results would change in the last bits.
    """
    numbers = {name for name in cell.options if not is_variable(name)}
    while True:
        step_graph = trace_for_all_sizes(cell, numbers)
        summed = _summed_options(step_graph.outputs)
        if not summed and step_graph.size_options and not is_general_form(step_graph, step_graph_of(cell)):
            summed = set(step_graph.size_options)
        if summed:
            numbers |= summed
            continue
        sequence_graph = find_sequence_states(step_graph)
        gradient = decoded = gradient_with_copies(differentiate(sequence_graph))
        if gradient.step_graph.memories:  # single steps update the states themselves
            decoded = gradient_with_copies(differentiate(step_graph))
        outputs = [*gradient.forward_outputs, *gradient.backward_outputs]
        summed = _summed_options(outputs) | _summed_options(decoded.step_graph.outputs)
        if not summed:
            return gradient, decoded
        numbers |= summed


def _summed_options(outputs: Iterable[Node]) -> set[str]:
    """The options that are the length of an innermost loop that accumulates."""
    options: set[str] = set()
    for node in ancestors(outputs):
        if node.op.kind is Kind.REDUCTION:
            axis, length = next(
                (axis, dim) for axis, dim in reversed([*enumerate(node.inputs[0].shape)]) if dim != ONE
            )
            if axis in node.attr and not length.depends_on_layer:
                options |= length.letters
    return options


def load_module(cell: Cell, precision: str | None = None) -> ModuleType:
    """Load the module of a cell that has a ``step``.

    Args:
        cell: The cell.
        precision: The precision of its matrix products, see :mod:`zoo.kernels.precision`.

    Raises:
        DefinitionError: if its ``step`` cannot be compiled.
    """
    return load_source(cell.name, with_precision(plan_kernels(cell).source, precision))


def output_size(step_graph: StepGraph, input_size: int, hidden_size: int) -> int:
    """Return the features of the output.

    Raises:
        UsageError: if the sizes do not fit the step.
    """
    check_shapes(step_graph, input_size, hidden_size)
    (dim,) = step_graph.y.shape
    size = dim.evaluate(step_graph.cell.size_values(input_size, hidden_size))
    if size < 1 or size.denominator != 1:
        raise UsageError(
            f"{step_graph.cell.label()}: the output has {dim} features, which is {size} for I={input_size}, "
            f"H={hidden_size}; expected a positive integer."
        )
    return int(size)


def _module_source(cell: Cell, *functions: list[str]) -> str:
    """The text of the module. It holds nothing of the user's but checked names and numbers."""
    head = [
        # Without the options: those that enter the equations are constants of the code, and two cells that
        # differ only in initial values share it.
        f'"""Both passes of the cell {cell.name}, derived by zoo from its step.',
        "",
        "Do not edit: zoo generates this module from the cell. Arrays called ``_all`` have a row for every",
        "step and sequence, ``_block`` for every step and sequence of one block of steps, and ``_step`` for",
        "every sequence of one step. ``_row`` is one row, and ``_slice`` a part of one. ``prepare_forward``",
        "and ``prepare_backward`` compute values of parameters alone, once for all shards. ``prepare``",
        "and ``advance`` are one step of one sequence, for sampling.",
        '"""',
        "",
        "import numpy as np",
        "",
        "import zoo",
        "from zoo import kernels",
    ]
    blocks = (["", "", *lines] for lines in functions)
    return "\n".join([*head, *(line for block in blocks for line in block)]) + "\n"
