"""Settings of a measurement: cells, shapes, peers, threads."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from zoo.base.names import did_you_mean
from zoo.bench.peers import PEERS
from zoo.errors import UsageError
from zoo.kernels.precision import check_precision
from zoo.processes import available_processors

SYMBOLS = 65  # V: the characters of Tiny Shakespeare
CELLS = "vanilla,lstm,gru"
SHAPES = "64x32x128,64x32x256,64x64x512,128x16x64,25x1x100"
DTYPES = ("float32", "float64")
INPUTS = ("tokens", "dense")
CLOCKS = ("wall", "processor")
MEASURED = ("model", "layer", "stream")

_SHAPE = re.compile(r"[1-9][0-9]{0,6}(x[1-9][0-9]{0,6}){2,3}", re.ASCII)


@dataclass(frozen=True)
class Shape:
    """The sizes of one training step.

    Args:
        steps: ``T``, the time steps.
        batch: ``B``, the sequences.
        hidden: ``H``, the hidden units.
        given_inputs: ``I``, the size of a dense input, if it is given.
    """

    steps: int
    batch: int
    hidden: int
    given_inputs: int | None = None

    @property
    def input_size(self) -> int:
        """``I``, the size of a dense input: the given one, or 65."""
        return SYMBOLS if self.given_inputs is None else self.given_inputs

    @property
    def tokens(self) -> int:
        """Symbols per step, ``T * B``."""
        return self.steps * self.batch

    def __str__(self) -> str:
        """The command line form, ``64x32x128``, or ``64x32x512x128`` with ``I``."""
        inputs = [] if self.given_inputs is None else [self.given_inputs]
        return "x".join(map(str, [self.steps, self.batch, *inputs, self.hidden]))


@dataclass(frozen=True)
class Settings:
    """Settings of a run.

    Args:
        cells: Names of cells, or ``FILE.py:Class``.
        shapes: Sizes of the training steps.
        peers: Names of the peers.
        threads: Number of threads, for zoo and every peer.
        dtype: ``"float32"`` or ``"float64"``.
        inputs: ``"tokens"``, or ``"dense"`` for V numbers at every step.
        seconds: Time for each library at each cell and shape.
        pythons: Interpreters of peers in separate environments, by peer.
        starts: Whether to measure compile and load times.
        sampling: Whether to measure symbols per second.
        growth: Whether to measure the time per symbol as sizes grow.
        precision: Precision of the matrix products of zoo, ``"bf16"``; None for ``dtype``, as in peers.
        clock: ``"wall"``, or ``"processor"`` for the processor time of all threads, which other programs
            change less.
        measure: ``"model"`` for a training step, or ``"layer"`` for the forward and backward pass of a layer,
            without readout and loss; or ``"stream"`` for its outputs, one time step in each call.

    Raises:
        UsageError: if there is nothing to measure, a peer is unknown, or a number is invalid.
    """

    cells: tuple[str, ...]
    shapes: tuple[Shape, ...]
    peers: tuple[str, ...] = ()
    threads: int = 1
    dtype: str = "float32"
    inputs: str = "tokens"
    seconds: float = 1.0
    pythons: Mapping[str, str] = field(default_factory=dict)
    starts: bool = True
    sampling: bool = False
    growth: bool = False
    precision: str | None = None
    clock: str = "wall"
    measure: str = "model"

    def __post_init__(self) -> None:
        """Validate before minutes of measurements."""
        if not self.cells or not self.shapes:
            raise UsageError("bench: there is nothing to measure; name at least one cell and one shape.")
        for name in (*self.peers, *self.pythons):
            if name not in PEERS:
                raise UsageError(
                    f"bench: unknown peer {name!r}.{did_you_mean(name, PEERS)} Peers are {', '.join(PEERS)}."
                )
        if not 1 <= self.threads <= available_processors():
            raise UsageError(
                f"bench: threads is {self.threads}; expected 1 to {available_processors()}, the processors "
                f"that this process may use, since more threads than processors measure the scheduler."
            )
        if self.dtype not in DTYPES:
            raise UsageError(f"bench: dtype is {self.dtype!r}; expected {' or '.join(DTYPES)}.")
        object.__setattr__(self, "precision", check_precision(self.precision, self.dtype, "bench"))
        if self.inputs not in INPUTS:
            raise UsageError(f"bench: inputs is {self.inputs!r}; expected {' or '.join(INPUTS)}.")
        if self.clock not in CLOCKS:
            raise UsageError(f"bench: clock is {self.clock!r}; expected {' or '.join(CLOCKS)}.")
        if self.measure not in MEASURED:
            raise UsageError(f"bench: measure is {self.measure!r}; expected one of {', '.join(MEASURED)}.")
        if self.measure != "model" and self.sampling:
            raise UsageError(
                f"bench: a layer cannot sample; leave out --sampling, or --measure {self.measure}."
            )
        sized = [shape for shape in self.shapes if shape.given_inputs is not None]
        if sized and self.inputs != "dense":
            raise UsageError(
                f"bench: the shape {sized[0]} has an input size, and the inputs are tokens; add "
                f"--inputs dense."
            )
        if self.inputs == "dense":
            for name in self.peers:
                if not PEERS[name].takes_dense:
                    able = ", ".join(peer for peer in PEERS if PEERS[peer].takes_dense)
                    raise UsageError(f"bench: {name} has no step for dense inputs; choose among {able}.")
        if not (math.isfinite(self.seconds) and self.seconds > 0):
            raise UsageError(f"bench: seconds is {self.seconds!r}; expected a finite number above zero.")


def parse_names(text: str) -> tuple[str, ...]:
    """Split a comma-separated list, without duplicates."""
    return tuple(dict.fromkeys(part for part in map(str.strip, text.split(",")) if part))


def parse_shapes(text: str) -> tuple[Shape, ...]:
    """Parse a comma-separated list of shapes, ``"64x32x128,25x1x100"``.

    Raises:
        UsageError: if a shape is invalid.
    """
    return tuple(map(parse_shape, parse_names(text)))


def parse_shape(text: str) -> Shape:
    """Parse one shape, ``"64x32x128"``, or ``"64x32x512x128"`` with an input size.

    Raises:
        UsageError: if it is invalid.
    """
    if not _SHAPE.fullmatch(text):
        raise UsageError(
            f"bench: {text!r} is not a shape; expected time steps, batch and hidden units, as in 64x32x128, "
            f"or time steps, batch, inputs and hidden units, as in 64x32x512x128."
        )
    steps, batch, *inputs, hidden = map(int, text.split("x"))
    return Shape(steps, batch, hidden, *inputs)


def parse_pythons(texts: Iterable[str]) -> dict[str, str]:
    """Parse interpreters of peers, such as ``pytensor=other/bin/python``.

    Raises:
        UsageError: if a text is not such a pair, or the file does not exist.
    """
    by_peer = {}
    for text in texts:
        name, _, path = text.partition("=")
        if not name or not Path(path).is_file():
            raise UsageError(
                f"bench: --python {text!r}; expected a peer and the interpreter that has it, as in "
                f"pytensor=other/bin/python."
            )
        by_peer[name] = path
    return by_peer
