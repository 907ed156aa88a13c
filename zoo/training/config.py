"""The configuration of a training run: plain data, written to ``config.json``, compared on resuming."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.arguments import short_repr
from zoo.base.names import did_you_mean
from zoo.errors import CheckpointError, UsageError
from zoo.layers.checkpointing import EXPECTED_RECOMPUTE, is_recompute

Check = Callable[[Any], bool]

# Fields that a resumed run may change without changing its results; a digest identifies the text.
RESUMABLE_CHANGES = frozenset(
    {
        "analyse_every",
        "data",
        "epochs",
        "glob",
        "keep",
        "log_every",
        "sample_every",
        "sample_length",
        "save_every",
        "steps",
        "stop_when_solved",
        "threads",
    }
)


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max  # an integer may be too large for a float


def _is_options(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(name, str) for name in value)


def _is_sources(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(source, str) for source in value)


# Fields that only texts have, and fields that only tasks have.
TEXT_ONLY = ("data", "level", "glob", "split", "seq", "epochs", "sample_every")
TASK_ONLY = ("task_options", "eval_batches", "stop_when_solved")

TEST_BATCHES = 64
"""Default number of test batches of a task."""

MAX_SAMPLE_LENGTH = 80_000
"""Symbols of a sample in training, which is a line of the log; ``zoo sample`` writes any number."""

# Checks and their descriptions in messages; None is allowed where it is the default.
_POSITIVE_INT: tuple[Check, str] = (
    lambda value: type(value) is int and value >= 1,
    "an integer of at least 1",
)
_NONNEGATIVE_INT: tuple[Check, str] = (
    lambda value: type(value) is int and value >= 0,
    "an integer of at least 0",
)
_NUMBER: tuple[Check, str] = (lambda value: _is_number(value) and value >= 0, "a number of at least 0")
_ABOVE_ZERO: tuple[Check, str] = (lambda value: _is_number(value) and value > 0, "a number above 0")
_SEED: tuple[Check, str] = (
    lambda value: type(value) is int and 0 <= value < 2**63,
    "an integer from 0 to 2^63 - 1",
)
_STRING: tuple[Check, str] = (lambda value: isinstance(value, str), "a string")
_BOOL: tuple[Check, str] = (lambda value: isinstance(value, bool), "true or false")
_OPTIONS: tuple[Check, str] = (_is_options, "a mapping of names to values")
_SOURCES: tuple[Check, str] = (_is_sources, "one or more names of files, directories or built-in texts")
_ALLOWED = {
    **dict.fromkeys(("hidden", "layers", "batch", "seq", "steps", "threads"), _POSITIVE_INT),
    **dict.fromkeys(("log_every", "eval_every", "eval_batches", "save_every", "keep"), _POSITIVE_INT),
    **dict.fromkeys(("sample_every", "patience", "analyse_every"), _NONNEGATIVE_INT),
    **dict.fromkeys(("clip", "clip_value", "lr"), _NUMBER),
    **dict.fromkeys(("task", "level", "glob", "split", "cell", "dtype", "optimizer", "schedule"), _STRING),
    **dict.fromkeys(("task_options", "cell_options", "optimizer_options", "schedule_options"), _OPTIONS),
    **dict.fromkeys(("stop_when_solved", "residual"), _BOOL),
    "dropout": (
        lambda value: _is_number(value) and 0 <= value < 1,
        "a number from 0 up to, not including, 1",
    ),
    "data": _SOURCES,
    "epochs": _ABOVE_ZERO,
    "sample_length": (
        lambda value: type(value) is int and 0 <= value <= MAX_SAMPLE_LENGTH,
        f"an integer from 0 to {MAX_SAMPLE_LENGTH:,}",
    ),
    "seed": _SEED,
    "recompute": (is_recompute, EXPECTED_RECOMPUTE),
}


@dataclass(frozen=True)
class Config:
    """Settings of a training run.

    Args:
        task: Name of the task; None to train on a text.
        task_options: Its options.
        data: Sources: files, directories, ``-``, or ``builtin:NAME``; none with a task.
        level: ``"char"`` or ``"byte"``.
        glob: Pattern of the files of a directory.
        split: Shares of training, validation and test, ``"90,5,5"``; None for that, or for training
            alone if the text is shorter than 2,000 symbols.
        cell: Name of the cell.
        cell_options: Its options.
        hidden: ``H``.
        layers: ``L``.
        dropout: Probability, in training, with which an element between two layers is dropped.
        residual: Whether the input of a layer is added to its output, where both have the same size.
        dtype: ``"float32"`` or ``"float64"``.
        batch: ``B``, streams of a text or examples of a task; None for 32, or fewer if the text is short.
        seq: ``T``, steps of back-propagation; None for 64, or fewer if the text is short.
        steps: Number of updates; None for 5,000 unless ``epochs`` is given.
        epochs: Passes over the training text, instead of ``steps``.
        optimizer: Name of the optimizer.
        optimizer_options: Its options.
        lr: Learning rate; None for the optimizer's default.
        schedule: Schedule of the learning rate: ``constant``, ``step``, ``cosine``, ``plateau``.
        schedule_options: Its settings.
        clip: Largest global norm of the gradient; 0 for no limit.
        clip_value: Largest magnitude of each element of the gradient; 0 for no limit.
        seed: Seed of initial parameters, samples and training examples of a task.
        threads: Number of threads; None for every processor. Does not change results.
        recompute: Gradient checkpointing: steps per segment, or ``"sqrt"`` for about sqrt(``seq``) segments;
            long sequences then fit into memory. None to save everything for the backward pass.
        log_every: Steps between progress lines.
        eval_every: Steps between validations; None for a tenth of the run, at most 500.
        eval_batches: Batches of a validation of a task.
        save_every: Steps between checkpoints; None for ``eval_every``.
        keep: Checkpoints to keep besides the best.
        sample_every: Steps between samples; 0 for none.
        sample_length: Symbols in such a sample.
        patience: Stop after this many validations without improvement; 0 to go on.
        stop_when_solved: Stop when a validation reaches the threshold of the task.
        analyse_every: Steps between analyses; 0 for none.

    Raises:
        UsageError: if a value is invalid.
    """

    task: str | None = None
    task_options: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[str, ...] = ("builtin:pydoc",)
    level: str = "char"
    glob: str = "*"
    split: str | None = None
    cell: str = "vanilla"
    cell_options: Mapping[str, Any] = field(default_factory=dict)
    hidden: int = 128
    layers: int = 1
    dropout: float = 0.0
    residual: bool = False
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
    recompute: int | str | None = None
    log_every: int = 50
    eval_every: int | None = None
    eval_batches: int = 16
    save_every: int | None = None
    keep: int = 3
    sample_every: int = 0
    sample_length: int = 200
    patience: int = 0
    stop_when_solved: bool = False
    analyse_every: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        for entry in dataclasses.fields(self):
            value, (allows, words) = getattr(self, entry.name), _ALLOWED[entry.name]
            if not allows(value) and not (value is None and entry.default is None):
                raise UsageError(f"{entry.name} is {short_repr(value)}; expected {words}.")
            if type(value) is int and value >= 2**53 and entry.name != "seed":
                raise UsageError(f"{entry.name} is {short_repr(value)}; expected an integer below 2^53.")
        if self.steps is not None and self.epochs is not None:
            raise UsageError("steps and epochs are both given; give one of them.")
        if self.dropout and self.layers == 1:
            raise UsageError(
                f"dropout is {self.dropout!r} and there is one layer; it drops what one layer hands to the "
                f"next. Give more layers, or a cell that drops, such as lstm+recurrent_dropout."
            )
        self._check_data_or_task()

    def _check_data_or_task(self) -> None:
        """Check that there is a text or a task, and no setting of the other."""
        if self.task is None and not self.data:
            raise UsageError("data is empty; name a text, or a task.")
        foreign = TASK_ONLY if self.task is None else TEXT_ONLY
        given = [name for name in foreign if getattr(self, name) not in (_DEFAULTS[name], ())]
        if given:
            what = "a text; it is for tasks" if self.task is None else f"the task {self.task!r}"
            hint = "" if self.task is None else "; `zoo show task:NAME` lists what its options are"
            raise UsageError(f"{given[0]} is given with {what}{hint}.")

    def model_arguments(self) -> dict[str, Any]:
        """Arguments of a model by name."""
        return {
            "hidden_size": self.hidden,
            "num_layers": self.layers,
            "dropout": self.dropout,
            "residual": self.residual,
            "dtype": self.dtype,
            "seed": self.seed,
            "threads": self.threads,
            "recompute": self.recompute,
        }

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        values = {entry.name: getattr(self, entry.name) for entry in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in values.items()}


_DEFAULTS = {
    entry.name: entry.default if entry.default is not dataclasses.MISSING else {}
    for entry in dataclasses.fields(Config)
}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def make_config(settings: Mapping[str, Any]) -> Config:
    """Make a configuration from settings by name.

    Raises:
        UsageError: for an unknown name or an invalid value.
    """
    known = [entry.name for entry in dataclasses.fields(Config)]
    for name in settings:
        if name not in known:
            raise UsageError(
                f"there is no setting {name!r}; there are {', '.join(known)}.{did_you_mean(name, known)}"
            )
    return Config(**settings)


def config_from_json(stored: Mapping[str, Any], source: str) -> Config:
    """Make a configuration from the JSON of a run directory.

    Raises:
        CheckpointError: if it is invalid.
    """
    data = stored.get("data")
    try:
        return make_config({**stored, "data": tuple(data) if isinstance(data, list) else data})
    except UsageError as error:
        raise CheckpointError(
            f"{source} is not a configuration of this version of zoo ({str(error)[:300]})."
        ) from None
