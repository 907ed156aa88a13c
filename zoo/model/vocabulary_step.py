"""The training step of a large vocabulary: the layers shard by shard, the readout of all tokens at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.layers.parameters import ParameterLayout, flatten
from zoo.layers.sharding import map_shards, row_count
from zoo.layers.stack import LayerTape
from zoo.layers.states import States
from zoo.layers.time_chunks import Segment
from zoo.layers.validation import as_state
from zoo.model.batch_loss import BatchLoss, gather_final_states
from zoo.model.vocabulary_loss import VocabularyLoss

if TYPE_CHECKING:
    from zoo.model.model import Model


class VocabularyStep:
    """The loss of a batch, and its gradient, with the readout computed symbol group by symbol group.

    All processes compute the readout of all tokens, so that their number changes no bit.

    Args:
        model: The model.
        batch_loss: The loss of the batch.
        shards: The shards of this process.
    """

    def __init__(self, model: Model, batch_loss: BatchLoss, shards: Sequence[slice]) -> None:
        self._model, self._batch_loss, self._shards = model, batch_loss, shards
        self._batch_run = batch_loss.run.batch_run
        weights, by = model.arrays["embedding" if model.tie else "Why"], model.arrays["by"]
        (smoothing,) = batch_loss.options
        self._readout_loss = VocabularyLoss((weights, by), model.tie, smoothing, model.threads)

    def loss(self) -> tuple[float, States]:
        """The mean loss and the final states."""
        y, _, final = self._forward(keep_tapes=False)
        total = self._readout_loss.loss(y.reshape(-1, y.shape[2]), *self._targets())
        return self._batch_loss.mean([total]), final

    def loss_and_grad(self) -> tuple[float, States]:
        """As :meth:`loss`, filling the gradient of the model, but for the rows of the tokens it reads."""
        model, scale = self._model, 1 / self._batch_loss.run.total_weight
        y, segments, final = self._forward(keep_tapes=True)
        readout = model.grads["embedding" if model.tie else "Why"], model.grads["by"]
        total, dy = self._readout_loss.loss_and_grad(
            y.reshape(-1, y.shape[2]), *self._targets(), scale, readout
        )
        layers = model.grad[: ParameterLayout(model.stack.param_shapes).size]
        gradients = self._backward(segments, dy.reshape(y.shape), layers.size)
        model.process_group.sum_gradients(gradients, layers, self._batch_loss.batch_size)
        return self._batch_loss.mean([total]), final

    def _targets(self) -> tuple[Array, Array]:
        """Targets and weights of all tokens, ``(N,)``."""
        targets, weights = self._batch_loss.targets.reshape(-1), self._batch_loss.run.loss_weights
        return targets, np.ones(targets.size) if weights is None else weights.reshape(-1)

    def _forward(self, keep_tapes: bool) -> tuple[Array, list[list[Segment]], States]:
        """Outputs of the layers ``(T, B, H)``, the segments of each shard, and the final states."""
        y = self._batch_run.empty_output(self._model.stack.output_size)

        def forward(shard: slice) -> tuple[list[Segment], Arrays]:
            def on_output(segment: Segment, outputs: Array, _: list[LayerTape]) -> None:
                y[segment.time_slice, segment.rows] = outputs

            segments, final = self._batch_run.forward(shard, on_output, keep_last=keep_tapes)
            return (segments if keep_tapes else []), final

        results = map_shards(forward, self._shards, self._model.threads)
        final = gather_final_states(self._batch_loss, self._shards, [states for _, states in results])
        gathered = self._model.process_group.all_gather_rows(y)
        return gathered, [segments for segments, _ in results], final

    def _backward(self, segments: list[list[Segment]], dy: Array, size: int) -> list[Array]:
        """The gradients of the parameters of the layers for each shard."""
        run, model = self._batch_run, self._model

        def output_gradient(segment: Segment, _: Array | None) -> tuple[Array, list[Array]]:
            return np.ascontiguousarray(dy[segment.time_slice, segment.rows]), []

        def backward(task: tuple[slice, list[Segment]]) -> Array:
            rows = row_count(run.shard_rows(task[0]))
            zeros = as_state(None, model.stack.state_shapes, rows, model.dtype, "model")
            _, gradients = run.backward(task[1], output_gradient, zeros, self._batch_loss.dinputs)
            flat = np.empty(size, model.dtype)
            flatten(gradients, flat)
            return flat

        return map_shards(backward, list(zip(self._shards, segments, strict=True)), model.threads)
