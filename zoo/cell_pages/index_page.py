"""The pages that list cells: all of them by family, and those of one family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from zoo.base.card import SCOPES
from zoo.cell_pages import GENERATED_MARK
from zoo.cell_pages.cell_info import HIDDEN_SIZE, INPUT_SIZE, CellInfo
from zoo.cell_pages.markdown import link, prose, table, wrapped

_INTRODUCTION = (
    "One page for each: its equations, a picture of one step, arrays, options, what a step costs, and where "
    "it comes from. These pages are made from what the cells declare, by `zoo pages`."
)
_COLUMNS = (
    f"Scope: {' '.join(f'`{scope}` is {words}.' for scope, words in SCOPES.items())} Parameters of a layer, "
    f"and numbers that a row carries, for {HIDDEN_SIZE} units and {INPUT_SIZE} inputs."
)

Families = Mapping[str, list[CellInfo]]


def index_page(families: Families, about: Mapping[str, str], beside: Iterable[tuple[str, str]] = ()) -> str:
    """The page that lists all cells.

    Args:
        families: The cells of each family, see :func:`zoo.cell_pages.cell_info.cell_info`.
        about: What a family is, for those of which it is known.
        beside: Titles and addresses of other pages to name.
    """
    return _text(_lines(families, about, beside))


def family_page(family: str, members: Iterable[CellInfo], about: str, above: str) -> str:
    """The page that lists the cells of one family, in whose folder it lies.

    Args:
        family: Its name.
        members: Its cells.
        about: What it is; empty if that is not known.
        above: Address of the page that lists all.
    """
    return _text(_family_lines(family, members, about, above))


def _text(lines: Iterable[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


def _lines(families: Families, about: Mapping[str, str], beside: Iterable[tuple[str, str]]) -> Iterator[str]:
    count = sum(map(len, families.values()))
    yield from (GENERATED_MARK, "", "# Cells", "", *wrapped(f"{count} cells. {_INTRODUCTION}"), "")
    for title, address in beside:
        yield from (f"See also: [{title}]({address}).", "")
    yield from (*wrapped(_COLUMNS), "")
    for family, members in families.items():
        yield from (f"## {family}", "", *_about(about.get(family, "")))
        yield from _table(members, f"{family}/")


def _family_lines(family: str, members: Iterable[CellInfo], about: str, above: str) -> Iterator[str]:
    yield from (GENERATED_MARK, "", f"# {family}", "", *_about(about))
    yield from (*wrapped(f"One family of {link('the cells', above)}. {_COLUMNS}"), "")
    yield from _table(members, "")


def _about(about: str) -> list[str]:
    return [*wrapped(prose(about)), ""] if about else []


def _table(members: Iterable[CellInfo], folder: str) -> Iterator[str]:
    rows = (_row(facts, folder) for facts in members)
    return table(("cell", "year", "scope", "parameters", "carried", "what it is"), rows, right=(3, 4))


def _row(facts: CellInfo, folder: str) -> tuple[str, ...]:
    name = facts["name"]
    counts = (facts["parameters"]["count"], facts["carried"]["count"])
    numbers = ("-" if count is None else f"{count:,}" for count in counts)
    return (
        f"[`{name}`]({folder}{name}.md)",
        f"{facts['year'] or '-'}",
        facts["scope"],
        *numbers,
        prose(facts["summary"]),
    )
