"""The passes as an operator of PyTorch's, which ``torch.compile`` puts into its graph.

An operator takes no objects, so it knows the plan by a key; and the shapes of its results are known
without running it.

The passes as autograd records them in eager calls; ``torch.compile`` has :mod:`zoo.torch.autograd`.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from zoo.errors import UsageError
from zoo.torch.bridge import Given, Holder, backward, flat, forward, hold, unflat
from zoo.torch.config import Outline, outline

Tensor = Any

_numbers = itertools.count(1)

_held: weakref.WeakValueDictionary[int, Holder] = weakref.WeakValueDictionary()


def operator(which: Outline, given: Given) -> list[Tensor]:
    """Outputs ``(T, B, ·)`` and last states."""
    found: list[Tensor] = _forward(which.key, *_arguments(given))
    return found[:-1]


def _arguments(given: Given) -> tuple[Any, ...]:
    """What operators take: names are one word."""
    x, arrays, state, names, inputs, noise, lengths = given
    return x, list(arrays), list(state), " ".join(names), list(inputs), noise, lengths


def _given(x: Tensor, arrays: Any, state: Any, names: str, *rest: Any) -> Given:
    return Given(x, arrays, state, names.split(), *rest)


def _run(key: str, *arguments: Any) -> list[Tensor]:
    """Outputs, last states, and a number that keeps the tape."""
    y, last, tape = forward(outline(key), _given(*arguments))
    mark = next(_numbers)
    token, holder = hold(tape, mark)
    _held[mark] = holder()  # type: ignore[assignment]  # it is alive, for the token is
    return [y, *last, token]


def _run_back(key: str, token: Tensor, dy: Tensor, dlast: Any, *arguments: Any) -> list[Tensor]:
    """Gradients of the parameters of the stack ``(P,)``, of the first states, and of x if it is no tokens."""
    which, holder = outline(key), _held.get(int(token))  # gone if the compiler has left a copy
    tape = forward(which, _given(*arguments))[2] if holder is None else holder.tape
    dx, dstate, dtheta = backward(which, tape, dy, dlast)
    found = [torch.from_numpy(dtheta), *which.states.tensors(dstate)]
    return found if dx is None else [*found, dx]


def _shapes(key: str, x: Tensor, arrays: Any, *_: Any) -> list[Tensor]:
    which, (steps, batch) = outline(key), x.shape[:2]
    new = arrays[0].new_empty
    last = [new(which.states.shape(kind, batch)) for kind in range(len(which.states.kinds))]
    return [new((steps, batch, which.stack.output_size)), *last, new((1,), dtype=torch.int64)]


def _shapes_back(key: str, _token: Tensor, dy: Tensor, dlast: Any, x: Tensor, *_: Any) -> list[Tensor]:
    dtheta = dy.new_empty((outline(key).layout.size,))
    found = [dtheta, *(each.new_empty(each.shape) for each in dlast)]
    return [*found, dy.new_empty(x.shape)] if x.dim() == 3 else found


def _remember(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    key, *arguments = inputs
    given = _given(*arguments)
    ctx.key, ctx.sizes = key, given.sizes
    ctx.save_for_backward(output[-1], *flat(given))


def _back(ctx: Any, found: list[Tensor]) -> tuple[Any, ...]:
    dy, *dlast, _ = found
    token, *tensors = ctx.saved_tensors
    which, given = outline(ctx.key), unflat(ctx.sizes, tensors)
    dtheta, *rest = _backward(ctx.key, token, dy, dlast, *_arguments(given))
    dstate, dx = rest[: len(dlast)], rest[len(dlast) :]
    darrays = [*which.gradients(dtheta, torch.cat), *[None] * len(which.buffers)]
    dinputs = [None] * len(given.inputs)
    return None, (dx[0] if dx else None), darrays, dstate if given.state else [], None, dinputs, None, None


_GIVEN = (
    "Tensor x, Tensor[] arrays, Tensor[] state, str names, Tensor[] inputs, Tensor? noise, Tensor? lengths"
)

_forward = torch.library.custom_op(
    "zoo::recurrent", _run, mutates_args=(), schema=f"(str key, {_GIVEN}) -> Tensor[]"
)

_backward = torch.library.custom_op(
    "zoo::recurrent_backward",
    _run_back,
    mutates_args=(),
    schema=f"(str key, Tensor token, Tensor dy, Tensor[] dlast, {_GIVEN}) -> Tensor[]",
)

_forward.register_fake(_shapes)

_backward.register_fake(_shapes_back)

_forward.register_autograd(_back, setup_context=_remember)

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
