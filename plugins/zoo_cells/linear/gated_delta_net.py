"""Gated DeltaNet: fast weights that fade before the delta rule corrects them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._initializers import inverse_softplus_log_uniform
from zoo_cells.linear._norms import l2_normalised

Array = Any


def rates(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Logarithms of numbers that are uniform between 0 and 16."""
    # One minus the draw, which may be zero and then has no logarithm.
    return np.log(16 * (1 - rng.uniform(size=shape)))


class GatedDeltaNet(zoo.Cell):
    """Gated DeltaNet: ``delta_net`` whose memory also decays, at a rate that depends on the input.

    The memory of DeltaNet is multiplied by ``alpha`` before each correction. A gate near zero clears the
    memory at once, where the delta rule alone clears one key at a time. The gate is the one of Mamba 2. The
    parts of the input product are, in order, the query q, the key k and the value v, each ``heads`` times
    ``D = H / heads``.

    Equations, for each head::

        q, k, v = silu(x Wx)
        q, k = q / |q|, k / |k|
        beta = sigmoid(x Wb)
        alpha = exp(-exp(A) * softplus(x Wa + ba))
        S' = alpha * S + outer(k, beta * (v - alpha * k S))
        y  = (q S') / sqrt(D)

    With ``negative_eigenvalues``, the rate of writing is ``2 beta``, so that a key can change the sign of the
    value that it finds (R. Grazzi and others 2024, https://arxiv.org/abs/2411.12537).

    The parameters ``Wx (I, 3H)``, ``Wb (I, heads)`` and ``Wa (I, heads)`` start Glorot uniform.
    ``A (heads,)`` starts as the logarithm of a number that is uniform between 0 and 16. ``ba (heads,)``
    starts such that its softplus is between 0.001 and 0.1, uniform in the logarithm. The state
    ``S (heads, D, D)`` maps keys to values. The output ``y`` has size H and holds the heads side by side.

    Equations and the initial values of ``A`` and ``ba`` come from
    https://github.com/fla-org/flash-linear-attention (``fla/layers/gated_deltanet.py``,
    ``fla/ops/gated_delta_rule/naive.py`` and ``gate.py``), including its constant ``1e-6`` under the root of
    the lengths. The same parts of the layer are left out as in ``delta_net``, so that the two cells differ by
    the gate alone.
    """

    family = "linear"
    card = zoo.Card(
        title="Gated Delta Networks: Improving Mamba2 with Delta Rule",
        authors="Songlin Yang, Jan Kautz, Ali Hatamizadeh",
        year=2024,
        url="https://arxiv.org/abs/2412.06464",
        variant="This is the gated delta rule with one gate and one rate of writing for each head. Keys, "
        "queries and values pass through silu, keys and queries are normalised to length one, and the "
        "output is scaled.",
        deviations="This is the recurrence alone. The short convolutions before it (see the modifier "
        "short_convolution) and the RMS norm, output gate and projection after it are left out, and the "
        "block deltanet has no gate. Values are as wide as keys, where the official layer has values twice "
        "as wide. The cell has one head by default, and the official layer has six of size 256.",
        history="Yang, Kautz and Hatamizadeh published it in 2024. It combines the gate of Mamba 2 "
        "(mamba2), which erases quickly, with the delta rule of DeltaNet, which updates single keys. Hybrid "
        "language models such as Qwen3-Next use it as their linear layer, and Kimi delta attention (kda, "
        "2025) refines the gate to one value for each row.",
        when_to_use="Use it in place of delta_net for long sequences, because it can forget. The state has "
        "H² / heads elements, so memory and time grow with H². The paper reports better results than Mamba "
        "2 and DeltaNet with the whole block around it, and this cell is the recurrence alone. Without the "
        "norm after it, outputs are small at first and text is learned slowly.",
        trainability="It learns slowly without the norm that follows it in a block. With an RMS norm it "
        "learns faster.",
        block="deltanet",
        related={
            "m2rnn": "has a nonlinear update of its memory.",
            "delta_net": "does not forget.",
            "kda": "has a gate for each row of the memory.",
            "gated_delta_net2": "has separate gates for erasing and writing.",
            "gated_delta_product": "makes several corrections at every step.",
            "comba": "corrects with a shorter key and feeds back the output.",
            "titans": "adds momentum.",
            "mesa_net": "solves for the best memory at every step.",
            "mamba2": "has the same gate and adds pairs without a correction.",
            "mamba": "has the same kind of gate without a key and value memory.",
            "gla": "has a gate for each row of the memory and no correction.",
            "matrix_lstm": "has an exponential input gate and no correction.",
            "momentum_delta_net": "has a momentum of the corrections.",
            "precond_gated_delta_net": "writes less to rows that keys have used often.",
        },
    )
    Wx = zoo.Param("I", "3H", init="glorot_uniform", help="input to queries, keys and values")
    Wb = zoo.Param("I", "heads", init="glorot_uniform", help="input to the rate of writing")
    Wa = zoo.Param("I", "heads", init="glorot_uniform", help="input to the rate of forgetting")
    ba = zoo.Param("heads", init=inverse_softplus_log_uniform, help="bias of the rate of forgetting")
    A = zoo.Param("heads", init=rates, help="logarithm of the scale of the rate of forgetting")
    S = zoo.State("heads", "H/heads", "H/heads", help="fast weights, from keys to values")
    heads = zoo.Option(1, low=1, help="independent memories, a divisor of H")
    negative_eigenvalues = zoo.Option(False, help="whether the rate of writing goes up to two, not one")
    gates = zoo.Gates(input_gate="beta", forget_gate="alpha")

    def step(self, x: Array, S: Array) -> zoo.Output:
        q, k, v = zoo.split(zoo.silu(x @ self.Wx), 3)
        q = l2_normalised(q.reshape(self.heads, 1, -1))
        k = l2_normalised(k.reshape(self.heads, 1, -1))
        v = v.reshape(self.heads, 1, -1)
        beta = zoo.sigmoid(x @ self.Wb).reshape(self.heads, 1, 1)
        rate = 2 * beta if self.negative_eigenvalues else beta
        alpha = zoo.exp(-zoo.exp(self.A) * zoo.softplus(x @ self.Wa + self.ba))
        S = alpha[:, None, None] * S
        S = S + k.swapaxes(1, 2) * (rate * (v - k @ S))
        return zoo.Output((q @ S).reshape(-1) / np.sqrt(S.shape[-1]), S)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register Gated DeltaNet."""
    register(GatedDeltaNet)
