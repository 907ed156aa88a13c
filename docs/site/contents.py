"""The contents of the site and their order, read from the documents.

Sections and their pages are those of ``docs/README.md``, names and their groups those of
``docs/reference.md``.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "README.md"
NAMES = ROOT / "docs" / "reference.md"

_PAGE = re.compile(r"\]\(([^)#:\s]+)\.md(?:#[^)\s]*)?\)")
_NAME = re.compile(r"`(zoo(?:\.\w+)+)`")
# Most methods of the models are those of one base class, which has no entry of its own.
_WITH_INHERITED = ("zoo.LanguageModel", "zoo.SequenceModel")


def sections(index: Path = INDEX) -> dict[str, list[str]]:
    """The pages that the lists of an index name, by heading; a page belongs where it is named first."""
    by_heading: dict[str, list[str]] = {}
    for heading, lines in _parts(index):
        listed = [line for line in lines if line.startswith(("- ", "  "))]
        named = dict.fromkeys(_docname(index, page) for line in listed for page in _PAGE.findall(line))
        if fresh := [page for page in named if not any(page in pages for pages in by_heading.values())]:
            by_heading[heading] = fresh
    return by_heading


def groups(reference: Path = NAMES) -> dict[str, list[str]]:
    """The public names in the tables of the reference, by heading."""
    by_heading = {}
    for heading, lines in _parts(reference):
        cells = [line.split("|")[1] for line in lines if line.startswith("|")]
        if names := [name for cell in cells for name in _NAME.findall(cell)]:
            by_heading[heading] = names
    return by_heading


def _parts(page: Path) -> Iterator[tuple[str, list[str]]]:
    """The second and third headings of a page, each with the lines below it."""
    _, *parts = re.split(r"^###? ", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    for part in parts:
        heading, *lines = part.splitlines()
        yield heading, lines


def _docname(index: Path, page: str) -> str:
    """A page as Sphinx calls it: its path from the root, without an ending."""
    return Path(os.path.relpath(index.parent / page, ROOT)).as_posix()


def is_module(name: str) -> bool:
    """Whether a name is that of a module, which is not imported: it may need what is not installed."""
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").exists()


def reference(page: Path = NAMES) -> dict[str, list[str]]:
    """Titles of the pages of the reference, each with its names. A module has a page of its own."""
    pages = {}
    for heading, names in groups(page).items():
        if entries := [name for name in names if not is_module(name)]:
            pages[heading] = entries
        pages |= {name: [] for name in names if is_module(name)}
    return pages


def file_name(title: str) -> str:
    """The name of the file of a page, without an ending."""
    return re.sub(r"\W+", "-", title.lower())


def reference_page(title: str, names: list[str]) -> str:
    """A page in reStructuredText: an entry for each name, of a module for all in its ``__all__``."""
    lines = [title, "=" * len(title), ""]
    if not names:
        names = [f"{title}.{name}" for name in import_module(title).__all__]
        lines += [f".. automodule:: {title}", ""]
    return "\n".join([*lines, *(_entry(name, resolve_name(name)) for name in names)])


def _entry(path: str, thing: Any) -> str:
    """The directive that documents a name."""
    if inspect.isclass(thing):
        kind = "exception" if issubclass(thing, BaseException) else "class"
        inherited = "   :inherited-members:\n" if path in _WITH_INHERITED else ""
        return f".. auto{kind}:: {path}\n   :members:\n{inherited}"
    if isinstance(thing, tuple | list) and all(map(callable, thing)):
        listed = (f"   - ``{each.__name__}``: {inspect.getdoc(each)}".split("\n")[0] for each in thing)
        return "\n".join([f".. data:: {path}", "", *listed, ""])
    return f".. auto{'function' if callable(thing) else 'data'}:: {path}\n"
