"""Defaults of a run that depend on its data: sizes of batches, updates, parts and intervals."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from zoo.training.config import Config


class KindDefaults(NamedTuple):
    """Defaults of one kind of data.

    Attributes:
        batch: Size of a batch.
        steps: Updates of the parameters.
        validations: Validations of a run, unless they would be more than `MAX_EVAL_INTERVAL` steps apart.
        split: Shares of the training, validation and test parts; empty for a task.
    """

    batch: int
    steps: int
    validations: int
    split: str


KIND_DEFAULTS = {
    "text": KindDefaults(batch=32, steps=5000, validations=10, split="90,5,5"),
    "task": KindDefaults(batch=32, steps=5000, validations=10, split=""),
    "table": KindDefaults(batch=64, steps=2000, validations=20, split="80,10,10"),
    "sequences": KindDefaults(batch=32, steps=1000, validations=20, split="70,15,15"),
}
"""Defaults by kind of data."""

DEFAULT_SEQ = 64
"""Default number of time steps of a window of a text."""

STEPWISE_SEQ = 256
"""Default number of time steps of a window of sequences with a label at each step."""

MAX_EVAL_INTERVAL = 500
"""Largest default number of steps between two validations."""

_NOUNS = {"task": "a task", "table": "a table", "sequences": "labelled sequences"}


def describe_default(name: str, unit: str = "") -> str:
    """The defaults of a setting in a help text: ``"32; 64 for a table"``.

    Args:
        name: Name of a field of `KindDefaults`.
        unit: A noun after the first default.
    """
    usual = getattr(KIND_DEFAULTS["text"], name)
    nouns: dict[str, list[str]] = {}
    for kind, noun in _NOUNS.items():
        if (value := getattr(KIND_DEFAULTS[kind], name)) not in (usual, ""):
            nouns.setdefault(str(value), []).append(noun)
    others = [f"{value} for {' and '.join(names)}" for value, names in nouns.items()]
    return "; ".join([f"{usual}{unit and f' {unit}'}", *others])


def run_steps(config: Config, kind: str, steps_per_epoch: float) -> int:
    """The updates of a run: the given number, or the steps of the given epochs, or the default.

    Args:
        config: The configuration.
        kind: The kind of its data.
        steps_per_epoch: Updates of an epoch.
    """
    if config.epochs is not None:
        return max(1, round(config.epochs * steps_per_epoch))
    return KIND_DEFAULTS[kind].steps if config.steps is None else config.steps


def with_intervals(config: Config, kind: str, steps: int) -> Config:
    """A configuration with its updates, and the steps between validations and between checkpoints.

    Args:
        config: The configuration.
        kind: The kind of its data.
        steps: Updates of the parameters, which replace the epochs.
    """
    interval = min(MAX_EVAL_INTERVAL, steps // KIND_DEFAULTS[kind].validations)
    every = config.eval_every or max(1, interval)
    save_every = config.save_every or every
    return dataclasses.replace(config, steps=steps, epochs=None, eval_every=every, save_every=save_every)
