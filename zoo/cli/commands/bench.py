"""``zoo bench``: step times of zoo and other libraries on this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from zoo.arguments import missing_directory
from zoo.cli.errors import echo_err
from zoo.cli.flags import Command, format_options, option
from zoo.cli.terminal import bold, echo, print_facts, show_table
from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.bench.results import Results
    from zoo.bench.settings import Settings
    from zoo.storage.document_marker import DocumentMarker

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command(cls=Command)
@option(
    "--cells",
    default="vanilla,lstm,gru",
    metavar="A,B",
    help="Cells: NAME or FILE.py:Class.  [vanilla,lstm,gru]",
)
@option(
    "--shapes",
    metavar="TxBxH,...",
    help="Time steps, batch size, hidden units; TxBxIxH for I dense inputs.  [64x32x128, 64x32x256, "
    "64x64x512, 128x16x64, 25x1x100]",
)
@option(
    "--peers",
    metavar="A,B",
    help="Libraries to compare with: torch (nn.LSTM and others), torch.eager (the equations in a Python "
    "loop), zoo.torch (zoo as a module), jax, torchrecurrent, pytensor, or none.  [those installed]",
)
@option(
    "--python",
    multiple=True,
    metavar="PEER=FILE",
    help="Python interpreter of a library that is installed in another environment; may be repeated.",
)
@option("--threads", type=int, metavar="N", help="Threads of every library.  [every processor]")
@option(
    "--dtype",
    type=click.Choice(["float32", "float64"]),
    default="float32",
    help="Floating-point precision.  [float32]",
)
@option(
    "--precision",
    type=click.Choice(["float32", "bf16"]),
    help="Precision of matrix products of zoo. Other libraries have the precision of --dtype.  "
    "[that of --dtype]",
)
@option(
    "--inputs",
    type=click.Choice(["tokens", "dense"]),
    default="tokens",
    help="Tokens, or vectors of I numbers, 65 without I in --shapes.  [tokens]",
)
@option(
    "--measure",
    type=click.Choice(["model", "layer", "stream"]),
    default="model",
    help="A training step of a model, both passes of a layer, or its outputs in a stream, one time step in "
    "each call.  [model]",
)
@option(
    "--clock",
    type=click.Choice(["wall", "processor"]),
    default="wall",
    help="Wall-clock time, or processor time of all threads, for a machine that does other work.  [wall]",
)
@option(
    "--seconds",
    type=float,
    default=1.0,
    metavar="S",
    help="Seconds for each library at each cell and shape.  [1]",
)
@option("--no-compile", is_flag=True, help="Skip compile and load times.")
@option("--sampling", is_flag=True, help="Also measure tokens per second of sampling.")
@option("--growth", is_flag=True, help="Also measure time per token as T, B and H grow.")
@option("--chart", type=_FILE, metavar="FILE", help="Draw a chart, .png or .svg; needs matplotlib.")
@option(
    "--markdown",
    metavar="FILE[#NAME]",
    help="Write the tables as Markdown; into an existing file at its marker, with this name if given.",
)
@option(
    "--compare",
    "older",
    type=_FILE,
    metavar="OLD.json",
    help="Exit with 1 if a ratio to another library fell by more than 15 % since this output of --json.",
)
@format_options
@click.pass_context
def command(ctx: click.Context, /, form: str | None, **given: Any) -> None:
    """Measure training steps, or layers, of zoo and of other libraries.

    Also shown as a fraction of peak FLOP/s. A training step includes everything except the optimizer: inputs,
    recurrence, readout, softmax cross-entropy and all gradients. Each library gets the weights of zoo and
    must compute the same loss before it is timed. Then the libraries run in turn, with the same number of
    threads. Run nothing else at the same time.
    """
    from zoo.bench.bench import measure
    from zoo.bench.results import check_comparable, read_baseline
    from zoo.storage.document_marker import parse_marker

    chart, markdown = given.pop("chart"), given.pop("markdown")
    marker = parse_marker(markdown, "bench") if markdown else None
    baseline_file = given.pop("older")
    baseline = read_baseline(baseline_file) if baseline_file else None
    settings = _settings(starts=not given.pop("no_compile"), **given)
    if baseline:
        check_comparable(baseline, settings)
    _check_files(chart, marker)
    results = measure(settings, echo_err)
    _show(results, form)
    _write(results, chart, marker)
    if baseline and not _check_regressions(baseline, results, is_progress=form is not None):
        ctx.exit(1)


def _check_files(chart: Path | None, marker: DocumentMarker | None) -> None:
    """Check before the run that the results can be written."""
    from zoo.bench.chart import check_chart

    if chart:
        if not chart.absolute().parent.is_dir():
            raise UsageError(missing_directory(chart.parent))
        check_chart(chart)
    if marker:
        marker.check()


def _settings(
    cells: str,
    shapes: str | None,
    peers: str | None,
    python: tuple[str, ...],
    threads: int | None,
    dtype: str,
    precision: str | None,
    inputs: str,
    measure: str,
    clock: str,
    seconds: float,
    **sections: bool,
) -> Settings:
    """Validate the flags."""
    from zoo.bench import settings as s
    from zoo.bench.peer_process import installed_peers
    from zoo.bench.peers import PEERS
    from zoo.processes import available_processors

    pythons = s.parse_pythons(python)
    installed = (name for name in installed_peers() if inputs == "tokens" or PEERS[name].takes_dense)
    selected = dict.fromkeys((*installed, *pythons)) if peers is None else s.parse_names(peers)
    settings = s.Settings(
        s.parse_names(cells),
        s.parse_shapes(s.SHAPES if shapes is None else shapes),
        () if peers == "none" else tuple(selected),
        available_processors() if threads is None else threads,
        dtype,
        inputs,
        seconds,
        pythons,
        precision=precision,
        clock=clock,
        measure=measure,
        **sections,
    )
    _check_cells(settings)
    return settings


def _check_cells(settings: Settings) -> None:
    """Check that every cell exists in every shape."""
    from zoo.registry import resolve_cell

    for name in settings.cells:
        cell = resolve_cell(name)
        for shape in settings.shapes:
            cell.param_shapes(shape.input_size, shape.hidden)


def _show(results: Results, form: str | None) -> None:
    """Print the tables, all results as JSON, or the training steps as CSV."""
    from zoo.bench.tables import describe_setup, result_tables

    if form is not None:
        steps = [asdict(step) for timing in results.races for step in timing.steps]
        print_facts(steps if form == "csv" else {"format": 1, **asdict(results)}, form)
        return
    for line in describe_setup(results):
        echo(line)
    for table in result_tables(results):
        show_table(table, wrap=("note",))


def _write(results: Results, chart: Path | None, marker: DocumentMarker | None) -> None:
    from zoo.bench.chart import draw_charts
    from zoo.bench.tables import write_tables

    if marker:
        write_tables(marker, results)
    for file in draw_charts(chart, results) if chart else ():
        echo_err(f"drawn: {file}")


def _check_regressions(baseline: Any, results: Results, is_progress: bool) -> bool:
    """Print the ratios that fell, on stderr if they are progress; whether there are none."""
    from zoo.bench.results import compare

    changes = compare(baseline, results)
    fallen = [change for change in changes if change.regressed]
    summary = f"{len(fallen)} of {len(changes)} ratios to peers fell by more than 15 %"
    echo(f"\n{bold(f'Compared with {baseline.path}:')} {summary}{':' if fallen else '.'}", err=is_progress)
    for change in fallen:
        echo(f"  {change}", err=is_progress)
    return not fallen
