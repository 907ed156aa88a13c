"""``Run``, a run directory as ``zoo.train`` returns it."""

from __future__ import annotations

import re
import signal
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.arguments import as_path, is_number
from zoo.base import Cell
from zoo.distributed import rank_of_launch
from zoo.errors import CheckpointError, UsageError
from zoo.model import AnyModel, load_model
from zoo.storage import RunDirectory, log
from zoo.storage.strict_json import quote
from zoo.training.config import Config
from zoo.training.config_conversion import config_from_json
from zoo.training.run_info import end_reason, info_rows, run_info


@dataclass(frozen=True)
class Run:
    """A run directory: configuration, events and models.

    Args:
        path: The directory.
        cell: The class of the cell, if it is not registered; several for a model with several cells.
        data: The table of training, if it was in memory; :func:`zoo.forecast` reads it.

    Raises:
        UsageError: if no run is there.
        CheckpointError: when a file that is read is damaged.
    """

    path: Path
    cell: type[Cell] | Sequence[type[Cell]] | None = field(default=None, repr=False)
    data: Any = field(default=None, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Convert the path, and check that a run is there."""
        path = as_path(self.path, "Run: path")
        object.__setattr__(self, "path", path)
        if rank_of_launch() == 0 and not RunDirectory(path).holds_run():  # rank 0 alone needs the directory
            reason = "no such directory" if not path.exists() else "no run is there"
            raise UsageError(f"Run: {path}: {reason}; give a run directory, which `zoo runs` lists.")

    @cached_property
    def config(self) -> Config:
        """The resolved configuration."""
        return config_from_json(RunDirectory(self.path).read_config(), str(self.path / "config.json"))

    @property
    def history(self) -> list[dict[str, Any]]:
        """The events of ``log.jsonl``."""
        return RunDirectory(self.path).read_log()

    @cached_property
    def model(self) -> AnyModel:
        """The model with the best validation."""
        return load_model(self.path, self.cell)

    @property
    def best_loss(self) -> float | None:
        """Lowest validation loss, of a text in nats per symbol; None before the first validation."""
        return min(map(self._loss, self.events("eval")), default=None)

    @property
    def ended(self) -> str | None:
        """Reason of the end: ``finished``, ``solved``, ``no improvement``, ``interrupted``, ``diverged``.

        None if training has not ended, or was killed.
        """
        return end_reason(next(iter(deque(self.events(), maxlen=1)), {}))

    def events(self, kind: str | None = None) -> Iterator[Mapping[str, Any]]:
        """The events of a kind, or all, one in memory at a time."""
        events = log.iterate(RunDirectory(self.path).log_path)
        return (event for _, event in events if kind is None or event.get("event") == kind)

    def _repr_html_(self) -> str:
        """A table for notebooks: cell, data, steps with the reason of the end, and best validation."""
        from zoo.tables import TextTable

        return TextTable(f"Run {self.path}", ("", ""), tuple(info_rows(run_info(self)))).html()

    def _loss(self, event: Mapping[str, Any]) -> float:
        """Read the loss of a validation."""
        loss = event.get("loss")
        if is_number(loss):
            return float(loss)
        if loss in log.NOT_FINITE:
            return float(loss)
        raise CheckpointError(
            f"{RunDirectory(self.path).log_path}: a validation has the loss {quote(str(loss))}; expected a "
            f"number. Correct or delete that line."
        )


class Interrupted(KeyboardInterrupt):
    """A run or comparison stopped after a signal, and has saved.

    Attributes:
        signal: Number of the signal.
        path: Directory of the run or comparison, which can be resumed.
    """

    def __init__(self, number: int, path: Path) -> None:
        super().__init__(f"{signal.Signals(number).name}: saved; it can be resumed in {path}")
        self.signal, self.path = number, path

    def __reduce__(self) -> tuple[Any, ...]:
        return Interrupted, (self.signal, self.path)


def new_directory(cell: str, data_name: str) -> Path:
    """Create the first free ``runs/CELL-DATA-N``; two processes at the same time get different ones."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", f"{cell}-{data_name}")[:100]
    number = 1
    while True:
        path = Path("runs") / f"{name}-{number}"
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError:
            return path  # the first write to it raises the error
        else:
            return path
