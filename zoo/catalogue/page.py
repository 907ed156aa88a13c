"""The page of one cell, in Markdown: equations, a picture of one step, arrays, options, costs, reference."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

from zoo.catalogue import MADE
from zoo.catalogue.costs import costs
from zoo.catalogue.facts import HIDDEN, INPUTS
from zoo.catalogue.markdown import document, link, prose, table, wrapped
from zoo.catalogue.tables import Rows, tables
from zoo.contracts import Cell, Member
from zoo.contracts.card import SCOPES, UNPUBLISHED

_CAPTION = (
    "One step, with options at their defaults: blue is what it is given, grey what is trained or fixed, "
    "green what it returns. {0}' is the state {0} after the step."
)


def page(cls: type[Cell], index: str = "") -> str:
    """The page of a cell.

    Args:
        cls: The cell.
        index: Address of the page that lists all cells; empty for none.

    Raises:
        DefinitionError: if its ``step`` cannot be compiled.
    """
    return "\n".join(_lines(cls, index)).rstrip("\n") + "\n"


def _lines(cls: type[Cell], index: str) -> Iterator[str]:
    doc = (inspect.getdoc(cls) or "").strip()
    summary, _, rest = doc.partition("\n\n")
    yield from (MADE, "", f"# {cls.name}", "", *document(summary))
    yield from (*wrapped(_origin(cls, index)), "")
    if cls.has_step():
        caption = wrapped(_CAPTION.format(next(iter(cls.states))))
        yield from (f"![One step of {cls.name}]({cls.name}.svg)", "", *caption, "")
    else:
        yield from ("It brings its own kernels, and states no step that could be drawn.", "")
    yield from document(rest) if rest else ()
    yield from ("## Arrays and options", "", *_declarations(cls))
    yield from ("## One step of one row", "", *_costs(cls))
    yield from ("## Reference", "", *_reference(cls))


def _origin(cls: type[Cell], index: str) -> str:
    family = f"[{cls.family}]({index}#{cls.family})" if index else cls.family
    card = cls.card
    source = f"From {link(card.title, card.url)} by {prose(card.authors)}, {card.year}"
    scope = f"Scope: `{card.scope}` ({SCOPES[card.scope]})"
    return f"Family {family}. {source if card.published else UNPUBLISHED.capitalize()}. {scope}."


def _declarations(member: type[Member]) -> Iterator[str]:
    for heading, rows in tables(member).items():
        if not rows:
            yield from (f"{heading}: none.", "")
        else:
            yield from (f"{heading}.", "", *table(_headings(heading, rows), map(_row, rows)))


def _headings(heading: str, rows: Rows) -> list[str]:
    if heading == "Options":
        return ["name", "default", "allowed", "what it is"]
    names = ["name", "shape", "what it is"]
    return [*names[:2], "starts as", names[2]] if len(rows[0]) == 4 else names


def _row(row: list[str]) -> list[str]:
    return [*(f"`{text}`" for text in row[:2]), *map(prose, row[2:])]


def _costs(cls: type[Cell]) -> Iterator[str]:
    rows = [
        (item.what, item.formula, "-" if item.count is None else f"{item.count:,}") for item in costs(cls())
    ]
    yield from table(("", "in letters", f"I={INPUTS}, H={HIDDEN}"), rows, right=[2])
    if cls.has_step() and not cls.is_derived():
        yield from wrapped(
            "It brings its own kernels: operations are counted on the kernels that zoo would derive from its "
            "`step`, and what is kept on its own."
        )
        yield ""


def _reference(cls: type[Cell]) -> Iterator[str]:
    card = cls.card
    remarks = {"Variant": card.variant, "Deviations": card.deviations, "Trainability": card.trainability}
    for heading, text in remarks.items():
        yield from (*wrapped(f"{heading}: {prose(text)}"), "") if text else ()
    yield from ("```bibtex", cls.bibtex(), "```", "")
