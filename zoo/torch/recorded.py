"""The passes as autograd records them in eager calls; ``torch.compile`` has :mod:`zoo.torch.operator`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from zoo.errors import UsageError
from zoo.torch.operator import operator
from zoo.torch.passes import Given, backward, flat, forward, hold, unflat
from zoo.torch.plan import Outline

Tensor = Any

ONCE = (
    "zoo.torch.Recurrent can be differentiated once; the gradient of its gradient, which create_graph=True "
    "is for, is not known."
)


def recorded(which: Outline, given: Given) -> list[Tensor]:
    """Outputs ``(T, B, ·)`` and last states, recorded by autograd if it records."""
    if torch.compiler.is_compiling():
        return operator(which, given)
    tensors = *given.arrays, given.x, *given.state
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return list(Recorded.apply(which, given, *flat(given)))
    y, last, _ = forward(which, given, recompute="sqrt")  # no tape is needed: let it be a short one
    return [y, *last]


class Recorded(torch.autograd.Function):  # type: ignore[misc]
    """Both passes."""

    @staticmethod
    def forward(ctx: Any, which: Outline, given: Given, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Outputs and last states; the tensors are those of ``given``."""
        y, last, tape = forward(which, given)
        token, ctx.holder = hold(tape)
        ctx.which, ctx.sizes = which, given.sizes
        ctx.save_for_backward(token, *tensors)
        ctx.set_materialize_grads(False)
        if which.states.discrete:
            ctx.mark_non_differentiable(*(last[place] for place in which.states.discrete))
        return (y, *last)

    @staticmethod
    def backward(ctx: Any, dy: Tensor | None, *dlast: Tensor | None) -> tuple[Any, ...]:
        """Gradients of the tensors."""
        which: Outline = ctx.which
        _, *tensors = ctx.saved_tensors  # which looks whether one was changed meanwhile
        holder = ctx.holder()  # gone if a hook for saved tensors has left a copy
        tape = forward(which, unflat(ctx.sizes, tensors))[2] if holder is None else holder.tape
        dx, dstate, dtheta = backward(which, tape, dy, dlast)
        of_params = map(torch.from_numpy, which.gradients(dtheta, np.concatenate))
        of_state = which.states.tensors(dstate) if ctx.sizes.state else ()
        found = [dx, *of_params, *[None] * len(which.buffers), *of_state]
        if torch.is_grad_enabled():  # create_graph=True
            found = _refusing(found, [*tensors, dy, *dlast])
        return (None, None, *found, *[None] * (len(tensors) - len(found)))


class _Refusal(torch.autograd.Function):  # type: ignore[misc]
    """The first of some tensors, which cannot be differentiated by any of them."""

    @staticmethod
    def forward(_ctx: Any, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(tensor.view_as(tensor) for tensor in tensors[:count])

    @staticmethod
    def backward(_ctx: Any, *_gradients: Tensor) -> Any:
        raise UsageError(ONCE)


def _refusing(found: Sequence[Tensor | None], causes: Sequence[Tensor | None]) -> list[Tensor | None]:
    """Gradients that raise where they are differentiated: PyTorch itself would take some for constants."""
    there = [each for each in found if each is not None]
    causes = [each for each in causes if each is not None and each.requires_grad]
    refusing = iter(_Refusal.apply(len(there), *there, *causes))
    return [None if each is None else next(refusing) for each in found]
