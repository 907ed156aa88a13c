"""The pages that list cells: all cells by family, and the cells of one family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from zoo.base.card import SCOPES
from zoo.cell_pages import GENERATED_MARK
from zoo.cell_pages.cell_info import HIDDEN_SIZE, INPUT_SIZE, CellInfo
from zoo.cell_pages.markdown import link, prose, wrapped
from zoo.tables import TextTable

_INTRODUCTION = (
    "Each has a page with its equations, a diagram of one step, arrays, options, costs and source. `zoo "
    "pages` writes these pages from the cells' declarations."
)
_COLUMNS = (
    f"Scope: {' '.join(f'`{scope}` is {words}.' for scope, words in SCOPES.items())} Parameters of a layer, "
    f"and state size, for {HIDDEN_SIZE} units and {INPUT_SIZE} inputs."
)

Families = Mapping[str, list[CellInfo]]


def index_page(families: Families, about: Mapping[str, str], others: Iterable[tuple[str, str]] = ()) -> str:
    """The page with all cells.

    Args:
        families: The cells of each family, see :func:`zoo.cell_pages.cell_info.cell_info`.
        about: Descriptions of families.
        others: Titles and addresses of related pages.
    """
    return _text(_lines(families, about, others))


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
    yield from (GENERATED_MARK, "", f"# {family}", "", *_about(about))
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
    counts = (info["parameters"]["count"], info["carried"]["count"])
    numbers = ("-" if count is None else f"{count:,}" for count in counts)
    return (
        f"[`{name}`]({folder}{name}.md)",
        f"{info['year'] or '-'}",
        info["scope"],
        *numbers,
        prose(info["summary"]),
    )
