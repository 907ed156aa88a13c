"""``zoo cite``: BibTeX references of components."""

from __future__ import annotations

from collections.abc import Sequence

import click

from zoo.cli.component_lookup import find_component, plugin_option
from zoo.cli.flags import argument
from zoo.cli.terminal import echo


@click.command()
@argument("names", metavar="NAME...", nargs=-1)
@plugin_option
def command(names: Sequence[str]) -> None:
    """Print references for BibTeX.

    NAME is the name of a cell, an optimizer or a sampler; where one name is several, write optimizer:NAME. A
    cell in a file of yours is FILE.py:Class. Accents are UTF-8.
    """
    if not names:
        raise click.UsageError(
            "name what you cite, as in `zoo cite lstm adam`; `zoo cells` lists the cells, `zoo plugins` "
            "everything."
        )
    members = dict.fromkeys(map(find_component, names))
    echo("\n\n".join(member.bibtex() for member in members))
