"""The forward and backward passes in PyTorch's autograd: eager, and as an operator for ``torch.compile``.

Operators take no objects, so they identify a stack by a key, and they need the shapes of their results
without running.
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
from zoo.torch.config import SharedStack, stack_of_key

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
    shared: SharedStack, args: TensorArgs, *, has_backward: bool = True
) -> tuple[Tensor, list[Tensor], Tape]:
    """Outputs ``(T, B, ·)``, final states, and the tape, which is short if no backward pass follows."""
    values = [each.detach().numpy() for each in args.arrays]
    y, last, tape = shared.pure(values[0].dtype).apply(
        shared.arrays(values),
        args.x.detach().numpy(),
        shared.states.arrays(args.state) if args.state else None,
        None if args.noise is None else tuple(args.noise.tolist()),
        None if args.lengths is None else args.lengths.numpy(),
        {name: each.numpy() for name, each in zip(args.names, args.inputs, strict=True)},
        torch.get_num_threads(),
        has_backward=has_backward,
    )
    return torch.from_numpy(y), shared.states.tensors(last), tape


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


def keep_tape(tape: Tape, tape_id: int = 0) -> tuple[Tensor, weakref.ref[TapeHolder]]:
    """The tensor to save for the backward pass, and a weak reference to the holder of the tape."""
    holder: TapeHolder = np.ndarray.__new__(TapeHolder, 1, np.int64)
    holder[0] = tape_id
    holder.tape = tape
    return torch.from_numpy(holder), weakref.ref(holder)


_tape_ids = itertools.count(1)

_tape_holders: weakref.WeakValueDictionary[int, TapeHolder] = weakref.WeakValueDictionary()


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
    tape_id = next(_tape_ids)
    token, holder = keep_tape(tape, tape_id)
    _tape_holders[tape_id] = holder()  # type: ignore[assignment]  # alive, like the token
    return [y, *last, token]


def _backward_impl(
    key: str, token: Tensor, dy: Tensor, dfinal: Any, needs_dx: bool, *arguments: Any
) -> list[Tensor]:
    """Gradients of the stack's parameters ``(P,)``, of the initial states, and of x if it is needed."""
    shared, holder = stack_of_key(key), _tape_holders.get(int(token))  # None if the compiler copied the token
    tape = forward(shared, _tensor_args(*arguments))[2] if holder is None else holder.tape
    dx, dstate, dtheta = backward(shared, tape, dy, dfinal, needs_dx)
    gradients = [torch.from_numpy(dtheta), *shared.states.tensors(dstate)]
    return gradients if dx is None else [*gradients, dx]


def _fake_forward(key: str, x: Tensor, arrays: Any, *_: Any) -> list[Tensor]:
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

DIFFERENTIABLE_ONCE = (
    "zoo.torch.Recurrent can be differentiated once; create_graph=True needs the gradient of "
    "its gradient, which is unknown."
)


def apply_recurrent(shared: SharedStack, tensors: TensorArgs) -> list[Tensor]:
    """Outputs ``(T, B, ·)`` and final states, recorded by autograd if it is enabled."""
    if torch.compiler.is_compiling():
        return call_operator(shared, tensors)
    inputs = *tensors.arrays, tensors.x, *tensors.state
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs):
        return list(RecurrentFunction.apply(shared, tensors, *flatten(tensors)))
    y, last, _ = forward(shared, tensors, has_backward=False)
    return [y, *last]


class RecurrentFunction(torch.autograd.Function):  # type: ignore[misc]
    """The eager autograd function of both passes."""

    @staticmethod
    def forward(ctx: Any, shared: SharedStack, args: TensorArgs, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Outputs and final states; ``tensors`` are the flattened ``args``."""
        y, last, tape = forward(shared, args)
        token, ctx.holder = keep_tape(tape)
        ctx.shared, ctx.counts = shared, args.counts
        ctx.save_for_backward(token, *tensors)
        ctx.set_materialize_grads(False)
        if shared.states.discrete:
            ctx.mark_non_differentiable(*(last[index] for index in shared.states.discrete))
        return (y, *last)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dfinal: Tensor | None) -> tuple[Any, ...]:
        """Gradients of the tensors."""
        shared: SharedStack = ctx.shared
        _, *tensors = ctx.saved_tensors  # raises if one was modified in place
        holder = ctx.holder()  # None if a saved-tensor hook copied the token
        tape = forward(shared, unflatten(ctx.counts, tensors))[2] if holder is None else holder.tape
        needs_dx = ctx.needs_input_grad[2]  # of x, after the stack and the arguments
        dx, dstate, dtheta = backward(shared, tape, dy, dfinal, needs_dx)
        of_params = map(torch.from_numpy, shared.gradients(dtheta, np.concatenate))
        of_state = shared.states.tensors(dstate) if ctx.counts.state else ()
        gradients = [dx, *of_params, *[None] * len(shared.buffers), *of_state]
        if torch.is_grad_enabled():  # create_graph=True
            gradients = _no_double_backward(gradients, [*tensors, dy, *dfinal])
        return (None, None, *gradients, *[None] * (len(tensors) - len(gradients)))


class _NoDoubleBackward(torch.autograd.Function):  # type: ignore[misc]
    """Return the first ``count`` tensors; raise if they are differentiated."""

    @staticmethod
    def forward(_ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def backward(_ctx: Any, *_gradients: Tensor) -> Any:
        raise UsageError(DIFFERENTIABLE_ONCE)


def _no_double_backward(
    gradients: Sequence[Tensor | None], causes: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Make gradients raise when they are differentiated: PyTorch would treat some as constants."""
    present = [each for each in gradients if each is not None]
    causes = [each for each in causes if each is not None and each.requires_grad]
    wrapped = iter(_NoDoubleBackward.apply(len(present), *present, *causes))
    return [None if each is None else next(wrapped) for each in gradients]
