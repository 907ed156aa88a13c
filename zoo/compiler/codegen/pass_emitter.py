"""Emission of the sections of a pass: products, and loops over time and rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from zoo.compiler.codegen.array_variables import ArrayVar
from zoo.compiler.codegen.emit_context import EmitContext
from zoo.compiler.codegen.loops import write_loop
from zoo.compiler.codegen.matmuls import write_matmul
from zoo.compiler.codegen.writer import Writer, unpack
from zoo.compiler.ir.graph import Node, view_of
from zoo.compiler.schedule.fusion import ArrayLayout
from zoo.compiler.schedule.phases import Item, MatmulItem, RowLoops


class PassEmitter(EmitContext):
    """Writes the sections of one pass."""

    def section(self, section: str, depth: int = 1) -> list[str]:
        """The lines of a section."""
        writer = Writer(depth=depth)
        for item in self.schedule.sections[section].items:
            self._write_item(writer, item, section)
        return writer.lines

    def _write_item(self, writer: Writer, item: Item, section: str) -> None:
        if isinstance(item, MatmulItem):
            write_matmul(self, writer, item.node, section)
            return
        if section in ("once", "final"):
            self._write_loops(writer, item)
            return
        arrays = self._arrays_of(item)
        with self._time_loop(writer, section, arrays), writer.block("for row in range(batch):"):
            for time in dict.fromkeys(array.time for array in arrays if array.layout == ArrayLayout.STEPS):
                writer.line(time.row_assignment())
            for array in arrays:
                if array.layout in (ArrayLayout.STEPS, ArrayLayout.BATCH):
                    writer.line(f"{array.row} = {array.row_expression()}")
            self._write_loops(writer, item)

    @contextmanager
    def _time_loop(self, writer: Writer, section: str, arrays: Iterable[ArrayVar]) -> Iterator[None]:
        if section == "step":
            yield
            return
        backwards = any(array.name in self.states_after for array in arrays)
        steps = "last - 1, first - 1, -1" if backwards else "first, last"
        with writer.block(f"for time in range({steps if self.by_blocks else 'steps'}):"):
            selected = {**self.states_before, **self.states_after}
            for array in arrays:
                if array.name in selected:
                    writer.line(selected[array.name])
            yield

    def _write_loops(self, writer: Writer, rows: RowLoops) -> None:
        for loop in rows.loops:
            write_loop(loop, self, writer)

    def _arrays_of(self, rows: RowLoops) -> list[ArrayVar]:
        """The arrays that loops over rows read and write."""
        nodes: list[Node] = []
        for loop in rows.loops:
            for node in loop.body:
                nodes += [node, *node.inputs]
            for value, view in loop.stores:
                nodes += [value, view.base]
        views = filter(None, map(view_of, nodes))
        arrays = (self.array_of(view.base) for view in views if self.has_array(view.base))
        return list({array.name: array for array in arrays}.values())


def declared_arrays(emitter: PassEmitter) -> list[str]:
    """The variables of parameters and buffers."""
    step_graph = emitter.step_graph
    return [emitter.leaf_names.declared(name) for name in (*step_graph.params, *step_graph.buffers)]


def unpack_arguments(emitter: PassEmitter, prepared: Sequence[str] = ()) -> list[str]:
    """The lines that unpack parameters, states and auxiliary inputs.

    Args:
        emitter: The kernel.
        prepared: Variables that the preparation computes.
    """
    writer, step_graph, names = Writer(), emitter.step_graph, emitter.leaf_names
    writer.line(unpack([*declared_arrays(emitter), *prepared], "params"))
    writer.line(unpack([names.initial_state(name) for name in step_graph.states], "state"))
    if step_graph.inputs:
        writer.line(unpack([names.declared(name) for name in step_graph.inputs], "inputs"))
    return writer.lines


def loop_functions(emitter: PassEmitter) -> list[str]:
    """The outlined loops, each followed by two empty lines."""
    return [line for lines in emitter.loops for line in (*lines, "", "")]
