"""Adjustments of Numba, LLVM and the C library, made when this module is imported.

Import it before anything is compiled: kernels that are compiled without it are slower, and may differ in the
last bits.
"""

from __future__ import annotations

import gc
import importlib.util
import itertools
from typing import Any
from weakref import WeakKeyDictionary

import llvmlite.binding as llvm  # type: ignore[import-untyped]
import numpy as np
from numba.core import base as numba_base
from numba.core import event as numba_event
from numba.core.runtime.context import NRTContext
from numba.np import linalg

# Numba looks for overloads when a compilation starts: ours must be registered by then.
from zoo.kernels import elementary as elementary


class _CollectorPause(numba_event.Listener):
    """Pauses Python's garbage collector while Numba compiles.

    A compiler makes many objects that stay until it is done, and collections look at all of them again: they
    took a seventh of the time of a first ``zoo train``.
    """

    def __init__(self) -> None:
        self._depth, self._was_enabled = 0, False

    def on_start(self, event: Any) -> None:  # noqa: ARG002  # Numba's signature
        """Stop collections. Numba holds a lock here, so threads do not interfere."""
        if self._depth == 0:
            self._was_enabled = gc.isenabled()
            gc.disable()
        self._depth += 1

    def on_end(self, event: Any) -> None:  # noqa: ARG002  # Numba's signature
        """Continue after the outermost function."""
        self._depth -= 1
        if self._depth == 0 and self._was_enabled:
            gc.enable()


numba_event.register("numba:compile", _CollectorPause())  # type: ignore[no-untyped-call]


_counted_members: WeakKeyDictionary[Any, list[bool]] = WeakKeyDictionary()


def _reference_counts(self: Any, builder: Any, ty: Any, val: Any) -> list[tuple[Any, Any]]:
    """The reference counts in a value, with their types: Numba's method, which reads no other members.

    Numba reads all fields of an array whenever it counts a reference, though only one of them has a count.
    These reads were a third of all instructions of a cell, until the optimiser removed them.
    """
    manager = self._context.data_model_manager
    model = manager[ty]
    counts = [(ty, model.get_nrt_meminfo(builder, val))] if model.has_nrt_meminfo() else []
    if ty not in _counted_members:
        members = model.traverse(builder)
        _counted_members[ty] = [manager[kind].contains_nrt_meminfo() for kind, _ in members]
    if any(_counted_members[ty]):
        for kind, member in itertools.compress(model.traverse(builder), _counted_members[ty]):
            counts += _reference_counts(self, builder, kind, member(val))
    return counts


NRTContext.get_meminfos = _reference_counts  # type: ignore[method-assign]  # Numba has no setting for it


def _remove_lock_timers() -> None:
    """Stop the timers of calls of LLVM, which take 5 % of a first ``zoo train``.

    Numba sends two events ``numba:llvm_lock`` for each of 20,000 calls, to every function that waits for
    another one to compile. In exchange, the metadata of compiled functions have no time of LLVM.
    """
    for callbacks in list(getattr(getattr(llvm.ffi.lib, "_lock", None), "_cblist", [])):
        if callbacks[0].__module__ == numba_base.__name__:
            llvm.ffi.unregister_lock_callback(*callbacks)


_remove_lock_timers()


def _import_array_functions() -> None:
    """Import Numba's array functions, but not ``scipy.linalg``, which takes 0.12 of 0.9 s of a warm start.

    Numba imports it to see whether there is a BLAS. It imports it again before it compiles a function of
    BLAS. Compiled code is cached for one version of SciPy, so what Numba checks then remains true.
    """
    ensure_blas = linalg.ensure_blas

    def find_scipy() -> None:
        if importlib.util.find_spec("scipy") is None:
            raise ImportError("SciPy is not installed.")

    linalg.ensure_blas = find_scipy
    try:
        importlib.import_module("numba.np.arraymath")
    finally:
        linalg.ensure_blas = ensure_blas


_import_array_functions()


# A loop over many arrays is vectorised only if LLVM may test at run time that no two of them overlap, at most
# 128 tests by default: a fused loop over 14 arrays, nine of them written to, took 48.8 ns an element, and
# takes 13.1 with more. LLVM aborts the process over an unknown option, so only known versions get it.
#
# The epilogue of a vectorised loop must not be vectorised again, more narrowly: overlap is tested once, at
# the distance that the wide loop needs. For short rows the addresses of the arrays then decided which loop
# ran and in which order numbers were summed, and so the last bits (AVX-512, float64, rows of four). Without
# it no slowdown could be measured, at widths of 64, 100 and 128.
#
# Not set: "-small-loop-cost=200", which interleaves up to four vectors of a loop with expensive functions.
# The instructions of one vector wait for each other, so tanh takes 0.6 of the time, and the forward pass of
# `ltc` with 128 units 0.77. But with 24 units no loop is long enough for its vectors: 2.1 times as long.
# Others took 0.97 of the time on average, and compiling them 1.03 to 1.06 (AMD EPYC, Zen 3).
if llvm.llvm_version_info[0] <= 22:
    llvm.set_option("zoo", "-vectorize-memory-check-threshold=2000")
    llvm.set_option("zoo", "-enable-epilogue-vectorization=false")

# Kernels return fresh arrays of some hundred kilobytes to a few megabytes at every call. glibc gives memory
# of that size back to the system whenever it is freed, and the first touch of a page costs 2 us: a third of
# the time of an LSTM's step in all. Its thresholds rise with the largest block ever freed, so one of 31 MB,
# the largest that counts, is allocated, never touched, and freed. Other systems ignore it.
np.empty(31 << 20, np.uint8)
