"""``zoo sample``: generate text with a trained model."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import click

from zoo.base import Chain, Sampler
from zoo.base.set_options import assign, component_target
from zoo.cli.completion import complete_text_runs
from zoo.cli.component_lookup import CELL_FILE, PLUGIN, component_class, file_cells, load_plugins
from zoo.cli.flags import MAX_SEED, CheckedArgument, Command, Flag
from zoo.cli.terminal import escape_controls, is_terminal
from zoo.cli.weights import WEIGHTS, with_weights
from zoo.errors import DataError, UsageError
from zoo.registry import registry_of
from zoo.training.config import Config


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
    Shorthand(
        "temperature",
        "temperature",
        "temperature",
        float,
        "X",
        "Divide the logits by X: below 1 less random, above 1 more random.",
    ),
    Shorthand("top_k", "top_k", "k", int, "N", "Draw from the N most probable tokens."),
    Shorthand(
        "top_p",
        "top_p",
        "p",
        float,
        "X",
        "Draw from the fewest tokens whose probabilities sum to at least X.",
    ),
    Shorthand(
        "min_p",
        "min_p",
        "p",
        float,
        "X",
        "Draw from tokens at least X times as probable as the most probable one.",
    ),
    Shorthand(
        "typical",
        "typical",
        "mass",
        float,
        "X",
        "Draw from tokens whose surprisal is nearest the expected one, up to a total probability of X.",
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
    named = [component_class(Sampler, name) for name in names]
    missing = [row.sampler for row in given if row.sampler not in [cls.name for cls in named]]
    order = [*named, *map(registry_of(Sampler).cls, missing)]
    targets = [component_target(cls.name, cls) for cls in dict.fromkeys(order)]
    if assignments and not targets:
        raise UsageError(
            f"--set {assignments[0]}: no sampler is in use; choose one with --sampler NAME or with a flag "
            f"such as --top-k 40."
        )
    classes = {cls.name: cls for cls in order}
    for shorthand in given:
        _check_value(shorthand, classes[shorthand.sampler], flags[shorthand.flag])
    chosen = assign(assignments, targets)
    for shorthand in given:
        if shorthand.option in chosen[shorthand.sampler]:
            flag = shorthand.flag.replace("_", "-")
            raise UsageError(
                f"--{flag} and --set both set {shorthand.option} of {shorthand.sampler}; set it once."
            )
        chosen[shorthand.sampler][shorthand.option] = flags[shorthand.flag]
    return Chain(tuple(cls(**chosen[cls.name]) for cls in order))


def _check_value(shorthand: Shorthand, cls: type[Sampler], value: Any) -> None:
    """Check the value of a flag, and name the flag in the error, not the option of the sampler."""
    option = vars(cls)[shorthand.option]
    try:
        option.check(value, cls.label())
    except UsageError as error:
        flag = shorthand.flag.replace("_", "-")
        expected = option.expects().replace("the sampler 'greedy'", "--sampler greedy")
        raise UsageError(f"--{flag} is {value}; {expected}.") from error


_HELP = """Generate text with a trained model.

Prints the prompt, the generated text and a newline. RUN is a run directory, of which zoo uses the best model,
or a .safetensors file.

Without samplers, each token is drawn from the distribution that the model predicts. The samplers of --sampler
come first, in the order given. The flags follow, in the order temperature, top-k, top-p, min-p, typical. The
same seed gives the same text.
"""

_TEXT, _SAMPLERS = "Text", "Samplers"

_FLAGS = [
    Flag(
        "--prompt",
        section=_TEXT,
        empty=True,
        default="",
        metavar="TEXT",
        help="Text to continue; - reads it from standard input.",
    ),
    Flag(
        "--length",
        section=_TEXT,
        type=int,
        default=Config.sample_length,
        metavar="N",
        help=f"Tokens to generate.  [{Config.sample_length}]",
    ),
    Flag(
        "--seed",
        section=_TEXT,
        type=int,
        most=MAX_SEED,
        default=0,
        metavar="N",
        help="Random seed.  [0]",
    ),
    Flag(
        "--on-unknown",
        section=_TEXT,
        type=click.Choice(["error", "skip"]),
        default="error",
        help="Characters of the prompt that are not in the vocabulary: stop with an error, or skip them.  "
        "[error]",
    ),
    Flag(
        "--sampler",
        "names",
        section=_SAMPLERS,
        multiple=True,
        metavar="NAME|FILE.py:Class",
        help="A sampler, for example greedy (`zoo samplers` lists them); may be repeated.",
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
        help="Set an option of a sampler, for example k=40 or top_k.k=40; may be repeated.",
    ),
    Flag("--weights", **WEIGHTS),
    Flag("--cell", **CELL_FILE),
    Flag("--plugin", **PLUGIN),
]


def run(
    path: str,
    prompt: str,
    length: int,
    seed: int,
    on_unknown: Literal["error", "skip"],
    names: Sequence[str],
    assignments: Sequence[str],
    weights: str | None,
    cell: str | None,
    plugin: Sequence[str],
    **shorthands: Any,
) -> None:
    """Sample; the arguments come from the command line."""
    load_plugins(plugin)
    chain = make_chain(names, shorthands, assignments)

    from zoo.data.vocabulary import name_text
    from zoo.model import LanguageModel, generate
    from zoo.model.checkpoint import model_from, read_run, usage_advice

    cells = file_cells(cell)
    checkpoint, _ = read_run(path)
    model = with_weights(model_from(checkpoint, path, cells, threads=1), weights)
    if not isinstance(model, LanguageModel):
        advice = usage_advice(checkpoint, str(path))
        raise UsageError(f"{path} holds a {model.kind}, which cannot generate text; {advice}.")
    text = _read_prompt(model.vocab.level) if prompt == "-" else prompt
    try:
        with name_text("the prompt"):
            tokens = model.vocab.encode(text, on_unknown)
    except DataError as error:
        raise UsageError(str(error)) from None
    _write(generate(model, text, length, chain, seed, on_unknown), len(tokens))


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


def _write(pieces: Iterable[str], prompt_tokens: int) -> None:
    """Write and flush each piece to a terminal; write buffered to a file or pipe."""
    to_terminal = is_terminal()
    # The first symbol may print that a cell compiles, which belongs before the prompt and not behind it.
    # Each token of the prompt is a piece; without a prompt, the first piece is a random token.
    remaining = iter(pieces)
    beginning = list(itertools.islice(remaining, max(prompt_tokens, 1) + 1))
    for piece in itertools.chain(beginning, remaining):
        sys.stdout.write(escape_controls(piece) if to_terminal else piece)
        if to_terminal:
            sys.stdout.flush()
    sys.stdout.write("\n")


command = Command(
    "sample",
    callback=run,
    params=[CheckedArgument(["path"], metavar="RUN", shell_complete=complete_text_runs), *_FLAGS],
    help=_HELP,
)
