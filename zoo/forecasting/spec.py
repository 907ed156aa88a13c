"""``ForecastSpec``: what a forecasting model reads and predicts; a checkpoint stores it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.base.loss import Loss
from zoo.data.panel import ColumnRoles, Panel
from zoo.data.table import DataColumn
from zoo.data.time_kind import TimeKind, as_time_kind
from zoo.errors import CheckpointError, UsageError
from zoo.model.category_inputs import CategoryInputs, category_inputs

_PLAIN = ("context", "horizon", "season", "change", "missing", "split")

_LEVELS: dict[str, Callable[[Sequence[float]], tuple[float, ...]]] = {
    "interval": lambda options: (options[0], 0.5, options[1]),
}
"""The quantiles that a loss with several outputs for each target predicts, from its options."""


_DEGREES = {"squared_error": 2, "absolute_error": 1, "quantile": 1, "interval": 1}
"""Losses that grow by a power of the factor of outputs and targets, and that power."""


def output_factors(
    losses: Sequence[str], targets: Sequence[str], weights: Mapping[str, float]
) -> tuple[float, ...]:
    """The factor of the outputs of each target by which the loss gets weights.

    Args:
        losses: The name of the loss of each target; the loss is their mean.
        targets: The columns.
        weights: Weights of some of them; the others have 1. Their mean is scaled to 1.

    Raises:
        UsageError: if a column is not a target, or the loss cannot be weighted by a factor.
    """
    for name in weights:
        if name not in targets:
            raise UsageError(
                f"target_weights names {name!r}, which is not a target; the targets are {', '.join(targets)}."
            )
    unknown = [loss for loss in losses if loss not in _DEGREES]
    if weights and unknown:
        raise UsageError(
            f"target_weights are given with the loss {unknown[0]!r}; expected the loss "
            f"{', '.join(map(repr, _DEGREES))}."
        )
    given = [weights.get(name, 1.0) for name in targets]
    return tuple(
        (weight * len(given) / sum(given)) ** (1 / _DEGREES.get(loss, 1))
        for weight, loss in zip(given, losses, strict=True)
    )


def quantile_levels(loss: Loss) -> tuple[float, ...]:
    """The quantiles that a model with this loss predicts for each target, ascending; empty for one number."""
    return _LEVELS[loss.name](loss.values) if loss.name in _LEVELS else ()


def _values_of_category(column: DataColumn, rows: Sequence[slice] | None) -> tuple[str, ...]:
    """The values of a category that occur in some rows, in the order of the column."""
    if rows is None:
        return column.categories
    occurs = np.zeros(len(column.categories), bool)
    for part in rows:
        codes = column.values[part]
        occurs[codes[codes >= 0]] = True
    return tuple(text for text, is_there in zip(column.categories, occurs, strict=True) if is_there)


def _is_static(values: Array, rows: Iterable[slice]) -> bool:
    """Whether a column is constant in most of the series that have values of it and more than one row."""
    parts = [values[part] for part in rows if part.stop - part.start > 1]
    ranges = [(np.fmin.reduce(part), np.fmax.reduce(part)) for part in parts]  # without missing values
    is_constant = [bool(low == high) for low, high in ranges if not np.isnan(low)]
    return sum(is_constant) > len(is_constant) / 2


@dataclass(frozen=True)
class ForecastSpec:
    """The inputs and outputs of a forecasting model.

    Attributes:
        roles: The roles of the columns of the table.
        categories: The values of each input that is a category; each is one input of the model.
        masked: Columns with missing values, for each of which an additional input marks them.
        context: Steps that the model reads before a forecast, T.
        horizon: Steps of a forecast, h.
        season: Steps of a season; 1 for none.
        change: Whether outputs are changes from the last value, and not levels.
        autoregression: Weights of the linear autoregression whose forecasts are subtracted from the changes,
            `(M, lags, h)` as tuples, from :func:`zoo.forecasting.baselines.fit_autoregression`; empty
            without one.
        levels: Quantiles that the outputs predict, ascending; empty for one number.
        missing: The treatment of missing values.
        time_unit: Unit of the time between rows: the median of the table of training, in seconds for dates.
        split: Shares of the training, validation and test parts of each series, or of the groups of series.
        output_factors: Factor of the outputs of each target, which gives it a weight in the loss.
        static: Inputs of numbers that are constant in most series, such as an age. They have one mean and one
            scale for all series: scaled for each series, they would be zero.
        split_seed: Seed that divides groups.
        has_exact_names: Whether series have the names of the table. Runs of older versions read names that
            are numbers as numbers, ``007`` as ``7``.
        time_kind: The kind of the times of training; None in runs of older versions.
    """

    roles: ColumnRoles
    categories: Mapping[str, tuple[str, ...]]
    masked: tuple[str, ...]
    context: int
    horizon: int
    season: int
    change: bool
    levels: tuple[float, ...]
    missing: str
    time_unit: float
    split: str
    output_factors: tuple[float, ...]
    static: tuple[str, ...] = ()
    split_seed: int = 0
    autoregression: tuple[tuple[tuple[float, ...], ...], ...] = ()
    has_exact_names: bool = True
    time_kind: TimeKind | None = None

    @classmethod
    def of_panel(cls, panel: Panel, rows: Sequence[slice] | None = None, **settings: Any) -> ForecastSpec:
        """The inputs and outputs for a panel, with the other attributes given.

        Args:
            panel: The series.
            rows: The rows of the training part of each series, which give the values of categories and the
                static inputs; None for all.
            **settings: The other attributes.
        """
        roles = panel.roles
        categories = {
            name: _values_of_category(panel.columns[name], rows)
            for name in roles.features
            if panel.columns[name].kind == "category"
        }
        past = (*roles.target, *roles.input)
        masked = tuple(name for name in past if panel.columns[name].missing().any())
        masked = masked if settings["missing"] == "mask" else ()
        static = tuple(
            name
            for name in roles.features
            if name not in (*roles.target, *categories)
            and _is_static(panel.numbers(name), panel.observed if rows is None else rows)
        )
        times: dict[str, Any] = {"time_unit": panel.step_size(), "time_kind": panel.time_kind}
        return cls(roles, categories, masked, static=static, **times, **settings)

    @property
    def numeric(self) -> tuple[str, ...]:
        """Columns of numbers that the model reads; the targets are first."""
        return tuple(name for name in self.roles.features if name not in self.categories)

    @cached_property
    def static_positions(self) -> list[int]:
        """The positions of the static inputs among the columns of numbers."""
        return [self.numeric.index(name) for name in self.static]

    @property
    def past_size(self) -> int:
        """Inputs of a step from the columns of that step."""
        one_hot = sum(map(len, self.categories.values()))
        return len(self.roles.target) + len(self.numeric) + one_hot + len(self.masked)

    @property
    def known_size(self) -> int:
        """Inputs for each future step."""
        known = self.roles.known_future
        return sum(len(self.categories[name]) if name in self.categories else 1 for name in known)

    @property
    def input_size(self) -> int:
        """``I``, inputs of a step."""
        return self.past_size + self.horizon * self.known_size

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The columns whose values are names."""
        return self.roles.identifiers if self.has_exact_names else ()

    @property
    def embedded_categories(self) -> dict[str, tuple[str, ...]]:
        """The values of each category, in the order of the rows of an embedding."""
        return {name: self.categories[name] for name in self.roles.features if name in self.categories}

    def category_inputs(self, size: int | None, source: str) -> CategoryInputs | None:
        """The inputs that are categories, for an embedding of some size; None without one.

        The future values of a column have the vectors of its past values.

        Args:
            size: The size of the vectors.
            source: Name of the table, for messages.

        Raises:
            UsageError: if no input is a category.
        """
        known = self.roles.known_future
        columns = (*self.roles.features, *(None for _ in self.masked), *known * self.horizon)
        first = len(self.roles.target)
        return category_inputs(columns, self.categories, first, self.input_size, size, source)

    @property
    def output_size(self) -> int:
        """``V``: for each future step, target and quantile one output, in this order."""
        return self.horizon * len(self.roles.target) * max(len(self.levels), 1)

    @cached_property
    def input_names(self) -> tuple[str, ...]:
        """The inputs of the model, `(I,)`, see :class:`zoo.forecasting.windows.Windows`."""
        known = [name for column in self.roles.known_future for name in self._inputs_of(column)]
        return (
            *(f"{name} change" for name in self.roles.target),
            *(name for column in self.roles.features for name in self._inputs_of(column)),
            *(f"{name} missing" for name in self.masked),
            *(f"{name} +{step}" for step in range(1, self.horizon + 1) for name in known),
        )

    def _inputs_of(self, column: str) -> list[str]:
        return [f"{column}={value}" for value in self.categories.get(column, ())] or [column]

    @cached_property
    def output_names(self) -> tuple[str, ...]:
        """The outputs of the model, `(V,)`: the target, the step, and the quantile."""
        quantiles = [f" q{level:g}" for level in self.levels] or [""]
        return tuple(
            f"{name} +{step}{quantile}"
            for step in range(1, self.horizon + 1)
            for name in self.roles.target
            for quantile in quantiles
        )

    @cached_property
    def weights(self) -> Array:
        """The weights of the autoregression, `(M, lags, h)`."""
        return np.array(self.autoregression)

    @property
    def lags(self) -> int:
        """The number of last values that the autoregression reads; zero without one."""
        return len(self.autoregression[0]) if self.autoregression else 0

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, stored: Any, source: str) -> ForecastSpec:
        """Read the result of :meth:`to_json`.

        Raises:
            CheckpointError: if it is anything else.
        """
        try:
            roles = dict(stored["roles"])
            for name in ("target", "input", "known_future"):
                roles[name] = tuple(map(str, roles[name]))
            for name in ("time", "series", "group", "weight"):
                roles[name] = None if roles.get(name) is None else str(roles[name])
            values = {
                **{name: stored[name] for name in _PLAIN},
                "roles": ColumnRoles(**roles),
                "categories": {name: tuple(map(str, each)) for name, each in stored["categories"].items()},
                "masked": tuple(stored["masked"]),
                "static": tuple(map(str, stored.get("static", ()))),
                "time_unit": float(stored["time_unit"]),
                "levels": tuple(map(float, stored["levels"])),
                "split_seed": stored.get("split_seed", 0),
                "time_kind": as_time_kind(stored.get("time_kind")),
                "has_exact_names": bool(stored.get("has_exact_names", False)),
                "output_factors": tuple(map(float, stored.get("output_factors", [1] * len(roles["target"])))),
                "autoregression": tuple(
                    tuple(tuple(map(float, row)) for row in rows) for rows in stored.get("autoregression", ())
                ),
            }
            spec = cls(**values)
            if not all(
                type(getattr(spec, name)) is int for name in ("context", "horizon", "season", "split_seed")
            ):
                raise ValueError("sizes are not integers")
            factors = spec.output_factors
            if len(factors) != len(spec.roles.target) or not all(0 < factor < math.inf for factor in factors):
                raise ValueError("factors of outputs do not fit")
            if spec.autoregression:
                shape = len(spec.roles.target), spec.lags, spec.horizon
                fits = spec.weights.shape == shape and 0 < spec.lags <= spec.context
                if not (spec.change and fits and np.isfinite(spec.weights).all()):
                    raise ValueError("the weights of the autoregression do not fit")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CheckpointError(
                f"{source}: its description of the table is not one zoo wrote ({str(error)[:200]})."
            ) from None
        return spec
