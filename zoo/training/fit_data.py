"""``zoo.fit``: train a model on a table or on labelled sequences without a run directory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, overload

import numpy as np

from zoo.base import Cell, Optimizer
from zoo.classification import Predictor
from zoo.data.column_notes import NoteWords, warn_of_columns
from zoo.data.panel import warn_of_unread_times
from zoo.data.sequence_reader import is_arrays_of_sequences
from zoo.data.table import DataTable, is_table_like
from zoo.data.table_files import is_table_directory, is_table_file, read_table
from zoo.errors import UsageError
from zoo.forecasting import Forecaster
from zoo.layers.config import CellLike
from zoo.training.config_conversion import make_config
from zoo.training.fit import train_in_memory
from zoo.training.regularisation import as_regularisation
from zoo.training.series_dataset import prepare_table
from zoo.training.session import EventCallback, train
from zoo.training.trainer import Event


@overload
def fit(
    data: Any,
    target: str | int | Sequence[str] | Sequence[int],
    cell: CellLike | Sequence[CellLike] = ...,
    *,
    on_event: EventCallback | None = None,
    **settings: Any,
) -> Forecaster: ...


@overload
def fit(
    data: Any,
    *,
    cell: CellLike | Sequence[CellLike] = ...,
    label: Any = None,
    on_event: EventCallback | None = None,
    **settings: Any,
) -> Predictor: ...


def fit(
    data: Any,
    target: str | int | Sequence[str] | Sequence[int] | None = None,
    cell: CellLike | Sequence[CellLike] = "gru",
    *,
    label: Any = None,
    on_event: EventCallback | None = None,
    **settings: Any,
) -> Forecaster | Predictor:
    """Train a model on your data; nothing is written to the working directory.

    With a target it forecasts columns of a table. Without one it predicts the labels of whole sequences, or
    with ``pooling="none"`` of each of their steps.

    >>> forecaster = zoo.fit({"load": np.sin(np.arange(300) / 4)}, target="load", horizon=4, steps=20)
    >>> forecaster.forecast().values.shape
    (1, 4, 1, 3)
    >>> recordings = [np.random.rand(9, 2) + number % 2 for number in range(40)]
    >>> predictor = zoo.fit(recordings, label=["a", "b"] * 20, steps=20)
    >>> predictor.predict([np.ones((5, 2))]).values.shape
    (1, 2)

    Args:
        data: A file, a mapping from names to columns, an array, or a data frame; for labels also a list of
            arrays ``(T, I)``, an array ``(N, T, I)``, or :class:`zoo.data.LabelledSequences`.
        target: The column to forecast, or several; a number for a column of an array.
        cell: The cell, as for :func:`zoo.train`.
        label: The column of the labels; or the N labels themselves, or N vectors with the labels of the
            steps, if the data are arrays.
        on_event: Called with every event; the last one, ``end``, holds the scores on the test part.
        **settings: The other settings of :class:`zoo.training.Config`, such as ``horizon``, ``context``,
            ``series``, ``steps`` and ``patience``.

    Returns:
        The forecaster, or the predictor of labels, with the parameters of the best validation.

    Raises:
        UsageError: if a setting is invalid.
        DataError: if the data do not fit the settings.
        ZooError: if training diverges.
    """
    if data is None:
        raise UsageError("data is None; expected a file, a mapping of columns, an array or a data frame.")
    if "out" in settings:
        raise UsageError("zoo.fit writes no run; leave `out` out, or use zoo.train with the same arguments.")
    if target is None and label is None and _is_file_of_table(data):
        data = read_table(data)  # a table without a target is an error that lists its columns
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "run"
        if target is not None or (label is None and _is_table(data)):
            settings |= {"target": () if target is None else target, "label": label}
            settings |= {"kind": _checked_kind(settings, "table")}
            return Forecaster.load(train(data, cell, out=out, on_event=on_event, **settings))
        is_list = isinstance(data, (list, tuple)) or (isinstance(data, np.ndarray) and data.ndim == 3)
        if is_list and (label is None or isinstance(label, str)):
            raise UsageError(
                "label is missing; give the label of each sequence, as in zoo.fit(data, label=labels)."
            )
        settings |= {"kind": _checked_kind(settings, "sequences")}
        return Predictor.load(train(data, cell, out=out, on_event=on_event, label=label, **settings))


def _checked_kind(settings: dict[str, Any], kind: str) -> str:
    """The kind of the data, which the target decides.

    Raises:
        UsageError: if the settings have another one.
    """
    if make_config({"kind": settings.get("kind")}).kind not in (None, kind):
        advice = "give a `target` for a table" if kind == "sequences" else "leave `target` out for sequences"
        raise UsageError(
            f"kind is {settings['kind']!r}, and zoo.fit reads these data as {kind!r}; leave it out, or "
            f"{advice}."
        )
    return kind


def _is_file_of_table(data: Any) -> bool:
    """Whether data are a file or directory of tables; an ``.npz`` file may hold labelled sequences."""
    if not isinstance(data, (str, Path)) or Path(data).suffix.lower() == ".npz":
        return False
    return is_table_file(str(data)) or is_table_directory(str(data))


def _is_table(data: Any) -> bool:
    """Whether data in memory are a table, and not sequences."""
    if isinstance(data, np.ndarray):
        return data.ndim < 3
    return is_table_like(data) and not is_arrays_of_sequences(data)


def fit_forecaster(
    table: DataTable, cell: Cell | list[Cell], optimizer: Optimizer, words: NoteWords, **settings: Any
) -> tuple[Forecaster, list[Event]]:
    """Train a forecaster without a run directory, and return the events that have a loss.

    Args:
        table: The table.
        cell: The cell of all layers, or of each.
        optimizer: The optimizer.
        words: Names of columns and arguments in warnings.
        **settings: Other settings of :class:`zoo.training.Config`.
    """
    config, dataset = prepare_table(make_config({**settings, "kind": "table"}), table)
    warn_of_unread_times(table.name, dataset.left_out)
    warn_of_columns(table.name, dataset.notes_in(words))
    config = replace(config, log_every=config.eval_every or 1)
    model = dataset.make_model(cell, config)
    regularisation = as_regularisation(optimizer, base_hidden=config.base_hidden)
    history = train_in_memory(config, dataset, model, optimizer, regularisation=regularisation)
    windows, calibration = dataset.windows, dataset.calibration(model)
    return Forecaster(model, windows.spec, windows.scaling, table, calibration), history
