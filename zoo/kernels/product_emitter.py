"""The common part of the emitters of matrix products: the arguments, and loops and arithmetic of indices.

An emitter appends the instructions of ``c = addend + a @ b`` to a function: on vectors
(:mod:`zoo.kernels.gemm_microkernel`), or on the tiles of AMX (:mod:`zoo.kernels.amx_microkernel`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.kernels.instructions import builder_tools
from zoo.kernels.nested_parallelism import MIN_PART

INDEX = builder_tools.intp_t
SCALARS = {types.float32: ir.FloatType(), types.float64: ir.DoubleType(), types.int32: ir.IntType(32)}
"""The LLVM type of an operand; int32 is a pair of bfloat16."""


def sum_type(dtype: Any) -> ir.Type:
    """The LLVM type of a sum of products of operands."""
    return ir.FloatType() if dtype == types.int32 else SCALARS[dtype]


def product_type(dtype: Any) -> ir.FunctionType:
    """The type of a function of :class:`ProductEmitter`, whose operands have this Numba type."""
    operands, sums = [SCALARS[dtype].as_pointer()] * 2, [sum_type(dtype).as_pointer()] * 2
    return ir.FunctionType(ir.VoidType(), [*operands, *sums, *[INDEX] * 8])


class ProductEmitter(ABC):
    """Emit a matrix product into a function with the arguments of :func:`product_type`.

    These are ``(a, b, c, addend, ld_addend, block_stride, row, k, ldc, rows, depth, width)``. Row r of the
    addend starts at ``addend + r * ld_addend``: it is c, or a row for which ``ld_addend`` is 0. A null
    pointer is an addend of zeros. For the others see :func:`zoo.kernels.gemm_library.add_panels`.

    Args:
        builder: Appends instructions.
        dtype: Numba type of the operands.
        arguments: The arguments.
    """

    columns: Any
    """Columns of a panel of b."""
    block_rows: int
    """The most rows of a block. A part of the product begins at a multiple of them."""
    min_part = MIN_PART
    """Products of operands, which may be pairs, in the smallest part that an idle worker computes."""

    def __init__(self, builder: ir.IRBuilder, dtype: Any, arguments: Sequence[Any]) -> None:
        self.builder, self.dtype, self.arguments = builder, dtype, arguments
        self.a, self.b, self.c, self.addend, self.ld_addend, *numbers = arguments
        self.block_stride, self.row, self.k, self.ldc, self.rows, self.depth, self.width = numbers

    @abstractmethod
    def row_of_a(self, row: Any) -> Any:
        """Offset of a row of a."""

    @abstractmethod
    def emit(self) -> None:
        """Compute the product."""

    def count_blocks(self) -> tuple[Any, Any]:
        """The number of panels, and of blocks of rows."""
        return (
            ceil_divide(self.builder, self.width, self.columns),
            ceil_divide(self.builder, self.rows, INDEX(self.block_rows)),
        )

    def split_rows(self) -> tuple[Any, Any]:
        """The height of the first blocks of rows, and the first row after them. Others have one row fewer.

        The blocks are as few and as equal as possible: with up to 8 rows, 10 rows are two blocks of 5, and 13
        are blocks of 7 and 6. Blocks of 8, 4 and 1 rows would load the weights three times from the
        second-level cache, which limits blocks of few rows. 7 rows took 1.3 to 2.0 times as long that way.
        """
        builder = self.builder
        blocks = ceil_divide(builder, self.rows, INDEX(self.block_rows))
        blocks = maximum(builder, blocks, INDEX(1))  # also of no rows
        first = ceil_divide(builder, self.rows, blocks)
        lower = builder.mul(blocks, builder.sub(first, INDEX(1)))
        return first, builder.mul(first, builder.sub(self.rows, lower))


def internal_function(module: ir.Module, dtype: Any, name: str) -> ir.Function:
    """A new function of :func:`product_type` that only its module calls."""
    function = ir.Function(module, product_type(dtype), name)
    function.linkage = "internal"
    function.attributes.add("noinline")
    return function


def mark_distinct(function: ir.Function) -> None:
    """Declare that a and b share no memory with other arguments. C may be the addend."""
    for pointer in function.args[:2]:
        pointer.add_attribute("noalias")


@contextmanager
def index_range(builder: ir.IRBuilder, start: Any, stop: Any, step: int) -> Iterator[Any]:
    """A loop over ``range(start, stop, step)``."""
    with builder_tools.for_range_slice(builder, start, stop, INDEX(step), INDEX) as (index, _):
        yield index


def ceil_divide(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    """``a / b``, rounded up."""
    return builder.sdiv(builder.add(a, builder.sub(b, INDEX(1))), b)


def minimum(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    """The smaller of two integers."""
    return builder.select(builder.icmp_signed("<", a, b), a, b)


def maximum(builder: ir.IRBuilder, a: Any, b: Any) -> Any:
    """The larger of two integers."""
    return builder.select(builder.icmp_signed("<", a, b), b, a)


def is_null(builder: ir.IRBuilder, pointer: Any) -> Any:
    """Whether a pointer is null."""
    return builder.icmp_unsigned("==", pointer, ir.Constant(pointer.type, None))


def offset_or_null(builder: ir.IRBuilder, pointer: Any, offset: Any) -> Any:
    """The address of an element, or null for a null pointer."""
    return builder.select(is_null(builder, pointer), pointer, builder.gep(pointer, [offset]))
