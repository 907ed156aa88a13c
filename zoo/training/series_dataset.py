"""``SeriesDataset``: train on windows of the series of a table, split by time."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.base import Cell
from zoo.base.data_kinds import PARTS
from zoo.base.loss import Loss
from zoo.data.builtin import PREFIX
from zoo.data.column_notes import TABLE_WORDS, NoteWords, order_notes, sentinel_notes
from zoo.data.panel import ColumnRoles, Panel, default_roles, is_constant, make_panel
from zoo.data.split import parse_split
from zoo.data.table import DataTable, as_table, in_known_order
from zoo.data.table_files import read_table
from zoo.errors import DataError, UsageError, ZooWarning
from zoo.field_repr import one_line_repr
from zoo.forecasting.baselines import History, fit_autoregression, guess_season, spread
from zoo.forecasting.calibration import (
    Calibration,
    last_times,
    scaled_errors,
    seen_digests,
    stored_windows,
)
from zoo.forecasting.evaluation import (
    actual_after,
    divide_series,
    forecast_part,
    group_counts,
    interval_note,
    larger_split,
    last_part,
    naive_errors,
    part_origins,
    part_rows,
    score_forecasts,
    series_with,
    split_ends,
    with_units,
)
from zoo.forecasting.predict import network_forecasts
from zoo.forecasting.scaling import Scaling, has_varying_targets
from zoo.forecasting.spec import ForecastSpec, output_factors, quantile_levels
from zoo.forecasting.target_losses import forecast_loss
from zoo.forecasting.windows import Windows, make_windows
from zoo.model import AnyModel, SequenceModel
from zoo.training.config import DEFAULT_FORECAST_LOSS, Config
from zoo.training.dataset import EvalResult, NoiseKey, ProbeBatch, State, TrainStepResult
from zoo.training.defaults import KIND_DEFAULTS, with_intervals

_DEFAULTS = KIND_DEFAULTS["table"]
MIN_CONTEXT = 24

_MAX_VALIDATION_WINDOWS = 1000


@one_line_repr
@dataclass(frozen=True, eq=False)
class SeriesDataset:
    """Windows of a panel for training, validation and test.

    Each series is cut at the same shares of its own length. All targets of a window lie in one part; its
    context may reach into the part before.

    Attributes:
        panel: The series.
        windows: Their windows.
        cuts: The ends of the training, validation and test parts of each series, `(3, S)`.
        loss: The loss.
        batch_size: Windows of a batch.
        seed: Seed of the choice of windows.
        left_out: Columns that are not inputs, with the reasons.
        series_note: A sentence about the series that are left out; empty if there are none.
        full_context: The default context, if the table is too short for it.
    """

    panel: Panel
    windows: Windows
    cuts: Array
    loss: Loss
    batch_size: int
    seed: int
    left_out: tuple[str, ...]
    series_note: str = ""
    full_context: int | None = None
    kind: ClassVar[str] = "table"

    @property
    def name(self) -> str:
        """The name of the table, without its ending."""
        return self.panel.table.name.partition(".")[0]

    @property
    def eval_split_name(self) -> str:
        """``"validation"``, or ``"training"`` without a validation part."""
        return "validation" if len(self._validation_origins) else "training"

    def metadata(self) -> dict[str, Any]:
        """The table with its digest, its columns, and the units of its series."""
        return dict(self._metadata)

    @cached_property
    def _metadata(self) -> dict[str, Any]:
        spec = self.windows.spec
        of_parts = (part_rows(self.panel, self.cuts, part) for part in PARTS)
        return {
            "name": self.panel.table.name,
            "sha256": self.panel.table.sha256,
            "rows": len(self.panel),
            "series": len(self.panel.names),
            "parts": [int((ends - starts).sum()) for starts, ends in of_parts],
            "step": self.panel.step_text(),
            "uneven": round(self.panel.uneven_share(), 4),
            "largest_dt": None if self.windows.dt is None else float(self.windows.dt.max()),
            "left_out": list(self.left_out),
            "full_context": self.full_context,
            "groups": group_counts(self.panel),
            "note": " ".join(filter(None, self._notes())),
            "column_notes": self.column_notes,
            "inputs": spec.input_size,
            "spec": spec.to_json(),
            "scaling": self.windows.scaling.to_json(),
            "last_seen": self._last_seen,
            "seen_sha256": self._seen_digests,
        }

    @cached_property
    def column_notes(self) -> list[str]:
        """Sentences about columns that probably mean something else."""
        return list(self.notes_in(TABLE_WORDS))

    def notes_in(self, words: NoteWords) -> Iterator[str]:
        """The sentences about columns with the words of an interface."""
        columns, features = self.panel.columns, self.panel.roles.features
        for name in features:
            if columns[name].kind == "number":
                yield from sentinel_notes([name], columns[name].values[:, None], words)
        yield from order_notes(self.panel, words)

    def _notes(self) -> Iterator[str]:
        """Sentences about series that are left out, and about parts that are too short."""
        yield self.series_note
        spec, panel = self.windows.spec, self.panel
        starts, ends = part_rows(panel, self.cuts, "train")
        is_trained = panel.parts == 0 if panel.parts is not None else np.ones(len(panel.names), bool)
        has_none = is_trained & (ends - starts < spec.context + spec.horizon)
        if has_none.any():
            yield (
                f"{series_with(panel, has_none, 'training part')} shorter than a window of "
                f"{counted(spec.context + spec.horizon, 'row')}, so training does not read "
                f"{'it' if has_none.sum() == 1 else 'them'}. Lower `context` or `horizon` to include more."
            )
        has_no_season = (self.cuts[0] - panel.offsets[:-1] <= spec.season) & (spec.season > 1)
        if has_no_season.any():
            parts = series_with(panel, has_no_season, "training part")
            yield f"{parts} not longer than a season, so the MASE there refers to changes from row to row."
        yield interval_note(panel, self.cuts, spec)

    def make_model(self, cell: Cell | list[Cell], config: Config) -> SequenceModel:
        """A sequence model of the sizes of the windows."""
        spec = self.windows.spec
        return SequenceModel(
            cell,
            spec.input_size,
            spec.output_size,
            loss=self.loss,
            categories=spec.category_inputs(config.embedding, self.panel.table.name),
            **config.model_arguments(),
        )

    def loss_and_grad(
        self,
        model: AnyModel,
        step: int,
        carried_states: State | None,  # noqa: ARG002 - the protocol's signature
        noise: NoiseKey,
    ) -> TrainStepResult:
        """Loss and gradient on windows that are drawn from the seed and the step.

        The second half of the steps of each window has a loss. Each of them has at least half a context.
        """
        batch, share = self._without_gaps(model, self.training_batch(step, tuple(model.stack.inputs)), noise)
        loss, _ = model.loss_and_grad(**batch, noise=noise)
        return TrainStepResult(loss / share, {}, batch["targets"].shape[0] * batch["targets"].shape[1])

    def _without_gaps(
        self, model: AnyModel, batch: dict[str, Any], noise: NoiseKey | None = None
    ) -> tuple[dict[str, Any], float]:
        """Replace missing targets by the outputs of the model, which have neither a loss nor a gradient.

        Returns:
            The batch, and the share of the targets that are present, of which the loss is a sum.
        """
        if self.windows.missing is None or not (gaps := np.isnan(batch["targets"])).any():
            return batch, 1.0
        filled = {**batch, "targets": np.where(gaps, 0, batch["targets"])}
        outputs = model.evaluate_batch(**filled, noise=noise)[1]
        filled["targets"] = np.where(gaps, outputs if gaps.ndim == 3 else outputs[-1], batch["targets"])
        weights = np.ones(gaps.shape[:-1]) if batch["weights"] is None else batch["weights"]
        return filled, float((weights * (1 - gaps.mean(axis=-1))).sum() / weights.sum()) or 1.0

    def training_batch(self, step: int, aux_names: tuple[str, ...] = ()) -> dict[str, Array]:
        """Arguments of ``model.loss_and_grad`` for a step."""
        if step not in self._drawn_origins:  # one by one, generators took 5 % of an update of a small model
            self._drawn_origins.clear()
            self._drawn_origins.update({each: self._draw(each) for each in range(step, step + 32)})
        origins = self._drawn_origins[step]
        windows, context = self.windows, self.windows.spec.context
        skipped = context // 2
        rows = windows.context_rows(origins)[skipped:]
        targets = np.zeros((context, self.batch_size, windows.spec.output_size), windows.outputs.dtype)
        windows.targets(rows, out=targets[skipped:])
        weights = np.zeros((context, self.batch_size))
        missing = windows.missing_targets(rows)
        weights[skipped:] = self._weights[rows]
        if missing is not None:
            targets[skipped:][missing] = np.nan
            weights[skipped:] *= ~missing.all(axis=-1)
        aux = windows.aux(origins, aux_names)
        return {"inputs": windows.inputs(origins), "targets": targets, "weights": weights, **aux}

    @cached_property
    def _drawn_origins(self) -> dict[int, Array]:
        """The origins of the windows of some steps."""
        return {}

    def _draw(self, step: int) -> Array:
        starts, firsts = self._training_ranges
        drawn = np.random.default_rng([self.seed, step]).integers(0, firsts[-1], self.batch_size)
        which = np.searchsorted(firsts, drawn, side="right") - 1
        origins: Array = starts[which] + drawn - firsts[which]
        return origins

    @cached_property
    def _weights(self) -> Array:
        """The weight of the windows that end at each row, the mean of the rows to forecast, `(N - h,)`."""
        weights, horizon = self.panel.weights, self.windows.spec.horizon
        if weights is None:
            return np.broadcast_to(1.0, (len(self.panel),))
        means: Array = sliding_window_view(weights, horizon).mean(axis=1)[1:]
        return means

    @property
    def training_windows(self) -> int:
        """The number of windows from which training draws."""
        return int(self._training_ranges[1][-1])

    @cached_property
    def _training_ranges(self) -> tuple[Array, Array]:
        """The first origin of each run of windows, and the number of windows before each, `(R + 1,)`.

        Without missing targets, a run is a series. Otherwise, a run ends before a window without any target.
        """
        ranges = self._ranges("train")
        if self.windows.missing is not None:
            ranges = [run for each in ranges for run in self._with_targets(each)]
        counts = np.array([len(each) for each in ranges], np.int64)
        return np.array([each.start for each in ranges], np.int64), np.concatenate([[0], np.cumsum(counts)])

    def _with_targets(self, origins: range) -> list[range]:
        """The runs of successive windows of which each has a target in the steps with a loss."""
        spec = self.windows.spec
        steps = spec.context - spec.context // 2
        missing = self.windows.missing
        assert missing is not None  # checked by the caller
        first = origins.start - steps + 1  # its targets are those of the next h rows
        present = ~missing[first + 1 : origins.stop + spec.horizon].all(axis=1)
        counts = np.concatenate([[0], np.cumsum(present)])
        width = steps + spec.horizon - 1
        has_target = counts[width:] > counts[:-width]
        edges = np.flatnonzero(np.diff([False, *has_target, False]))
        return [range(origins[a], origins[b - 1] + 1) for a, b in zip(edges[::2], edges[1::2], strict=True)]

    def _ranges(self, part: str) -> list[range]:
        """The origins of a part of each series."""
        spec = self.windows.spec
        return part_origins(self.panel, self.cuts, part, spec, spec.horizon)

    @cached_property
    def _validation_origins(self) -> Array:
        return spread(self._ranges("valid"), _MAX_VALIDATION_WINDOWS)

    def evaluate(self, model: AnyModel) -> EvalResult:
        """The loss and the error of forecasts on the validation part, or else the training part.

        The error is the MAE, or the mean MASE of several series or targets, whose sizes differ. The arrays
        are the errors on the validation part, for the interval of forecasts.
        """
        if len(self._validation_origins):
            return self._evaluate(model, self._validation_origins)
        result = self._evaluate(model, spread(self._ranges("train"), _MAX_VALIDATION_WINDOWS))
        return replace(result, arrays={name: array[:0] for name, array in result.arrays.items()})

    def _evaluate(self, model: AnyModel, origins: Array) -> EvalResult:
        windows = self.windows
        missing = windows.missing_targets(origins)
        if missing is not None and not missing.all():
            origins = origins[~missing.all(axis=-1)]
        losses, total = 0.0, 0.0
        names = tuple(model.stack.inputs)
        for first in range(0, len(origins), _EVALUATION_BATCH):
            rows = origins[first : first + _EVALUATION_BATCH]
            targets, missing = windows.targets(rows), windows.missing_targets(rows)
            if missing is not None:
                targets[missing] = np.nan
            weights = None if self.panel.weights is None else self._weights[rows]
            given = {"inputs": windows.inputs(rows), "targets": targets, "weights": weights}
            batch, share = self._without_gaps(model, {**given, **windows.aux(rows, names)})
            loss, of_batch = model.loss(**batch)[0], float(self._weights[rows].sum())
            losses, total = losses + loss * of_batch, total + share * of_batch
        total = float(self._weights[origins].sum()) if windows.missing is None else total
        forecasts = network_forecasts(model, windows, origins)
        actual = actual_after(self.panel, origins, windows.spec.horizon)
        errors = np.abs(forecasts[..., forecasts.shape[-1] // 2] - actual)
        has_one = len(self.panel.names) == errors.shape[-1] == 1
        if not has_one:
            errors = errors / self._naive_errors[windows.series(origins)][:, None]
        means = [
            values[~np.isnan(values)].mean()
            for values in np.moveaxis(errors, -1, 0)
            if not np.isnan(values).all()
        ]
        metric = "mae" if has_one else "mase"
        metrics = {"score": float(np.mean(means)), "metric": metric, "solved": False} if means else {}
        kept = spread([range(len(origins))], stored_windows(windows.spec))
        scale = windows.scaling.output[windows.series(origins[kept])]
        residuals = scaled_errors(forecasts[kept], actual[kept], scale).astype(np.float32)
        calibration = Calibration(residuals, self._last_seen, self._seen_digests)
        return EvalResult(losses / total, metrics, arrays=calibration.arrays())

    def calibration(self, model: AnyModel) -> Calibration:
        """The errors of a model on the validation part, as a checkpoint stores them."""
        (residuals,) = self.evaluate(model).arrays.values()
        return Calibration(residuals, self._last_seen, self._seen_digests)

    @cached_property
    def _naive_errors(self) -> Array:
        return naive_errors(self.panel, self.cuts[0], self.windows.spec.season)

    @cached_property
    def _last_seen(self) -> dict[str, str | float]:
        return last_times(self.panel, self.cuts[1])

    @cached_property
    def _seen_digests(self) -> dict[str, str]:
        return seen_digests(self.panel, self._last_seen)

    def probe(self) -> ProbeBatch:
        """The first windows of the validation part, or else of the training part."""
        origins = self._validation_origins
        origins = (origins if len(origins) else spread(self._ranges("train"), _MAX_VALIDATION_WINDOWS))[
            : self.batch_size
        ]
        return ProbeBatch(self.windows.inputs(origins), self.windows.targets(origins))

    def compile_kernels(self, model: AnyModel) -> None:
        """Evaluate one window."""
        self._evaluate(model, spread(self._ranges("train"), 1))

    def uniform_loss(self, model: AnyModel) -> None:
        """None: a table has no symbols."""

    def sample(self, model: AnyModel, length: int, seed: int) -> None:
        """None: a table has no symbols."""

    def extra_metrics(self, step: int, loss: float) -> dict[str, Any]:  # noqa: ARG002 - the protocol's signature
        """Return nothing: windows are drawn at random, so there are no epochs."""
        return {}

    def memoryless_loss(self) -> float | None:
        """Unknown."""
        return None

    def final_entries(self, load_best: Callable[[], AnyModel]) -> Mapping[str, Any]:
        """The errors of the best model and of the baselines on the last part that has windows.

        Args:
            load_best: Loads the best model.
        """
        spec, model = self.windows.spec, load_best()
        part = last_part(self.panel, self.cuts, spec, spec.horizon)
        given = model, self.windows, self.panel, self.cuts, part
        forecasts = forecast_part(*given, self.calibration(model))
        return {"test": score_forecasts(forecasts, self.windows, self.panel, self.cuts[0])}


_EVALUATION_BATCH = 256


def prepare_table(
    config: Config, data: Any = None, categories: Mapping[str, tuple[str, ...]] = MappingProxyType({})
) -> tuple[Config, SeriesDataset]:
    """Read and split the table of a configuration; also returns the configuration with every size resolved.

    Args:
        config: The configuration.
        data: The table, if it is in memory.
        categories: Values of columns of texts in a trained model, which set their order.

    Raises:
        DataError: if the table cannot be read, does not fit the configuration, or is too short.
        UsageError: if a setting does not fit.
    """
    roles = ColumnRoles(
        config.target,
        tuple(name for name in config.input or () if name not in config.target),
        config.known_future,
        config.time,
        config.series,
        config.group,
        config.weight,
    )
    names = roles.identifiers
    table = _read(config, names) if data is None else as_table(data, identifiers=names)
    _check_settings(config, table, is_file=data is None)
    panel, left_out, series_note = _make_panel(config, table, roles)
    cuts = split_ends(panel, config.split or _DEFAULTS.split)
    if config.season is not None:
        _check_season(config.season, panel, cuts[0])
    season = config.season or guess_season(panel, cuts[0])
    full_context = max(3 * config.horizon, 2 * season if season > 1 else 0, MIN_CONTEXT)
    context = config.context or _shortened(full_context, panel, cuts[0], config.horizon)
    loss_name = config.loss or DEFAULT_FORECAST_LOSS
    loss, losses = forecast_loss(loss_name, config.loss_options, panel.roles.target)
    factors = output_factors(losses, panel.roles.target, config.target_weights)
    spec = _make_spec(config, panel, cuts, context, season, quantile_levels(loss), factors)
    ordered = {
        name: in_known_order(texts, categories.get(name, ())) for name, texts in spec.categories.items()
    }
    spec = replace(spec, categories=ordered)
    spec.category_inputs(config.embedding, table.name)  # raises an error without a category
    windows = make_windows(panel, spec, Scaling.fit(panel, spec, cuts[0]), config.dtype)
    batch, steps = config.batch or _DEFAULTS.batch, config.steps or _DEFAULTS.steps
    resolved = replace(
        with_intervals(config, "table", steps),
        kind="table",
        split=spec.split,
        input=panel.roles.input,
        time=panel.roles.time,
        context=context,
        season=season,
        loss=loss_name,
        batch=batch,
    )
    shortened_from = full_context if config.context is None and context < full_context else None
    given = panel, windows, cuts, loss, batch, config.seed, left_out, series_note, shortened_from
    dataset = SeriesDataset(*given)
    _check_targets(dataset)
    return resolved, dataset


def _check_settings(config: Config, table: DataTable, is_file: bool) -> None:
    """Raise an error for a setting that is missing, or that a forecast does not have."""
    if not config.target:
        characters = " To train on its characters instead, give `kind='text'`."
        raise UsageError(
            f"target is missing: {'the data' if table.name == 'table' else table.name} is a table; name the "
            f"column to forecast, or give `label` to predict a label of whole sequences. Its columns are "
            f"{table.describe()}.{characters if is_file and not config.series else ''}"
        )
    if config.bidirectional:
        raise UsageError(
            "`bidirectional` is given with a table; a forecast reads the past only, so leave it out."
        )
    if config.split_seed is not None and config.group is None:
        raise UsageError("split_seed is given without `group`; each series is cut by time, so leave it out.")


def _make_panel(config: Config, table: DataTable, given: ColumnRoles) -> tuple[Panel, tuple[str, ...], str]:
    """The series of a table, divided by groups if there are any.

    Returns:
        The series, the columns that are left out, and a sentence about the series that are left out.
    """
    roles, left_out = default_roles(table, given, config.input is None)
    panel = make_panel(table, roles, config.missing)
    if len(panel) == 1:
        raise DataError(f"{table.name} has one row; a forecast needs a history.")
    _check_varies(panel)
    split = config.split or _DEFAULTS.split
    train_ends, note = split_ends(panel, split)[0], ""
    if (train_ends - panel.offsets[:-1]).max() > 1:  # a shorter one is an error later
        panel, note = with_units(panel, has_varying_targets(panel, train_ends))
    return divide_series(panel, split, config.split_seed or 0), tuple(left_out), note


def _make_spec(
    config: Config,
    panel: Panel,
    cuts: Array,
    context: int,
    season: int,
    levels: tuple[float, ...],
    factors: tuple[float, ...],
) -> ForecastSpec:
    """The inputs and outputs, checked to fit the length of the series, with a linear forecast to correct."""
    starts, ends = part_rows(panel, cuts, "train")
    spec = ForecastSpec.of_panel(
        panel,
        [slice(int(start), int(end)) for start, end in zip(starts, ends, strict=True)],
        context=context,
        horizon=config.horizon,
        season=season,
        change=config.predict != "level",
        levels=levels,
        missing=config.missing,
        split=config.split or _DEFAULTS.split,
        split_seed=config.split_seed or 0,
        output_factors=factors,
    )
    _check_length(panel, part_rows(panel, cuts, "train")[1], spec)
    _check_parts(panel, cuts, spec)
    if config.predict != "correction":
        return spec
    history = History.of_panel(panel, cuts[0], context, season, config.horizon)
    weights = fit_autoregression(history).tolist()
    return replace(spec, autoregression=tuple(tuple(map(tuple, each)) for each in weights))


def _read(config: Config, identifiers: tuple[str, ...]) -> DataTable:
    if config.data[0].startswith(PREFIX):
        raise UsageError(
            f"data is {config.data[0]!r}, a text, and `target` names a column of a table; give the file of "
            f"the table."
        )
    if len(config.data) != 1:
        raise UsageError(f"data are {len(config.data)} sources; expected one table. Join the files first.")
    return read_table(config.data[0], identifiers)


def _check_varies(panel: Panel) -> None:
    """Raise an error for a column that is constant: it holds no information, and has no scale."""
    for name in panel.roles.features:
        if is_constant(panel.columns[name]):
            column = panel.columns[name]
            shown = "empty" if column.missing().all() else f"constant ({column.text(0)})"
            use = "there is nothing to forecast" if name in panel.roles.target else "leave it out"
            raise DataError(f"{panel.table.name}: column {name!r} is {shown}; {use}.")


def _check_targets(dataset: SeriesDataset) -> None:
    """Raise an error if no window of training has a target."""
    if dataset.training_windows == 0:
        raise DataError(
            f"{dataset.panel.table.name}: no window of the training part has a value of a target after the "
            f"first half of its context, so there is nothing to learn; lower `context`, or give more values."
        )


def _check_season(season: int, panel: Panel, train_ends: Array) -> None:
    """Raise an error for a season of which no series has an earlier one in its training part."""
    longest = int((train_ends - panel.offsets[:-1]).max())
    if season >= longest > 1:
        series = f"the longest of {len(panel.names)} series" if len(panel.names) > 1 else panel.table.name
        raise DataError(
            f"season is {season:,}, and {series} has {counted(longest, 'row')} in its training part; "
            f"expected a shorter season. Lower `season`, give 1 for no season, or give more rows."
        )


def _shortened(context: int, panel: Panel, train_ends: Array, horizon: int) -> int:
    """The default context: shorter if the series have few rows."""
    available = int((train_ends - panel.offsets[:-1]).max()) - horizon
    return max(1, min(context, available // 2))


def _check_length(panel: Panel, train_ends: Array, spec: ForecastSpec) -> None:
    """Raise an error unless a series has a window in its training part."""
    longest = int((train_ends - panel.offsets[:-1]).max())
    needed = spec.context + spec.horizon
    if longest < needed:
        series = f"the longest of {len(panel.names)} series" if len(panel.names) > 1 else panel.table.name
        raise DataError(
            f"{series} has {counted(longest, 'row')} in its training part; a window needs {needed:,}, "
            f"{spec.context:,} of context and a horizon of {spec.horizon:,}. Lower `horizon` or `context`, "
            f"or give more rows."
        )


def _check_parts(panel: Panel, cuts: Array, spec: ForecastSpec) -> None:
    """Raise an error for a validation part without a window, and warn of such a test part.

    Without a validation window the best model would be chosen on the training part.
    """
    shares = dict(zip(PARTS, parse_split(spec.split), strict=True))
    for part, name in (("valid", "validation"), ("test", "test")):
        if not shares[part] or any(map(len, part_origins(panel, cuts, part, spec, spec.horizon))):
            continue
        starts, ends = part_rows(panel, cuts, part)
        rows = int((ends - starts).max())
        lengths = panel.ends - panel.offsets[:-1]
        context = (panel.offsets[:-1] + spec.context - starts)[ends > starts]  # rows of the part in it
        needed = spec.horizon + (int(context.clip(0).min()) if len(context) else 0)
        split = None
        if panel.parts is None:
            split = larger_split(spec.split, needed, needed, int(lengths.max()))
        example = "" if split is None else f", for example `split={split}`"
        series = f" in the longest of {len(panel.names)} series" if len(panel.names) > 1 else ""
        owner = f"{panel.table.name}: the {name} part"
        problem = f"{owner} has {counted(rows, 'row')}{series}; a window needs {needed:,}."
        advice = f"Lower `horizon`, give more rows or a larger part (`split`){example}."
        if part == "valid":
            raise DataError(f"{problem} {advice}")
        last = {"train": "training", "valid": "validation"}[last_part(panel, cuts, spec, spec.horizon)]
        warnings.warn(
            f"{problem} The scores at the end will be of the {last} part. {advice}",
            ZooWarning,
            stacklevel=2,
        )
