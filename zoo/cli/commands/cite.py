"""``zoo cite``: BibTeX references of components and of zoo."""

from __future__ import annotations

from collections.abc import Sequence

import click

import zoo
from zoo.base import Component
from zoo.base.card import unique_entries
from zoo.base.loss import Loss
from zoo.cli.completion import complete_components
from zoo.cli.component_lookup import find_component, plugin_option
from zoo.cli.flags import Command, argument
from zoo.cli.terminal import echo
from zoo.errors import UsageError
from zoo.installation import citation


@click.command(cls=Command)
@argument("names", metavar="NAME|FILE.py:Class...", nargs=-1, shell_complete=complete_components)
@plugin_option
def command(names: Sequence[str]) -> None:
    """Print BibTeX references.

    NAME is a cell, block, modifier, constraint, penalty, optimizer, sampler, task or tracker. If components
    of several kinds have the name, write KIND:NAME. Without KIND, NAME is the cell if a cell and a block
    share the name: mamba is the cell, and block:mamba the block. FILE.py:Class is a class in a Python file.
    The last reference is the one of zoo itself. Accents are UTF-8.
    """
    entries = unique_entries(_published(name).bibtex() for name in names)
    echo("\n\n".join([*entries, citation(zoo.__version__)]))


def _published(name: str) -> type[Component]:
    component = find_component(name)
    if isinstance(component, Loss):
        raise UsageError(
            f"{name!r} is a loss, which has no reference; `zoo show loss:{component.name}` explains it."
        )
    return component
