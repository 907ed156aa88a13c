"""``zoo cells``: list the cells."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from zoo.base import Cell
from zoo.base.names import did_you_mean
from zoo.cell_pages.cell_info import HIDDEN_SIZE, INPUT_SIZE, SORT_KEYS, CellInfo, cell_info, sort_cells
from zoo.cli.component_lookup import plugin_option
from zoo.cli.errors import echo_err
from zoo.cli.flags import argument, option
from zoo.cli.terminal import echo, is_terminal, show_table
from zoo.errors import DefinitionError, UsageError
from zoo.registry import get_cell, registry_of

_SECONDS = 0.2  # for each cell that is measured


@click.command()
@argument("pattern", default="*")
@option(
    "--sort",
    "order",
    default="family",
    metavar="[-]BY",
    help=f"Sort by {', '.join(SORT_KEYS)}; with a minus in front, as in --sort -year, from the greatest to "
    "the least.  [family]",
)
@option(
    "--speed",
    is_flag=True,
    help="Measure each cell here and now: ns per token, forward and backward. New cells are compiled first, "
    "some seconds each.",
)
@option("--json", "as_json", is_flag=True, help="Print one JSON list, for programs.")
@plugin_option
def command(pattern: str, order: str, speed: bool, as_json: bool) -> None:
    """List the cells.

    PATTERN is a shell pattern for the name, as in '*lstm', or for family and name, as in 'classic/*'.
    """
    _check_order(order, speed)
    rows = [cell_info(name) for name in _matching_names(pattern)]
    rows = sort_cells(_with_speed(rows) if speed else rows, order)
    if as_json:
        echo(json.dumps(rows, indent=2))
        return
    _show(rows, speed)


def _check_order(order: str, speed: bool) -> None:
    by = order.removeprefix("-")
    if by not in SORT_KEYS:
        raise click.UsageError(
            f"--sort {order}: there is nothing called {by!r} to sort by; choose one of "
            f"{', '.join(SORT_KEYS)}.{did_you_mean(by, SORT_KEYS)}"
        )
    if by == "speed" and not speed:
        raise click.UsageError("--sort speed: nothing is measured without --speed; add it.")


def _matching_names(pattern: str) -> list[str]:
    names = registry_of(Cell).list(pattern)
    if not names:
        near = did_you_mean(pattern, registry_of(Cell).list())
        raise UsageError(f"no cell matches {pattern!r}.{near} `zoo cells` lists all of them.")
    return names


def _with_speed(rows: list[CellInfo]) -> list[CellInfo]:
    """Measure the speed of each cell; print progress to a terminal, since compiling may take minutes."""
    measured = []
    for number, facts in enumerate(rows, 1):
        if is_terminal(sys.stderr):
            echo_err(f"measuring {facts['name']}, {number} of {len(rows)}")
        measured.append({**facts, "speed": _speed(facts["name"])})
    return measured


def _speed(name: str) -> CellInfo:
    """Measure ns per token of a cell; None, with a warning, if it cannot run in this size."""
    from zoo.bench.timing import STEPS, ns_per_token
    from zoo.layers.sharding import ROWS_PER_TILE

    try:
        nanoseconds = round(ns_per_token(get_cell(name), INPUT_SIZE, HIDDEN_SIZE, _SECONDS), 1)
    except (DefinitionError, UsageError) as error:
        echo_err(f"Warning: {name} is not measured: {error}")
        nanoseconds = None
    sizes = {"steps": STEPS, "batch": ROWS_PER_TILE, "input_size": INPUT_SIZE, "hidden_size": HIDDEN_SIZE}
    return {**sizes, "dtype": "float32", "ns_per_token": nanoseconds}


def _show(rows: list[CellInfo], speed: bool) -> None:
    headings = [
        "cell",
        "family",
        "year",
        "scope",
        "state",
        "carried",
        "parameters",
        "ns/token",
        "from",
        "what it is",
    ]
    left_out = [] if speed else ["ns/token"]
    if len({facts["distribution"] for facts in rows}) == 1:
        left_out.append("from")
    columns = [column for column, heading in enumerate(headings) if heading not in left_out]
    shown = [headings[column] for column in columns]
    right = [shown.index(name) for name in ("year", "carried", "parameters", "ns/token") if name in shown]
    show_table(shown, [[_row(facts)[column] for column in columns] for facts in rows], right, fit=True)
    echo(
        f"\nNumbers that a row carries, and parameters of a layer: {HIDDEN_SIZE} units, {INPUT_SIZE} inputs."
    )
    if speed:
        echo("Processor time for a token, forward and backward, of eight rows in one thread, float32.")
    echo("`zoo show CELL` tells more, and --json all of it.")


def _row(facts: CellInfo) -> list[str]:
    return [
        facts["name"],
        facts["family"],
        f"{facts['year'] or '-'}",
        facts["scope"],
        ", ".join(facts["states"]),
        _number(facts["carried"]["count"]),
        _number(facts["parameters"]["count"]),
        _number(facts.get("speed", {}).get("ns_per_token")),
        Path(facts["distribution"]).name,
        facts["summary"],
    ]


def _number(count: float | None) -> str:
    return "-" if count is None else f"{count:,.0f}"
