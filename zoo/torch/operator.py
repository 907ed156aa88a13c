"""The passes as an operator of PyTorch's, which ``torch.compile`` puts into its graph.

An operator takes no objects, so it knows the plan by a key; and the shapes of its results are known
without running it.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import torch

from zoo.torch.passes import Given, Holder, backward, flat, forward, hold, unflat
from zoo.torch.plan import Outline, outline

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
