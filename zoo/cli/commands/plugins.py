"""``zoo plugins``: list the plugins and their status."""

from __future__ import annotations

import traceback
from typing import Any

import click

from zoo.cli.component_lookup import PLUGIN
from zoo.cli.flags import Command, format_options, option
from zoo.cli.terminal import bold, echo, print_facts, show_table
from zoo.registry import PluginRecord, load_plugin_file, plugins
from zoo.tables import TextTable


@click.command(cls=Command)
@option("-v", "--verbose", is_flag=True, help="Print the traceback of each failure.")
@format_options
@option("--plugin", "files", **PLUGIN)
def command(verbose: bool, form: str | None, files: tuple[str, ...]) -> None:
    """List the plugins, and why one failed to load.

    The table has their distribution, version and components. ZOO_PLUGINS=a,b loads only these plugins, in
    addition to the plugins of zoo. ZOO_STRICT_PLUGINS=1 makes a failure an error.
    """
    for file in files:
        load_plugin_file(file)
    records = plugins()
    if form is not None:
        print_facts([_facts(record) for record in records], form)
        return
    headings = ("plugin", "from", "version", "status", "provides")
    show_table(TextTable("", headings, tuple(map(_row, records))), wrap=headings[-1:])
    for record in records:
        if record.status == "failed":
            echo(f"\n{bold(f'{record.name} failed:')} {record.error.rstrip('.')}.")
            _print_cause(record, verbose)


def _row(record: PluginRecord) -> tuple[str, ...]:
    return (
        record.name,
        record.distribution or "a file",
        record.version or "-",
        record.status,
        ", ".join(record.provides) or "-",
    )


def _facts(record: PluginRecord) -> dict[str, Any]:
    names = ("name", "distribution", "version", "module", "status", "error")
    return {**{name: getattr(record, name) for name in names}, "provides": list(record.provides)}


def _print_cause(record: PluginRecord, verbose: bool) -> None:
    if record.cause is None:
        return
    if verbose:
        echo("".join(traceback.format_exception(record.cause)).rstrip())
    else:
        echo("`zoo plugins -v` prints the traceback.")
