"""Layer normalisation of the products of a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo


class LayerNorm(zoo.Modifier):
    """Every product with a matrix of parameters is normalised over its units, then scaled and shifted.

    Equations, for every product ``a @ W`` in the step::

        a @ W  becomes  gain * (a @ W - mean) / sqrt(variance + eps) + shift

    Parameters, for every product: ``W_gain``, which starts as ones, and ``W_shift``, as zeros. Mean and
    variance are over the last axis: over all gates, where one matrix serves several.
    """

    card = zoo.Card(
        title="Layer Normalization",
        authors="Jimmy Lei Ba, Jamie Ryan Kiros, Geoffrey E. Hinton",
        year=2016,
        url="https://arxiv.org/abs/1607.06450",
        variant="Products of the input and of the state normalised apart, as in the paper's LSTM and GRU.",
        deviations="The paper's LSTM also normalises the memory before the output gate.",
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
        """The product, normalised."""
        plain = zoo.layer_norm(matmul.multiply(operand, matrix), eps=self.eps)
        return plain * ctx[f"{matmul.name}_gain"] + ctx[f"{matmul.name}_shift"]


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register layer normalisation."""
    register(LayerNorm)
