"""Loss and gradient of a model on a batch, one shard at a time, with gradient checkpointing over time.

This is the interpreted step: Python calls kernel after kernel. See also :mod:`zoo.model.compiled_step`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from zoo.kernels.input_projection import project
from zoo.layers.checkpointing import Segment, backward_segments_flat, slice_batch
from zoo.layers.direction import Array, Arrays
from zoo.layers.sharding import Rows, row_count, slice_states
from zoo.layers.stack import AuxInputSource, LayerTape, Stack, StackWeights
from zoo.layers.validation import as_state
from zoo.model.losses import weighted_loss
from zoo.model.readout import readout_loss, readout_loss_and_grad


@dataclass(frozen=True)
class ForwardRun:
    """The forward pass of the layers and the readout on a batch.

    Args:
        stack: The layers.
        params: Their parameters and buffers.
        readout: ``Why (H, V)`` and ``by (V,)``.
        inputs: Tokens ``(T, B)`` or numbers ``(T, B, I)``.
        state: Initial states.
        segments: The steps of each segment of gradient checkpointing.
        aux: Auxiliary inputs of the layers.
        weights: Weight of each step in the loss, ``(T, B)``, float64; None if all are 1. The readout skips
            steps whose weights are all zero.
    """

    stack: Stack
    params: StackWeights
    readout: tuple[Array, Array]
    inputs: Array
    state: Mapping[str, Array]
    segments: list[slice]
    aux: AuxInputSource
    weights: Array | None

    def outputs(self, rows: slice) -> tuple[Array, Arrays]:
        """Outputs of the readout for some rows, ``(T, B, V)``, zeros where it skips; the final states."""
        Why, by = self.readout
        outputs = np.zeros((*self.inputs[:, rows].shape[:2], by.size), by.dtype)
        state = slice_states(self.state, rows)
        for steps in self.segments:
            y, state, _ = self.forward(Segment(steps, rows, state))
            read = self.steps_with_loss(steps)
            outputs[steps][read] = project(np.ascontiguousarray(y[read]), Why, by)
        return outputs, state

    def forward(self, segment: Segment) -> tuple[Array, Arrays, list[LayerTape]]:
        """The forward pass of the layers over a segment."""
        steps_rows = segment.steps, segment.rows
        aux = self.aux.chunk(*steps_rows)
        return self.stack.forward(self.params, slice_batch(self.inputs, *steps_rows), segment.state, aux)

    def steps_with_loss(self, steps: slice) -> slice | Array:
        """Select the steps of a segment that the readout computes: all, or an array of indices."""
        if self.weights is None:
            return slice(None)
        has_loss = np.any(self.weights[steps], axis=1)
        return slice(None) if np.all(has_loss) else np.flatnonzero(has_loss)

    def weights_of(self, steps: slice, rows: Rows) -> Array:
        """Weights of some steps of some rows."""
        if self.weights is None:
            return _ones(steps.stop - steps.start, row_count(rows))
        return slice_batch(self.weights, steps, rows)

    @cached_property
    def total_weight(self) -> float:
        """Sum of all weights of the batch."""
        steps, batch = self.inputs.shape[:2]
        return float(steps * batch if self.weights is None else self.weights.sum())


@dataclass(frozen=True)
class BatchLoss:
    """The loss of a batch.

    Args:
        run: The forward pass.
        targets: Classes ``(T, B)``, or numbers ``(T, B, V)``.
        binary: Whether numbers are probabilities, not values.
    """

    run: ForwardRun
    targets: Array
    binary: bool = False

    def loss(self, rows: slice) -> tuple[Array, Arrays]:
        """Losses of some rows, summed for each step ``(T,)``, and their final states."""
        losses, state = np.zeros(len(self.run.inputs)), slice_states(self.run.state, rows)
        for steps in self.run.segments:
            segment = Segment(steps, rows, state)
            y, state, _ = self.run.forward(segment)
            read = self.run.steps_with_loss(steps)
            y_read, targets, weights = self._select_read_steps(segment, y, read)
            step_losses = losses[steps] if y_read is y else np.empty(len(y_read))
            readout_loss(y_read, *self.run.readout, targets, weights, self.binary, step_losses)
            losses[steps][read] = step_losses
        return losses, state

    def loss_and_grad(self, rows: slice, out: Array) -> tuple[Array, Arrays]:
        """As :meth:`loss`; the gradient of the mean over the batch is written to ``out (P,)``."""
        losses, segments = np.zeros(len(self.run.inputs)), self._segments_with_states(rows)
        final_states: Arrays = {}

        def backward(segment: Segment, dafter: Arrays) -> tuple[Arrays, list[Array]]:
            y, after, tape = self.run.forward(segment)
            if segment is segments[-1]:
                final_states.update(after)
            dy, *dreadout = self._readout_backward(segment, y, losses)
            _, dbefore, gradients = self.run.stack.backward(self.run.params, tape, dy, dafter)
            return dbefore, [*gradients, *dreadout]

        backward_segments_flat(segments, self._zero_states(rows), out, backward)
        return losses, final_states

    def from_outputs(self, outputs: Array) -> float:
        """The weighted mean loss, from the outputs of every row."""
        weights = self.run.weights
        if weights is None:
            weights = _ones(*outputs.shape[:2])
        has_loss = weights > 0
        selected = outputs[has_loss], self.targets[has_loss], weights[has_loss]
        return float(weighted_loss(*selected, self.binary)) / self.run.total_weight

    def mean(self, sums: list[float]) -> float:
        """The weighted mean loss, from the sum of the losses of every shard."""
        return sum(sums) / self.run.total_weight

    def _segments_with_states(self, rows: slice) -> list[Segment]:
        """The segments with their initial states: one forward pass through all of them but the last."""
        segments = [Segment(self.run.segments[0], rows, slice_states(self.run.state, rows))]
        for steps in self.run.segments[1:]:
            segments.append(Segment(steps, rows, self.run.forward(segments[-1])[1]))
        return segments

    def _readout_backward(self, segment: Segment, y: Array, losses: Array) -> tuple[Array, Array, Array]:
        """The gradients of y and the readout; the losses are written to ``losses``."""
        read = self.run.steps_with_loss(segment.steps)
        y_read, targets, weights = self._select_read_steps(segment, y, read)
        step_losses = losses[segment.steps] if y_read is y else np.empty(len(y_read))
        scale = 1 / self.run.total_weight
        dy_read, dWhy, dby = readout_loss_and_grad(
            y_read, *self.run.readout, targets, weights, self.binary, step_losses, scale
        )
        if y_read is y:
            return dy_read, dWhy, dby
        losses[segment.steps][read] = step_losses
        dy = np.zeros_like(y)
        dy[read] = dy_read
        return dy, dWhy, dby

    def _select_read_steps(
        self, segment: Segment, y: Array, read: slice | Array
    ) -> tuple[Array, Array, Array]:
        """Outputs of the layers, targets and weights of the steps that the readout computes."""
        targets = slice_batch(self.targets, segment.steps, segment.rows)
        weights = self.run.weights_of(segment.steps, segment.rows)
        return (y, targets, weights) if isinstance(read, slice) else (y[read], targets[read], weights[read])

    def _zero_states(self, rows: slice) -> Arrays:
        """Zero gradient with respect to the final states."""
        batch, dtype = rows.stop - rows.start, self.run.readout[0].dtype
        return as_state(None, self.run.stack.state_shapes, batch, dtype, "model")


def sum_losses(losses: Array) -> float:
    """The sum of the losses of a shard."""
    # Step by step, in order: the same however time is cut into segments; and NumPy takes longer to begin.
    return float(sum(losses.tolist()))


@lru_cache(maxsize=8)
def _ones(steps: int, rows: int) -> Array:
    """Weights of 1; read-only by convention."""
    return np.ones((steps, rows))
