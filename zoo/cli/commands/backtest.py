"""``zoo backtest``: compare forecasts from many points in time with the actual values."""

from __future__ import annotations

import click

from zoo.cli.commands.forecast import FLAGS_OF_TRAINING, LEVEL_HELP
from zoo.cli.completion import complete_runs
from zoo.cli.component_lookup import CELL_FILE, file_cells, plugin_option
from zoo.cli.flags import Command, argument, format_options, option
from zoo.cli.format import score_lines
from zoo.cli.terminal import echo, print_facts
from zoo.cli.weights import WEIGHTS, with_weights


@click.command(cls=Command, other_flags=FLAGS_OF_TRAINING)
@argument("path", metavar="RUN", shell_complete=complete_runs)
@option("--data", metavar="FILE", help="Another table with the same columns.  [the table of the run]")
@option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="N",
    help="Steps of each forecast.  [the horizon of the run]",
)
@option(
    "--stride",
    type=click.IntRange(min=1),
    metavar="N",
    help="Rows from one forecast to the next.  [the steps, so that forecasts do not overlap]",
)
@option(
    "--part",
    type=click.Choice(["train", "valid", "test", "all"]),
    help="Part of the table. Of another table, test is the rows after those of training and validation.  "
    "[test, or the last part with windows]",
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
    stride: int | None,
    part: str | None,
    level: float | None,
    weights: str | None,
    cell: str | None,
    form: str | None,
) -> None:
    """Compare forecasts from many points in time with actual values.

    RUN is the directory of a run on a table, or a .safetensors file. The model forecasts from every origin,
    STRIDE rows apart, and is not trained again. zoo prints the errors of the model and of the baselines with
    95 % intervals. --csv prints all forecasts with the actual values; --json prints the errors.
    """
    from zoo.data.training_files import check_training_files
    from zoo.forecasting.forecaster import Forecaster

    forecaster = with_weights(Forecaster.load(path, file_cells(cell)), weights)
    if data is None:
        check_training_files(path, [forecaster.data])
    result = forecaster.backtest(data, steps=steps, stride=stride, part=part, level=level)
    if form == "csv":
        echo(result.forecast.to_csv().rstrip("\n"))
    elif form == "json":
        print_facts({"run": path, **result.scores}, form)
    else:
        echo("\n".join(score_lines(result.scores)))
