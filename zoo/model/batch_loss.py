"""The loss of a model on a batch, for one shard at a time: a callback on every segment of a batch run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.layers.batch import BatchRun
from zoo.layers.parameters import flatten
from zoo.layers.sharding import Rows, row_count, shards
from zoo.layers.stack import LayerTape, StackParams
from zoo.layers.states import States
from zoo.layers.time_chunks import Segment, slice_batch
from zoo.layers.validation import as_state
from zoo.model.readout import ReadoutKernels
from zoo.model.ridge_regression import RidgeRegression


@dataclass(frozen=True)
class ReadoutRun:
    """A batch in the layers and the readout.

    Args:
        batch_run: The batch in the layers.
        readout: ``Why (H, V)`` and ``by (V,)``.
        kernels: The kernels of the readout and its loss.
        loss_weights: Weight of each step in the loss, ``(T, B)``, float64, zero in the padding; None if
            all are 1. The readout skips steps whose weights are all zero.
    """

    batch_run: BatchRun
    readout: tuple[Array, Array]
    kernels: ReadoutKernels
    loss_weights: Array | None

    def outputs(self, shard: slice, out: Array, params: StackParams | None = None) -> Arrays:
        """Write the outputs of the readout for a shard to ``out (T, B, V)``; return the final states.

        Steps that the readout skips are left as they are. ``params`` come from ``batch_run.prepare``.
        """

        def on_output(segment: Segment, y: Array, _: list[LayerTape]) -> None:
            read = self.steps_with_loss(segment.time_slice)
            outputs = self.kernels.project(np.ascontiguousarray(y[read]), *self.readout)
            if isinstance(read, slice):
                out[segment.time_slice, segment.rows] = outputs
            else:
                whole = np.zeros((*y.shape[:2], out.shape[2]), out.dtype)
                whole[read] = outputs
                out[segment.time_slice, segment.rows] = whole

        return self.batch_run.forward(shard, on_output, params=params)[1]

    def steps_with_loss(self, time_slice: slice) -> slice | Array:
        """Select the steps of a segment that the readout computes: all, or an array of indices."""
        if self.loss_weights is None:
            return slice(None)
        has_loss = np.any(self.loss_weights[time_slice], axis=1)
        return slice(None) if np.all(has_loss) else np.flatnonzero(has_loss)

    def weights_of(self, time_slice: slice, rows: Rows) -> Array:
        """Weights of some steps of some rows."""
        if self.loss_weights is None:
            return _ones(time_slice.stop - time_slice.start, row_count(rows))
        return slice_batch(self.loss_weights, time_slice, rows)

    @cached_property
    def total_weight(self) -> float:
        """Sum of all weights of the batch."""
        steps, batch = self.batch_run.x.shape[:2]
        return float(steps * batch if self.loss_weights is None else self.loss_weights.sum())


@dataclass(frozen=True)
class BatchLoss:
    """The loss of a batch.

    Args:
        run: The batch.
        targets: Classes ``(T, B)``, or numbers ``(T, B, V)``.
        options: Values of the options of the loss.
        unembedded: The inputs of a model with an embedding: tokens ``(T, B)``, or numbers with codes of
            categories, ``(T, B, I)``.
        dinputs: Destination of the gradient of the embedded inputs, ``(T, B, E)``.
    """

    run: ReadoutRun
    targets: Array
    options: tuple[float, ...]
    unembedded: Array | None = None
    dinputs: Array | None = None

    @property
    def kernels(self) -> ReadoutKernels:
        """The kernels of the readout and its loss."""
        return self.run.kernels

    @property
    def batch_size(self) -> int:
        """``B``, the number of sequences."""
        size: int = self.run.batch_run.x.shape[1]  # `batch_run.batch_size` is one more Python call
        return size

    def prepare(self, *, backward: bool = False) -> StackParams:
        """Prepare the parameters once for all shards, for :meth:`loss` and :meth:`loss_and_grad`.

        Args:
            backward: Whether there will be backward passes.
        """
        needs_dx = self.dinputs is not None
        return self.run.batch_run.prepare(forward=True, backward=backward, needs_dx=needs_dx)

    def loss(self, shard: slice, params: StackParams | None = None) -> tuple[Array, Arrays]:
        """Losses of a shard, summed over its rows for each step ``(T,)``, and its final states.

        Args:
            shard: Rows, in the order of lengths.
            params: From :meth:`prepare`; None to prepare them in each call.
        """
        losses = np.zeros(len(self.run.batch_run.x))

        def on_output(segment: Segment, y: Array, _: list[LayerTape]) -> None:
            read = self.run.steps_with_loss(segment.time_slice)
            y_read, targets, weights = self._select_read_steps(segment, y, read)
            step_losses = losses[segment.time_slice] if y_read is y else np.empty(len(y_read))
            self.kernels.loss(y_read, *self.run.readout, targets, weights, self.options, step_losses)
            losses[segment.time_slice][read] = step_losses

        return losses, self.run.batch_run.forward(shard, on_output, params=params)[1]

    def loss_and_grad(
        self, shard: slice, out: Array, params: StackParams | None = None
    ) -> tuple[Array, Arrays]:
        """As :meth:`loss`; the gradient of the mean over the batch is written to ``out (P,)``."""
        batch_run, losses = self.run.batch_run, np.zeros(len(self.run.batch_run.x))
        stored: list[tuple[Array, list[Array]]] = []  # gradients of segments whose tape is stored

        def on_output(segment: Segment, y: Array, _: list[LayerTape]) -> None:
            if segment.tape is not None:
                stored.append(self.readout_backward(segment, y, losses))

        def output_gradient(segment: Segment, y: Array | None) -> tuple[Array, list[Array]]:
            return stored.pop() if y is None else self.readout_backward(segment, y, losses)

        segments, final = batch_run.forward(shard, on_output, True, params)
        rows, dtype = row_count(batch_run.shard_rows(shard)), self.run.readout[0].dtype
        zeros = as_state(None, batch_run.stack.state_shapes, rows, dtype, "model")
        _, gradients = batch_run.backward(segments, output_gradient, zeros, self.dinputs, params=params)
        flatten(gradients, out)
        return losses, final

    def add_to_regression(self, regression: RidgeRegression) -> None:
        """Add the outputs of the layers and the targets of all steps with a loss to a regression.

        One thread computes all shards, so that sums have a fixed order.
        """
        params = self.run.batch_run.prepare(forward=True)

        def on_output(segment: Segment, y: Array, _: list[LayerTape]) -> None:
            read = self.run.steps_with_loss(segment.time_slice)
            features, targets, weights = self._select_read_steps(segment, y, read)
            outputs = self.run.readout[1].size
            rows = features.reshape(-1, features.shape[-1]), targets.reshape(-1, outputs)
            regression.add(*rows, weights.reshape(-1))

        for shard in shards(self.batch_size):
            self.run.batch_run.forward(shard, on_output, params=params)

    def from_outputs(self, outputs: Array) -> float:
        """The weighted mean loss, from the outputs of every row."""
        weights = self.run.loss_weights
        if weights is None:
            weights = _ones(*outputs.shape[:2])
        has_loss = weights > 0
        selected = outputs[has_loss], self.targets[has_loss], weights[has_loss]
        return float(self.kernels.weighted_loss(*selected, self.options)) / self.run.total_weight

    def mean(self, sums: list[float]) -> float:
        """The weighted mean loss, from the sum of the losses of every shard."""
        return sum(sums) / self.run.total_weight

    def readout_backward(self, segment: Segment, y: Array, losses: Array) -> tuple[Array, list[Array]]:
        """The gradient of y, and the gradients of the readout; the losses are written to ``losses``."""
        read = self.run.steps_with_loss(segment.time_slice)
        y_read, targets, weights = self._select_read_steps(segment, y, read)
        step_losses = losses[segment.time_slice] if y_read is y else np.empty(len(y_read))
        scale = 1 / self.run.total_weight
        dy_read, *dreadout = self.kernels.loss_and_grad(
            y_read, *self.run.readout, targets, weights, self.options, step_losses, scale
        )
        if y_read is y:
            return dy_read, dreadout
        losses[segment.time_slice][read] = step_losses
        dy = np.zeros_like(y)
        dy[read] = dy_read
        return dy, dreadout

    def _select_read_steps(
        self, segment: Segment, y: Array, read: slice | Array
    ) -> tuple[Array, Array, Array]:
        """Outputs of the layers, targets and weights of the steps that the readout computes."""
        targets = slice_batch(self.targets, segment.time_slice, segment.rows)
        weights = self.run.weights_of(segment.time_slice, segment.rows)
        return (y, targets, weights) if isinstance(read, slice) else (y[read], targets[read], weights[read])


def gather_final_states(
    batch_loss: BatchLoss, local_shards: Sequence[slice], by_shard: Sequence[Arrays]
) -> States:
    """The final states of all shards, with zeros in the rows of other processes."""
    batch_run = batch_loss.run.batch_run
    final = States({name: np.zeros_like(value) for name, value in batch_run.state.items()})
    for shard, states in zip(local_shards, by_shard, strict=True):
        for name, value in states.items():
            final[name][batch_run.shard_rows(shard)] = value
    return final


def sum_losses(losses: Array) -> float:
    """The sum of the losses of a shard."""
    # Step by step, in order: the same however time is cut into segments; and NumPy takes longer to begin.
    return float(sum(losses.tolist()))


@lru_cache(maxsize=8)
def _ones(steps: int, rows: int) -> Array:
    """Weights of 1; read-only by convention."""
    return np.ones((steps, rows))
