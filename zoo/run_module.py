"""Running a module that no import statement could find."""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import Loader
from pathlib import Path

FILE_MODULE = "zoo_file_"
"""Start of the names of modules that stand for a Python file given by its path."""


def module_label(name: str) -> str:
    """How an error names a module: its file where the module stands for a file given by its path."""
    file = getattr(sys.modules.get(name), "__file__", None) if name.startswith(FILE_MODULE) else None
    return Path(file).name if file else name


def run_module(name: str, path: Path, loader: Loader) -> None:
    """Run a module, which is then in ``sys.modules``; one that raises is not.

    It is there before it runs: ``inspect`` looks sources up by a module's name, Numba cached functions.
    """
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # only for a suffix it does not know, were there no loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
