"""Shipped cells that have every kind of kernel, every operation and every declaration of shipped cells.

Tests of a mechanism, for example of online gradients, use these cells. Such a mechanism treats all cells in
one way, and a fault depends on an operation, a pass of the compiler or a declaration, not on the cell. The
laws in tests/test_conformance.py, which checks this set, and the golden values are for all cells.

The set is complete for ``law_cell``. Cells with their default options, one head for example, lack operations.
"""

from __future__ import annotations

import functools

from kernel_forms import kernel_forms

import zoo
from zoo.base.declarations import ArrayDeclaration
from zoo.compiler.frontend.trace_step import step_graph_of
from zoo.compiler.ir.graph import ancestors

# Of all sets with every feature, this one took the least time in the tests of tangents, segments, traces,
# Jacobians and online gradients: 54 of 137 s of all cells.
REPRESENTATIVE_CELLS = (
    *("vanilla", "clockwork", "deep_esn", "dendritic_plrnn", "exp_rnn", "fastrnn", "nvar", "urnn"),
    *("on_lstm", "phased_lstm", "skip_lstm", "slstm", "fastgrnn", "mgu3", "ltc", "brf"),
    *("s4d", "s5", "slice", "mamba", "mamba2", "mamba3", "m2rnn"),
    *("based", "gla", "linear_attention", "mesa_net", "raven", "retnet", "rodimus", "srwm", "titans"),
    *("gated_delta_product", "precond_gated_delta_net"),
)

Feature = tuple[object, ...]


@functools.cache
def features(cell: zoo.Cell) -> frozenset[Feature]:
    """Operations with their numbers of axes, forms of kernels and declarations of a cell.

    Forms name the functions that passes of the compiler call, for example ``kernels.memory_forward``.
    """
    declared = (*cell.params.values(), *cell.buffers.values(), *cell.states.values(), *cell.inputs.values())
    graph = step_graph_of(cell)
    return frozenset(
        (
            *(("declares", _kind(each), len(each.shape)) for each in declared),
            *(
                ("operation", node.op.name, node.ndim, *(each.ndim for each in node.inputs))
                for node in ancestors(graph.outputs)
            ),
            ("states", min(len(cell.states), 2)),
            ("output", "a state" if graph.y in graph.new_states.values() else "another value"),
            ("kernels", "derived" if cell.is_derived() else "hand-written"),
            *(("form", *form) for form in (kernel_forms(cell) if cell.is_derived() else ())),
        )
    )


def _kind(declaration: ArrayDeclaration) -> str:
    attributes = [name for name in ("complex", "discrete") if getattr(declaration, name, False)]
    return " ".join((*attributes, declaration.kind))
