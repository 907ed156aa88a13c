"""The configuration of a training run: plain data, written to ``config.json``, compared on resuming."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.contracts.names import did_you_mean
from zoo.errors import CheckpointError, UsageError

# What a resumed run may change without its numbers changing.
HARMLESS = frozenset(
    {"epochs", "keep", "log_every", "sample_every", "sample_length", "save_every", "steps", "threads"}
)
_COUNTS = (
    "hidden",
    "layers",
    "batch",
    "seq",
    "steps",
    "threads",
    "log_every",
    "eval_every",
    "save_every",
    "keep",
)
_COUNTS_OR_ZERO = ("sample_every", "sample_length", "patience")


@dataclass(frozen=True)
class Config:
    """Everything that decides the numbers of a run, and how it is watched.

    Args:
        data: Sources: files, directories, ``-``, or ``builtin:NAME``.
        level: ``"char"`` or ``"byte"``.
        glob: Which files of a directory are read.
        split: Shares of training, validation and test, ``"90,5,5"``; None for that, or for all training when the text
            is shorter than 2,000 symbols.
        cell: Name of the cell.
        cell_options: Its options.
        hidden: ``H``.
        layers: ``L``.
        dtype: ``"float32"`` or ``"float64"``.
        batch: ``B``, streams read side by side; None for 32, or fewer if the text is short.
        seq: ``T``, steps of back-propagation; None for 64, or fewer if the text is short.
        steps: Updates; None for 5,000 unless ``epochs`` is given.
        epochs: Passes over the training text, instead of ``steps``.
        optimizer: Name of the optimizer.
        optimizer_options: Its options.
        lr: Learning rate; None for the optimizer's own.
        schedule: How the learning rate changes: ``constant``, ``step``, ``cosine``, ``plateau``.
        schedule_options: Its settings.
        clip: Largest global norm of the gradient; 0 for no limit.
        clip_value: Largest magnitude of each element of the gradient; 0 for no limit.
        seed: Decides initial parameters and samples.
        threads: Threads; None for every processor. Changes no number.
        log_every: Steps between progress lines.
        eval_every: Steps between validations; None for a tenth of the run, at most 500.
        save_every: Steps between checkpoints; None for ``eval_every``.
        keep: Checkpoints to keep besides the best.
        sample_every: Steps between samples; 0 for none.
        sample_length: Symbols in such a sample.
        patience: Stop after this many validations without improvement; 0 to go on.

    Raises:
        UsageError: if a value cannot be meant.
    """

    data: tuple[str, ...] = ("builtin:pydoc",)
    level: str = "char"
    glob: str = "*"
    split: str | None = None
    cell: str = "vanilla"
    cell_options: Mapping[str, Any] = field(default_factory=dict)
    hidden: int = 128
    layers: int = 1
    dtype: str = "float32"
    batch: int | None = None
    seq: int | None = None
    steps: int | None = None
    epochs: float | None = None
    optimizer: str = "adam"
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    lr: float | None = None
    schedule: str = "constant"
    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    clip: float = 1.0
    clip_value: float = 0.0
    seed: int = 0
    threads: int | None = None
    log_every: int = 50
    eval_every: int | None = None
    save_every: int | None = None
    keep: int = 3
    sample_every: int = 0
    sample_length: int = 200
    patience: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant, naming the setting."""
        for names, least in ((_COUNTS, 1), (_COUNTS_OR_ZERO, 0)):
            for name in names:
                value = getattr(self, name)
                if value is not None and (type(value) is not int or value < least):
                    raise UsageError(f"{name} is {value!r}; expected an integer of at least {least}.")
        for name in ("clip", "clip_value", "lr", "epochs"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value >= 0):
                raise UsageError(f"{name} is {value!r}; expected a number of at least 0.")
        if type(self.seed) is not int or not 0 <= self.seed < 2**63:
            raise UsageError(f"seed is {self.seed!r}; expected an integer from 0 to 2^63 - 1.")
        if self.steps is not None and self.epochs is not None:
            raise UsageError("steps and epochs are both given; give one of them.")

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {**dataclasses.asdict(self), "data": list(self.data)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def make_config(settings: Mapping[str, Any]) -> Config:
    """A configuration from settings by name.

    Raises:
        UsageError: for an unknown name or a value that cannot be meant.
    """
    known = [entry.name for entry in dataclasses.fields(Config)]
    for name in settings:
        if name not in known:
            raise UsageError(
                f"there is no setting {name!r}; there are {', '.join(known)}.{did_you_mean(name, known)}"
            )
    return Config(**settings)


def config_from_json(stored: Mapping[str, Any], source: str) -> Config:
    """The configuration that a run directory holds.

    Raises:
        CheckpointError: if it is not one.
    """
    try:
        return make_config({**stored, "data": tuple(stored["data"])})
    except (UsageError, KeyError, TypeError) as error:
        raise CheckpointError(f"{source} is not a configuration of this version of zoo ({error}).") from None


def harmful_changes(before: Config, now: Config) -> list[str]:
    """The settings in which two configurations differ so that a resumed run would not be the same run."""
    harmless = HARMLESS
    if before.schedule == "cosine":
        harmless -= {"steps", "epochs"}  # the length of the run is part of the schedule
    old, new = before.to_json(), now.to_json()
    return [
        f"{name}: {old[name]!r} -> {new[name]!r}"
        for name in old
        if old[name] != new[name] and name not in harmless
    ]
