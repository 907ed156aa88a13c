"""Room for what a kernel computes at every step of a sequence."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils

from zoo.kernels.intrinsics import intrinsic
from zoo.kernels.jit import njit

Array = Any

# Memory that is new comes page by page, each cleared at the first touch. What an LSTM of 128 units keeps of
# 10,000 steps of eight rows is 280 MB: in pages of 4 KiB a training step took 8.2 us a token, in those of
# 2 MiB 5.9. NumPy asks Linux for large pages too, from this size on; Numba does not.
LARGE = 1 << 22
_PAGE = 4096
_MADV_HUGEPAGE = 14  # of Linux, in its sys/mman.h; elsewhere nothing is asked for


@intrinsic
def _ask_for_large_pages(_typing: Any, array: Any) -> Any:
    """Tell Linux that an array is better kept in large pages; a wish, which may be refused in silence."""

    def emit(context: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        if sys.platform == "linux":
            made = context.make_array(signature.args[0])(context, builder, args[0])
            size = builder.mul(made.nitems, made.itemsize)
            with builder.if_then(builder.icmp_unsigned(">=", size, size.type(LARGE)), likely=False):
                _advise(builder, builder.ptrtoint(made.data, size.type), size)
        return context.get_dummy_value()

    return types.void(array), emit


def _advise(builder: ir.IRBuilder, start: Any, size: Any) -> None:
    """Call madvise, which wants to begin with a page."""
    word, number = size.type, ir.IntType(32)
    first = builder.and_(builder.add(start, word(_PAGE - 1)), word(-_PAGE))
    length = builder.sub(builder.add(start, size), first)
    madvise: Any = cgutils.get_or_insert_function
    wanted = ir.FunctionType(number, [word, word, number])
    builder.call(madvise(builder.module, wanted, "madvise"), [first, length, number(_MADV_HUGEPAGE)])


def _plain_sequence(steps: int, batch: int, width: int, like: Array) -> Array:
    return np.empty((steps, batch, width), like.dtype)


@njit(twin=_plain_sequence)
def sequence(steps: int, batch: int, width: int, like: Array) -> Array:
    """Room for a row of numbers at every step: a new array ``(T, B, N)``, whose values are not set.

    Args:
        steps: ``T``.
        batch: ``B``.
        width: ``N``, the numbers in a row.
        like: An array of the wanted dtype.
    """
    room = np.empty((steps, batch, width), like.dtype)
    _ask_for_large_pages(room)
    return room
