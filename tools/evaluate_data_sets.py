"""Train six cells on data sets of other packages, and compare them with simple methods.

    pip install '.[data-sets]'
    python tools/evaluate_data_sets.py docs/data-set-results.csv --page docs/data-set-results.md

The file has a line for each run. The command skips runs whose line exists, so you can stop it and start it
again. All settings are below: they were fixed before the first run, and are the same for all cells and all
data sets. Each run keeps the parameters with the lowest validation loss. The learning rate of a cell on a
data set is the one with the lowest validation loss of the first seed. Nothing is chosen by the test part.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, median_low
from typing import Any

import numpy as np
from csv_rows import append_rows, read_rows

import zoo
from zoo.data import LabelledSequences
from zoo.storage.document_marker import DocumentMarker
from zoo.tables import TextTable

CELLS = ("vanilla", "lstm", "gru", "min_gru", "lru", "cfc")
RATES = (0.001, 0.003, 0.01)
SEEDS = (0, 1, 2)
SETTINGS: Mapping[str, Any] = {"hidden": 32, "steps": 1000, "threads": 1}
FORECASTS: Mapping[str, Any] = {"split": "60,15,25"}
LABELS: Mapping[str, Any] = {"split": "80,20"}
CORRECTION = " correction"
"""After the name of a cell: the network corrects a linear autoregression."""

METHODS = (*CELLS, *(cell + CORRECTION for cell in ("vanilla", "lstm", "gru")))
"""The networks of forecasts."""


@dataclass(frozen=True)
class DataSet:
    """A data set of an installed package.

    Args:
        name: Its name.
        package: The package.
        load: Returns the data of training and, of labelled sequences, the data of the test.
        target: The column to forecast; None for labelled sequences.
        settings: Its horizon, and other facts about the data.
    """

    name: str
    package: str
    load: Callable[[], tuple[Any, Any]]
    target: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """The result of a run or of a baseline, a line of the file.

    Args:
        data_set: The data set.
        method: The cell or the baseline; ``correction`` if the network corrects a linear autoregression.
        lr: The learning rate; empty for a baseline.
        seed: The seed of the initial values, of the order of the data, and of the parts of sequences.
        validation: The lowest validation loss; empty for a baseline.
        metric: ``mase``, for which lower is better, or ``accuracy``.
        score: The score on the test part.
        low: Lower end of its 95 % interval; empty if there are too few windows.
        high: Upper end.
        baseline: The best baseline of the run.
        gain: The share by which the error is lower, or the difference of accuracies, against it.
        gain_low: Lower end of its 95 % interval.
        gain_high: Upper end.
        seconds: Time of training and evaluation.
    """

    data_set: str
    method: str
    lr: float | None
    seed: int
    validation: float | None
    metric: str
    score: float
    low: float | None
    high: float | None
    baseline: str = ""
    gain: float | None = None
    gain_low: float | None = None
    gain_high: float | None = None
    seconds: float | None = None


def _sktime_file(name: str) -> Path:
    """A file of sktime; sktime itself is not imported."""
    package = importlib.util.find_spec("sktime")
    if package is None or package.origin is None:
        raise SystemExit("sktime is not installed; run: pip install '.[data-sets]'")
    return Path(package.origin).parent / "datasets" / "data" / name


def _statsmodels(name: str) -> Any:
    return importlib.import_module(f"statsmodels.datasets.{name}").load_pandas().data


def _archive(name: str) -> DataSet:
    """A data set of the UEA and UCR archives, with their training and test files."""
    return DataSet(
        name, "sktime", lambda: tuple(_sktime_file(f"{name}/{name}_{part}.ts") for part in ("TRAIN", "TEST"))
    )


def _digits() -> tuple[LabelledSequences, LabelledSequences]:
    """Images as sequences of rows; the last 360 are the test."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    parts = slice(None, -360), slice(-360, None)
    train, test = (
        LabelledSequences.from_arrays(images[part].reshape(-1, 8, 8), labels[part], name="digits")
        for part in parts
    )
    return train, test


def _months(first: str, values: Any, name: str) -> dict[str, Any]:
    start = np.datetime64(first, "M")
    return {"time": np.arange(start, start + len(values)).astype("M8[D]"), name: np.asarray(values)}


def _lynx() -> dict[str, Any]:
    rows = np.loadtxt(_sktime_file("Lynx/Lynx.csv"), delimiter=",", skiprows=1)
    return {"year": rows[:, 0], "trappings": rows[:, 1]}


def _elec_equip() -> dict[str, Any]:
    package = importlib.util.find_spec("statsmodels.datasets.elec_equip")
    assert package is not None
    assert package.origin is not None
    rows = np.loadtxt(Path(package.origin).with_name("elec_equip.csv"), delimiter=",", skiprows=1, usecols=1)
    return _months("1995-01", rows, "turnover")


DATA_SETS = (
    DataSet(
        "AirPassengers",
        "sktime",
        lambda: (_sktime_file("Airline/Airline.csv"), None),
        "Passengers",
        {"horizon": 6},
    ),
    DataSet("lynx", "sktime", lambda: (_lynx(), None), "trappings", {"horizon": 5}),
    DataSet(
        "nile",
        "statsmodels",
        lambda: ({name: _statsmodels("nile")[name] for name in ("year", "volume")}, None),
        "volume",
        {"horizon": 5, "time": "year"},
    ),
    DataSet(
        "sunspots",
        "statsmodels",
        lambda: ({name: _statsmodels("sunspots")[name] for name in ("YEAR", "SUNACTIVITY")}, None),
        "SUNACTIVITY",
        {"horizon": 5, "time": "YEAR"},
    ),
    DataSet(
        "co2",
        "statsmodels",
        lambda: ({"time": (frame := _statsmodels("co2")).index.to_numpy(), "co2": frame["co2"]}, None),
        "co2",
        {"horizon": 13, "missing": "forward"},
    ),
    DataSet(
        "elnino",
        "statsmodels",
        lambda: (_months("1950-01", _statsmodels("elnino").to_numpy()[:, 1:].reshape(-1), "sst"), None),
        "sst",
        {"horizon": 6},
    ),
    DataSet(
        "elec_equip",
        "statsmodels",
        lambda: (_elec_equip(), None),
        "turnover",
        {"horizon": 6},
    ),
    DataSet(
        "macrodata",
        "statsmodels",
        lambda: (_statsmodels("macrodata").drop(columns=["year", "quarter"]), None),
        "unemp",
        {"horizon": 4, "input": ("realgdp", "realcons", "realinv", "tbilrate", "infl")},
    ),
    _archive("JapaneseVowels"),
    _archive("BasicMotions"),
    _archive("ItalyPowerDemand"),
    _archive("GunPoint"),
    _archive("ArrowHead"),
    _archive("OSULeaf"),
    DataSet("digits", "scikit-learn", _digits),
)


def measure(data_set: DataSet, method: str, lr: float, seed: int) -> list[Row]:
    """Train a network, and return its result and those of the baselines on the test part."""
    train, test = data_set.load()
    cell = method.removesuffix(CORRECTION)
    events, started = list[dict[str, Any]](), time.perf_counter()
    kind = LABELS if data_set.target is None else FORECASTS
    settings = {**SETTINGS, **kind, **data_set.settings, "lr": lr, "seed": seed}
    if data_set.target is None:
        predictor = zoo.fit(train, cell=cell, on_event=events.append, **settings)
        scores = predictor.evaluate(test)["targets"][0]
    else:
        settings["predict"] = "change" if method in CELLS else "correction"
        zoo.fit(train, data_set.target, cell, on_event=events.append, **settings)
        scores = events[-1]["test"]["targets"][0]
    seconds = round(time.perf_counter() - started, 2)
    metric = "accuracy" if data_set.target is None else "mase"
    rows = list[Row]()
    for name, metrics in scores["metrics"].items():
        shown = tuple(_rounded(metrics[metric][end]) for end in ("value", "low", "high"))
        if name != "model":
            rows.append(Row(data_set.name, name, None, seed, None, metric, *shown))
            continue
        gain = tuple(_rounded(scores["improvement"][end]) for end in ("value", "low", "high"))
        best = _rounded(events[-1]["best"])
        rows.append(
            Row(
                data_set.name, method, lr, seed, best, metric, *shown, scores["best_baseline"], *gain, seconds
            )
        )
    return rows


def _rounded(value: float | None) -> Any:
    return None if value is None else float(f"{value:.5g}")


class Results:
    """The lines of a file, to which runs are added.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = read_rows(path, Row)

    def add(self, rows: list[Row]) -> None:
        """Append the rows that the file lacks."""
        known = {(row.data_set, row.method, row.lr, row.seed) for row in self.rows}
        new = [row for row in rows if (row.data_set, row.method, row.lr, row.seed) not in known]
        append_rows(self.path, new, Row)
        self.rows += new

    def of(self, data_set: str, method: str) -> list[Row]:
        """The results of a method on a data set; those of a cell at its chosen learning rate only."""
        rows = [row for row in self.rows if (row.data_set, row.method) == (data_set, method)]
        rate = best_rate(rows)
        return sorted((row for row in rows if row.lr == rate), key=lambda row: row.seed)


def best_rate(rows: list[Row]) -> float | None:
    """The learning rate with the lowest validation loss of the first seed; None for a baseline."""
    first = [row for row in rows if row.seed == SEEDS[0] and row.validation is not None]
    return min(first, key=lambda row: row.validation or 0.0).lr if first else None


def run_all(results: Results, data_sets: tuple[DataSet, ...]) -> Iterator[Row]:
    """Run everything that the file lacks: all learning rates for the first seed, then the best for others."""
    for data_set in data_sets:
        for method in CELLS if data_set.target is None else METHODS:
            for seed in SEEDS:
                known = [row for row in results.rows if (row.data_set, row.method) == (data_set.name, method)]
                rates = RATES if seed == SEEDS[0] else (best_rate(known),)
                for lr in rates:
                    if lr is None or any((row.lr, row.seed) == (lr, seed) for row in known):
                        continue
                    rows = measure(data_set, method, lr, seed)
                    results.add(rows)
                    yield next(row for row in rows if row.method == method)


def score_table(results: Results, metric: str) -> TextTable:
    """Scores of all methods on the data sets of a metric, with the range over the seeds."""
    rows = [row for row in results.rows if row.metric == metric]
    names = tuple(dict.fromkeys(row.data_set for row in rows))
    methods = tuple(dict.fromkeys(row.method for row in sorted(rows, key=_order)))
    body = []
    for method in methods:
        shown = [_scores([row.score for row in results.of(name, method)], metric) for name in names]
        cell = method.removesuffix(CORRECTION)
        body.append((method.replace(cell, f"`{cell}`", 1) if method in METHODS else method, *shown))
    return TextTable("", ("method", *names), tuple(body), right=tuple(range(1, len(names) + 1)))


def _order(row: Row) -> int:
    """Baselines first, then the methods in their order."""
    return METHODS.index(row.method) if row.method in METHODS else -1


def _scores(values: list[float], metric: str) -> str:
    if not values:
        return ""
    shown = [f"{value:.1%}" if metric == "accuracy" else f"{value:.2f}" for value in values]
    low, high = (shown[values.index(end)] for end in (min(values), max(values)))
    middle = f"{mean(values):.1%}" if metric == "accuracy" else f"{mean(values):.2f}"
    return middle if low == high else f"{middle} ({low.removesuffix('%')}–{high.removesuffix('%')})"


def verdict_table(results: Results, metric: str) -> TextTable:
    """For each data set the cell with the lowest validation loss, and its gain against the best baseline."""
    body = []
    for name in dict.fromkeys(row.data_set for row in results.rows if row.metric == metric):
        runs = {cell: results.of(name, cell) for cell in CELLS}
        cell = min(
            (cell for cell in CELLS if runs[cell]),
            key=lambda cell: mean(row.validation or 0.0 for row in runs[cell]),
        )
        middle = median_low([row.gain or 0.0 for row in runs[cell]])
        row = next(row for row in runs[cell] if (row.gain or 0.0) == middle)
        body.append((name, f"`{cell}`", row.baseline, *_gain(row), _verdict(row)))
    headings = ("data set", "cell", "best simple method", "gain", "95 % interval", "the network")
    return TextTable("", headings, tuple(body), right=(3, 4))


def _gain(row: Row) -> tuple[str, str]:
    unit = "" if row.metric == "accuracy" else " %"
    gain, low, high = (
        None if each is None else f"{each * 100:+.1f}" for each in (row.gain, row.gain_low, row.gain_high)
    )
    return f"{gain}{unit or ' points'}", "none" if low is None else f"{low} to {high}"


def _verdict(row: Row) -> str:
    if row.gain_low is None or row.gain_high is None:
        return "uncertain: too few windows"
    if row.gain_low > 0:
        return "is better"
    return "is worse" if row.gain_high < 0 else "is not clearly better or worse"


def write_page(results: Results, page: Path, command: str) -> None:
    """Write the tables between the markers of a page."""
    for name, metric in (("forecasts", "mase"), ("labels", "accuracy")):
        tables = [verdict_table(results, metric), score_table(results, metric)]
        DocumentMarker(page, name, "evaluate_data_sets").write(
            command, ["\n".join(table.markdown()) for table in tables]
        )


def main(arguments: list[str] | None = None) -> int:
    """Run what is missing, print each result, and write the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, metavar="FILE.csv", help="file of the runs")
    parser.add_argument("--data-sets", metavar="A,B", help="names of data sets (default: all)")
    parser.add_argument("--page", type=Path, metavar="FILE.md", help="page with markers for the tables")
    options = parser.parse_args(arguments)
    results = Results(options.results)
    names = options.data_sets.split(",") if options.data_sets else [each.name for each in DATA_SETS]
    for row in run_all(results, tuple(each for each in DATA_SETS if each.name in names)):
        print(
            f"{row.data_set:18} {row.method:16} lr {row.lr:<6} seed {row.seed}  "
            f"validation {row.validation:.4f}  {row.metric} {row.score:.4f}  {row.seconds} s",
            flush=True,
        )
    if options.page:
        write_page(results, options.page, "python tools/evaluate_data_sets.py")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
