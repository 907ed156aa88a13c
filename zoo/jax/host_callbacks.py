"""What JAX calls back: the kernels, on arrays of NumPy."""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from zoo.layers.direction import Array, Arrays
from zoo.layers.functional import Tape
from zoo.layers.recurrent import Recurrent

MOST_TAPES = 8


class Told(NamedTuple):
    """What is not differentiated by.

    Args:
        noise: Two numbers that decide noise and dropout; None for none.
        lengths: Steps of each row ``(B,)``; None if all rows have T.
        inputs: Inputs beside x, by name.
    """

    noise: Any
    lengths: Any
    inputs: Mapping[str, Any]


class Calls:
    """Both passes of some layers, which keep no memory of the caller's: XLA uses it again.

    A pass forward whose way back may follow leaves its tape here, under a number that goes through JAX. JAX
    may call as often as it likes, or never: the last few tapes are kept, each for one way back, and one that
    is gone is made again.

    Args:
        rnn: The layers; their parameters are not looked at.
    """

    def __init__(self, rnn: Recurrent) -> None:
        self.functional, self.threads = rnn.functional, rnn.threads
        self.stack, self.dtype = rnn.stack, rnn.dtype
        self._buffers = {name: value.copy() for name, value in rnn.buffers.items()}
        self._begin()

    def _begin(self) -> None:
        """No tape is here yet."""
        self._tapes: OrderedDict[int, Tape] = OrderedDict()
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        names = "functional", "threads", "stack", "dtype", "_buffers"  # tapes are of calls in this process
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._begin()

    def forward(self, *given: Any) -> tuple[Array, Arrays]:
        """Outputs ``(T, B, ·)`` and last states."""
        y, last, _ = self._run(*given)
        return y, last

    def forward_and_keep(self, *given: Any) -> tuple[Array, Arrays, Array]:
        """As :meth:`forward`, with the number of the tape."""
        y, last, tape = self._run(*given)
        number = next(self._numbers) % 2**32
        with self._lock:
            self._tapes[number] = tape
            while len(self._tapes) > MOST_TAPES:
                self._tapes.popitem(last=False)
        return y, last, np.array(number, np.uint32)

    def backward(
        self, number: Any, given: tuple[Any, ...], dy: Any, dlast: Mapping[str, Any]
    ) -> tuple[Arrays, Array | None, Arrays]:
        """The gradients of parameters, of x (None for tokens) and of the first states.

        Args:
            number: From :meth:`forward_and_keep`.
            given: What that was given.
            dy: Gradient of the outputs.
            dlast: Gradients of the last states.
        """
        with self._lock:
            tape = self._tapes.pop(int(number), None)
        if tape is None:
            _, _, tape = self._run(*given)
        dx, dstate, dtheta = self.functional.vjp(tape, np.asarray(dy), _arrays(dlast), self.threads)
        return self.functional.layout.views(dtheta), dx, dstate

    def _run(self, params: Any, x: Any, state: Any, told: Told) -> tuple[Array, Arrays, Tape]:
        return self.functional.apply(
            _arrays(params) | self._buffers,
            np.array(x),
            None if state is None else _arrays(state),
            None if told.noise is None else tuple(np.asarray(told.noise).tolist()),
            None if told.lengths is None else np.asarray(told.lengths),
            _arrays(told.inputs),
            self.threads,
        )


def _arrays(given: Mapping[str, Any]) -> Arrays:
    """Copies: the tape is alive longer than what JAX hands over."""
    return {name: np.array(value) for name, value in given.items()}
