"""With what a run was made: its settings, its text, and the versions on which its numbers depend."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from zoo.report.blocks import Fact, Facts
from zoo.report.wording import words
from zoo.training.config import Config

# What a run settles if it was left open: that it is not the default says nothing.
_SETTLED = frozenset({"batch", "cell_options", "eval_every", "save_every", "seq", "split", "steps"})


def settings(config: Config) -> Facts:
    """Every setting; those that are not the default stand out."""
    facts = tuple(
        Fact(words(field.name), _worded(value), marked=_chosen(field, value))
        for field in dataclasses.fields(Config)
        for value in [getattr(config, field.name)]
    )
    return Facts("configuration", "Configuration", facts, "Bold is what is not the default.", wide=True)


def _chosen(field: dataclasses.Field[Any], value: Any) -> bool:
    """Whether somebody chose a value, as far as can be told."""
    made = field.default_factory
    default = field.default if made is dataclasses.MISSING else made()
    return field.name not in _SETTLED and value not in (default, ())


def facts_of(title: str, found: Mapping[str, Any]) -> Facts:
    """What a run says of its text or its task."""
    facts = tuple(Fact(words(name), _worded(value)) for name, value in found.items())
    return Facts(title.lower(), title, facts)


def versions(found: Mapping[str, Any], note: str) -> Facts:
    """Versions on which numbers depend."""
    return Facts("versions", "Versions", tuple(Fact(name, str(value)) for name, value in found.items()), note)


def _worded(value: Any) -> str:
    if value is None:
        return "not set"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} = {json.dumps(item)}" for name, item in value.items()) or "none"
    if isinstance(value, (tuple, list)):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if type(value) is int else str(value)
