"""Multiplicative integration: multiply the products of input and state, in addition to adding them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import zoo


def constant(value: float) -> Callable[..., Any]:
    """An initializer of a constant array."""

    def init(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
        return np.full(shape, value)

    init.__name__ = f"{value:g}"
    return init


class MultiplicativeIntegration(zoo.Modifier):
    """Multiplicative integration: where the step adds products of input and state, it also adds their
    product.

    Equations, wherever the step adds ``x @ W`` and ``h @ U``, with or without other terms::

        x @ W + h @ U  becomes  alpha * (x @ W) * (h @ U) + beta1 * (h @ U) + beta2 * (x @ W)

    Every recurrent matrix U in such a sum has the parameters ``U_alpha`` and ``U_beta1``, and every input
    matrix W has ``W_beta2``. Where a gate scales ``h @ U`` before the sum, as in the GRU, it scales the first
    two terms. With alpha zero and betas one, nothing changes.
    """

    card = zoo.Card(
        title="On Multiplicative Integration with Recurrent Neural Networks",
        authors="Yuhuai Wu, Saizheng Zhang, Ying Zhang, Yoshua Bengio, Ruslan Salakhutdinov",
        year=2016,
        url="https://arxiv.org/abs/1606.06630",
        variant="This is the general form, with vectors alpha, beta1 and beta2.",
        when_to_use="Use it on text and other symbols, where the input should scale the effect of the "
        "state. It adds three vectors for each pair of products and no product. The cell mi_rnn is this "
        "modifier on a vanilla network.",
    )
    alpha = zoo.Option(1.0, help="initial value of alpha")
    beta = zoo.Option(0.5, help="initial value of beta1 and beta2")

    def edit(self, spec: Any) -> None:
        """Add three vectors for each sum. A product of the input in several sums has one beta2."""
        if not spec.sums:
            raise spec.unsupported("it adds no product of its input to one of its state")
        for each in spec.sums:
            of_state, of_input = each.state_matmul, each.input_matmul
            if of_input.index > of_state.index and not each.is_whole:
                raise spec.unsupported(
                    f"it takes {of_state.name!r} before the longer {of_input.name!r} it is added to"
                )
            terms = f"the sum of {of_input.name} and {of_state.name}"
            alpha, beta = constant(self.alpha), constant(self.beta)
            spec.add(
                f"{of_state.name}_alpha",
                zoo.Param(*of_state.result, init=alpha, help=f"of the product in {terms}"),
            )
            spec.add(
                f"{of_state.name}_beta1",
                zoo.Param(*of_state.result, init=beta, help=f"of the state in {terms}"),
            )
            if (name := f"{of_input.name}_beta2") not in spec.params:
                spec.add(name, zoo.Param(*of_input.result, init=beta, help=f"of the input in {terms}"))

    def matmul(self, ctx: Any, matmul: Any, operand: Any, matrix: Any) -> Any:
        """The product times its beta. The second of the two adds the product of both."""
        plain = ctx.memo[matmul] = matmul.multiply(operand, matrix)
        sums = [each for each in ctx.spec.sums if matmul in (each.state_matmul, each.input_matmul)]
        if not sums:
            return plain
        beta = ctx[f"{matmul.name}_beta1" if matmul.is_recurrent else f"{matmul.name}_beta2"]
        return sum(_second_order_terms(ctx, sums), beta * plain)


def _second_order_terms(ctx: Any, sums: list[Any]) -> Iterator[Any]:
    """The second-order terms whose factors are both computed."""
    for each in sums:
        if each.state_matmul in ctx.memo and each.input_matmul in ctx.memo:
            of_state, of_input = ctx.memo[each.state_matmul], each.select(ctx.memo[each.input_matmul])
            yield ctx[f"{each.state_matmul.name}_alpha"] * of_input * of_state


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register multiplicative integration."""
    register(MultiplicativeIntegration)
