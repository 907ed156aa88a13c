"""Short causal convolutions of the products of the input, such as queries, keys and values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo


def taps_uniform(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Uniform within one over the root of the number of steps, as in PyTorch."""
    return rng.uniform(-1, 1, shape) / math.sqrt(shape[0])


class ShortConvolution(zoo.Modifier):
    """The product of the input with ``Wx`` is convolved with its last values in time.

    Equations::

        x @ Wx  becomes  sum(Wx_taps[j] * (x[t - width + 1 + j] @ Wx))    over j from 0 to width - 1

    Each unit of the product has its own taps, so the queries, keys and values of a delta network have the
    three convolutions of its paper. The parameter ``Wx_taps (width, n)`` starts uniform within
    ``1 / sqrt(width)`` of zero, and its last row belongs to the present step. The state
    ``Wx_past (width - 1, n)`` holds the last products, the oldest first, and starts at zero.
    """

    name = "short_convolution"
    card = zoo.Card(
        title="Parallelizing Linear Transformers with the Delta Rule over Sequence Length",
        authors="Songlin Yang, Bailin Wang, Yu Zhang, Yikang Shen, Yoon Kim",
        year=2024,
        url="https://arxiv.org/abs/2406.06484",
        variant="ShortConvolution of https://github.com/fla-org/flash-linear-attention without a bias. The "
        "activation after it belongs to the cell.",
        when_to_use="Use it on delta_net, gated_delta_net, kda and other cells whose Wx makes queries, keys "
        "and values, as their papers do. In the block deltanet, set deltanet_convolution=false with it, "
        "because the convolution of the block acts on the input of the cell. It adds width parameters for "
        "each unit of the product, and no product.",
    )
    width = zoo.Option(4, low=2, high=64, help="steps in the window of the convolution")

    def edit(self, spec: Any) -> None:
        """Declare taps and past values for the products with Wx."""
        products = [each for each in spec.matmuls if each.param == "Wx" and not each.is_recurrent]
        if not products or any(each.is_complex for each in products):
            raise spec.unsupported("it multiplies its input by no real matrix 'Wx'")
        width = spec.option("width")
        for each in products:
            taps = zoo.Param(width, *each.result, init=taps_uniform, help="convolution of the input")
            past = zoo.State(f"{width}-1", *each.result, help="last products, the oldest first")
            spec.add(f"{each.name}_taps", taps)
            spec.add(f"{each.name}_past", past)

    def matmul(self, ctx: Any, matmul: Any, operand: Any, matrix: Any) -> Any:
        """Convolve the product."""
        product, past = matmul.multiply(operand, matrix), f"{matmul.name}_past"
        if past not in ctx.memo:
            return product
        value, ctx.memo[past] = zoo.short_convolution(product, ctx.memo[past], ctx[f"{matmul.name}_taps"])
        return value

    def step(self, ctx: Any, inner_step: Callable[..., Any], x: Any, states: Any) -> Any:
        """Run the step with the last products at hand, and keep the new ones."""
        own = [name for name in states if name not in ctx.spec.cell.states]
        ctx.memo.update({name: states[name] for name in own})
        result = inner_step(x, {name: states[name] for name in ctx.spec.cell.states})
        result.states.update({name: ctx.memo[name] for name in own})
        return result


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register short convolutions."""
    register(ShortConvolution)
