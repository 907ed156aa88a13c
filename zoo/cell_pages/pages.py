"""All pages of cells and blocks, and the pages that list them: create, compare and write the files.

Files of other origin are never overwritten.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from zoo.base import Block, Cell, Component
from zoo.base.card import SCOPES
from zoo.cell_pages import GENERATED_MARK
from zoo.cell_pages.block_page import (
    BLOCKS_FOLDER,
    DIAGRAM_CELL,
    block_index_page,
    block_page,
    block_table,
    introduction,
)
from zoo.cell_pages.cell_info import (
    HIDDEN_SIZE,
    INPUT_SIZE,
    CellInfo,
    cell_info,
    family_description,
    group_by_family,
)
from zoo.cell_pages.cell_page import PageLinks, cell_page, link, prose, wrapped
from zoo.cell_pages.diagram import draw
from zoo.errors import UsageError
from zoo.registry import resolve_cell_in_block
from zoo.storage.document_marker import marked_block
from zoo.storage.safe_read import cannot_read, cannot_write
from zoo.tables import TextTable

_INTRODUCTION = (
    "Each has a page with its equations, a diagram of one step, history, when to use it, arrays, options, "
    "costs, results, related cells and references. `zoo pages` writes these pages from the declarations of "
    "the cells."
)
_COLUMNS = (
    f"Scope: {' '.join(f'`{scope}` is {words}.' for scope, words in SCOPES.items())} Parameters of a layer, "
    f"and state size, for {HIDDEN_SIZE} units and {INPUT_SIZE} inputs."
)

Families = Mapping[str, list[CellInfo]]


def index_page(
    families: Families,
    about: Mapping[str, str],
    others: Iterable[tuple[str, str]] = (),
    of_blocks: Iterable[str] = (),
) -> str:
    """The page with all cells and blocks.

    Args:
        families: The cells of each family, see :func:`zoo.cell_pages.cell_info.cell_info`.
        about: Descriptions of families.
        others: Titles and addresses of related pages.
        of_blocks: Lines of the section with the blocks; empty for none.
    """
    return _text([*_lines(families, about, others), *of_blocks])


def family_page(family: str, cells: Iterable[CellInfo], about: str, above: str) -> str:
    """The page with the cells of one family.

    Args:
        family: Its name.
        cells: Its cells.
        about: Its description, if it has one.
        above: Address of the page with all cells.
    """
    return _text(_family_lines(family, cells, about, above))


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


def _lines(families: Families, about: Mapping[str, str], others: Iterable[tuple[str, str]]) -> Iterator[str]:
    count = sum(map(len, families.values()))
    yield from (GENERATED_MARK, "", "# Cells", "", *wrapped(f"{count} cells. {_INTRODUCTION}"), "")
    for title, address in others:
        yield from (f"See also: [{title}]({address}).", "")
    yield from (*wrapped(_COLUMNS), "")
    for family, cells in families.items():
        yield from (f"## {family}", "", *_about(about.get(family, "")))
        yield from _table(cells, f"{family}/")


def _family_lines(family: str, cells: Iterable[CellInfo], about: str, above: str) -> Iterator[str]:
    yield from (GENERATED_MARK, "", f"# {family} cells", "", *_about(about))
    yield from (*wrapped(f"One family of {link('the cells', above)}. {_COLUMNS}"), "")
    yield from _table(cells, "")


def _about(about: str) -> list[str]:
    return [*wrapped(prose(about)), ""] if about else []


def _table(cells: Iterable[CellInfo], folder: str) -> list[str]:
    headings = ("cell", "year", "scope", "parameters", "state size", "description")
    rows = tuple(_row(info, folder) for info in cells)
    return [*TextTable("", headings, rows, right=(3, 4)).markdown(), ""]


def _row(info: CellInfo, folder: str) -> tuple[str, ...]:
    name = info["name"]
    counts = (info["parameters"]["count"], info["state_size"]["count"])
    numbers = ("-" if count is None else f"{count:,}" for count in counts)
    return (
        f"[`{name}`]({folder}{name}.md)",
        f"{info['year'] or '-'}",
        info["scope"],
        *numbers,
        prose(info["summary"]),
    )


INDEX = "README.md"
RESULTS = "trainability.md"
RESULTS_BLOCK = "results"
"""Name of the part of a page that another program writes between markers. It stays when a page is written."""
_OTHER_PAGES = {RESULTS: "what each cell learns in a short run"}

Files = dict[str, str]


def cell_files(cls: type[Cell], links: PageLinks | None = None) -> Files:
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
    return {f"{stem}.md": cell_page(cls, links), **picture}


def block_files(cls: type[Block], cells: Iterable[type[Cell]], links: PageLinks | None = None) -> Files:
    """The files of one block by path: ``blocks/NAME.md``, and ``.svg`` if it has equations.

    Args:
        cls: The block.
        cells: Cells whose cards may name the block.
        links: Addresses of other pages.

    Raises:
        DefinitionError: if its equations cannot be compiled.
    """
    stem = f"{BLOCKS_FOLDER}/{cls.name}"
    picture = {} if cls.is_bare() else {f"{stem}.svg": draw(resolve_cell_in_block(DIAGRAM_CELL, cls))}
    return {f"{stem}.md": block_page(cls, cells, links), **picture}


def all_files(
    cells: Iterable[type[Cell]],
    blocks: Iterable[type[Block]],
    folder: Path,
    results_blocks: Mapping[str, str] | None = None,
) -> Files:
    """The files of registered cells and blocks, and the pages that list them.

    Args:
        cells: The cells.
        blocks: The blocks.
        folder: The folder.
        results_blocks: Marked blocks of results by cell; by default, as in the folder's pages.

    Raises:
        ZooError: as :func:`cell_files` and :func:`block_files`.
    """
    cells, blocks = list(cells), list(blocks)
    above = folder.resolve().parent
    guides = {f"docs/{file.name}": f"../{file.name}" for file in sorted(above.glob("*.md"))}
    guides = guides if above.name == "docs" else {}
    files = _index_files(cells, blocks, folder, guides)
    results = _results(folder / RESULTS)
    links = PageLinks(
        index=f"../{INDEX}",
        cells={cls.name: f"../{cls.family}/{cls.name}.md" for cls in cells},
        blocks={cls.name: f"../{BLOCKS_FOLDER}/{cls.name}.md" for cls in blocks},
        documents={path: f"../{address}" for path, address in guides.items()},
    )
    for cell in cells:
        if results_blocks is None:
            text = marked_block(_read(folder / cell.family / f"{cell.name}.md") or "", RESULTS_BLOCK)
        else:
            text = results_blocks.get(cell.name, "")
        own = _with_source(links, cell, folder, cell.family)
        files |= cell_files(cell, replace(own, result=results.get(cell.name, ""), results_block=text))
    for block in blocks:
        own = _with_source(links, block, folder, BLOCKS_FOLDER)
        files |= block_files(block, cells, replace(own, index=INDEX))
    return files


def _index_files(
    cells: list[type[Cell]], blocks: list[type[Block]], folder: Path, guides: Mapping[str, str]
) -> Files:
    """The pages that list the cells and the blocks."""
    others = [(title, name) for name, title in _OTHER_PAGES.items() if (folder / name).exists()]
    families = group_by_family(cell_info(cls.name) for cls in cells)
    about = {cls.family: family_description(cls) for cls in cells}
    links = PageLinks(documents=guides)
    table = block_table(blocks, cells, f"{BLOCKS_FOLDER}/", "")
    of_blocks = ["## blocks", "", *wrapped(introduction(links)), "", *table] if blocks else []
    files = {INDEX: index_page(families, about, others, of_blocks)}
    for family, members in families.items():
        files[f"{family}/{INDEX}"] = family_page(family, members, about[family], f"../{INDEX}")
    if blocks:
        below = PageLinks(
            index=f"../{INDEX}", documents={path: f"../{address}" for path, address in guides.items()}
        )
        files[f"{BLOCKS_FOLDER}/{INDEX}"] = block_index_page(blocks, cells, below)
    return files


def _with_source(links: PageLinks, cls: type[Component], folder: Path, subfolder: str) -> PageLinks:
    """Links with the source of a component; without documents if it is not part of the project."""
    source = _source_link(cls, folder, subfolder)
    return replace(links, source=source, documents=links.documents if source else {})


def _source_link(cls: type[Component], folder: Path, subfolder: str) -> str:
    """Address of the file that defines a component, from its page; empty if they are not in one project."""
    file, root = Path(inspect.getfile(cls)).resolve(), folder.resolve()
    if not any((above / "pyproject.toml").exists() and file.is_relative_to(above) for above in root.parents):
        return ""
    return Path(os.path.relpath(file, root / subfolder)).as_posix()


def _results(page: Path) -> dict[str, str]:
    """Sentences with the results of cells, from the table of ``trainability.md``."""
    rows = re.findall(
        r"^\| \[(\w+)\]\([^)]*\) \| \w+ \| ([\d.]+) \| ([\d.]+) \|", _read(page) or "", re.MULTILINE
    )
    protocol = "after 3,000 steps of one bare layer of 128 units with default settings"
    caution = "The same learning rate served all cells, so the order is no ranking of cells that are tuned."
    return {
        name: f"Rank {rank} of {len(rows)} in [a short run](../{page.name}): a validation loss of "
        f"{nats} nats, {bits} bits a symbol, {protocol}. {caution}"
        for rank, (name, nats, bits) in enumerate(rows, 1)
    }


def pending_changes(files: Mapping[str, str], folder: Path, is_all: bool) -> dict[str, str | None]:
    """Changes that a folder needs to hold the files: texts to write, None for files to remove.

    Args:
        files: The files.
        folder: The folder.
        is_all: Whether to remove other generated pages.

    Raises:
        UsageError: if a file would be overwritten that ``zoo pages`` did not write.
        CheckpointError: if a file cannot be read.
    """
    changes: dict[str, str | None] = {}
    for path, text in files.items():
        current = _read(folder / path)
        if current is not None and not is_generated(current):
            raise UsageError(
                f"{folder / path} was not made by zoo pages, and would be overwritten; move it, or choose "
                "another `out`."
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
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise cannot_write(file.parent, error) from error
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
    except OSError as error:
        raise cannot_read(file, error) from error
