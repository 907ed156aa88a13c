"""SLiCE: a linear recurrence whose block-diagonal matrix depends on the input."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def standard_normal(rng: np.random.Generator, shape: Shape) -> Array:
    """Normal with variance one."""
    return rng.normal(size=shape)


def within_blocks(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Normal with variance ``1 / block``."""
    return rng.normal(0, 1 / math.sqrt(cell.block), shape)


class SLiCE(zoo.Cell):
    """SLiCE: a structured linear controlled differential equation, with blocks along the diagonal.

    The input sets the speed at which the state changes in proportion to itself: ``dh = A(x) h dt``. A is
    linear in the input and made of square blocks of size ``block``, so units of a block are mixed and other
    units are not. With blocks of two and more the recurrence can track states that diagonal ones cannot
    track. The first input sets the first state, and the state n counts the steps.

    Equations::

        A  = dt * (A0 + x Wa)                               as H / block blocks
        h' = h + x Wi + bi                                  if n = 0
        h' = h + A h                                        otherwise, block by block
        n' = n + 1

    The parameters ``A0 (H / block, block, block)`` and ``Wa (I, H * block)`` start normal with variance
    ``1 / block``, and ``Wi (I, H)`` and ``bi (H,)`` normal with variance one. The states are the output
    ``h (H,)`` and the number of steps ``n (1,)``.

    Equations, initial values and the default step come from ``LinearCDE`` in ``models/slcde.py`` of
    https://github.com/Benjamin-Walker/structured-linear-cdes.
    """

    name = "slice"
    family = "linear"
    card = zoo.Card(
        title="Structured Linear CDEs: Maximally Expressive and Parallel-in-Time Sequence Models",
        authors="Benjamin Walker, Lingyi Yang, Nicola Muca Cirone, Cristopher Salvi, Terry Lyons",
        year=2025,
        url="https://arxiv.org/abs/2505.17761",
        variant="This is the variant with blocks along the diagonal. Blocks of size one give the diagonal "
        "variant.",
        deviations="The official code limits the change of the state in one step to 1e11, far beyond normal "
        "values. The variants with low rank, sparse matrices and Walsh-Hadamard transforms are left out. "
        "The norm and residual connections around the recurrence are left out, too. The official block has "
        "a residual connection after the recurrence, another one around a GLU, and then the norm. The "
        "block glu has the norm before the recurrence, a GELU, and one residual connection. The default "
        "size of a block along the diagonal is four, and the official class has one.",
        history="Walker and others published it in 2025. Recurrences with diagonal matrices that depend on "
        "the input, such as Mamba (mamba), cannot track all states. The paper shows that blocks along the "
        "diagonal are as expressive as full matrices, in the theory of controlled differential equations.",
        when_to_use="Use it for tasks that track a state, such as permutations: the paper solves A5 with "
        "one layer. A step has no recurrent matrix product, but the input has H × block outputs. Nothing "
        "limits the state, so it grows or shrinks exponentially if inputs are not scaled.",
        trainability="The state may grow exponentially on long sequences.",
        block="glu",
        related={
            "gated_delta_product": "tracks states by products of reflections.",
            "mamba": "has a diagonal matrix that depends on the input.",
        },
    )
    A0 = zoo.Param("H/block", "block", "block", init=within_blocks, help="rates of change without input")
    Wa = zoo.Param("I", "H*block", init=within_blocks, help="input to rates of change")
    Wi = zoo.Param("I", "H", init=standard_normal, help="first input to first state")
    bi = zoo.Param("H", init=standard_normal, help="bias of the first state")
    h = zoo.State("H", help="hidden units, and the output")
    n = zoo.State(1, discrete=True, help="steps so far")
    block = zoo.Option(4, low=1, help="size of a block, a divisor of H")
    dt = zoo.Option(0.025, low=1e-6, help="time between two steps")

    def step(self, x: Array, h: Array, n: Array) -> tuple[Array, Array]:
        A = self.dt * (self.A0 + (x @ self.Wa).reshape(-1, self.block, self.block))
        change = (A @ h.reshape(-1, self.block, 1)).reshape(-1)
        has_begun = np.minimum(n, 1.0)  # not np.where, which would hide a NaN in one of the two
        first = x @ self.Wi + self.bi
        return h + has_begun * change + (1 - has_begun) * first, n + 1


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register SLiCE."""
    register(SLiCE)
