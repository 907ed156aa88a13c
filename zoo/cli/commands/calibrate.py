"""``zoo calibrate``: fit the probabilities of classes to labels, and write the calibrated model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.arguments import counted, real_path
from zoo.base.metric import metric_text
from zoo.cli.completion import complete_runs
from zoo.cli.component_lookup import CELL_FILE, file_cells, plugin_option
from zoo.cli.flags import Command, argument, format_options, option
from zoo.cli.terminal import echo, print_facts
from zoo.errors import UsageError
from zoo.tables import TextTable, align

if TYPE_CHECKING:
    from zoo.classification import Predictor

_SUFFIX = ".safetensors"
_METRICS = "log_loss", "brier_score"
_PARTS = {"valid": "validation part", "test": "test part"}


@click.command(cls=Command)
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
    labels of the fit both are too good, so look at the test part.
    """
    from zoo.classification import Predictor
    from zoo.data.training_files import check_training_files

    target = _target(path, out, force)
    predictor = Predictor.load(path, file_cells(cell))
    if data is None:
        check_training_files(path, [predictor.data])
    calibrated = predictor.calibrated(data)
    facts = {
        "run": path,
        "file": str(target),
        "temperature": calibrated.temperature,
        **_scores(predictor, calibrated, data),
    }
    _write(path, calibrated, target)
    if form is not None:
        print_facts(facts, form)
    else:
        echo("\n".join(_lines(facts)))


def _target(path: str, out: str | None, force: bool) -> Path:
    """The file to write.

    Raises:
        UsageError: if it has another ending, exists, or cannot be written.
    """
    if out is not None and not out.endswith(_SUFFIX):
        raise UsageError(f"--out {out}: expected a name that ends in {_SUFFIX}.")
    name = real_path(Path(path)).name.removesuffix(_SUFFIX)
    target = Path(f"{name}-calibrated{_SUFFIX}" if out is None else out)
    if target.is_dir():
        raise UsageError(f"calibrate: {target} is a directory; name a file with --out.")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such file or directory; create it first.")
    if target.exists() and not force:
        raise UsageError(f"calibrate: {target} is there already; choose another --out, or add --force.")
    return target


def _scores(before: Predictor, after: Predictor, data: str | None) -> dict[str, Any]:
    """The name of the data, and the scores of both models on the labels of the fit and on the test part."""
    import numpy as np

    from zoo.classification.evaluation import predict
    from zoo.classification.metrics import metric_value

    given, scaled = before.open_data(data)
    codes, parts = before.spec.codes(given), before.parts(given) if data is None else {}
    rows = list[dict[str, Any]]()
    for part in _PARTS if data is None else ("all",):
        numbers = parts.get(part, np.arange(len(scaled.offsets) - 1))
        actual = codes[scaled.items(numbers)]
        has_label = before.spec.has_label(actual)
        if not has_label.any():
            continue
        values = {
            name: predict(model, scaled, numbers)[has_label]
            for name, model in (("before", before.model), ("after", after.model))
        }
        scores = {
            metric: {name: metric_value(metric, actual[has_label], each) for name, each in values.items()}
            for metric in _METRICS
        }
        rows.append({"part": part, "labels": int(has_label.sum()), **scores})
    return {"data": given.name, "parts": rows}


def _write(path: str, calibrated: Predictor, target: Path) -> None:
    """Write the checkpoint of the run with the calibrated parameters."""
    from zoo.model.checkpoint import read_run
    from zoo.storage import Checkpoint, save

    checkpoint, _ = read_run(path)
    arrays = {**checkpoint.arrays, **calibrated.model.to_checkpoint().arrays}
    save(target, Checkpoint(arrays, checkpoint.meta))


def _lines(facts: dict[str, Any]) -> list[str]:
    first, *_ = facts["parts"]
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
        for row in facts["parts"]
    )
    table = TextTable("", tuple(headings), tuple(scores), right=(1, 2, 3, 4))
    return [*align(rows), *table.lines()]
