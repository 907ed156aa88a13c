"""The forward and backward passes on tensors that share memory with NumPy, outside of autograd."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from zoo.layers.checkpointing import Recompute
from zoo.layers.direction import Array, Arrays
from zoo.layers.functional import Tape
from zoo.torch.config import SharedStack

Tensor = Any


class TensorArgs(NamedTuple):
    """The arguments of a call, as tensors.

    Args:
        x: Floats ``(T, B, I)`` or tokens ``(T, B)``.
        arrays: Parameters of the module, then buffers.
        state: First states as :class:`zoo.torch.states.StateLayout` lists them; none for the learned ones or
            zeros.
        names: The names of auxiliary inputs.
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
    def counts(self) -> TensorCounts:
        """The information that :func:`unflatten` needs."""
        return TensorCounts(len(self.arrays), len(self.state), self.names)


class TensorCounts(NamedTuple):
    """Numbers of tensors, and the names, for :func:`unflatten`.

    Args:
        arrays: Number of parameters and buffers.
        state: Number of initial states.
        names: Names of auxiliary inputs.
    """

    arrays: int
    state: int
    names: Sequence[str]


def flatten(args: TensorArgs) -> tuple[Tensor, ...]:
    """All tensors as a flat tuple for autograd, differentiable ones first."""
    return args.x, *args.arrays, *args.state, *args.inputs, args.noise, args.lengths


def unflatten(sizes: TensorCounts, tensors: Sequence[Tensor]) -> TensorArgs:
    """The inverse of :func:`flatten`."""
    x, *rest, noise, lengths = tensors
    state, inputs = sizes.arrays, sizes.arrays + sizes.state
    return TensorArgs(x, rest[:state], rest[state:inputs], sizes.names, rest[inputs:], noise, lengths)


def forward(
    shared: SharedStack, args: TensorArgs, recompute: Recompute = None
) -> tuple[Tensor, list[Tensor], Tape]:
    """Outputs ``(T, B, ·)``, final states, and the tape."""
    values = [each.detach().numpy() for each in args.arrays]
    y, last, tape = shared.pure(values[0].dtype).apply(
        shared.arrays(values),
        args.x.detach().numpy(),
        shared.states.arrays(args.state) if args.state else None,
        None if args.noise is None else tuple(args.noise.tolist()),
        None if args.lengths is None else args.lengths.numpy(),
        {name: each.numpy() for name, each in zip(args.names, args.inputs, strict=True)},
        torch.get_num_threads(),
        recompute,
    )
    return torch.from_numpy(y), shared.states.tensors(last), tape


def backward(
    shared: SharedStack, tape: Tape, dy: Tensor | None, dlast: Sequence[Tensor | None]
) -> tuple[Tensor | None, Arrays, Array]:
    """Gradients of x (None for tokens), of the initial states and of the parameters ``(P,)``.

    Args:
        shared: The stack.
        tape: From :func:`forward`.
        dy: Gradient of the outputs; None for zeros.
        dlast: Gradients of the final states; None for zeros.
    """
    run = tape.batch_run
    pure = shared.pure(run.aux_inputs.dtype)
    dx, dstate, dtheta = pure.vjp(
        tape,
        np.zeros((*run.x.shape[:2], shared.stack.output_size), pure.dtype)
        if dy is None
        else dy.detach().numpy(),
        _with_zeros(shared, dlast, run.x.shape[1], pure.dtype),
        torch.get_num_threads(),
    )
    return None if dx is None else torch.from_numpy(dx), dstate, dtheta


def _with_zeros(
    shared: SharedStack, dlast: Sequence[Tensor | None], batch: int, dtype: np.dtype[Any]
) -> Arrays | None:
    """Gradients of all final states, or None if all are None."""
    gradients = shared.states.arrays(dlast)
    if not gradients:
        return None
    shapes = shared.stack.state_shapes
    return {name: gradients.get(name, np.zeros((batch, *shape), dtype)) for name, shape in shapes.items()}


class TapeHolder(np.ndarray[Any, Any]):
    """An array with a tape as an attribute.

    A tensor of its memory is saved for the backward pass and keeps the array alive. Autograd frees it after
    the backward pass, before the graph is freed. The tape is looked up by a weak reference.
    """

    tape: Tape


def keep_tape(tape: Tape, tape_id: int = 0) -> tuple[Tensor, weakref.ref[TapeHolder]]:
    """The tensor to save for the backward pass, and a weak reference to the holder of the tape."""
    holder: TapeHolder = np.ndarray.__new__(TapeHolder, 1, np.int64)
    holder[0] = tape_id
    holder.tape = tape
    return torch.from_numpy(holder), weakref.ref(holder)
