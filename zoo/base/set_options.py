"""Options of components as texts: ``--set name=value``, and ``NAME:OPTIONS`` as in ``top_k:k=40``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.base import Component
from zoo.base.loss import Loss
from zoo.base.names import did_you_mean, split_assignments
from zoo.errors import UsageError

Reader = Callable[[str], Any]
Chosen = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Target:
    """Something whose options can be set.

    Args:
        prefix: Text before the dot in ``cell.alpha=0.5``.
        label: Its name in errors, ``cell 'vanilla'``.
        readers: Parser of each option.
        name: Another prefix, as in ``vanilla.alpha=0.5``; empty if there is none.
    """

    prefix: str
    label: str
    readers: Mapping[str, Reader]
    name: str = ""


def component_target(prefix: str, component: type[Component]) -> Target:
    """The declared options of a component."""
    readers = {name: _reader(component, name) for name in component.declared_options}
    return Target(prefix, component.label(), readers, component.name)


def loss_target(prefix: str, loss: Loss) -> Target:
    """The options of a loss."""
    owner = loss.label()
    readers = {name: functools.partial(each.parse, owner=owner) for name, each in loss.options.items()}
    return Target(prefix, owner, readers, loss.name)


def _reader(component: type[Component], name: str) -> Reader:
    return lambda text: component.declared_options[name].parse(text, component.label())


def assign(texts: Iterable[str], targets: Sequence[Target]) -> Chosen:
    """Parse the values of ``--set``.

    Args:
        texts: ``"name=value"`` or ``"prefix.name=value"``; each option at most once.
        targets: The options that exist.

    Returns:
        The options that were set, by prefix of the target.

    Raises:
        UsageError: if a text is not an assignment, or an option is unknown, ambiguous or set twice.
    """
    chosen: Chosen = {target.prefix: {} for target in targets}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set {text!r} is not an assignment; write NAME=VALUE.")
        target, option = _find(name.strip(), targets)
        if option in chosen[target.prefix]:
            raise UsageError(f"--set {text}: {option} of {target.label} is set twice; set it once.")
        chosen[target.prefix][option] = target.readers[option](value.strip())
    return chosen


def _find(name: str, targets: Sequence[Target]) -> tuple[Target, str]:
    prefix, dot, option = name.rpartition(".")
    by_prefix = [target for target in targets if not dot or target.prefix == prefix]
    considered = by_prefix or [target for target in targets if target.name == prefix]
    if not considered:
        prefixes = list(dict.fromkeys(target.prefix for target in targets))
        raise UsageError(
            f"--set {name}: unknown prefix {prefix!r}; expected {' or '.join(prefixes)}."
            f"{did_you_mean(prefix, [*prefixes, *(target.name for target in targets if target.name)])}"
        )
    matches = [target for target in considered if option in target.readers]
    if len(matches) > 1:
        raise UsageError(
            f"--set {name} could mean {_either(target.label for target in matches)}; "
            f"write {_either(f'{target.prefix}.{option}' for target in matches)}."
        )
    if not matches:
        raise UsageError(_unknown_option(name, option, considered))
    return matches[0], option


def _unknown_option(name: str, option: str, targets: Sequence[Target]) -> str:
    known = [option for target in targets for option in target.readers]
    has = "; ".join(f"{target.label} has {', '.join(target.readers) or 'none'}" for target in targets)
    return f"--set {name}: unknown option {option!r}: {has}.{did_you_mean(option, known)}"


def _either(words: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(words))


def parse_options(component: type[Component] | Loss, text: str, owner: str) -> dict[str, Any]:
    """The options in a text behind the name of a component or loss, as in ``l2:1e-3`` or ``top_k:k=40``.

    Args:
        component: The class of the component, or the loss.
        text: ``name=value`` with commas between them; a value without a name sets the first option.
        owner: Beginning of messages, with the whole text: ``"sampler 'top_k:k=40'"``.

    Raises:
        UsageError: if there is no option, a part is no assignment, or a value does not fit its option.
    """
    declared = component.options if isinstance(component, Loss) else component.declared_options
    if not declared:
        raise UsageError(
            f"{owner}: {component.name} has no option, so leave out {text!r}; write {component.name!r}."
        )
    first = next(iter(declared))
    if not text.strip():
        example = f"{component.name}:{declared[first].default}"
        raise UsageError(
            f"{owner} has no value behind the colon; expected a value of {first}, as in {example!r}."
        )
    if "=" not in text.partition(",")[0]:
        text = f"{first}={text}"
    values = split_assignments(text, owner)
    if any("=" in name and ":" in name for name in values):
        example = f"{component.name}:{text.replace(':', ',')}"
        raise UsageError(f"{owner}: a comma separates two options; write {example!r}.")
    return {
        name: declared[name].parse(value, owner) if name in declared else value
        for name, value in values.items()
    }
