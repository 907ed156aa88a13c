"""``zoo cells``: which cells there are."""

from __future__ import annotations

import json
from typing import Any

import click

from zoo.cli.members import plugin_option
from zoo.cli.terminal import show_table
from zoo.contracts import Cell
from zoo.contracts.names import did_you_mean
from zoo.errors import UsageError
from zoo.registry import registry_of

INPUTS, HIDDEN = 65, 128  # the alphabet of Tiny Shakespeare, and the hidden size of a first run


@click.command()
@click.argument("pattern", default="*")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list, for programs.")
@plugin_option
def command(pattern: str, as_json: bool) -> None:
    """List the cells.

    PATTERN is a shell pattern for the name, as in '*lstm', or for family and name, as in 'classic/*'.
    """
    names = registry_of(Cell).list(pattern)
    if not names:
        near = did_you_mean(pattern, registry_of(Cell).list())
        raise UsageError(f"no cell matches {pattern!r}.{near} `zoo cells` lists all of them.")
    rows = [_facts(name) for name in names]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    headings = ("cell", "family", "year", "state", "parameters", "from", "what it is")
    show_table(headings, [_row(facts) for facts in rows], right=(2, 4))
    click.echo(
        f"\nParameters of one layer of {HIDDEN} units with {INPUTS} inputs. `zoo show CELL` tells more."
    )


def _facts(name: str) -> dict[str, Any]:
    registry = registry_of(Cell)
    cls, source = registry.cls(name), registry.source(name)
    return {
        "name": name,
        "family": cls.family,
        "year": cls.card.year,
        "states": {state.name: [size.text for size in state.shape] for state in cls.states.values()},
        "parameters": {
            "input_size": INPUTS,
            "hidden_size": HIDDEN,
            "count": _count(cls),
            "formula": cls.parameter_formula(),
        },
        "distribution": source.distribution or str(source),
        "version": source.version,
        "summary": cls.summary(),
    }


def _count(cls: type[Cell]) -> int | None:
    """The number of parameters; None if the cell, with its default options, does not come in these sizes."""
    try:
        return cls().parameter_count(INPUTS, HIDDEN)
    except UsageError:
        return None


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    count = facts["parameters"]["count"]
    return (
        facts["name"],
        facts["family"],
        str(facts["year"]),
        ", ".join(
            name if shape == ["H"] else f"{name} {'×'.join(shape)}" for name, shape in facts["states"].items()
        ),
        "-" if count is None else f"{count:,}",
        facts["distribution"],
        facts["summary"],
    )
