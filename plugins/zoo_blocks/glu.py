"""The block of the LRU, S5 and S4D: a gated linear unit after the recurrence."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zoo

Array = Any


class Glu(zoo.Block):
    """Norm, cell, GELU, gated linear unit and skip connection: the block around linear state spaces.

    A linear recurrence needs something nonlinear between the layers, and this block supplies it.

    Equations::

        u = layer_norm(x) * gain + shift
        v = gelu(cell(u))
        y = x + (v @ Wv + bv) * sigmoid(v @ Wg + bg)

    The last layer has no further norm, as in the source. ``gain`` starts at one, ``Wv (Y, D)`` and
    ``Wg (Y, D)`` start normal with variance ``1 / Y``, and the biases and ``shift`` at zero.
    """

    card = zoo.Card(
        title="Simplified State Space Layers for Sequence Modeling",
        authors="Jimmy T.H. Smith, Andrew Warrington, Scott W. Linderman",
        year=2022,
        url="https://arxiv.org/abs/2208.04933",
        variant="The SequenceLayer of https://github.com/lindermanlab/S5 with prenorm=True and "
        'activation="full_glu", which https://github.com/NicolasZucchet/minimal-LRU also has.',
        deviations="A layer norm in place of the batch norm of most published runs, since kernels see one "
        "sequence at a time. The published runs of S5 have half_glu1 or half_glu2, without Wv and bv. There "
        "is no dropout within the block. Normal draws are not truncated. The code of S4D "
        "(https://github.com/state-spaces/s4, models/s4/s4d.py and example.py) has the same layer. By "
        "default its norm follows the sum, and its weights have uniform initial values.",
        also=(
            zoo.Card(
                title="Resurrecting Recurrent Neural Networks for Long Sequences",
                authors="Antonio Orvieto, Samuel L. Smith, Albert Gu, Anushan Fernando, Caglar Gulcehre, "
                "Razvan Pascanu, Soham De",
                year=2023,
                url="https://arxiv.org/abs/2303.06349",
            ),
            zoo.Card(
                title="On the Parameterization and Initialization of Diagonal State Space Models",
                authors="Albert Gu, Ankit Gupta, Karan Goel, Christopher Ré",
                year=2022,
                url="https://arxiv.org/abs/2206.11893",
            ),
        ),
    )
    eps = zoo.Option(1e-6, low=0.0, help="added to the variance")
    gain = zoo.Param("D", init="ones", help="scale of the norm")
    shift = zoo.Param("D", help="shift of the norm")
    Wv = zoo.Param("Y", "D", init="lecun_normal", help="values of the gated linear unit")
    bv = zoo.Param("D", help="bias of the values")
    Wg = zoo.Param("Y", "D", init="lecun_normal", help="gate of the gated linear unit")
    bg = zoo.Param("D", help="bias of the gate")

    def step(self, x: Array, cell: Callable[[Array], Array]) -> Array:
        v = zoo.gelu(cell(zoo.layer_norm(x, eps=self.eps) * self.gain + self.shift))
        return x + (v @ self.Wv + self.bv) * zoo.sigmoid(v @ self.Wg + self.bg)


@zoo.hookimpl
def zoo_register_blocks(register: Callable[[type[zoo.Block]], type[zoo.Block]]) -> None:
    """Register the block."""
    register(Glu)
