"""The disk cache of compiled kernels: one file a kernel, signature and processor, named by what went into it.

No index, hence no races between processes; written under a temporary name and renamed, and checked by a
digest before it is loaded, hence no half-written file is ever run: a damaged one is removed and the kernel
compiled again.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core import serialize
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult

from zoo.kernels.digest import function_digest
from zoo.kernels.directory import kernel_directory, load_pickled, write_checked


def attach_cache(
    dispatcher: Any, options: dict[str, Any], rebuild: Callable[..., Any] = CompileResult._rebuild
) -> None:
    """Give a dispatcher the disk cache, if there is a directory for it and the sources can be read."""
    directory = kernel_directory()
    digest = function_digest(dispatcher.py_func, options)
    if directory is not None and digest is not None:
        dispatcher._cache = KernelCache(directory, f"{dispatcher.py_func.__name__}-{digest}", rebuild)


class KernelCache(_Cache):
    """Numba's cache interface over content-addressed files.

    Args:
        directory: A directory that only its user can write to.
        base: Name and digest of the function.
        rebuild: Makes a compiled kernel of what was stored of it.
    """

    def __init__(
        self, directory: Path, base: str, rebuild: Callable[..., Any] = CompileResult._rebuild
    ) -> None:
        self.directory, self.base, self.rebuild = directory, base, rebuild

    @property
    def cache_path(self) -> str:
        """The directory."""
        return str(self.directory)

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """The compiled kernel for a signature, or None."""
        target_context.refresh()
        path = self._path(sig, target_context)
        return load_pickled(path, lambda parts: self.rebuild(target_context, *parts))

    def save_overload(self, sig: Any, data: Any) -> None:
        """Store a compiled kernel."""
        # A module that has left sys.modules cannot be found by its name when the kernel is loaded.
        is_lost = data.fndesc.modname not in sys.modules
        if data.lifted or data.library.has_dynamic_globals or is_lost:
            return
        payload = serialize.dumps(data._reduce())  # type: ignore[no-untyped-call]
        write_checked(self._path(sig, data.target_context), payload)

    def _path(self, sig: Any, target_context: Any) -> Path:
        """The file for a signature on this processor, by this Python."""
        checked = numba.config.BOUNDSCHECK  # type: ignore[attr-defined]
        facts = repr((sig, target_context.codegen().magic_tuple(), sys.version_info[:2], checked))
        key = hashlib.sha256(f"{self.base}\0{facts}".encode()).hexdigest()
        return self.directory / f"{self.base.partition('-')[0]}-{key[:40]}.kernel"

    def enable(self) -> None:
        """Part of Numba's interface; this cache is always on."""

    def disable(self) -> None:
        """Part of Numba's interface; this cache is always on."""

    def flush(self) -> None:
        """Part of Numba's interface; content-addressed files are never stale."""
