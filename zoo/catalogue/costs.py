"""What one step of one row of a cell costs, in letters and worked out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.catalogue.facts import HIDDEN, INPUTS
from zoo.contracts import Cell
from zoo.errors import UsageError
from zoo.layers.kept import numbers_kept

if TYPE_CHECKING:
    from zoo.compiler.costs import Cost
    from zoo.compiler.dims import Dim


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

    found = plan(cell)
    forward, backward = cost_of(found.forward), cost_of(found.backward, found.derivation.dx)
    return [*_way("forward", forward, fits), *_way("backward", backward, fits)]


def _way(way: str, cost: Cost, fits: bool) -> Iterator[Item]:
    yield _item(f"flops in products, {way}", cost.products, fits)
    yield _item("the same where x is tokens", cost.by_tokens, fits)
    yield _item(f"element-wise operations, {way}", cost.arithmetic, fits)
    yield _item(f"values of tanh, exp and the like, {way}", cost.functions, fits)


def _item(what: str, dim: Dim, fits: bool) -> Item:
    from zoo.compiler.notation import formula

    return Item(what, formula(dim), int(dim.evaluate({"I": INPUTS, "H": HIDDEN})) if fits else None)


def _kept(cell: Cell, fits: bool) -> Item:
    from zoo.compiler.explain import explain

    what = "numbers kept for the way back"
    if cell.is_derived():
        return _item(what, explain(cell).numbers_kept, fits)
    return Item(what, "", numbers_kept(cell, INPUTS, HIDDEN) if fits else None)
