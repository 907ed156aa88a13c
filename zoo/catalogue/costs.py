"""What one step of one row of a cell costs, in letters and worked out."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.catalogue.facts import HIDDEN, INPUTS
from zoo.contracts import Cell
from zoo.errors import UsageError
from zoo.layers.kept import numbers_kept


@dataclass(frozen=True)
class Item:
    """One quantity.

    Args:
        what: What is counted.
        formula: In letters; empty where it was only counted in these sizes.
        count: With the sizes of :mod:`zoo.catalogue.facts`; None where the cell has no such size.
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
    from zoo.compiler.costs import cost_of
    from zoo.compiler.derive import plan
    from zoo.compiler.dims import Dim
    from zoo.compiler.notation import formula

    found = plan(cell)

    def item(what: str, dim: Dim) -> Item:
        count = int(dim.evaluate({"I": INPUTS, "H": HIDDEN})) if fits else None
        return Item(what, formula(dim), count)

    ways = {
        "forward": cost_of(found.forward),
        "backward": cost_of(found.backward, found.derivation.dx),
    }
    return [
        row
        for way, cost in ways.items()
        for row in (
            item(f"flops in products, {way}", cost.products),
            item("the same where x is tokens", cost.by_tokens),
            item(f"element-wise operations, {way}", cost.arithmetic),
            item(f"values of tanh, exp and the like, {way}", cost.functions),
        )
    ]


def _kept(cell: Cell, fits: bool) -> Item:
    what = "numbers kept for the way back"
    if cell.is_derived():
        from zoo.compiler.explain import explain
        from zoo.compiler.notation import formula

        text = formula(explain(cell).numbers_kept)
        return Item(what, text, numbers_kept(cell, INPUTS, HIDDEN) if fits else None)
    return Item(what, "", numbers_kept(cell, INPUTS, HIDDEN) if fits else None)
