"""The forward and backward pass of a stack as pure functions: the caller owns the parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.errors import UsageError
from zoo.field_repr import repr_of
from zoo.kernels.jit import is_pure_python
from zoo.layers.batch import BatchRun
from zoo.layers.fingerprint import Fingerprint, fingerprint
from zoo.layers.parameters import ParameterLayout, flatten
from zoo.layers.sharding import GradientSum, gather_states, map_shards, shards, slice_states
from zoo.layers.stack import LayerTape, Stack
from zoo.layers.states import GivenState, States
from zoo.layers.time_chunks import Segment, slice_batch
from zoo.layers.tracing import (
    GradientTracer,
    TraceRequest,
    Traces,
    ValueTracer,
    requested_names,
    value_traces,
)
from zoo.layers.validation import as_floats, as_padded_batch, as_state, mask_padding

if TYPE_CHECKING:
    from zoo.layers.compiled_pass import CompiledPasses


class Tape(NamedTuple):
    """Everything that the backward pass needs of one forward pass; any number may be alive at once.

    Args:
        batch_run: The batch.
        segments_by_shard: The segments of each shard.
        trace: Values traced in the forward pass.
        theta: Fingerprint of the parameters, which must not have changed; None to skip the check.
    """

    batch_run: BatchRun
    segments_by_shard: Sequence[list[Segment]]
    trace: Traces
    theta: Fingerprint | None = None

    def __repr__(self) -> str:
        return repr_of(self, {"x": self.batch_run.x, "trace": self.trace})


@dataclass(frozen=True)
class FunctionalStack:
    """Pure functions of a stack.

    Args:
        stack: The layers.
        dtype: Of all arrays; it may differ from the dtype of the config.
    """

    stack: Stack
    dtype: np.dtype[Any]

    @cached_property
    def _compiled(self) -> CompiledPasses:
        from zoo.layers.compiled_pass import CompiledPasses  # imports Numba

        return CompiledPasses(self.stack)

    def compile_passes(self) -> None:
        """Let the next call of each pass, or the one after it, compile it and wait. Use it before timing."""
        self._compiled.shards.interpreted, self._compiled.in_background = 1, False

    @cached_property
    def layout(self) -> ParameterLayout:
        """Layout of the parameters in a flat vector ``(P,)``."""
        return ParameterLayout(self.stack.param_shapes)

    def apply(
        self,
        arrays: Mapping[str, Array],
        x: Any,
        state: GivenState | None,
        noise: tuple[int, int] | None,
        lengths: Any,
        inputs: Mapping[str, Any],
        threads: int,
        trace: TraceRequest = None,
        theta: Array | None = None,
        copy_inputs: bool = False,
        has_backward: bool = True,
    ) -> tuple[Array, States, Tape]:
        """Outputs ``(T, B, ·)``, the final states of each sequence, and the tape.

        The arrays of the tape must not change while it is in use.

        Args:
            arrays: Parameters and buffers by name, of the right shapes and as kernels take them.
            x: Floats ``(T, B, I)`` or integer tokens ``(T, B)``.
            state: Initial states; None for learned ones, or zeros.
            noise: ``(seed, step)`` of noise and dropout; None for none.
            lengths: Steps of each sequence, ``(B,)``; None if all have T steps.
            inputs: Auxiliary inputs by name, ``(T, B, ...)``.
            threads: Threads among which the batch is divided.
            trace: Values to trace.
            theta: The flat vector whose views the parameters are: :meth:`vjp` then raises an error if it has
                changed. None to skip the check.
            copy_inputs: Whether the tape has copies of x, the states and the auxiliary inputs, so that the
                caller may change them.
            has_backward: Whether :meth:`vjp` follows. If not, the tape holds little more than the arguments.

        Raises:
            UsageError: if x, state, noise, lengths, trace or an input does not fit.
            UnknownNameError: if a name to trace is unknown.
        """
        run = self.batch_run(arrays, x, state, noise, lengths, inputs, has_backward=has_backward)
        batch, segments = run.batch_size, run.segments
        all_shards = shards(batch)
        if copy_inputs:
            # Zeros and learned states are new.
            run.state = run.state if state is None else _copies(run.state)
            # Several shards copy their rows anyway.
            if len(segments) > 1 or len(all_shards) == 1:
                run.x = run.x.copy()
                if inputs:
                    run.aux_inputs = replace(run.aux_inputs, given=_copies(run.aux_inputs.given))
        if not is_pure_python():
            preview = partial(self._preview, arrays, run.x, inputs, has_backward)
            self._compiled.first_pass_compiler.start(preview, threads, has_backward)
        y = run.empty_output(self.stack.output_size)
        tracer = ValueTracer(run, trace) if requested_names(trace) else None
        prepared = run.prepare(forward=True, threads=threads)

        def on_output(segment: Segment, outputs: Array, tape: list[LayerTape]) -> None:
            y[segment.time_slice, segment.rows] = outputs
            if tracer is not None:
                tracer.collect(run.iter_tapes(segment, tape, prepared))

        compiled = None
        if tracer is None and not is_pure_python():
            compiled = self._compiled.forward(run, prepared, all_shards, y, threads)
        if compiled is None:
            forward = partial(run.forward, on_output=on_output, params=prepared)
            results = map_shards(forward, all_shards, threads, run.product_size)
            final = gather_states(run.pair_with_rows([final for _, final in results]), batch)
            segments_by_shard: Sequence[list[Segment]] = [segments for segments, _ in results]
        else:
            segments_by_shard, final = compiled[0], States(compiled[1])
        traces = tracer.traces() if tracer else value_traces({})
        digest = None if theta is None else fingerprint(theta)
        return y, final, Tape(run, segments_by_shard, traces, digest)

    def batch_run(
        self,
        arrays: Mapping[str, Array],
        x: Any,
        state: GivenState | None,
        noise: tuple[int, int] | None,
        lengths: Any,
        inputs: Mapping[str, Any],
        has_backward: bool = True,
    ) -> BatchRun:
        """Check the arguments of :meth:`apply`, and make a batch of them that has not run yet."""
        stack = self.stack
        x, row_lengths = as_padded_batch(x, lengths, stack.input_size, self.dtype, stack.label())
        steps, batch = x.shape[:2]
        return BatchRun(
            stack,
            stack.params_by_direction(arrays),
            x,
            stack.initial_states(state, arrays, batch, self.dtype),
            stack.aux_inputs(inputs, (steps, batch), self.dtype, noise, row_lengths),
            stack.segments(steps, batch, has_backward=has_backward),
            row_lengths,
            uses_learned_state=state is None,
        )

    def _preview(
        self, arrays: Mapping[str, Array], x: Array, inputs: Mapping[str, Any], has_backward: bool
    ) -> None:
        """Call the kernels of one or both passes, for one time step of one sequence."""
        first = {name: np.asarray(value)[:1, :1] for name, value in inputs.items()}
        y, _, tape = self.apply(arrays, x[:1, :1], None, None, None, first, threads=1)
        if has_backward:
            self.vjp(tape, y, None, threads=1)

    def vjp(
        self,
        tape: Tape,
        dy: Any,
        dstate: GivenState | None,
        threads: int,
        out: Array | None = None,
        tracer: GradientTracer | None = None,
        needs_dx: bool = True,
    ) -> tuple[Array | None, States, Array]:
        """The gradients of ``sum(dy * y) + sum(dstate * final)``.

        Args:
            tape: From :meth:`apply`; it may be used again.
            dy: Gradient with respect to the outputs, ``(T, B, ·)``.
            dstate: Gradient with respect to the final states; zeros if None.
            threads: As for :meth:`apply`.
            out: Destination of the gradient of the parameters, ``(P,)``; None for a new vector.
            tracer: Collects gradients of values during the backward pass.
            needs_dx: Whether to compute the gradient with respect to x.

        Returns:
            The gradients with respect to x (None for tokens, or if not needed), to the initial states, and to
            the parameters in their order ``(P,)``.

        Raises:
            UsageError: if a shape does not fit, the tape is of another layer, or the parameters have changed.
        """
        owner = f"{self.stack.label()}: gradient of the output"
        if not isinstance(tape, Tape) or tape.batch_run.stack is not self.stack:
            raise UsageError(
                f"{owner}: the tape is not one of this layer's; pass on what its apply returned."
            )
        if tape.theta is not None:
            tape.theta.check(self.stack.label(), ("apply", "vjp") if out is None else ("forward", "backward"))
        run = tape.batch_run
        steps, batch = run.x.shape[:2]
        dy = as_floats(dy, (steps, batch, self.stack.output_size), self.dtype, owner)
        dy = dy if run.lengths is None else mask_padding(dy, run.lengths)
        owner = f"{self.stack.label()}: gradient of the last states"
        dfinal = as_state(dstate, self.stack.state_shapes, batch, self.dtype, owner)
        for name in self.stack.discrete_states:  # no kernel runs for a sequence of length 0
            dfinal[name] = np.zeros_like(dfinal[name])
        dx = run.empty_output(self.stack.input_size) if needs_dx and run.x.ndim == 3 else None
        dtheta = np.empty(self.layout.size, self.dtype) if out is None else out
        all_shards = shards(batch)

        def output_gradient(segment: Segment, y: Array | None) -> tuple[Array, list[Array]]:  # noqa: ARG001
            return slice_batch(dy, segment.time_slice, segment.rows), []

        params = run.prepare(backward=True, needs_dx=dx is not None, threads=threads)
        if tracer is None and not is_pure_python():
            dinitial = self._compiled.backward(
                run, params, tape.segments_by_shard, dy, dfinal, dx, dtheta, threads
            )
            if dinitial is not None:
                return dx, States(dinitial), dtheta
        total = GradientSum(dtheta, len(all_shards))

        def work(shard: slice) -> Arrays:
            index = all_shards.index(shard)
            segments, rows = tape.segments_by_shard[index], run.shard_rows(shard)
            hook = tracer.on_backward if tracer else None
            dinitial, gradients = run.backward(
                segments, output_gradient, slice_states(dfinal, rows), dx, hook, params
            )
            total.add(index, gradients)
            return dinitial

        dinitial_by_shard = map_shards(work, all_shards, threads, run.product_size)
        return dx, gather_states(run.pair_with_rows(dinitial_by_shard), batch), dtheta

    def vjp_by_row(
        self, run: BatchRun, rows: Array, dfinal: Mapping[str, Array], threads: int
    ) -> tuple[Arrays, Array]:
        """The gradients of ``sum(dfinal[n] * final[rows[n]])`` for each n, from one pass over N rows.

        Each row is a shard, so that its gradient is not added to those of others.

        Args:
            run: From :meth:`batch_run`, without lengths.
            rows: Rows of the batch, ``(N,)``, which may be repeated.
            dfinal: Gradients with respect to the final states, ``(N, ...)``.
            threads: As for :meth:`apply`.

        Returns:
            The gradients with respect to the initial states, ``(N, ...)``, and to the parameters, ``(N, P)``.
        """
        run, stack = run.select(rows), self.stack
        params = run.prepare(forward=True, backward=True, threads=threads)
        row_shards = [slice(row, row + 1) for row in range(len(rows))]
        dtheta, y = np.empty((len(rows), self.layout.size), self.dtype), run.empty_output(stack.output_size)
        dy = np.zeros_like(y)
        if not is_pure_python():
            compiled = self._compiled.forward(run, params, row_shards, y, threads)
            if compiled is not None:
                dinitial = self._compiled.backward(
                    run, params, compiled[0], dy, dfinal, None, dtheta, threads
                )
                if dinitial is not None:
                    return dinitial, dtheta

        def output_gradient(segment: Segment, y: Array | None) -> tuple[Array, list[Array]]:  # noqa: ARG001
            return slice_batch(dy, segment.time_slice, segment.rows), []

        def work(shard: slice) -> Arrays:
            segments, _ = run.forward(shard, lambda *_: None, params=params)
            dinitial, gradients = run.backward(
                segments, output_gradient, slice_states(dfinal, shard), params=params
            )
            flatten(gradients, dtheta[shard.start])
            return dinitial

        by_row = map_shards(work, row_shards, threads, run.product_size)
        return {name: np.concatenate([each[name] for each in by_row]) for name in dfinal}, dtheta


def _copies(arrays: Mapping[str, Array]) -> Arrays:
    return {name: value.copy() for name, value in arrays.items()}
