"""The equations of a cell as source code of another library: ``step`` over a batch, with a loop over time.

The code is what a user of the library would write. The graph of the traced step gives the equations, and
:mod:`zoo.bench.peers.step_phases` the values that leave the loop. A value that is constant along an axis
keeps length one there, and the library broadcasts it.
"""

from __future__ import annotations

from zoo.base import Cell, Noise
from zoo.bench.peers.problem import UnsupportedProblemError
from zoo.bench.peers.step_library import Library, StepVariant
from zoo.bench.peers.step_loop import LoopWriter
from zoo.bench.peers.step_phases import Phases, plan_phases
from zoo.bench.peers.step_values import CodeContext
from zoo.compiler.frontend.size_checks import check_shapes
from zoo.compiler.frontend.trace_step import step_graph_of
from zoo.compiler.ir.structural_ops import DOT
from zoo.compiler.passes.simplify import fuse_accumulations
from zoo.errors import DefinitionError


def step_code(
    library: Library,
    cell: Cell,
    input_size: int,
    hidden_size: int,
    shape: tuple[int, int],
    variant: StepVariant,
) -> str:
    """Write the code of a cell for a library: the function ``forward``.

    Args:
        library: The library.
        cell: The cell.
        input_size: ``I``.
        hidden_size: ``H``.
        shape: ``T`` and ``B``.
        variant: Choices of a user.

    Raises:
        UnsupportedProblemError: if the cell has no ``step`` that can be traced, draws noise, or has an
            operation that the table lacks.
    """
    noise = [name for name, declared in cell.inputs.items() if isinstance(declared, Noise)]
    if noise:
        raise UnsupportedProblemError(
            f"{cell.label()} draws noise ({', '.join(noise)}) with a generator that other libraries lack"
        )
    try:
        step_graph = step_graph_of(cell)
    except DefinitionError as error:
        raise UnsupportedProblemError(str(error)) from None
    step_graph = step_graph.map_nodes(fuse_accumulations(step_graph.outputs))
    check_shapes(step_graph, input_size, hidden_size)
    sizes = {"I": input_size, "H": hidden_size}
    context = CodeContext(library, step_graph, sizes, shape, variant)
    return _StepWriter(context).write(plan_phases(step_graph, sizes, variant.stores_large))


class _StepWriter(LoopWriter):
    """Writes the function ``forward``: the phases before the loop, the loop, and the phase after it."""

    def write(self, phases: Phases) -> str:
        self.delays = phases.delays
        x, nodes = self.step_graph.x, [*phases.before, *phases.loop, *phases.after]
        users = [node for node in nodes if x in node.inputs and node not in phases.delays]
        delayed = [part.node for node in nodes if node in phases.delays for part in phases.delays[node]]
        self.needs_vectors = x in delayed or any(user.op != DOT for user in users)
        self.emit_all(phases.shared)
        self.emit_all(phases.before)
        if phases.loop or phases.states:
            self.write_loop(phases)
        self.emit_all(phases.after)
        y = self.full(self.step_graph.y, needs_lead=True)
        lines = [*self.scope.text([y]), f"    return {y}"]
        cell = self.step_graph.cell.label()
        head = [f'"""The equations of {cell} for {self.shape[0]} steps of {self.shape[1]} sequences."""', ""]
        return "\n".join([*head, "", "def forward(p, x, aux, scan):", *lines, ""])
