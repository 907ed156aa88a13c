"""``zoo forecast``: forecast the next steps of a time series."""

from __future__ import annotations

import click

from zoo.cli.completion import complete_runs
from zoo.cli.component_lookup import CELL_FILE, file_cells, plugin_option
from zoo.cli.flags import Command, argument, format_options, option
from zoo.cli.terminal import echo, print_facts
from zoo.cli.weights import WEIGHTS, with_weights

LEVEL_HELP = "Share of values within the interval; 0 for none.  [as in the loss interval; 0.8 for others]"


FLAGS_OF_TRAINING = {name: f"--{name}" for name in ("horizon", "input")}


@click.command(cls=Command, other_flags=FLAGS_OF_TRAINING)
@argument("path", metavar="RUN", shell_complete=complete_runs)
@option(
    "--data",
    metavar="FILE",
    help="A table with the history of the series, as for zoo train.  [the table of the run]",
)
@option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="Steps to forecast. More than the horizon continue from the forecast.  [the horizon of the run]",
)
@option("--level", type=float, metavar="P", help=LEVEL_HELP)
@option("--weights", **WEIGHTS)
@option("--cell", **CELL_FILE)
@format_options
@plugin_option
def command(
    path: str,
    data: str | None,
    steps: int | None,
    level: float | None,
    weights: str | None,
    cell: str | None,
    form: str | None,
) -> None:
    """Forecast the next steps of a time series with a trained model.

    RUN is the directory of a run on a table, of which zoo uses the best model, or a .safetensors file. The
    forecast begins after the last row of each series. It is printed as CSV, or with --json as JSON: the time,
    the forecast of each target, and the ends of its interval.

    If the run has columns with a known future, give a table with --data that continues them after the last
    value of the target.
    """
    from zoo.data.training_files import check_training_files
    from zoo.forecasting.forecaster import Forecaster

    forecaster = with_weights(Forecaster.load(path, file_cells(cell)), weights)
    if data is None:
        check_training_files(path, [forecaster.data])
    result = forecaster.forecast(data, steps, level=level)
    if form == "json":
        print_facts(result.to_json(), form)
    else:
        echo(result.to_csv().rstrip("\n"))
