"""The code and the constants that a class uses now, as a value that changes when one of them changes.

zoo compiles a ``step`` once. In a notebook you may define a helper function again, or change a constant, and
not run the class statement again. An instance made afterwards has another code version, so that its kernels
are derived again.
"""

from __future__ import annotations

import dis
import functools
from collections.abc import Hashable, Iterator, Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

_SHIPPED = {
    *("zoo", "zoo_blocks", "zoo_cells", "zoo_constraints", "zoo_modifiers", "zoo_optimizers"),
    *("zoo_penalties", "zoo_samplers", "zoo_tasks"),
}
"""Packages that do not change while they run."""
_SCALARS = int, float, complex, str, bytes, bool, type(None)
_MAX_ELEMENTS = 10_000
"""Larger arrays and containers count by their identity."""


def code_version(cls: type) -> Hashable:
    """The functions of a class and what they read: globals, closures, attributes of modules and of the class.

    Functions that these functions call are part of it. Equal definitions have equal versions, also if a
    definition has run again. It takes 50 to 200 us; shipped classes have the empty version.
    """
    if _package(cls.__module__) in _SHIPPED:
        return ()
    seen: dict[int, int] = {}
    bases = [base for base in cls.__mro__ if _package(base.__module__) not in {*_SHIPPED, "builtins"}]
    return tuple(
        (name, _version(value, seen))
        for base in bases
        for name, value in vars(base).items()
        if not (name.startswith("__") and name.endswith("__"))
    )


def _version(value: Any, seen: dict[int, int]) -> Hashable:
    if isinstance(value, _SCALARS):
        return type(value).__name__, repr(value) if isinstance(value, float | complex) else value  # NaN, -0.0
    if id(value) in seen:
        return "seen", seen[id(value)]
    seen[id(value)] = len(seen)
    if _package(type(value).__module__) in {"zoo", "numba"} and hasattr(value, "py_func"):
        value = value.py_func  # of a kernel
    if isinstance(value, staticmethod | classmethod):
        value = value.__func__
    if isinstance(value, property):
        return "property", *(_version(each, seen) for each in (value.fget, value.fset))
    if isinstance(value, functools.partial):
        return "partial", *(_version(each, seen) for each in (value.func, value.args, value.keywords))
    if isinstance(value, FunctionType):
        return _function_version(value, seen)
    if type(value).__module__ == "numpy" and _is_small_array(value):
        return "array", value.dtype.str, value.shape, value.tobytes()
    if type(value) in (list, tuple, set, frozenset) and len(value) <= _MAX_ELEMENTS:
        return type(value).__name__, *(_version(each, seen) for each in value)
    if type(value) is dict and len(value) <= _MAX_ELEMENTS:
        return "dict", *((repr(name), _version(each, seen)) for name, each in value.items())
    return type(value).__qualname__, id(value)


def _is_small_array(value: Any) -> bool:
    """Whether something of NumPy, which this module does not import, is an array or a number."""
    has_data = hasattr(value, "tobytes") and hasattr(value, "dtype")
    return has_data and value.size <= _MAX_ELEMENTS and not value.dtype.hasobject


def _function_version(function: FunctionType, seen: dict[int, int]) -> Hashable:
    if _package(function.__module__ or "") in _SHIPPED:
        return "shipped", function.__module__, function.__qualname__
    code = function.__code__
    cells = [cell for cell in function.__closure__ or () if not _is_empty(cell)]
    return (
        code,
        _version(function.__defaults__, seen),
        _version(function.__kwdefaults__, seen),
        *(_version(cell.cell_contents, seen) for cell in cells),
        *_global_versions(code, function.__globals__, seen),
    )


def _global_versions(
    code: CodeType, names: Mapping[str, Any], seen: dict[int, int]
) -> Iterator[tuple[str, Hashable]]:
    loaded, attributes = _loaded_names(code)
    for name in loaded:
        if name not in names:
            continue
        value = names[name]
        if not isinstance(value, ModuleType):
            yield name, _version(value, seen)
        elif _package(value.__name__) not in {*_SHIPPED, "numpy", "math"}:
            for attribute in attributes:
                if attribute in vars(value):
                    yield f"{name}.{attribute}", _version(vars(value)[attribute], seen)


@functools.lru_cache(maxsize=1024)
def _loaded_names(code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The globals and the attributes that code reads, with those of functions and comprehensions inside."""
    loaded, attributes = dict[str, None](), dict[str, None]()
    for instruction in dis.get_instructions(code):
        if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            loaded[instruction.argval] = None
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
            attributes[instruction.argval] = None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            inner_loaded, inner_attributes = _loaded_names(constant)
            loaded.update(dict.fromkeys(inner_loaded))
            attributes.update(dict.fromkeys(inner_attributes))
    return tuple(loaded), tuple(attributes)


def _is_empty(cell: Any) -> bool:
    """Whether a closure has no value yet, as ``__class__`` while the class is defined."""
    try:
        cell.cell_contents  # noqa: B018 - reading it raises
    except ValueError:
        return True
    return False


def _package(module: str) -> str:
    return module.partition(".")[0]
