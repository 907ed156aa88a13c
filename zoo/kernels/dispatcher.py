"""Numba dispatchers of kernels: one for calls from Python, and one for calls from other kernels."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numba

from zoo.kernels import compile_message
from zoo.kernels import numba_setup as numba_setup
from zoo.kernels.cache import attach_cache, function_digest
from zoo.kernels.numba_compilers import (
    InlinedCompiler,
    KernelCompiler,
    NoAliasCompiler,
    SharedCompiler,
    rebuild,
    rebuild_shared,
)

if TYPE_CHECKING:
    from zoo.kernels.jit import Kernel


def make_dispatcher(
    function: Callable[..., Any], python_fallback: Callable[..., Any], options: dict[str, Any]
) -> Callable[..., Any]:
    """The dispatcher of ``function``, with zoo's disk cache; ``python_fallback`` if Numba is switched off."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return python_fallback
    compile_message.install()
    # No wrapper for C, which would take a fifteenth of the compile time: nothing uses it.
    settings = {**options, "pipeline_class": KernelCompiler, "no_cfunc_wrapper": True}
    dispatcher = numba.njit(**settings)(function)
    attach_cache(dispatcher, options)
    return dispatcher  # type: ignore[no-any-return]


def make_inlined_dispatcher(kernel: Kernel[Any, Any]) -> Callable[..., Any]:
    """The dispatcher of a kernel for calls from other kernels."""
    bare = {**kernel.options, "no_cfunc_wrapper": True, "no_cpython_wrapper": True}
    rebuild_from_disk: Callable[..., Any] = rebuild
    compiler_class: type = NoAliasCompiler if kernel.noalias else InlinedCompiler
    if kernel.shared:
        function: Any = kernel.py_func
        digest = function_digest(function, bare) or uuid.uuid4().hex
        members = {"kernel": kernel, "symbol_id": digest[:32]}
        compiler_class = type("SharedCompiler", (SharedCompiler,), members)
        rebuild_from_disk = functools.partial(rebuild_shared, kernel)
    dispatcher = numba.njit(**bare, pipeline_class=compiler_class)(kernel.py_func)
    attach_cache(dispatcher, {**bare, "noalias": kernel.noalias, "shared": kernel.shared}, rebuild_from_disk)
    return dispatcher  # type: ignore[no-any-return]
