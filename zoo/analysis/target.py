"""What is analysed: recurrent layers with their numbers, and inputs to drive them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from zoo.arguments import short_repr
from zoo.base.names import did_you_mean
from zoo.errors import UsageError
from zoo.layers.batch import BatchRun
from zoo.layers.checkpointing import Segment
from zoo.layers.direction import Array, Arrays, Direction, DirectionTape
from zoo.layers.parameters import FlatParameters
from zoo.layers.stack import LayerTape, Stack
from zoo.layers.tracing import GradientTracer, TraceRequest, ValueTracer, requested_names
from zoo.layers.validation import as_inputs, as_state

Subject: TypeAlias = Any
"""A ``zoo.Recurrent``, or a model that has a ``stack`` of layers."""


@dataclass(frozen=True)
class ForwardRun:
    """The forward pass of all rows through all layers.

    Args:
        batch_run: The batch.
        segment: All steps of all rows, with the tape.
        y: Outputs of the last layer, ``(T, B, ·)``.
        last: Final states.
        traces: Traced values, ``(T, B, ...)`` by name.
    """

    batch_run: BatchRun
    segment: Segment
    y: Array
    last: Arrays
    traces: Mapping[str, Array]

    def tape_of(self, layer: Direction) -> DirectionTape:
        """What a layer went through, in its own order of time."""
        tapes = self.batch_run.iter_tapes(self.segment, self.segment.tape)
        return next(tape for each, *_, tape in tapes if each.prefix == layer.prefix)


def stack_of(subject: Subject) -> Stack:
    """The layers of what is analysed.

    Raises:
        UsageError: if it has none.
    """
    stack = getattr(subject, "stack", None)
    if not isinstance(subject, FlatParameters) or not isinstance(stack, Stack):
        raise UsageError(
            f"zoo.analysis: found {type(subject).__name__!r}; expected a zoo.Recurrent or a model with "
            f"recurrent layers, such as zoo.load(...) gives."
        )
    return stack


def arrays_of(subject: Subject, layer: Direction) -> tuple[Array, ...]:
    """The parameters and buffers of a layer, as kernels take them."""
    return tuple(subject.arrays[name] for name in layer.arrays)


def layer_of(subject: Subject, layer: int | str) -> Direction:
    """A layer by its place, or by what its arrays are called after, ``"l0"`` or ``"l0.reverse"``.

    Raises:
        UsageError: if there is no such layer.
    """
    stack = stack_of(subject)
    layers = {each.prefix.removesuffix("."): each for each in stack.directions}
    is_place = isinstance(layer, int) and not isinstance(layer, bool)
    if is_place and -len(stack.layers) <= int(layer) < len(stack.layers):
        return stack.layers[int(layer)].directions[0]
    if isinstance(layer, str) and layer in layers:
        return layers[layer]
    hint = did_you_mean(layer, layers) if isinstance(layer, str) else ""
    raise UsageError(f"{stack.label()}: layer is {short_repr(layer)}; there are {', '.join(layers)}.{hint}")


def inputs_of(subject: Subject, inputs: Any) -> Array:
    """Inputs as kernels take them; a text as the tokens of one row.

    Raises:
        UsageError: if they do not fit.
        DataError: if the text has symbols that the vocabulary lacks.
    """
    stack = stack_of(subject)
    if isinstance(inputs, (str, bytes)):
        if not hasattr(subject, "vocab"):
            raise UsageError(
                f"{stack.label()}: inputs are a text, which takes a language model; expected floats "
                f"(T, B, {stack.input_size}) or integer tokens (T, B)."
            )
        inputs = subject.vocab.encode(inputs)[:, None]
    return as_inputs(inputs, stack.input_size, subject.dtype, stack.label())


def run(
    subject: Subject, x: Array, state: Mapping[str, Any] | None = None, trace: TraceRequest = None
) -> ForwardRun:
    """Go through all layers.

    Args:
        subject: What is analysed.
        x: From :func:`inputs_of`.
        state: States before the first step; if None the learned ones, or zeros.
        trace: What to trace.

    Raises:
        UsageError: if the state does not fit.
        UnknownNameError: if there is nothing of a name to trace.
    """
    stack, (steps, batch) = stack_of(subject), x.shape[:2]
    aux_inputs = stack.aux_inputs({}, (steps, batch), subject.dtype)
    initial = stack.initial_states(state, subject.params, batch, subject.dtype)
    weights = stack.weights(subject.arrays)
    batch_run = BatchRun(stack, weights, x, initial, aux_inputs, [slice(0, steps)])
    tracer = ValueTracer(batch_run, trace) if requested_names(trace) else None
    outputs = list[Array]()

    def on_output(segment: Segment, y: Array, tape: list[LayerTape]) -> None:
        outputs.append(y)
        if tracer is not None:
            tracer.collect(batch_run.iter_tapes(segment, tape))

    (segment,), last = batch_run.forward(slice(0, batch), on_output)
    return ForwardRun(batch_run, segment, outputs[0], last, tracer.traces() if tracer else {})


def gradients(
    subject: Subject, run: ForwardRun, dy: Array, request: TraceRequest = True
) -> Mapping[str, Array]:
    """Gradients of ``sum(dy * y)`` at every step, ``(T, B, ...)``, of all states or of requested values."""
    stack, batch = stack_of(subject), dy.shape[1]
    zeros = as_state(None, stack.state_shapes, batch, subject.dtype, stack.label())
    tracer = GradientTracer(run.batch_run, request)
    run.batch_run.backward([run.segment], lambda _, __: (dy, []), zeros, hook=tracer.on_backward)
    return tracer.traces()
