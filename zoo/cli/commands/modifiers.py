"""``zoo modifiers``: list the modifiers."""

from __future__ import annotations

import json
from typing import Any

import click

from zoo.base import Modifier
from zoo.base.names import did_you_mean
from zoo.cli.component_lookup import plugin_option
from zoo.cli.flags import argument, option
from zoo.cli.terminal import echo, show_table
from zoo.errors import UsageError
from zoo.registry import registry_of


@click.command()
@argument("pattern", default="*")
@option("--json", "as_json", is_flag=True, help="Print one JSON list, for programs.")
@plugin_option
def command(pattern: str, as_json: bool) -> None:
    """List the modifiers, which turn any cell into another one.

    They follow the name of a cell, wherever a cell is named: lstm+zoneout, gru+low_rank+layer_norm. PATTERN
    is a shell pattern for the name, as in '*norm'.
    """
    names = registry_of(Modifier).list(pattern)
    if not names:
        near = did_you_mean(pattern, registry_of(Modifier).list())
        raise UsageError(f"no modifier matches {pattern!r}.{near} `zoo modifiers` lists all of them.")
    rows = [_facts(name) for name in names]
    if as_json:
        echo(json.dumps(rows, indent=2))
        return
    headings = ("modifier", "year", "options of the cell", "from", "what it does")
    show_table(headings, [_row(facts) for facts in rows], right=(1,))
    echo("\n`zoo train --cell CELL+MODIFIER --set OPTION=VALUE` uses one; `zoo show MODIFIER` tells more.")


def _facts(name: str) -> dict[str, Any]:
    registry = registry_of(Modifier)
    cls, source = registry.cls(name), registry.source(name)
    return {
        "name": name,
        "year": cls.card.year,
        "options": {f"{name}_{option}": each.default for option, each in cls.declared_options.items()},
        "distribution": source.distribution or str(source),
        "version": source.version,
        "summary": cls.summary(),
    }


def _row(facts: dict[str, Any]) -> tuple[str, ...]:
    options = ", ".join(f"{name}={value!r}" for name, value in facts["options"].items())
    return facts["name"], f"{facts['year'] or '-'}", options or "-", facts["distribution"], facts["summary"]
