"""The data of an exported model: the columns of its table, their units, and its results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from zoo.array_types import Array
from zoo.classification.predictor import Predictor
from zoo.classification.spec import SequenceSpec
from zoo.forecasting.calibration import interval_levels
from zoo.forecasting.forecaster import Forecaster
from zoo.forecasting.scaling import Scaling
from zoo.forecasting.spec import ForecastSpec

TIME_STEP = "dt"
"""The auxiliary input of the cells that read the time between rows."""

MissingRule: TypeAlias = Literal["error", "before", "gap"]
"""The treatment of a missing value in a column: an error; the value before, and an error if that is missing
too; or the inputs of the model for a missing value."""


@dataclass(frozen=True)
class TableExport:
    """The table of a forecasting model.

    Args:
        spec: The inputs and outputs of the model.
        scaling: The units of the series of training.
        offsets: The offsets of the interval, `(h, M)`, in the unit of the outputs; None without an interval.
    """

    spec: ForecastSpec
    scaling: Scaling
    offsets: Array | None

    @property
    def missing(self) -> Mapping[str, MissingRule]:
        """The treatment of missing values of each column."""
        rule: MissingRule = "error" if self.spec.missing == "reject" else "before"
        is_masked = self.spec.missing == "mask"
        return {name: "gap" if texts and is_masked else rule for name, texts in self.columns.items()}

    @property
    def starts_at_mean(self) -> bool:
        """Whether the value before the first row is the mean of its series. Otherwise it is missing."""
        return self.spec.missing == "mask"

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantiles of a forecast: low, 0.5 and high; empty without an interval."""
        return () if self.offsets is None else interval_levels(self.spec, None)

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each column of a row, in its order; empty for numbers."""
        return {name: self.spec.categories.get(name, ()) for name in self.spec.roles.features}

    @property
    def has_times(self) -> bool:
        """Whether the table has times."""
        return self.spec.roles.time is not None

    @property
    def time_unit(self) -> float:
        """The unit of the time between rows, in seconds for dates."""
        return self.spec.time_unit

    def metadata(self) -> dict[str, Any]:
        """Names of columns, inputs and outputs, and the spec and the scaling as a checkpoint stores them."""
        offsets = None if self.offsets is None else self.offsets.tolist()
        interval = {"levels": list(self.levels), "offsets": offsets}
        stored = {"spec": self.spec.to_json(), "scaling": self.scaling.to_json(), "interval": interval}
        return {**_names(self), "table": stored}


@dataclass(frozen=True)
class SequencesExport:
    """The labelled sequences of a model.

    Args:
        spec: The inputs and outputs of the model, with the units of its channels.
    """

    spec: SequenceSpec
    starts_at_mean: ClassVar[bool] = False

    @property
    def missing(self) -> Mapping[str, MissingRule]:
        """The treatment of missing values of each column."""
        spec = self.spec
        rule: MissingRule = "before" if spec.missing == "forward" else "error"
        gaps = {name for name, texts in self.columns.items() if texts or name in spec.masked}
        return {name: "gap" if spec.missing == "mask" and name in gaps else rule for name in self.columns}

    @property
    def columns(self) -> Mapping[str, tuple[str, ...]]:
        """The values of each column of a row, in its order; empty for numbers."""
        return {name: self.spec.categories.get(name, ()) for name in self.spec.columns}

    @property
    def has_times(self) -> bool:
        """Whether the sequences may have times. A spec does not record times of arrays."""
        return self.spec.time is not None or self.spec.series is None

    @property
    def time_unit(self) -> float:
        """The unit of the time between steps, in seconds for dates; 1 if the run stores none."""
        return self.spec.time_unit or 1.0

    def metadata(self) -> dict[str, Any]:
        """Names of columns, inputs and outputs, and the spec as a checkpoint stores it."""
        return {**_names(self), "sequences": {"spec": self.spec.to_json()}}


DataExport: TypeAlias = TableExport | SequencesExport


def _names(data: DataExport) -> dict[str, Any]:
    return {
        "columns": {name: list(values) for name, values in data.columns.items()},
        "inputs": list(data.spec.input_names),
        "outputs": list(data.spec.output_names),
    }


def exported_data(trained: Any) -> DataExport | None:
    """The data of a forecaster or a predictor; None for a bare model."""
    if isinstance(trained, Forecaster):
        offsets = None if trained.calibration is None else trained.calibration.fixed_offsets(trained.spec)
        return TableExport(trained.spec, trained.scaling, offsets)
    return SequencesExport(trained.spec) if isinstance(trained, Predictor) else None
