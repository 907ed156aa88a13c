"""``zoo tasks``: list the tasks."""

from __future__ import annotations

import json
from typing import Any

import click

from zoo.base import Task
from zoo.base.names import did_you_mean
from zoo.cli.component_lookup import plugin_option
from zoo.cli.errors import echo_err
from zoo.cli.flags import argument, option
from zoo.cli.terminal import echo, show_table
from zoo.errors import UsageError, ZooError
from zoo.registry import registry_of


@click.command()
@argument("pattern", default="*")
@option("--json", "as_json", is_flag=True, help="Print one JSON list, for programs.")
@plugin_option
def command(pattern: str, as_json: bool) -> None:
    """List the tasks, which networks with a memory are tried on.

    Each with its score, what that is without memory, and from where on the task counts as solved. PATTERN is
    a shell pattern for the name, as in '*copying', or for family and name, as in 'memory/*'.
    """
    names = registry_of(Task).list(pattern)
    if not names:
        near = did_you_mean(pattern, registry_of(Task).list())
        raise UsageError(f"no task matches {pattern!r}.{near} `zoo tasks` lists all of them.")
    rows = sorted((_facts(name) for name in names), key=lambda facts: (facts["family"], facts["name"]))
    if as_json:
        echo(json.dumps(rows, indent=2))
        return
    headings = ("task", "family", "year", "score", "no memory", "solved", "what it is")
    show_table(headings, [_row(facts) for facts in rows], right=(2, 4, 5), fit=True)
    echo("\n`zoo train --task TASK --cell CELL` trains on one; `zoo show TASK` tells more.")


def _facts(name: str) -> dict[str, Any]:
    registry = registry_of(Task)
    cls, source = registry.cls(name), registry.source(name)
    return {
        "name": name,
        "family": cls.family,
        "year": cls.card.year,
        "loss": cls.loss,
        "metric": cls.metric,
        **_measures(cls),
        "threshold": cls.threshold,
        "threshold_source": cls.threshold_source,
        "options": {option: each.default for option, each in cls.declared_options.items()},
        "distribution": source.distribution or str(source),
        "version": source.version,
        "summary": cls.summary(),
    }


def _measures(cls: type[Task]) -> dict[str, Any]:
    """Sizes and baseline; None, with a warning, for a task that lacks a package or a text."""
    task = cls()
    measures: dict[str, Any] = {"inputs": None, "outputs": None, "baseline": None}
    try:
        measures.update(inputs=task.input_size, outputs=task.output_size, baseline=task.baseline())
    except ZooError as error:
        echo_err(f"Warning: {error}")
    return {**measures, "higher_is_better": task.higher_is_better}


def _row(facts: dict[str, Any]) -> list[str]:
    return [
        facts["name"],
        facts["family"],
        f"{facts['year'] or '-'}",
        facts["metric"].replace("_", " "),
        _number(facts["baseline"]),
        _number(facts["threshold"]),
        facts["summary"],
    ]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
