"""The loop over time in the code of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from zoo.bench.peers.problem import UnsupportedProblemError
from zoo.bench.peers.step_library import ELEMENTWISE
from zoo.bench.peers.step_phases import DelayedPart, Phases
from zoo.bench.peers.step_scope import CodeLine, CodeScope, CodeValue, ConcreteShape, identifiers, tuple_code
from zoo.bench.peers.step_structural import STRUCTURAL, StructuralWriter
from zoo.bench.peers.step_values import CodeContext
from zoo.compiler.ir.dims import concrete_shape
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import CONCAT, SLICE, STATE


@dataclass(frozen=True)
class _CarriedPart:
    """An array that the loop carries: the value that reads it, the new one, its axes and their lengths."""

    node: Node
    new: Node
    axes: tuple[int, ...]
    lengths: ConcreteShape


class LoopWriter(StructuralWriter):
    """Writes the values of a phase, and the loop over time.

    Attributes:
        delays: States that only hold past values, with these values.
    """

    def __init__(self, context: CodeContext) -> None:
        super().__init__(context)
        self.delays: Mapping[Node, Sequence[DelayedPart]] = {}

    def emit_all(self, nodes: Sequence[Node]) -> None:
        """Write the values of a phase that do not exist yet."""
        self.slices = {}
        nodes = [node for node in nodes if node not in self.scope.values]
        for node in nodes:
            if node.op == SLICE:
                self.slices.setdefault((node.inputs[0], node.attr[0]), []).append(node)
        for node in nodes:
            if node not in self.scope.values:
                self._emit(node)

    def _emit(self, node: Node) -> None:
        values = self.scope.values
        if node in self.delays:
            values[node] = self._delay(node)
        elif node.op.kind is Kind.ELEMENTWISE and node.op in ELEMENTWISE:
            values[node] = self.elementwise(node)
        elif node.op in STRUCTURAL:
            values[node] = STRUCTURAL[node.op](self, node)
        else:
            raise UnsupportedProblemError(
                f"{self.step_graph.cell.label()} uses the operation {node.op}, which has no row in the table "
                f"of operations of other libraries"
            )

    def _delay(self, node: Node) -> CodeValue:
        """A state that holds past values: those values, shifted along time."""
        codes = []
        for part in self.delays[node]:
            code = self.full(part.node, needs_lead=True)
            length = self.shape_of(part.node)[0]
            if (part.start, part.stop) != (0, length):
                name = self.name()
                self.scope.assign(name, code)
                code = f"{name}[:, :, {part.start}:{part.stop}]"
            codes.append(f"shift({self.library.prefix}, {code}, {part.delay})")
        joined = codes[0] if len(codes) == 1 else self.library.expression("concatenate", ", ".join(codes), 2)
        return self.assign(node, joined, range(node.ndim))

    def write_loop(self, phases: Phases) -> None:
        """Write the function ``step`` and the call of ``scan``."""
        outer, graph = self.scope, self.step_graph
        inner = self.scope = CodeScope(self.shape[1:], "        ", outer)
        parts = [part for name in phases.states for part in self._carried_parts(graph.states[name], phases)]
        for part in parts:
            name = self.name(part.node.attr if part.node.op == STATE else "")
            inner.values[part.node] = CodeValue(name, part.axes, part.lengths, 1)
        for node in phases.sequence:
            value = outer.value(node)
            if value.number is None and value.lead:
                inner.values[node] = replace(value, lead=1)
                inner.sequences[value.code] = None
        self.emit_all(phases.loop)
        new = [self._carried(part) for part in parts]
        stored = dict.fromkeys(
            self._with_lead(node) for node in phases.stored if inner.value(node).number is None
        )
        lines = inner.text([*new, *stored])
        words = identifiers("\n".join([*lines, *new, *stored]))
        sequences = [name for name in inner.sequences if name in words]
        head = [f"        {tuple_code(inner.values[part.node].code for part in parts)} = states"]
        head += [f"        {tuple_code(sequences)} = inputs"] if sequences else []
        first = [self.library.expression("zeros", (*inner.lead, *part.lengths)) for part in parts]
        call = f"scan(step, {tuple_code(first)}, {tuple_code(sequences)})"
        last = f"        return {tuple_code(new)}, {tuple_code(stored)}"
        text = [
            "",
            "    def step(states, inputs):",
            *head,
            *lines,
            last,
            "",
            f"    {tuple_code(stored)} = {call}",
        ]
        reads = "\n".join([*lines, last, call])
        outer.lines.append(CodeLine("\n".join(text), tuple(stored), reads))
        for node in phases.stored:
            value = inner.value(node)
            outer.values[node] = replace(value, lead=len(self.shape) if value.number is None else 0)
        self.scope = outer

    def _carried_parts(self, state: Node, phases: Phases) -> list[_CarriedPart]:
        """The arrays of the loop for a state: several if step only reads and joins parts of it.

        These are the real and the imaginary part of a complex state, each without the axis of length two.
        """
        new, lengths = self.step_graph.new_states[state.attr], self.shape_of(state)
        whole = [_CarriedPart(state, new, tuple(range(state.ndim)), lengths)]
        users = [node for node in (*phases.loop, *phases.after) if state in node.inputs]
        if state in phases.stored or new.op != CONCAT or new.attr != 0 or not users:
            return whole
        first, bounds = 0, dict[ConcreteShape, Node]()
        for operand in new.inputs:
            length = self.shape_of(operand)[0]
            bounds[first, first + length] = operand
            first += length
        cuts: dict[ConcreteShape, Node] = {}
        for node in users:
            if node.op != SLICE or node.attr[0] != 0 or node in phases.stored:
                return whole
            cuts[tuple(concrete_shape(node.attr[1:], self.sizes))] = node
        if cuts.keys() != bounds.keys():
            return whole
        keeps = [axis for axis in range(state.ndim) if axis]
        return [
            _CarriedPart(node, bounds[cut], tuple(keeps), lengths[1:])
            if cut[1] - cut[0] == 1
            else _CarriedPart(node, bounds[cut], (0, *keeps), (cut[1] - cut[0], *lengths[1:]))
            for cut, node in cuts.items()
        ]

    def _carried(self, part: _CarriedPart) -> str:
        """The new value of an array of the loop."""
        code, value = self.full(part.new, needs_lead=True), self.scope.value(part.new)
        if part.axes == tuple(range(part.new.ndim)):
            return code
        if value.lead and value.axes == part.axes and value.lengths == part.lengths:
            return value.code
        return f"{code}[:, 0]"

    def _with_lead(self, node: Node) -> str:
        """The name of a value with leading axes."""
        scope, value = self.scope, self.scope.value(node)
        if not value.lead:
            scope.values[node] = self.assign(node, self.full(node, needs_lead=True), range(node.ndim))
        return scope.value(node).code
