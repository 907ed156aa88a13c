"""From the flags of ``zoo sample`` to a chain of samplers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from zoo.cli.assignments import assign, member_target
from zoo.contracts import Chain, Sampler
from zoo.errors import UsageError
from zoo.registry import get_sampler, registry_of


class Shorthand(NamedTuple):
    """A flag that stands for a sampler and the value of its one option."""

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
    """The samplers that were named, in their order, then those that flags stand for, in the table's order.

    A flag whose sampler was named sets the option of that one, in its place.

    Args:
        names: What ``--sampler`` was given.
        flags: Values of the shorthands; None where one was not given.
        assignments: What ``--set`` was given.

    Raises:
        UnknownNameError: if no sampler has a name.
        UsageError: if a value is not allowed or an option unknown.
    """
    asked = [shorthand for shorthand in SHORTHANDS if flags.get(shorthand.flag) is not None]
    if flags.get("temperature") == 0:
        raise UsageError(
            "--temperature 0 would divide by zero; for the most probable symbol use --sampler greedy."
        )
    order = [*names, *(shorthand.sampler for shorthand in asked if shorthand.sampler not in names)]
    targets = [member_target(name, registry_of(Sampler).cls(name)) for name in dict.fromkeys(order)]
    if assignments and not targets:
        raise UsageError(
            f"--set {assignments[0]}: no sampler is in use; choose one with --sampler NAME or with a flag "
            f"such as --top-k 40."
        )
    chosen = assign(assignments, targets)
    for shorthand in asked:
        if shorthand.option in chosen[shorthand.sampler]:
            flag = shorthand.flag.replace("_", "-")
            raise UsageError(
                f"--{flag} and --set both set {shorthand.option} of {shorthand.sampler}; set it once."
            )
        chosen[shorthand.sampler][shorthand.option] = flags[shorthand.flag]
    return Chain(tuple(get_sampler(name, **chosen[name]) for name in order))
