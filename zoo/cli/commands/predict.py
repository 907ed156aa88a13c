"""``zoo predict``: predict the labels of whole sequences, or of each time step."""

from __future__ import annotations

import click

from zoo.cli.completion import complete_runs
from zoo.cli.component_lookup import CELL_FILE, file_cells, plugin_option
from zoo.cli.flags import Command, argument, format_options, option
from zoo.cli.terminal import echo, print_facts
from zoo.cli.weights import WEIGHTS, with_weights


@click.command(cls=Command)
@argument("path", metavar="RUN", shell_complete=complete_runs)
@option(
    "--data",
    metavar="FILE",
    help="The sequences, with or without labels, as for zoo train.  [the data of the run]",
)
@option("--weights", **WEIGHTS)
@option("--cell", **CELL_FILE)
@format_options
@plugin_option
def command(path: str, data: str | None, weights: str | None, cell: str | None, form: str | None) -> None:
    """Predict labels of sequences or steps with a trained model.

    RUN is the directory of a run on labelled sequences, of which zoo uses the best model, or a .safetensors
    file. The predictions are printed as CSV, or with --json as JSON: the id of each sequence, the predicted
    label, the probability of each class, and the label if the data have labels. If the model predicts a label
    at every step, each step has a row with its number or time. Without --data, the column part says whether a
    sequence is in the training, validation or test part (train, valid, test).
    """
    from zoo.classification.predictor import Predictor
    from zoo.data.training_files import check_training_files

    predictor = with_weights(Predictor.load(path, file_cells(cell)), weights)
    if data is None:
        check_training_files(path, [predictor.data])
    result = predictor.predict(data)
    if form == "json":
        print_facts(result.to_json(), form)
    else:
        echo(result.to_csv().rstrip("\n"))
