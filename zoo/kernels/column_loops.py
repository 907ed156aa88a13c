"""Loops in which a vector of columns goes through all steps of a chunk, as LLVM instructions.

A loop of :mod:`zoo.kernels.vector_loops` takes one row of an array to its end before the next row follows.
Here a vector of columns goes through all steps and rows first, with values in registers in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]

from zoo.kernels.instructions import SIZE, builder_tools
from zoo.kernels.llvm_math import (
    IRValue,
    broadcast,
    element_size,
    first_lanes,
    masked_load,
    masked_store,
)
from zoo.kernels.memory_chunk import CHUNK
from zoo.kernels.processor import lanes


class Vectors:
    """Vectors at consecutive addresses.

    Args:
        builder: Appends instructions.
        kind: Type of the vectors.
        address: Address of the first vector.
    """

    def __init__(self, builder: ir.IRBuilder, kind: ir.VectorType, address: Any) -> None:
        self._builder, self.kind = builder, kind
        self._address = builder.bitcast(address, kind.as_pointer())
        self._alignment = element_size(kind.element)

    @classmethod
    def on_stack(cls, builder: ir.IRBuilder, kind: ir.VectorType, size: int) -> Vectors:
        """New vectors on the stack, which hold zeros when the function begins."""
        return cls(builder, kind, builder_tools.alloca_once(builder, ir.ArrayType(kind, size)))

    def in_pairs(self) -> Vectors:
        """The same numbers as vectors of twice the size."""
        pair = ir.VectorType(self.kind.element, 2 * self.kind.count)
        return Vectors(self._builder, pair, self._address)

    def __getitem__(self, index: Any) -> IRValue:
        address = self._builder.gep(self._address, [index])
        return IRValue(self._builder, self._builder.load(address, align=self._alignment))

    def __setitem__(self, index: Any, value: IRValue) -> None:
        address = self._builder.gep(self._address, [index])
        self._builder.store(value.value, address, align=self._alignment)


class Columns:
    """Some columns of a row of an array as a vector; the last one of a row may be partial.

    Args:
        builder: Appends instructions.
        kind: Type of the vector.
        first: The first column.
        width: Columns of a row.
    """

    def __init__(self, builder: ir.IRBuilder, kind: ir.VectorType, first: Any, width: Any) -> None:
        self._builder, self._kind, self._first = builder, kind, first
        rest = builder.sub(width, first)
        self._is_whole = builder.icmp_unsigned(">=", rest, SIZE(kind.count))
        self._mask = first_lanes(builder, rest, kind.count)
        self._alignment = element_size(kind.element)

    def _address_in(self, row: Any) -> Any:
        return self._builder.bitcast(self._builder.gep(row, [self._first]), self._kind.as_pointer())

    def load(self, row: Any) -> IRValue:
        """The columns of the row that begins at this address; zeros beyond its end."""
        builder, address = self._builder, self._address_in(row)
        value = builder_tools.alloca_once(builder, self._kind)
        with builder.if_else(self._is_whole) as (whole, partial):
            with whole:
                builder.store(builder.load(address, align=self._alignment), value)
            with partial:
                zeros = self._kind(None)
                builder.store(masked_load(builder, address, self._mask, zeros, self._alignment), value)
        return IRValue(builder, builder.load(value))

    def store(self, value: IRValue, row: Any) -> None:
        """Store the columns of the row that begins at this address."""
        builder, address = self._builder, self._address_in(row)
        with builder.if_else(self._is_whole) as (whole, partial):
            with whole:
                builder.store(value.value, address, align=self._alignment)
            with partial:
                masked_store(builder, value.value, address, self._mask, self._alignment)


class ColumnEmitter:
    """Emits loops over vectors of columns, and over the steps of a chunk.

    Args:
        builder: Appends instructions.
        dtype: Numba's type of an element.
        scalar: LLVM's type of an element.
        steps: Steps of the chunk, at most ``CHUNK``.
        width: Columns of a row.
    """

    def __init__(self, builder: ir.IRBuilder, dtype: Any, scalar: Any, steps: Any, width: Any) -> None:
        self.builder, self.scalar, self.lanes = builder, scalar, lanes(dtype)
        self.vector = ir.VectorType(scalar, self.lanes)
        self.steps, self.width = steps, width

    @property
    def zeros(self) -> IRValue:
        """A vector of zeros."""
        return IRValue(self.builder, self.vector(None))

    def vectors(self, size: int = CHUNK) -> Vectors:
        """New vectors on the stack, one for each step, and one more if their number is odd."""
        return Vectors.on_stack(self.builder, self.vector, size + size % 2)

    def registers(self, size: int) -> list[Vectors]:
        """Single vectors, which the optimiser keeps in registers."""
        return [Vectors.on_stack(self.builder, self.vector, 1) for _ in range(size)]

    def row(self, array: Any, index: Any) -> Any:
        """Address of a row of an array ``(K, D)``."""
        return self.builder.gep(array, [self.builder.mul(index, self.width)])

    def broadcast_element(self, array: Any, index: Any) -> IRValue:
        """An element of an array, in all lanes."""
        element = self.builder.load(self.builder.gep(array, [index]))
        return IRValue(self.builder, broadcast(self.builder, element, self.lanes))

    def loop(self, start: Any, stop: Any, body: Callable[[Any], None], by: int = 1) -> None:
        """Emit a loop over integers."""
        with builder_tools.for_range_slice(self.builder, start, stop, SIZE(by), SIZE, by > 0) as (index, _):
            body(index)

    def for_steps(self, body: Callable[[Any], None]) -> None:
        """Emit a loop over the steps."""
        self.loop(SIZE(0), self.steps, body)

    def for_steps_backward(self, body: Callable[[Any], None]) -> None:
        """Emit a loop over the steps, the last one first."""
        self.loop(self.builder.sub(self.steps, SIZE(1)), SIZE(-1), body, -1)

    def for_columns(self, body: Callable[[Columns], None]) -> None:
        """Emit a loop over vectors of columns."""

        def at(first: Any) -> None:
            body(Columns(self.builder, self.vector, first, self.width))

        self.loop(SIZE(0), self.width, at, self.lanes)
