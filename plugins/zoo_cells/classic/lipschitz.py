"""The Lipschitz recurrent network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def normal_init_std(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Normal with standard deviation ``init_std / H``."""
    return rng.normal(0, cell.init_std / shape[-1], shape)


class Lipschitz(zoo.Cell):
    """Lipschitz RNN: Euler steps of a differential equation whose linear part makes it stable.

    Both matrices are mixtures of a symmetric and an antisymmetric one. With ``beta = 1`` the eigenvalues are
    imaginary, with a smaller ``beta`` they also have real parts, and ``gamma`` moves all of them to the left.

    Equations::

        S(M) = (1 - beta) * (M + M^T) + beta * (M - M^T) - gamma I
        h'   = h + eps * (h S(Ma) + tanh(h S(Mw) + x Wx + b))

    The parameters ``Ma (H, H)`` and ``Mw (H, H)`` start normal with standard deviation ``init_std / H``.
    ``Wx (I, H)`` starts uniform within ``1 / sqrt(I)`` of zero, as in PyTorch's ``nn.Linear``, and ``b (H,)``
    starts at zero. The state ``h (H,)`` is the output.

    Equations, initial values and defaults are taken from https://github.com/erichson/LipschitzRNN at commit
    df6552e (2021), the last one published: its model ``LipschitzRNN`` and the defaults of ``driver.py``. Its
    README sets ``eps=0.03`` and ``beta=0.75`` for MNIST read pixel by pixel.
    """

    family = "classic"
    card = zoo.Card(
        title="Lipschitz Recurrent Neural Networks",
        authors="N. Benjamin Erichson, Omri Azencot, Alejandro Queiruga, Liam Hodgkinson, Michael W. Mahoney",
        year=2020,
        url="https://arxiv.org/abs/2006.12070",
        variant="The cell takes one forward Euler step, without a gate. Both matrices share beta and gamma, "
        "as in the official code.",
        deviations="The bias starts at zero. In the official code, nn.Linear draws it within 1 / sqrt(I) of "
        "zero.",
        history="Erichson, Azencot, Queiruga, Hodgkinson and Mahoney published it in 2020. It extends the "
        "antisymmetric RNN (antisymmetric, 2019): a linear term carries the state, and symmetric parts let "
        "the network forget. The authors give conditions for global stability.",
        when_to_use="Use it for long sequences of smooth inputs, and where robustness matters: the paper "
        "reports that it is less sensitive to perturbations of inputs and parameters than other "
        "continuous-time networks. For text, set a larger eps. A step has two products with H × H matrices, "
        "where vanilla has one.",
        trainability="At the official step of 0.1 the state moves little from one symbol to the next. With a "
        "larger step, such as eps=0.5, it learns text.",
        related={
            "antisymmetric": "has one antisymmetric matrix and no linear term.",
            "gated_antisymmetric": "has one antisymmetric matrix and a gate.",
        },
    )
    Wx = zoo.Param("I", "H", init="fan_in_uniform", help="input to hidden")
    Ma = zoo.Param("H", "H", init=normal_init_std, help="hidden to hidden, linear part")
    Mw = zoo.Param("H", "H", init=normal_init_std, help="hidden to hidden, inside the tanh")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units, and the output")
    eps = zoo.Option(0.1, low=0.0, help="size of a step")
    beta = zoo.Option(0.7, low=0.0, high=1.0, help="share of the antisymmetric part")
    gamma = zoo.Option(0.001, low=0.0, help="damping")
    init_std = zoo.Option(0.1, low=0.0, help="H times the initial standard deviation of Ma and Mw")

    def mixed(self, M: Array) -> Array:
        """Mix the symmetric and the antisymmetric part of a matrix, and damp it."""
        symmetric, antisymmetric = M + M.T, M - M.T
        return (1 - self.beta) * symmetric + self.beta * antisymmetric - self.gamma * zoo.eye(M.shape[-1])

    def step(self, x: Array, h: Array) -> Array:
        drive = zoo.tanh(h @ self.mixed(self.Mw) + x @ self.Wx + self.b)
        return h + self.eps * (h @ self.mixed(self.Ma) + drive)


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the Lipschitz network."""
    register(Lipschitz)
