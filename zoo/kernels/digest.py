"""What a compiled kernel depends on, as one digest, so that stale machine code can never be loaded.

Numba's own cache looks at the file of the function alone: after an update of zoo, a plugin's kernel would go on running
the old ``zoo.kernels.tanh`` (numba/numba#1833). Here the digest covers the function's file, the whole kernel library,
every kernel it names in other files, and every number it takes from a global.
"""

from __future__ import annotations

import functools
import hashlib
import inspect
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numba
import zoo


def function_digest(function: types.FunctionType, options: dict[str, Any]) -> str | None:
    """SHA-256 of everything that goes into the machine code of ``function``; None if it cannot be known."""
    settings = [f"{name}={sorted(value) if isinstance(value, set) else value}" for name, value in options.items()]
    parts = [zoo.__version__, numba.__version__, _library_digest(), function.__qualname__, *settings]
    sources = list(_sources(function, set()))
    if None in sources:
        return None
    return hashlib.sha256("\0".join([*parts, *map(str, sources)]).encode()).hexdigest()


@functools.cache
def _library_digest() -> str:
    """Digest of every file in ``zoo.kernels``."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


def _sources(function: types.FunctionType, seen: set[int]) -> Iterator[str | None]:
    """Source texts of a function and of the kernels it names, and the numbers it takes from globals."""
    if id(function) in seen:
        return
    seen.add(id(function))
    yield function.__module__  # the machine code looks it up: the same text elsewhere is another kernel
    yield _source(function)
    if function.__closure__ is not None:
        yield None  # a closure's values are not in any file
    for name in sorted(_global_names(function.__code__)):
        value = function.__globals__.get(name)
        if isinstance(value, bool | int | float | str | tuple):
            yield f"{name}={value!r}"
        elif isinstance(inner := getattr(value, "py_func", None), types.FunctionType):
            yield from _sources(inner, seen)


def _global_names(code: types.CodeType) -> set[str]:
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return set(code.co_names).union(*map(_global_names, inner))


def _source(function: types.FunctionType) -> str | None:
    """The text of the file a function stands in or, in a notebook, of the function."""
    try:
        return inspect.getsource(inspect.getmodule(function) or function)
    except (OSError, TypeError):
        pass
    try:
        return inspect.getsource(function)
    except (OSError, TypeError):
        return None
