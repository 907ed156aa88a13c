"""What one step of one row of a cell costs, in letters and worked out.

The page of one cell, in Markdown: equations, a picture of one step, arrays, options, costs, reference.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.base import Cell, Member
from zoo.base.card import SCOPES, UNPUBLISHED
from zoo.cell_pages import MADE
from zoo.cell_pages.cell_info import HIDDEN, INPUTS
from zoo.cell_pages.cell_tables import Rows, tables
from zoo.cell_pages.markdown import document, link, prose, table, wrapped
from zoo.errors import UsageError
from zoo.layers.tape_size import numbers_kept

if TYPE_CHECKING:
    from zoo.compiler.ir.dims import Dim
    from zoo.compiler.plan_values import Cost


@dataclass(frozen=True)
class Item:
    """One quantity.

    Args:
        what: What is counted.
        formula: In letters; empty where it was only counted in these sizes.
        count: With the sizes of :mod:`zoo.cell_pages.cell_info`; None where the cell has no such size.
    """

    what: str
    formula: str
    count: int | None


def costs(cell: Cell) -> list[Item]:
    """Sizes of a cell, and what the compiler's plan says of a step, where the cell states one.

    Raises:
        DefinitionError: if its ``step`` cannot be compiled.
    """
    sizes = (INPUTS, HIDDEN)
    fits = _fits(cell)
    return [
        Item("parameters", cell.parameter_formula(), cell.parameter_count(*sizes) if fits else None),
        Item("numbers carried by a row", cell.state_formula(), cell.state_count(*sizes) if fits else None),
        *(_planned(cell, fits) if cell.has_step() else ()),
        _kept(cell, fits),
    ]


def _fits(cell: Cell) -> bool:
    try:
        cell.param_shapes(INPUTS, HIDDEN), cell.state_shapes(INPUTS, HIDDEN)
    except UsageError:
        return False
    return True


def _planned(cell: Cell, fits: bool) -> list[Item]:
    from zoo.compiler.compile import plan
    from zoo.compiler.plan_values import cost_of

    found = plan(cell)
    forward, backward = cost_of(found.forward), cost_of(found.backward, found.derivation.dx)
    return [*_way("forward", forward, fits), *_way("backward", backward, fits)]


def _way(way: str, cost: Cost, fits: bool) -> Iterator[Item]:
    yield _item(f"flops in products, {way}", cost.products, fits)
    yield _item("the same where x is tokens", cost.by_tokens, fits)
    yield _item(f"element-wise operations, {way}", cost.arithmetic, fits)
    yield _item(f"values of tanh, exp and the like, {way}", cost.functions, fits)


def _item(what: str, dim: Dim, fits: bool) -> Item:
    from zoo.compiler.printing import formula

    return Item(what, formula(dim), int(dim.evaluate({"I": INPUTS, "H": HIDDEN})) if fits else None)


def _kept(cell: Cell, fits: bool) -> Item:
    from zoo.compiler.explain import explain

    what = "numbers kept for the way back"
    if cell.is_derived():
        return _item(what, explain(cell).numbers_kept, fits)
    return Item(what, "", numbers_kept(cell, INPUTS, HIDDEN) if fits else None)


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
            yield from (f"{heading}.", "", *table(_headings(heading, rows), map(_table_row, rows)))


def _headings(heading: str, rows: Rows) -> list[str]:
    if heading == "Options":
        return ["name", "default", "allowed", "what it is"]
    names = ["name", "shape", "what it is"]
    return [*names[:2], "starts as", names[2]] if len(rows[0]) == 4 else names


def _table_row(row: list[str]) -> list[str]:
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
