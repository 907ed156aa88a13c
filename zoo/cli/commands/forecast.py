"""``zoo forecast``: forecast the next steps of a time series."""

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
    help="A table with the history of the series, as for zoo train.  [the table of the run]",
)
@option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="Steps to forecast. More than the horizon continue from the forecast.  [the horizon of the run]",
)
@option("--json", "as_json", is_flag=True, help="Print JSON instead of CSV.")
@option("--cell", **CELL_FILE)
@plugin_option
def command(path: str, data: str | None, steps: int | None, as_json: bool, cell: str | None) -> None:
    """Forecast the next steps of a time series with a trained model.

    RUN is the directory of a run on a table, of which zoo uses the best model, or a .safetensors file. The
    forecast begins after the last row of each series. It is printed as CSV: the time, the forecast of each
    target, and its quantiles if the loss was interval.

    If the run has columns with a known future, give a table with --data that continues them after the last
    value of the target.
    """
    from zoo.forecasting.api import forecast

    result = forecast(path, data, steps, cell=file_cells(cell))
    echo(json.dumps(result.to_json(), indent=2) if as_json else result.to_csv().rstrip("\n"))
