"""The equations of a cell as functions of another library, in all forms that are measured."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.bench.peers.problem import Problem
from zoo.bench.peers.step_code import step_code
from zoo.bench.peers.step_library import Library, StepVariant
from zoo.compiler.frontend.trace_step import step_graph_of
from zoo.compiler.ir.dims import concrete_shape
from zoo.registry import resolve_cell

Forward = Callable[..., Any]
"""``forward(p, x, aux, scan)``: parameters and buffers by name, inputs, auxiliary inputs ``(T, B, ...)`` by
name, and ``scan(step, states, sequences)``, the loop of the library, to the outputs ``(T, B, ·)``."""


def load_forward(library: Library, code: str, dtype: Any) -> Forward:
    """Compile the code; ``dtype`` is the library's data type of constants."""
    namespace: dict[str, Any] = {
        **library.functions,
        "dtype": dtype,
        "recurrence": recurrence,
        "shift": shift,
    }
    exec(compile(code, "<equations of a cell>", "exec"), namespace)
    forward: Forward = namespace["forward"]
    return forward


@dataclass(frozen=True)
class StepFunction:
    """The equations of a problem as a function of a library.

    Args:
        variant: Choices of the code.
        code: The code.
        forward: The function.
    """

    variant: StepVariant
    code: str
    forward: Forward


def step_functions(library: Library, problem: Problem, dtype: Any) -> list[StepFunction]:
    """The functions of all variants whose code differs.

    Args:
        library: The library.
        problem: The problem.
        dtype: The library's data type of constants.

    Raises:
        UnsupportedProblemError: if the library cannot express the cell.
    """
    cell = resolve_cell(problem.cell, **problem.options)
    functions: dict[str, StepFunction] = {}
    for choices in itertools.product(
        ("dense",) if problem.is_dense else ("rows", "one-hot"), (True, False), (True, False)
    ):
        variant, sizes = StepVariant(*choices), (problem.input_size, problem.hidden)
        code = step_code(library, cell, *sizes, problem.targets.shape, variant)
        if code not in functions:
            functions[code] = StepFunction(variant, code, load_forward(library, code, dtype))
    return list(functions.values())


def default_inputs(problem: Problem) -> dict[str, Array]:
    """The auxiliary inputs ``(T, B, ...)`` by name: their defaults."""
    cell = resolve_cell(problem.cell, **problem.options)
    sizes = {"I": problem.input_size, "H": problem.hidden}
    graph = step_graph_of(cell)
    return {
        name: np.full(
            (*problem.targets.shape, *concrete_shape(graph.inputs[name].shape, sizes)),
            declared.value(cell.options),
            problem.dtype,
        )
        for name, declared in cell.inputs.items()
    }


def shift(xp: Any, value: Any, steps: int) -> Any:
    """The values ``(T, ...)`` of some time steps before; zeros before the first step."""
    if steps >= len(value):
        return xp.zeros_like(value)
    return xp.concatenate([xp.zeros_like(value[:steps]), value[:-steps]], 0)


def recurrence(xp: Any, a: Any, b: Any, axis: int, reverse: bool) -> Any:
    """``y[i] = a[i] * y[i - 1] + b[i]`` along an axis; ``reverse`` starts with the last entry."""
    factors, terms = (xp.moveaxis(each, axis, 0) for each in (a, b))
    order = range(len(terms) - 1, -1, -1) if reverse else range(len(terms))
    total, entries = None, {}
    for index in order:
        total = terms[index] if total is None else factors[index] * total + terms[index]
        entries[index] = total
    return xp.moveaxis(xp.stack([entries[index] for index in range(len(terms))]), 0, axis)
