"""Files of the pages: create, compare and write them, without overwriting files of other origin."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from zoo.base import Cell
from zoo.cell_pages import GENERATED_MARK
from zoo.cell_pages.cell_info import cell_info, family_description, group_by_family
from zoo.cell_pages.cell_page import cell_page
from zoo.cell_pages.diagram import draw
from zoo.cell_pages.index_page import family_page, index_page
from zoo.errors import UsageError

INDEX = "README.md"
_OTHER_PAGES = {"trainability.md": "what each cell learns in a short run"}

Files = dict[str, str]


def cell_files(cls: type[Cell], index: str = "") -> Files:
    """The files of one cell by path: ``FAMILY/NAME.md``, and ``.svg`` if it has a ``step``.

    Raises:
        UsageError: if its family is not a valid folder name.
        DefinitionError: if its ``step`` cannot be compiled.
    """
    if not re.fullmatch(r"\w[\w-]*", cls.family, re.ASCII):
        raise UsageError(
            f"{cls.label()}: its family {cls.family!r} cannot name a folder; use letters, digits, _ and -."
        )
    stem = f"{cls.family}/{cls.name}"
    picture = {f"{stem}.svg": draw(cls())} if cls.has_step() else {}
    return {f"{stem}.md": cell_page(cls, index), **picture}


def all_files(classes: Iterable[type[Cell]], folder: Path) -> Files:
    """The files of registered cells, and the pages that list them.

    Raises:
        ZooError: as :func:`files_of`.
    """
    classes = list(classes)
    others = [(title, name) for name, title in _OTHER_PAGES.items() if (folder / name).exists()]
    families = group_by_family(cell_info(cls.name) for cls in classes)
    about = {cls.family: family_description(cls) for cls in classes}
    files = {INDEX: index_page(families, about, others)}
    for family, cells in families.items():
        files[f"{family}/{INDEX}"] = family_page(family, cells, about[family], f"../{INDEX}")
    for cls in classes:
        files |= cell_files(cls, f"../{INDEX}")
    return files


def pending_changes(files: Mapping[str, str], folder: Path, is_all: bool) -> dict[str, str | None]:
    """Changes that a folder needs to hold the files: texts to write, None for files to remove.

    Args:
        files: The files.
        folder: The folder.
        is_all: Whether to remove other generated pages.

    Raises:
        UsageError: if a file would be overwritten that ``zoo pages`` did not write.
    """
    changes: dict[str, str | None] = {}
    for path, text in files.items():
        current = _read(folder / path)
        if current is not None and not is_generated(current):
            raise UsageError(
                f"{folder / path} was not made by zoo pages, and would be overwritten; move it, or choose "
                "another --out."
            )
        if current != text:
            changes[path] = text
    return {**changes, **dict.fromkeys(_stale_pages(files, folder) if is_all else ())}


def write_changes(changes: Mapping[str, str | None], folder: Path) -> None:
    """Write and remove the files.

    Raises:
        CheckpointError: if a file cannot be written.
    """
    from zoo.storage.atomic import write_bytes

    for path, text in changes.items():
        file = folder / path
        if text is None:
            file.unlink()
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_bytes(file, text.encode())


def is_generated(text: str) -> bool:
    """Whether ``zoo pages`` wrote a file."""
    return GENERATED_MARK in text[:400]


def _stale_pages(files: Mapping[str, str], folder: Path) -> list[str]:
    paths = sorted(path for ending in ("md", "svg") for path in folder.glob(f"*/*.{ending}"))
    names = (path.relative_to(folder).as_posix() for path in paths)
    return [name for name in names if name not in files and is_generated(_read(folder / name) or "")]


def _read(file: Path) -> str | None:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        return ""
