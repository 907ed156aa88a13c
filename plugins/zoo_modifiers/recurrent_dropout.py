"""Recurrent dropout with one mask for a whole sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo


class RecurrentDropout(zoo.Modifier):
    """In training, the recurrent matrices ignore random units, the same units at every step.

    This is the form of Gal and Ghahramani: a mask, drawn once for a sequence, removes units from the operand
    of each recurrent matrix, and the rest is scaled up. The method of Semeniuta and others 2016
    (https://arxiv.org/abs/1603.05118), which drops parts of the update, is another one.

    Equations, for every product ``a @ U`` of a value that depends on a state::

        d = one with probability p, else zero, drawn for every sequence and unit of a, the same at every step
        a @ U  becomes  (a * (1 - d) / (1 - p)) @ U

    In evaluation d is p, its expectation, and nothing changes. A sequence is the steps of one call, which in
    training on a text are the steps of one window.
    """

    card = zoo.Card(
        title="A Theoretically Grounded Application of Dropout in Recurrent Neural Networks",
        authors="Yarin Gal, Zoubin Ghahramani",
        year=2015,
        url="https://arxiv.org/abs/1512.05287",
        variant="This is the recurrent mask alone, with one mask for all gates that one matrix serves (tied "
        "weights).",
        deviations="There is a mask for each matrix, where the paper has one for each state, and there is "
        "no mask for the input.",
        when_to_use="Use it to regularise the recurrent matrices of a cell that overfits. The mask is the "
        "same at every step of a sequence, so the memory is not washed out by new noise. Combine it with "
        "dropout between layers, which zoo train sets with --dropout.",
    )
    p = zoo.Option(0.25, help="probability that a unit is dropped", low=0.0, below=1.0)

    def edit(self, spec: Any) -> None:
        """Declare the noise of each recurrent matrix product."""
        for matmul in spec.recurrent_matmuls:
            description = f"ones where the product with {matmul.name} does not see a unit"
            noise = zoo.Noise(*matmul.operand, probability=self.p, per="sequence", help=description)
            spec.add(f"dropped_{matmul.name}", noise)

    def matmul(self, ctx: Any, matmul: Any, operand: Any, matrix: Any) -> Any:
        """The product of the units that are not dropped."""
        if matmul.is_recurrent:
            operand = operand * ((1 - ctx[f"dropped_{matmul.name}"]) / (1 - self.p))
        return matmul.multiply(operand, matrix)


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register recurrent dropout."""
    register(RecurrentDropout)
