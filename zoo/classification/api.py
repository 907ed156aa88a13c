"""``zoo.predict``: labels of whole sequences from a trained run."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

from zoo.arguments import as_path
from zoo.classification.predictor import Predictions, Predictor
from zoo.errors import CheckpointError, UsageError, ZooWarning
from zoo.model.checkpoint import CellClasses
from zoo.storage import RunDirectory
from zoo.storage import load as load_checkpoint


def open_predictor(run: Any, cell: CellClasses = None) -> Predictor:
    """The predictor of a run.

    Args:
        run: A predictor; a run, a run directory, of which the best model is taken, or a ``.safetensors``
            file.
        cell: The class of the cell, if it is not registered.

    Raises:
        CheckpointError: If it does not exist, or is damaged.
        UsageError: If it is a run on other data.
    """
    if isinstance(run, Predictor):
        return run
    path = as_path(getattr(run, "path", run), "run")
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for a name that is too long
        raise UsageError(f"{path}: no such file or directory; `zoo runs` lists the runs.")
    checkpoint = _load_best(path) if path.is_dir() else load_checkpoint(path)
    given = getattr(run, "cell", None), getattr(run, "data", None)
    return Predictor.from_checkpoint(checkpoint, str(path), cell or given[0], given[1])


def _load_best(path: Path) -> Any:
    best = RunDirectory(path).load_best(lambda text: warnings.warn(text, ZooWarning, stacklevel=3))
    if best is None:
        raise CheckpointError(
            f"{path} holds no checkpoint; give a run directory of `zoo train` or a .safetensors file."
        )
    return best[1]


def predict(run: Any, data: Any = None, *, cell: CellClasses = None) -> Predictions:
    """Predict the label of each sequence with a trained model.

    >>> zoo.predict("runs/gru-recordings-1", "new.csv").columns()["activity"]

    Args:
        run: A run of :func:`zoo.train` on labelled sequences, its directory, or what :func:`zoo.fit` returns.
        data: A file, a table, a list of arrays ``(T, I)``, an array ``(N, T, I)``, or
            :class:`zoo.data.LabelledSequences`, with or without labels; None for the data of training.
        cell: The class of the cell, if it is not registered.

    Returns:
        The predictions; ``columns()`` are columns for a data frame, ``to_csv()`` is CSV.

    Raises:
        DataError: If the data cannot be read, or do not fit the model.
        UsageError: If an argument is invalid.
        CheckpointError: If the run does not exist, or is damaged.
    """
    return open_predictor(run, cell).predict(data)
