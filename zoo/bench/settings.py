"""What to measure: cells, shapes, peers, threads."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zoo.base.names import did_you_mean
from zoo.bench.peers import PEERS
from zoo.errors import UsageError

SYMBOLS = 65  # V: the characters of Tiny Shakespeare
CELLS = "vanilla,lstm,gru"
SHAPES = "64x32x128,64x32x256,64x64x512,128x16x64,25x1x100"
DTYPES = ("float32", "float64")

_SHAPE = re.compile(r"([1-9][0-9]{0,6})x([1-9][0-9]{0,6})x([1-9][0-9]{0,6})", re.ASCII)


@dataclass(frozen=True)
class Shape:
    """The sizes of one training step.

    Args:
        steps: ``T``, the time steps.
        batch: ``B``, the sequences.
        hidden: ``H``, the hidden units.
    """

    steps: int
    batch: int
    hidden: int

    @property
    def tokens(self) -> int:
        """Symbols that one step learns from, ``T * B``."""
        return self.steps * self.batch

    def __str__(self) -> str:
        """As on the command line, ``64x32x128``."""
        return f"{self.steps}x{self.batch}x{self.hidden}"


@dataclass(frozen=True)
class Settings:
    """What a run measures.

    Args:
        cells: Names of cells, or ``FILE.py:Class``.
        shapes: Sizes of the training steps.
        peers: Names of the peers beside zoo.
        threads: For zoo and every peer alike.
        dtype: ``"float32"`` or ``"float64"``.
        seconds: For each contender at each cell and shape.
        pythons: Interpreters of peers that live in an environment of their own, by the peer's name.

    Raises:
        UsageError: if there is nothing to measure, a peer is unknown, or a number does not fit.
    """

    cells: tuple[str, ...]
    shapes: tuple[Shape, ...]
    peers: tuple[str, ...] = ()
    threads: int = 1
    dtype: str = "float32"
    seconds: float = 1.0
    pythons: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse now what would only fail after minutes."""
        if not self.cells or not self.shapes:
            raise UsageError("bench: there is nothing to measure; name at least one cell and one shape.")
        for name in (*self.peers, *self.pythons):
            if name not in PEERS:
                raise UsageError(
                    f"bench: there is no peer {name!r}.{did_you_mean(name, PEERS)} "
                    f"Peers are {', '.join(PEERS)}."
                )
        if not 1 <= self.threads <= processors():
            raise UsageError(
                f"bench: threads is {self.threads}; expected 1 to {processors()}, the processors that this "
                f"process may use, since more threads than processors measure the scheduler."
            )
        if self.dtype not in DTYPES:
            raise UsageError(f"bench: dtype is {self.dtype!r}; expected {' or '.join(DTYPES)}.")
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise UsageError(f"bench: seconds is {self.seconds!r}; expected a finite number above zero.")


def processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def names(text: str) -> tuple[str, ...]:
    """The names in a list with commas, each once."""
    return tuple(dict.fromkeys(part for part in map(str.strip, text.split(",")) if part))


def shapes(text: str) -> tuple[Shape, ...]:
    """The shapes in a list with commas, ``"64x32x128,25x1x100"``.

    Raises:
        UsageError: if one is no shape.
    """
    return tuple(_shape(part) for part in names(text))


def _shape(text: str) -> Shape:
    found = _SHAPE.fullmatch(text)
    if not found:
        raise UsageError(
            f"bench: {text!r} is no shape; expected time steps, sequences and hidden units, as in 64x32x128."
        )
    return Shape(*map(int, found.groups()))


def pythons(texts: Iterable[str]) -> dict[str, str]:
    """Interpreters by peer, from texts such as ``pytensor=other/bin/python``.

    Raises:
        UsageError: if a text is no such pair, or there is no such file.
    """
    found = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not name or not Path(path).is_file():
            raise UsageError(
                f"bench: --python {text!r}; expected a peer and the interpreter that has it, as in "
                f"pytensor=other/bin/python."
            )
        found[name] = path
    return found
