"""Run a module that no import statement can find."""

from __future__ import annotations

import importlib.util
import sys
from importlib.abc import Loader
from pathlib import Path

FILE_MODULE = "zoo_file_"
"""Prefix of the module names of Python files given by their paths."""


def module_label(name: str) -> str:
    """The name of a module in error messages: its file name if it is a file given by its path."""
    file = getattr(sys.modules.get(name), "__file__", None) if name.startswith(FILE_MODULE) else None
    return Path(file).name if file else name


def run_module(name: str, path: Path, loader: Loader) -> None:
    """Run a module and add it to ``sys.modules``, unless it raises.

    It is added before it runs: ``inspect`` finds sources by the name of the module, Numba cached functions.
    """
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None  # None only for an unknown suffix without a loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
