"""The processor that kernels are compiled for: its vector registers, and the tile registers of AMX.

Numba compiles for the processor of this machine, or for another one that the environment variables
``NUMBA_CPU_NAME`` and ``NUMBA_CPU_FEATURES`` name.
"""

from __future__ import annotations

import ctypes
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
def processor() -> Processor:
    """The processor that Numba compiles for."""
    from numba.core.registry import cpu_target  # plain Python asks for no processor

    triple, name, features = cpu_target.target_context.codegen().magic_tuple()
    return Processor(triple, name, frozenset(features.split(",")))


def lanes(dtype: Any) -> int:
    """Elements of this Numba type in one vector register."""
    features = processor().features
    register = 64 if "+avx512f" in features else 32 if "+avx" in features else 16
    return register * 8 // int(dtype.bitwidth)


def vector_registers() -> int:
    """Vector registers of the processor."""
    triple, _, features = processor()
    return 32 if "+avx512f" in features or triple.startswith(("aarch64", "arm64")) else 16


def describe_processor() -> str:
    """The name of the processor and the width of its vectors, which decide the bits of results."""
    import numba

    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return "plain Python"
    return f"{processor().name}, {32 * lanes(numba.float32)}-bit vectors"


def has_amx() -> bool:
    """Whether the processor multiplies tiles of bfloat16, and has vector instructions that round to it."""
    return processor().features >= {"+amx-tile", "+amx-bf16", "+avx512f", "+avx512bf16"}


_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA = 158, 0x1023, 18


@functools.cache
def tile_problem() -> str:
    """Ask Linux for the tile registers, which a process has to; the reason if it refuses.

    Linux grants them to all threads. Their first use makes it save 8 KiB more when it switches threads. See
    https://docs.kernel.org/arch/x86/xstate.html.
    """
    if sys.platform != "linux":
        return f"zoo asks Linux only, not {sys.platform}"
    library = ctypes.CDLL(None, use_errno=True)
    if library.syscall(_ARCH_PRCTL, _REQUEST_PERMISSION, _TILE_DATA):
        return os.strerror(ctypes.get_errno())
    return ""
