"""The plan of a comparison: what is compared on what, how large, how long; ``compare.json``."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.comparison.request import SETTINGS, Asked
from zoo.errors import CheckpointError, UsageError
from zoo.storage import write_json
from zoo.storage.safe_read import exists, read_json
from zoo.storage.strict_json import quote

FORMAT = 1
FILE = "compare.json"
MAX_RUNS = 30_000
"""Largest number of runs in a comparison, sweep included."""

_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]{0,127}")
_NAME = re.compile(r"[a-z][a-z0-9_+]{0,255}")


@dataclass(frozen=True)
class Member:
    """A cell or a task, under the label that it has in a comparison.

    Args:
        name: Its name in the registry.
        options: The value of every option.
        source: SHA-256 of what states it: of its source, or of a text.
        spec: What another process finds it by, its name or ``FILE.py:Class``. A file is never taken from
            ``compare.json``: it has to be named again.
    """

    name: str
    options: Mapping[str, Any]
    source: str
    spec: str = field(compare=False)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {"name": self.name, "options": dict(self.options), "source": self.source}


@dataclass(frozen=True)
class Settled:
    """The size and length of a cell's runs on a task.

    Args:
        hidden: ``H``.
        parameters: ``P``, of all layers and the readout.
        steps: Updates of a run; None until the pace of the cell has been measured.
    """

    hidden: int
    parameters: int
    steps: int | None


@dataclass(frozen=True)
class Plan:
    """A comparison, settled: every run follows from it.

    Args:
        cells: Cells by label.
        tasks: Tasks by label.
        seeds: How many; they are 0, 1, 2, ...
        size: ``("params", N)``, a budget of parameters, or ``("hidden", N)``.
        length: ``("steps", N)``, or ``("seconds", S)`` for as many steps as take so long.
        rates: Learning rates: one for all runs, or a grid that is swept.
        sweep_steps: Updates of a run of the sweep; None for a fifth of a run's.
        settings: What every run is trained with besides.
        settled: Size and length by task and cell.
    """

    cells: Mapping[str, Member]
    tasks: Mapping[str, Member]
    seeds: int
    size: tuple[str, int]
    length: tuple[str, float]
    rates: tuple[float, ...]
    sweep_steps: int | None
    settings: Mapping[str, Any]
    settled: Mapping[str, Mapping[str, Settled]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise `UsageError` for more runs than can be held in memory."""
        swept = len(self.rates) if len(self.rates) > 1 else 0
        runs = len(self.cells) * len(self.tasks) * (self.seeds + swept)
        if runs > MAX_RUNS:
            raise UsageError(
                f"compare: {runs:,} runs; expected at most {MAX_RUNS:,}; give fewer --seeds, --cells or "
                f"--tasks."
            )

    def pairs(self) -> list[tuple[str, str]]:
        """Every task with every cell."""
        return [(task, cell) for task in self.tasks for cell in self.cells]

    def swept_steps(self, task: str, cell: str) -> int:
        """Updates of a run of the sweep, which is never longer than the runs it is for."""
        steps = self.settled[task][cell].steps or 1
        return min(steps, self.sweep_steps or math.ceil(steps / 5))

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "format": FORMAT,
            "cells": [{"label": label, **member.to_json()} for label, member in self.cells.items()],
            "tasks": [{"label": label, **member.to_json()} for label, member in self.tasks.items()],
            "seeds": self.seeds,
            "size": dict([self.size]),
            "length": dict([self.length]),
            "rates": list(self.rates),
            "sweep_steps": self.sweep_steps,
            "settings": dict(self.settings),
            "settled": {
                task: {cell: dataclasses.asdict(size) for cell, size in sizes.items()}
                for task, sizes in self.settled.items()
            },
        }

    def write(self, folder: Path) -> None:
        """Replace ``compare.json``; raises `CheckpointError`."""
        write_json(folder / FILE, self.to_json())


def read_plan(folder: Path) -> Plan | None:
    """The plan in a directory; None if it holds none.

    Raises:
        CheckpointError: if it cannot be read or is none.
    """
    path = folder / FILE
    if not exists(path):
        return None
    stored = read_json(path)
    try:
        return _plan(stored)
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise CheckpointError(
            f"{path} is not the plan of a comparison of this version of zoo ({str(error)[:200]})."
        ) from None


def _plan(stored: dict[str, Any]) -> Plan:
    if stored["format"] != FORMAT:
        raise ValueError(f"format {stored['format']!r}")
    ((size, number),) = stored["size"].items()
    ((length, amount),) = stored["length"].items()
    if size not in ("params", "hidden") or length not in ("steps", "seconds"):
        raise ValueError(f"its size is {quote(str(size))} and its length {quote(str(length))}")
    if stored["settings"].keys() != set(SETTINGS):
        raise ValueError(f"its settings are not exactly {', '.join(SETTINGS)}")
    asked = Asked(
        seeds=stored["seeds"],
        **{size: number, length: amount},
        lr_grid=stored["rates"],
        sweep_steps=stored["sweep_steps"],
        settings=stored["settings"],
    )
    if asked.seeds is None or asked.size is None or asked.length is None or asked.rates is None:
        raise ValueError("its seeds, size, length or rates are missing")
    return Plan(
        _named(stored["cells"]),
        _named(stored["tasks"]),
        asked.seeds,
        asked.size,
        asked.length,
        asked.rates,
        asked.sweep_steps,
        dict(asked.settings),
        {
            task: {cell: _settled(size) for cell, size in sizes.items()}
            for task, sizes in stored["settled"].items()
        },
    )


def _named(stored: list[dict[str, Any]]) -> dict[str, Member]:
    """Members by label. No label and no name may be a path: directories and look-ups are made of them."""
    for member in stored:
        if not is_label(member["label"]) or not _NAME.fullmatch(member["name"]):
            raise ValueError(f"a member is called {member['label']!r} and {member['name']!r}")
    return {
        member["label"]: Member(
            member["name"], dict(member["options"]), str(member["source"]), member["name"]
        )
        for member in stored
    }


def _settled(stored: Mapping[str, Any]) -> Settled:
    found = Settled(**stored)
    counts = (found.hidden, found.parameters, found.steps or 1)
    if not all(type(count) is int and count >= 1 for count in counts):
        raise ValueError(f"a size is {stored}")
    return found


def is_label(text: str) -> bool:
    """Whether a text may name a cell or a task in a comparison, and thus a directory."""
    return bool(_LABEL.fullmatch(text))
