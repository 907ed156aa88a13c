"""Functions in machine code that all kernels of a process share: compiled once, called by their symbol.

Whatever else a kernel calls is compiled inside it. That makes small things fast; a register tile is long and
gains nothing by it, and was a fifth of the time that a cell took to compile.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from zoo.kernels.digest import library_digest
from zoo.kernels.directory import kernel_directory, load_pickled, write_checked

_libraries: dict[str, Any] = {}


def shared_library(symbol: str, write: Callable[[ir.Module], None]) -> Any:
    """The library that defines a symbol, which kernels may call from now on; kept on disk as kernels are.

    Args:
        symbol: Its name to the linker.
        write: Defines it in a module, if it was not found on disk.
    """
    with global_compiler_lock:
        if symbol not in _libraries:
            _libraries[symbol] = _made(symbol, write)
        return _libraries[symbol]


def _made(symbol: str, write: Callable[[ir.Module], None]) -> Any:
    codegen = cpu_target.target_context.codegen()
    path = _path(symbol, codegen)
    if path is not None and (stored := load_pickled(path, codegen.unserialize_library)) is not None:
        return stored
    library = codegen.create_library(symbol)
    library.enable_object_caching()
    module = library.create_ir_module(symbol)
    write(module)
    library.add_ir_module(module)
    library.finalize()
    if path is not None:
        write_checked(path, pickle.dumps(library.serialize_using_object_code()))
    return library


def _path(symbol: str, codegen: Any) -> Path | None:
    """The file of a symbol on this processor."""
    directory = kernel_directory()
    digest = library_digest(repr(codegen.magic_tuple()))
    return directory and directory / f"{symbol}-{digest[:40]}.kernel"
