"""Sentences on pairs of cells that are in another order at another size."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.comparison.records import RunGroup
from zoo.comparison.verdicts import BETTER, WORSE, paired_difference, verdict

if TYPE_CHECKING:
    from zoo.comparison.results import Comparison

_MAX_LISTED = 6
"""Pairs in a sentence; 40 cells have 780."""

LEVEL = 0.05
"""Largest probability that a size has a clear difference between any two cells if all cells are equal."""


@dataclass(frozen=True)
class PairOrder:
    """The order of two cells on a task at several sizes.

    Args:
        cells: The cells.
        sizes: For each of them, the sizes at which its mean is better.
        clear_sizes: For each of them, those sizes at which the paired difference is clear; empty if the order
            is the same at all sizes.
    """

    cells: tuple[str, str]
    sizes: tuple[list[int], list[int]]
    clear_sizes: tuple[list[int], list[int]]

    @property
    def changes(self) -> bool:
        """Whether each cell has the better mean at a size."""
        return all(self.sizes)

    @property
    def changes_clearly(self) -> bool:
        """Whether each cell is clearly better at a size."""
        return all(self.clear_sizes)


def compared_pairs(results: Comparison) -> list[tuple[str, str]]:
    """The pairs of the reference cell and each other cell, or else all pairs of cells."""
    pairs = list(itertools.combinations(results.cells, 2))
    return [pair for pair in pairs if results.reference in pair] if results.reference else pairs


def pair_orders(results: Comparison, task: str) -> Iterator[PairOrder]:
    """The order of each compared pair of cells on a task at the sizes at which both have a score.

    Differences are clear at the level `LEVEL` divided by the number of pairs, the correction of Bonferroni.
    At 5 % for each of the 45 pairs of ten equal cells, 24 % of the comparisons of four sizes with five seeds
    had a clear change of order in a simulation, and with the correction none of 2,000.
    """
    ranks = {row.group: row.rank for row in results.summary if row.task == task and row.mean is not None}
    all_sizes, pairs = results.sizes, compared_pairs(results)
    for cells in pairs:
        sizes: tuple[list[int], list[int]] = ([], [])
        for size in all_sizes:
            first, second = (ranks.get(RunGroup(task, cell, size)) for cell in cells)
            if first is None or second is None or first == second:
                continue
            if first < second:
                sizes[0].append(size)
            else:
                sizes[1].append(size)
        clear = _clear_sizes(results, task, cells, sizes, LEVEL / len(pairs)) if all(sizes) else ([], [])
        yield PairOrder(cells, sizes, clear)


def _clear_sizes(
    results: Comparison,
    task: str,
    cells: tuple[str, str],
    sizes: tuple[list[int], list[int]],
    level: float,
) -> tuple[list[int], list[int]]:
    """The sizes at which the better cell is clearly better than the other one, at a level."""
    higher_is_better = results.section("tasks")[task]["higher_is_better"]

    def word(size: int) -> str | None:
        first, second = (results.runs_of_group(RunGroup(task, cell, size)) for cell in cells)
        difference = paired_difference(first, second)
        if difference.p_value is None or difference.p_value > level:
            return None
        return verdict(difference.low, difference.high, higher_is_better)

    better, worse = sizes
    return [size for size in better if word(size) == BETTER], [size for size in worse if word(size) == WORSE]


def order_sentences(results: Comparison, task: str) -> Iterator[str]:
    """The pairs of cells on a task that change their order between sizes: clearly, or perhaps by chance."""
    orders = list(pair_orders(results, task))
    changed = [order for order in orders if order.changes]
    clear = [order for order in changed if order.changes_clearly]
    if clear:
        corrected = f", corrected for {len(orders):,} pairs of cells" * (len(orders) > 1)
        listed = _listed([_clear_text(results, order) for order in clear], "; ")
        yield f"Clear changes of order{corrected}: {listed}."
    if unclear := [" and ".join(order.cells) for order in changed if not order.changes_clearly]:
        yield f"Changes of order that may be chance: {_listed(unclear, ', ')}."
    count = len(results.sizes)
    if orders and all(count in map(len, order.sizes) for order in orders):
        cells = f"{results.reference} and each other cell" if results.reference else "the cells"
        yield f"The order of {cells} is the same at all sizes."


def _clear_text(results: Comparison, order: PairOrder) -> str:
    """The better cell at the smallest sizes first."""
    (sizes, cell), (others, other) = sorted(zip(order.clear_sizes, order.cells, strict=True))
    return (
        f"{cell} is clearly better than {other} at {results.size_text(sizes)}, and {other} than {cell} at "
        f"{results.size_text(others)}"
    )


def _listed(texts: Sequence[str], separator: str) -> str:
    """The first texts, and the number of the others."""
    left_out = len(texts) - _MAX_LISTED
    others = [f"{left_out} other pairs" if left_out > 1 else "another pair"] if left_out > 0 else []
    return separator.join([*texts[:_MAX_LISTED], *others])
