"""The cell of a run: description, card, diagram of one step and arrays."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator

from zoo.base import Cell
from zoo.base.card import SCOPES
from zoo.cell_pages.cell_tables import declaration_tables
from zoo.cell_pages.diagram import draw
from zoo.errors import DefinitionError
from zoo.report.blocks import Block, Column, KeyValue, KeyValues, Paragraphs, Picture, Table, TableCell, Text


def cell_blocks(cell: Cell) -> tuple[Block, ...]:
    """The blocks of a cell."""
    description = Paragraphs("equations", f"What {cell.name} is", tuple(_document(cell)))
    return (description, _card(cell), *_picture(cell), *_tables(cell))


def _document(cell: Cell) -> Iterator[Text]:
    """The docstring as paragraphs and preformatted equations."""
    for block in re.split(r"\n\s*\n", inspect.getdoc(cell) or ""):
        if block.startswith("    "):
            yield Text(textwrap.dedent(block), fixed=True)
        elif block.strip():
            yield Text(re.sub(r"::$", ":", " ".join(block.split())).replace("``", ""))


def _picture(cell: Cell) -> Iterator[Block]:
    """The diagram of one step, if the cell has a step."""
    if cell.has_step():
        try:
            yield Picture("step", f"One step of {cell.name}", draw(cell))
        except DefinitionError as error:
            yield Text(f"The step cannot be drawn: {error}", warning=True)


def _card(cell: Cell) -> KeyValues:
    card = cell.card
    facts = [
        KeyValue("reference", card.title if card.published else card.citation(), link=card.url),
        KeyValue("authors", card.authors),
        KeyValue("year", f"{card.year or ''}"),
        KeyValue("scope", f"{card.scope}: {SCOPES[card.scope]}"),
        *(KeyValue(name, getattr(card, name)) for name in ("variant", "deviations", "trainability")),
    ]
    return KeyValues("card", f"Card of {cell.name}", tuple(fact for fact in facts if fact.text))


def _tables(cell: Cell) -> Iterator[Table]:
    for number, (heading, rows) in enumerate(declaration_tables(type(cell)).items()):
        if rows:
            columns = tuple(Column(label) for label in _labels(heading, len(rows[0])))
            entries = tuple(tuple(TableCell(text) for text in row) for row in rows)
            yield Table(f"arrays-{number}", heading, columns, entries, wide=False)


def _labels(heading: str, count: int) -> tuple[str, ...]:
    if heading == "Options":
        return "name", "default", "allowed", "what it is"
    return ("name", "shape", "starts as", "what it is") if count == 4 else ("name", "shape", "what it is")
