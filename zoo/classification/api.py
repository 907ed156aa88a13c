"""``zoo.predict``: labels of whole sequences, or of each of their steps, from a trained run."""

from __future__ import annotations

from typing import Any

from zoo.classification.predictor import Predictions, Predictor
from zoo.data.training_files import check_training_files
from zoo.model.checkpoint import CellClasses


def predict(run: Any, data: Any = None, *, cell: CellClasses = None) -> Predictions:
    """Predict the label of each sequence, or of each time step, with a trained model.

    >>> zoo.predict("runs/gru-recordings-1", "new.csv").columns()["activity"]

    Args:
        run: A run of :func:`zoo.train` on labelled sequences, its directory, or what :func:`zoo.fit` returns.
        data: A file, a table, a list of arrays ``(T, I)``, an array ``(N, T, I)``, or
            :class:`zoo.data.LabelledSequences`, with or without labels; None for the data of training.
        cell: The class of the cell, if it is not registered.

    Returns:
        The predictions; ``columns()`` are columns for a data frame, ``to_csv()`` is CSV.

    Raises:
        DataError: if the data cannot be read, or do not fit the model.
        UsageError: if an argument is invalid.
        CheckpointError: if the run does not exist, or is damaged.
    """
    predictor = Predictor.load(run, cell)
    if data is None:
        check_training_files(run, [predictor.data])
    return predictor.predict(data)
