"""What is asked of a comparison, checked."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.arguments import as_integer, short_repr
from zoo.errors import UsageError
from zoo.training.config import make_config

SETTINGS = (
    "layers",
    "dtype",
    "batch",
    "optimizer",
    "optimizer_options",
    "schedule",
    "schedule_options",
    "clip",
    "clip_value",
    "recompute",
    "eval_batches",
    "stop_when_solved",
)
"""Settings of every run that may be chosen, as for ``zoo.train``."""

MAX_SEEDS = 2**16
MAX_COUNT = 2**53
"""Largest size, budget or number of updates: a float holds every integer up to it."""

Specs = Mapping[str, str]


@dataclass(frozen=True)
class Asked:
    """What somebody asks for; what is left out is as in the comparison that is there, or a default.

    Args:
        cells: What to find each cell by, a name or ``FILE.py:Class``, by its label.
        tasks: Names of tasks by label.
        options: Of cells and tasks, by label.
        seeds: How many.
        params: A budget of parameters.
        hidden: Or hidden units.
        steps: Updates of a run.
        seconds: Or for how long.
        lr: The learning rate of all runs.
        lr_grid: Or those among which each cell's is chosen.
        sweep_steps: Updates of the short runs by which it is.
        settings: What every run is trained with besides, see `SETTINGS`.
    """

    cells: Specs = field(default_factory=dict)
    tasks: Specs = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: int | None = None
    params: int | None = None
    hidden: int | None = None
    steps: int | None = None
    seconds: float | None = None
    lr: float | None = None
    lr_grid: Sequence[float] | None = None
    sweep_steps: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        for pair in (("params", "hidden"), ("steps", "seconds"), ("lr", "lr_grid")):
            if all(getattr(self, name) is not None for name in pair):
                raise UsageError(f"compare: {pair[0]} and {pair[1]} are both given; give one of them.")
        for name in ("seeds", "params", "hidden", "steps", "sweep_steps"):
            if (value := getattr(self, name)) is not None:
                most = MAX_SEEDS if name == "seeds" else MAX_COUNT
                object.__setattr__(self, name, as_integer(value, f"compare: {name}", 1, most))
        for name, value in (("seconds", self.seconds), ("lr", self.lr)):
            _check_positive(name, value)
        if self.lr_grid is not None and not self.lr_grid:
            raise UsageError("compare: lr_grid is empty; give one learning rate or more.")
        for rate in self.lr_grid or ():
            _check_positive("a rate of lr_grid", rate)
        for name in self.settings:
            if name not in SETTINGS:
                raise UsageError(
                    f"compare: there is no setting {name!r} of all runs; there are {', '.join(SETTINGS)}."
                )
        make_config({"task": "any", "data": (), **self.settings})

    @property
    def size(self) -> tuple[str, int] | None:
        """Which size is the same for all, and how much it is."""
        return _either("params", self.params, "hidden", self.hidden)

    @property
    def length(self) -> tuple[str, float] | None:
        """Which length is the same for all, and how much it is."""
        return _either("steps", self.steps, "seconds", self.seconds)

    @property
    def rates(self) -> tuple[float, ...] | None:
        """The learning rates, each once; None if nothing is said of them."""
        if self.lr is not None:
            return (float(self.lr),)
        return None if self.lr_grid is None else tuple(sorted(set(map(float, self.lr_grid))))


def _either(first: str, one: Any, second: str, other: Any) -> tuple[str, Any] | None:
    if one is not None:
        return first, one
    return None if other is None else (second, other)


def _check_positive(name: str, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 < value < math.inf):
        raise UsageError(f"compare: {name} is {short_repr(value)}; expected a finite number above zero.")
