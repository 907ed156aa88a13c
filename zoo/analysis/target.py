"""The target of an analysis: a layer or a model, its inputs, and its forward and backward pass."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ParamSpec, TypeAlias, TypeVar

from numpy.typing import ArrayLike

from zoo.arguments import short_repr
from zoo.array_types import Array, Arrays
from zoo.base.names import did_you_mean
from zoo.errors import UsageError
from zoo.layers.batch import BatchRun
from zoo.layers.direction import Direction, DirectionTape
from zoo.layers.parameters import FlatParameters
from zoo.layers.recurrent import Recurrent
from zoo.layers.stack import LayerTape, Stack
from zoo.layers.states import GivenState
from zoo.layers.time_chunks import Segment
from zoo.layers.tracing import GradientTracer, TraceRequest, ValueTracer, requested_names
from zoo.layers.validation import as_aux_inputs, as_inputs, as_state, as_tokens, check_input_names
from zoo.model import Model

P = ParamSpec("P")
R = TypeVar("R")
AnalysisTarget: TypeAlias = Recurrent | Model
"""A layer or a model."""


@dataclass(frozen=True)
class ForwardResult:
    """The forward pass of all rows through all layers.

    Args:
        batch_run: The batch.
        segment: All steps of all rows, with the tape.
        y: Outputs of the last layer, ``(T, B, ·)``.
        final: Final states.
        traces: Traced values, ``(T, B, ...)`` by name.
    """

    batch_run: BatchRun
    segment: Segment
    y: Array
    final: Arrays
    traces: Mapping[str, Array]

    def tape_of(self, layer: Direction) -> DirectionTape:
        """Tape of a direction, in its own order of time."""
        tapes = self.batch_run.iter_tapes(self.segment, self.segment.tape)
        return next(tape for each, *_, tape in tapes if each.prefix == layer.prefix)


def takes_inputs_by_name(function: Callable[P, R]) -> Callable[P, R]:
    """Make a function with ``**aux`` raise an error for an auxiliary input with the name of an argument."""
    arguments = [*inspect.signature(function).parameters][:-1]

    @functools.wraps(function)
    def checked(*args: P.args, **named: P.kwargs) -> R:
        target: Any = args[0] if args else named.get("model")
        if isinstance(target, Recurrent | Model):
            stack = target.stack
            check_input_names(stack.inputs, function.__name__, arguments, stack.label())
        return function(*args, **named)

    return checked


def stack_of(target: AnalysisTarget) -> Stack:
    """The stack of a target.

    Raises:
        UsageError: if it has no stack.
    """
    stack = getattr(target, "stack", None)
    if not isinstance(target, FlatParameters) or not isinstance(stack, Stack):
        raise UsageError(
            f"zoo.analysis: found {type(target).__name__!r}; expected a zoo.Recurrent or a model with "
            f"recurrent layers, such as zoo.load(...) gives."
        )
    return stack


def arrays_of(target: AnalysisTarget, layer: Direction) -> tuple[Array, ...]:
    """Parameters and buffers of a direction, as kernels take them."""
    return tuple(target.arrays[name] for name in layer.arrays)


def layer_of(target: AnalysisTarget, layer: int | str) -> Direction:
    """A direction by the index of its layer, or by its prefix, ``"l0"`` or ``"l0.reverse"``.

    Raises:
        UsageError: if it is unknown.
    """
    stack = stack_of(target)
    layers = {each.prefix.removesuffix("."): each for each in stack.directions}
    is_index = isinstance(layer, int) and not isinstance(layer, bool)
    if is_index and -len(stack.layers) <= int(layer) < len(stack.layers):
        return stack.layers[int(layer)].directions[0]
    if isinstance(layer, str) and layer in layers:
        return layers[layer]
    hint = did_you_mean(layer, layers) if isinstance(layer, str) else ""
    raise UsageError(f"{stack.label()}: layer is {short_repr(layer)}; there are {', '.join(layers)}.{hint}")


def inputs_of(target: AnalysisTarget, inputs: ArrayLike) -> Array:
    """Convert inputs for kernels; a text becomes the tokens of one row.

    Raises:
        UsageError: if they do not fit.
        DataError: if the text has symbols that the vocabulary lacks.
    """
    stack = stack_of(target)
    if isinstance(inputs, (str, bytes)):
        if not hasattr(target, "vocab"):
            has_rows = isinstance(target, Model) and target.embedding is not None
            floats = "" if has_rows else f"floats (T, B, {stack.input_size}) or "
            raise UsageError(
                f"{stack.label()}: inputs are a text, which takes a language model; expected {floats}integer "
                f"tokens (T, B)."
            )
        inputs = target.vocab.encode(inputs)[:, None]
    if isinstance(target, Model) and target.embedding is not None:
        return as_tokens(inputs, target.input_size, f"{stack.label()}: inputs")
    size = target.input_size if isinstance(target, Model) else stack.input_size
    return as_inputs(inputs, size, target.dtype, stack.label())


def aux_of(target: AnalysisTarget, aux: Mapping[str, ArrayLike], x: Array) -> Arrays:
    """Convert auxiliary inputs for kernels.

    Raises:
        UsageError: if one is unknown, or a shape does not fit.
    """
    stack = stack_of(target)
    sizes = stack.inputs, stack.input_shapes, x.shape[:2]
    return as_aux_inputs(aux, *sizes, target.dtype, stack.label())


def run(
    target: AnalysisTarget,
    x: Array,
    state: GivenState | None = None,
    trace: TraceRequest = None,
    aux: Mapping[str, ArrayLike] = MappingProxyType({}),
) -> ForwardResult:
    """Run all layers.

    Args:
        target: The layer or model.
        x: From :func:`inputs_of`; the first layer reads the rows of an embedding, if there is one.
        state: Initial states; if None the learned ones, or zeros.
        trace: Values to trace.
        aux: Auxiliary inputs by name; those that are not given have their defaults.

    Raises:
        UsageError: if the state or an auxiliary input does not fit.
        UnknownNameError: if a name to trace is unknown.
    """
    stack, (steps, batch) = stack_of(target), x.shape[:2]
    if isinstance(target, Model):
        x = target.embed(x)
    aux_inputs = stack.aux_inputs(aux, (steps, batch), target.dtype)
    initial = stack.initial_states(state, target.params, batch, target.dtype)
    params = stack.params_by_direction(target.arrays)
    batch_run = BatchRun(stack, params, x, initial, aux_inputs, [slice(0, steps)])
    tracer = ValueTracer(batch_run, trace) if requested_names(trace) else None
    prepared = batch_run.prepare(forward=True)
    outputs = list[Array]()

    def on_output(segment: Segment, y: Array, tape: list[LayerTape]) -> None:
        outputs.append(y)
        if tracer is not None:
            tracer.collect(batch_run.iter_tapes(segment, tape, prepared))

    (segment,), final = batch_run.forward(slice(0, batch), on_output, params=prepared)
    return ForwardResult(batch_run, segment, outputs[0], final, tracer.traces() if tracer else {})


def gradients(
    target: AnalysisTarget, run: ForwardResult, dy: Array, request: TraceRequest = True
) -> Mapping[str, Array]:
    """Gradients of ``sum(dy * y)`` at every step, ``(T, B, ...)``, of all states or of requested values."""
    stack, batch = stack_of(target), dy.shape[1]
    zeros = as_state(None, stack.state_shapes, batch, target.dtype, stack.label())
    tracer = GradientTracer(run.batch_run, request)
    run.batch_run.backward([run.segment], lambda _, __: (dy, []), zeros, hook=tracer.on_backward)
    return tracer.traces()
