"""Names: valid ones, patterns over the names of parameters, and suggestions for misspelt names."""

from __future__ import annotations

import difflib
import fnmatch
import keyword
import re
from collections.abc import Collection, Iterable, Sequence

from zoo.errors import DefinitionError, UsageError

MODIFIER_SEPARATOR = "+"
"""Separates a cell and its modifiers in the name of a modified cell."""

_COMPONENT_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_DECLARATION_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


def check_component_name(name: object, owner: str) -> None:
    """Check that a registry name is lower snake case of at most 64 ASCII characters.

    Such names are used in file names, command lines and generated source.

    Raises:
        DefinitionError: naming ``owner`` and the name.
    """
    if not isinstance(name, str) or not _COMPONENT_NAME.fullmatch(name) or keyword.iskeyword(name):
        raise DefinitionError(
            f"{owner}: the name {name!r} cannot be registered; a name is lower case letters, digits and "
            f"underscores, starts with a letter, is at most 64 long and no Python keyword, as in 'my_cell'."
        )


def check_declaration_name(name: object, owner: str) -> None:
    """Check that the name of a parameter, state, option or slot is an ASCII identifier.

    Raises:
        DefinitionError: naming ``owner`` and the name.
    """
    if not isinstance(name, str) or not _DECLARATION_NAME.fullmatch(name) or keyword.iskeyword(name):
        raise DefinitionError(
            f"{owner}: {name!r} cannot name a parameter, state, option or slot; use ASCII letters, digits "
            f"and underscores, starting with a letter, as in 'Wxh'."
        )


def snake_case(class_name: str) -> str:
    """The default registry name of a class: ``PeepholeLSTM`` becomes ``peephole_lstm``."""
    words = re.sub(r"([A-Z]+)([A-Z][a-z])", r"\1_\2", class_name)
    return re.sub(r"([a-z0-9])([A-Z])", r"\1_\2", words).lower()


_NAMES_ELSEWHERE = {
    **dict.fromkeys(("learning_rate", "rate"), "lr"),
    **dict.fromkeys(("batch_size", "bs"), "batch"),
    **dict.fromkeys(("hidden_size", "units"), "hidden"),
    **dict.fromkeys(("seq_len", "sequence_length"), "seq"),
    **dict.fromkeys(("file", "csv", "text"), "data"),
    **dict.fromkeys(("output", "output_dir"), "out"),
    **dict.fromkeys(("iterations", "max_steps"), "steps"),
    **dict.fromkeys(("y", "target_column"), "target"),
    **dict.fromkeys(("class", "label_column"), "label"),
    "id": "series",
    "steps": "epochs",
    "epochs": "steps",
    "num_layers": "layers",
    "model": "cell",
    "bfloat16": "bf16",
    **dict.fromkeys(("fp32", "single"), "float32"),
    **dict.fromkeys(("fp64", "double"), "float64"),
}
"""Names of settings and of their values in other programs, and in zoo."""


def zoo_name(name: str) -> str:
    """The name in zoo of a setting or value of another program; any other name as it is, without dashes."""
    own = name.lstrip("-").replace("-", "_")
    return _NAMES_ELSEWHERE.get(own, own)


def with_article(noun: str) -> str:
    """``a cell``, ``an optimizer``."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def did_you_mean(name: str, known: Iterable[str], max_names: int = 1) -> str:
    """`` Did you mean 'x'?`` with the nearest known names; empty if none is near.

    Args:
        name: The unknown name, of a flag or of anything else.
        known: The names that exist.
        max_names: Largest number of names in the text.
    """
    known = list(known)
    translated = [each for each in known if each.lstrip("-") == zoo_name(name)]
    near = translated or near_names(name, known)
    return f" Did you mean {' or '.join(map(repr, near[:max_names]))}?" if near else ""


def did_you_mean_component(name: str, known: Iterable[str]) -> str:
    """As `did_you_mean`, for a component: ``PeepholeLSTM`` and ``peephole-lstm`` are ``peephole_lstm``."""
    return did_you_mean(re.sub(r"\W", "_", snake_case(name)), known, max_names=3)


def near_names(name: str, known: Iterable[str], max_names: int = 3) -> list[str]:
    """Known names that may be meant by a misspelt or shortened one, the likeliest first.

    Args:
        name: The name. Dashes at the beginning do not count: with them, ``--temp`` is near to ``--help``.
        known: The names that exist.
        max_names: Largest number of results.
    """
    bare, by_bare = name.lstrip("-"), {each.lstrip("-"): each for each in known}
    if same := [each for each in by_bare.values() if each.lstrip("-").casefold() == bare.casefold()]:
        return same[:max_names]
    longer = [each for each in by_bare if len(bare) >= _SHORTEST_BEGINNING and each.startswith(bare)]
    near = dict.fromkeys([*sorted(longer, key=len), *difflib.get_close_matches(bare, by_bare, 8, cutoff=0.6)])
    # For difflib, 'tmep' is as near to 'time' as to 'temp'. Swapped letters are the likelier mistake.
    ordered = sorted(near, key=lambda each: not _has_swapped_letters(bare, each))
    return [by_bare[each] for each in ordered[:max_names]]


def _has_swapped_letters(name: str, other: str) -> bool:
    """Whether two neighbouring letters in the other order make one name of the other."""
    differing = [at for at, (a, b) in enumerate(zip(name, other, strict=False)) if a != b]
    is_pair = len(name) == len(other) and len(differing) == 2 and differing[1] == differing[0] + 1
    return is_pair and sorted(name) == sorted(other)


_SHORTEST_BEGINNING = 3


def matching_names(pattern: str, names: Iterable[str], setting: str, others: Sequence[str] = ()) -> list[str]:
    """The parameters that match a shell pattern, in order; ``l0.`` may be left out if there is one layer.

    Args:
        pattern: Such as ``"l0.Whh"``, ``"*.Whh"`` or ``"Whh"``.
        names: Names of all parameters.
        setting: Name of the setting with the pattern, for messages.
        others: Other words that the setting allows, for messages.

    Raises:
        UsageError: if none matches.
    """
    known = list(dict.fromkeys(names))
    has_one_layer = not any(name.startswith(("l1.", "l0.reverse.")) for name in known)
    short = {name: name.removeprefix("l0.") if has_one_layer else name for name in known}
    matches = [name for name in known if any(fnmatch.fnmatchcase(n, pattern) for n in (name, short[name]))]
    if not matches:
        raise UsageError(
            f"{setting} has the pattern {pattern!r}, which matches no parameter; expected one of "
            f"{', '.join([*known, *others])}.{did_you_mean(pattern, [*short.values(), *known, *others])}"
        )
    return matches


def split_assignments(text: str, owner: str, advice: str = "", known: Collection[str] = ()) -> dict[str, str]:
    """The values in ``"a=1,b=2"`` by name, as texts.

    Args:
        text: The assignments.
        owner: The beginning of messages.
        advice: The end of the message about a part that is not an assignment.
        known: Names whose values may contain ``=``, as in ``y=huber:delta=1``. Other names may contain it.

    Raises:
        UsageError: if a part is no assignment, or a name is given twice.
    """
    values: dict[str, str] = {}
    for part in text.split(","):
        if not part.strip() and "," in text:
            raise UsageError(f"{owner}: a comma has no NAME=VALUE on one side; leave it out.")
        name, equals, value = (each.strip() for each in part.rpartition("="))
        for each in known:
            if part.strip().startswith(f"{each}="):
                name, value = each, part.strip().removeprefix(f"{each}=").strip()
        if not (equals and name and value):
            raise UsageError(f"{owner}: {part.strip()!r} is not an assignment; write NAME=VALUE{advice}.")
        if name in values:
            raise UsageError(f"{owner}: {name} is given twice; give it once.")
        values[name] = value
    return values
