"""A training step in two passes over the whole batch: the outputs of all shards, then the gradients.

The loss of a large vocabulary and penalties of the activity need the outputs of all sequences before the
backward pass of the first. The tapes of all shards are in memory at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.layers.batch import OutputGradient
from zoo.layers.parameters import flatten
from zoo.layers.sharding import map_shards, row_count
from zoo.layers.stack import LayerTape
from zoo.layers.states import States
from zoo.layers.time_chunks import Segment
from zoo.layers.validation import as_state
from zoo.model.batch_loss import BatchLoss, gather_final_states

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

        def forward(shard: slice) -> tuple[list[Segment], Arrays]:
            def on_output(segment: Segment, outputs: Array, _: list[LayerTape]) -> None:
                y[segment.time_slice, segment.rows] = outputs

            segments, final = self._batch_run.forward(shard, on_output, keep_last=keep_tapes)
            return (segments if keep_tapes else []), final

        results = map_shards(forward, self._shards, self._model.threads)
        final = gather_final_states(self._batch_loss, self._shards, [states for _, states in results])
        gathered = self._model.process_group.all_gather_rows(y, self._batch_run.row_order)
        return gathered, [segments for segments, _ in results], final

    def backward(
        self, segments: list[list[Segment]], output_gradients: Sequence[OutputGradient], size: int
    ) -> list[Array]:
        """The gradient of each shard, a vector of ``size`` elements.

        Args:
            segments: Of each shard, from :meth:`forward`.
            output_gradients: Gradient of the outputs of a segment, and those of parameters above the layers,
                for each shard.
            size: Number of parameters of the layers and above.
        """
        run, model = self._batch_run, self._model

        def backward(task: tuple[slice, list[Segment], OutputGradient]) -> Array:
            shard, own_segments, output_gradient = task
            zeros = as_state(
                None, model.stack.state_shapes, row_count(run.shard_rows(shard)), model.dtype, "model"
            )
            _, gradients = run.backward(own_segments, output_gradient, zeros, self._batch_loss.dinputs)
            flat = np.empty(size, model.dtype)
            flatten(gradients, flat)
            return flat

        tasks = list(zip(self._shards, segments, output_gradients, strict=True))
        return map_shards(backward, tasks, model.threads)
