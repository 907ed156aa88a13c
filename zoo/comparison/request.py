"""The validated request for a comparison."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zoo.arguments import as_integer, short_repr
from zoo.errors import UsageError
from zoo.training.config import make_config, setting_names

SETTINGS = setting_names(comparable=True)
"""Arguments of ``zoo.train`` that a comparison accepts for all its runs."""

MAX_SEEDS = 2**16
MAX_COUNT = 2**53
"""Largest size, budget or number of updates: a float holds every integer up to it."""

Specs = Mapping[str, str]


@dataclass(frozen=True)
class CompareRequest:
    """Arguments of `zoo.compare`. None means the value of the stored comparison, or a default.

    Args:
        cells: Spec of each cell by label: a name or ``FILE.py:Class``.
        tasks: Spec of each task by label.
        options: Options of cells and tasks by label.
        seeds: Number of seeds.
        params: Budget of parameters; excludes ``hidden``.
        hidden: Number of hidden units.
        steps: Updates of a run; excludes ``seconds``.
        seconds: Training time of a run.
        lr: Learning rate of all runs; excludes ``lr_grid``.
        lr_grid: Learning rates among which one is chosen for each cell and task.
        sweep_steps: Updates of a run of the learning rate sweep.
        settings: Other arguments of every run, see `SETTINGS`.
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
        """Validate; raises `UsageError`."""
        for pair in (("params", "hidden"), ("steps", "seconds"), ("lr", "lr_grid")):
            if all(getattr(self, name) is not None for name in pair):
                raise UsageError(f"compare: {pair[0]} and {pair[1]} are both given; give one of them.")
        for name in ("seeds", "params", "hidden", "steps", "sweep_steps"):
            if (value := getattr(self, name)) is not None:
                largest = MAX_SEEDS if name == "seeds" else MAX_COUNT
                object.__setattr__(self, name, as_integer(value, f"compare: {name}", 1, largest))
        for name, value in (("seconds", self.seconds), ("lr", self.lr)):
            _check_positive(name, value)
        if self.lr_grid is not None and not self.lr_grid:
            raise UsageError("compare: lr_grid is empty; give one learning rate or more.")
        for rate in self.lr_grid or ():
            _check_positive("a rate of lr_grid", rate)
        for name in self.settings:
            if name not in SETTINGS:
                raise UsageError(f"compare: unknown setting {name!r}; expected one of {', '.join(SETTINGS)}.")
        make_config({"task": "any", "data": (), **self.settings})

    @property
    def size(self) -> tuple[str, int] | None:
        """The size that all cells share, ``("params", N)`` or ``("hidden", N)``."""
        return _first_given("params", self.params, "hidden", self.hidden)

    @property
    def length(self) -> tuple[str, float] | None:
        """The length that all runs share, ``("steps", N)`` or ``("seconds", S)``."""
        return _first_given("steps", self.steps, "seconds", self.seconds)

    @property
    def rates(self) -> tuple[float, ...] | None:
        """The learning rates, sorted and unique; None if none were given."""
        if self.lr is not None:
            return (float(self.lr),)
        return None if self.lr_grid is None else tuple(sorted(set(map(float, self.lr_grid))))


def _first_given(first: str, one: Any, second: str, other: Any) -> tuple[str, Any] | None:
    if one is not None:
        return first, one
    return None if other is None else (second, other)


def _check_positive(name: str, value: Any) -> None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if value is not None and not (is_number and 0 < value < math.inf):
        raise UsageError(f"compare: {name} is {short_repr(value)}; expected a finite number above zero.")
