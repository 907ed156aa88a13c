"""Peak of the processor: multiply-adds of vectors, or products of tiles, that stay in registers."""

from __future__ import annotations

import functools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numba
import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types

from zoo.kernels.amx_microkernel import PEAK_OPERATIONS, emit_peak
from zoo.kernels.float_formats import intrinsic
from zoo.kernels.gemm_microkernel import emit_multiply_add, sum_vector
from zoo.kernels.instructions import builder_tools
from zoo.kernels.jit import njit
from zoo.kernels.precision import check_precision
from zoo.kernels.processor import has_amx, lanes, vector_registers

_DOUBLE = ir.DoubleType()
_SECONDS, _REPEATS = 0.01, 4  # short, since disturbances are frequent; the best counts


def measure_peak(threads: int, dtype: str, precision: str | None = None) -> float:
    """GFLOP/s of multiply-adds in all threads together.

    Args:
        threads: Number of threads.
        dtype: Dtype of the sums.
        precision: Precision of the products.

    Raises:
        UsageError: if this processor lacks the precision.
    """
    check_precision(precision, dtype, "peak")
    operand = np.zeros((), np.int32 if precision else dtype)
    multiply_adds(operand, 1)  # compile
    with ThreadPoolExecutor(threads) as pool:

        def seconds(times: int) -> float:
            started = time.perf_counter()
            list(pool.map(lambda _: multiply_adds(operand, times), range(threads)))
            return time.perf_counter() - started

        times = 1024
        while seconds(times) < _SECONDS:
            times *= 2
        best = min(seconds(times) for _ in range(_REPEATS))
    return float(threads * times * flops_per_step(operand) / best / 1e9)


def flops_per_step(operand: Any) -> int:
    """Floating-point operations of a step of :func:`multiply_adds`."""
    if _is_on_tiles(operand):
        return PEAK_OPERATIONS
    products = 2 if operand.dtype == np.int32 else 1
    return 2 * products * _chains() * lanes(numba.from_dtype(operand.dtype))


def _is_on_tiles(operand: Any) -> bool:
    return str(operand.dtype) == "int32" and has_amx()


def _chains() -> int:
    """Independent sums: more than a core has multiply-adds in flight, and as many as fit in registers."""
    return vector_registers() - 4


def _py_multiply_adds(operand: Any, times: int) -> float:  # noqa: ARG001
    sums = np.arange(_chains(), dtype=np.float64)
    for _ in range(times):
        sums = sums * 0.5 + 0.5
    return float(sums.sum())


@njit(python_fallback=_py_multiply_adds)
def multiply_adds(operand: Any, times: int) -> float:
    """Compute ``times`` steps of multiply-adds in independent chains: chain n begins at n and goes towards 1.

    Args:
        operand: Array of the type of the operands; int32 for pairs of bfloat16.
        times: Steps.

    Returns:
        The sum of the first elements of all chains; 0 on the tiles of AMX.
    """
    return _multiply_adds(operand, times)  # type: ignore[no-any-return]


@intrinsic
def _multiply_adds(_typing: Any, operand: Any, times: Any) -> Any:
    def emit(_context: Any, builder: ir.IRBuilder, _signature: Any, args: Any) -> Any:
        if _is_on_tiles(operand):
            emit_peak(builder, args[1])
            return _DOUBLE(0)
        vector = sum_vector(operand.dtype)
        # Sums begin with different numbers, or LLVM would compute one for all.
        sums = [
            builder_tools.alloca_once_value(builder, vector([n] * vector.count)) for n in range(_chains())
        ]
        half = vector([0.5] * vector.count)
        with builder_tools.for_range(builder, args[1]):
            for pointer in sums:
                total = builder.load(pointer)
                # Steps of floats multiply the sum, since LLVM would compute a product of constants once.
                operands = (half, half, total) if operand.dtype == types.int32 else (total, half, half)
                builder.store(emit_multiply_add(builder, operand.dtype, *operands), pointer)
        result = functools.reduce(builder.fadd, map(builder.load, sums))
        first = builder.extract_element(result, ir.IntType(32)(0))
        return first if vector.element == _DOUBLE else builder.fpext(first, _DOUBLE)

    return types.float64(operand, times), emit
