"""Emission of the sections of a pass: arrays, loops over time and rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager

from zoo.compiler.codegen.loops import LoopNestEmitter, outline_loop, write_scan
from zoo.compiler.codegen.matmuls import pack_call, write_matmul
from zoo.compiler.codegen.storage import BLOCK, BLOCK_OF_ALL, ArrayVar, StorageMap
from zoo.compiler.codegen.writer import ARRAY, Names, NumberVars, Writer, identifiers_in
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.structural_ops import SCANS, SUMS, transpose_last
from zoo.compiler.ir.views import view_of
from zoo.compiler.schedule.fusion import Storage
from zoo.compiler.schedule.phases import Item, MatmulItem, RowLoops
from zoo.compiler.schedule.sections import PassSchedule

_SUFFIX = {Storage.STEPS: "_all", Storage.BATCH: "_now", Storage.ROW: "_here", Storage.SHARED: ""}


class PassEmitter(StorageMap):
    """One pass, being written.

    Args:
        name: What it is called.
        equations: The step, for its leaves and names.
        plan: The pass.
        taken: Names that mean something already.
        by_spans: Whether it goes through time in spans, and has room for one of them in what it makes.
    """

    def __init__(
        self,
        name: str,
        equations: StepGraph,
        plan: PassSchedule,
        taken: Collection[str] = (),
        by_spans: bool = False,
    ) -> None:
        super().__init__(equations, plan, Names())
        self.name = name
        self.loops: list[list[str]] = []
        """Loops that became functions of their own."""
        self.by_spans = by_spans
        if by_spans:
            self.given, self.made = BLOCK_OF_ALL, BLOCK
        self.names.taken |= {name + ending for name in (*taken, "dy", "dx") for ending in ARRAY}
        self.called = {key: self.names.fresh(key[0].format(key[1]), ARRAY) for key in _given(equations)}
        """What the arrays that the caller brings are called, and those of states and their gradients."""
        self.numbers = NumberVars(self.names, _option_names(equations))
        self.zeroed: set[str] = set()
        """Arrays that must start at zero."""
        self.assigned: set[str] = set()
        """Arrays that a kernel returns."""
        self.before: dict[str, str] = {}
        """For arrays of states before a step: the line that finds them at step t."""
        self.trajectory: dict[str, tuple[str, str]] = {}
        """For the same: the states before the first step, and those after every step."""
        self.found: list[str] = []
        """Lines that find at step t what the sequence section prepared for every step."""
        self.for_dx = Writer(depth=3)
        """Lines that only the gradient of x needs."""
        self.packed: dict[Node, str] = {}

    @property
    def x(self) -> str:
        """The input of the steps that are worked on together."""
        return self.given.of("x")

    @property
    def like(self) -> str:
        """An array whose dtype is the kernel's."""
        equations = self.step_graph
        first = [*(("{}", name) for name in equations.params), *(("{}_0", name) for name in equations.states)]
        return self.called[first[0]]

    # Names and arrays.

    def _wish(self, node: Node, store: Storage) -> str:
        return f"{self._called(node)}{_SUFFIX[store]}"

    def _make(self, node: Node, store: Storage) -> ArrayVar:
        array = super()._make(node, store)
        if node.op in SUMS:
            self.zeroed.add(array.name)
        return array

    def panels(self, w: Node) -> str:
        """A matrix packed for products; packed once, before the loops."""
        if w not in self.packed:
            matrix = transpose_last(w) if w.op == "transpose" else w
            view = view_of(matrix)
            assert view is not None  # copies.py saw to it
            called = self.array_of(view.base).name
            self.packed[w] = self.names.fresh(f"{called}_{'transposed' if matrix is not w else 'packed'}")
        return self.packed[w]

    def panel_lines(self, readers: list[str]) -> list[str]:
        """The lines that pack what some lines read."""
        words = identifiers_in(readers)
        return [f"    {name} = {pack_call(self, w)}" for w, name in self.packed.items() if name in words]

    def outline(self, body: list[str], length: str, sums: list[str]) -> str:
        """Make a loop a function; the line that calls it."""
        name = self.names.fresh(f"{self.name}_loop_{len(self.loops) + 1}")
        found = outline_loop(name, body, length, sums)
        self.loops.append(found.lines)
        return found.call

    # Sections.

    def section(self, where: str, depth: int = 1) -> list[str]:
        """The lines of a section."""
        writer = Writer(depth=depth)
        for item in self.plan.sections[where].items:
            self._write_item(writer, item, where)
        return writer.lines

    def _write_item(self, writer: Writer, item: Item, where: str) -> None:
        if isinstance(item, MatmulItem):
            write_matmul(self, writer, item.node, where)
            return
        if where in ("once", "final"):
            self._write_loops(writer, item)
            return
        arrays = self._arrays_of(item)
        with self._over_time(writer, where, arrays), writer.block("for r in range(batch):"):
            for steps in dict.fromkeys(array.steps for array in arrays if array.store == Storage.STEPS):
                writer.line(steps.row_found())
            for array in arrays:
                if array.store in (Storage.STEPS, Storage.BATCH):
                    writer.line(f"{array.row} = {array.row_expression()}")
            self._write_loops(writer, item)

    @contextmanager
    def _over_time(self, writer: Writer, where: str, arrays: Iterable[ArrayVar]) -> Iterator[None]:
        if where == "step":
            yield
            return
        with writer.block(f"for t in range({'first, last' if self.by_spans else 'steps'}):"):
            for array in arrays:
                if array.name in self.before:
                    writer.line(self.before[array.name])
            yield

    def _write_loops(self, writer: Writer, rows: RowLoops) -> None:
        for loop in rows.loops:
            if any(node.op in SCANS for node in loop.body):
                write_scan(loop, self, writer)
            else:
                LoopNestEmitter(loop, self, writer).write()

    def _arrays_of(self, rows: RowLoops) -> list[ArrayVar]:
        """The arrays that loops over rows read and write."""
        found: dict[str, ArrayVar] = {}
        for loop in rows.loops:
            for node in loop.body:
                self._note([node, *node.inputs], found)
            for value, view in loop.stores:
                self._note([value, view.base], found)
        return list(found.values())

    def _note(self, nodes: Iterable[Node], found: dict[str, ArrayVar]) -> None:
        for node in nodes:
            view = view_of(node)
            if view is not None and self.has_array(view.base):
                array = self.array_of(view.base)
                found[array.name] = array


def _given(equations: StepGraph) -> Iterator[tuple[str, str]]:
    """Names for what the caller brings, as a pattern and a part's name; a part's own name goes first."""
    yield from (("{}", name) for name in (*equations.params, *equations.buffers, *equations.inputs))
    for name in equations.states:
        yield from ((form, name) for form in ("{}_0", "{}_before", "d{}", "d{}_new", "dlast_{}"))
    yield from (("{}_all", name) for name in (*equations.inputs, "x"))


def _option_names(equations: StepGraph) -> dict[str, str]:
    """What options call the numbers they stand for, where only one does."""
    found: dict[str, list[str]] = {}
    for name, value in equations.cell.options.items():
        if isinstance(value, float):
            found.setdefault(repr(value), []).append(name)
    return {text: names[0] for text, names in found.items() if len(names) == 1}
