"""Training steps in two passes over the whole batch: the outputs of all shards, then the gradients.

The loss of a large vocabulary and penalties of the activity need the outputs of all sequences before the
backward pass of the first. Gradients with respect to the initial states come from these steps, too. The tapes
of all shards are in memory at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.base import Penalty
from zoo.layers.batch import OutputGradient
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


class TwoPassStep:
    """The passes of all shards of a batch through the layers.

    Args:
        model: The model.
        batch_loss: The loss of the batch.
        shards: The shards of this process.
    """

    def __init__(self, model: Model, batch_loss: BatchLoss, shards: Sequence[slice]) -> None:
        self._model, self._batch_loss, self._shards = model, batch_loss, shards
        self._batch_run = batch_loss.run.batch_run

    def forward(self, keep_tapes: bool) -> tuple[Array, list[list[Segment]], States]:
        """Outputs of the layers ``(T, B, H)``, the segments of each shard, and the final states."""
        y = self._batch_run.empty_output(self._model.stack.output_size)
        params = self._batch_run.prepare(forward=True)

        def forward(shard: slice) -> tuple[list[Segment], Arrays]:
            def on_output(segment: Segment, outputs: Array, _: list[LayerTape]) -> None:
                y[segment.time_slice, segment.rows] = outputs

            segments, final = self._batch_run.forward(shard, on_output, keep_tapes, params)
            return (segments if keep_tapes else []), final

        results = map_shards(forward, self._shards, self._model.threads, self._batch_run.product_size)
        final = gather_final_states(self._batch_loss, self._shards, [states for _, states in results])
        gathered = self._model.process_group.all_gather_rows(y, self._batch_run.row_order)
        return gathered, [segments for segments, _ in results], final

    def backward(
        self, segments: list[list[Segment]], output_gradients: Sequence[OutputGradient], size: int
    ) -> tuple[list[Array], States]:
        """The gradient of each shard, a vector of ``size`` elements, and of the initial states of all.

        Args:
            segments: Of each shard, from :meth:`forward`.
            output_gradients: Gradient of the outputs of a segment, and those of parameters above the layers,
                for each shard.
            size: Number of parameters of the layers and above.
        """
        run, model, dinputs = self._batch_run, self._model, self._batch_loss.dinputs
        params = run.prepare(backward=True, needs_dx=dinputs is not None)

        def backward(task: tuple[slice, list[Segment], OutputGradient]) -> tuple[Array, Arrays]:
            shard, own_segments, output_gradient = task
            zeros = as_state(
                None, model.stack.state_shapes, row_count(run.shard_rows(shard)), model.dtype, "model"
            )
            dinitial, gradients = run.backward(own_segments, output_gradient, zeros, dinputs, params=params)
            flat = np.empty(size, model.dtype)
            flatten(gradients, flat)
            return flat, dinitial

        tasks = list(zip(self._shards, segments, output_gradients, strict=True))
        results = map_shards(backward, tasks, model.threads, run.product_size)
        dinitial = gather_final_states(self._batch_loss, self._shards, [states for _, states in results])
        return [flat for flat, _ in results], dinitial


@dataclass
class ActivityPenalty:
    """The sum of several penalties of the activity.

    Args:
        penalties: The penalties.

    Attributes:
        value: The sum of their values for the last batch.
    """

    penalties: Sequence[Penalty]
    value: float = 0.0

    def gradient(self, y: Array, lengths: Array | None) -> Array:
        """The gradient with respect to the outputs of the last layer, ``(T, B, H)``; sets :attr:`value`.

        Raises:
            DefinitionError: if a penalty returns something invalid.
        """
        results = [penalty.of_activity(y, lengths) for penalty in self.penalties]
        self.value = sum(value for value, _ in results)
        gradient: Array = sum((each for _, each in results[1:]), results[0][1])
        return gradient


class StepGradients(NamedTuple):
    """Results of a training step.

    Args:
        losses: The losses of the steps of each shard, without penalties.
        gradients: The gradient of each shard.
        final: The final states.
        dinitial: The gradients with respect to the initial states.
    """

    losses: list[Array]
    gradients: list[Array]
    final: States
    dinitial: States


class StateGradientStep(TwoPassStep):
    """The training step with gradients of the initial states, and with penalties of the activity if there are
    any. Loss and readout are as in the interpreted step.
    """

    def loss_and_grad(self, penalty: ActivityPenalty | None) -> StepGradients:
        """The losses and the gradients.

        Args:
            penalty: The penalties; None for none.
        """
        y, segments, final = self.forward(keep_tapes=True)
        dpenalty = None if penalty is None else penalty.gradient(y, self._batch_run.lengths)
        losses = [np.zeros(len(y)) for _ in segments]

        def output_gradient(own_losses: Array) -> OutputGradient:
            def gradient(segment: Segment, _: Array | None) -> tuple[Array, list[Array]]:
                index = segment.time_slice, segment.rows
                dy, others = self._batch_loss.readout_backward(
                    segment, np.ascontiguousarray(y[index]), own_losses
                )
                if dpenalty is not None:
                    dy += dpenalty[index]
                return dy, others

            return gradient

        size = self._model.core_size
        gradients, dinitial = self.backward(segments, list(map(output_gradient, losses)), size)
        return StepGradients(losses, gradients, final, dinitial)


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
        gradients, _ = self.backward(segments, [output_gradient] * len(segments), layers.size)
        model.process_group.sum_gradients(gradients, layers, self._batch_loss.batch_size)
        return self._batch_loss.mean([total]), final

    def _targets(self) -> tuple[Array, Array]:
        """Targets and weights of all tokens, ``(N,)``."""
        targets, weights = self._batch_loss.targets.reshape(-1), self._batch_loss.run.loss_weights
        return targets, np.ones(targets.size) if weights is None else weights.reshape(-1)
