"""The forward and backward pass of a batch through a stack, shard by shard."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TypeAlias

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.layers.aux_inputs import AuxInputSource
from zoo.layers.direction import BackwardHook, Direction, DirectionTape
from zoo.layers.sharding import Rows, pool_threads, row_count, run_shards, shards, slice_states
from zoo.layers.stack import LayerTape, Stack, StackParams
from zoo.layers.time_chunks import (
    Segment,
    TimeChunks,
    absolute_range,
    add_gradients,
    leading_rows,
    leading_states,
    plan_chunks,
    slice_batch,
    sort_by_length,
    update_leading_rows,
)

OutputHook: TypeAlias = Callable[[Segment, Array, list[LayerTape]], None]
"""Called after the forward pass of a segment with its outputs ``(T, B, ·)`` and its tape, which the segment
holds only if it is kept."""
OutputGradient: TypeAlias = Callable[[Segment, Array | None], tuple[Array, list[Array]]]
"""From a segment to the gradient of its outputs, and gradients of parameters above the stack. The outputs are
passed if the segment was run again."""

MIN_DIVIDED_MATRIX = 1 << 19
"""Elements of the smallest matrix that several threads pack. With matrices of half the size, both passes of
`lstm` and `gru` took as long as with one thread.
"""


@dataclass  # not frozen, which takes 1 us longer to make
class BatchRun:
    """A batch with its time chunks.

    If every direction reads forwards, a time chunk goes through all layers before the next one, so that
    little is saved between segments. A direction that reads backwards needs all outputs of the layer below:
    then each direction has its own chunks.

    Args:
        stack: The layers.
        params: Their parameters and buffers.
        x: Floats ``(T, B, I)`` or tokens ``(T, B)``; zeros or -1 in the padding.
        state: Initial states.
        aux_inputs: Auxiliary inputs.
        segments: The steps of each checkpoint segment; if there is only one, tapes are kept.
        lengths: Steps of each sequence ``(B,)``; None if all have all steps.
        uses_learned_state: Whether the initial states are the learned ones.
    """

    stack: Stack
    params: StackParams
    x: Array
    state: Mapping[str, Array]
    aux_inputs: AuxInputSource
    segments: list[slice]
    lengths: Array | None = None
    uses_learned_state: bool = False

    @property
    def product_size(self) -> int:
        """The largest matrix product of a shard and a time step, see :meth:`Stack.product_size`."""
        rows = shards(self.batch_size)
        return self.stack.product_size(row_count(rows[0])) if rows else 0

    def prepare(
        self, *, forward: bool = False, backward: bool = False, needs_dx: bool = False, threads: int = 1
    ) -> StackParams:
        """Prepare the parameters once for all shards of the batch, for :meth:`forward` and :meth:`backward`.

        Args:
            forward: Whether there will be forward passes.
            backward: Whether there will be backward passes.
            needs_dx: Whether they compute the gradient with respect to x.
            threads: Maximum number of threads that pack large matrices.
        """
        # Segments that were not kept run forward again.
        forward = forward or (backward and len(self.segments) > 1)
        prepare = partial(
            self.stack.prepare,
            self.params,
            self.x.ndim == 3,
            forward=forward,
            backward=backward,
            needs_dx=needs_dx,
        )
        if threads == 1 or self.stack.largest_matrix < MIN_DIVIDED_MATRIX:
            return prepare()
        threads = pool_threads(len(shards(self.batch_size)), threads, self.product_size)  # those of the pass
        return run_shards(lambda _pool_state: prepare(), 1, threads, self.product_size)

    def select(self, rows: Array) -> BatchRun:
        """A batch without lengths of some rows of this one, ``(N,)``, which may be repeated."""
        assert self.lengths is None
        state, aux_inputs = slice_states(self.state, rows), self.aux_inputs.select(rows)
        return replace(self, x=np.take(self.x, rows, axis=1), state=state, aux_inputs=aux_inputs)

    @property
    def batch_size(self) -> int:
        """``B``, the number of sequences."""
        size: int = self.x.shape[1]
        return size

    @property
    def row_order(self) -> Array | None:
        """The rows in the order of the shards ``(B,)``, the longest first; None without lengths."""
        return None if self.lengths is None else self._length_order

    def shard_rows(self, shard: slice) -> Rows:
        """Rows of a shard; rows of about the same length are in one shard."""
        return shard if self.lengths is None else self._length_order[shard]

    def pair_with_rows(self, states: list[Arrays]) -> list[tuple[Rows, Arrays]]:
        """Pair the states of each shard of the batch with its rows."""
        return [
            (self.shard_rows(shard), each)
            for shard, each in zip(shards(self.x.shape[1]), states, strict=True)
        ]

    def empty_output(self, size: int) -> Array:
        """An array ``(T, B, size)`` for outputs, or for the gradient of x; zero in the padding."""
        make = np.empty if self.lengths is None else np.zeros
        return make((*self.x.shape[:2], size), self.aux_inputs.dtype)

    def forward(
        self,
        shard: slice,
        on_output: OutputHook,
        keep_last: bool = False,
        params: StackParams | None = None,
    ) -> tuple[list[Segment], Arrays]:
        """Run a shard: its segments, and the final states of its rows.

        Args:
            shard: Rows, in the order of lengths.
            on_output: Takes the outputs of each segment.
            keep_last: Keep the tape of the last segment even if the others are run again.
            params: From :meth:`prepare`; None to prepare them in each call.
        """
        params = self.params if params is None else params
        rows = self.shard_rows(shard)
        chunks, direction_chunks = self._plan_chunks(rows)
        state, segments = slice_states(self.state, rows), list[Segment]()
        last = len(chunks.chunks) - 1 if keep_last else None
        for index, (time_slice, count) in enumerate(chunks.chunks):
            leading = leading_states(state, state, count)
            chunk_rows = leading_rows(rows, count)
            aux = self.aux_inputs.chunk(time_slice, chunk_rows)
            x = slice_batch(self.x, time_slice, chunk_rows)
            y, final, tape = self.stack.forward(params, x, leading, aux, direction_chunks)
            is_kept = chunks.keeps_tapes or index == last
            segment = Segment(time_slice, chunk_rows, leading, tape if is_kept else None)
            on_output(segment, y, tape)
            segments.append(segment)
            state = update_leading_rows(state, final)
        return segments, state

    def backward(
        self,
        segments: list[Segment],
        output_gradient: OutputGradient,
        dfinal: Arrays,
        dx: Array | None = None,
        hook: BackwardHook | None = None,
        params: StackParams | None = None,
    ) -> tuple[Arrays, list[Array]]:
        """Gradients of a shard's initial states, and of all parameters in their order.

        Args:
            segments: From :meth:`forward`.
            output_gradient: Gradient of the outputs of a segment.
            dfinal: Gradients of the final states of the shard's rows.
            dx: Destination of the gradient of x, ``(T, B, I)``; None if it is not needed, and for tokens.
            hook: Called before the backward pass of each direction and chunk.
            params: From :meth:`prepare`; None to prepare them in each call.
        """
        params = self.params if params is None else params
        dstate, total = dfinal, list[Array]()
        for segment in reversed(segments):
            y, tape = None, segment.tape
            if tape is None:
                y, tape = self._rerun(segment, params)
            dy, others = output_gradient(segment, y)
            segment_dfinal = leading_states(dstate, dstate, row_count(segment.rows))
            absolute = _with_absolute_ranges(hook, segment) if hook else None
            dpart, dinitial, gradients = self.stack.backward(
                params, tape, dy, segment_dfinal, absolute, needs_dx=dx is not None
            )
            if dx is not None:
                dx[segment.time_slice, segment.rows] = dpart
            dstate = update_leading_rows(dstate, dinitial)
            total = add_gradients(total, [*gradients, *others])
        if self.stack.learned:
            first = len(self.stack.param_shapes) - len(self.stack.learned)
            total[first:first] = self.stack.learned_state_gradients(dstate, self.uses_learned_state)
        return dstate, total

    def iter_tapes(
        self, segment: Segment, tape: list[LayerTape], params: StackParams | None = None
    ) -> Iterator[tuple[Direction, slice, Rows, DirectionTape]]:
        """Iterate over the directions and chunks of a segment: steps and rows of the batch, and tape.

        Args:
            segment: The segment.
            tape: Its tape.
            params: From :meth:`prepare`; None to prepare them in each call.
        """
        params = self.params if params is None else params
        for direction, time_slice, rows, direction_tape in self.stack.iter_tapes(params, tape):
            yield direction, *absolute_range(segment, time_slice, rows), direction_tape

    @cached_property
    def _length_order(self) -> Array:
        assert self.lengths is not None
        return sort_by_length(self.lengths)

    def _plan_chunks(self, rows: Rows) -> tuple[TimeChunks, TimeChunks | None]:
        """Chunks of all layers together, and within them the chunks of each direction, if it has its own."""
        lengths = None if self.lengths is None else self.lengths[rows]
        if not self.stack.bidirectional:
            return plan_chunks(self.segments, row_count(rows), lengths), None
        whole = slice(0, len(self.x) if lengths is None else int(lengths[0]))
        has_chunks = lengths is not None or len(self.segments) > 1
        chunks = plan_chunks(self.segments, row_count(rows), lengths) if has_chunks else None
        return plan_chunks([whole], row_count(rows)), chunks

    def _rerun(self, segment: Segment, params: StackParams) -> tuple[Array, list[LayerTape]]:
        """Outputs and tape of a segment whose tape was not kept; no such stack is bidirectional."""
        aux = self.aux_inputs.chunk(segment.time_slice, segment.rows)
        x = slice_batch(self.x, segment.time_slice, segment.rows)
        y, _, tape = self.stack.forward(params, x, segment.state, aux)
        return y, tape


def _with_absolute_ranges(hook: BackwardHook, segment: Segment) -> BackwardHook:
    """A hook that receives steps and rows of the batch, for a pass within a segment."""

    def absolute_hook(
        direction: Direction,
        time_slice: slice,
        rows: Rows,
        tape: DirectionTape,
        dy: Array,
        dfinal: Mapping[str, Array],
    ) -> None:
        hook(direction, *absolute_range(segment, time_slice, rows), tape, dy, dfinal)

    return absolute_hook
