"""The loss of a text, computed one sequence at a time."""

from __future__ import annotations

from typing import Any

from zoo.array_types import Array


def mean_loss(model: Any, tokens: Array, batch: int, seq: int, carry: bool = True) -> float:
    """The mean loss of all tokens except the first; the tokens after the last full batch continue a stream.

    Args:
        model: A language model.
        tokens: The text, `(N,)`.
        batch: Number of streams.
        seq: Length of a window.
        carry: Whether states are carried from one window to the next.
    """
    targets = len(tokens) - 1
    length = targets // (batch * seq) * seq
    total = 0.0
    for n in range(batch):
        end = targets if n == batch - 1 else (n + 1) * length
        step = end if carry else seq
        for first in range(n * length, end, step):
            last = min(first + step, end)
            loss, _ = model.loss(tokens[first:last, None], tokens[first + 1 : last + 1, None])
            total += loss * (last - first)
    return total / targets
