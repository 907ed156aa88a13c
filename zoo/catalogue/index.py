"""The page that lists all cells, by family."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from zoo.catalogue import MADE
from zoo.catalogue.facts import HIDDEN, INPUTS, Facts, in_order
from zoo.catalogue.markdown import prose, table, wrapped

_WHAT = (
    "One page for each: its equations, a picture of one step, arrays, options, what a step costs, and where "
    "it comes from. These pages are made from what the cells declare, by `zoo pages`."
)
_COLUMNS = f"Parameters of a layer, and numbers that a row carries, for {HIDDEN} units and {INPUTS} inputs."


def index(rows: Iterable[Facts], beside: Iterable[tuple[str, str]] = ()) -> str:
    """The page.

    Args:
        rows: The cells, see :func:`zoo.catalogue.facts.facts_of`.
        beside: Titles and addresses of other pages to name.
    """
    return "\n".join(_lines(in_order(rows, "family"), beside)).rstrip("\n") + "\n"


def _lines(rows: list[Facts], beside: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield from (MADE, "", "# Cells", "", *wrapped(f"{len(rows)} cells. {_WHAT}"), "")
    for title, address in beside:
        yield from (f"See also: [{title}]({address}).", "")
    yield from (
        *wrapped(
            f"Parameters of a layer, and numbers that a row carries, for {HIDDEN} units and {INPUTS} inputs."
        ),
        "",
    )
    for family, members in groupby(rows, key=lambda facts: facts["family"]):
        yield from (f"## {family}", "")
        yield from table(
            ("cell", "year", "parameters", "carried", "what it is"), map(_row, members), right=(2, 3)
        )


def _row(facts: Facts) -> tuple[str, ...]:
    name, family = facts["name"], facts["family"]
    counts = (facts["parameters"]["count"], facts["carried"]["count"])
    numbers = ("-" if count is None else f"{count:,}" for count in counts)
    return (f"[`{name}`]({family}/{name}.md)", str(facts["year"]), *numbers, prose(facts["summary"]))
