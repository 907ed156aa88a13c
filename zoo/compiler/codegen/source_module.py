"""Generated modules: loaded from their text, with a file for tracebacks, profilers and debuggers.

The module is executed from the text, never from the file, which is written again if it differs. Machine code
is cached by its inputs (zoo/kernels/cache.py), so a second process compiles nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.abc
import inspect
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

from zoo.kernels.cache_dir import kernel_directory, read_owned_file, write_file
from zoo.run_module import run_module

_LOADING = threading.Lock()

_AS_IDENTIFIER = str.maketrans("+(", "__", ")")
"""The name of a cell as a part of an identifier: ``prenorm(lstm+zoneout)`` is ``prenorm_lstm_zoneout``."""


class GeneratedSource(importlib.abc.SourceLoader):
    """Loads a module from a string; the path is only its name.

    Args:
        name: Name of the module.
        path: Name of its file.
        text: Its text.
        functions: Globals of the module that are not in its text.
    """

    def __init__(self, name: str, path: str, text: str, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.name, self.path, self.text, self.functions = name, path, text, functions

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002 - interface of loaders
        """The path."""
        return self.path

    def get_data(self, path: str | bytes) -> bytes:  # noqa: ARG002 - interface of loaders
        """The text."""
        return self.text.encode()


def load_source(
    name: str, text: str, functions: Mapping[str, Callable[..., Any]] | None = None
) -> ModuleType:
    """Load a module from its text; the same text with the same functions gives the same module.

    Args:
        name: Name for the module, for example the name of a cell.
        text: Python source that zoo generated.
        functions: Globals of the module. Numba caches code that refers to functions by name, but not code
            that gets functions as arguments.
    """
    functions = functions or {}
    digests = {key: _digest(function) for key, function in functions.items()}
    inputs = [text, *(f"{key} {digests[key] or id(function)}" for key, function in functions.items())]
    digest = hashlib.sha256("\0".join(inputs).encode()).hexdigest()[:16]
    module_name = f"_zoo_generated_{name.translate(_AS_IDENTIFIER)}_{digest}"
    with _LOADING:
        if module_name not in sys.modules:
            _load(module_name, text, functions, None if None in digests.values() else kernel_directory())
        return sys.modules[module_name]


def source_of(module_name: str) -> GeneratedSource | None:
    """The source of a loaded module; None if zoo did not generate it."""
    loader = getattr(sys.modules.get(module_name), "__loader__", None)
    return loader if isinstance(loader, GeneratedSource) else None


def load_generated(module_name: str, text: str, functions: Mapping[str, Callable[..., Any]]) -> None:
    """Load a module of another process under the name that it has there."""
    with _LOADING:
        if module_name not in sys.modules:
            _load(module_name, text, functions, kernel_directory())


def _digest(function: Callable[..., Any]) -> str | None:
    """Digest of a function; None if it cannot be computed, and no other function equals it.

    The module keeps the function alive, so no other function gets its id.
    """
    plain = inspect.unwrap(function)
    return _plain_digest(plain) if isinstance(plain, FunctionType) else None


@functools.cache
def _plain_digest(function: FunctionType) -> str | None:
    """Digest of a plain function, computed once: it takes 1 ms, and a training step needs seven."""
    from zoo.kernels.cache import function_digest

    return function_digest(function, {})


def _load(name: str, text: str, functions: Mapping[str, Callable[..., Any]], directory: Path | None) -> None:
    path = directory / f"{name}.py" if directory is not None else Path(f"{name}.py")
    if directory is not None:
        _write_source(path, text)
    run_module(name, path, GeneratedSource(name, str(path), text, functions))
    vars(sys.modules[name]).update(functions)


def _write_source(path: Path, text: str) -> None:
    """Write the file of a text if it differs; a full disk only loses the file."""
    if read_owned_file(path) != text.encode():
        with contextlib.suppress(OSError):
            write_file(path, text.encode())
