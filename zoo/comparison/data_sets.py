"""Data sets of a comparison: tables to forecast, and labelled sequences, each with its settings."""

from __future__ import annotations

import dataclasses
import re
import zipfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.arguments import counted, real_path
from zoo.array_types import Array
from zoo.base.metric import higher_is_better
from zoo.classification.spec import SequenceSpec
from zoo.comparison.plan import PlanEntry
from zoo.comparison.records import RunRecord
from zoo.data.labelled_sequences import LabelledSequences
from zoo.data.table import DataColumn, as_table, is_table_like
from zoo.errors import CheckpointError, UsageError
from zoo.forecasting.spec import ForecastSpec
from zoo.model.category_inputs import CategoryInputs
from zoo.online.gradients import GRADIENTS
from zoo.storage import write_bytes
from zoo.storage.record_schema import is_bounded_float
from zoo.training import Run
from zoo.training.config import Config
from zoo.training.labelled_dataset import LabelledDataset
from zoo.training.series_dataset import SeriesDataset
from zoo.training.session import prepare_data

_SPLIT_SEED = 0
"""The default. All runs have the same parts, so that the sweep never trains on test sequences of a run."""

Facts = Mapping[str, Any]
"""Scores on the test part, as the event ``end`` of a run stores them."""


class DataSetInfo:
    """A data set with its settings. The data themselves are not kept.

    Args:
        path: The file.
        settings: Settings of the data, by the names in `zoo.comparison.plan.DATA_SETTINGS`.

    Raises:
        UsageError: if a setting is invalid, or the file is a text.
        DataError: if the file cannot be read, or does not fit the settings.

    Attributes:
        path: The file, absolute.
        settings: The settings that differ from their defaults, as plain JSON values.
        digest: SHA-256 of the file.
        kernel_key: As of `zoo.comparison.specs.TaskInfo`.
        input_size: ``I``.
        output_size: ``V``.
        loss: The loss.
        has_several_targets: Whether it is a table of which several columns are forecast.
        description: The metadata of the data set by its kind, as in the event ``start`` of a run.
        spec: The columns of the data and their sizes.
    """

    def __init__(self, path: str, settings: Mapping[str, Any]) -> None:
        self.path = str(Path(path).absolute())
        config, dataset = prepare_data(path, settings)
        resolved, defaults = config.to_json(), Config().to_json()
        self.settings = {name: resolved[name] for name in settings if resolved[name] != defaults[name]}
        if not isinstance(dataset, (SeriesDataset, LabelledDataset)):
            raise UsageError(
                f"compare: {Path(path).name} is a text; give a table with the `target` to forecast, or "
                f"sequences with a `label`. For a text there is a task: `zoo compare --tasks text --set "
                f"text.data=FILE`."
            )
        spec = dataset.windows.spec if isinstance(dataset, SeriesDataset) else dataset.scaled.spec
        self.spec: ForecastSpec | SequenceSpec = spec
        self.input_size, self.output_size = spec.input_size, spec.output_size
        self.loss = dataset.loss
        self.digest = str(dataset.metadata()["sha256"])
        self.kernel_key = f"{dataset.kind}, {dataset.loss}, {config.pooling}"
        self.is_table = isinstance(dataset, SeriesDataset)
        self.has_several_targets = isinstance(dataset, SeriesDataset) and len(dataset.panel.roles.target) > 1
        self.description = {dataset.kind: dataset.metadata()}
        self._metric, self._summary = _metric(dataset), _summary(config, dataset)

    def category_inputs(self, embedding: int | None) -> CategoryInputs | None:
        """The inputs that are categories, for an embedding of some size; None without one.

        Raises:
            UsageError: if there is an embedding and no input is a category.
        """
        return self.spec.category_inputs(embedding, Path(self.path).name)

    def move(self, folder: Path) -> None:
        """Move the file into a directory, and read it from there."""
        source = Path(self.path)
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / source.name, source.read_bytes())
        source.unlink()
        self.path = str((folder / source.name).absolute())

    @property
    def bidirectional_error(self) -> str:
        """Reason why no bidirectional layer can learn from these data; empty if one can."""
        return "forecasts, and a forecast reads the past only" if self.is_table else ""

    def check_gradient(self, name: str, batch: int) -> None:  # noqa: ARG002 - as of a task
        """Check that the gradient is BPTT.

        Raises:
            UsageError: if it is not.
        """
        if name in GRADIENTS:
            raise UsageError(
                f"compare: `gradient` is {name!r}, and a data set such as {Path(self.path).name} has BPTT "
                f"alone; give a task, or leave out `gradient`."
            )

    def train_arguments(self) -> dict[str, Any]:
        """Arguments of ``zoo.train`` for a run."""
        parts = {} if self.is_table else {"split_seed": _SPLIT_SEED}
        return {"data": self.path, **parts, **self.settings}

    def metric_to_json(self) -> dict[str, Any]:
        """The metric as plain JSON. The best baseline is known after a run only."""
        return {
            "metric": self._metric,
            "higher_is_better": higher_is_better(self._metric),
            "threshold": None,
            "baseline": None,
        }

    def to_json(self) -> dict[str, Any]:
        """The entry of ``results.json``."""
        return {
            "name": Path(self.path).name,
            "options": self.settings,
            "summary": self._summary,
            "threshold_source": "",
            **self.metric_to_json(),
        }


def _metric(dataset: SeriesDataset | LabelledDataset) -> str:
    """MAE of one target of one series; MASE of several, whose sizes differ; the main score of labels."""
    if isinstance(dataset, LabelledDataset):
        return dataset.main
    panel = dataset.panel
    return "mae" if len(panel.names) == len(panel.roles.target) == 1 else "mase"


def _summary(config: Config, dataset: SeriesDataset | LabelledDataset) -> str:
    facts = dataset.metadata()
    if isinstance(dataset, SeriesDataset):
        targets, series = ", ".join(config.target), facts["series"]
        of = f" of {series:,} series" if series > 1 else ""
        return (
            f"Forecast {targets} {counted(config.horizon, 'step')} ahead from {config.context}: "
            f"{facts['rows']:,} rows{of} in {facts['name']}."
        )
    classes = f" ({len(facts['classes'])} classes)" if facts["classes"] else ""
    return f"Predict {config.label}{classes}: {facts['sequences']:,} sequences in {facts['name']}."


def find_data_set(path: str, settings: Mapping[str, Any]) -> tuple[PlanEntry, DataSetInfo]:
    """Read a data set and make its plan entry."""
    info = DataSetInfo(path, settings)
    return PlanEntry(Path(path).name, info.settings, info.digest, info.path, is_data=True), info


def save_data(data: Any, settings: Mapping[str, Any], folder: Path) -> tuple[Any, dict[str, Any]]:
    """Save data in memory as a file, which every process can read.

    Args:
        data: As for :func:`zoo.fit`, or a list of files.
        settings: Settings of the data. ``label`` may be the labels themselves.
        folder: Directory of the file.

    Returns:
        The file or files, and their settings.

    Raises:
        UsageError: if they are neither files nor data, or sequences with times.
        DataError: if they are invalid.
    """
    label = settings.get("label")
    is_list = isinstance(data, (list, tuple)) and all(isinstance(file, (str, Path)) for file in data)
    if data is None or isinstance(data, (str, Path)) or is_list:
        return data, dict(settings)
    if label is not None and not isinstance(label, str):
        data = LabelledSequences.from_arrays(data, label, name="sequences")
    if isinstance(data, LabelledSequences):
        name, arrays = data.name, _arrays_of_sequences(data)
        settings = {**settings, "kind": "sequences", "label": None}
    elif is_table_like(data):
        target = settings.get("target", "table")
        name = target.partition(",")[0] if isinstance(target, str) else str(target[0])
        names = [name for name in (settings.get("series"), settings.get("group")) if name is not None]
        table = as_table(data, identifiers=names)
        arrays = {key: _values(column) for key, column in table.columns.items()}
    else:
        raise UsageError(
            f"compare: data has the type {type(data).__name__}; expected a file, several files, a mapping of "
            f"columns, an array, a data frame, or sequences with their labels."
        )
    path = folder / f"{_file_label(name) or 'table'}.npz"
    # Not numpy.savez, to which a column cannot be given by the name `file`.
    with zipfile.ZipFile(path, "w") as archive:
        for key, values in arrays.items():
            with archive.open(f"{key}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(values), allow_pickle=False)
    return path, {key: value for key, value in settings.items() if value is not None}


def _arrays_of_sequences(data: LabelledSequences) -> dict[str, Any]:
    """The arrays of an ``.npz`` file of sequences."""
    if data.dt is not None:
        raise UsageError(
            f"compare: the sequences {data.name!r} have times, which a file of arrays cannot hold; give a "
            f"table with a column of times, `time`."
        )
    optional = {"labels": data.labels, "groups": data.groups}
    arrays = {name: _values(column) for name, column in optional.items() if column is not None}
    if data.weights is not None:
        arrays["weights"] = data.weights
    return {
        "inputs": data.values,
        "lengths": data.lengths,
        "ids": np.array(data.ids),
        "channels": np.array(data.channels),
        **arrays,
    }


def _values(column: DataColumn) -> Array:
    """The values of a column as NumPy stores them: numbers, times, or texts, which are empty if missing."""
    if column.is_boolean and not column.missing().any():
        return column.values.astype(bool)
    if column.kind != "category":
        return column.values
    return np.array([*column.categories, ""])[column.values]


def _file_label(name: str) -> str:
    """A label for the name of a file or a column."""
    return re.sub(r"[^A-Za-z0-9_.+-]+", "-", name).lstrip("_.+-")[:100]


def label_data_sets(data: Any) -> dict[str, str]:
    """Files of data sets by label, the name of the file without its ending.

    Args:
        data: A file, a list of files, or None.

    Raises:
        UsageError: if two have the same label.
    """
    files = [] if data is None else [data] if isinstance(data, (str, Path)) else data
    labels: dict[str, str] = {}
    for file in map(str, files):
        label = _file_label(Path(file).stem)
        if not label:
            raise UsageError(f"compare: data is {file!r}; expected the name of a file.")
        if label in labels:
            is_same = real_path(file) == real_path(labels[label])
            advice = "leave out one of them, since they are one file" if is_same else "rename a file"
            raise UsageError(f"compare: two data sets are called {label!r}; {advice}.")
        labels[label] = file
    return labels


def check_unchanged(name: str, then: str, now: str) -> None:
    """Check the digest of a data set.

    Raises:
        CheckpointError: if it is not the digest of the plan.
    """
    if then != now:
        raise CheckpointError(
            f"compare: {name} has changed since the comparison began (sha256 {then[:12]} then, {now[:12]} "
            f"now); restore it, or start another comparison with another `out`."
        )


def data_flags(entry: PlanEntry) -> Iterator[str]:
    """Flags of the command line for the settings of a data set."""
    for name, value in entry.options.items():
        if name == "loss_options":
            for option, chosen in value.items():
                yield from ("--set", f"loss.{option}={chosen}")
        else:
            yield from (f"--{name.replace('_', '-')}", _flag_text(value))


def _flag_text(value: Any) -> str:
    """A value as the command line reads it: lists and assignments separated by commas."""
    if isinstance(value, Mapping):
        return ",".join(f"{name}={each}" for name, each in value.items())
    return ",".join(value) if isinstance(value, list) else f"{value}"


def score_fields(facts: Facts) -> dict[str, Any]:
    """Fields of a record from the scores on the test part; of several targets, their mean and its gain."""
    scores = facts["targets"]
    if not scores:
        return {}
    pick = max if higher_is_better(_metric_of(scores)) else min
    values = [each["value"] for each in baseline_scores(facts).values() if each["value"] is not None]
    score, baseline = _mean_estimate(scores, "model")["value"], pick(values)
    gain = (scores[0] if len(scores) == 1 else facts.get("overall", {})).get("improvement")
    if gain is None:  # logs of older versions have no gain over several targets
        gain = {"value": None if score is None else 1 - score / baseline, "low": None, "high": None}
    return _fields(score, baseline, gain)


def target_fields(facts: Facts) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each target of several, its best baseline, and the fields of a record of this target alone."""
    scores = facts["targets"] if len(facts["targets"]) > 1 else ()
    for each in scores:
        metric, best = _metric_of(scores), each["best_baseline"]
        score, baseline = (each["metrics"][name][metric]["value"] for name in ("model", best))
        yield each["target"], best, _fields(score, baseline, each["improvement"])


def _fields(score: float | None, baseline: float | None, gain: Facts) -> dict[str, Any]:
    fields = {"score": score, "baseline": baseline, "gain": gain["value"]}
    fields |= {"gain_low": gain["low"], "gain_high": gain["high"]}
    return {name: value if is_bounded_float(value) else None for name, value in fields.items()}


def baseline_scores(facts: Facts) -> dict[str, dict[str, float | None]]:
    """The score of each baseline, with its interval, from the scores on the test part."""
    scores = facts["targets"]
    names = [name for name in (scores[0]["metrics"] if scores else ()) if name != "model"]
    return {name: _mean_estimate(scores, name) for name in names}


def read_baselines(folder: Path, runs: Iterable[RunRecord]) -> dict[str, Any]:
    """The baselines of a data set, which are the same in the logs of all its runs."""
    for run, facts in _read_test_scores(folder, runs):
        return {"baseline": run.baseline, "baselines": baseline_scores(facts)}
    return {}


def read_targets(folder: Path, runs: Iterable[RunRecord]) -> Iterator[tuple[RunRecord, str, str]]:
    """A record of each run for each target, with the target and its best baseline."""
    for run, facts in _read_test_scores(folder, runs):
        for target, best, fields in target_fields(facts):
            yield dataclasses.replace(run, **fields), target, best


def _read_test_scores(folder: Path, runs: Iterable[RunRecord]) -> Iterator[tuple[RunRecord, Facts]]:
    """Finished runs with the scores on the test part in their logs."""
    for run in runs:
        if run.status == "finished" and run.baseline is not None:
            end = next(iter(deque(Run(folder / run.path).events("end"), maxlen=1)), {})
            if facts := end.get("test"):
                yield run, facts


def _metric_of(scores: Sequence[Facts]) -> str:
    """The metric of a comparison: several targets are compared by their MASE."""
    first = scores[0]
    return str("mase" if len(scores) > 1 else first.get("main") or first["metric"])


def _mean_estimate(scores: Sequence[Facts], name: str) -> dict[str, float | None]:
    metric = _metric_of(scores)
    return {
        end: _mean([each["metrics"][name][metric][end] for each in scores])
        for end in ("value", "low", "high")
    }


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None if a value is missing."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if len(present) == len(values) else None
