"""The request for a comparison and its plan: cells, tasks, sizes and lengths; stored in ``compare.json``."""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from zoo.arguments import as_elements, as_integer, is_number, short_repr
from zoo.base.names import did_you_mean
from zoo.comparison.number_text import enumerate_texts
from zoo.comparison.records import RunGroup
from zoo.errors import CheckpointError, UsageError
from zoo.storage import PLAN_FILE, write_json
from zoo.storage.safe_read import exists, read_json
from zoo.storage.strict_json import quote
from zoo.training.config import REGULARISATION_SETTINGS, Config, setting_names
from zoo.training.config_conversion import make_config

SETTINGS = setting_names(comparable=True)
"""Arguments of ``zoo.train`` that a comparison accepts for all its runs."""

DATA_SETTINGS = tuple(
    entry.name
    for entry in dataclasses.fields(Config)
    if not {"table", "sequences"}.isdisjoint(entry.metadata["only"].split())
    and entry.name not in ("data", "epochs")
)
"""Arguments of ``zoo.train`` that belong to a table or to labelled sequences."""

MAX_SEEDS = 2**16
MAX_ROUNDS = 20
"""Largest number of rounds that continue a sweep."""
BEST_CELL = "best"
"""The reference of a comparison without a reference cell."""
MAX_COUNT = 2**53
"""Largest size, budget or number of updates: a float holds every integer up to it."""

Specs = Mapping[str, str]
X = TypeVar("X")

DEFAULTS: Mapping[str, Any] = {
    **{name: getattr(Config(), name) for name in SETTINGS},
    **{name: [] for name in REGULARISATION_SETTINGS},
    "schedule": "cosine",
    "schedule_options": {"warmup": 0.05},
}
"""The settings of runs that a request does not set: those of ``zoo.train``, except for the schedule."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of a comparison; each cell has each of them.

    Args:
        kind: ``"params"`` for budgets of parameters, ``"hidden"`` for numbers of hidden units.
        numbers: The sizes, in the order in which they were added.
    """

    kind: str
    numbers: tuple[int, ...]

    def with_others(self, numbers: Iterable[int]) -> Sizes:
        """Add the sizes that are new."""
        return Sizes(self.kind, tuple(dict.fromkeys((*self.numbers, *numbers))))

    def to_json(self) -> dict[str, Any]:
        """``{"params": 1500}`` or ``{"params": [1000, 4000]}``, as `zoo.compare` takes it."""
        return {self.kind: self.numbers[0] if len(self.numbers) == 1 else list(self.numbers)}

    def __str__(self) -> str:
        return sizes_text(self.kind, self.numbers)


def read_sizes(stored: Mapping[str, Any]) -> Sizes:
    """Read :meth:`Sizes.to_json`.

    Raises:
        ValueError: if there is not exactly one kind of size.
    """
    ((kind, numbers),) = stored.items()
    return Sizes(kind, tuple(numbers) if isinstance(numbers, list) else (numbers,))


def sizes_text(kind: str, numbers: Iterable[int]) -> str:
    """``4,000 params``, or ``16 and 32 hidden``: sizes in ascending order, with the name of their flag."""
    return f"{enumerate_texts([f'{number:,}' for number in sorted(numbers)])} {kind}"


@dataclass(frozen=True)
class CompareRequest:
    """Arguments of `zoo.compare`, see there. None means the value of the stored plan, or a default.

    Args:
        cells: Name or ``FILE.py:Class`` of each cell by label; likewise ``tasks``.
        data: The file of each data set by label.
        data_settings: Settings of these data sets, see `DATA_SETTINGS`.
        options: Options of cells and tasks by label.
        params: One or several budgets of parameters in ascending order; likewise ``hidden``.
        settings: Other arguments of every run, see `SETTINGS`.
        optimizer_spec: ``FILE.py:Class`` of the optimizer that the settings name; empty for a registered one.
        reference: Label or specification of the cell with which the others are compared, or `BEST_CELL`.
    """

    cells: Specs = field(default_factory=dict)
    tasks: Specs = field(default_factory=dict)
    data: Specs = field(default_factory=dict)
    data_settings: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    seeds: int | None = None
    params: int | Sequence[int] | None = None
    hidden: int | Sequence[int] | None = None
    steps: int | None = None
    seconds: float | None = None
    lr: float | None = None
    lr_grid: Sequence[float] | None = None
    sweep_steps: int | None = None
    sweep_rounds: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    optimizer_spec: str = ""
    reference: str | None = None

    def __post_init__(self) -> None:
        """Validate; raises `UsageError`."""
        for pair in (("params", "hidden"), ("steps", "seconds"), ("lr", "lr_grid")):
            if all(getattr(self, name) is not None for name in pair):
                raise UsageError(f"compare: `{pair[0]}` and `{pair[1]}` are both given; give one of them.")
        for name in ("params", "hidden"):
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, _as_sizes(value, name))
        for name in ("seeds", "steps", "sweep_steps"):
            if (value := getattr(self, name)) is not None:
                largest = MAX_SEEDS if name == "seeds" else MAX_COUNT
                object.__setattr__(self, name, as_integer(value, f"compare: {name}", 1, largest))
        if self.sweep_rounds is not None:
            rounds = as_integer(self.sweep_rounds, "compare: sweep_rounds", 0, MAX_ROUNDS)
            object.__setattr__(self, "sweep_rounds", rounds)
        if not (self.reference is None or isinstance(self.reference, str)):
            raise UsageError(
                f"compare: reference is {short_repr(self.reference)}; expected the name or label of a cell."
            )
        for name, value in (("seconds", self.seconds), ("lr", self.lr)):
            _check_positive(name, value)
        if self.lr_grid is not None and not self.lr_grid:
            raise UsageError("compare: lr_grid is empty; give one learning rate or more.")
        for rate in self.lr_grid or ():
            _check_positive("a rate of lr_grid", rate)
        if self.data_settings and not self.data:
            name = next(iter(self.data_settings))
            raise UsageError(f"compare: {name} is given without data; give the file, `data`.")
        for name in self.settings:
            if name not in SETTINGS:
                ours = ("settings", "data_settings", "optimizer_spec")
                known = [field.name for field in dataclasses.fields(self) if field.name not in ours]
                known = [*SETTINGS, *known, *DATA_SETTINGS]
                near = did_you_mean(name, known)
                raise UsageError(
                    f"compare: unknown setting {name!r}; expected one of {', '.join(known)}.{near}"
                )
        config = make_config({"task": "any", "data": (), **self.settings})
        lists = {
            name: list(getattr(config, name)) for name in REGULARISATION_SETTINGS if name in self.settings
        }
        object.__setattr__(self, "settings", {**self.settings, **lists})  # as JSON stores them

    @property
    def sizes(self) -> Sizes | None:
        """The sizes that all cells share; None if none were given."""
        kind, numbers = _first_given("params", self.params, "hidden", self.hidden) or ("", ())
        return Sizes(kind, numbers) if numbers else None

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


def _as_sizes(value: Any, name: str) -> tuple[int, ...]:
    """One size, or several in ascending order; raises `UsageError`."""
    is_list = isinstance(value, Iterable) and not isinstance(value, str)
    values = as_elements(value, f"compare: {name}", "a list of sizes") if is_list else (value,)
    sizes = tuple(as_integer(each, f"compare: {name}", 1, MAX_COUNT) for each in values)
    if not sizes:
        raise UsageError(f"compare: {name} is empty; give one size or more.")
    for before, size in itertools.pairwise(sizes):
        if size <= before:
            what = (
                f"{size:,} twice; give each size once"
                if size == before
                else (f"{before:,} before {size:,}; give the sizes in ascending order")
            )
            raise UsageError(f"compare: {name} has {what}.")
    return sizes


def _check_positive(name: str, value: Any) -> None:
    if value is not None and not (is_number(value) and value > 0):
        raise UsageError(f"compare: {name} is {short_repr(value)}; expected a finite number above zero.")


FORMAT = 1
TOLERANCE = 0.05
"""Allowed relative difference between the parameters of a cell and the budget."""
MAX_RUNS = 30_000
"""Largest number of runs in a comparison, with the first runs of the sweep and without its later rounds."""

# Plans of older versions lack these.
_LATER_SETTINGS = (
    "bidirectional",
    "learned_state",
    "residual",
    "precision",
    "embedding",
    "gradient",
    "base_hidden",
    *REGULARISATION_SETTINGS,
)
MAX_LABEL = 128
"""Largest number of characters of a label."""
_LABEL = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_.+()-]{{0,{MAX_LABEL - 1}}}")
_NAME = re.compile(r"[a-z][a-z0-9_+()]{0,255}|[0-9(][a-z0-9_+(),*]*")  # a cell or task, or a stack


@dataclass(frozen=True)
class PlanEntry:
    """A cell, task or data set of a plan.

    Args:
        name: Name in the registry; of a data set, of its file.
        options: Value of every option; of a data set, the settings that differ from their defaults.
        source: SHA-256 of a cell's source or a task's data.
        spec: Name or ``FILE.py:Class`` by which another process loads it. ``compare.json`` stores no file of
            code, which must be given again. Of a data set, the path.
        is_data: Whether it is a data set.
    """

    name: str
    options: Mapping[str, Any]
    source: str
    spec: str = field(compare=False)
    is_data: bool = False

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        stored = {"name": self.name, "options": dict(self.options), "source": self.source}
        return {**stored, "data": self.spec} if self.is_data else stored


@dataclass(frozen=True)
class RunSize:
    """The size and length of the runs of a group.

    Args:
        hidden: ``H``.
        parameters: ``P``, of all layers and the readout.
        steps: Updates of a run; None until the speed of the group is measured.
    """

    hidden: int
    parameters: int
    steps: int | None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A resolved comparison, which determines every run.

    Args:
        cells: Cells by label.
        tasks: Tasks and data sets by label.
        seeds: Number of seeds, which are 0, 1, 2, ...
        sizes: Budgets of parameters, or numbers of hidden units.
        length: ``("steps", N)``, or ``("seconds", S)`` for as many steps as take this time.
        rates: Learning rates: one for all runs, or the grid of the sweep.
        sweep_steps: Updates of a run of the sweep; None for a fifth of a run.
        sweep_rounds: Rounds that continue a sweep without a decision, see `zoo.comparison.sweep`.
        settings: Other arguments of every run.
        run_sizes: Size and length of the runs of each group.
        sources: SHA-256 of the code of the optimizer, ``optimizer:NAME``, and of the losses that are not
            built in, ``loss:NAME``; empty in plans of older versions.
        optimizer_spec: ``FILE.py:Class`` of the optimizer, which ``compare.json`` does not store; empty for a
            registered one.
        reference: Label of the cell with which tables compare the others; None for the best cell of a table.
            It changes no run.
    """

    cells: Mapping[str, PlanEntry]
    tasks: Mapping[str, PlanEntry]
    seeds: int
    sizes: Sizes
    length: tuple[str, float]
    rates: tuple[float, ...]
    sweep_steps: int | None
    sweep_rounds: int
    settings: Mapping[str, Any]
    run_sizes: Mapping[RunGroup, RunSize] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    optimizer_spec: str = field(default="", compare=False)
    reference: str | None = None

    def __post_init__(self) -> None:
        """Raise `UsageError` for more than `MAX_RUNS` runs; rounds of the sweep may add others."""
        swept = len(self.rates) if len(self.rates) > 1 else 0
        runs = len(self.groups()) * (self.seeds + swept)
        if runs > MAX_RUNS:
            raise UsageError(
                f"compare: {runs:,} runs; expected at most {MAX_RUNS:,}; give fewer `seeds`, `cells`, "
                f"`tasks` or sizes."
            )

    def groups(self) -> list[RunGroup]:
        """The groups of runs by task, then size from the smallest, then cell."""
        sizes = sorted(self.sizes.numbers)
        return [RunGroup(task, cell, size) for task in self.tasks for size in sizes for cell in self.cells]

    def sweep_run_steps(self, group: RunGroup, doublings: int = 0) -> int:
        """Updates of a run of the sweep after some doublings, at most the updates of a compared run."""
        steps = self.run_sizes[group].steps or 1
        return min(steps, (self.sweep_steps or math.ceil(steps / 5)) << doublings)

    def to_json(self) -> dict[str, Any]:
        """Convert to plain JSON values."""
        return {
            "format": FORMAT,
            "cells": [{"label": label, **entry.to_json()} for label, entry in self.cells.items()],
            "tasks": [{"label": label, **entry.to_json()} for label, entry in self.tasks.items()],
            "seeds": self.seeds,
            "size": self.sizes.to_json(),
            "length": dict([self.length]),
            "rates": list(self.rates),
            "sweep_steps": self.sweep_steps,
            "sweep_rounds": self.sweep_rounds,
            "settings": dict(self.settings),
            "settled": nest_by_group(
                {group: dataclasses.asdict(run_size) for group, run_size in self.run_sizes.items()}
            ),
            "sources": dict(self.sources),
            "reference": self.reference,
        }

    def write(self, folder: Path) -> None:
        """Replace ``compare.json``; raises `CheckpointError`."""
        write_json(folder / PLAN_FILE, self.to_json())


def nest_by_group(values: Mapping[RunGroup, X]) -> dict[str, dict[str, dict[str, X]]]:
    """Values of groups as JSON: by task, cell, and size as text."""
    nested: dict[str, dict[str, dict[str, X]]] = {}
    for (task, cell, size), value in values.items():
        nested.setdefault(task, {}).setdefault(cell, {})[str(size)] = value
    return nested


def read_plan(folder: Path) -> Plan | None:
    """Read the plan of a directory; None if there is none.

    Raises:
        CheckpointError: if it cannot be read or is invalid.
    """
    path = folder / PLAN_FILE
    if not exists(path):
        return None
    stored = read_json(path)
    try:
        return _parse_plan(stored)
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise CheckpointError(
            f"{path} is not the plan of a comparison of this version of zoo ({str(error)[:200]})."
        ) from None


def _parse_plan(stored: dict[str, Any]) -> Plan:
    if stored["format"] != FORMAT:
        raise ValueError(f"format {stored['format']!r}")
    sizes = read_sizes(stored["size"])
    ((length, amount),) = stored["length"].items()
    if sizes.kind not in ("params", "hidden") or length not in ("steps", "seconds"):
        raise ValueError(f"its size is {quote(str(sizes.kind))} and its length {quote(str(length))}")
    tasks, embedding = _without_embedding(stored["tasks"])
    settings = {name: getattr(Config(), name) for name in _LATER_SETTINGS} | embedding | stored["settings"]
    if settings.keys() != set(SETTINGS):
        raise ValueError(f"its settings are not exactly {', '.join(SETTINGS)}")
    request = CompareRequest(
        seeds=stored["seeds"],
        **{sizes.kind: sorted(sizes.numbers), length: amount},
        lr_grid=stored["rates"],
        sweep_steps=stored["sweep_steps"],
        sweep_rounds=stored.get("sweep_rounds", 0),  # older plans lack it
        settings=settings,
    )
    if request.seeds is None or request.sizes is None or request.length is None or request.rates is None:
        raise ValueError("its seeds, size, length or rates are missing")
    cells, reference = _read_entries(stored["cells"]), stored.get("reference")  # older plans lack it
    if not (reference is None or reference in cells):
        raise ValueError(f"its reference is {short_repr(reference)}, which is none of its cells")
    return Plan(
        cells=cells,
        tasks=_read_entries(tasks),
        seeds=request.seeds,
        sizes=sizes,
        length=request.length,
        rates=request.rates,
        sweep_steps=request.sweep_steps,
        sweep_rounds=request.sweep_rounds or 0,
        settings=dict(request.settings),
        run_sizes={
            RunGroup(task, cell, int(size)): _read_run_size(run_size)
            for task, by_cell in stored["settled"].items()
            for cell, run_sizes in by_cell.items()
            for size, run_size in _by_size(run_sizes, sizes).items()
        },
        sources={name: str(digest) for name, digest in stored.get("sources", {}).items()},
        reference=reference,
    )


def _without_embedding(tasks: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The entries of tasks and data sets without an embedding, which older plans have there, and the setting.

    Raises:
        ValueError: if the entries differ, since an embedding is a setting of all runs now.
    """
    sizes = {entry["options"].get("embedding") if "data" in entry else None for entry in tasks}
    if sizes == {None}:
        return tasks, {}
    if len(sizes) > 1:
        raise ValueError("an embedding of some data sets only; start another comparison")
    own = [
        {**entry, "options": {name: value for name, value in entry["options"].items() if name != "embedding"}}
        for entry in tasks
    ]
    return own, {"embedding": sizes.pop()}


def _read_entries(stored: list[dict[str, Any]]) -> dict[str, PlanEntry]:
    """Read entries by label. A label or name that is a path is invalid, since both name directories."""
    entries = {}
    for entry in stored:
        label, name, path = entry["label"], entry["name"], entry.get("data")
        if not is_label(label) or (path is None and not _NAME.fullmatch(name)):
            raise ValueError(f"label {label!r} or name {name!r} is invalid")
        spec = name if path is None else str(path)
        entries[label] = PlanEntry(name, dict(entry["options"]), str(entry["source"]), spec, path is not None)
    return entries


def _by_size(stored: Mapping[str, Any], sizes: Sizes) -> Mapping[Any, Any]:
    """The stored sizes of a task and a cell; older plans have one, without its name."""
    return {sizes.numbers[0]: stored} if "hidden" in stored else stored


def _read_run_size(stored: Mapping[str, Any]) -> RunSize:
    size = RunSize(**stored)
    counts = (size.hidden, size.parameters, size.steps or 1)
    if not all(type(count) is int and count >= 1 for count in counts):
        raise ValueError(f"a size is {stored}")
    return size


def is_label(text: str) -> bool:
    """Whether a text is a valid label, which also names a directory."""
    return bool(_LABEL.fullmatch(text))
