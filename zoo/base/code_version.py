"""The code and the constants that a class uses now, as a value that changes when one of them changes.

zoo compiles a ``step`` once. In a notebook you may define a helper function again, or change a constant, and
not run the class statement again. An instance made afterwards has another code version, so that its kernels
are derived again.

The version follows functions, what they read of modules, classes, instances and closures, and containers. It
does not follow values that Python code computes from names in texts, elements of large arrays, values of a
``ContextVar`` or of the environment, and libraries: the standard library, installed packages, and zoo itself.
"""

from __future__ import annotations

import dis
import functools
import inspect
import sys
import weakref
from array import array
from collections import ChainMap, deque
from collections.abc import Hashable, Iterator, Mapping
from types import CodeType, FunctionType, MemberDescriptorType, MethodType, ModuleType
from typing import Any

SHIPPED_PACKAGES = {
    *("zoo", "zoo_blocks", "zoo_cells", "zoo_constraints", "zoo_modifiers", "zoo_optimizers"),
    *("zoo_penalties", "zoo_samplers", "zoo_tasks", "zoo_trackers"),
}
"""Packages that do not change while they run."""
_SCALARS = int, float, complex, str, bytes, bool, type(None)
_MOST_ELEMENTS = 10_000
"""Larger arrays count by their identity, and so do values after this number of them."""


class CodeVersion:
    """A version with its hash, which caches need often."""

    def __init__(self, parts: Hashable) -> None:
        self.parts, self._hash = parts, hash(parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CodeVersion) and other._hash == self._hash and other.parts == self.parts

    def __hash__(self) -> int:
        return self._hash


def code_version(cls: type) -> Hashable:
    """The functions of a class and what they read, and its other attributes.

    Functions that these functions call are part of it. Equal definitions have equal versions, also if a
    definition has run again in the same lines. A class of the usual size takes 50 to 200 us. Shipped classes
    have the empty version.
    """
    if is_shipped(cls.__module__):
        return ()
    walk = _Walk()
    return CodeVersion(tuple(walk.members(base) for base in cls.__mro__ if not is_library(base.__module__)))


def version_of(value: Any) -> Hashable:
    """The version of one value, to compare it with another one."""
    return _Walk().version(value)


def is_shipped(module: str) -> bool:
    """Whether a module is part of zoo, which does not change while it runs."""
    return _package(module) in SHIPPED_PACKAGES


class _Identity:
    """An object that equals itself alone. It does not keep the object alive, if Python allows that."""

    def __init__(self, value: Any) -> None:
        self._hash = id(value)
        try:
            self._reference: Any = weakref.ref(value)
        except TypeError:
            self._reference = lambda: value

    def __eq__(self, other: object) -> bool:
        value = self._reference()
        return isinstance(other, _Identity) and value is not None and other._reference() is value

    def __hash__(self) -> int:
        return self._hash


class _Walk:
    """One walk through everything that a class reads."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._count = 0

    def members(self, cls: type) -> Hashable:
        """The version of the attributes of a class."""
        kinds = FunctionType, staticmethod, classmethod, property
        return cls.__qualname__, tuple(
            (name, self.version(value))
            for name, value in vars(cls).items()
            if not (name.startswith("__") and name.endswith("__")) or isinstance(value, kinds)
        )

    def version(self, value: Any) -> Hashable:
        """The version of a value."""
        self._count += 1
        if isinstance(value, _SCALARS):
            exact = repr(value) if isinstance(value, float | complex) else value  # NaN, and -0.0
            return type(value).__name__, exact
        if type(value).__module__ == "numpy" and _is_small_array(value):
            return "array", value.dtype.str, value.shape, value.tobytes()
        if self._count > _MOST_ELEMENTS:
            return _Identity(value)
        if type(value) is tuple:
            return "tuple", *map(self.version, value)
        if id(value) in self._seen:
            return "seen", self._seen[id(value)]
        self._seen[id(value)] = len(self._seen)
        return self._compound(value)

    def _compound(self, value: Any) -> Hashable:
        match value:
            case FunctionType():
                return self._function(value)
            case staticmethod() | classmethod():
                return self.version(value.__func__)
            case MethodType():
                return "method", self.version(value.__func__), self.version(value.__self__)
            case property():
                return "property", self.version(value.fget)
            case functools.cached_property():
                return "property", self.version(value.func)
            case functools.partial():
                return "partial", *(self.version(each) for each in (value.func, value.args, value.keywords))
            case dict() | ChainMap():
                return "dict", *((repr(name), self.version(each)) for name, each in value.items())
            case list() | deque() | array():
                return "list", *map(self.version, value)
            case set() | frozenset():
                return "set", *map(self.version, sorted(value, key=repr))
            case ModuleType():
                return "module", value.__name__
        for name in ("__wrapped__", "py_func"):  # of caches and kernels
            if isinstance(wrapped := inspect.getattr_static(value, name, None), FunctionType):
                return self.version(wrapped)
        if isinstance(value, type):
            return _Identity(value) if is_library(_module_name(value)) else self.members(value)
        module = _module_name(type(value))
        is_plain = module == "types" or not is_library(module)
        if is_plain and (attributes := _attributes(value)) is not None:
            versions = [(name, self.version(each)) for name, each in attributes.items()]
            return _Identity(value), self.version(type(value)), *versions
        return _Identity(value)

    def _function(self, function: FunctionType) -> Hashable:
        if is_library(function.__globals__.get("__name__") or ""):
            return "library", function.__module__, function.__qualname__
        code = function.__code__
        cells = [cell for cell in function.__closure__ or () if not _is_empty(cell)]
        return (
            code,
            *map(self.version, (function.__defaults__, function.__kwdefaults__)),
            *((name, self.version(value)) for name, value in vars(function).items()),
            *(self.version(cell.cell_contents) for cell in cells),
            *self._globals(code, function.__globals__),
        )

    def _globals(self, code: CodeType, names: Mapping[str, Any]) -> Iterator[tuple[str, Hashable]]:
        loaded, imported, attributes = _loaded_names(code)
        for name in loaded:
            if name not in names:
                continue
            value = names[name]
            if isinstance(value, ModuleType):
                yield from self._module(name, value, attributes)
            else:
                yield name, self.version(value)
        for name in imported:
            if name in sys.modules:
                yield from self._module(name, sys.modules[name], attributes)

    def _module(
        self, path: str, module: ModuleType, attributes: tuple[str, ...]
    ) -> Iterator[tuple[str, Hashable]]:
        """The attributes of a module that code may read, and of the modules among them."""
        if is_library(module.__name__) or path.count(".") > 8:
            return
        for attribute in attributes:
            value = vars(module).get(attribute)
            if isinstance(value, ModuleType):
                yield from self._module(f"{path}.{attribute}", value, attributes)
            elif attribute in vars(module):
                yield f"{path}.{attribute}", self.version(value)


def _module_name(cls: type) -> str:
    """The module of a class; empty if it has none, as the class of functions of Cython on Python 3.10."""
    module: Any = cls.__module__
    return module if isinstance(module, str) else ""


def _attributes(value: Any) -> dict[str, Any] | None:
    """The attributes of an object, also those in slots; None if it can have none."""
    slots = [
        name
        for base in type(value).__mro__
        for name, member in vars(base).items()
        if isinstance(member, MemberDescriptorType)
    ]
    attributes = getattr(value, "__dict__", None)
    if not slots and not isinstance(attributes, dict):
        return None
    own = attributes if isinstance(attributes, dict) else {}
    return {**own, **{name: getattr(value, name) for name in slots if hasattr(value, name)}}


def _is_small_array(value: Any) -> bool:
    """Whether something of NumPy, which this module does not import, is an array or a number."""
    has_data = hasattr(value, "tobytes") and hasattr(value, "dtype")
    return has_data and value.size <= _MOST_ELEMENTS and not value.dtype.hasobject


@functools.lru_cache(maxsize=1024)
def _loaded_names(code: CodeType) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]:
    """The globals, the imports and the attributes that code reads, also in functions inside."""
    names: tuple[dict[str, None], ...] = {}, {}, {}
    kinds = {"LOAD_GLOBAL": 0, "LOAD_NAME": 0, "IMPORT_NAME": 1}
    kinds |= dict.fromkeys(("LOAD_ATTR", "LOAD_METHOD", "IMPORT_FROM"), 2)
    for instruction in dis.get_instructions(code):
        if instruction.opname in kinds:
            names[kinds[instruction.opname]][instruction.argval] = None
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            for group, inner in zip(names, _loaded_names(constant), strict=True):
                group.update(dict.fromkeys(inner))
    loaded, imported, attributes = (tuple(group) for group in names)
    return loaded, imported, attributes


def _is_empty(cell: Any) -> bool:
    """Whether a closure has no value yet, as ``__class__`` while the class is defined."""
    try:
        cell.cell_contents  # noqa: B018 - reading it raises
    except ValueError:
        return True
    return False


@functools.lru_cache(maxsize=1024)
def is_library(module: str) -> bool:
    """Whether a module is part of zoo, of the standard library or of an installed package."""
    package = _package(module)
    if package in SHIPPED_PACKAGES or package in sys.stdlib_module_names - {"__main__"}:
        return True
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return "site-packages" in file or "dist-packages" in file


def _package(module: str) -> str:
    return module.partition(".")[0]
