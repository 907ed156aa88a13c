"""Built-in texts, named ``builtin:NAME``, from files that every Python installation contains."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from zoo.errors import DataError

PREFIX = "builtin:"

# Tests, third-party packages and generated files are not source code of the standard library.
_SKIPPED_FOLDERS = frozenset(
    {"test", "tests", "idlelib", "lib2to3", "site-packages", "dist-packages", "__pycache__"}
)
_SKIPPED_PREFIX = "_sysconfigdata"  # records the paths of the machine that built this Python


class Builtin(NamedTuple):
    """A built-in text: a function that reads its UTF-8 bytes, and a one-line summary."""

    read: Callable[[], bytes]
    summary: str


def _hello() -> bytes:
    return b"hello"


def _pydoc() -> bytes:
    try:
        from pydoc_data.topics import topics
    except ImportError as exc:
        raise DataError(
            f"{PREFIX}pydoc needs Python's own module pydoc_data.topics, which this Python lacks; "
            f"use {PREFIX}stdlib or a file."
        ) from exc
    return "".join(topics[key] for key in sorted(topics)).encode("utf-8")


def _stdlib() -> bytes:
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(_stdlib_files(root), key=lambda path: path.relative_to(root).as_posix())
    if not files:
        raise DataError(
            f"{PREFIX}stdlib found no Python source in {str(root)!r}; use {PREFIX}pydoc or a file."
        )
    return b"".join(path.read_bytes() for path in files)


def _stdlib_files(root: Path) -> list[Path]:
    files: list[Path] = []
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _SKIPPED_FOLDERS]
        files += [Path(folder, name) for name in names if _is_stdlib_source(name)]
    return files


def _is_stdlib_source(name: str) -> bool:
    return name.endswith(".py") and not name.startswith(_SKIPPED_PREFIX)


BUILTINS: dict[str, Builtin] = {
    "hello": Builtin(_hello, "the word hello: five characters, learned in a second"),
    "pydoc": Builtin(_pydoc, "Python's own language reference (pydoc_data.topics), about 0.5 MB of English"),
    "stdlib": Builtin(_stdlib, "the source of Python's standard library, without its tests, about 11 MB"),
}


def list_builtins() -> dict[str, str]:
    """The built-in texts.

    The text of ``pydoc`` and ``stdlib`` depends on the Python version: compare ``Corpus.sha256`` before
    comparing losses.

    Returns:
        Name (without ``builtin:``) to a one-line description, in alphabetical order.
    """
    return {name: BUILTINS[name].summary for name in sorted(BUILTINS)}
