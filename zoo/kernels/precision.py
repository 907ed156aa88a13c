"""The precision of matrix products: the dtype of the arrays, or bfloat16 operands with float32 sums."""

from __future__ import annotations

from typing import Any

from zoo.arguments import short_repr
from zoo.errors import UsageError
from zoo.kernels.processor import has_amx, request_tiles, target_processor

BF16 = "bf16"

_IMPORT, _BF16_IMPORT = "from zoo import kernels", "from zoo.kernels import bf16 as kernels"


def check_precision(precision: object, dtype: str, owner: str) -> str | None:
    """Check a precision; None is the dtype of the arrays, which you may also name.

    Args:
        precision: ``"bf16"``, the name of the dtype, or None.
        dtype: Name of the dtype of the arrays.
        owner: Owner, for messages.

    Returns:
        ``"bf16"``, or None for the dtype.

    Raises:
        UsageError: if it is neither, or this processor has no fast instructions for it.
    """
    if precision is None or (isinstance(precision, str) and precision == dtype):
        return None
    if not (isinstance(precision, str) and precision == BF16):
        raise UsageError(
            f"{owner}: precision is {short_repr(precision)}; expected 'bf16', or {dtype!r} or None for "
            f"products in {dtype}."
        )
    if dtype != "float32":
        raise UsageError(
            f"{owner}: precision is 'bf16' and dtype is {dtype!r}; sums of bfloat16 products are float32, so "
            f"use `dtype='float32'`, or leave out `precision`."
        )
    if reason := bf16_problem():
        raise UsageError(
            f"{owner}: precision is 'bf16' and {reason}; use `precision='float32'`, or another processor to "
            f"resume a run that began with 'bf16'."
        )
    return BF16


def bf16_problem() -> str:
    """The reason why this processor cannot use ``precision="bf16"``; empty if it can.

    AVX512-BF16 has twice the speed of float32 on Zen 4 and Zen 5 of AMD, and half of it on Emerald Rapids of
    Intel, so the name of the processor decides.
    """
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]  # NumPy computes the same bits
        return ""
    _, name, features = target_processor()
    if has_amx():
        return request_tiles()
    if "+avx512bf16" not in features:
        return f"this processor ({name}) has neither AMX nor AVX512-BF16"
    if not name.startswith("znver"):
        return f"AVX512-BF16 is not faster than float32 on this processor ({name})"
    return ""


def bf16_instructions() -> str:
    """The instructions of bfloat16 products on a processor that has them."""
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return "NumPy"
    return "AMX" if has_amx() else "AVX512-BF16"


def product_cost(precision: str | None) -> float:
    """The time of a matrix product as a fraction of its time in float32, an estimate.

    For AMX it comes from the peak of the instructions, see :mod:`zoo.kernels.amx_microkernel`.
    """
    if precision is None:
        return 1.0
    return 0.25 if has_amx() else 0.5


def with_precision(source: str, precision: str | None) -> str:
    """The source of a generated module with the matrix products of a precision: other imports.

    Args:
        source: The source. It must import these products by the line ``_IMPORT`` and no other.
        precision: ``"bf16"``, or None for the source itself.
    """
    if precision is None:
        return source
    return "\n".join(_BF16_IMPORT if line == _IMPORT else line for line in source.split("\n"))


def kernels_with(precision: str | None) -> Any:
    """The module of kernels with the matrix products of a precision: ``zoo.kernels`` or its replacement."""
    if precision is None:
        from zoo import kernels

        return kernels
    from zoo.kernels import bf16

    return bf16
