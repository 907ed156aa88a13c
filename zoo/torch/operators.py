"""The forward and backward passes on tensors, and as operators for ``torch.compile``.

Operators take no objects, so they identify a stack by a key, and they need the shapes of their results
without running. :mod:`zoo.torch.autograd_functions` has the functions of eager programs.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from zoo.array_types import Array, Arrays
from zoo.errors import UsageError
from zoo.layers.functional import Tape
from zoo.torch.config import OWNER, SharedStack, stack_of_key

Tensor = Any

NO_TRANSLATION = (
    f"{OWNER}: torch.jit and torch.onnx.export cannot read its kernels; write an ONNX file with "
    f"zoo.export.to_onnx(module.to_layer(), 'model.onnx'), or, to run it in Python, use torch.export.export."
)


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
    shared: SharedStack, args: TensorArgs, *, has_backward: bool = True
) -> tuple[Tensor, list[Tensor], Tape]:
    """Outputs ``(T, B, ·)``, final states, and the tape, which is short if no backward pass follows."""
    values = [each.detach().numpy() for each in args.arrays]
    y, last, tape = shared.pure(values[0].dtype).apply(
        shared.arrays(values),
        args.x.detach().numpy(),
        shared.states.arrays(args.state) if args.state else None,
        **other_arguments(args),
        has_backward=has_backward,
    )
    return torch.from_numpy(y), shared.states.tensors(last), tape


def other_arguments(args: TensorArgs) -> dict[str, Any]:
    """The arguments of passes that are not differentiated, by name."""
    return {
        "noise": None if args.noise is None else tuple(args.noise.tolist()),
        "lengths": None if args.lengths is None else args.lengths.numpy(),
        "inputs": {name: each.numpy() for name, each in zip(args.names, args.inputs, strict=True)},
        "threads": torch.get_num_threads(),
    }


def backward(
    shared: SharedStack, tape: Tape, dy: Tensor | None, dfinal: Sequence[Tensor | None], needs_dx: bool
) -> tuple[Tensor | None, Arrays, Array]:
    """Gradients of x (None for tokens, or if not needed), of the initial states and of the parameters.

    Args:
        shared: The stack.
        tape: From :func:`forward`.
        dy: Gradient of the outputs; None for zeros.
        dfinal: Gradients of the final states; None for zeros.
        needs_dx: Whether to compute the gradient of x.
    """
    run = tape.batch_run
    pure = shared.pure(run.aux_inputs.dtype)
    dx, dstate, dtheta = pure.vjp(
        tape,
        np.zeros((*run.x.shape[:2], shared.stack.output_size), pure.dtype)
        if dy is None
        else dy.detach().numpy(),
        _with_zeros(shared, dfinal, run.x.shape[1], pure.dtype),
        torch.get_num_threads(),
        needs_dx=needs_dx,
    )
    return None if dx is None else torch.from_numpy(dx), dstate, dtheta


def _with_zeros(
    shared: SharedStack, dfinal: Sequence[Tensor | None], batch: int, dtype: np.dtype[Any]
) -> Arrays | None:
    """Gradients of all final states, or None if all are None."""
    gradients = shared.states.arrays(dfinal)
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


_tape_ids = itertools.count(1)

_tape_holders: weakref.WeakValueDictionary[int, TapeHolder] = weakref.WeakValueDictionary()


def keep_tape(tape: Tape) -> Tensor:
    """A token to save for the backward pass, an integer in a tensor; it keeps the tape alive."""
    tape_id = next(_tape_ids)
    holder: TapeHolder = np.ndarray.__new__(TapeHolder, 1, np.int64)
    holder[0] = tape_id
    holder.tape = tape
    _tape_holders[tape_id] = holder  # alive, like the token
    return torch.from_numpy(holder)


def tape_of(token: Tensor, shared: SharedStack, args: TensorArgs) -> Tape:
    """The tape of a token, from another forward pass if a compiler or a hook has copied the token."""
    holder = _tape_holders.get(int(token))
    return forward(shared, args)[2] if holder is None else holder.tape


def call_operator(shared: SharedStack, tensors: TensorArgs) -> list[Tensor]:
    """Outputs ``(T, B, ·)`` and final states."""
    results: list[Tensor] = _forward(shared.key, *_arguments(tensors))
    return results[:-1]


def _arguments(tensors: TensorArgs) -> tuple[Any, ...]:
    """Arguments of the operators, with the names in one string."""
    x, arrays, state, names, inputs, noise, lengths = tensors
    return x, list(arrays), list(state), " ".join(names), list(inputs), noise, lengths


def _tensor_args(x: Tensor, arrays: Any, state: Any, names: str, *rest: Any) -> TensorArgs:
    return TensorArgs(x, arrays, state, names.split(), *rest)


def _forward_impl(key: str, *arguments: Any) -> list[Tensor]:
    """Outputs, final states, and a token that keeps the tape alive."""
    y, last, tape = forward(stack_of_key(key), _tensor_args(*arguments))
    return [y, *last, keep_tape(tape)]


def _backward_impl(
    key: str, token: Tensor, dy: Tensor, dfinal: Any, needs_dx: bool, *arguments: Any
) -> list[Tensor]:
    """Gradients of the stack's parameters ``(P,)``, of the initial states, and of x if it is needed."""
    shared = stack_of_key(key)
    tape = tape_of(token, shared, _tensor_args(*arguments))
    dx, dstate, dtheta = backward(shared, tape, dy, dfinal, needs_dx)
    gradients = [torch.from_numpy(dtheta), *shared.states.tensors(dstate)]
    return gradients if dx is None else [*gradients, dx]


def _fake_forward(key: str, x: Tensor, arrays: Any, *_: Any) -> list[Tensor]:
    if torch.onnx.is_in_onnx_export():  # here, since forward is not run with ``strict=True``, its second try
        raise UsageError(NO_TRANSLATION)
    shared, (steps, batch) = stack_of_key(key), x.shape[:2]
    new = arrays[0].new_empty
    last = [new(shared.states.shape(kind, batch)) for kind in range(len(shared.states.kinds))]
    return [new((steps, batch, shared.stack.output_size)), *last, new((1,), dtype=torch.int64)]


def _fake_backward(
    key: str, _token: Tensor, dy: Tensor, dfinal: Any, needs_dx: bool, x: Tensor, *_: Any
) -> list[Tensor]:
    dtheta = dy.new_empty((stack_of_key(key).layout.size,))
    gradients = [dtheta, *(each.new_empty(each.shape) for each in dfinal)]
    return [*gradients, dy.new_empty(x.shape)] if needs_dx else gradients


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    key, *arguments = inputs
    tensors = _tensor_args(*arguments)
    ctx.key, ctx.counts, ctx.needs_dx = key, tensors.counts, tensors.x.requires_grad
    ctx.save_for_backward(output[-1], *flatten(tensors))


def _operator_backward(ctx: Any, doutputs: list[Tensor]) -> tuple[Any, ...]:
    dy, *dfinal, _ = doutputs
    token, *saved = ctx.saved_tensors
    shared, tensors = stack_of_key(ctx.key), unflatten(ctx.counts, saved)
    dtheta, *rest = _backward(ctx.key, token, dy, dfinal, ctx.needs_dx, *_arguments(tensors))
    dstate, dx = rest[: len(dfinal)], rest[len(dfinal) :]
    darrays = [*shared.gradients(dtheta, torch.cat), *[None] * len(shared.buffers)]
    dinputs = [None] * len(tensors.inputs)
    return None, (dx[0] if dx else None), darrays, dstate if tensors.state else [], None, dinputs, None, None


_SCHEMA = (
    "Tensor x, Tensor[] arrays, Tensor[] state, str names, Tensor[] inputs, Tensor? noise, Tensor? lengths"
)

_forward = torch.library.custom_op(
    "zoo::recurrent", _forward_impl, mutates_args=(), schema=f"(str key, {_SCHEMA}) -> Tensor[]"
)

_backward = torch.library.custom_op(
    "zoo::recurrent_backward",
    _backward_impl,
    mutates_args=(),
    schema=f"(str key, Tensor token, Tensor dy, Tensor[] dfinal, bool needs_dx, {_SCHEMA}) -> Tensor[]",
)

_forward.register_fake(_fake_forward)

_backward.register_fake(_fake_backward)

_forward.register_autograd(_operator_backward, setup_context=_setup_context)
