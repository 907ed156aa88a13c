"""The functions of eager programs in PyTorch's autograd: the forward pass, its gradient, and its derivatives.

Each takes tensors only, besides the stack and counts, so that transformations of ``torch.func`` can replace
them. ``vmap`` calls a function once for each element.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch.autograd import forward_ad

from zoo.array_types import Array, Arrays
from zoo.errors import UsageError
from zoo.layers.tangents import ArgumentTangents, Derivative
from zoo.torch.config import OWNER, SharedStack
from zoo.torch.operators import (
    TensorArgs,
    TensorCounts,
    backward,
    call_operator,
    flatten,
    forward,
    keep_tape,
    other_arguments,
    tape_of,
    unflatten,
)

Tensor = Any


def apply_recurrent(shared: SharedStack, tensors: TensorArgs) -> list[Tensor]:
    """Outputs ``(T, B, ·)`` and final states, recorded by autograd if it is enabled."""
    if torch.compiler.is_compiling():
        return call_operator(shared, tensors)
    inputs = *tensors.arrays, tensors.x, *tensors.state
    is_recorded = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in inputs)
    if is_recorded or _is_transformed() or forward_ad._current_level >= 0:
        return list(RecurrentFunction.apply(shared, tensors.counts, *flatten(tensors)))[:-1]
    y, last, _ = forward(shared, tensors, has_backward=False)
    return [y, *last]


def _is_transformed() -> bool:
    """Whether a transformation of ``torch.func`` is active, whose tensors have no memory."""
    return bool(torch._C._are_functorch_transforms_active())  # PyTorch's own functions call it, too


class _Function(torch.autograd.Function):  # type: ignore[misc]
    """Base class of functions for which ``vmap`` is a loop."""

    @classmethod
    def vmap(cls, info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[Any, Any]:
        """Results for each element, stacked; ``in_dims`` has an integer for each argument with elements."""
        results = [
            cls.apply(
                *(
                    each.select(dim, index) if isinstance(dim, int) else each
                    for each, dim in zip(arguments, in_dims, strict=True)
                )
            )
            for index in range(info.batch_size)
        ]
        return tuple(map(torch.stack, zip(*results, strict=True))), (0,) * len(results[0])


class _NotDifferentiable(_Function):
    """Base class of functions without a derivative."""

    problem: ClassVar[str] = (
        "zoo.torch.Recurrent can be differentiated twice; the gradient of a gradient of its gradient is "
        "unknown."
    )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save nothing."""

    @classmethod
    def backward(cls, _ctx: Any, *_gradients: Tensor) -> Any:
        """Raise an error.

        Raises:
            UsageError: always.
        """
        raise UsageError(cls.problem)

    @classmethod
    def jvp(cls, _ctx: Any, *_tangents: Tensor) -> Any:
        """Raise an error.

        Raises:
            UsageError: always.
        """
        raise UsageError(cls.problem)


class RecurrentFunction(_Function):
    """The forward pass: outputs, final states, and a token of the tape."""

    @staticmethod
    def forward(shared: SharedStack, counts: TensorCounts, *tensors: Tensor) -> tuple[Tensor, ...]:
        """``tensors`` are flattened arguments."""
        y, last, tape = forward(shared, unflatten(counts, tensors))
        return (y, *last, keep_tape(tape))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Save the arguments and the token."""
        ctx.shared, ctx.counts, *tensors = inputs
        ctx.save_for_backward(output[-1], *tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)
        discrete = (output[1 + index] for index in ctx.shared.states.discrete)
        ctx.mark_non_differentiable(output[-1], *discrete)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dlast: Tensor | None) -> tuple[Any, ...]:
        """Gradients of the tensors."""
        shared, counts = ctx.shared, ctx.counts
        token, *tensors = ctx.saved_tensors  # raises if one was modified in place
        needs_dx = ctx.needs_input_grad[2] and tensors[0].is_floating_point()
        dfinal = dlast[:-1]
        is_recorded = torch.is_grad_enabled() or _is_transformed()
        compute = RecurrentGradient.apply if is_recorded else RecurrentGradient.forward
        results = [*compute(shared, counts, needs_dx, token, dy, *dfinal, *tensors)]
        dx = results.pop(0) if needs_dx else None
        params = len(shared.names.names)
        gradients = [dx, *results[:params], *[None] * len(shared.buffers), *results[params:]]
        return (None, None, *gradients, *[None] * (len(tensors) - len(gradients)))

    @staticmethod
    def jvp(ctx: Any, _shared: None, _counts: None, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """Tangents of the results; None for discrete states and the token."""
        _check_tangents(ctx.shared, ctx.counts, tangents)
        results = [*RecurrentTangent.apply(ctx.shared, ctx.counts, *ctx.saved_tensors, *tangents), None]
        for index in ctx.shared.states.discrete:
            results[1 + index] = None
        return tuple(results)


class RecurrentGradient(_Function):
    """The backward pass: gradients of x if they are needed, of the parameters and of the given states."""

    @staticmethod
    def forward(
        shared: SharedStack,
        counts: TensorCounts,
        needs_dx: bool,
        token: Tensor,
        dy: Tensor | None,
        *others: Tensor | None,
    ) -> tuple[Tensor, ...]:
        """``others`` are the gradients of the final states, and the flattened arguments."""
        dfinal, args = _gradients_and_arguments(shared, counts, others)
        dx, dstate, dtheta = backward(shared, tape_of(token, shared, args), dy, dfinal, needs_dx)
        of_params = map(torch.from_numpy, shared.gradients(dtheta, np.concatenate))
        of_state = shared.states.tensors(dstate) if counts.state else ()
        return (*([dx] if needs_dx else []), *of_params, *of_state)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ARG004
        """Save the arguments."""
        ctx.shared, ctx.counts, ctx.needs_dx, _, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        """Gradients of the gradients: of dy, of the gradients of the final states, and of the tensors."""
        shared, counts = ctx.shared, ctx.counts
        dy, *others = ctx.saved_tensors
        size, arguments = 1 + len(others), map(_guarded, (dy, *others))
        results = SecondGradient.apply(shared, counts, ctx.needs_dx, size, *arguments, *cotangents)
        dfinal, tensors = _split(shared, others)
        first = dy, *dfinal
        of_gradients = (
            None if each is None else gradient
            for each, gradient in zip(first, results[: len(first)], strict=True)
        )
        return None, None, None, None, *of_gradients, *_padded(shared, tensors, iter(results[len(first) :]))

    @staticmethod
    def jvp(
        ctx: Any, _shared: None, _counts: None, _needs_dx: None, _token: None, *tangents: Tensor | None
    ) -> tuple[Tensor, ...]:
        """Tangents of the gradients."""
        tensors = ctx.saved_tensors
        _check_tangents(ctx.shared, ctx.counts, tangents[1 + len(ctx.shared.states.kinds) :])
        return GradientTangent.apply(ctx.shared, ctx.counts, ctx.needs_dx, len(tensors), *tensors, *tangents)  # type: ignore[no-any-return]


class SecondGradient(_Function):
    """The backward pass of a backward pass."""

    @staticmethod
    def forward(
        shared: SharedStack,
        counts: TensorCounts,
        needs_dx: bool,
        size: int,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, ...]:
        """The first ``size`` tensors are arguments of :class:`RecurrentGradient`, and the others a direction.

        Returns:
            Gradients of dy, of the gradients of the final states, of x if it holds floats, of the parameters
            and of the given states.
        """
        dy, *others = tensors[:size]
        direction = [*tensors[size:]]
        dfinal, args = _gradients_and_arguments(shared, counts, others)
        dx = direction.pop(0) if needs_dx else None
        params = len(shared.names.names)
        result = _derivative(shared, args, dx, direction[:params], direction[params:])
        gradients = _gradients(shared, args, result, dy, dfinal, None, [None] * len(dfinal))
        tangents = torch.from_numpy(result.y_tangent), *shared.states.tensors(result.state_tangent)
        return *tangents, *gradients

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:  # noqa: ARG004
        """Save the arguments of :class:`RecurrentGradient`."""
        ctx.shared, ctx.counts, ctx.needs_dx, ctx.size, *tensors = inputs
        ctx.save_for_backward(*tensors[: ctx.size])
        ctx.set_materialize_grads(False)
        ctx.is_given = [each is not None for each in tensors[ctx.size :]]

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Any, ...]:
        """Gradients of the direction, on which the results depend linearly."""
        shared, size = ctx.shared, ctx.size
        dy, *others = ctx.saved_tensors
        count = 1 + len(shared.states.kinds)
        of_tensors = _padded(shared, others[count - 1 :], iter(cotangents[count:]))
        arguments = shared, ctx.counts, ctx.needs_dx, size, dy, *others, *cotangents[:count], *of_tensors
        gradients = zip(GradientTangent.apply(*arguments), ctx.is_given, strict=True)
        return (*[None] * (4 + size), *(gradient if is_given else None for gradient, is_given in gradients))


class _ThirdDerivativeGuard(_NotDifferentiable):
    """A tensor itself; it raises an error if PyTorch needs its gradient.

    A function does not know which of its gradients are needed: PyTorch differentiates a result of
    :class:`SecondGradient` with respect to the direction alone to compute a Hessian-vector product.
    """

    @staticmethod
    def forward(tensor: Tensor) -> Tensor:
        return tensor.view_as(tensor)

    @classmethod
    def vmap(cls, info: Any, in_dims: Sequence[Any], *arguments: Any) -> tuple[Any, Any]:  # noqa: ARG003
        """The same for all elements."""
        return cls.apply(*arguments), in_dims[0]


def _guarded(tensor: Tensor | None) -> Tensor | None:
    """The tensor, with an error where a third derivative would need its gradient."""
    return _ThirdDerivativeGuard.apply(tensor) if tensor is not None and tensor.requires_grad else tensor


class GradientTangent(_NotDifferentiable):
    """The derivative of the gradients in a direction."""

    @staticmethod
    def forward(
        shared: SharedStack,
        counts: TensorCounts,
        needs_dx: bool,
        size: int,
        *tensors: Tensor | None,
    ) -> tuple[Tensor, ...]:
        """The first ``size`` tensors are arguments of :class:`RecurrentGradient`, and the others tangents."""
        (dy, *others), (dy_tangent, *other_tangents) = tensors[:size], tensors[size:]
        dfinal, args = _gradients_and_arguments(shared, counts, others)
        dfinal_tangents, (x, *direction) = _split(shared, other_tangents)
        params = len(shared.names.names)
        of_state = direction[counts.arrays : counts.arrays + counts.state]
        result = _derivative(shared, args, x, direction[:params], of_state)
        gradients = _gradients(shared, args, result, dy, dfinal, dy_tangent, dfinal_tangents)
        return gradients[1:] if args.x.is_floating_point() and not needs_dx else gradients


class RecurrentTangent(_NotDifferentiable):
    """Tangents of the outputs and of the final states."""

    problem = (
        "zoo.torch.Recurrent: the gradient of a derivative in forward mode is unknown; use reverse mode "
        "twice, torch.autograd.grad(..., create_graph=True)."
    )

    @staticmethod
    def forward(shared: SharedStack, counts: TensorCounts, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        """``tensors`` are the flattened arguments and their tangents."""
        count = len(tensors) // 2
        args = unflatten(counts, tensors[:count])
        x, *direction = tensors[count:]
        params = len(shared.names.names)
        state = direction[counts.arrays : counts.arrays + counts.state]
        result = _derivative(shared, args, x, direction[:params], state, has_backward=False)
        return (torch.from_numpy(result.y_tangent), *shared.states.tensors(result.state_tangent))


def _split(
    shared: SharedStack, tensors: Sequence[Tensor | None]
) -> tuple[Sequence[Tensor | None], Sequence[Tensor | None]]:
    """The gradients of the final states, and the other tensors."""
    count = len(shared.states.kinds)
    return tensors[:count], tensors[count:]


def _gradients_and_arguments(
    shared: SharedStack, counts: TensorCounts, tensors: Sequence[Tensor | None]
) -> tuple[Sequence[Tensor | None], TensorArgs]:
    """The gradients of the final states, and the arguments of the forward pass."""
    dfinal, arguments = _split(shared, tensors)
    return dfinal, unflatten(counts, arguments)


def _padded(shared: SharedStack, tensors: Sequence[Tensor | None], results: Any) -> list[Tensor | None]:
    """The gradients of all tensors: None for those without."""
    x, *_ = tensors
    dx = next(results) if x is not None and x.is_floating_point() else None
    of_params = [next(results) for _ in shared.names.names]
    gradients = [dx, *of_params, *[None] * len(shared.buffers), *results]
    return gradients + [None] * (len(tensors) - len(gradients))


def _derivative(
    shared: SharedStack,
    args: TensorArgs,
    x: Tensor | None,
    params: Sequence[Tensor | None],
    state: Sequence[Tensor | None],
    *,
    has_backward: bool = True,
) -> Derivative:
    """The forward pass and its derivative in the direction of some tangents."""
    values = [each.detach().numpy() for each in args.arrays]
    initial = shared.states.arrays(args.state) if args.state else None
    of_state = shared.states.arrays(state) if state else {}
    zeros = {name: np.zeros_like(value) for name, value in (initial or {}).items()}
    of_params = _linear_part(shared, values, params)
    return shared.tangent_stack(values[0].dtype).jvp(
        shared.arrays(values),
        args.x.detach().numpy(),
        initial,
        ArgumentTangents(of_params, _numpy(x), {**zeros, **of_state} if zeros else None),
        **other_arguments(args),
        has_backward=has_backward,
    )


def _check_tangents(shared: SharedStack, counts: TensorCounts, tangents: Sequence[Tensor | None]) -> None:
    """Check that buffers and auxiliary inputs have no tangents.

    Raises:
        UsageError: if one has.
    """
    first = 1 + len(shared.names.names)
    named = dict(zip(shared.buffers, tangents[first:], strict=False))
    named |= dict(zip(counts.names, tangents[1 + counts.arrays + counts.state :], strict=False))
    for name, tangent in named.items():
        if tangent is not None:
            raise UsageError(
                f"{OWNER}: {name!r} has a tangent in forward mode, and buffers and auxiliary inputs have no "
                f"derivative; pass it without a tangent."
            )


def _gradients(
    shared: SharedStack,
    args: TensorArgs,
    result: Derivative,
    dy: Tensor | None,
    dfinal: Sequence[Tensor | None],
    dy_tangent: Tensor | None,
    dfinal_tangents: Sequence[Tensor | None],
) -> tuple[Tensor, ...]:
    """Derivatives of the gradients of x if it holds floats, of the parameters and of the given states."""
    zeros = {name: np.zeros_like(value) for name, value in result.state.items()}
    assert result.tape is not None  # of a derivative with a backward pass
    dx, dstate, dtheta = shared.tangent_stack(result.y.dtype).gradient_tangents(
        result.tape,
        _numpy(dy),
        {**zeros, **shared.states.arrays(dfinal)},
        _numpy(dy_tangent),
        {**zeros, **shared.states.arrays(dfinal_tangents)},
        torch.get_num_threads(),
    )
    of_params = map(torch.from_numpy, shared.gradients(dtheta, np.concatenate))
    of_state = shared.states.tensors(dstate) if args.state else ()
    return (*([] if dx is None else [torch.from_numpy(dx)]), *of_params, *of_state)


def _linear_part(shared: SharedStack, values: Sequence[Array], tangents: Sequence[Tensor | None]) -> Arrays:
    """Tangents of the stack's parameters: the map from the module's adds constants, such as a forget bias."""
    zeros = [np.zeros_like(value) for value in values[: len(tangents)]]
    given = [
        zero if tangent is None else tangent.detach().numpy()
        for zero, tangent in zip(zeros, tangents, strict=True)
    ]
    at_tangents, at_zero = shared.names.to_stack(given), shared.names.to_stack(zeros)
    return {name: np.ascontiguousarray(value - at_zero[name]) for name, value in at_tangents.items()}


def _numpy(tensor: Tensor | None) -> Array | None:
    return None if tensor is None else tensor.detach().numpy()
