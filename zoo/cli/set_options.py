"""``--set name=value``: options of a cell, an optimizer, a schedule or a sampler, from text."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.base import Component
from zoo.base.names import did_you_mean
from zoo.errors import UsageError

Reader = Callable[[str], Any]
Chosen = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Target:
    """Something whose options can be set.

    Args:
        prefix: What stands before the dot in ``cell.alpha=0.5``.
        label: How an error names it, ``cell 'vanilla'``.
        readers: Name of each option, and what makes its value from text.
    """

    prefix: str
    label: str
    readers: Mapping[str, Reader]


def component_target(prefix: str, member: type[Component]) -> Target:
    """The declared options of a cell, an optimizer or a sampler."""
    return Target(prefix, member.label(), {name: _reader(member, name) for name in member.declared_options})


def _reader(member: type[Component], name: str) -> Reader:
    return lambda text: member.declared_options[name].parse(text, member.label())


def assign(texts: Iterable[str], targets: Sequence[Target]) -> Chosen:
    """The values that a number of ``--set`` give, by the prefix of their target.

    Args:
        texts: ``"name=value"`` or ``"prefix.name=value"``; each option at most once.
        targets: Where names are looked up.

    Returns:
        A dictionary for each target's prefix, empty where nothing is set.

    Raises:
        UsageError: if a text is no assignment, or a name is unknown, stands for several options or is set
            twice.
    """
    chosen: Chosen = {target.prefix: {} for target in targets}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set {text!r} is no assignment; write it as name=value.")
        target, option = _find(name.strip(), targets)
        if option in chosen[target.prefix]:
            raise UsageError(f"--set {text}: {option} of {target.label} is set twice; set it once.")
        chosen[target.prefix][option] = target.readers[option](value.strip())
    return chosen


def _find(name: str, targets: Sequence[Target]) -> tuple[Target, str]:
    prefix, dot, option = name.rpartition(".")
    considered = [target for target in targets if not dot or target.prefix == prefix]
    if not considered:
        prefixes = list(dict.fromkeys(target.prefix for target in targets))
        raise UsageError(
            f"--set {name}: {prefix!r} is none of {', '.join(prefixes)}.{did_you_mean(prefix, prefixes)}"
        )
    found = [target for target in considered if option in target.readers]
    if len(found) > 1:
        raise UsageError(
            f"--set {name} could mean {_either(target.label for target in found)}; "
            f"write {_either(f'{target.prefix}.{option}' for target in found)}."
        )
    if not found:
        raise UsageError(_unknown(name, option, considered))
    return found[0], option


def _unknown(name: str, option: str, targets: Sequence[Target]) -> str:
    known = [option for target in targets for option in target.readers]
    has = "; ".join(f"{target.label} has {', '.join(target.readers) or 'none'}" for target in targets)
    return f"--set {name}: there is no option {option!r}: {has}.{did_you_mean(option, known)}"


def _either(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))
