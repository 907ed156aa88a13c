"""A batch on its way through a stack and back, shard by shard."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from zoo.layers.checkpointing import (
    Segment,
    TimeChunks,
    absolute_range,
    backward_segments,
    plan_chunks,
    scan_chunks,
    slice_batch,
)
from zoo.layers.direction import Array, Arrays, BackwardHook, Direction, DirectionTape
from zoo.layers.padding import sort_by_length
from zoo.layers.sharding import Rows, row_count, shards, slice_states
from zoo.layers.stack import AuxInputSource, LayerTape, Stack, StackWeights


@dataclass(frozen=True)
class BatchRun:
    """A batch, and how its time is cut.

    Where every layer reads in the order of time, a piece of time goes through all floors before the next
    begins: then little is kept between segments. Where some read backwards, a floor needs all steps of the
    floor below, and the pieces are those of each layer by itself.

    Args:
        stack: The layers.
        weights: Their arrays.
        x: Floats ``(T, B, I)`` or tokens ``(T, B)``; where rows have lengths, zeros or -1 behind their ends.
        beside: What the layers are told beside x.
        segments: The steps of each segment; more than one means that the way back computes them again.
        lengths: Steps of each row ``(B,)``; None if all steps are of all rows.
    """

    stack: Stack
    weights: StackWeights
    x: Array
    aux_inputs: AuxInputSource
    segments: list[slice]
    lengths: Array | None = None

    def rows(self, shard: slice) -> Rows:
        """The rows of the batch that a shard works on: of different lengths, those of about the same."""
        return shard if self._order is None else self._order[shard]

    def by_rows(self, parts: list[Arrays]) -> list[tuple[Rows, Arrays]]:
        """What each shard gave, with the rows that it is of."""
        found = shards(self.x.shape[1])
        return [(self.rows(shard), part) for shard, part in zip(found, parts, strict=True)]

    def room(self, size: int) -> Array:
        """An array for the outputs, or for the gradient of x: ``(T, B, size)``, zero where nothing goes."""
        make = np.empty if self.lengths is None else np.zeros
        return make((*self.x.shape[:2], size), self.aux_inputs.dtype)

    def forward(self, shard: slice, state: Arrays, y: Array) -> tuple[list[Segment], Arrays]:
        """The tape of a shard, and the states of its rows at their ends; outputs are written to ``y``.

        Args:
            shard: From :func:`zoo.layers.sharding.shards`.
            state: States of the whole batch before the first step.
            y: Where the outputs go, ``(T, B, ·)``; where rows have lengths, zeros.
        """
        rows = self.rows(shard)
        together, alone = self._courses(rows)

        def run(segment: Segment) -> tuple[Arrays, list[LayerTape]]:
            y[segment.steps, segment.rows], after, tape = self._through(segment, alone)
            return after, tape

        return scan_chunks(together, rows, slice_states(state, rows), run)

    def pieces(self, found: list[Segment]) -> Iterator[tuple[Direction, slice, Rows, DirectionTape]]:
        """What every layer went through in a shard, as :meth:`forward` found it, piece by piece."""
        for segment in found:
            tape = segment.tape or self._through(segment, None)[2]
            for layer, steps, rows, kept in self.stack.pieces(self.weights, tape):
                yield layer, *absolute_range(segment, steps, rows), kept

    def backward(
        self,
        found: list[Segment],
        dy: Array,
        dlast: Arrays,
        dx: Array | None,
        watch: BackwardHook | None = None,
    ) -> tuple[Arrays, list[Array]]:
        """Gradients of a shard's states before the first step, and of the parameters of all layers.

        Args:
            found: The tape of the shard.
            dy: Gradient of the outputs of the whole batch, ``(T, B, ·)``.
            dlast: Gradients of the last states of the shard's rows.
            dx: Where the gradient of x goes, ``(T, B, I)``; where rows have lengths, zeros. None for tokens.
            watch: What sees every layer before its way back through a piece.
        """

        def back(segment: Segment, dafter: Arrays) -> tuple[Arrays, list[Array]]:
            # Only pieces of all floors together are computed again here: those of a layer alone, along it.
            tape = segment.tape or self._through(segment, None)[2]
            part = slice_batch(dy, segment.steps, segment.rows)
            placed = watch and _placed(watch, segment)
            dpart, dbefore, gradients = self.stack.backward(self.weights, tape, part, dafter, placed)
            if dx is not None:
                dx[segment.steps, segment.rows] = dpart
            return dbefore, gradients

        return backward_segments(found, dlast, back)

    @cached_property
    def _order(self) -> Array | None:
        """Rows in the order of the shards, if that is another than their own."""
        return None if self.lengths is None else sort_by_length(self.lengths)

    def _courses(self, rows: Rows) -> tuple[TimeChunks, TimeChunks | None]:
        """How the time of some rows is cut for all floors together, and within it for each layer."""
        lengths = None if self.lengths is None else self.lengths[rows]
        course = plan_chunks(self.segments, row_count(rows), lengths)
        if not self.stack.bidirectional:
            return course, None
        steps = len(self.x) if lengths is None else int(lengths[0])
        return plan_chunks([slice(0, steps)], row_count(rows)), course

    def _through(self, segment: Segment, alone: TimeChunks | None) -> tuple[Array, Arrays, list[LayerTape]]:
        """Some steps of some rows through all floors; alone is how each layer's time is cut, if it is."""
        where = segment.steps, segment.rows
        told, x = self.aux_inputs.chunk(*where), slice_batch(self.x, *where)
        return self.stack.forward(self.weights, x, segment.state, told, alone)


def _placed(watch: BackwardHook, segment: Segment) -> BackwardHook:
    """A watch that is told which steps and rows of the batch a piece of a segment is."""

    def see(
        layer: Direction,
        steps: slice,
        rows: Rows,
        tape: DirectionTape,
        dy: Array,
        dafter: Mapping[str, Array],
    ) -> None:
        watch(layer, *absolute_range(segment, steps, rows), tape, dy, dafter)

    return see
