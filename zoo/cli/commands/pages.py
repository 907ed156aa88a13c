"""``zoo pages``: write a page with a diagram for each cell and each block."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click

from zoo.arguments import counted
from zoo.base import Block, Cell
from zoo.base.loss import Loss
from zoo.cli.completion import complete_components
from zoo.cli.component_lookup import find_component, plugin_option
from zoo.cli.flags import Command, argument, option
from zoo.cli.terminal import echo
from zoo.errors import UsageError
from zoo.registry import registry_of


@click.command(cls=Command)
@argument("names", metavar="[NAME|FILE.py:Class]...", nargs=-1, shell_complete=complete_components)
@option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    metavar="DIR",
    help="The folder; pages are DIR/FAMILY/NAME.md and DIR/blocks/NAME.md.",
)
@option("--check", is_flag=True, help="Write nothing; fail if a page is out of date.")
@plugin_option
def command(names: Sequence[str], out: Path, check: bool) -> None:
    """Write a Markdown page with a diagram for each cell and each block.

    A page shows equations, a diagram of one step, the history, when to use the cell, arrays, options, costs,
    related cells and the references. The page of a block shows the number of its parameters, and the cells
    whose papers have it. NAME is a cell, or a block as block:NAME. Without NAME, all registered cells and
    blocks get a page, DIR/README.md, DIR/FAMILY/README.md and DIR/blocks/README.md list them, and pages of
    removed cells are deleted. Up-to-date pages are not rewritten. Files that this command did not write stay
    unchanged. In a page, the results between two comments stay unchanged too: other programs write them.
    """
    from zoo.cell_pages.pages import all_files, block_files, cell_files, pending_changes, write_changes

    registered = [registry_of(Cell).cls(name) for name in registry_of(Cell).list()]
    if names:
        cells, blocks = _cells_and_blocks(names)
        files = {path: text for cls in cells for path, text in cell_files(cls).items()}
        files |= {path: text for cls in blocks for path, text in block_files(cls, registered).items()}
    else:
        cells, blocks = registered, [registry_of(Block).cls(name) for name in registry_of(Block).list()]
        files = all_files(cells, blocks, out)
    changes = pending_changes(files, out, is_all=not names)
    if check and changes:
        command_line = shlex.join(["zoo", "pages", *names, "--out", str(out)])
        raise click.ClickException(
            f"{_list_some(list(changes))} in {out} would change; run `{command_line}`."
        )
    write_changes(changes, out)
    removed = sum(text is None for text in changes.values())
    written = len(changes) - removed
    states = {"written": written, "removed": removed, "unchanged": len(files) - written}
    results = ", ".join(f"{counted(count, 'file')} {state}" for state, count in states.items() if count)
    kinds = {"cell": len(cells), "block": len(blocks)}
    components = " and ".join(counted(count, kind) for kind, count in kinds.items() if count)
    echo(f"{components or 'no components'}: {results} in {out}")


def _cells_and_blocks(names: Sequence[str]) -> tuple[list[type[Cell]], list[type[Block]]]:
    """The classes of names, each once.

    Raises:
        UsageError: if one is neither a cell nor a block.
    """
    cells: list[type[Cell]] = []
    blocks: list[type[Block]] = []
    for name in names:
        component = find_component(name)
        if isinstance(component, Loss) or not issubclass(component, Cell | Block):
            raise UsageError(
                f"{component.kind} {component.name!r} has no page; name a cell, or a block as block:NAME."
            )
        if issubclass(component, Cell):
            cells.append(component)
        else:
            blocks.append(component)
    return list(dict.fromkeys(cells)), list(dict.fromkeys(blocks))


def _list_some(paths: Sequence[str]) -> str:
    more = f" and {len(paths) - _MAX_PATHS} more" if len(paths) > _MAX_PATHS else ""
    return f"{', '.join(paths[:_MAX_PATHS])}{more}"


_MAX_PATHS = 5
