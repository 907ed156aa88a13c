"""The onnx package, imported when something is exported and not before."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import Any

from zoo.errors import UsageError


def check_library() -> None:
    """Refuse to begin without it.

    Raises:
        UsageError: if it is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise UsageError("export: ONNX needs the package onnx; pip install 'recurrent-zoo[onnx]' brings it.")


@cache
def library() -> Any:
    """The package, with its checker, helper and conversions of arrays."""
    for room in ("checker", "helper", "numpy_helper"):
        importlib.import_module(f"onnx.{room}")
    return importlib.import_module("onnx")
