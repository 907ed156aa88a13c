"""Nonlinear vector autoregression: reservoir computing without a reservoir."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


class NVAR(zoo.Cell):
    """Next-generation reservoir computing: a linear map of recent inputs and of their products.

    The cell has no units that are trained or drawn at random: its state is the last inputs. ``delay`` inputs,
    ``stride`` steps apart, the present one first, are the linear features. All products of two of them are
    the nonlinear ones. It forgets everything older than ``(delay - 1) * stride`` steps.

    Equations::

        u    = x, x[t - stride], ..., x[t - (delay - 1) * stride]     side by side
        y    = b + u Wl + outer(u, u) Wq
        past' = x, past without its oldest row

    The parameters are ``b (H,)``, which starts at zero, ``Wl (delay I, H)`` and ``Wq (delay I delay I, H)``,
    which start Glorot uniform. The state ``past ((delay - 1) * stride, I)`` starts at zero, with the latest
    input first. The output ``y`` has size H.

    The features come from the code of the paper (https://github.com/quantinfo/ng-rc-paper-code) and from
    ``NVAR`` of ReservoirPy (https://github.com/reservoirpy/reservoirpy, MIT). The defaults are the values
    with which the paper forecasts the Lorenz system.
    """

    name = "nvar"
    family = "classic"
    card = zoo.Card(
        title="Next generation reservoir computing",
        authors="Daniel J. Gauthier, Erik Bollt, Aaron Griffith, Wendson A. S. Barbosa",
        year=2021,
        url="https://doi.org/10.1038/s41467-021-25801-2",
        variant="The features are a constant, delayed inputs and their products of order two.",
        deviations="The weights of the readout for the features are a product of Wl or Wq and the readout of "
        "the model, so their rank is at most H. A product of two different elements appears twice in "
        "outer(u, u), and its weight is a sum of two. Products of order three, which the paper uses for the "
        "double-scroll circuit, are left out. The paper fits the weights by ridge regression, and a model "
        "trains them by gradients.",
        history="Bollt showed in 2021 that a reservoir of linear units with a quadratic readout is a "
        "nonlinear vector autoregression. Gauthier and others published it as next-generation reservoir "
        "computing in the same year. Their code forecasts the Lorenz system from 400 points.",
        when_to_use="Use it as a baseline for time series with few columns whose next value depends on few "
        "recent ones, as in chaotic systems. The number of parameters grows with (delay I)², so choose "
        "another cell for text or many columns. Scale the inputs, because products have the square of their "
        "scale.",
        also=(
            zoo.Card(
                title="On Explaining the Surprising Success of Reservoir Computing Forecaster of Chaos? The "
                "Universal Machine Learning Dynamical System with Contrasts to VAR and DMD",
                authors="Erik Bollt",
                year=2021,
                url="https://arxiv.org/abs/2008.06530",
            ),
        ),
        related={
            "esn": "has a reservoir in place of the products.",
            "lmu": "remembers a long window of the input in few numbers.",
        },
    )
    Wl = zoo.Param("delay*I", "H", init="glorot_uniform", help="delayed inputs to the output")
    Wq = zoo.Param(
        "delay*I*delay*I", "H", init="glorot_uniform", help="products of two of them to the output"
    )
    b = zoo.Param("H", help="bias")
    past = zoo.State("(delay-1)*stride", "I", help="the previous inputs, the latest first")
    delay = zoo.Option(2, low=2, high=64, help="number of inputs, with the present one")
    stride = zoo.Option(1, low=1, high=64, help="steps between two inputs")

    def step(self, x: Array, past: Array) -> zoo.Output:
        u = np.concatenate([x, past[self.stride - 1 :: self.stride].reshape(-1)])
        size = u.shape[0]
        # This equals outer(u, u).reshape(-1) @ Wq. It computes delay I H values for each time step, not
        # (delay I)². Both passes of 97 features and H=2 take 17 us a token in place of 387, but those of 3
        # features and H=128 take 1.8 in place of 0.9 (AMD EPYC, Zen 3).
        quadratic = u @ (u @ self.Wq.reshape(size, -1)).reshape(size, -1)
        return zoo.Output(self.b + u @ self.Wl + quadratic, np.concatenate([x[None], past[:-1]]))


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the nonlinear vector autoregression."""
    register(NVAR)
