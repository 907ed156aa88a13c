"""``zoo pages``: write a page with a diagram for each cell."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from zoo.base import Cell
from zoo.cli.completion import complete_cells
from zoo.cli.component_lookup import cell_class, plugin_option
from zoo.cli.flags import Command, argument, option
from zoo.cli.terminal import echo
from zoo.registry import registry_of


@click.command(cls=Command)
@argument("names", metavar="[NAME|FILE.py:Class]...", nargs=-1, shell_complete=complete_cells)
@option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder; pages are DIR/FAMILY/NAME.md.",
)
@option("--check", is_flag=True, help="Write nothing; fail if a page is out of date.")
@plugin_option
def command(names: Sequence[str], out: Path, check: bool) -> None:
    """Write a Markdown page with a diagram for each cell.

    A page shows equations, a diagram of one step, the history, when to use the cell, arrays, options, costs,
    related cells and the references. Without NAME, all registered cells get a page, DIR/README.md and
    DIR/FAMILY/README.md list them, and pages of removed cells are deleted. Up-to-date pages are not
    rewritten. Files that this command did not write stay unchanged. In a page, the results
    between two comments stay unchanged too: other programs write them.
    """
    from zoo.cell_pages.pages import all_files, cell_files, pending_changes, write_changes

    registry = registry_of(Cell)
    classes = list(dict.fromkeys(map(cell_class, names or registry.list())))
    if names:
        files = {path: text for cls in classes for path, text in cell_files(cls).items()}
    else:
        files = all_files(classes, out)
    changes = pending_changes(files, out, is_all=not names)
    if check and changes:
        command_line = shlex.join(["zoo", "pages", *names, "--out", str(out)])
        raise click.ClickException(
            f"{_list_some(list(changes))} in {out} would change; run `{command_line}`."
        )
    write_changes(changes, out)
    removed = sum(text is None for text in changes.values())
    written = len(changes) - removed
    cells = f"{len(classes)} cell{'s' * (len(classes) != 1)}"
    same = len(files) - written
    echo(f"{cells}: {written} files written, {removed} removed, {same} as they were, in {out}")


def _list_some(paths: Sequence[str], limit: int = 5) -> str:
    more = f" and {len(paths) - limit} more" if len(paths) > limit else ""
    return f"{', '.join(paths[:limit])}{more}"
