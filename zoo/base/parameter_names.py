"""Select parameters by patterns over their names, and read lists of assignments such as ``a=1,b=2``."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from zoo.base.names import did_you_mean
from zoo.errors import UsageError


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


def split_assignments(text: str, who: str) -> dict[str, str]:
    """The values in ``"a=1,b=2"`` by name, as texts.

    Raises:
        UsageError: if a part is no assignment, or a name is given twice.
    """
    values: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = (each.strip() for each in part.rpartition("="))
        if not (equals and name and value):
            raise UsageError(f"{who}: {part.strip()!r} is not an assignment; write NAME=VALUE.")
        if name in values:
            raise UsageError(f"{who}: {name} is given twice; give it once.")
        values[name] = value
    return values
