"""What is analysed: recurrent layers with their numbers, and inputs to drive them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from zoo.contracts.names import did_you_mean
from zoo.errors import UsageError
from zoo.layers.asking import Asked, prefix_of
from zoo.layers.boundary import as_inputs, as_state
from zoo.layers.layer import Array, Arrays, Layer, LayerTape
from zoo.layers.layout import Flat
from zoo.layers.stack import Stack, Weights
from zoo.layers.tracing import GradientTracer, ValueTracer

Subject: TypeAlias = Any
"""A ``zoo.Recurrent``, or a model that has a ``stack`` of layers."""


@dataclass(frozen=True)
class Course:
    """A forward pass through all layers: what it was told and what it made.

    Args:
        x: Inputs as kernels take them, ``(T, B, I)`` or tokens ``(T, B)``.
        y: Outputs of the last layer, ``(T, B, ·)``.
        last: States after the last step.
        tapes: What each layer needs to go back.
        traces: What was traced, ``(T, B, ...)`` by name.
    """

    x: Array
    y: Array
    last: Arrays
    tapes: list[LayerTape]
    traces: Mapping[str, Array]


def stack_of(subject: Subject) -> Stack:
    """The layers of what is analysed.

    Raises:
        UsageError: if it has none.
    """
    stack = getattr(subject, "stack", None)
    if not isinstance(subject, Flat) or not isinstance(stack, Stack):
        raise UsageError(
            f"zoo.analysis: found {type(subject).__name__!r}; expected a zoo.Recurrent or a model with "
            f"recurrent layers, such as zoo.load(...) gives."
        )
    return stack


def weights_of(subject: Subject) -> Weights:
    """The arrays of each layer, as kernels take them."""
    weights: Weights = stack_of(subject).weights(subject.arrays)
    return weights


def layer_of(subject: Subject, layer: int | str) -> Layer:
    """A layer by its place, or by what stands in front of the names of its arrays, ``"l0"``.

    Raises:
        UsageError: if there is no such layer.
    """
    stack = stack_of(subject)
    known = [prefix_of(each).removesuffix(".") for each in stack.layers]
    if isinstance(layer, str) and layer in known:
        return stack.layers[known.index(layer)]
    if isinstance(layer, int) and not isinstance(layer, bool) and -len(known) <= layer < len(known):
        return stack.layers[layer]
    hint = did_you_mean(layer, known) if isinstance(layer, str) else ""
    raise UsageError(f"{stack.cell.label()}: layer is {layer!r}; there are {', '.join(known)}.{hint}")


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
                f"{stack.cell.label()}: inputs are a text, which takes a language model; expected floats "
                f"(T, B, {stack.input_size}) or integer tokens (T, B)."
            )
        inputs = subject.vocab.encode(inputs)[:, None]
    return as_inputs(inputs, stack.input_size, subject.dtype, stack.cell.label())


def run(subject: Subject, x: Array, state: Mapping[str, Any] | None = None, trace: Asked = None) -> Course:
    """Go through all layers, as one shard.

    Args:
        subject: What is analysed.
        x: From :func:`inputs_of`.
        state: States before the first step; zeros if None.
        trace: What to trace.

    Raises:
        UsageError: if the state does not fit.
        UnknownNameError: if there is nothing of a name to trace.
    """
    stack, weights = stack_of(subject), weights_of(subject)
    steps, batch = x.shape[:2]
    before = as_state(state, stack.state_shapes, batch, subject.dtype, stack.cell.label())
    part = slice(0, steps), slice(0, batch)
    told = stack.beside({}, (steps, batch), subject.dtype).part(*part)
    tracer = ValueTracer(stack.layers, weights, trace, (steps, batch)) if trace else None
    y, last, tapes = stack.forward(weights, x, before, told, tracer.watch(*part) if tracer else None)
    return Course(x, y, last, tapes, tracer.traces() if tracer else {})


def gradients(subject: Subject, course: Course, dy: Array, asked: Asked = True) -> Mapping[str, Array]:
    """Gradients of ``sum(dy * y)`` at every step, ``(T, B, ...)``, of all states or of what is asked for."""
    stack, weights = stack_of(subject), weights_of(subject)
    steps, batch = course.x.shape[:2]
    zeros = as_state(None, stack.state_shapes, batch, subject.dtype, stack.cell.label())
    tracer = GradientTracer(stack.layers, weights, asked, (steps, batch))
    stack.backward(weights, course.tapes, dy, zeros, tracer.watch(slice(0, steps), slice(0, batch)))
    return tracer.traces()
