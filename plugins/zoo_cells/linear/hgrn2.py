"""HGRN2: a matrix memory whose forget gate is also the key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._norms import rms_norm

Array = Any


class HGRN2(zoo.Cell):
    """HGRN2: ``hgrn`` with a matrix state, in which the complement of the forget gate is the key.

    Each head stores a matrix with a forget gate for each row. A row takes in the input by the share that it
    forgets, so that no parameters are needed for keys. The gates cannot fall below ``lower_bound``. The parts
    of the input product are, in order, the query q, the forget gate f and the input i, each ``heads`` times
    ``D = H / heads``.

    Equations, for each head::

        q, f, i = x Wx
        f  = lower_bound + (1 - lower_bound) * sigmoid(f)
        S' = f[:, None] * S + outer(1 - f, i)
        o  = (silu(q) S') / sqrt(D)
        y  = (gain * o / sqrt(mean(o²) + 1e-5)) Wo        mean over all heads

    The parameters ``Wx (I, 3H)`` and ``Wo (H, H)`` start uniform within one over the root of their first
    size, and ``gain (H,)`` at one. The state is ``S (heads, D, D)``. The output ``y`` has size H.

    Equations, initial values and defaults come from ``HGRN2Attention`` in
    https://github.com/fla-org/flash-linear-attention (``fla/layers/hgrn2.py`` and ``fla/ops/gla/naive.py``),
    whose heads have size 128.
    """

    name = "hgrn2"
    family = "linear"
    card = zoo.Card(
        title="HGRN2: Gated Linear RNNs with State Expansion",
        authors="Zhen Qin, Songlin Yang, Weixuan Sun, Xuyang Shen, Dong Li, Weigao Sun, Yiran Zhong",
        year=2024,
        url="https://arxiv.org/abs/2404.07904",
        variant="This is the layer of flash-linear-attention with its RMS norm and output projection.",
        deviations="In the library, lower bounds are learned over all layers together. Here the bound of "
        "each layer is an option, zero by default as in the library's first layer. The feed-forward part, "
        "the norm before the layer and the residual connection are left out.",
        history="Qin and others published it in 2024. HGRN (hgrn, 2023) has a vector state. HGRN2 expands "
        "it to a matrix by outer products without more parameters, and becomes a form of gated linear "
        "attention (gla).",
        when_to_use="Use it in stacks with a larger lower_bound in higher layers, so that lower layers "
        "follow short patterns and higher layers long ones. The state has H² / heads elements. It has one "
        "parameter matrix less than gla, because the gate is the key.",
        scope="mixer",
        trainability="It learns slowly without a norm around it. In the block prenorm it reaches 1.81 nats "
        "on the same text.",
        block="retnet",
        related={
            "hgrn": "has a vector state.",
            "gla": "has separate keys, and gates of low rank.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to query q, forget gate f and input i")
    gain = zoo.Param("H", init="ones", help="gain of the norm")
    Wo = zoo.Param("H", "H", init="fan_in_uniform", help="heads to output")
    S = zoo.State("heads", "H/heads", "H/heads", help="memory: a row for each gate")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    lower_bound = zoo.Option(0.0, low=0.0, below=1.0, help="smallest value of the forget gate")
    gates = zoo.Gates(input_gate="1 - f", forget_gate="f")

    def step(self, x: Array, S: Array) -> zoo.Output:
        q, f, i = zoo.split(x @ self.Wx, 3)
        f = self.lower_bound + (1 - self.lower_bound) * zoo.sigmoid(f)
        rows = f.reshape(self.heads, -1, 1)
        S = rows * S + (1 - rows) * i.reshape(self.heads, 1, -1)
        o = (zoo.silu(q).reshape(self.heads, 1, -1) @ S).reshape(-1) / np.sqrt(S.shape[-1])
        return zoo.Output((self.gain * rms_norm(o, 1e-5)) @ self.Wo, S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register HGRN2."""
    register(HGRN2)
