"""``Dataset``, the interface between the training loop and a text, a task, a table or sequences."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import numpy as np

from zoo.base import Cell
from zoo.field_repr import one_line_repr
from zoo.model import AnyModel
from zoo.training.config import Config

State = Mapping[str, np.ndarray[Any, Any]]
NoiseKey = tuple[int, int]


@one_line_repr
class TrainStepResult(NamedTuple):
    """Loss and final states of one batch; the gradient is in the model.

    Attributes:
        loss: The mean loss.
        final_states: States after the last time step, for the next batch.
        token_count: Time steps of all sequences.
    """

    loss: float
    final_states: dict[str, np.ndarray[Any, Any]]
    token_count: int


@dataclass(frozen=True)
class EvalResult:
    """Result of a validation.

    Attributes:
        loss: The mean loss.
        metrics: Other entries of the event.
        solved: Whether a task is solved: a solved model is better than an unsolved one with a lower loss.
        arrays: Arrays that the checkpoint of this validation stores, by name.
        criterion: The value that the best model minimises; None for the loss.
    """

    loss: float
    metrics: Mapping[str, Any] = field(default_factory=dict)
    solved: bool = False
    arrays: State = field(default_factory=dict)
    criterion: float | None = None


@one_line_repr
class ProbeBatch(NamedTuple):
    """A batch for diagnostics of a model.

    Attributes:
        inputs: ``(T, B)`` or ``(T, B, I)``.
        targets: Targets of the last step, ``(B,)`` or ``(B, V)``; None for a text.
        aux: Auxiliary inputs, ``(T, B, ...)``.
    """

    inputs: np.ndarray[Any, Any]
    targets: np.ndarray[Any, Any] | None = None
    aux: Mapping[str, np.ndarray[Any, Any]] = MappingProxyType({})


class Dataset(Protocol):
    """Training and validation data, as the training loop uses them."""

    @property
    def kind(self) -> str:
        """The word for it in events: ``text``, ``task``, ``table``, ``sequences`` or ``arrays``."""

    @property
    def batch_size(self) -> int:
        """``B``, the batch size."""

    @property
    def eval_split_name(self) -> str:
        """Name of the examples that validation uses, in messages."""

    def metadata(self) -> dict[str, Any]:
        """Its description in logs and checkpoints; ``sha256`` identifies it."""

    def loss_and_grad(
        self, model: AnyModel, step: int, carried_states: State | None, noise: NoiseKey
    ) -> TrainStepResult:
        """Compute the loss on the batch of a step, counted from 0, and fill the model's gradient."""

    def evaluate(self, model: AnyModel) -> EvalResult:
        """Evaluate a model on the validation examples."""

    def probe(self) -> ProbeBatch:
        """A batch of validation examples for diagnostics, always the same."""

    def compile_kernels(self, model: AnyModel) -> None:
        """Evaluate a little, so that everything that evaluation needs is compiled."""

    def uniform_loss(self, model: AnyModel) -> float | None:
        """The loss of equal probabilities for all symbols or classes; None if the data have none."""

    def sample(self, model: AnyModel, length: int, seed: int) -> str | None:
        """Text sampled from the model; None if the data have no symbols."""

    def extra_metrics(self, step: int, loss: float) -> dict[str, Any]:
        """Other entries of a progress line, from the step and the mean loss."""


class RunDataset(Dataset, Protocol):
    """A text, a task, a table or labelled sequences, from which a run starts."""

    @property
    def name(self) -> str:
        """A short name, for directories."""

    def make_model(self, cell: Cell | list[Cell], config: Config) -> AnyModel:
        """A new model for it."""

    def memoryless_loss(self) -> float | None:
        """The loss of the best constant prediction; None if it is unknown."""

    def final_entries(self, load_best: Callable[[], AnyModel]) -> Mapping[str, Any]:
        """Entries of the event ``end``, such as an evaluation of the best model.

        Args:
            load_best: Loads the best model.
        """
