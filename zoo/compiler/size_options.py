"""Check a graph with options as letters: it must compute the same as the graph with their values.

``step`` may need the value of an option in a way that no error reveals, for example as a text or in
``isinstance``. So both graphs are evaluated for a few sizes.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from zoo.array_types import Array
from zoo.compiler.codegen.writer import ARRAY_SUFFIXES, RESERVED
from zoo.compiler.frontend.trace_step import StepGraph, size_problem
from zoo.compiler.interpreter import GraphInterpreter
from zoo.compiler.ir.dims import Sizes, concrete_shape

_MAX_SIZE = 64
_CASES = 2


def is_variable(option: str) -> bool:
    """Whether kernels can have a variable with the name of an option: no other variable has this name."""
    return option not in RESERVED and "_per_" not in option and not option.endswith(ARRAY_SUFFIXES[1:])


def agrees(step_graph: StepGraph, with_values: StepGraph) -> bool:
    """Whether two graphs of a cell are valid for the same sizes, and compute the same for some of them.

    Args:
        step_graph: The graph with options as letters.
        with_values: The graph with their values.
    """
    cases = 0
    for sizes in _sizes(step_graph):
        problems = [size_problem(each.size_conditions, sizes) for each in (step_graph, with_values)]
        if (problems[0] is None) != (problems[1] is None):
            return False
        if problems[0] is None:
            cases += 1
            results = zip(_outputs(step_graph, sizes), _outputs(with_values, sizes), strict=True)
            if not all(_are_close(one, other) for one, other in results):
                return False
            if cases == _CASES:
                return True
    return cases > 0


def _sizes(step_graph: StepGraph) -> Iterator[Sizes]:
    """Sizes of a layer, small ones first."""
    for hidden, inputs in itertools.product(range(1, _MAX_SIZE + 1), (3, None)):
        yield step_graph.cell.size_values(inputs or hidden, hidden)


def _outputs(step_graph: StepGraph, sizes: Sizes) -> list[Array]:
    """The output and the new states for random values of all leaves, which depend on their order alone."""
    rng = np.random.default_rng(0)
    shared, rows = (
        {node: rng.uniform(0.25, 0.75, concrete_shape(node.shape, sizes)) for node in nodes}
        for nodes in (
            (*step_graph.params.values(), *step_graph.buffers.values()),
            (step_graph.x, *step_graph.states.values(), *step_graph.inputs.values()),
        )
    )
    interpreter = GraphInterpreter(shared, sizes, np.dtype(np.float64))
    return interpreter.compile(step_graph.outputs, rows)(rows)


def _are_close(one: Array, other: Array) -> bool:
    return np.shape(one) == np.shape(other) and np.allclose(one, other, rtol=1e-9, atol=1e-12, equal_nan=True)
