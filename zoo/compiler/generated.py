"""Generated modules: imported from the text just made, and kept as files for those who read or debug them.

What is executed is never what a file holds: the file is written from the text, so that tracebacks, profilers
and debuggers can show it, and written again if it differs. Machine code is cached by what goes into it
(zoo/kernels/cache.py), so the second process compiles nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.abc
import sys
import threading
from pathlib import Path
from types import ModuleType

from zoo.kernels.directory import kernel_directory, write_file
from zoo.modules import run_module

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


def load_source(name: str, text: str) -> ModuleType:
    """The module of a text; the same text is the same module.

    Args:
        name: What it is made for, an identifier.
        text: Python, made by zoo.
    """
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    module_name = f"_zoo_generated_{name}_{digest}"
    with _LOADING:
        if module_name not in sys.modules:
            _load(module_name, text)
        return sys.modules[module_name]


def _load(name: str, text: str) -> None:
    directory = kernel_directory()
    path = directory / f"{name}.py" if directory is not None else Path(f"{name}.py")
    if directory is not None:
        _show(path, text)
    run_module(name, path, _Text(name, str(path), text))


def _show(path: Path, text: str) -> None:
    """Write the file that shows a text, unless it does already; a full disk costs nothing but the file."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        if path.read_text(encoding="utf-8") == text:
            return
    with contextlib.suppress(OSError):
        write_file(path, text.encode())
