"""The data of a run directory for its report; checkpoint, model and cell are loaded on first use."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.base import Cell, Task
from zoo.classification import Predictor
from zoo.data.training_files import check_training_files
from zoo.errors import UnknownNameError, UsageError, ZooError, ZooWarning
from zoo.forecasting import Forecaster
from zoo.model import AnyModel, model_from
from zoo.model.checkpoint import CellClasses, cell_classes, fitting_class
from zoo.registry import get_cell, get_task
from zoo.report.blocks import PageBlock, TextBlock
from zoo.report.history import RunHistory
from zoo.storage import Checkpoint, RunDirectory
from zoo.training.config import Config
from zoo.training.config_conversion import config_from_json


@dataclass(frozen=True)
class RunData:
    """The data of a run directory.

    Args:
        directory: The directory.
        config: The resolved configuration.
        history: The log.
        cell_class: The class of the cell, if it is not registered; several for several cells.
        task_class: The class of the task, if it is not registered.
        moved_data: The files of the training data, if they are not where they were; otherwise empty.
    """

    directory: RunDirectory
    config: Config
    history: RunHistory
    cell_class: CellClasses
    task_class: type[Task] | None = None
    moved_data: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        path: Path,
        cell_class: CellClasses,
        task_class: type[Task] | None = None,
        moved_data: Sequence[str] = (),
    ) -> RunData:
        """Open a run directory.

        Raises:
            CheckpointError: if its configuration or its log is missing or damaged.
            UsageError: if ``moved_data`` is given for a run on a task, or has several files of a table.
            MissingSourceError: if one of them is missing.
        """
        directory = RunDirectory(path)
        config = config_from_json(directory.read_config(), str(directory.config_path))
        if moved_data and config.task is not None:
            raise UsageError(f"{path} was trained on the task {config.task!r}; `data` does not apply to it.")
        if len(moved_data) > 1 and config.data_kind != "text":
            raise UsageError(f"data are {len(moved_data)} files; {path} was trained on one.")
        check_training_files(path, moved_data, "Give the path of the file that was moved.")
        history = RunHistory.read(directory)
        return cls(directory, config, history, cell_class, task_class, tuple(moved_data))

    @property
    def sources(self) -> tuple[str, ...]:
        """The data of training, where they are now."""
        return self.moved_data or self.config.data

    @property
    def digest(self) -> Any:
        """SHA-256 of the data or the task of training, of the best checkpoint; None if it has none."""
        metadata = self.checkpoint.meta.get(self.config.data_kind) if self.checkpoint else None
        return metadata.get("sha256") if isinstance(metadata, dict) else None

    def check_sources(self) -> None:
        """Check that the data of training exist.

        Raises:
            MissingSourceError: if a file is missing.
        """
        check_training_files(self.directory.path, self.sources)

    @property
    def start_event(self) -> Mapping[str, Any]:
        """The last event that started or resumed the run."""
        return self.history.last("start", "resume")

    @cached_property
    def checkpoint(self) -> Checkpoint | None:
        """The best checkpoint; None before the first."""
        best = self.directory.load_best(warn)
        return best[1] if best else None

    def _checkpoint_of_cells(self) -> Checkpoint | None:
        """The best checkpoint; raises the error of `cells`, so that parts of the page have one cause."""
        if self.checkpoint is not None:
            _ = self.cells
        return self.checkpoint

    @cached_property
    def model(self) -> AnyModel | None:
        """The model of the best checkpoint."""
        if (checkpoint := self._checkpoint_of_cells()) is None:
            return None
        return model_from(checkpoint, str(self.directory.path), self.cell_class)

    @cached_property
    def forecaster(self) -> Forecaster | None:
        """The forecaster of the best checkpoint of a run on a table; None before the first.

        Raises:
            MissingSourceError: if the table is missing.
        """
        if (checkpoint := self._checkpoint_of_cells()) is None:
            return None
        forecaster = Forecaster.from_checkpoint(checkpoint, str(self.directory.path), self.cell_class)
        self.check_sources()
        return replace(forecaster, data=self.moved_data[0]) if self.moved_data else forecaster

    @cached_property
    def predictor(self) -> Predictor | None:
        """The predictor of the best checkpoint of a run on labelled sequences; None before the first.

        Raises:
            MissingSourceError: if the file is missing.
        """
        if (checkpoint := self._checkpoint_of_cells()) is None:
            return None
        predictor = Predictor.from_checkpoint(checkpoint, str(self.directory.path), self.cell_class)
        self.check_sources()
        return replace(predictor, data=self.moved_data[0]) if self.moved_data else predictor

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """The different cells of the layers, with their options.

        Raises:
            UnknownNameError: if one is not registered.
        """
        names, options = self.config.cell_names, self.config.cell_options
        source = str(self.directory.path)
        classes = cell_classes(self.cell_class, source)
        each = options if isinstance(options, tuple) else [options] * len(names)
        with _suggest_file_flag("cell"):
            cells = [
                cls(**chosen) if (cls := fitting_class(name, classes, source)) else get_cell(name, **chosen)
                for name, chosen in zip(names, each, strict=True)
            ]
        return tuple(dict.fromkeys(cells))

    @property
    def task(self) -> Task:
        """The task with its options.

        Raises:
            UnknownNameError: if it is not registered.
        """
        options = self.config.task_options
        with _suggest_file_flag("task"):
            return (
                self.task_class(**options) if self.task_class else get_task(self.config.task or "", **options)
            )


@contextmanager
def _suggest_file_flag(kind: str) -> Iterator[None]:
    """Add a hint about classes in files to an error about an unknown name."""
    try:
        yield
    except UnknownNameError as error:
        raise UnknownNameError(
            f"{error} If it is in a file, name it with `{kind}=FILE.py:Class`, or install or load its plugin."
        ) from error


class Omissions:
    """The parts that a page leaves out, by cause."""

    def __init__(self) -> None:
        """Begin without any."""
        self._names_by_cause: dict[str, list[str]] = {}

    def blocks_or_reason(self, name: str, make: Callable[[], tuple[PageBlock, ...]]) -> tuple[PageBlock, ...]:
        """The blocks of ``make``; if it fails, the reason as a text."""
        try:
            return make()
        except ZooError as error:
            self._names_by_cause.setdefault(str(error), []).append(name)
            return (TextBlock(f"{name} left out: {error}", warning=True),)

    def warn(self) -> None:
        """Warn once for each cause."""
        for cause, (first, *others) in self._names_by_cause.items():
            names = ", ".join([first, *(name[0].lower() + name[1:] for name in others)])
            warn(f"{names} left out: {cause}")


def warn(sentence: str) -> None:
    """Issue a ``ZooWarning``."""
    warnings.warn(sentence, ZooWarning, stacklevel=2)
