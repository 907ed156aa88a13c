"""Libraries of machine code that kernels call by a symbol: compiled once, cached on disk, linked by LLVM.

The GEMM micro-kernel, and kernels such as the packing of a matrix, are long and gain nothing from inlining.
Included in every cell they took half of its compile time. All kernels of a process share one copy of each and
call it by its symbol. This module has the copies that are written as LLVM instructions. For kernels see
:class:`zoo.kernels.numba_compilers.SharedLibrary`.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from zoo.kernels import numba_setup as numba_setup
from zoo.kernels.cache import library_digest
from zoo.kernels.cache_dir import kernel_directory, load_pickled, write_checked
from zoo.kernels.cache_lock import lock_kernel, unlock_kernel
from zoo.kernels.ignored_exceptions import raise_ignored_exceptions

_libraries: dict[str, Any] = {}


def linked_library(symbol: str, write: Callable[[ir.Module], None]) -> Any:
    """Load, or compile and cache on disk, the library that defines a symbol, so that kernels can call it.

    Args:
        symbol: Name for the linker.
        write: Define the symbol in a module, if the disk cache lacks it.
    """
    with global_compiler_lock:
        if symbol not in _libraries:
            _libraries[symbol] = _load_or_compile(symbol, write)
        return _libraries[symbol]


@raise_ignored_exceptions()
def _load_or_compile(symbol: str, write: Callable[[ir.Module], None]) -> Any:
    codegen = cpu_target.target_context.codegen()
    path = _path(symbol, codegen)
    if path is None:
        return _compile_library(symbol, write)
    if (stored := load_pickled(path, codegen.unserialize_library)) is not None:
        return stored
    lock_kernel(path)
    try:
        # Another process may have compiled it.
        if (stored := load_pickled(path, codegen.unserialize_library)) is not None:
            return stored
        library = _compile_library(symbol, write)
        write_checked(path, pickle.dumps(library.serialize_using_object_code()))
        return library
    finally:
        unlock_kernel(path)


class _TileLibrary(JITCodeLibrary):
    """A library of which LLVM optimises each function alone.

    LLVM's passes for whole modules make the GEMM library no faster (0.97 to 1.00 of the speed for eight
    sizes, AMD EPYC, Zen 4), and took 0.3 of the 0.85 s of its compilation.
    """

    def _optimize_final_module(self) -> None:
        pass


def _compile_library(symbol: str, write: Callable[[ir.Module], None]) -> Any:
    codegen = cpu_target.target_context.codegen()
    library: Any = _TileLibrary(codegen, symbol)  # type: ignore[no-untyped-call]
    library.enable_object_caching()
    module = library.create_ir_module(symbol)
    write(module)
    library.add_ir_module(module)
    library.finalize()
    return library


def _path(symbol: str, codegen: Any) -> Path | None:
    directory = kernel_directory()
    digest = library_digest(repr(codegen.magic_tuple()))
    return directory and directory / f"{symbol}-{digest[:40]}.kernel"
