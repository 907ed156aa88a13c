"""From a cell's ``step`` to its kernels: read, differentiate, plan, write, load."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import ModuleType

from zoo.base import Cell
from zoo.compiler.cell_kernels import CellKernels
from zoo.compiler.codegen.decode_step import decode_source
from zoo.compiler.codegen.module import TapeArray, backward_source, forward_source
from zoo.compiler.codegen.source_module import load_source
from zoo.compiler.frontend.trace_step import StepGraph, check_shapes, trace_step
from zoo.compiler.passes.autodiff import StepGradient, differentiate
from zoo.compiler.schedule.sections import (
    PassSchedule,
    backward_schedule,
    decode_schedule,
    forward_schedule,
    gradient_with_copies,
)
from zoo.errors import UsageError


@dataclass(frozen=True)
class KernelPlan:
    """Everything between a ``step`` and its kernels.

    Args:
        derivation: The graphs of both passes.
        forward: The plan of the forward pass.
        backward: The plan of the backward pass.
        source: The module that holds both, and the walk (:mod:`zoo.compiler.cell_kernels`).
        tape: What the arrays of the tape are.
    """

    derivation: StepGradient
    forward: PassSchedule
    backward: PassSchedule
    source: str
    tape: tuple[TapeArray, ...]


@functools.lru_cache(maxsize=256)
def plan_kernels(cell: Cell) -> KernelPlan:
    """Plan the kernels of a cell that has a ``step``.

    Raises:
        DefinitionError: if its ``step`` cannot be compiled.
    """
    derivation = gradient_with_copies(differentiate(trace_step(cell)))
    forward, backward = forward_schedule(derivation), backward_schedule(derivation)
    forward_lines, kept = forward_source(derivation, forward)
    backward_lines = backward_source(derivation, backward, kept)
    walk_lines = decode_source(derivation, decode_schedule(derivation.step_graph))
    source = _module_source(cell, forward_lines, backward_lines, *walk_lines)
    return KernelPlan(derivation, forward, backward, source, tuple(kept))


def load_module(cell: Cell) -> ModuleType:
    """The module of a cell that has a ``step``.

    Raises:
        DefinitionError: if its ``step`` cannot be compiled.
    """
    return load_source(cell.name, plan_kernels(cell).source)


def compile_step(cell: Cell) -> CellKernels:
    """The kernels of a cell that has a ``step``.

    Raises:
        DefinitionError: if its ``step`` cannot be compiled.
    """
    found, module = plan_kernels(cell), load_module(cell)
    equations = found.derivation.step_graph

    def output_size(input_size: int, hidden_size: int) -> int:
        return _output_size(equations, input_size, hidden_size)

    return CellKernels(module.forward, module.backward, (), output_size, found.derivation.surrogate)


def _output_size(equations: StepGraph, input_size: int, hidden_size: int) -> int:
    check_shapes(equations, input_size, hidden_size)
    (dim,) = equations.y.shape
    size = dim.evaluate({"I": input_size, "H": hidden_size})
    if size < 1 or size.denominator != 1:
        raise UsageError(
            f"{equations.cell.label()}: the output has {dim} features, which is {size} for I={input_size}, "
            f"H={hidden_size}; expected a positive integer."
        )
    return int(size)


def _module_source(cell: Cell, *functions: list[str]) -> str:
    """The text of the module: names that were checked, numbers, and nothing else of the user's."""
    head = [
        f'"""Both passes of the cell {cell.name}, derived by zoo from its step ({_options(cell)}).',
        "",
        "Do not edit: change the cell, and this is written anew. Arrays called ``_all`` have a row for every",
        "step and row of the batch, ``_now`` for every row of the batch; ``_here`` is one row, used over and",
        "over. ``prepare`` and ``advance`` are a walk: the step forward of one row, for sampling.",
        '"""',
        "",
        "import numpy as np",
        "",
        "import zoo",
        "from zoo import kernels",
    ]
    blocks = (["", "", *lines] for lines in functions)
    return "\n".join([*head, *(line for block in blocks for line in block)]) + "\n"


def _options(cell: Cell) -> str:
    """The options for which the passes are made; of texts, only those that are names."""
    known = {
        name: value
        for name, value in cell.options.items()
        if not isinstance(value, str) or (value.isascii() and value.isidentifier())
    }
    return ", ".join(f"{name}={value}" for name, value in known.items()) or "no options"
