"""``zoo report``: write the page of a run or a comparison."""

from __future__ import annotations

from pathlib import Path

import click

from zoo.arguments import missing_directory
from zoo.cli.completion import complete_reports
from zoo.cli.component_lookup import CELL_FILE, TASK_FILE, file_cells, file_task, plugin_option
from zoo.cli.errors import echo_err
from zoo.cli.flags import Command, argument, option
from zoo.cli.format import format_bytes
from zoo.cli.terminal import echo
from zoo.errors import UsageError


@click.command(cls=Command)
@argument(
    "directory",
    metavar="RUN|COMPARISON",
    type=click.Path(path_type=Path),
    shell_complete=complete_reports,
)
@option(
    "--data",
    multiple=True,
    metavar="FILE",
    help="The file of the training data, if it was moved or renamed; may be repeated for a text.",
)
@option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="The HTML file.  [report.html in the directory]",
)
@option(
    "--figures",
    type=(click.Choice(["pdf", "png", "svg"]), click.Path(file_okay=False, path_type=Path)),
    metavar="pdf|png|svg DIR",
    help="Also write the figures as files, for papers; needs matplotlib.",
)
@option(
    "--paper",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Also write methods, tables and references of a comparison in LaTeX.",
)
@option(
    "--symbols",
    type=click.IntRange(0, 100_000),
    default=1000,
    metavar="N",
    help="Tokens of a text, or steps of numbers, over which hidden units are shown; 0 for none.  [1000]",
)
@option("--cell", **CELL_FILE)
@option("--task", **TASK_FILE)
@plugin_option
def command(
    directory: Path,
    data: tuple[str, ...],
    out: Path | None,
    figures: tuple[str, Path] | None,
    paper: Path | None,
    symbols: int,
    cell: str | None,
    task: str | None,
) -> None:
    """Write an HTML page of a run or a comparison.

    The page is one file and needs no network. For a run it shows learning curves, gradients, gates, hidden
    units over a text or over numeric inputs, samples, the cell and the configuration. For a run on a table it
    shows forecasts and residuals, for labelled sequences the confusion matrix and the calibration, and for a
    comparison tables and charts.

    --paper writes three files for a paper: methods.tex, a paragraph with all settings, tables.tex, and
    references.bib with everything that was compared.
    """
    from zoo.report import make_report, write_figures, write_page, write_paper
    from zoo.report.figures import check_figures
    from zoo.report.page import PAGE
    from zoo.storage import RunDirectory

    if figures:
        check_figures(figures[0])
    if out and not out.absolute().parent.is_dir():
        raise UsageError(missing_directory(out.parent))
    if paper and RunDirectory(directory).holds_run():
        raise UsageError(f"--paper {paper}: {directory} is a run; give the directory of a comparison.")
    report = make_report(directory, cell=file_cells(cell), symbols=symbols, task=file_task(task), data=data)
    page = write_page(report, out or directory / PAGE)
    echo(f"{page}  {format_bytes(page.stat().st_size)}")
    for file in write_figures(report, figures[1], figures[0]) if figures else ():
        echo(str(file))
    for file in write_paper(directory, paper) if paper else ():
        echo(str(file))
    echo_err("Open it in a browser; it needs no network.")
