"""What the compiled step of :mod:`zoo.model.direct` is given."""

from __future__ import annotations

from typing import Any, NamedTuple

Arrays = tuple[Any, ...]


class Given(NamedTuple):
    """What all shards of a step have in common.

    Args:
        weights: Of each layer its parameters and buffers.
        inputs: Tokens ``(T, B)`` or numbers ``(T, B, I)``.
        before: Of each layer the states before the first step, ``(B, ...)``.
        beside: Of each layer its inputs beside x, ``(T, B, ...)``.
        options: Values of the cell's options.
        readout: ``Why (H, V)`` and ``by (V,)``.
        targets: Those of the steps that are read, ``(N, B)`` or ``(N, B, V)``.
        counts: How much each counts, ``(N, B)``.
        places: Which steps are read, ``(N,)``; None if all are.
        binary: Whether numbers are probabilities, not values.
        scale: What the gradients are multiplied by.
        zeros: Of each layer what comes back from behind the last step, for the rows of a shard.
        widths: Of each layer the size of its output.
        rows: Rows of a shard; the last may have fewer.
        losses: Where the sums of the steps go, ``(shards, N)``.
        last: Of each layer where the states after the last step go, ``(B, ...)``.
        out: Where the gradients go: ``(shards, P)``, or ``(1, P)`` for their sum in the order of the shards.
    """

    weights: tuple[Arrays, ...]
    inputs: Any
    before: tuple[Arrays, ...]
    beside: tuple[Arrays, ...]
    options: Arrays
    readout: Arrays
    targets: Any
    counts: Any
    places: Any
    binary: bool
    scale: float
    zeros: tuple[Arrays, ...]
    widths: tuple[int, ...]
    rows: int
    losses: Any
    last: tuple[Arrays, ...]
    out: Any
