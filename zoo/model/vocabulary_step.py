"""The training step of a large vocabulary: the layers shard by shard, the readout of all tokens at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.array_types import Array
from zoo.layers.parameters import ParameterLayout
from zoo.layers.states import States
from zoo.layers.time_chunks import Segment
from zoo.model.batch_loss import BatchLoss
from zoo.model.two_pass_step import TwoPassStep
from zoo.model.vocabulary_loss import VocabularyLoss

if TYPE_CHECKING:
    from zoo.model.model import Model


class VocabularyStep(TwoPassStep):
    """The loss of a batch, and its gradient, with the readout computed symbol group by symbol group.

    All processes compute the readout of all tokens, so that their number changes no bit.

    Args:
        model: The model.
        batch_loss: The loss of the batch.
        shards: The shards of this process.
    """

    def __init__(self, model: Model, batch_loss: BatchLoss, shards: Sequence[slice]) -> None:
        super().__init__(model, batch_loss, shards)
        weights, by = model.arrays["embedding" if model.tie else "Why"], model.arrays["by"]
        (smoothing,) = batch_loss.options
        readout = (weights, by), model.tie
        self._readout_loss = VocabularyLoss(*readout, smoothing, model.threads, model.config.precision)

    def loss(self) -> tuple[float, States]:
        """The mean loss and the final states."""
        y, _, final = self.forward(keep_tapes=False)
        total = self._readout_loss.loss(y.reshape(-1, y.shape[2]), *self._targets())
        return self._batch_loss.mean([total]), final

    def loss_and_grad(self) -> tuple[float, States]:
        """As :meth:`loss`, filling the gradient of the model, but for the rows of the tokens it reads."""
        model, scale = self._model, 1 / self._batch_loss.run.total_weight
        y, segments, final = self.forward(keep_tapes=True)
        readout = model.grads["embedding" if model.tie else "Why"], model.grads["by"]
        total, dy = self._readout_loss.loss_and_grad(
            y.reshape(-1, y.shape[2]), *self._targets(), scale, readout
        )
        dy = dy.reshape(y.shape)
        if model.activity_penalty is not None:
            dy += model.activity_penalty.gradient(y, self._batch_run.lengths)

        def output_gradient(segment: Segment, _: Array | None) -> tuple[Array, list[Array]]:
            return np.ascontiguousarray(dy[segment.time_slice, segment.rows]), []

        layers = model.grad[: ParameterLayout(model.stack.param_shapes).size]
        gradients = self.backward(segments, [output_gradient] * len(segments), layers.size)
        model.process_group.sum_gradients(gradients, layers, self._batch_loss.batch_size)
        return self._batch_loss.mean([total]), final

    def _targets(self) -> tuple[Array, Array]:
        """Targets and weights of all tokens, ``(N,)``."""
        targets, weights = self._batch_loss.targets.reshape(-1), self._batch_loss.run.loss_weights
        return targets, np.ones(targets.size) if weights is None else weights.reshape(-1)
