"""The real-gated linear recurrent unit of Griffin and Hawk."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def ring(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Such that ``exp(-softplus(decay))`` is between 0.9 and 0.999, uniform in the area of a ring."""
    radius = np.sqrt(rng.uniform(0.9**2, 0.999**2, shape))
    return np.log(1 / radius - 1)


def fan_in_blocks(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with variance one over the number of inputs of a block, ``(heads, inputs, outputs)``."""
    return rng.normal(0, math.sqrt(1 / shape[1]), shape)


class RGLRU(zoo.Cell):
    """Real-gated linear recurrent unit: a diagonal linear recurrence whose decay depends on the input.

    Each unit has a fastest rate of decay of its own. A gate slows the decay down, to no decay at all, where
    the state is kept and no input enters. The input is scaled such that white noise would keep the size of
    the state constant. The parts of the gates are, in order, the recurrence gate r and the input gate i.

    Equations, with the products by Wg head by head, where each head reads its ``H / heads`` elements of u::

        u = x Wx
        r, i = sigmoid(u Wg + b)
        a = exp(-8 r * softplus(decay))
        h' = a * h + sqrt(1 - a^2) * (i * u)

    The parameter ``Wx (I, H)`` starts normal with variance ``1 / I``. ``Wg (heads, H / heads, 2H / heads)``,
    whose last axis has first r and then i, starts normal with variance ``heads / H``, and
    ``b (heads, 2H / heads)``, in the same order, at zero. ``decay (H,)`` starts such that
    ``exp(-softplus(decay))``, whose eighth power is the smallest value of a, is uniform in area between the
    radii 0.9 and 0.999. The state ``h (H,)`` is the output.

    Equations and initial values come from ``RGLRU`` in https://github.com/google-deepmind/recurrentgemma,
    where decay is ``a_param``. The paper writes ``a = sigmoid(Lambda)``, so decay is ``-Lambda``. A root has
    no derivative at zero, which ``1 - a^2`` reaches when the gate is closed completely. Here it is at least
    ``1e-30``, and the code bounds the derivative by 1000.
    """

    name = "rg_lru"
    family = "linear"
    card = zoo.Card(
        title="Griffin: Mixing Gated Linear Recurrences with Local Attention for Efficient Language Models",
        authors="Soham De, Samuel L. Smith, Anushan Fernando, Aleksandar Botev, George Cristian-Muraru, "
        "Albert Gu, Ruba Haroun, Leonard Berrada, Yutian Chen, Srivatsan Srinivasan, Guillaume Desjardins, "
        "Arnaud Doucet, David Budden, Yee Whye Teh, Razvan Pascanu, Nando De Freitas, Caglar Gulcehre",
        year=2024,
        url="https://arxiv.org/abs/2402.19427",
        variant="This is the RG-LRU with gates from the input. They are block-diagonal with the option "
        "heads, and c = 8.",
        deviations="The input is projected to H units, where the unit of the paper has I = H. The code does "
        "not scale the first input of a text, and this cell does, since a step does not see its position. "
        "The initial values are taken from the code. In the paper the smallest value of a, "
        "sigmoid(Lambda)^8, starts uniformly between 0.9 and 0.999. The convolution before the recurrence "
        "and the gated branch next to it are left out.",
        history="De, Smith and others published it in 2024 as the recurrence of the language models Hawk "
        "and Griffin. It takes the linear recurrence of the LRU (lru), makes it real and adds two gates "
        "that read the input. The open model RecurrentGemma (2024) uses it together with local attention.",
        when_to_use="Use it as a gated linear recurrence with a bounded state: its scaling keeps the "
        "variance of the state constant. A step costs a product of u with the gates, H² * 2 / heads "
        "multiplications, and no product of the state, so a parallel scan could compute it. The paper's "
        "block has a convolution before it and a gated branch next to it, which you add yourself. It has no "
        "interaction between units within a layer, so use two layers or more.",
        block="griffin",
        related={
            "lru": "has complex poles that do not depend on the input.",
            "min_gru": "has one gate and no trained rates.",
            "hgrn": "has a lower bound of the forget gate as an option.",
            "mamba": "has several integrators for each channel.",
        },
    )
    Wx = zoo.Param("I", "H", init="lecun_normal", help="input to units")
    Wg = zoo.Param("heads", "H/heads", "2*H/heads", init=fan_in_blocks, help="units to gates r and i")
    b = zoo.Param("heads", "2*H/heads", help="bias of gates r and i, by head")
    decay = zoo.Param("H", init=ring, help="decay rate of a unit whose gate is open, before softplus")
    h = zoo.State("H", help="leaky integrators, and the output")
    heads = zoo.Option(1, low=1, help="blocks of the weights of the gates, a divisor of H")
    gates = zoo.Gates(input_gate="i", forget_gate="exp_leak", candidate="u")

    def step(self, x: Array, h: Array) -> Array:
        u = x @ self.Wx
        gates = zoo.sigmoid((u.reshape(self.heads, 1, -1) @ self.Wg)[:, 0] + self.b)
        r, i = (gate.reshape(-1) for gate in zoo.split(gates, 2))
        leak = 8 * r * zoo.softplus(self.decay)
        scale = np.sqrt(np.maximum(-np.expm1(-2 * leak), 1e-30))
        return np.exp(-leak) * h + scale * (i * u)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the RG-LRU."""
    register(RGLRU)
