"""``zoo sample``: generate text with a trained model."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from zoo.base import Chain, Sampler
from zoo.cli.component_lookup import file_cells, load_plugins
from zoo.cli.flags import MAX_SEED, CheckedArgument, Flag, SectionedCommand
from zoo.cli.set_options import assign, component_target
from zoo.cli.terminal import escape_controls, is_terminal
from zoo.errors import DataError, UsageError
from zoo.registry import get_sampler, registry_of


class Shorthand(NamedTuple):
    """A flag that adds a sampler and sets its option."""

    flag: str
    sampler: str
    option: str
    type: type
    metavar: str
    help: str


# In the order in which they are chained.
SHORTHANDS = (
    Shorthand("temperature", "temperature", "temperature", float, "X", "Below 1 safer, above 1 wilder."),
    Shorthand("top_k", "top_k", "k", int, "N", "Only the N most probable symbols."),
    Shorthand(
        "top_p", "top_p", "p", float, "X", "Only the fewest symbols that hold a share X of the probability."
    ),
    Shorthand(
        "min_p",
        "min_p",
        "p",
        float,
        "X",
        "Only symbols at least X times as probable as the most probable one.",
    ),
    Shorthand(
        "typical",
        "typical",
        "mass",
        float,
        "X",
        "Only symbols about as surprising as expected, up to a share X.",
    ),
)


def make_chain(names: Sequence[str], flags: Mapping[str, Any], assignments: Sequence[str]) -> Chain:
    """Chain the samplers of ``--sampler`` in their order, then those of shorthands in the order of the table.

    A shorthand whose sampler was named sets the option of that one.

    Args:
        names: Values of ``--sampler``.
        flags: Values of the shorthands; None where one was not given.
        assignments: Values of ``--set``.

    Raises:
        UnknownNameError: if a sampler is unknown.
        UsageError: if a value is invalid or an option unknown.
    """
    given = [shorthand for shorthand in SHORTHANDS if flags.get(shorthand.flag) is not None]
    if flags.get("temperature") == 0:
        raise UsageError(
            "--temperature 0 would divide by zero; for the most probable symbol use --sampler greedy."
        )
    order = [*names, *(shorthand.sampler for shorthand in given if shorthand.sampler not in names)]
    targets = [component_target(name, registry_of(Sampler).cls(name)) for name in dict.fromkeys(order)]
    if assignments and not targets:
        raise UsageError(
            f"--set {assignments[0]}: no sampler is in use; choose one with --sampler NAME or with a flag "
            f"such as --top-k 40."
        )
    chosen = assign(assignments, targets)
    for shorthand in given:
        if shorthand.option in chosen[shorthand.sampler]:
            flag = shorthand.flag.replace("_", "-")
            raise UsageError(
                f"--{flag} and --set both set {shorthand.option} of {shorthand.sampler}; set it once."
            )
        chosen[shorthand.sampler][shorthand.option] = flags[shorthand.flag]
    return Chain(tuple(get_sampler(name, **chosen[name]) for name in order))


_HELP = """Write text with a trained model.

It writes the prompt, what follows, and a newline. RUN is a run directory, whose best model is taken, or a
.safetensors file.

Without samplers each symbol is drawn from the model's own distribution. Flags are applied in the order
temperature, top-k, top-p, min-p, typical; samplers named with --sampler come before those that flags stand
for, in the order given. The same seed gives the same text.
"""

_TEXT, _SAMPLERS = "Text", "Samplers"

_FLAGS = [
    Flag(
        "--prompt",
        section=_TEXT,
        empty=True,
        default="",
        metavar="TEXT",
        help="What to go on from, taken literally; - reads it from stdin.",
    ),
    Flag("--length", section=_TEXT, type=int, default=500, metavar="N", help="Symbols to add.  [500]"),
    Flag(
        "--seed",
        section=_TEXT,
        type=int,
        most=MAX_SEED,
        default=0,
        metavar="N",
        help="Decides every draw.  [0]",
    ),
    Flag(
        "--on-unknown",
        section=_TEXT,
        type=click.Choice(["error", "skip"]),
        default="error",
        help="What to do with characters of the prompt that the model does not know.  [error]",
    ),
    Flag(
        "--sampler",
        "names",
        section=_SAMPLERS,
        multiple=True,
        metavar="NAME",
        help="greedy, or any that `zoo plugins` lists; may be repeated.",
    ),
    *(
        Flag(
            f"--{row.flag.replace('_', '-')}",
            section=_SAMPLERS,
            type=row.type,
            metavar=row.metavar,
            help=row.help,
        )
        for row in SHORTHANDS
    ),
    Flag(
        "--set",
        "assignments",
        section=_SAMPLERS,
        multiple=True,
        metavar="NAME=VALUE",
        help="An option of a sampler in use, as in k=40 or top_k.k=40; may be repeated.",
    ),
    Flag("--cell", metavar="FILE.py:Class", help="The model's cell, if it is registered nowhere."),
    Flag("--plugin", multiple=True, metavar="FILE.py", help="Load a plugin from a file; may be repeated."),
]


def run(
    path: str,
    prompt: str,
    length: int,
    seed: int,
    on_unknown: str,
    names: Sequence[str],
    assignments: Sequence[str],
    cell: str | None,
    plugin: Sequence[str],
    **shorthands: Any,
) -> None:
    """Sample; the arguments are those of the command line."""
    load_plugins(plugin)
    chain = make_chain(names, shorthands, assignments)

    from zoo.model import LanguageModel, generate, load

    model = load(Path(path), cell=file_cells(cell), threads=1)
    if not isinstance(model, LanguageModel):
        raise UsageError(f"{path} holds a {model.kind}, which writes no text; `zoo eval {path}` measures it.")
    text = _read_prompt(model.vocab.level) if prompt == "-" else prompt
    _write(generate(model, text, length, chain, seed, on_unknown))


def _read_prompt(level: str) -> str | bytes:
    raw = sys.stdin.buffer.read()
    if level == "byte":
        return raw
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"the prompt on standard input is not UTF-8: byte 0x{raw[error.start]:02x} at offset "
            f"{error.start} ({error.reason})."
        ) from None


def _write(pieces: Iterable[str]) -> None:
    """Write and flush each piece to a terminal; write buffered to a file or pipe."""
    to_terminal = is_terminal()
    for piece in pieces:
        sys.stdout.write(escape_controls(piece) if to_terminal else piece)
        if to_terminal:
            sys.stdout.flush()
    sys.stdout.write("\n")


command = SectionedCommand(
    "sample", callback=run, params=[CheckedArgument(["path"], metavar="RUN"), *_FLAGS], help=_HELP
)
