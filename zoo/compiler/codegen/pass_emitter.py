"""Emission of the sections of a pass: loops over time and rows, and matrix products."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from zoo.compiler.codegen.emit_context import EmitContext
from zoo.compiler.codegen.loops import write_loop
from zoo.compiler.codegen.matmuls import write_matmul
from zoo.compiler.codegen.storage import ArrayVar
from zoo.compiler.codegen.writer import Writer
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.views import view_of
from zoo.compiler.schedule.fusion import Storage
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
            for time in dict.fromkeys(array.time for array in arrays if array.storage == Storage.STEPS):
                writer.line(time.row_assignment())
            for array in arrays:
                if array.storage in (Storage.STEPS, Storage.BATCH):
                    writer.line(f"{array.row} = {array.row_expression()}")
            self._write_loops(writer, item)

    @contextmanager
    def _time_loop(self, writer: Writer, section: str, arrays: Iterable[ArrayVar]) -> Iterator[None]:
        if section == "step":
            yield
            return
        with writer.block(f"for time in range({'first, last' if self.by_blocks else 'steps'}):"):
            for array in arrays:
                if array.name in self.states_before:
                    writer.line(self.states_before[array.name])
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
