"""Prefetching: ask for the cache lines of an array before a kernel reads them."""

from __future__ import annotations

from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.array_types import Array
from zoo.kernels.instructions import SIZE, ArrayFields, builder_tools, emitted_by, is_contiguous

_LINE_BYTES = 64
_NUMBER = ir.IntType(32)
_READ, _SECOND_LEVEL, _DATA = _NUMBER(0), _NUMBER(2), _NUMBER(1)
"""Arguments of LLVM's ``llvm.prefetch``."""


def _emit_prefetch(_typing: Any, array: Any) -> Any:
    if not is_contiguous(array):
        return None

    def emit(context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        fields = ArrayFields(context, builder, array, args[0])
        address = builder.bitcast(fields["data"], ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, *[_NUMBER] * 3])
        function = builder_tools.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        size = builder.mul(fields["nitems"], fields["itemsize"])
        offset_in_line = builder.and_(builder.ptrtoint(address, SIZE), SIZE(_LINE_BYTES - 1))
        start = builder.neg(offset_in_line)
        with builder_tools.for_range_slice(builder, start, size, SIZE(_LINE_BYTES), SIZE) as (offset, _):
            builder.call(function, [builder.gep(address, [offset]), _READ, _SECOND_LEVEL, _DATA])
        return context.get_dummy_value()

    return types.void(array), emit


@emitted_by(_emit_prefetch)
def prefetch(array: Array) -> None:
    """Bring a C-contiguous array to the second-level cache, while the kernel continues."""
