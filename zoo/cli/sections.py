"""A command whose options stand under headings: thirty in one list are a wall."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli.flags import CheckedOption

_REST = "Options"


class Flag(CheckedOption):
    """An option under a heading.

    Args:
        *names: Its spellings, and its name in Python.
        section: The heading.
        **attributes: As for :class:`CheckedOption`.
    """

    def __init__(self, *names: Any, section: str = _REST, **attributes: Any) -> None:
        super().__init__(names, **attributes)
        self.section = section


class Sectioned(click.Command):
    """A command whose help shows its options by section, in order of appearance, the rest at the end."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the sections."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(param, "section", _REST), []).append(record)
        sections[_REST] = sections.pop(_REST)  # there is always --help
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
