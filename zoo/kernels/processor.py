"""The processor that kernels are compiled for: its vector registers, and the tile registers of AMX.

Numba compiles for the processor of this machine, or for another one that the environment variables
``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` name.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import sys
from typing import Any, NamedTuple


class Processor(NamedTuple):
    """A processor as LLVM describes it."""

    triple: str
    name: str
    features: frozenset[str]


@functools.cache
def target_processor() -> Processor:
    """The processor that Numba compiles for."""
    from numba.core.registry import cpu_target  # it takes long, and plain Python does not need it

    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    return Processor(triple, name, frozenset(features.split(",")))


def lanes(dtype: Any) -> int:
    """Elements of this Numba type in one vector register."""
    features = target_processor().features
    register = 64 if "+avx512f" in features else 32 if "+avx" in features else 16
    return register * 8 // int(dtype.bitwidth)


def vector_registers() -> int:
    """Vector registers of the processor."""
    triple, _, features = target_processor()
    return 32 if "+avx512f" in features or triple.startswith(("aarch64", "arm64")) else 16


def describe_processor() -> str:
    """The name of the processor, the width of its vectors and whether it has fused multiply-adds.

    Results on processors with the same description usually have the same bits.
    """
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return "plain Python"
    _, name, features = target_processor()
    fused = "" if features & {"+fma", "+neon"} else ", no fused multiply-adds"
    return f"{name}, {32 * lanes(numba.float32)}-bit vectors{fused}"


def has_amx() -> bool:
    """Whether the processor multiplies tiles of bfloat16, and has vector instructions that round to it."""
    return target_processor().features >= {"+amx-tile", "+amx-bf16", "+avx512f", "+avx512bf16"}


_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18


@functools.cache
def request_tiles() -> str:
    """Request the tile registers of AMX from Linux, once a process.

    The permission holds for all threads, and a forked process inherits it. Without it, an instruction of AMX
    ends the process. See https://docs.kernel.org/arch/x86/xstate.html.

    Returns:
        The problem; empty if the process may use them.
    """
    if sys.platform != "linux":
        return f"zoo supports AMX on Linux, not on {sys.platform}"
    library = ctypes.CDLL(None, use_errno=True)
    if not library.syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA):
        return ""
    error = ctypes.get_errno()
    if error == errno.ENOSPC:
        return "the signal stack of a thread is too small for the tile registers of AMX"
    return f"Linux does not permit AMX ({os.strerror(error)})"
