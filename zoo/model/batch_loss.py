"""The loss of a model on a batch, for one shard at a time, segment by segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from zoo.kernels.input_projection import project
from zoo.layers.checkpointing import Segment, cut, walk_back
from zoo.layers.direction import Array, Arrays
from zoo.layers.sharding import Rows, count, states_of
from zoo.layers.stack import Beside, FloorTape, Stack, StackWeights
from zoo.layers.validation import as_state
from zoo.model.losses import weighed
from zoo.model.readout import read_loss, read_loss_grads


@dataclass(frozen=True)
class Pass:
    """The layers and the readout on a batch.

    Args:
        stack: The layers.
        weights: Their arrays.
        readout: ``Why (H, V)`` and ``by (V,)``.
        inputs: Tokens ``(T, B)`` or numbers ``(T, B, I)``.
        state: States before the first step.
        segments: The steps of each segment.
        beside: What the layers are told beside the inputs.
        counts: How much each step of each row counts, ``(T, B)``, float64, or None for all alike; steps in
            which none does are not read.
    """

    stack: Stack
    weights: StackWeights
    readout: tuple[Array, Array]
    inputs: Array
    state: Mapping[str, Array]
    segments: list[slice]
    beside: Beside
    counts: Array | None

    def outputs(self, rows: slice) -> tuple[Array, Arrays]:
        """What the readout says in some rows, ``(T, B, V)``, zeros where it is not read; the last states."""
        Why, by = self.readout
        found = np.zeros((*self.inputs[:, rows].shape[:2], by.size), by.dtype)
        state = states_of(self.state, rows)
        for steps in self.segments:
            y, state, _ = self.forward(Segment(steps, rows, state))
            read = self.read_steps(steps)
            found[steps][read] = project(np.ascontiguousarray(y[read]), Why, by)
        return found, state

    def forward(self, segment: Segment) -> tuple[Array, Arrays, list[FloorTape]]:
        """The layers."""
        where = segment.steps, segment.rows
        told = self.beside.part(*where)
        return self.stack.forward(self.weights, cut(self.inputs, *where), segment.state, told)

    def read_steps(self, steps: slice) -> slice | Array:
        """Which steps of a segment the readout reads: all of them, or their places."""
        if self.counts is None:
            return slice(None)
        found = np.any(self.counts[steps], axis=1)
        return slice(None) if np.all(found) else np.flatnonzero(found)

    def counts_of(self, steps: slice, rows: Rows) -> Array:
        """How much some steps of some rows count."""
        if self.counts is None:
            return _ones(steps.stop - steps.start, count(rows))
        return cut(self.counts, steps, rows)

    @cached_property
    def total(self) -> float:
        """What all steps of all rows count."""
        steps, batch = self.inputs.shape[:2]
        return float(steps * batch if self.counts is None else self.counts.sum())


@dataclass(frozen=True)
class Objective:
    """The loss of a batch.

    Args:
        run: The layers and the readout on it.
        targets: The right ones ``(T, B)``, or numbers ``(T, B, V)``.
        binary: Whether numbers are probabilities, not values.
    """

    run: Pass
    targets: Array
    binary: bool = False

    def loss(self, rows: slice) -> tuple[Array, Arrays]:
        """Losses of some rows, the sum for each step ``(T,)``, and their states after the last."""
        losses, state = np.zeros(len(self.run.inputs)), states_of(self.run.state, rows)
        for steps in self.run.segments:
            segment = Segment(steps, rows, state)
            y, state, _ = self.run.forward(segment)
            read = self.run.read_steps(steps)
            seen, targets, counts = self._seen(segment, y, read)
            part = losses[steps] if seen is y else np.empty(len(seen))
            read_loss(seen, *self.run.readout, targets, counts, self.binary, part)
            losses[steps][read] = part
        return losses, state

    def loss_and_grad(self, rows: slice, out: Array) -> tuple[Array, Arrays]:
        """As :meth:`loss`, and the gradient of the mean over the batch goes to ``out (P,)``."""
        losses, found = np.zeros(len(self.run.inputs)), self._segments(rows)
        last: Arrays = {}

        def back(segment: Segment, dafter: Arrays) -> tuple[Arrays, list[Array]]:
            y, after, tape = self.run.forward(segment)
            if segment is found[-1]:
                last.update(after)
            dy, *dreadout = self._read(segment, y, losses)
            _, dbefore, gradients = self.run.stack.backward(self.run.weights, tape, dy, dafter)
            return dbefore, [*gradients, *dreadout]

        walk_back(found, self._zeros(rows), out, back)
        return losses, last

    def of(self, outputs: Array) -> float:
        """The mean over all that counts, from the outputs of every row."""
        counts = self.run.counts
        if counts is None:
            counts = _ones(*outputs.shape[:2])
        counted = counts > 0
        parts = outputs[counted], self.targets[counted], counts[counted]
        return float(weighed(*parts, self.binary)) / self.run.total

    def mean(self, totals: list[float]) -> float:
        """The mean over all that counts, from the :func:`total` of every shard."""
        return sum(totals) / self.run.total

    def _segments(self, rows: slice) -> list[Segment]:
        """The segments, each with the states before it: one pass through all of them but the last."""
        found = [Segment(self.run.segments[0], rows, states_of(self.run.state, rows))]
        for steps in self.run.segments[1:]:
            found.append(Segment(steps, rows, self.run.forward(found[-1])[1]))
        return found

    def _read(self, segment: Segment, y: Array, losses: Array) -> tuple[Array, Array, Array]:
        """The gradients of y and the readout; the losses are written."""
        read = self.run.read_steps(segment.steps)
        seen, targets, counts = self._seen(segment, y, read)
        part = losses[segment.steps] if seen is y else np.empty(len(seen))
        dseen, dWhy, dby = read_loss_grads(
            seen, *self.run.readout, targets, counts, self.binary, part, 1 / self.run.total
        )
        if seen is y:
            return dseen, dWhy, dby
        losses[segment.steps][read] = part
        dy = np.zeros_like(y)
        dy[read] = dseen
        return dy, dWhy, dby

    def _seen(self, segment: Segment, y: Array, read: slice | Array) -> tuple[Array, Array, Array]:
        """Outputs of the layers, targets and counts of the steps that are read."""
        targets = cut(self.targets, segment.steps, segment.rows)
        counts = self.run.counts_of(segment.steps, segment.rows)
        return (y, targets, counts) if isinstance(read, slice) else (y[read], targets[read], counts[read])

    def _zeros(self, rows: slice) -> Arrays:
        """Nothing comes back from what follows the last step."""
        batch, dtype = rows.stop - rows.start, self.run.readout[0].dtype
        return as_state(None, self.run.stack.state_shapes, batch, dtype, "model")


def total(losses: Array) -> float:
    """The sum of the losses of a shard."""
    # Step by step, in order: the same however time was cut; and NumPy would take longer to begin.
    return float(sum(losses.tolist()))


@lru_cache(maxsize=8)
def _ones(steps: int, rows: int) -> Array:
    """Counts that are all alike; nobody writes to them."""
    return np.ones((steps, rows))
