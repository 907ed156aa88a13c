"""Numba dispatchers of decorated functions. The only module that imports Numba's decorator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numba
import numpy as np
from numba.extending import typeof_impl

# Numba looks for overloads when a compilation starts: ours must be registered by then.
from zoo.kernels import elementary as elementary
from zoo.kernels.cache import attach_cache
from zoo.kernels.inlining import InlinedCompiler, KernelCompiler, NoAliasCompiler, rebuild
from zoo.kernels.jit import Kernel

# A loop over many arrays is vectorised only if LLVM may test at run time that no two of them overlap, at most
# 128 tests by default: a fused loop over 14 arrays, nine of them written to, took 48.8 ns an element, and
# takes 13.1 with more. LLVM aborts the process over an unknown option, so only known versions get it.
#
# The epilogue of a vectorised loop must not be vectorised again, more narrowly: overlap is tested once, at
# the distance that the wide loop needs. For short rows the addresses of the arrays then decided which loop
# ran and in which order numbers were summed, and so the last bits (AVX-512, float64, rows of four). Without
# it no slowdown could be measured, at widths of 64, 100 and 128.
if llvm.llvm_version_info[0] <= 22:
    llvm.set_option("zoo", "-vectorize-memory-check-threshold=2000")
    llvm.set_option("zoo", "-enable-epilogue-vectorization=false")

# Kernels return fresh arrays of some hundred kilobytes to a few megabytes at every call. glibc gives memory
# of that size back to the system whenever it is freed, and the first touch of a page costs 2 us: a third of
# the time of an LSTM's step in all. Its thresholds rise with the largest block ever freed, so one of 31 MB,
# the largest that counts, is allocated, never touched, and freed. Other systems ignore it.
np.empty(31 << 20, np.uint8)


def make_dispatcher(
    function: Callable[..., Any], python_fallback: Callable[..., Any], options: dict[str, Any]
) -> Callable[..., Any]:
    """The dispatcher of ``function``, with zoo's disk cache; ``python_fallback`` if Numba is switched off."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return python_fallback
    # No wrapper for C, which would take a fifteenth of the compile time: nothing uses it.
    settings = {**options, "pipeline_class": KernelCompiler, "no_cfunc_wrapper": True}
    dispatcher = numba.njit(**settings)(function)
    attach_cache(dispatcher, options)
    return dispatcher  # type: ignore[no-any-return]


def make_inlined_dispatcher(
    function: Callable[..., Any], options: dict[str, Any], noalias: bool
) -> Callable[..., Any]:
    """The dispatcher of ``function`` for calls from other kernels, whose machine code includes it."""
    bare = {"no_cfunc_wrapper": True, "no_cpython_wrapper": True}
    settings = {**options, **bare, "pipeline_class": NoAliasCompiler if noalias else InlinedCompiler}
    dispatcher = numba.njit(**settings)(function)
    attach_cache(dispatcher, {**options, **bare, "noalias": noalias}, rebuild)
    return dispatcher  # type: ignore[no-any-return]


@typeof_impl.register(Kernel)
def _type_of_kernel(kernel: Kernel[Any, Any], context: Any) -> Any:
    """Type a kernel that is a global of another kernel as a dispatcher."""
    return numba.typeof(kernel.inlined, context.purpose)  # type: ignore[no-untyped-call]
