"""Both passes of a stack as functions of named arrays: parameters belong to whoever calls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from zoo.errors import UsageError
from zoo.layers.batch import BatchRun
from zoo.layers.checkpointing import Recompute, Segment, flatten, plan_segments
from zoo.layers.direction import Arrays
from zoo.layers.fingerprint import Fingerprint, fingerprint
from zoo.layers.padding import as_padded_batch, mask_padding
from zoo.layers.parameters import ParameterLayout
from zoo.layers.sharding import gather_states, map_shards, reduce_gradients, shards, slice_states
from zoo.layers.stack import AuxInputSource, Stack
from zoo.layers.tracing import (
    GradientTracer,
    TraceRequest,
    Traces,
    ValueTracer,
    requested_names,
    value_traces,
)
from zoo.layers.validation import Array, as_floats, as_state


@dataclass(frozen=True)
class Tape:
    """What the way back needs of one way forward; any number may be alive at once.

    Args:
        passage: The batch, and how it went through the layers.
        shards: The segments of each shard.
        is_begun: Whether states before the first step were given, so that no learned ones were used.
        trace: What was traced on the way.
        theta: The parameters that must not have changed; None if others see to that.
    """

    batch_run: BatchRun
    shards: list[list[Segment]]
    has_initial_state: bool
    trace: Traces
    theta: Fingerprint | None = None


@dataclass(frozen=True)
class FunctionalStack:
    """The two passes of a stack.

    Args:
        stack: The layers.
        dtype: Of all arrays.
        recompute: What is kept for the way back, and what is computed again.
    """

    stack: Stack
    dtype: np.dtype[Any]
    recompute: Recompute = None

    @cached_property
    def layout(self) -> ParameterLayout:
        """How the parameters lie in a flat vector ``(P,)``."""
        return ParameterLayout(self.stack.param_shapes)

    @cached_property
    def _quiet(self) -> AuxInputSource:
        """Auxiliary inputs of layers that have none; building them takes 5 us."""
        return self.stack.aux_inputs({}, (0, 0), self.dtype)

    def apply(
        self,
        arrays: Mapping[str, Array],
        x: Any,
        state: Mapping[str, Any] | None,
        noise: tuple[int, int] | None,
        lengths: Any,
        inputs: Mapping[str, Any],
        threads: int,
        recompute: Recompute = None,
        trace: TraceRequest = None,
        theta: Array | None = None,
    ) -> tuple[Array, Arrays, Tape]:
        """Outputs ``(T, B, ·)``, the states of each row at its end, and the tape.

        Without theta the tape looks at all arrays that are given and keeps no copies: they must not change
        while it is in use.

        Args:
            arrays: Parameters and buffers by name, of the right shapes and as kernels take them.
            x: Floats ``(T, B, I)`` or integer tokens ``(T, B)``.
            state: States before the first step, ``"l0.h"`` to ``(B, H)``; None for learned ones, or zeros.
            noise: What decides noise and dropout, ``(seed, step)``; None for none.
            lengths: Steps of each row, ``(B,)``; None if all rows have T steps.
            inputs: What cells take beside x, by name, ``(T, B, ...)``.
            threads: Threads among which the batch is divided.
            recompute: As that of the class, if that keeps everything.
            trace: What to trace.
            theta: The flat vector whose views the parameters are, where the caller may change what was given
                before the way back: then the tape has copies of all else, and :meth:`vjp` raises an error if
                theta has changed.

        Raises:
            UsageError: if x, state, noise, lengths, trace or an input does not fit.
            UnknownNameError: if there is nothing of a name to trace.
        """
        stack, who = self.stack, self.stack.label()
        x, steps_of = as_padded_batch(x, lengths, stack.input_size, self.dtype, who)
        steps, batch = x.shape[:2]
        before = stack.initial_states(state, arrays, batch, self.dtype)
        if inputs or noise is not None:
            beside = stack.aux_inputs(inputs, (steps, batch), self.dtype, noise, steps_of)
        else:
            beside = self._quiet
        parts = plan_segments(steps, batch, self.recompute or recompute)
        if theta is not None:
            before = _copies(before)
            if len(parts) > 1 or len(shards(batch)) == 1:  # else each shard takes a copy of its rows anyway
                x, beside = x.copy(), replace(beside, given=_copies(beside.given)) if inputs else beside
        passage = BatchRun(stack, stack.weights(arrays), x, beside, parts, steps_of)
        y = passage.room(stack.output_size)
        tracer = ValueTracer(passage, trace) if requested_names(trace) else None

        def work(shard: slice) -> tuple[list[Segment], Arrays]:
            found, after = passage.forward(shard, before, y)
            if tracer is not None:
                tracer.take(passage.pieces(found))
            return found, after

        found = map_shards(work, batch, threads)
        last = gather_states(passage.by_rows([after for _, after in found]), batch)
        traces = tracer.traces() if tracer else value_traces({})
        seen = None if theta is None else fingerprint(theta)
        return y, last, Tape(passage, [each for each, _ in found], state is not None, traces, seen)

    def vjp(
        self,
        tape: Tape,
        dy: Any,
        dstate: Mapping[str, Any] | None,
        threads: int,
        out: Array | None = None,
        tracer: GradientTracer | None = None,
    ) -> tuple[Array | None, Arrays, Array]:
        """The gradients of ``sum(dy * y) + sum(dstate * last)``.

        Args:
            tape: From :meth:`apply`; it may be used again.
            dy: Gradient with respect to the outputs, ``(T, B, ·)``.
            dstate: Gradient with respect to the states at the end; zeros if None.
            threads: As for :meth:`apply`.
            out: Where the gradient of the parameters goes, ``(P,)``; None for a new vector.
            tracer: What looks at gradients of states on the way.

        Returns:
            The gradients with respect to x (None for tokens), to the first states, and to the parameters in
            their order ``(P,)``.

        Raises:
            UsageError: if a shape does not fit, the tape is of another layer, or the parameters have changed.
        """
        who = f"{self.stack.label()}: gradient of the output"
        if not isinstance(tape, Tape) or tape.batch_run.stack is not self.stack:
            raise UsageError(f"{who}: the tape is not one of this layer's; pass on what its apply returned.")
        if tape.theta is not None:
            tape.theta.check(self.stack.label(), ("apply", "vjp") if out is None else ("forward", "backward"))
        passage = tape.batch_run
        steps, batch = passage.x.shape[:2]
        dy = as_floats(dy, (steps, batch, self.stack.output_size), self.dtype, who)
        dy = dy if passage.lengths is None else mask_padding(dy, passage.lengths)
        of_last = f"{self.stack.label()}: gradient of the last states"
        dlast = as_state(dstate, self.stack.state_shapes, batch, self.dtype, of_last)
        dx = None if passage.x.ndim == 2 else passage.room(self.stack.input_size)
        dtheta = np.empty(self.layout.size, self.dtype) if out is None else out

        def work(shard: slice) -> tuple[Arrays, Array]:
            found, rows = tape.shards[shards(batch).index(shard)], passage.rows(shard)
            watch = tracer.see if tracer else None
            dbefore, gradients = passage.backward(found, dy, slice_states(dlast, rows), dx, watch)
            gradients += self.stack.learned_state_gradients(dbefore, not tape.has_initial_state)
            gradient = dtheta if shard.start == 0 else np.empty_like(dtheta)
            flatten(gradients, gradient)
            return dbefore, gradient

        parts = map_shards(work, batch, threads)
        reduce_gradients([gradient for _, gradient in parts])
        return dx, gather_states(passage.by_rows([dbefore for dbefore, _ in parts]), batch), dtheta


def _copies(arrays: Mapping[str, Array]) -> Arrays:
    return {name: value.copy() for name, value in arrays.items()}
