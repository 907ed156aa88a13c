"""``zoo calibrate``: fit the probabilities of classes to labels, and write the calibrated model."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.arguments import counted, missing_directory, real_path
from zoo.base.metric import metric_text
from zoo.cli.completion import complete_runs
from zoo.cli.component_lookup import CELL_FILE, file_cells, plugin_option
from zoo.cli.flags import Command, argument, format_options, option
from zoo.cli.terminal import echo, print_facts
from zoo.errors import UsageError
from zoo.tables import TextTable, align

if TYPE_CHECKING:
    from zoo.classification import Predictor
    from zoo.classification.predictor import OpenedSequences

_SUFFIX = ".safetensors"
_METRICS = "log_loss", "brier_score"
_PARTS = {"valid": "validation part", "test": "test part"}


@click.command(cls=Command, other_flags={"split": "--split"})
@argument("path", metavar="RUN", shell_complete=complete_runs)
@option(
    "--data",
    metavar="FILE",
    help="Sequences with labels to fit the calibration to, on which the model was not trained.  [the "
    "validation part of the data of the run]",
)
@option(
    "--out",
    metavar="FILE",
    help="The calibrated model, NAME.safetensors.  [RUN-calibrated.safetensors in this directory]",
)
@option("--force", is_flag=True, help="Replace an existing file.")
@option("--cell", **CELL_FILE)
@format_options
@plugin_option
def command(
    path: str, data: str | None, out: str | None, force: bool, cell: str | None, form: str | None
) -> None:
    """Calibrate the probabilities of a trained classifier.

    RUN is the directory of a run on labelled sequences, of which zoo uses the best model, or a .safetensors
    file. zoo fits a temperature and a bias for each class to labels, and writes a model that `zoo predict`,
    `zoo eval` and `zoo export` read like the run. It prints log loss and Brier score before and after. On the
    labels of the fit both are too good, so look at the test part, which has an interval of the difference.
    `zoo show` prints the calibration of such a file.
    """
    from zoo.classification import Predictor
    from zoo.classification.predictor import warn_of_training_data
    from zoo.data.training_files import check_training_files

    target = _target(path, out, force)
    predictor = Predictor.load(path, file_cells(cell))
    if data is None:
        check_training_files(path, [predictor.data])
    # The data are read once: standard input cannot be read twice.
    reader, other = predictor.opened(data)
    if other is None:
        given = reader.open_data(None, use="calibration")
        reader = replace(reader, data=given)
        if data is not None:
            warn_of_training_data(given.given.name)
    calibrated = replace(reader.calibrated(other), data=predictor.data)
    facts, rows = _facts(path, target, calibrated), _scores(reader, calibrated, other)
    calibrated.save(target)
    if form == "csv":
        print_facts([{**facts, **row} for row in rows], form)
    elif form is not None:
        print_facts({**facts, "parts": rows}, form)
    else:
        echo("\n".join(_lines(facts, rows)))


def _target(path: str, out: str | None, force: bool) -> Path:
    """The file to write.

    Raises:
        UsageError: if it has another ending or no name, is in a run, exists, or cannot be written.
    """
    if out is not None and (not out.endswith(_SUFFIX) or Path(out).name == _SUFFIX):
        raise UsageError(f"--out {out}: expected a name that ends in {_SUFFIX}, such as model{_SUFFIX}.")
    name = real_path(Path(path)).name.removesuffix(_SUFFIX)
    target = Path(f"{name}-calibrated{_SUFFIX}" if out is None else out)
    if target.is_dir():
        raise UsageError(f"calibrate: {target} is a directory; name a file with --out.")
    if not target.parent.is_dir():
        raise UsageError(missing_directory(target.parent))
    _check_is_outside_runs(target)
    if os.path.lexists(target) and not force:  # also a link to a file that does not exist
        raise UsageError(f"calibrate: {target} is there already; choose another --out, or add --force.")
    return target


def _check_is_outside_runs(target: Path) -> None:
    """Check that no directory above a file is a run; raises `UsageError`."""
    from zoo.storage import RunDirectory

    for folder in real_path(target).parents:
        if RunDirectory(folder).checkpoints():
            raise UsageError(
                f"calibrate: {target} is in the directory of a run, {folder}; choose another --out, such as "
                f"{folder.name}-calibrated{_SUFFIX}."
            )


def _facts(path: str, target: Path, calibrated: Predictor) -> dict[str, Any]:
    """The written file and the calibration in it."""
    calibration = calibrated.calibration
    assert calibration is not None  # it was just fitted
    biases = dict(zip(calibrated.spec.classes, calibration.biases, strict=True))
    return {
        "run": path,
        "file": str(target),
        "data": calibration.data,
        "sha256": calibration.sha256,
        "temperature": calibration.temperature,
        "biases": biases,
    }


def _scores(before: Predictor, after: Predictor, other: OpenedSequences | None) -> list[dict[str, Any]]:
    """The scores of both models on the labels of the fit, and on the test part.

    On the test part, also the share by which the log loss is lower, with an interval.
    """
    import numpy as np

    from zoo.classification.evaluation import compare_models

    given, scaled = before.open_data() if other is None else other
    parts = {"all": np.arange(len(given))} if other else before.parts(given)
    rows = list[dict[str, Any]]()
    for part in [name for name in ("all", *_PARTS) if name in parts and len(parts[name])]:
        models = {"model": after.model, "before": before.model}
        scores = compare_models(models, given, scaled, parts[part], "log_loss")
        if scores is None:
            continue
        row: dict[str, Any] = {"part": part, "labels": scores.count}
        for metric in _METRICS:
            values = {name: scores.metrics[name][metric].value for name in models}
            row[metric] = {"before": values["before"], "after": values["model"]}
        if part == "test":
            row["improvement"] = scores.improvement.to_json()
        rows.append(row)
    return rows


def _lines(facts: dict[str, Any], parts: list[dict[str, Any]]) -> list[str]:
    first, *_ = parts
    fitted = counted(first["labels"], "label")
    name = _PARTS.get(first["part"])
    source = f"{name} of {facts['data']}" if name else facts["data"]
    rows = [
        ("file", facts["file"]),
        ("fitted", f"to {fitted}, {source}"),
        ("temperature", f"{facts['temperature']:.4g}"),
    ]
    headings = ["", *(f"{metric_text(metric)} {when}" for metric in _METRICS for when in ("before", "after"))]
    scores = (
        (
            _PARTS.get(row["part"], "all"),
            *(f"{row[metric][when]:.4g}" for metric in _METRICS for when in ("before", "after")),
        )
        for row in parts
    )
    table = TextTable("", tuple(headings), tuple(scores), right=(1, 2, 3, 4))
    return [
        *align(rows),
        *table.lines(),
        *(_gain(row["improvement"]) for row in parts if "improvement" in row),
    ]


def _gain(stored: dict[str, Any]) -> str:
    """A sentence on the log loss of the test part."""
    from zoo.forecasting.metrics import Estimate, change_text, gain_text

    gain = Estimate(stored["value"], stored["low"], stored["high"])
    change = f"test part: log loss {change_text(gain.value) if gain.value else 'unchanged'}"
    if gain.low is None or gain.high is None:
        return f"{change}. There are too few labels for an interval, so this is not certain."
    contains = ", which contains 0" if gain.low <= 0 <= gain.high else ""
    worse = " Use the model before the calibration, or give more labels." if gain.high < 0 else ""
    return f"{change} (95 % interval {gain_text(gain)}{contains}).{worse}"
