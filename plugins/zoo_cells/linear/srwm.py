"""The self-referential weight matrix: a matrix that changes itself by the delta rule."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def weights(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with standard deviation ``1 / sqrt(D)``."""
    return rng.normal(0, 1 / math.sqrt(shape[1]), shape)


class SRWM(zoo.Cell):
    """Self-referential weight matrix: a matrix that computes its own keys, queries and rates of change.

    The product of an input and the matrix is an output y, a key k, a query q and four rates beta. The delta
    rule then changes the matrix: the value that it has at the key moves towards the value that it has at the
    query. The four rates are for the columns of y, q, k and beta. No other network programs the matrix,
    and the state M is the change since the first step, of the trained matrix W.

    Equations, for each head::

        z = softmax(x Wx)
        y, q, k, b = z (W + M)
        q, k = softmax(q), softmax(k)
        M' = M + outer(k, rates * (q - k) (W + M))

    Here ``rates`` repeats the four elements of ``sigmoid(b)`` D, D, D and 4 times. A matrix has ``3 D + 4``
    columns with ``D = H / heads``.

    The parameter ``Wx (I, H)`` starts uniform within one over the root of I, and ``W (heads, D, 3D + 4)``
    normal with a standard deviation of ``1 / sqrt(D)``. The state is ``M (heads, D, 3D + 4)``. The output
    ``y`` has size H and holds the heads side by side.

    Equations and initial values come from the code of the authors (https://github.com/IDSIA/modern-srwm,
    ``layer.py``, ``self_ref_v0/__init__.py`` and ``main_few_shot_sync.py`` in ``supervised_learning``).
    """

    name = "srwm"
    family = "linear"
    card = zoo.Card(
        title="A Modern Self-Referential Weight Matrix That Learns to Modify Itself",
        authors="Kazuki Irie, Imanol Schlag, Róbert Csordás, Jürgen Schmidhuber",
        year=2022,
        url="https://arxiv.org/abs/2202.05780",
        variant="This is the matrix with four rates of change for each head. A softmax is taken of inputs, "
        "keys and queries.",
        deviations="The matrix Wx, which maps inputs to H units, is not in the official layer, whose inputs "
        "are as wide as its outputs. The block prenorm has the layer norm, the projection and the skip "
        "connection around it, and the feed-forward layer after it is left out. The softmax of the inputs is "
        "in the official models for reinforcement learning, and an option of the ones for few-shot "
        "learning. There is one head by default.",
        history="Schmidhuber described networks that change all of their weights in the 1990s. Irie and "
        "others published this form in 2022. It learns by the delta rule of DeltaNet (delta_net), where a "
        "second network programs the fast weights.",
        when_to_use="Use it to study learning that changes its own rule. Keys, queries and rates depend on "
        "the state, so that no chunk of steps can be computed at once. The state has H (3 H / heads + 4) "
        "elements.",
        trainability="It learns slowly at the default learning rate without the layer norm of its block. "
        "After 500 updates in the block prenorm, or with a rate of 0.01, its loss is as low as after 3,000 "
        "here.",
        block="prenorm",
        related={
            "delta_net": "has keys and queries that depend on the input alone.",
        },
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to the units that the matrix reads")
    W = zoo.Param("heads", "H/heads", "3*H/heads+4", init=weights, help="matrix before the first change")
    M = zoo.State("heads", "H/heads", "3*H/heads+4", help="changes of the matrix")
    heads = zoo.Option(1, low=1, help="independent matrices, a divisor of H")

    def step(self, x: Array, M: Array) -> zoo.Output:
        z = zoo.softmax((x @ self.Wx).reshape(self.heads, 1, -1))
        size = z.shape[-1]
        y, q, k, b = np.split((z @ self.W + z @ M)[:, 0], [size, 2 * size, 3 * size], axis=-1)
        q, k = zoo.softmax(q), zoo.softmax(k)
        rates = zoo.sigmoid(b)
        row = (q - k)[:, None]
        dy, dq, dk, db = np.split(row @ self.W + row @ M, [size, 2 * size, 3 * size], axis=-1)
        r0, r1, r2, r3 = np.split(rates[:, None], 4, axis=-1)
        change = np.concatenate([r0 * dy, r1 * dq, r2 * dk, r3 * db], axis=-1)
        return zoo.Output(y.reshape(-1), M + k[:, :, None] * change)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the self-referential weight matrix."""
    register(SRWM)
