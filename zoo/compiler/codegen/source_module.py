"""Generated modules: imported from the text just made, and kept as files for those who read or debug them.

What is executed is never what a file holds: the file is written from the text, so that tracebacks, profilers
and debuggers can show it, and written again if it differs. Machine code is cached by what goes into it
(zoo/kernels/cache.py), so the second process compiles nothing.
"""

from __future__ import annotations

import contextlib
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


class _Text(importlib.abc.SourceLoader):
    """Loads a module from its text; its file is only its name."""

    def __init__(self, name: str, path: str, text: str) -> None:
        self.name, self.path, self.text = name, path, text

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002 - as every loader
        """The file that shows the text."""
        return self.path

    def get_data(self, path: str | bytes) -> bytes:  # noqa: ARG002 - as every loader
        """The text."""
        return self.text.encode()


def load_source(name: str, text: str, given: Mapping[str, Callable[..., Any]] | None = None) -> ModuleType:
    """The module of a text; the same text, given the same functions, is the same module.

    Args:
        name: What it is made for, the name of a cell.
        text: Python, made by zoo.
        given: Functions that the text calls by these names. Numba compiles what a module names, and never
            keeps code to which functions were passed.
    """
    given = given or {}
    known = {called: _digest(function) for called, function in given.items()}
    facts = [text, *(f"{called} {known[called] or id(function)}" for called, function in given.items())]
    digest = hashlib.sha256("\0".join(facts).encode()).hexdigest()[:16]
    module_name = f"_zoo_generated_{name.replace('+', '_')}_{digest}"
    with _LOADING:
        if module_name not in sys.modules:
            _load(module_name, text, given, None if None in known.values() else kernel_directory())
        return sys.modules[module_name]


def _digest(function: Callable[..., Any]) -> str | None:
    """All that goes into a function; None if that cannot be known: then no other function is the same.

    The module that it is given to keeps it, so no other can come to have its identity.
    """
    from zoo.kernels.cache import function_digest

    plain = inspect.unwrap(function)
    return function_digest(plain, {}) if isinstance(plain, FunctionType) else None


def _load(name: str, text: str, given: Mapping[str, Callable[..., Any]], directory: Path | None) -> None:
    path = directory / f"{name}.py" if directory is not None else Path(f"{name}.py")
    if directory is not None:
        _show(path, text)
    run_module(name, path, _Text(name, str(path), text))
    vars(sys.modules[name]).update(given)


def _show(path: Path, text: str) -> None:
    """Write the file that shows a text, unless it does already; a full disk costs nothing but the file."""
    if read_owned_file(path) != text.encode():
        with contextlib.suppress(OSError):
            write_file(path, text.encode())
