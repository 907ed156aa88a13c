"""How well a model predicts a text."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zoo.data import Streams
from zoo.model import LanguageModel


def bits(nats: float) -> float:
    """A loss in bits: per character, or per byte."""
    return nats / math.log(2)


@dataclass(frozen=True)
class Score:
    """A loss, in the two units of the field.

    Attributes:
        nats: Mean cross-entropy in nats per symbol.
        symbols: How many symbols were predicted.
    """

    nats: float
    symbols: int

    @property
    def bits(self) -> float:
        """Bits per symbol: bits per character, or per byte."""
        return bits(self.nats)


def evaluate(model: LanguageModel, streams: Streams) -> Score:
    """The model's loss over one pass through the streams, with the state carried from window to window.

    The mean is over every predicted symbol, each of which counts the same.
    """
    total, symbols, state = 0.0, 0, None
    for index in range(streams.windows_per_epoch):
        window = streams.window(index)
        loss, state = model.loss(window.inputs, window.targets, state)
        total += loss * window.targets.size
        symbols += window.targets.size
    return Score(total / symbols, symbols)
