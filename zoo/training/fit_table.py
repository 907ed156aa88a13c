"""``zoo.fit``: train a forecasting model without a run directory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.errors import UsageError
from zoo.forecasting import Forecaster
from zoo.forecasting.api import open_forecaster
from zoo.layers.config import CellLike
from zoo.training.session import EventCallback, train


def fit(
    data: Any,
    target: str | Sequence[str],
    cell: CellLike | Sequence[CellLike] = "gru",
    *,
    on_event: EventCallback | None = None,
    **settings: Any,
) -> Forecaster:
    """Train a model to forecast columns of a table; nothing is written to the working directory.

    >>> forecaster = zoo.fit({"load": np.sin(np.arange(300) / 4)}, target="load", horizon=4, steps=20)
    >>> forecaster.forecast().values.shape
    (1, 4, 1, 3)

    Args:
        data: A file, a mapping from names to columns, an array, or a data frame.
        target: The column to forecast, or several.
        cell: The cell, as for :func:`zoo.train`.
        on_event: Called with every event; the last one, ``end``, holds the errors on the test part.
        **settings: The other settings of :class:`zoo.training.Config`, such as ``horizon``, ``context``,
            ``steps`` and ``patience``.

    Returns:
        The forecaster, with the parameters of the best validation.

    Raises:
        UsageError: If a setting is invalid.
        DataError: If the data do not fit the settings.
        ZooError: If training diverges.
    """
    if data is None:
        raise UsageError("data is None; expected a file, a mapping of columns, an array or a data frame.")
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory) / "run"
        run = train(data, cell, out=out, target=target, on_event=on_event, kind="table", **settings)
        return open_forecaster(run)
