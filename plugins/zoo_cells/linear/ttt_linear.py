"""TTT-Linear: a memory that is a linear model, trained by one gradient step at every time step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def small_normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with a standard deviation of 0.02."""
    return rng.normal(0, 0.02, shape)


class TTTLinear(zoo.Cell):
    """TTT-Linear: the state is a linear model that learns to predict values from keys.

    The model of each head maps a key to a layer norm of ``k M + c``, and its loss is the squared distance
    from ``v - k``. Every step, one step of gradient descent updates M and c at a rate that depends on the
    input, and the new model answers the query. The first model, ``M0`` and ``c0``, is trained with the other
    parameters, and the states hold the difference from it. The parts of the input product are, in order, the
    query q, the key k and the value v, each ``heads`` times ``D = H / heads``.

    Equations, for each head, with ``norm(a) = (a - mean(a)) / sqrt(var(a) + 1e-6)``::

        q, k, v = x Wx
        eta = rate * sigmoid(x We + be) / D
        z  = k (M0 + M) + c0 + c
        n  = norm(z)
        e  = (w * n + b - (v - k)) * w
        g  = (e - mean(e) - n * mean(e * n)) / sqrt(var(z) + 1e-6)       the gradient of the loss by z
        M' = M - eta * outer(k, g)
        c' = c - eta * g
        o  = q + w * norm(q (M0 + M') + c0 + c') + b
        y  = (gain * norm(o) + bias) Wo                                  norm over all heads

    The parameters ``Wx (I, 3H)`` and ``Wo (H, H)`` start uniform within one over the root of their first
    size. ``We (I, heads)`` and ``M0 (heads, D, D)`` start normal with a standard deviation of 0.02.
    ``w (H,)`` and ``gain (H,)`` start at one, and ``be (heads,)``, ``c0 (H,)``, ``b (H,)`` and ``bias (H,)``
    at zero. The states are ``M (heads, D, D)`` and ``c (H,)``. The output ``y`` has size H.

    Equations, initial values and defaults come from ``TTTLinear`` in
    https://github.com/test-time-training/ttt-lm-pytorch with a mini batch of one, in which its rotary
    embedding of the position in the mini batch is the identity.
    """

    name = "ttt_linear"
    family = "linear"
    card = zoo.Card(
        title="Learning to (Learn at Test Time): RNNs with Expressive Hidden States",
        authors="Yu Sun, Xinhao Li, Karan Dalal, Jiarui Xu, Arjun Vikram, Genghan Zhang, Yann Dubois, "
        "Xinlei Chen, Xiaolong Wang, Sanmi Koyejo, Tatsunori Hashimoto, Carlos Guestrin",
        year=2024,
        url="https://arxiv.org/abs/2407.04620",
        variant="This is TTT-Linear with a gradient step for every time step (online gradient descent), "
        "with the layer norm and the projection after it.",
        deviations="The official code takes the gradients of 16 time steps at one model, for speed on GPUs, "
        "and trains a factor for each position in such a mini batch. Here a mini batch has one time step. "
        "The optional gate and the convolutions of its Mamba backbone are left out, as in its default. "
        "There is one head by default. Wx and Wo start as in the layer, and the official models draw them "
        "again with deviation 0.02. The norms, residual connections and SwiGLU around the mixer belong to "
        "the block retnet.",
        history="Sun and others published it in 2024. They made the state of a recurrent network a model, "
        "and its update a step of learning. With a linear model without norm and from zero, this is the "
        "delta rule of DeltaNet (delta_net). Titans (titans) adds momentum and forgetting.",
        when_to_use="Use it to study memories that learn at test time: the norm inside makes the update "
        "nonlinear in the memory, unlike the other cells of this family. The state has H² / heads + H "
        "elements. Steps are computed one after another, as the recurrence is not linear. See "
        "entry 2 of docs/errata.md for a difference between this code and the one of flash-linear-attention.",
        trainability="The model inside learns from all symbols before, and training carries the states "
        "through the whole text. A validation begins with the first model, at 4.5 nats, and needs 2,000 "
        "symbols to reach 2.4. With --reset, which starts each window with the first model, a bare layer of "
        "128 units reaches 1.90 nats in 1,000 steps.",
        scope="mixer",
        block="retnet",
        related={
            "delta_net": "has the same update without a norm and a bias, with normalised keys.",
            "titans": "has momentum and forgetting, without a norm.",
        },
    )
    Wx = zoo.Param("I", "3H", init="fan_in_uniform", help="input to queries, keys and values")
    We = zoo.Param("I", "heads", init=small_normal, help="input to the rate of learning")
    be = zoo.Param("heads", help="bias of the rate of learning")
    M0 = zoo.Param("heads", "H/heads", "H/heads", init=small_normal, help="weights of the first model")
    c0 = zoo.Param("H", help="bias of the first model")
    w = zoo.Param("H", init="ones", help="gain of the norm in the model")
    b = zoo.Param("H", help="bias of the norm in the model")
    gain = zoo.Param("H", init="ones", help="gain of the norm of the output")
    bias = zoo.Param("H", help="bias of the norm of the output")
    Wo = zoo.Param("H", "H", init="fan_in_uniform", help="heads to output")
    M = zoo.State("heads", "H/heads", "H/heads", help="change of the weights of the model")
    c = zoo.State("H", help="change of the bias of the model")
    heads = zoo.Option(1, low=1, help="independent models, a divisor of H")
    rate = zoo.Option(1.0, low=0.0, help="largest rate of learning, times the width of a head")
    gates = zoo.Gates(input_gate="eta")

    def step(self, x: Array, M: Array, c: Array) -> zoo.Output:
        q, k, v = zoo.split(x @ self.Wx, 3)
        q, k, v, w, b, c0, c = (a.reshape(self.heads, 1, -1) for a in (q, k, v, self.w, self.b, self.c0, c))
        eta = zoo.sigmoid(x @ self.We + self.be)
        eta_per_width = (self.rate / k.shape[-1]) * eta.reshape(self.heads, 1, 1)
        z = k @ (self.M0 + M) + c0 + c
        z = z - np.mean(z, axis=-1, keepdims=True)
        deviation = np.sqrt(np.mean(z * z, axis=-1, keepdims=True) + 1e-6)
        n = z / deviation
        e = (w * n + b - (v - k)) * w
        centred = e - np.mean(e, axis=-1, keepdims=True) - n * np.mean(e * n, axis=-1, keepdims=True)
        change = eta_per_width * (centred / deviation)
        M = M - k.swapaxes(1, 2) * change
        c = c - change
        o = q + w * zoo.layer_norm(q @ (self.M0 + M) + c0 + c, eps=1e-6) + b
        y = (self.gain * zoo.layer_norm(o.reshape(-1), eps=1e-6) + self.bias) @ self.Wo
        return zoo.Output(y, M, c.reshape(-1))


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register TTT-Linear."""
    register(TTTLinear)
