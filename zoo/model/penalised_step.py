"""Penalties of the activity of the last layer, and the training step with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.array_types import Array
from zoo.base import Penalty
from zoo.layers.batch import OutputGradient
from zoo.layers.states import States
from zoo.layers.time_chunks import Segment
from zoo.model.two_pass_step import TwoPassStep


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


class PenalisedStep(TwoPassStep):
    """The training step with penalties of the activity: loss and readout are as in the interpreted step."""

    def loss_and_grad(self, penalty: ActivityPenalty) -> tuple[list[Array], list[Array], States]:
        """The losses of the steps of each shard, without the penalty, the gradients, and the final states."""
        y, segments, final = self.forward(keep_tapes=True)
        dpenalty = penalty.gradient(y, self._batch_run.lengths)
        losses = [np.zeros(len(y)) for _ in segments]

        def output_gradient(own_losses: Array) -> OutputGradient:
            def gradient(segment: Segment, _: Array | None) -> tuple[Array, list[Array]]:
                index = segment.time_slice, segment.rows
                dy, others = self._batch_loss.readout_backward(
                    segment, np.ascontiguousarray(y[index]), own_losses
                )
                dy += dpenalty[index]
                return dy, others

            return gradient

        size = self._model.core_size
        return losses, self.backward(segments, list(map(output_gradient, losses)), size), final
