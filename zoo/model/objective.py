"""The loss of a language model on a batch, for one shard at a time, segment by segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from zoo.layers.beside import Beside
from zoo.layers.boundary import as_state
from zoo.layers.floor import FloorTape
from zoo.layers.layer import Array, Arrays
from zoo.layers.segments import Segment, cut, walk_back
from zoo.layers.shards import states_of
from zoo.layers.stack import Stack, Weights
from zoo.model.readout import read_loss, read_loss_grads


@dataclass(frozen=True)
class Objective:
    """Cross-entropy of a batch.

    Args:
        stack: The layers.
        weights: Their arrays.
        readout: ``Why (H, V)`` and ``by (V,)``.
        inputs: Tokens ``(T, B)``.
        targets: The tokens that follow, ``(T, B)``.
        state: States before the first step.
        segments: The steps of each segment.
        beside: What the layers are told beside the tokens.
    """

    stack: Stack
    weights: Weights
    readout: tuple[Array, Array]
    inputs: Array
    targets: Array
    state: Mapping[str, Array]
    segments: list[slice]
    beside: Beside

    def loss(self, rows: slice) -> tuple[Array, Arrays]:
        """Losses of some rows, the sum for each step ``(T,)``, and their states after the last."""
        losses, state = np.empty(len(self.inputs)), states_of(self.state, rows)
        for steps in self.segments:
            y, state, _ = self._forward(Segment(steps, rows, state))
            read_loss(y, *self.readout, cut(self.targets, steps, rows), losses[steps])
        return losses, state

    def loss_and_grad(self, rows: slice, out: Array) -> tuple[Array, Arrays]:
        """As :meth:`loss`, and the gradient of the mean over the batch goes to ``out (P,)``."""
        losses, found = np.empty(len(self.inputs)), self._segments(rows)
        last: Arrays = {}

        def back(segment: Segment, dafter: Arrays) -> tuple[Arrays, list[Array]]:
            y, after, tape = self._forward(segment)
            if segment is found[-1]:
                last.update(after)
            dy, *dreadout = self._read(segment, y, losses)
            _, dbefore, gradients = self.stack.backward(self.weights, tape, dy, dafter)
            return dbefore, [*gradients, *dreadout]

        walk_back(found, self._zeros(rows), out, back)
        return losses, last

    def mean(self, losses: list[Array]) -> float:
        """The mean in nats per symbol, from the losses of all shards."""
        # Step by step, in order: the same however time was cut; and NumPy would take longer to begin.
        return sum(sum(each.tolist()) for each in losses) / self.inputs.size

    def _segments(self, rows: slice) -> list[Segment]:
        """The segments, each with the states before it: one pass through all of them but the last."""
        found = [Segment(self.segments[0], rows, states_of(self.state, rows))]
        for steps in self.segments[1:]:
            found.append(Segment(steps, rows, self._forward(found[-1])[1]))
        return found

    def _forward(self, segment: Segment) -> tuple[Array, Arrays, list[FloorTape]]:
        """The layers."""
        where = segment.steps, segment.rows
        told = self.beside.part(*where)
        return self.stack.forward(self.weights, cut(self.inputs, *where), segment.state, told)

    def _read(self, segment: Segment, y: Array, losses: Array) -> tuple[Array, Array, Array]:
        """The gradients of y and the readout; the losses are written."""
        targets = cut(self.targets, segment.steps, segment.rows)
        scale = 1 / self.inputs.size
        return read_loss_grads(y, *self.readout, targets, losses[segment.steps], scale)

    def _zeros(self, rows: slice) -> Arrays:
        """Nothing comes back from what follows the last step."""
        batch, dtype = rows.stop - rows.start, self.readout[0].dtype
        return as_state(None, self.stack.state_shapes, batch, dtype, "language model")
