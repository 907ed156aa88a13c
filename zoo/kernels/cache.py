"""The disk cache of compiled kernels: one file per kernel, signature and processor, named by a digest.

Numba's own cache looks at the file of the function alone: after an update of zoo, a plugin's kernel would
still run the old ``zoo.kernels.tanh`` (numba/numba#1833). This digest covers the function's bytecode and
its file, with the overloads and intrinsics in it; the same of every function it calls, in whatever file;
every constant it takes from a global; the kernel library; and the versions.

There is no index, so processes do not race. A file is written under a temporary name and renamed, and its
digest is checked before it is loaded, so no half-written file is ever run: a damaged one is removed and the
kernel compiled again.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import inspect
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite  # type: ignore[import-untyped]
import numba
import numpy as np
from numba.core import event as numba_event
from numba.core import serialize
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.registry import cpu_target
from numba.core.runtime.nrt import rtsys
from numba.cpython import hashing as hashing  # the random numbers with which kernels hash texts

import zoo
from zoo.kernels.cache_dir import kernel_directory, load_pickled, write_checked
from zoo.kernels.cache_lock import lock_kernel, unlock_kernel
from zoo.kernels.ignored_exceptions import raise_ignored_exceptions

# A version identifies these or, for zoo.kernels, the digest of its files.
_LIBRARIES = ("builtins", "cmath", "llvmlite", "math", "numba", "numpy", "operator", "zoo.kernels")

_VERSIONS = {
    "zoo": zoo.__version__,
    "numba": numba.__version__,
    "llvmlite": llvmlite.__version__,
    "numpy": np.__version__,
    # SciPy brings the BLAS that Numba calls. Numba imports its top package, which is small, if there is one.
    "scipy": getattr(sys.modules.get("scipy"), "__version__", "none"),
}

# Read at import, like the modules that it describes: a file may be edited while a process runs.
_KERNELS = hashlib.sha256(
    b"\0".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))
)


_LOAD_GLOBAL, _LOAD_NAME = (dis.opmap[name] for name in ("LOAD_GLOBAL", "LOAD_NAME"))
_IS_CALL_BITS = 1 if sys.version_info >= (3, 11) else 0  # the last bit of LOAD_GLOBAL: whether a call follows


def environment() -> dict[str, str]:
    """The versions and the processor that every kernel is compiled for, by name."""
    triple, processor, features = cpu_target.target_context.codegen().magic_tuple()
    python = "{}.{}".format(*sys.version_info)
    source = {"source of zoo.kernels": _KERNELS.hexdigest()[:16]}
    host = {"system": triple, "processor": processor, "features": features}
    return {**_VERSIONS, **source, "python": python, **host}


def library_digest(*facts: str) -> str:
    """SHA-256 of the kernel library, the versions and ``facts``."""
    return hashlib.sha256(repr([list(_VERSIONS.values()), _KERNELS.hexdigest(), facts]).encode()).hexdigest()


def function_digest(function: types.FunctionType, options: dict[str, Any]) -> str | None:
    """SHA-256 of everything that goes into the machine code of ``function``; None if unknown."""
    settings = [sorted(value) if isinstance(value, set) else value for value in options.values()]
    facts = list(_function_facts(function, set()))
    if None in facts:
        return None
    parts = [list(_VERSIONS.values()), _KERNELS.hexdigest(), list(options), settings, facts]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def _function_facts(function: types.FunctionType, seen: set[Any]) -> Iterator[str | None]:
    """Name, file and bytecode of a function and of its globals; None where something is unknown."""
    if function in seen:
        return
    seen.add(function)
    yield f"{function.__module__}.{function.__qualname__}"
    yield _file_text(function.__module__)
    yield None if function.__closure__ else ""  # no file contains the values of a closure
    codes = list(_nested_codes(function.__code__))
    yield repr([_code_facts(code) for code in codes])
    attributes = frozenset(name for code in codes for name in code.co_names)
    for name in sorted(
        {name for code in codes for name in _global_names(code)} & function.__globals__.keys()
    ):
        yield from _value_facts(name, function.__globals__[name], attributes, seen)


def _value_facts(name: str, value: Any, attributes: frozenset[str], seen: set[Any]) -> Iterator[str | None]:
    """Facts about a global; of a module, about its members named in ``attributes``."""
    if (constant := _constant(value)) is not None:
        yield f"{name}={constant}"
    elif _is_library(value):
        yield name
    elif isinstance(value, types.ModuleType):
        if (value, attributes) not in seen:
            seen.add((value, attributes))
            for member in sorted(attributes & vars(value).keys()):
                yield from _value_facts(f"{name}.{member}", vars(value)[member], attributes, seen)
    elif isinstance(function := inspect.unwrap(value), types.FunctionType):
        # Numba overloads of a plain function are in its file. In a notebook they may be anywhere.
        yield None if function is value and not _file_text(function.__module__) else ""
        yield from _function_facts(function, seen)
    else:
        yield (_file_text(value.__module__) or None) if isinstance(value, type) else None


def _constant(value: Any) -> str | None:
    """Text of a constant that Numba compiles into the code; None for any other value."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes):
        return f"{type(value).__name__} {value!r}"
    if isinstance(value, np.ndarray | np.generic):
        return f"{value.dtype.str} {value.shape} {hashlib.sha256(value.tobytes()).hexdigest()}"
    if isinstance(value, tuple):
        parts = [_constant(part) for part in value]
        return None if None in parts else repr(parts)
    return None


def _is_library(value: Any) -> bool:
    module = getattr(value, "__name__" if isinstance(value, types.ModuleType) else "__module__", None)
    known = module is not None and any(f"{module}.".startswith(f"{name}.") for name in _LIBRARIES)
    return known or isinstance(value, np.ufunc)


def _nested_codes(code: types.CodeType) -> Iterator[types.CodeType]:
    """A code object and those nested in it: lambdas, comprehensions."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested_codes(constant)


def _code_facts(code: types.CodeType) -> list[Any]:
    constants = [constant for constant in code.co_consts if not isinstance(constant, types.CodeType)]
    # The order of a set depends on the process.
    texts = [sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value) for value in constants]
    return [code.co_code, texts, code.co_names, code.co_varnames, code.co_argcount, code.co_flags]


def _global_names(code: types.CodeType) -> set[str]:
    """The names that code reads as globals.

    ``dis.get_instructions`` formats every instruction. It took 21 of 830 ms until the first step of a warm
    ``zoo train --cell mamba``.
    """
    names, extension = set(), 0
    for opcode, low_byte in zip(code.co_code[::2], code.co_code[1::2], strict=True):
        argument = extension | low_byte
        extension = argument << 8 if opcode == dis.EXTENDED_ARG else 0
        if opcode == _LOAD_GLOBAL:
            names.add(code.co_names[argument >> _IS_CALL_BITS])
        elif opcode == _LOAD_NAME:
            names.add(code.co_names[argument])
    return names


@functools.cache
def _file_text(module: str) -> str:
    """The text of a module's file; empty in a notebook, where the bytecode has to suffice."""
    try:
        return inspect.getsource(sys.modules[module])
    except (KeyError, OSError, TypeError):
        return ""


def attach_cache(
    dispatcher: Any, options: dict[str, Any], rebuild: Callable[..., Any] = CompileResult._rebuild
) -> None:
    """Attach the disk cache to a dispatcher, if the directory is usable and the sources can be read."""
    directory = kernel_directory()
    digest = function_digest(dispatcher.py_func, options)
    if directory is not None and digest is not None:
        dispatcher._cache = KernelCache(directory, f"{dispatcher.py_func.__name__}-{digest}", rebuild)


class KernelCache(_Cache):
    """Numba's cache interface over content-addressed files.

    Args:
        directory: A directory that only its user can write to.
        base: Name and digest of the function.
        rebuild: Makes a compiled kernel from its stored parts.
    """

    def __init__(
        self, directory: Path, base: str, rebuild: Callable[..., Any] = CompileResult._rebuild
    ) -> None:
        self.directory, self.base, self.rebuild = directory, base, rebuild

    @property
    def cache_path(self) -> str:
        """The directory."""
        return str(self.directory)

    @raise_ignored_exceptions()
    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel for a signature, or None."""
        # Stored machine code needs only Numba's runtime and the symbols of `hashing`. Numba refreshes the
        # context here, which imports the implementations of all functions: 0.1 of 0.9 s of a warm start. A
        # compilation refreshes it.
        rtsys.initialize(target_context)
        path = self.path(sig, target_context)

        def load() -> Any:
            return load_pickled(path, lambda parts: self.rebuild(target_context, *parts))

        kernel = load()
        if kernel is None:
            lock_kernel(path)  # until it is saved, or cannot be compiled
            kernel = load()
            if kernel is not None:  # another process has compiled it
                unlock_kernel(path)
        return kernel

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store a compiled kernel."""
        path = self.path(sig, data.target_context)
        try:
            self._save(path, data)
        finally:
            unlock_kernel(path)

    @staticmethod
    def _save(path: Path, data: Any) -> None:
        # A module that has left sys.modules cannot be found by its name when the kernel is loaded.
        is_unloaded = data.fndesc.modname not in sys.modules
        if data.lifted or data.library.has_dynamic_globals or is_unloaded:
            return
        payload = serialize.dumps(data._reduce())  # type: ignore[no-untyped-call]
        write_checked(path, payload)

    def path(self, sig: Any, target_context: Any) -> Path:
        """The file for a signature, this processor and this Python."""
        bounds_check = numba.config.BOUNDSCHECK  # type: ignore[attr-defined]
        facts = repr((sig, target_context.codegen().magic_tuple(), sys.version_info[:2], bounds_check))
        key = hashlib.sha256(f"{self.base}\0{facts}".encode()).hexdigest()
        return self.directory / f"{self.base.partition('-')[0]}-{key[:40]}.kernel"

    def enable(self) -> None:
        """Do nothing: this cache is always on."""

    def disable(self) -> None:
        """Do nothing: this cache is always on."""

    def flush(self) -> None:
        """Do nothing: content-addressed files are never stale."""


class _Unlock(numba_event.Listener):
    """Releases the lock of a kernel that cannot be compiled."""

    def on_start(self, event: Any) -> None:
        """Do nothing: `load_overload` has locked it."""

    def on_end(self, event: Any) -> None:
        """Unlock it, unless it is compiled and will be saved."""
        dispatcher, types = event.data["dispatcher"], event.data["args"]
        cache = getattr(dispatcher, "_cache", None)
        # Numba 0.68 calls every event without an error failed, and the others not.
        if isinstance(cache, KernelCache) and types not in dispatcher.overloads:
            unlock_kernel(cache.path(types, dispatcher.targetctx))


numba_event.register("numba:compile", _Unlock())  # type: ignore[no-untyped-call]
