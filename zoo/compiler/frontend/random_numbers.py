"""Random numbers in a ``step``, which would become constants of the kernels.

Numbers of a generator that ``step`` seeds are the same in every call, so calling ``step`` twice does not show
them. The code of the functions that ran does.
"""

from __future__ import annotations

import dis
import linecache
import random
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

from zoo.base.code_version import is_library
from zoo.compiler.frontend.source_errors import shorten

IS_RANDOM = (
    "step uses random numbers, which would become constants of the kernels; declare a zoo.Noise, whose "
    "numbers a layer draws in training, or a zoo.Buffer with an `init` that draws fixed numbers"
)
_MODULES = ("numpy.random", "random")
_LINE = "line_number" if sys.version_info >= (3, 13) else "starts_line"  # of an instruction


def random_location(frames: Iterable[FrameType]) -> str | None:
    """The source location of the first use of ``numpy.random`` or ``random`` in functions of the user's."""
    for frame in frames:
        if not is_library(frame.f_globals.get("__name__") or ""):
            for line in _lines_with_random(frame):
                file = frame.f_code.co_filename
                text = linecache.getline(file, line, frame.f_globals).strip()
                return (
                    f"{Path(file).name}:{line}, in {f'`{shorten(text)}`' if text else frame.f_code.co_name}"
                )
    return None


def _lines_with_random(frame: FrameType) -> Iterator[int]:
    """The lines that read a generator, a function or a module of random numbers."""
    code, line, module = frame.f_code, frame.f_lineno, None
    if not _may_be_random(frame):
        return
    for each in dis.get_instructions(code):
        line = getattr(each, _LINE) or line
        if each.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            value = frame.f_globals.get(each.argval)
            if _is_random(value):
                yield line
            module = value if isinstance(value, ModuleType) else None
        elif each.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            value = vars(module).get(each.argval) if module is not None else None
            if _is_random(value):
                yield line
            module = value if isinstance(value, ModuleType) else None
        elif each.opname == "IMPORT_NAME" and each.argval in _MODULES:
            yield line


def _may_be_random(frame: FrameType) -> bool:
    """Whether a function has a name that suggests random numbers; reading its instructions takes longer."""
    names = frame.f_code.co_names
    return any(name in ("random", "numpy.random") or _is_random(frame.f_globals.get(name)) for name in names)


def _is_random(value: Any) -> bool:
    """Whether a value is a generator of random numbers, or a function or a module that makes them."""
    if isinstance(value, ModuleType):
        return value.__name__ in _MODULES or value.__name__.startswith("numpy.random.")
    if isinstance(value, random.Random):
        return True
    owner = value if callable(value) else type(value)
    return _is_of_random(owner) or _is_of_random(type(value))


def _is_of_random(value: Any) -> bool:
    module = getattr(value, "__module__", None)
    return isinstance(module, str) and (module in _MODULES or module.startswith("numpy.random."))
