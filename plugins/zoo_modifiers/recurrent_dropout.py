"""Recurrent dropout with one mask for a whole sequence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo


class RecurrentDropout(zoo.Modifier):
    """In training, the recurrent matrices do not see some of the units, the same ones at every step.

    The form of Gal & Ghahramani: what a recurrent matrix multiplies loses units by a mask that is drawn once
    for a sequence, and the rest is scaled up. Semeniuta et al. 2016 (https://arxiv.org/abs/1603.05118), who
    drop parts of the update instead, is another method.

    Equations, for every product of what depends on a state, ``a @ U``::

        d = one with chance p, else zero; new for every row and unit of a, the same at every step
        a @ U  becomes  (a * (1 - d) / (1 - p)) @ U

    In evaluation d is p, the expectation, and nothing changes. A sequence is what one call is given: in
    training on a text, the steps of one window.
    """

    card = zoo.Card(
        title="A Theoretically Grounded Application of Dropout in Recurrent Neural Networks",
        authors="Yarin Gal, Zoubin Ghahramani",
        year=2015,
        url="https://arxiv.org/abs/1512.05287",
        variant="The recurrent mask alone; one mask for all gates that one matrix serves (tied weights).",
        deviations="A mask for each matrix where the paper has one for each state, and none for the input.",
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
