"""Click options, arguments and commands of zoo.

Options and arguments reject empty values (an unset shell variable), NUL characters, integers above a billion,
and a second value for an option that takes one. A wrong command line raises one sentence of zoo, never one of
click. The help of a long command shows options by section.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import click

from zoo.arguments import short_repr
from zoo.base.names import did_you_mean, zoo_name
from zoo.cli.completion import COMPLETERS
from zoo.cli.terminal import shorten_middle
from zoo.errors import UsageError

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
                raise UsageError(
                    f"{self.opts[-1]} is given {len(values)} times and takes one value; give it once."
                )
            opts = {**opts, name: values[-1]}
        return super().handle_parse_result(ctx, opts, args)

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert a value; raise `UsageError` if it is invalid."""
        expected = self.expected or _expected(self.type)
        return _convert(self, super().type_cast_value, ctx, value, expected, self.most, self.empty)


class CheckedArgument(click.Argument):
    """An argument that rejects empty values, NUL characters and huge integers."""

    def type_cast_value(self, ctx: click.Context, value: Any) -> Any:
        """Convert a value; raise `UsageError` if it is invalid."""
        return _convert(self, super().type_cast_value, ctx, value, _expected(self.type), MAX_INTEGER, False)


option = partial(click.option, cls=CheckedOption)
argument = partial(click.argument, cls=CheckedArgument)


def format_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--json`` and ``--csv`` to a command: the argument ``form`` is ``"json"``, ``"csv"`` or None."""
    csv_option = option("--csv", "form", flag_value="csv", help="Print a table as CSV, for programs.")
    return option("--json", "form", flag_value="json", help="Print JSON, for programs.")(csv_option(command))


def label(param: click.Parameter) -> str:
    """The name of a parameter in messages: ``--lr``, or ``RUN`` for an argument."""
    if isinstance(param, click.Option):
        return param.opts[-1]
    metavar = (param.metavar or "").strip("[].")
    return metavar if metavar.isupper() else str(param.name).upper()


def _wrong_path(path: str, expected: str) -> str:
    kind = "a directory" if os.path.isdir(path) else "a file"  # noqa: PTH112 - does not raise
    return (
        f"{kind}; expected {expected}" if kind != expected else "which cannot be read; change its permissions"
    )


def _shown(text: str) -> str:
    """A text in quotation marks, or a number."""
    try:
        float(text)
    except ValueError:
        return short_repr(text)
    return shorten_middle(text, 60)


def _expected(kind: click.ParamType[Any]) -> str:
    """Description of the values of a type."""
    if isinstance(kind, click.Tuple):
        return " and ".join(map(_expected, kind.types))
    if isinstance(kind, click.Choice):
        return f"one of {', '.join(map(repr, kind.choices))}"
    if isinstance(kind, click.Path):
        return "a file" if kind.file_okay and not kind.dir_okay else "a directory"
    noun = "an integer" if isinstance(kind, click.types.IntParamType) else "a number"
    low, high = getattr(kind, "min", None), getattr(kind, "max", None)
    if low is None:
        return noun
    return f"{noun} of at least {low:,}" if high is None else f"{noun} from {low:,} to {high:,}"


def _convert(
    param: click.Parameter,
    convert: Callable[[click.Context, Any], Any],
    ctx: click.Context,
    value: Any,
    expected: str,
    most: int,
    empty: bool,
) -> Any:
    name = label(param)
    for text in _flatten(value):
        if text == "" and not empty:
            raise UsageError(f"{name} is empty; give a value, or leave it out.")
        if isinstance(text, str) and "\0" in text:
            raise UsageError(f"{name} contains a NUL character, which no name or path does.")
    try:
        converted = convert(ctx, value)
    except click.BadParameter:
        words = [word for word in _flatten(value) if isinstance(word, str)]
        if isinstance(param.type, click.Path):
            raise UsageError(
                f"{name} is {short_repr(words[0])}, {_wrong_path(words[0], expected)}."
            ) from None
        near = _near_choice(param, words[0], ctx)
        raise UsageError(f"{name} is {_shown(' '.join(words))}; expected {expected}.{near}") from None
    for number in _flatten(converted):
        if isinstance(number, int) and abs(number) > most:
            limit = f"at most {most:,}" if number > 0 else f"at least {-most:,}"
            raise UsageError(f"{name} is {number:,}; expected an integer of {limit}.")
        if isinstance(number, float) and not math.isfinite(number):
            raise UsageError(
                f"{name} is {number}; expected {expected.replace('a number', 'a finite number')}."
            )
    return converted


def _near_choice(param: click.Parameter, word: str, ctx: click.Context) -> str:
    """The choice, or the other option with its choice, that may be meant by an invalid value."""
    if not isinstance(param.type, click.Choice):
        return ""
    own, name = param.type.choices, zoo_name(word)
    for other in ctx.command.params:
        if name not in own and isinstance(other.type, click.Choice) and name in other.type.choices:
            return f" Did you mean {label(other)} {name}?"
    return did_you_mean(word, own)


def _flatten(value: Any) -> Iterator[Any]:
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _flatten(item)
    else:
        yield value


_OTHER_OPTIONS = "Options"


class Flag(CheckedOption):
    """An option of a `Command`.

    Args:
        *names: Its spellings, and its name in Python.
        section: Heading of its section in the help.
        **attributes: As for :class:`CheckedOption`.
    """

    def __init__(self, *names: Any, section: str = _OTHER_OPTIONS, **attributes: Any) -> None:
        super().__init__(names, **attributes)
        self.section = section


def _flags_of(word: str) -> Iterator[str]:
    """The flags that take a word as their value."""
    from zoo.base import Cell, Task
    from zoo.registry import registry_of
    from zoo.registry.plugin_files import is_file_spec

    if is_file_spec(word) or word in registry_of(Cell):
        yield from ("--cell", "--cells")
    elif word in registry_of(Task):
        yield from ("--task", "--tasks")
    elif os.path.exists(word):  # noqa: PTH110 - Path.exists raises for a name that is too long
        if os.path.isfile(os.path.join(word, "config.json")):  # noqa: PTH113, PTH118 - a run
            yield "--out"
        yield "--data"


class Command(click.Command):
    """A command that raises `UsageError` for a wrong command line.

    It suggests a flag for an argument that it does not take, and for the name of a flag in other programs.
    Its help shows options by section, in order of appearance, others last.

    Args:
        other_flags: Flags of another command that errors of this one name, by their names in Python.
        **attributes: As for ``click.Command``.
    """

    allow_extra_args = True  # `parse_args` reports them

    def __init__(self, *args: Any, other_flags: Mapping[str, str] | None = None, **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.other_flags = dict(other_flags or {})

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line."""
        if not ctx.resilient_parsing:
            self._check_alternatives(args)
        try:
            rest = super().parse_args(ctx, args)
        except click.UsageError as error:
            raise usage_error(error, ctx) from None
        if rest and not ctx.resilient_parsing:
            flags = _flags(ctx)
            near = [f"{flag} {rest[0]}" for flag in _flags_of(rest[0]) if flag in flags]
            raise UsageError(
                f"unexpected argument {rest[0]!r}; expected `{_usage(ctx)}`."
                f"{f' Did you mean {near[0]}?' if near else ''}"
            )
        return rest

    def _check_alternatives(self, args: Sequence[str]) -> None:
        """Reject two flags that set the same argument, such as ``--json`` and ``--csv``."""
        names = [param.name for param in self.params]
        given = [
            label(param) for param in self.params if names.count(param.name) > 1 and label(param) in args
        ]
        if len(given) > 1:
            raise UsageError(f"{' and '.join(given)} are both given; give one of them.")

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


def usage_error(error: click.UsageError, ctx: click.Context) -> Exception:
    """The error of zoo for one of click; an error that is a request for help stays."""
    flags = _flags(ctx)
    if isinstance(error, click.NoSuchOption):
        hint = did_you_mean(error.option_name, flags)
        if error.option_name == "--out":
            hint = " The command prints its results; write them to a file with > FILE."
        if error.option_name == "--resume" and "--jobs" in flags:
            hint = " A comparison continues without it: repeat its command with the same --out."
        if error.option_name == "--threads" and "--jobs" in flags:
            hint = " Each run uses one thread; --jobs N trains N runs at once."
        return UsageError(
            f"unknown option {error.option_name!r}; `{ctx.command_path} --help` lists the options.{hint}"
        )
    if isinstance(error, click.MissingParameter) and error.param is not None:
        name, param = label(error.param), error.param
        is_option = isinstance(param, click.Option)
        return UsageError(f"{name} is missing; expected `{_example(param) if is_option else _usage(ctx)}`.")
    if isinstance(error, click.BadOptionUsage):
        param = flags[error.option_name]
        if isinstance(param, click.Option) and param.is_flag:
            return UsageError(f"{label(param)} takes no value; expected `{label(param)}` alone.")
        number = "no value" if param.nargs == 1 else f"fewer than {param.nargs} values"
        return UsageError(f"{label(param)} has {number}; expected `{_example(param)}`.")
    return error


def _flags(ctx: click.Context) -> dict[str, click.Parameter]:
    """The options of a command by their spellings."""
    params = ctx.command.get_params(ctx)
    return {flag: param for param in params for flag in param.opts if flag.startswith("-")}


def _usage(ctx: click.Context) -> str:
    return " ".join([ctx.command_path, *ctx.command.collect_usage_pieces(ctx)])


def _example(param: click.Parameter) -> str:
    """An option and the description of its value: ``--out DIR``."""
    choices = param.type.choices if isinstance(param.type, click.Choice) else ()
    return f"{label(param)} {param.metavar or '|'.join(choices) or 'VALUE'}"
