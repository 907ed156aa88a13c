"""Hidden units over what a model read: each in a byte a step, with what it follows."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zoo.report.blocks import StateUnits, Units
from zoo.report.run.features import followed
from zoo.report.run.reading import Seen
from zoo.report.wording import place

Array = np.ndarray[Any, Any]

MOST_BYTES = 600_000
"""For all units of all states together: with more, those that vary least are left out."""

_LEVELS = 127
_NOTE = (
    "Blue is above zero, orange below; each symbol has the colour of the unit after reading it. The overview "
    "has a line for each unit, and a click picks one. r is the correlation over what is shown. After "
    "Karpathy, Johnson & Fei-Fei 2015, https://arxiv.org/abs/1506.02078."
)


def units_block(seen: Seen) -> Units:
    """What the units of a model held while it read."""
    states = tuple(_states(seen.held, seen.features))
    title = f"Hidden units over {seen.what}"
    return Units("units", title, seen.symbols, seen.surprise, states, seen.names, _NOTE)


def _states(held: Mapping[str, Array], features: Array) -> Iterator[StateUnits]:
    length = next(iter(held.values())).shape[1]
    room = max(1, MOST_BYTES // length // len(held))
    for name, values in held.items():
        chosen = _most_varied(values, room)
        yield _state(name, values[chosen], chosen, len(values), features)


def _most_varied(values: Array, room: int) -> Array:
    """The numbers of as many units as there is room for, in order."""
    return np.sort(np.argsort(-values.std(axis=1), kind="stable")[:room])


def _state(name: str, values: Array, numbers: Array, total: int, features: Array) -> StateUnits:
    peaks = np.abs(values).max(axis=1)
    levels = np.rint(_LEVELS * values / np.where(peaks > 0, peaks, 1.0)[:, None]).astype(np.int8)
    nearest, correlations = followed(values, features)
    return StateUnits(
        name,
        place(name),
        tuple(int(number) for number in numbers),
        total,
        tuple(float(f"{peak:.4g}") for peak in peaks),
        tuple(float(f"{spread:.4g}") for spread in values.std(axis=1)),
        base64.b64encode(levels.tobytes()).decode(),
        tuple(int(feature) for feature in nearest),
        tuple(round(float(r), 3) for r in correlations),
    )
