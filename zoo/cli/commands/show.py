"""``zoo show``: everything that is known of one member."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence

import click

from zoo.cli.members import CONTRACTS, find_member, plugin_option
from zoo.cli.terminal import faint, is_terminal, make_console, plain_table, strong
from zoo.contracts import Cell, Member, Optimizer
from zoo.contracts.declarations import Array
from zoo.errors import UsageError
from zoo.registry import registry_of

WIDTH = 100


@click.command()
@click.argument("name", metavar="NAME")
@click.option("--source", is_flag=True, help="Print the module that defines it instead.")
@plugin_option
def command(name: str, source: bool) -> None:
    """Show one cell, optimizer or sampler in full.

    Equations, options, parameters with their shapes and first values, states, and where it comes from.
    NAME is the name of a cell, an optimizer or a sampler; where one name is several, write optimizer:NAME. A
    cell in a file of yours is FILE.py:Class.
    """
    member = find_member(name)
    if source:
        _show_source(member)
    else:
        click.echo("\n".join(_card(member)))


def _show_source(member: type[Member]) -> None:
    try:
        text = inspect.getsource(sys.modules[member.__module__])
    except (OSError, TypeError, KeyError):
        raise UsageError(
            f"{member.label()}: the source of its module {member.__module__} cannot be found."
        ) from None
    if is_terminal():
        from rich.syntax import Syntax

        make_console().print(Syntax(text, "python", theme="ansi_dark", background_color="default"))
    else:
        click.echo(text, nl=False)


def _card(member: type[Member]) -> Iterator[str]:
    yield f"{strong(member.name)}  {faint(f'{member.kind}, {member.family}, {_origin(member)}')}"
    yield ""
    yield from _indented(_plain(inspect.getdoc(member) or ""))
    for heading, rows in _tables(member).items():
        yield ""
        yield strong(heading)
        yield from _indented(plain_table(rows) if rows else ["none"])
    yield ""
    yield strong("Reference")
    yield from _indented(_reference(member))


def _plain(docstring: str) -> list[str]:
    """The lines of a docstring without its markup."""
    return re.sub(r"::$", ":", docstring, flags=re.MULTILINE).replace("``", "").splitlines()


def _indented(lines: Sequence[str] | Iterator[str]) -> Iterator[str]:
    return (f"  {line}".rstrip() for line in lines)


def _origin(member: type[Member]) -> str:
    registry = registry_of(CONTRACTS[member.kind])
    if member.name in registry.list() and registry.cls(member.name) is member:
        return f"from {registry.source(member.name)}"
    return f"from {inspect.getsourcefile(member) or member.__module__}, registered nowhere"


def _tables(member: type[Member]) -> dict[str, list[list[str]]]:
    tables: dict[str, list[list[str]]] = {}
    if issubclass(member, Cell):
        tables[f"Parameters: {member.parameter_formula()}"] = _arrays(member.params, with_init=True)
        tables["States"] = _arrays(member.states, with_init=False)
    elif issubclass(member, Optimizer):
        tables["Slots beside the parameters"] = _arrays(member.slots, with_init=False)
    tables["Options"] = [
        [name, f"{option.default!r}", _allowed(option.expects()), option.help]
        for name, option in member.declared_options.items()
    ]
    return tables


def _arrays(arrays: Mapping[str, Array], with_init: bool) -> list[list[str]]:
    return [
        [
            name,
            f"({', '.join(size.text for size in array.shape)})",
            *([_init(array)] if with_init else []),
            array.help,
        ]
        for name, array in arrays.items()
    ]


def _init(array: Array) -> str:
    return array.init if isinstance(array.init, str) else getattr(array.init, "__name__", "its own")


def _allowed(expects: str) -> str:
    return expects.removeprefix("expected ")


def _reference(member: type[Member]) -> Iterator[str]:
    card = member.card
    remarks = {"Variant": card.variant, "Deviations": card.deviations}
    yield from _wrapped(f"{card.authors} ({card.year}). {card.title}.")
    yield card.url
    for heading, text in remarks.items():
        yield from _wrapped(f"{heading}: {text}") if text else ()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)
