"""Mamba 3: a selective state space with a trapezoidal rule and rotating keys and queries."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform
from zoo_cells.linear._norms import rms_norm

Array = Any
TURN = 2 * math.pi
# The smallest rate of forgetting.
LOWEST = 1e-4


class Mamba3(zoo.Cell):
    """Mamba 3: ``mamba2`` with inputs of two time steps, and a state that rotates.

    The cell is the whole mixer with a single input and output for each channel (SISO). There are
    ``E = expand * H`` channels u in heads of ``E / heads``, with ``N = order`` integrators for each channel.
    Three changes make it differ from Mamba 2. A trapezoidal rule mixes the inputs of this step and of the
    last one, by a share lam, in place of a short convolution. Half of the integrators rotate in pairs by
    angles that depend on the input, which amounts to complex states. The key B and the query C are normalised
    and have a bias for each head. The parts of the input product are, in order, the gate z (E), the channels
    u (E), B and C (N each), the step dt, the rate a and the share lam (heads each), and the rotations (N /
    4).

    Equations, for each head::

        z, u, B, C, dt, a, lam, r = x Wx
        dt = softplus(dt + bd)
        a  = max(a + 1 if a >= 0 else 1 / (1 - a), 1e-4)
        lam = sigmoid(lam)
        angle' = (angle + pi * tanh(r) * dt) mod 2 pi
        k  = rotate(gainB * B / sqrt(mean(B²) + 1e-5) + biasB, angle')
        q  = rotate(gainC * C / sqrt(mean(C²) + 1e-5) + biasC, angle')
        alpha = exp(-a * dt)
        h' = alpha * h + (1 - lam) * dt * alpha * outer(v, key) + lam * dt * outer(u, k)
        y  = ((h' q + D * u) * silu(z)) Wo                         heads side by side
        key', v' = k, u

    ``rotate`` turns the first N / 4 pairs of neighbouring elements by the angles.

    The parameters ``Wx (I, 2E + 2N + 3 heads + N / 4)`` and ``Wo (E, H)`` start uniform within one over the
    root of their first size. ``bd (heads,)`` starts such that its softplus is between 0.001 and 0.1, uniform
    in the logarithm. ``gainB (N,)``, ``gainC (N,)``, ``biasB (heads, N)``, ``biasC (heads, N)`` and
    ``D (heads,)`` start at one. The states are ``h (heads, E / heads, N)``, the angles
    ``angle (heads, N / 4)``, and key and channels of the last step, ``key (heads, N)`` and
    ``v (heads, E / heads)``. The output ``y`` has size H.

    Equations and initial values come from ``mamba_ssm/modules/mamba3.py`` and ``mamba3_siso_step_ref`` in
    ``tests/ops/triton/test_mamba3_siso.py`` of https://github.com/state-spaces/mamba.
    """

    name = "mamba3"
    family = "linear"
    card = zoo.Card(
        title="Mamba-3: Improved Sequence Modeling using State Space Principles",
        authors="Aakash Lahoti, Kevin Y. Li, Berlin Chen, Caitlin Wang, Aviv Bick, J. Zico Kolter, Tri Dao, "
        "Albert Gu",
        year=2026,
        url="https://arxiv.org/abs/2603.15569",
        variant="This is the form with a single input and output for each channel (SISO), one group of B "
        "and C, rotations of half of the integrators, and no norm before the projection, the defaults of "
        "the official code.",
        deviations="The form with several inputs and outputs (MIMO) is left out. The input may have another "
        "size than the output. There is one head by default, as in other cells, and the official code has "
        "heads of 64 channels. There are 16 integrators for each channel by default, and the official code "
        "has 128. The paper alternates mixers and SwiGLU, each with a norm and a residual connection. The "
        "block retnet has these parts, and Mamba's block has no SwiGLU.",
        history="Lahoti and others published it in 2026. Mamba 2 (mamba2, 2024) simplified Mamba (mamba) "
        "for speed on GPUs. Mamba 3 improves the discretisation, brings back complex states in the form of "
        "rotations, which can track states such as parity, and needs no convolution.",
        when_to_use="Use it in a stack with a norm and residual connections, as in the paper. Set heads to "
        "E / 64 for the official layout. The rotations help where positions or counts modulo a number "
        "matter. The state has about 33 H elements with the default options.",
        scope="mixer",
        block="retnet",
        related={
            "mamba2": "has a convolution, and no rotation.",
            "mamba": "has a step of its own for each channel.",
            "retnet": "has rotations by fixed angles.",
        },
    )
    Wx = zoo.Param(
        "I",
        "2*expand*H+2*order+3*heads+order/4",
        init="fan_in_uniform",
        help="input to z, u, B, C, dt, a, lam and rotations",
    )
    bd = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the steps")
    gainB = zoo.Param("order", init="ones", help="gain of the norm of B")
    gainC = zoo.Param("order", init="ones", help="gain of the norm of C")
    biasB = zoo.Param("heads", "order", init="ones", help="bias of B after the norm")
    biasC = zoo.Param("heads", "order", init="ones", help="bias of C after the norm")
    D = zoo.Param("heads", init="ones", help="channels to output, past the integrators")
    Wo = zoo.Param("expand*H", "H", init="fan_in_uniform", help="channels to output")
    h = zoo.State("heads", "expand*H/heads", "order", help="integrators of every channel")
    angle = zoo.State("heads", "order/4", help="angles of the pairs of integrators")
    key = zoo.State("heads", "order", help="rotated B of the last step")
    v = zoo.State("heads", "expand*H/heads", help="channels of the last step")
    expand = zoo.Option(2, low=1, help="channels per hidden unit")
    heads = zoo.Option(1, low=1, help="groups of channels with an own decay, a divisor of expand * H")
    order = zoo.Option(16, low=4, help="integrators in a channel, N, a multiple of four")
    gates = zoo.Gates(input_gate="lam", forget_gate="alpha")

    def step(self, x: Array, h: Array, angle: Array, key: Array, v: Array) -> zoo.Output:
        E, N, heads = self.Wo.shape[0], self.order, self.heads
        z, u, B, C, dt, a, lam, r = _parts(x @ self.Wx, (E, E, N, N, heads, heads, heads, N // 4))
        dt = zoo.softplus(dt + self.bd)
        speed = np.maximum(a, 0.0) + 1 / (1 - np.minimum(a, 0.0))
        alpha = zoo.exp(-np.maximum(speed, LOWEST) * dt)
        lam = zoo.sigmoid(lam)
        angle = np.remainder(angle + (math.pi * zoo.tanh(r)) * dt[:, None], TURN)
        k = _rotated(self.gainB * rms_norm(B, 1e-5) + self.biasB, angle)
        q = _rotated(self.gainC * rms_norm(C, 1e-5) + self.biasC, angle)
        u = u.reshape(heads, -1)
        before = ((1 - lam) * dt * alpha)[:, None] * v
        now = (lam * dt)[:, None] * u
        h = alpha[:, None, None] * h + before[:, :, None] * key[:, None] + now[:, :, None] * k[:, None]
        o = (h @ q[:, :, None])[:, :, 0] + self.D[:, None] * u
        return zoo.Output((o.reshape(-1) * zoo.silu(z)) @ self.Wo, h, angle, k, u)


def _parts(values: Array, sizes: tuple[int, ...]) -> list[Array]:
    bounds = np.cumsum((0, *sizes))
    return [values[first:last] for first, last in itertools.pairwise(bounds)]


def _rotated(rows: Array, angle: Array) -> Array:
    pairs = rows[:, : rows.shape[1] // 2].reshape(rows.shape[0], -1, 2)
    cosine, sine = np.cos(angle), np.sin(angle)
    first, second = pairs[:, :, 0], pairs[:, :, 1]
    turned = np.stack([first * cosine - second * sine, first * sine + second * cosine], axis=-1)
    return np.concatenate([turned.reshape(rows.shape[0], -1), rows[:, rows.shape[1] // 2 :]], axis=1)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Mamba 3."""
    register(Mamba3)
