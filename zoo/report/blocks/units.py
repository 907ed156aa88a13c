"""Hidden units over what a model read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from zoo.report.blocks.charts import Number


@dataclass(frozen=True)
class StateUnits:
    """What the units of one state held while a text was read.

    Args:
        name: As in ``rnn.params``: ``l0.h``.
        label: For people: ``layer 1, h``.
        numbers: Which unit each row is, ``U`` of them.
        total: How many units the state has.
        peaks: Largest magnitude of each unit.
        spreads: Standard deviation of each unit.
        levels: ``(U, N)`` signed bytes in base64; 127 is the peak of the unit.
        features: For each unit the feature it follows most, as an index into ``Units.features``.
        correlations: And how closely, from -1 to 1.
    """

    name: str
    label: str
    numbers: tuple[int, ...]
    total: int
    peaks: tuple[float, ...]
    spreads: tuple[float, ...]
    levels: str
    features: tuple[int, ...]
    correlations: tuple[float, ...]


@dataclass(frozen=True)
class Units:
    """Hidden units as colour over a text of N symbols.

    Args:
        name: Its place on the page.
        title: Above it.
        symbols: The text.
        surprise: What each symbol cost the model before it was read, in bits; the first has None.
        states: What the units held after each symbol.
        features: What units are compared with: ``inside quotes``.
        note: A sentence below it.
    """

    kind: ClassVar[str] = "units"
    name: str
    title: str
    symbols: tuple[str, ...]
    surprise: tuple[Number, ...]
    states: tuple[StateUnits, ...]
    features: tuple[str, ...]
    note: str = ""
