"""Click options, arguments and commands of zoo.

Options and arguments reject empty values (an unset shell variable), NUL characters, integers above a billion,
and a second value for an option that takes one. The help of a long command shows options by section.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import click

from zoo.cli.completion import COMPLETERS

MAX_INTEGER = 10**9
"""The largest integer, unless an option sets ``most``."""
MAX_SEED = 2**63 - 1
"""The largest seed."""

_SHORT = {
    **dict.fromkeys(("--cell", "--cells"), "-c"),
    **dict.fromkeys(("--task", "--tasks"), "-t"),
    "--data": "-d",
    "--out": "-o",
    "--steps": "-n",
    "--set": "-s",
    "--quiet": "-q",
}
"""The short form of an option, the same in every command."""


class CheckedOption(click.Option):
    """An option that rejects empty values, NUL characters and huge integers.

    Its short form and its completion in a shell follow from its name.

    Args:
        names: Its spellings, and its name in Python.
        most: The largest magnitude of an integer.
        empty: Whether an empty value is allowed.
        expected: Description of a valid number, for the error of a value that is none.
        **attributes: As for ``click.Option``.
    """

    def __init__(
        self,
        names: Sequence[str],
        most: int = MAX_INTEGER,
        empty: bool = False,
        expected: str = "",
        **attributes: Any,
    ) -> None:
        completers = [COMPLETERS[name] for name in names if name in COMPLETERS]
        attributes.setdefault("shell_complete", completers[0] if completers else None)
        super().__init__([*(_SHORT[name] for name in names if name in _SHORT), *names], **attributes)
        self.most, self.empty, self.expected = most, empty, expected
        self.takes_one = not (self.multiple or self.is_flag or self.count)

    def add_to_parser(self, parser: Any, ctx: click.Context) -> None:
        """Make the parser collect all values instead of the last one."""
        if self.takes_one:
            parser.add_option(self, opts=self.opts, dest=self.name, action="append", nargs=self.nargs)
        else:
            super().add_to_parser(parser, ctx)

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Reject a second value."""
        name = str(self.name)
        if self.takes_one and name in opts:
            values = opts[name]
            if len(values) > 1 and not ctx.resilient_parsing:
                raise click.UsageError(
                    f"{self.opts[-1]} is given {len(values)} times and takes one value; give it once.", ctx
                )
            opts = {**opts, name: values[-1]}
        return super().handle_parse_result(ctx, opts, args)

    def get_error_hint(self, ctx: click.Context | None) -> str:  # noqa: ARG002  # click's signature
        """The long form, for messages."""
        return repr(self.opts[-1])

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert a value, and reject empty values, NUL characters and huge integers."""
        return _checked(self, ctx, self._convert, value, self.most, self.empty)

    def _convert(self, ctx: click.Context, value: Any) -> Any:
        try:
            return super().type_cast_value(ctx, value)
        except click.BadParameter as error:
            if not self.expected:
                raise
            sentence = f"{error.message.rstrip('.')}; expected {self.expected}."
            raise click.BadParameter(sentence, ctx, self) from None


class CheckedArgument(click.Argument):
    """An argument that rejects empty values, NUL characters and huge integers."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert a value, and reject empty values, NUL characters and huge integers."""
        return _checked(self, ctx, super().type_cast_value, value, MAX_INTEGER, False)


option = partial(click.option, cls=CheckedOption)
argument = partial(click.argument, cls=CheckedArgument)


def format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` and ``--csv`` to a command: the argument ``form`` is ``"json"``, ``"csv"`` or None."""
    csv_option = option("--csv", "form", flag_value="csv", help="Print a table as CSV, for programs.")
    return option("--json", "form", flag_value="json", help="Print JSON, for programs.")(csv_option(command))


def _checked(
    param: click.Parameter, ctx: click.Context, convert: Any, value: Any, most: int, empty: bool
) -> Any:
    for text in _flatten(value):
        if text == "" and not empty:
            raise click.BadParameter("it is empty; give a value, or leave it out.", ctx, param)
        if isinstance(text, str) and "\0" in text:
            raise click.BadParameter("it contains a NUL character, which no name or path does.", ctx, param)
    converted = convert(ctx, value)
    for number in _flatten(converted):
        if isinstance(number, int) and abs(number) > most:
            raise click.BadParameter(
                f"it is {number:,}; expected an integer from {-most:,} to {most:,}.", ctx, param
            )
    return converted


def _flatten(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _flatten(item)
    else:
        yield value


_OTHER_OPTIONS = "Options"


class Flag(CheckedOption):
    """An option of a `SectionedCommand`.

    Args:
        *names: Its spellings, and its name in Python.
        section: Heading of its section in the help.
        **attributes: As for :class:`CheckedOption`.
    """

    def __init__(self, *names: Any, section: str = _OTHER_OPTIONS, **attributes: Any) -> None:
        super().__init__(names, **attributes)
        self.section = section


_FLAGS_ELSEWHERE = {
    **dict.fromkeys(("--learning-rate", "--rate"), "--lr"),
    **dict.fromkeys(("--batch-size", "--bs"), "--batch"),
    **dict.fromkeys(("--hidden-size", "--units"), "--hidden"),
    **dict.fromkeys(("--seq-len", "--sequence-length"), "--seq"),
    **dict.fromkeys(("--file", "--input", "--text"), "--data"),
    **dict.fromkeys(("--output", "--output-dir"), "--out"),
    **dict.fromkeys(("--iterations", "--max-steps"), "--steps"),
    "--num-layers": "--layers",
    "--model": "--cell",
}
"""Names of flags in other programs, and the flag of zoo."""


def _flags_of(word: str) -> Iterator[str]:
    """The flags that take a word as their value."""
    from zoo.registry import list_cells, list_tasks
    from zoo.registry.plugin_files import is_file_spec

    if is_file_spec(word) or word in list_cells():
        yield from ("--cell", "--cells")
    elif word in list_tasks():
        yield from ("--task", "--tasks")
    elif os.path.exists(word):  # noqa: PTH110 - Path.exists raises for a name that is too long
        yield "--data"


class SectionedCommand(click.Command):
    """A command whose help shows its options by section, in order of appearance, others last.

    It suggests a flag for an argument that it does not take, and for the name of a flag in other programs.
    """

    allow_extra_args = True  # `parse_args` reports them

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        flags = {flag for param in self.params for flag in param.opts}
        try:
            rest = super().parse_args(ctx, args)
        except click.NoSuchOption as error:
            flag = _FLAGS_ELSEWHERE.get(error.option_name)
            if flag not in flags:
                raise
            sentence = f"No such option {error.option_name!r}. Did you mean {flag!r}?"
            raise click.NoSuchOption(error.option_name, sentence, ctx=ctx) from None
        if rest and not ctx.resilient_parsing:
            near = [f"{flag} {rest[0]}" for flag in _flags_of(rest[0]) if flag in flags]
            ctx.fail(f"unexpected argument {rest[0]!r}.{f' Did you mean {near[0]}?' if near else ''}")
        return rest

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options by section."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx) if isinstance(param, click.Option) else None
            if record is not None:
                sections.setdefault(getattr(param, "section", _OTHER_OPTIONS), []).append(record)
        sections[_OTHER_OPTIONS] = sections.pop(_OTHER_OPTIONS)  # never empty: it has --help
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)
