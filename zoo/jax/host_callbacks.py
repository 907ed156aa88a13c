"""The callbacks of JAX: kernels on NumPy arrays."""

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

MAX_TAPES = 8


class NonDiffArgs(NamedTuple):
    """Arguments without a gradient.

    Args:
        noise: Two integers that seed noise and dropout; None for none.
        lengths: Length of each sequence ``(B,)``; None if all are T.
        inputs: Auxiliary inputs, by name.
    """

    noise: Any
    lengths: Any
    inputs: Mapping[str, Any]


class HostKernels:
    """Forward and backward passes that copy their arguments, because XLA reuses the memory.

    A forward pass with gradients stores its tape under an id that goes through JAX. JAX may run a callback
    any number of times, or never: the last few tapes are kept, each for one backward pass, and a missing one
    is computed again.

    Args:
        rnn: The layers; their parameters are not used.
    """

    def __init__(self, rnn: Recurrent) -> None:
        self.functional, self.threads = rnn.functional, rnn.threads
        self.stack, self.dtype = rnn.stack, rnn.dtype
        self._buffers = {name: value.copy() for name, value in rnn.buffers.items()}
        self._reset()

    def _reset(self) -> None:
        self._tapes: OrderedDict[int, Tape] = OrderedDict()
        self._tape_ids = itertools.count()
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        names = "functional", "threads", "stack", "dtype", "_buffers"  # without the tapes
        return {name: getattr(self, name) for name in names}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._reset()

    def forward(self, *arguments: Any) -> tuple[Array, Arrays]:
        """Outputs ``(T, B, ·)`` and final states."""
        y, last, _ = self._run(*arguments)
        return y, last

    def forward_with_tape(self, *arguments: Any) -> tuple[Array, Arrays, Array]:
        """As :meth:`forward`, with the id of the tape."""
        y, last, tape = self._run(*arguments)
        tape_id = next(self._tape_ids) % 2**32
        with self._lock:
            self._tapes[tape_id] = tape
            while len(self._tapes) > MAX_TAPES:
                self._tapes.popitem(last=False)
        return y, last, np.array(tape_id, np.uint32)

    def backward(
        self, tape_id: Any, arguments: tuple[Any, ...], dy: Any, dlast: Mapping[str, Any]
    ) -> tuple[Arrays, Array | None, Arrays]:
        """Gradients of parameters, of x (None for tokens) and of the initial states.

        Args:
            tape_id: From :meth:`forward_with_tape`.
            arguments: Arguments of :meth:`forward_with_tape`.
            dy: Gradient of the outputs.
            dlast: Gradients of the final states.
        """
        with self._lock:
            tape = self._tapes.pop(int(tape_id), None)
        if tape is None:
            _, _, tape = self._run(*arguments)
        dx, dstate, dtheta = self.functional.vjp(tape, np.asarray(dy), _arrays(dlast), self.threads)
        return self.functional.layout.views(dtheta), dx, dstate

    def _run(self, params: Any, x: Any, state: Any, others: NonDiffArgs) -> tuple[Array, Arrays, Tape]:
        return self.functional.apply(
            _arrays(params) | self._buffers,
            np.array(x),
            None if state is None else _arrays(state),
            None if others.noise is None else tuple(np.asarray(others.noise).tolist()),
            None if others.lengths is None else np.asarray(others.lengths),
            _arrays(others.inputs),
            self.threads,
        )


def _arrays(values: Mapping[str, Any]) -> Arrays:
    """Copies: the tape outlives the arrays of JAX."""
    return {name: np.array(value) for name, value in values.items()}
