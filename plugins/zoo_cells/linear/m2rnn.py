"""M2RNN: a matrix memory with a nonlinear update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform
from zoo_cells.linear._norms import rms_norm
from zoo_cells.linear.gated_delta_net import rates

Array = Any


def projections(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with a standard deviation of 0.02."""
    return rng.normal(0, 0.02, shape)


def identities(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """An identity matrix for each head."""
    return np.broadcast_to(np.eye(shape[1]), shape).copy()


class M2RNN(zoo.Cell):
    """M2RNN: a recurrent network whose state is a matrix, with a forget gate for each head.

    Each head keeps a matrix from keys to values. Every step multiplies it by a trained matrix, adds the pair
    of key and value, and takes the tanh, as a vanilla network does with a vector. The forget gate weighs the
    old matrix against this candidate. The tanh makes the recurrence nonlinear, so it can track states that
    linear recurrences cannot track. The parts of the input product are, in order, the query q, the key k, the
    value v and the output gate g (H each) and the forget gate f (heads). Heads have width ``D = H / heads``.

    Equations, for each head::

        q, k, v, g, f = x Wx
        q, k, v = silu(q), silu(k), silu(v)
        alpha = exp(-exp(A) * softplus(f + ba))
        S' = alpha * S + (1 - alpha) * tanh(S W + outer(k, v))
        o  = (q S' + d * v) * silu(g)
        y  = (gain * o / sqrt(mean(o²) + 1e-5)) Wo            mean over all heads

    The parameters ``Wx (I, 4H + heads)`` and ``Wo (H, H)`` start normal with a standard deviation of 0.02.
    ``W (heads, D, D)`` starts at the identity. ``A (heads,)`` starts as the logarithm of a number that is
    uniform between 0 and 16, and ``ba (heads,)`` such that its softplus is between 0.001 and 0.1, uniform in
    the logarithm. ``d (H,)`` and ``gain (H,)`` start at one. The state is ``S (heads, D, D)``. The output
    ``y`` has size H.

    Equations and initial values come from https://github.com/open-lm-engine/lm-engine
    (``lm_engine/modeling_utils/sequence_mixer_blocks/m2rnn``) and its configuration
    ``configs/research/m2rnn/400m-normal/m2rnn.yml``.
    """

    name = "m2rnn"
    family = "linear"
    card = zoo.Card(
        title="M²RNN: Non-Linear RNNs with Matrix-Valued States for Scalable Language Modeling",
        authors="Mayank Mishra, Shawn Tan, Ion Stoica, Joseph Gonzalez, Tri Dao",
        year=2026,
        url="https://arxiv.org/abs/2603.14360",
        variant="This is the mixer with the connection past the memory, the output gate, the RMS norm and "
        "the projection.",
        deviations="The short convolution of queries, keys and values before the memory is left out, but "
        "its silu is kept. All heads have their own queries and keys, as wide as values, where the official "
        "configuration shares one query and one key of size 64 among 84 heads of size 16. Gradients of the "
        "state are not clipped, where the official code clips them to one. The factor of Wo for the depth "
        "of a model is left out. The norms, residual connections and MLP around the mixer belong to the "
        "block retnet.",
        history="Mishra and others published it in 2026. Linear recurrences with matrix states, such as "
        "Mamba 2 (mamba2) and Gated DeltaNet (gated_delta_net), can be trained in parallel over time. M2RNN "
        "gives this up for a nonlinear update, and the paper reports that single layers of it improve "
        "hybrid models.",
        when_to_use="Use it for tasks that track a state over lengths beyond training, which the paper "
        "reports to be solved. At the budget of the results it stays at chance on parity. The state has "
        "H² / heads elements, and each step multiplies it by a D × D matrix for each head, so small heads "
        "are faster. It starts with small weights, as the official code, and needs the norm of its block.",
        scope="mixer",
        block="retnet",
        trainability="One-hot input times weights of 0.02 is so small that the 1e-5 in the norm outweighs "
        "the outputs at first. It learns more with larger learning rates, and in its block.",
        related={
            "mamba2": "is linear in its memory.",
            "gated_delta_net": "is linear in its memory and corrects it.",
            "vanilla": "has a vector state and no gate.",
        },
    )
    Wx = zoo.Param("I", "4H+heads", init=projections, help="input to q, k, v, output gate and forget gate")
    W = zoo.Param("heads", "H/heads", "H/heads", init=identities, help="memory to candidate")
    ba = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the rate of forgetting")
    A = zoo.Param("heads", init=rates, help="logarithm of the scale of the rate of forgetting")
    d = zoo.Param("H", init="ones", help="values to output, past the memory")
    gain = zoo.Param("H", init="ones", help="gain of the norm")
    Wo = zoo.Param("H", "H", init=projections, help="heads to output")
    S = zoo.State("heads", "H/heads", "H/heads", help="memory, from keys to values")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    gates = zoo.Gates(input_gate="1 - alpha", forget_gate="alpha")

    def step(self, x: Array, S: Array) -> zoo.Output:
        parts = x @ self.Wx
        units = self.d.shape[0]
        q, k, v = zoo.split(zoo.silu(parts[: 3 * units]), 3)
        g, f = parts[3 * units : 4 * units], parts[4 * units :]
        alpha = zoo.exp(-zoo.exp(self.A) * zoo.softplus(f + self.ba))
        pair = k.reshape(self.heads, -1, 1) * v.reshape(self.heads, 1, -1)
        kept = alpha[:, None, None]
        S = kept * S + (1 - kept) * zoo.tanh(S @ self.W + pair)
        o = (q.reshape(self.heads, 1, -1) @ S).reshape(-1) + self.d * v
        return zoo.Output((self.gain * rms_norm(o * zoo.silu(g), 1e-5)) @ self.Wo, S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the M2RNN."""
    register(M2RNN)
