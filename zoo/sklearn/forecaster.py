"""``zoo.sklearn.SequenceForecaster``: forecasts of time series, on the forecaster of zoo."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_array, check_is_fitted

from zoo.arguments import as_choice, as_number, short_repr
from zoo.array_types import Array
from zoo.arrays import check_unmasked
from zoo.base import Cell, Optimizer
from zoo.data.column_notes import NoteWords
from zoo.data.table import DataColumn, DataTable, as_column, as_names, as_table, time_index
from zoo.errors import CheckpointError, UsageError
from zoo.forecasting import Forecast, Forecaster
from zoo.model.checkpoint import CellClasses
from zoo.registry import resolve_cell
from zoo.registry.api import resolve
from zoo.sklearn.base_estimator import LARGEST_SEED, fit_or_restore, positive, suggest_names
from zoo.sklearn.checkpoint import restored_cell, save_estimator
from zoo.sklearn.sequences import check_known_form
from zoo.storage import Checkpoint
from zoo.training.config import PREDICT
from zoo.training.fit_data import fit_forecaster

_TARGET = "y"


class SequenceForecaster(BaseEstimator):  # type: ignore[misc]
    """Forecasts of one or several time series, whose rows are the time steps, in order.

    The data are an array ``(N,)`` or ``(N, C)``, a mapping of columns, or a data frame, whose index may hold
    the times. ``y`` holds the targets, and X the other columns. Without ``y``, the columns ``target`` of X
    are the targets. Scaling, windows and forecasts are those of :func:`zoo.fit` (docs/howto/forecast.md).

    >>> forecaster = SequenceForecaster(horizon=12, context=24, random_state=0).fit(series)
    >>> forecaster.predict()  # the 12 steps after the series

    Args:
        cell: Name of a registered cell, a cell class, a cell with options, or a list with one for each layer.
        hidden_size: ``H``.
        num_layers: ``L``.
        horizon: Steps of a forecast, h.
        context: Steps that the model reads before a forecast; None for three horizons or two seasons, at
            least 24.
        target: Names of the targets among the columns of X, in an array ``"0"``, ``"1"`` and so on; None for
            all, or if ``y`` is given.
        known_future: Names of columns of X whose future values are known.
        time: Name of the column of times; None for the only one with times, if there is one.
        series: Name of the column that names the series of a row; None for one series.
        season: Steps of a season; None to find it from the times or the values, 1 for none.
        missing: Treatment of missing values: ``"reject"``, ``"forward"`` or ``"mask"``.
        loss: Name of a loss of numbers; with ``"interval"`` the model predicts an interval too.
        steps: Updates of the parameters.
        batch_size: Windows per update.
        optimizer: Name of an optimizer, or an optimizer with options.
        lr: Learning rate; None for the optimizer's default.
        base_hidden: Hidden units for which ``lr`` was chosen; None for ``hidden_size``. Matrices with inputs
            from hidden units learn at ``lr * base_hidden / hidden_size`` (docs/howto/learning-rate.md).
        clip: Maximum gradient norm; None for no limit.
        dtype: ``"float32"`` or ``"float64"``.
        precision: ``"bf16"`` for matrix products in bfloat16; see :class:`zoo.layers.StackConfig`. None for
            products in ``dtype``.
        threads: Number of threads; None for every processor. Results do not depend on it.
        random_state: Seed of initialisation, windows and noise: an integer, a ``RandomState``, or None.
        dropout: Dropout probability between layers.
        patience: Validations without improvement after which training stops; the model then has the
            parameters of the best validation. There are 20 validations in all. None to train on all rows,
            without validation.
        validation_fraction: Share of the rows, at the end of each series, that validate if there is a
            patience.
        output: Whether the network predicts the ``"change"`` from the last value, the ``"level"``, or the
            error of a linear forecast, which it corrects, ``"correction"``: ``predict`` of :func:`zoo.fit`.
        embedding: Size of a trained vector for each value of a column of texts; None for an input for each
            value.

    Attributes:
        forecaster_: The :class:`zoo.forecasting.Forecaster`, which also gives intervals and backtests.
        losses_: The mean loss between two validations.
        validation_losses_: The validation losses; empty without a patience.
        n_features_in_: Columns of X.
    """

    @suggest_names
    def __init__(
        self,
        cell: str | type[Cell] | Cell | Sequence[Any] = "gru",
        hidden_size: int = 32,
        num_layers: int = 1,
        *,
        horizon: int = 1,
        context: int | None = None,
        target: str | Sequence[str] | None = None,
        known_future: str | Sequence[str] = (),
        time: str | None = None,
        series: str | None = None,
        season: int | None = None,
        missing: str = "reject",
        loss: str = "interval",
        steps: int = 500,
        batch_size: int = 64,
        optimizer: str | Optimizer = "adam",
        lr: float | None = 0.005,
        base_hidden: int | None = None,
        clip: float | None = 1.0,
        dtype: str = "float32",
        precision: str | None = None,
        threads: int | None = None,
        random_state: Any = None,
        dropout: float = 0.0,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        output: str = "change",
        embedding: int | None = None,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.horizon = horizon
        self.context = context
        self.target = target
        self.known_future = known_future
        self.time = time
        self.series = series
        self.season = season
        self.missing = missing
        self.loss = loss
        self.steps = steps
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.base_hidden = base_hidden
        self.clip = clip
        self.dtype = dtype
        self.precision = precision
        self.threads = threads
        self.random_state = random_state
        self.dropout = dropout
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.output = output
        self.embedding = embedding

    _note_words = NoteWords(
        missing="replace it by NaN, and set missing='forward' or missing='mask'",
        order="name it in `time`, or leave it out of X",
        column="column {!r}",
    )

    @fit_or_restore
    def fit(self, X: Any, y: Any = None, *, validation: Any = None) -> SequenceForecaster:
        """Train on all windows of the rows.

        Args:
            X: The columns, or the series itself; None if only ``y`` is given.
            y: The targets, ``(N,)`` or ``(N, M)``; None if they are columns of X.
            validation: The rows that follow, ``(X, y)``, or X alone without ``y``, in place of a share of the
                rows. The model has the parameters of their best validation, and forecasts begin after them.

        Raises:
            ValueError: if an argument is invalid, or the rows are too few.
            ZooError: if training diverges.
        """
        table, split = self._table(X, y, reset=True), self._split()
        if validation is not None:
            table, split = self._followed_by_validation(table, validation)
        has_validation = validation is not None or self.patience is not None
        rng = check_random_state(self.random_state)
        steps = positive(self.steps, "steps")
        layers = positive(self.num_layers, "num_layers")
        cells: Sequence[Any] = self.cell if isinstance(self.cell, (list, tuple)) else [self.cell] * layers
        optional = {
            name: getattr(self, name) for name in ("base_hidden", "context", "season", "threads", "embedding")
        }
        self.forecaster_, history = fit_forecaster(
            table,
            [resolve_cell(cell) for cell in cells],
            resolve(Optimizer, self.optimizer, {}),
            self._note_words,
            **{name: None if value is None else positive(value, name) for name, value in optional.items()},
            target=self._targets,
            known_future=as_names(self.known_future),
            time=self.time,
            series=self.series,
            missing=self.missing,
            loss=self.loss,
            predict=as_choice(self.output, "output", PREDICT),
            horizon=positive(self.horizon, "horizon"),
            hidden=positive(self.hidden_size, "hidden_size"),
            layers=len(cells),
            steps=steps,
            batch=positive(self.batch_size, "batch_size"),
            lr=None if self.lr is None else as_number(self.lr, "lr"),
            clip=0.0 if self.clip is None else as_number(self.clip, "clip"),
            dtype=self.dtype,
            precision=self.precision,
            seed=int(rng.randint(LARGEST_SEED)),
            dropout=as_number(self.dropout, "dropout"),
            patience=0 if self.patience is None else positive(self.patience, "patience"),
            split=split,
            eval_every=max(1, steps // 20) if has_validation else steps,
        )
        self.losses_ = [event["loss"] for event in history if event["event"] == "step"]
        evals = [event["loss"] for event in history if event["event"] == "eval"]
        self.validation_losses_ = evals if has_validation else []
        return self

    def forecast(
        self, X: Any = None, y: Any = None, steps: int | None = None, *, level: float | None = None
    ) -> Forecast:
        """Forecasts with intervals and times; see :meth:`zoo.forecasting.Forecaster.forecast`.

        An interval needs a validation part, and so a ``patience``.

        Args:
            X: The rows before the forecast, in the form of ``fit``; None for the rows of training. Columns
                with a known future need their future values in further rows, without targets.
            y: Their targets, if ``fit`` was given ``y``. Without them, the rows of X follow the rows of
                training.
            steps: Steps of the forecast; None for the horizon.
            level: Share of values within the interval, 0 for none; None for the quantiles of the loss, or
                else 0.8.

        Raises:
            ValueError: if an argument is invalid, or the rows are too few.
        """
        check_is_fitted(self, "forecaster_")
        if X is None and y is None:
            self._training_table()
            table = None
        elif self._has_y and y is None:
            after = self._inputs(X)
            table = self._training_table()
            table = _followed_by(table, after) if self.known_future else table
        else:
            table = self._table(X, y, reset=False)
        forecast: Forecast = self.forecaster_.forecast(table, steps, level=level)
        return forecast

    def _followed_by_validation(self, table: DataTable, validation: Any) -> tuple[DataTable, str]:
        """The rows for training and then those for validation, and the split between them.

        Raises:
            ValueError: if the rows for validation are not in the form of those for training.
        """
        owner = type(self).__name__
        if self.series is not None:
            raise ValueError(f"{owner}: validation is given with `series`; set validation_fraction instead.")
        pair = validation if self._has_y else (validation, None)
        if not isinstance(pair, tuple) or len(pair) != 2:
            raise ValueError(f"{owner}: validation is {short_repr(validation)}; expected a pair (X, y).")
        joined = _followed_by(table, self._table(pair[0], pair[1], reset=False).columns)
        # The split rounds to whole rows after nine decimals.
        share = (Decimal(len(table)) / len(joined)).quantize(Decimal("1e-15"))
        return joined, f"{share:f},{1 - share:f}"

    def _training_table(self) -> DataTable:
        table = self.forecaster_.data
        if not isinstance(table, DataTable):
            given = "X and y" if self._has_y else "X"
            raise ValueError(
                f"{type(self).__name__} was loaded without its data; pass {given}, the rows before the "
                f"forecast."
            )
        return table

    def predict(self, X: Any = None, y: Any = None) -> Array:
        """Point forecasts of the ``horizon`` steps after the rows; arguments as for :meth:`forecast`.

        Returns:
            ``(h,)``, or ``(h, M)`` for targets ``(N, M)``; with a first axis for the series if ``series`` is
            given.
        """
        points = self.forecast(X, y, level=0).values[..., 0]
        points = points if self.series is not None else points[0]
        return points[..., 0] if self._is_flat else points

    def score(self, X: Any = None, y: Any = None) -> float:
        """Skill of the forecasts from all rows with ``context`` rows before and ``horizon`` rows after them.

        Args:
            X: The rows, in the form of ``fit``; None if only ``y`` is given.
            y: Their targets, if ``fit`` was given ``y``.

        Returns:
            1 - MAE / MAE of the seasonal naive forecast, or of the last value without a season: 1 is perfect,
            0 is as good as the naive forecast. The mean over targets.

        Raises:
            ValueError: if an argument is invalid, or the rows are too few.
        """
        check_is_fitted(self, "forecaster_")
        table = self._table(X, y, reset=False)
        backtest = self.forecaster_.backtest(table, stride=1, part="all", level=0)
        forecast, naive = backtest.forecast, backtest.seasonal_naive
        points = forecast.values[..., 0]
        errors, of_naive = (
            np.nanmean(np.abs(each - forecast.actual), axis=(0, 1)) for each in (points, naive)
        )
        return float(np.mean(1 - errors / np.maximum(of_naive, np.finfo(float).tiny)))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator, without its data, to a ``.safetensors`` file, whole or not at all.

        ``zoo.sklearn.load``, ``zoo.forecast`` and ``zoo.backtest`` read it.

        Raises:
            CheckpointError: if the file cannot be written.
        """
        check_is_fitted(self, "forecaster_")
        save_estimator(self, path, self.forecaster_.to_checkpoint())

    def _restore(self, checkpoint: Checkpoint, source: str, cell: CellClasses) -> None:
        """Load the model of a checkpoint, whose description of the estimator is loaded."""
        loaded = Forecaster.from_checkpoint(checkpoint, source, cell)
        if loaded.spec.roles.target != tuple(getattr(self, "_targets", ())):
            raise CheckpointError(f"{source}: its description of the estimator does not fit its model.")
        self.forecaster_, self.cell = loaded, restored_cell(self.cell, loaded.model)

    def _table(self, X: Any, y: Any, reset: bool) -> DataTable:
        """The columns of X and y as one table; store the names of the targets if ``reset``.

        Raises:
            ValueError: if the data are no columns, or differ from those of ``fit``.
        """
        owner = type(self).__name__
        if X is None and y is None:
            raise ValueError(f"{owner}: X and y are None; give the series.")
        if X is None and reset:
            self.n_features_in_ = 0
        given = {} if X is None else self._inputs(X, reset)
        targets = {} if y is None else _columns(y, f"{owner}: y", _TARGET, self.missing)
        times = {name: targets.pop(name) for name in [*targets] if targets[name].kind == "time"}
        if not any(column.kind == "time" for column in given.values()):
            given = times | given
        if both := given.keys() & targets.keys():
            raise ValueError(f"{owner}: X and y both have the column {min(both)!r}; rename one.")
        if reset:
            self._has_y = y is not None
            self._targets = list(targets) or self._target_names(given)
            self._is_flat = _is_one_column(X if y is None else y) or isinstance(self.target, str)
        elif self._has_y != (y is not None):
            raise ValueError(f"{owner}: fit was given {'y' if self._has_y else 'no y'}; give the same here.")
        rows = max(map(len, given.values()), default=0)
        observed = max(map(len, targets.values()), default=rows)
        if given and (observed > rows or (observed < rows and not self.known_future)):
            raise ValueError(
                f"{owner}: X has {rows:,} rows and y {observed:,}; expected as many, or further rows of X "
                f"with the future of the columns in known_future."
            )
        name = f"{owner}: {'y' if X is None else 'X'}"
        return DataTable(name, given | {name: _padded(each, rows) for name, each in targets.items()}, "")

    def _inputs(self, X: Any, reset: bool = False) -> dict[str, DataColumn]:
        """The columns of X; store their number if ``reset``.

        Raises:
            ValueError: if they are no columns, or not as many as in ``fit``.
        """
        owner = type(self).__name__
        names = () if self.series is None else (self.series,)
        given = _columns(X, f"{owner}: X", "", self.missing, names)
        if reset:
            self.n_features_in_ = len(given)
        elif len(given) != self.n_features_in_:
            expected = f"is expecting {self.n_features_in_} features as input"
            raise ValueError(f"X has {len(given)} features, but {owner} {expected}.")
        return given

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan, tags.input_tags.string = self.missing != "reject", True
        tags.target_tags.multi_output = True
        return tags

    def _target_names(self, given: Mapping[str, DataColumn]) -> list[str]:
        """The columns of X that are targets: ``target``, or all columns of numbers without another use."""
        if self.target is not None:
            return [self.target] if isinstance(self.target, str) else list(self.target)
        others = {*as_names(self.known_future), self.time, self.series}
        return [name for name, column in given.items() if name not in others and column.kind == "number"]

    def _split(self) -> str:
        """The shares of the rows for training and validation."""
        if self.patience is None:
            return "100"
        share = as_number(self.validation_fraction, "validation_fraction")
        if not 0 < share < 1:
            raise UsageError(f"validation_fraction is {share:g}; expected a number between 0 and 1.")
        return f"{1 - Decimal(str(share)):f},{Decimal(str(share)):f}"


def _columns(
    data: Any, owner: str, prefix: str, missing: str, identifiers: tuple[str, ...] = ()
) -> dict[str, DataColumn]:
    """Name to column of an array, a series, a mapping or a data frame.

    Args:
        data: The columns.
        owner: Their name in messages.
        prefix: Of the names of the columns of an array; the name of a single one without a name.
        missing: Treatment of missing values.
        identifiers: Columns that name series.

    Raises:
        ValueError: if it is anything else.
    """
    check_unmasked(data, owner)
    check_known_form(data, owner, "numbers, a row for each time step")
    is_sparse = hasattr(data, "toarray")  # one of its formats is a mapping
    if not is_sparse and (isinstance(data, Mapping) or hasattr(data, "columns")):
        return dict(as_table(data, owner, identifiers).columns)
    name, times = getattr(data, "name", None), time_index(data)
    limits = {"ensure_2d": False, "ensure_all_finite": "allow-nan", "ensure_min_samples": 2}
    data = check_array(data, dtype=None, input_name=owner, **limits)
    if missing == "reject" and data.dtype.kind == "f" and np.isnan(data).any():
        raise ValueError(f"{owner} contains NaN; fill it, or set missing='forward' or missing='mask'.")
    if data.ndim == 1:
        name = (prefix or "0") if name is None else str(name)
        return {name: as_column(name, each, owner) for name, each in (times | {name: data}).items()}
    columns = as_table(data, owner).columns
    return {f"{prefix}{name}": replace(each, name=f"{prefix}{name}") for name, each in columns.items()}


def _is_one_column(data: Any) -> bool:
    """Whether the targets are a vector or a series, and not columns by name.

    NumPy would convert a data frame of polars to one array, which fails if it has times and numbers.
    """
    return not hasattr(data, "columns") and np.ndim(data) == 1


_KINDS = {"number": "numbers", "category": "texts", "time": "dates"}


def _followed_by(table: DataTable, rows: Mapping[str, DataColumn]) -> DataTable:
    """A table with more rows, in which columns that are not given are missing.

    Raises:
        ValueError: if a column of times is not given, or a column has another kind of values.
    """
    count, columns = len(next(iter(rows.values()))), {}
    for name, column in table.columns.items():
        if column.kind == "time" and name not in rows:
            raise ValueError(f"X has no times; give them in a column {name!r}, or in the index.")
        if (
            name in rows
            and rows[name].kind != column.kind
            and not any(map(_is_missing, (rows[name], column)))
        ):
            given, of_fit = _KINDS[rows[name].kind], _KINDS[column.kind]
            raise ValueError(
                f"X has {given} in column {name!r}, and fit was given {of_fit}; give {of_fit} here, too."
            )
        after = _values(rows[name]) if name in rows else np.full(count, np.nan)
        joined = as_column(name, np.concatenate([_values(column), after]), table.name)
        columns[name] = replace(joined, is_utc=column.is_utc)
    return replace(table, columns=columns)


def _is_missing(column: DataColumn) -> bool:
    """Whether all values are missing, so that their kind is unknown."""
    return column.kind == "number" and bool(np.isnan(column.values).all())


def _values(column: DataColumn) -> Array:
    """Numbers, times or texts."""
    if column.kind != "category":
        return column.values
    return np.array([*column.categories, None], object)[column.values]


def _padded(column: DataColumn, rows: int) -> DataColumn:
    """A column of targets, with missing values in the rows of the future."""
    if len(column) >= rows or column.kind != "number":
        return column
    return replace(column, values=np.concatenate([column.values, np.full(rows - len(column), np.nan)]))
