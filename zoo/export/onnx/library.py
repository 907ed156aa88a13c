"""The onnx package, imported when something is exported and not before."""

from __future__ import annotations

import importlib
import importlib.util
from functools import cache
from typing import Any

from zoo.errors import UsageError


@cache
def library() -> Any:
    """The package.

    Raises:
        UsageError: if it is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise UsageError("export: ONNX needs the package onnx; pip install 'recurrent-zoo[onnx]' brings it.")
    importlib.import_module("onnx.checker")
    importlib.import_module("onnx.numpy_helper")
    return importlib.import_module("onnx")
