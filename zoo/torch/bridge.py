"""Both passes on tensors: memory is shared with NumPy, and nothing is recorded by autograd."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from zoo.layers.checkpointing import Recompute
from zoo.layers.direction import Array, Arrays
from zoo.layers.functional import Tape
from zoo.torch.config import Outline

Tensor = Any


class Given(NamedTuple):
    """What a call is given, all of it tensors.

    Args:
        x: Floats ``(T, B, I)`` or tokens ``(T, B)``.
        arrays: Parameters as the module has them, then buffers.
        state: First states as :class:`zoo.torch.states.States` lists them; none for the learned ones or
            zeros.
        names: The names of inputs beside x.
        inputs: Those inputs, ``(T, B, ...)``.
        noise: Seed and step of the noise, two integers; None for none.
        lengths: Steps of each row ``(B,)``; None if all are T.
    """

    x: Tensor
    arrays: Sequence[Tensor]
    state: Sequence[Tensor]
    names: Sequence[str]
    inputs: Sequence[Tensor]
    noise: Tensor | None
    lengths: Tensor | None

    @property
    def sizes(self) -> Sizes:
        """What is needed to take :func:`flat` back."""
        return Sizes(len(self.arrays), len(self.state), self.names)


class Sizes(NamedTuple):
    """How many tensors there are of each kind; and what is no tensor.

    Args:
        arrays: Parameters and buffers.
        state: First states.
        names: The names of inputs beside x.
    """

    arrays: int
    state: int
    names: Sequence[str]


def flat(given: Given) -> tuple[Tensor, ...]:
    """The tensors in a row, as autograd wants them: those that are differentiated by come first."""
    return given.x, *given.arrays, *given.state, *given.inputs, given.noise, given.lengths


def unflat(sizes: Sizes, tensors: Sequence[Tensor]) -> Given:
    """What :func:`flat` was given."""
    x, *rest, noise, lengths = tensors
    state, inputs = sizes.arrays, sizes.arrays + sizes.state
    return Given(x, rest[:state], rest[state:inputs], sizes.names, rest[inputs:], noise, lengths)


def forward(outline: Outline, given: Given, recompute: Recompute = None) -> tuple[Tensor, list[Tensor], Tape]:
    """Outputs ``(T, B, ·)``, the last states, and the tape."""
    values = [each.detach().numpy() for each in given.arrays]
    y, last, tape = outline.pure(values[0].dtype).apply(
        outline.arrays(values),
        given.x.detach().numpy(),
        outline.states.arrays(given.state) if given.state else None,
        None if given.noise is None else tuple(given.noise.tolist()),
        None if given.lengths is None else given.lengths.numpy(),
        {name: each.numpy() for name, each in zip(given.names, given.inputs, strict=True)},
        torch.get_num_threads(),
        recompute,
    )
    return torch.from_numpy(y), outline.states.tensors(last), tape


def backward(
    outline: Outline, tape: Tape, dy: Tensor | None, dlast: Sequence[Tensor | None]
) -> tuple[Tensor | None, Arrays, Array]:
    """Gradients of x (None for tokens), and of the stack's first states and its parameters ``(P,)``.

    Args:
        outline: The plan's.
        tape: From :func:`forward`.
        dy: Gradient of the outputs; None for zeros.
        dlast: Gradients of the last states; None for zeros.
    """
    passage = tape.batch_run
    pure = outline.pure(passage.aux_inputs.dtype)
    dx, dstate, dtheta = pure.vjp(
        tape,
        np.zeros((*passage.x.shape[:2], outline.stack.output_size), pure.dtype)
        if dy is None
        else dy.detach().numpy(),
        _with_zeros(outline, dlast, passage.x.shape[1], pure.dtype),
        torch.get_num_threads(),
    )
    return None if dx is None else torch.from_numpy(dx), dstate, dtheta


def _with_zeros(
    outline: Outline, dlast: Sequence[Tensor | None], batch: int, dtype: np.dtype[Any]
) -> Arrays | None:
    """Gradients of all last states, or None if there is none."""
    found = outline.states.arrays(dlast)
    if not found:
        return None
    shapes = outline.stack.state_shapes
    return {name: found.get(name, np.zeros((batch, *shape), dtype)) for name, shape in shapes.items()}


class Holder(np.ndarray[Any, Any]):
    """A number that keeps a tape.

    A tensor of its memory, saved for the way back, keeps the holder: autograd lets go of it when the way back
    is done, and not only when the graph is gone. Whoever looks for the tape has a weak reference.
    """

    tape: Tape


def hold(tape: Tape, number: int = 0) -> tuple[Tensor, weakref.ref[Holder]]:
    """The tensor to be saved, and where the tape is as long as it lives."""
    holder: Holder = np.ndarray.__new__(Holder, 1, np.int64)
    holder[0] = number
    holder.tape = tape
    return torch.from_numpy(holder), weakref.ref(holder)
