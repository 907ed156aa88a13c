"""The simplified state space layer S5."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_cells.linear._discretisation import log_uniform_steps, zero_order_hold

Array = Any
Shape = tuple[int, ...]


def hippo_normal(size: int) -> tuple[Array, Array]:
    """Eigenvalues and eigenvectors of HiPPO-N, the normal part of the matrix HiPPO-LegS.

    They come in conjugate pairs, and the half with the lower imaginary parts is returned, ``(size / 2,)`` and
    ``(size, size / 2)``. The symmetric part is ``-1/2`` times the identity, so the eigenvalues of a
    skew-symmetric matrix are enough.
    """
    n = np.arange(size)
    root = np.sqrt(2 * n + 1)
    skew = np.outer(root, root) / 2 * np.sign(n[None, :] - n[:, None])
    turn, vectors = np.linalg.eigh(-1j * skew)
    return -0.5 + 1j * turn[: size // 2], vectors[:, : size // 2]


def poles(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """The eigenvalues of HiPPO-N for each block."""
    return np.tile(hippo_normal(2 * shape[0] // cell.blocks)[0], cell.blocks)


def into_eigenvectors(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Real normal with variance ``1 / order``, in the basis of the eigenvectors of each block."""
    size = 2 * shape[1] // cell.blocks
    drawn = rng.normal(0, math.sqrt(1 / cell.order), (shape[0], cell.blocks, size))
    return (drawn @ hippo_normal(size)[1].conj()).reshape(shape)


def from_eigenvectors(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Complex normal, both parts with variance ``1 / order``, in the basis of the eigenvectors."""
    size = 2 * shape[0] // cell.blocks
    real, imaginary = rng.normal(0, math.sqrt(1 / cell.order), (2, shape[1], cell.blocks, size))
    return ((real + 1j * imaginary) @ hippo_normal(size)[1]).reshape(shape[1], shape[0]).T


class S5(zoo.Cell):
    """Simplified state space layer: one diagonal linear system that reads all inputs and gives all outputs.

    S4D filters channel by channel, and here all channels share ``order / 2`` fading oscillations. Each has a
    step of its own, over which the input is held (zero-order hold). The cell is linear in input and state.
    Nonlinear functions belong to the layers around it.

    Equations::

        dt = exp(log_dt)
        s' = exp(A * dt) * s + (exp(A * dt) - 1) / A * (x B)
        y  = 2 Re(s' C) + x D

    With ``clip``, the real parts of A are at most ``-1e-4``. The conjugates of the poles are not stored. The
    factor 2 accounts for them.

    The parameter ``A (order / 2,)`` is complex and starts as ``blocks`` copies of the eigenvalues with
    negative imaginary part of HiPPO-N of size ``order / blocks``, in ascending order. ``log_dt (order / 2,)``
    starts uniform between the logarithms of ``dt_min`` and ``dt_max``. ``B (I, order / 2)`` and
    ``C (order / 2, H)`` are complex. For each block they start as ``B conj(V)`` and ``V^T C``, where V has
    the eigenvectors, B is real normal and C complex normal, and B and both parts of C have variance
    ``1 / order``. ``D (I, H)`` starts normal with variance ``1 / I``. The state ``s (order / 2,)`` is
    complex. The output ``y`` is real and has size H.

    Equations, initial values and defaults come from https://github.com/lindermanlab/S5, ``s5/ssm.py`` with
    conjugate symmetry and zero-order hold. Without ``clip``, which is the default there, too, training may
    reach poles that grow.
    """

    name = "s5"
    family = "linear"
    card = zoo.Card(
        title="Simplified State Space Layers for Sequence Modeling",
        authors="Jimmy T.H. Smith, Andrew Warrington, Scott W. Linderman",
        year=2022,
        url="https://arxiv.org/abs/2208.04933",
        variant="The cell has conjugate symmetry, zero-order hold, one step per pole, and blocks of HiPPO-N "
        "at first.",
        deviations="D is a matrix (I, H), where the paper has a diagonal, which needs I = H. Normal draws "
        "are not truncated at two deviations. The GELU or gate after the recurrence is left out.",
        history="Smith, Warrington and Linderman published it in 2022. It replaces the many small systems "
        "of S4 by one system with many inputs and outputs, and its convolution by a parallel scan. The LRU "
        "(lru) reached similar results in 2023 without the theory of HiPPO.",
        when_to_use="Use it for long real signals, in stacks with nonlinear layers between, because it is "
        "linear in input and state. The paper reports 87.4 % on average in the Long Range Arena, with whole "
        "blocks. The state has order elements whatever H is, 256 by default, so reduce order when you "
        "compare small models by parameters. Set clip to keep poles from growing in long training.",
        block="glu",
        related={
            "s4d": "has poles and a time step for each channel.",
            "lru": "has one pole for each unit, without a continuous time step.",
        },
    )
    A = zoo.Param("order/2", init=poles, complex=True, help="poles, in continuous time")
    log_dt = zoo.Param("order/2", init=log_uniform_steps, help="logarithm of a pole's step")
    B = zoo.Param("I", "order/2", init=into_eigenvectors, complex=True, help="input to states")
    C = zoo.Param("order/2", "H", init=from_eigenvectors, complex=True, help="states to output")
    D = zoo.Param("I", "H", init="lecun_normal", help="input to output")
    s = zoo.State("order/2", complex=True, help="oscillations that all channels share")
    order = zoo.Option(256, low=2, high=4096, help="poles, in conjugate pairs. A multiple of 2 * blocks")
    blocks = zoo.Option(8, low=1, high=2048, help="number of equal blocks of initial poles")
    dt_min = zoo.Option(0.001, low=1e-6, high=10.0, help="shortest initial step")
    dt_max = zoo.Option(0.1, low=1e-6, high=10.0, help="longest initial step")
    clip = zoo.Option(False, help="keep the real part of every pole below zero")

    def step(self, x: Array, s: Array) -> zoo.Output:
        A = np.minimum(self.A.real, -1e-4) + 1j * self.A.imag if self.clip else self.A
        keep, take = zero_order_hold(A, np.exp(self.log_dt))
        s = keep * s + take * (x @ self.B)
        return zoo.Output(2 * (s @ self.C).real + x @ self.D, s)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register S5."""
    register(S5)
