"""Conversion of settings from Python calls, the command line and JSON to a configuration."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from zoo.arguments import short_repr
from zoo.base.loss import EXPECTED_WEIGHT, is_weight
from zoo.base.names import did_you_mean, split_assignments
from zoo.data.text_values import is_number_text
from zoo.errors import CheckpointError, UsageError
from zoo.training.config import REGULARISATION_SETTINGS, Config

_COLUMN_LISTS = ("target", "input", "known_future")
_COLUMN_SETTINGS = ("time", "series", "group", "label", "weight")
_WEIGHTS = {"target_weights": "load=2,price=1", "class_weights": "run=3,walk=1"}
"""The settings with weights by name, and an example of each."""

_TUPLES = ("data", "cell", "cell_options")
"""Settings that are tuples, and lists in JSON."""


def make_config(settings: Mapping[str, Any]) -> Config:
    """Make a configuration from settings by name.

    Raises:
        UsageError: for an unknown name or an invalid value.
    """
    known = [entry.name for entry in dataclasses.fields(Config)]
    for name in settings:
        if name not in known:
            lists = " help(zoo.training.Config) lists the settings."
            option = f" An option of a cell is set by cell_options={{{name!r}: ...}}."
            raise UsageError(f"unknown setting {name!r}.{did_you_mean(name, known) or lists + option}")
    return Config(**{name: _parsed(name, value) for name, value in settings.items()})


def _parsed(name: str, value: Any) -> Any:
    """A value that may be a list in JSON, or one string, in the form of a configuration."""
    if name in _COLUMN_LISTS:
        return _column_names(value)
    if name in _COLUMN_SETTINGS and type(value) is int:
        return str(value)  # a column of an array
    if name == "loss" and isinstance(value, Mapping):
        return ",".join(f"{column}={loss}" for column, loss in value.items())
    if name in _WEIGHTS:
        return _weights(name, value)
    if name in REGULARISATION_SETTINGS:
        return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value
    return value


def _column_names(value: Any) -> Any:
    """Names of columns as a tuple, from a list or one string with commas; numbers are those of an array."""
    if isinstance(value, str):
        value = [name.strip() for name in value.split(",")]
    value = [value] if type(value) is int else value
    is_list = isinstance(value, (list, tuple))
    return tuple(str(name) if type(name) is int else name for name in value) if is_list else value


def _weights(setting: str, value: Any) -> Any:
    """Numbers by the name of a column or class, from a mapping or from one string, ``"load=2,price=1"``."""
    is_choice = setting == "class_weights" and isinstance(value, str) and "=" not in value  # "balanced"
    if isinstance(value, str) and not is_choice:
        advice = f", as in {_WEIGHTS[setting]}; for a name with a comma, give a mapping in Python"
        texts = split_assignments(value, f"{setting} is {short_repr(value)}", advice)
        value = {name: float(text) if is_number_text(text) else text for name, text in texts.items()}
    if not isinstance(value, Mapping):
        return value  # the check of the field raises the error
    for name, weight in value.items():
        if not is_weight(weight):  # the check of the field may shorten the mapping
            raise UsageError(
                f"{setting} has {short_repr(weight)} for {short_repr(name)}; expected {EXPECTED_WEIGHT}."
            )
    return {str(name): weight for name, weight in value.items()}  # a class may be a number or a boolean


def config_from_plain(stored: Mapping[str, Any]) -> Config:
    """Make a configuration from plain JSON values.

    Raises:
        UsageError: for an unknown name or an invalid value.
    """
    settings = {"data": None, **stored}
    for name in _TUPLES:
        if isinstance(settings.get(name), list):
            settings[name] = tuple(settings[name])
    return make_config(settings)


def config_from_json(stored: Mapping[str, Any], source: str) -> Config:
    """Make a configuration from the JSON of a run directory.

    Raises:
        CheckpointError: if it is invalid.
    """
    try:
        return config_from_plain(stored)
    except UsageError as error:
        raise CheckpointError(
            f"{source} is not a configuration of this version of zoo ({str(error)[:300]})."
        ) from None
