"""``zoo cite``: BibTeX references of components and of zoo."""

from __future__ import annotations

from collections.abc import Sequence

import click

import zoo
from zoo.cli.component_lookup import find_component, plugin_option
from zoo.cli.flags import argument
from zoo.cli.terminal import echo
from zoo.installation import citation


@click.command()
@argument("names", metavar="NAME...", nargs=-1)
@plugin_option
def command(names: Sequence[str]) -> None:
    """Print references for BibTeX.

    NAME is the name of a cell, an optimizer or a sampler; where one name is several, write optimizer:NAME. A
    cell in a file of yours is FILE.py:Class. The last reference is the one of zoo itself. Accents are UTF-8.
    """
    members = dict.fromkeys(map(find_component, names))
    echo("\n\n".join([*(member.bibtex() for member in members), citation(zoo.__version__)]))
