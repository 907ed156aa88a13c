"""Layer normalisation of the products of a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo


class LayerNorm(zoo.Modifier):
    """Every product with a matrix of parameters is normalised over its units, then scaled and shifted.

    Equations, for every product ``a @ W`` in the step::

        a @ W  becomes  gain * (a @ W - mean) / sqrt(variance + eps) + shift

    Every product has the parameters ``W_gain``, which starts at one, and ``W_shift``, which starts at zero.
    Mean and variance are taken over the last axis, so over all gates where one matrix serves several.
    """

    card = zoo.Card(
        title="Layer Normalization",
        authors="Jimmy Lei Ba, Jamie Ryan Kiros, Geoffrey E. Hinton",
        year=2016,
        url="https://arxiv.org/abs/1607.06450",
        variant="Products of the input and of the state are normalised separately, as in the LSTM and the "
        "GRU of the paper.",
        deviations="The LSTM of the paper also normalises the memory before the output gate.",
        when_to_use="Use it to stabilise training with large learning rates or long sequences. It adds a "
        "gain and a shift for each product, and the time for a mean and a variance in each step. The cell "
        "layer_norm_lstm is the LSTM of the paper, with the norm of the memory.",
    )
    eps = zoo.Option(1e-5, help="added to the variance", low=0.0)

    def edit(self, spec: Any) -> None:
        """Declare a gain and a shift for each matrix product."""
        if not spec.matmuls:
            raise spec.unsupported("it multiplies nothing by a matrix of parameters")
        for matmul in spec.matmuls:
            if matmul.is_complex:
                raise spec.unsupported(f"its product with {matmul.name!r} is one of complex numbers")
            sizes, product = matmul.result, f"the normalised product with {matmul.name}"
            spec.add(f"{matmul.name}_gain", zoo.Param(*sizes, init="ones", help=f"scale of {product}"))
            spec.add(f"{matmul.name}_shift", zoo.Param(*sizes, help=f"added to {product}"))

    def matmul(self, ctx: Any, matmul: Any, operand: Any, matrix: Any) -> Any:
        """Normalise the product."""
        plain = zoo.layer_norm(matmul.multiply(operand, matrix), eps=self.eps)
        return plain * ctx[f"{matmul.name}_gain"] + ctx[f"{matmul.name}_shift"]


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register layer normalisation."""
    register(LayerNorm)
