"""What a run reads, a text or a task: how a model learns from it, and how it is measured by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import numpy as np

from zoo.base import Cell
from zoo.model import AnyModel
from zoo.training.config import Config

State = Mapping[str, np.ndarray[Any, Any]]
Noise = tuple[int, int]


class Learnt(NamedTuple):
    """What came of one batch, besides the gradient.

    Attributes:
        loss: The mean loss.
        carried: States after the last step, for the batch after this one.
        symbols: Steps of all rows.
    """

    loss: float
    carried: dict[str, np.ndarray[Any, Any]]
    symbols: int


@dataclass(frozen=True)
class Measured:
    """What a validation found.

    Attributes:
        loss: The mean loss.
        facts: What an event says of it besides.
        solved: Whether that is good enough: a solved model is better than one with a lower loss that is not.
    """

    loss: float
    facts: Mapping[str, Any] = field(default_factory=dict)
    solved: bool = False


class Probe(NamedTuple):
    """What a model reads while it is looked at.

    Attributes:
        inputs: ``(T, B)`` or ``(T, B, I)``.
        targets: Of the last step, where an answer is asked for, ``(B,)`` or ``(B, V)``; None for a text,
            which goes on with its symbols.
    """

    inputs: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any] | None = None


class Reader(Protocol):
    """What a run reads. The training loop knows no more of it than this."""

    @property
    def kind(self) -> str:
        """The word for it in events and messages: ``text`` or ``task``."""

    @property
    def name(self) -> str:
        """A short name, for directories."""

    @property
    def rows(self) -> int:
        """``B``: rows of a batch, and of the states that are carried."""

    @property
    def measured_on(self) -> str:
        """What a validation reads, in words."""

    def facts(self) -> dict[str, Any]:
        """What identifies it, for logs and checkpoints; ``sha256`` is another one where it is another."""

    def make_model(self, cell: Cell, config: Config) -> AnyModel:
        """A model for it, as it starts."""

    def learn(self, model: AnyModel, step: int, carried: State | None, noise: Noise) -> Learnt:
        """The loss on the batch of a step, counted from 0; the model's gradient is filled."""

    def measure(self, model: AnyModel) -> Measured:
        """The model's loss on what it does not learn from."""

    def probe(self) -> Probe:
        """Something to look at a model with that it does not learn from, always the same."""

    def rehearse(self, model: AnyModel) -> None:
        """Do once, on little, what measuring does, so that all it needs is compiled."""

    def remarks(self, step: int, loss: float) -> dict[str, Any]:
        """What a line of progress says of a step and the mean loss until it, besides."""
