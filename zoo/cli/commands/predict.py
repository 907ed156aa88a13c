"""``zoo predict``: predict the labels of whole sequences."""

from __future__ import annotations

import json

import click

from zoo.cli.completion import complete_runs
from zoo.cli.component_lookup import CELL_FILE, file_cells, plugin_option
from zoo.cli.flags import Command, argument, option
from zoo.cli.terminal import echo


@click.command(cls=Command)
@argument("path", metavar="RUN", shell_complete=complete_runs)
@option(
    "--data",
    metavar="FILE",
    help="The sequences, with or without labels, as for zoo train.  [the data of the run]",
)
@option("--json", "as_json", is_flag=True, help="Print JSON instead of CSV.")
@option("--cell", **CELL_FILE)
@plugin_option
def command(path: str, data: str | None, as_json: bool, cell: str | None) -> None:
    """Predict the labels of whole sequences with a trained model.

    RUN is the directory of a run on labelled sequences, of which zoo uses the best model, or a .safetensors
    file. The predictions are printed as CSV: the id of each sequence, the predicted label, and the
    probability of each class. If the data have labels, the last column holds them.
    """
    from zoo.classification.api import predict

    result = predict(path, data, cell=file_cells(cell))
    echo(json.dumps(result.to_json(), indent=2) if as_json else result.to_csv().rstrip("\n"))
