"""Which learning rate a cell gets on a task."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo.comparison.jobs import Record


def choose_rate(records: Sequence[Record], rates: Sequence[float]) -> float:
    """The rate whose short run had the best validation: solved before unsolved, then by the loss.

    That is also how a run chooses the model that it keeps. The score would say less: where it counts right
    answers, and none of the runs has learnt to give them yet, it is a matter of chance.

    A rate at which training diverged is taken only if it did at all of them, and then the smallest; one in
    the middle if no run says anything.

    Args:
        records: Of the runs of the sweep.
        rates: The grid, in ascending order.
    """
    if finished := [record for record in records if record["status"] == "finished"]:
        return float(min(finished, key=_order)["lr"])
    if any(record["status"] == "diverged" for record in records):
        return rates[0]
    return rates[len(rates) // 2]


def _order(record: Record) -> tuple[bool, float, float]:
    """What is smaller for the better; of equal runs the smaller rate."""
    loss = math.inf if record["loss"] is None else float(record["loss"])
    return not record["solved"], loss, float(record["lr"])
