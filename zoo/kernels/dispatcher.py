"""From a decorated function to a Numba dispatcher. The only module that imports Numba's decorator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numba
import numpy as np
from numba.extending import typeof_impl

# Numba looks for overloads when a compilation starts: those of the library must be registered by then.
from zoo.kernels import elementary as elementary
from zoo.kernels.cache import attach_cache
from zoo.kernels.inlining import DisjointCompiler, KernelCompiler, NestedCompiler, restore
from zoo.kernels.jit import Kernel

# A loop over many arrays is vectorised only if LLVM may test at run time that no two of them overlap, at most
# 128 tests by default: a fused loop over 14 arrays, nine of them written to, took 48.8 ns an element, and
# takes 13.1 so. LLVM ends the process over an option that it does not know, so only known versions get it.
#
# What is left over of a vectorised loop must not be vectorised again, more narrowly: whether arrays overlap
# is tested once, by the distance that the wide loop needs. For short rows it depended on where arrays
# happened to lie which loop ran, in what order numbers were summed, and so the last bits (AVX-512, float64,
# rows of four). To do without costs nothing that could be measured, at widths of 64, 100 and 128.
if llvm.llvm_version_info[0] <= 22:
    llvm.set_option("zoo", "-vectorize-memory-check-threshold=2000")
    llvm.set_option("zoo", "-enable-epilogue-vectorization=false")

# Kernels return fresh arrays of some hundred kilobytes to a few megabytes at every call. glibc gives memory
# of that size back to the system whenever it is freed, and to touch a page for the first time costs 2 us: a
# third of the time of an LSTM's step in all. Its thresholds rise with the largest block ever freed, so one of
# 31 MB, the most that counts, is taken, never touched, and freed; other systems take no notice.
np.empty(31 << 20, np.uint8)


def compile_lazily(
    function: Callable[..., Any], plain: Callable[..., Any], options: dict[str, Any]
) -> Callable[..., Any]:
    """The dispatcher of ``function``, with zoo's disk cache; ``plain`` where Numba is switched off."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return plain
    # No wrapper for C, which would be a fifteenth of the time: nobody has a use for it.
    settings = {**options, "pipeline_class": KernelCompiler, "no_cfunc_wrapper": True}
    dispatcher = numba.njit(**settings)(function)
    attach_cache(dispatcher, options)
    return dispatcher  # type: ignore[no-any-return]


def compile_nested(
    function: Callable[..., Any], options: dict[str, Any], disjoint: bool
) -> Callable[..., Any]:
    """The dispatcher of ``function`` for other kernels to call; on disk it is a part of them."""
    bare = {"no_cfunc_wrapper": True, "no_cpython_wrapper": True}
    settings = {**options, **bare, "pipeline_class": DisjointCompiler if disjoint else NestedCompiler}
    dispatcher = numba.njit(**settings)(function)
    attach_cache(dispatcher, {**options, **bare, "disjoint": disjoint}, restore)
    return dispatcher  # type: ignore[no-any-return]


@typeof_impl.register(Kernel)
def _type_of_kernel(kernel: Kernel[Any, Any], context: Any) -> Any:
    """A kernel that another kernel names as a global has the type of a dispatcher."""
    return numba.typeof(kernel.nested, context.purpose)  # type: ignore[no-untyped-call]
