"""Kinds of times: new data for a model have the same kind as the data of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import numpy as np

from zoo.array_types import Array
from zoo.data.growing_array import row_chunks
from zoo.errors import DataError

TimeKind = Literal["none", "number", "date"]

_NOUNS: Mapping[TimeKind, str] = {"none": "no times", "number": "times that are numbers", "date": "dates"}

_REMEDIES: Mapping[TimeKind, str] = {
    "none": "Remove the times",
    "number": "Give times as numbers, in the unit of training",
    "date": "Give times such as 2024-05-01 13:00",
}


def time_kind(times: Array | None) -> TimeKind:
    """The kind of some times; None for no times."""
    if times is None:
        return "none"
    return "date" if times.dtype.kind == "M" else "number"


def as_time_kind(stored: Any) -> TimeKind | None:
    """The kind that a checkpoint stores; None in runs of older versions.

    Raises:
        ValueError: if it is anything else.
    """
    if stored is not None and stored not in get_args(TimeKind):
        raise ValueError("the kind of times is unknown")
    kind: TimeKind | None = stored
    return kind


def check_time_kind(name: str, given: TimeKind, trained: TimeKind | None, column: str | None) -> None:
    """Raise an error if a model that reads the time between rows gets other times than in training.

    Args:
        name: The name of the data.
        given: Their times.
        trained: The times of training; None if they are unknown.
        column: The column of the times; None for other data.
    """
    if trained not in (None, given):
        assert trained is not None  # the line above checks it
        where = "" if column is None else f" in column {column!r}"
        raise DataError(
            f"{name} has {_NOUNS[given]}{where}, and the data of training had {_NOUNS[trained]}; the model "
            f"reads the time between rows. {_REMEDIES[trained]}, or train on data such as these."
        )


def uneven_share(differences: Array) -> float:
    """The share of steps that differ from the median by more than 15 %, as no calendar month does.

    Args:
        differences: The time from the row before, in units of the median, `(N,)`.
    """
    chunks = row_chunks(len(differences))
    uneven = sum(int((np.abs(differences[rows] - 1) > 0.15).sum()) for rows in chunks)
    return uneven / len(differences)
