"""A rate network whose synapses change their strength while it works."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any
Shape = tuple[int, ...]


def signs(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """One for the first, excitatory units, and minus one for the others."""
    return np.where(np.arange(shape[0]) < round(cell.excitatory * shape[0]), 1.0, -1.0)


def weights(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
    """Gamma variates of mean 0.1, or 0.2 to and from inhibitory units, with zeros on the diagonal."""
    is_inhibitory = signs(rng, shape, cell) < 0
    W = rng.gamma(np.where(is_inhibitory[:, None] | is_inhibitory, 0.2, 0.1))
    return W * (1 - np.eye(shape[0]))


def input_weights(rng: np.random.Generator, shape: Shape) -> Array:
    """Gamma variates with a mean of 0.2."""
    return rng.gamma(0.2, size=shape)


def alternating(even: Callable[[Any], float], odd: Callable[[Any], float]) -> Callable[..., Array]:
    """One value for even, facilitating units, and another for odd, depressing ones."""

    def init(rng: np.random.Generator, shape: Shape, cell: Any) -> Array:
        return np.where(np.arange(shape[0]) % 2 == 0, even(cell), odd(cell))

    return init


class STSPRNN(zoo.Cell):
    """STSP RNN: a rate network with short-term synaptic plasticity and units of one sign.

    Activity depletes the transmitter of a synapse and raises its release. Both recover slowly. Half of the
    units are facilitating: release rises first and recovers slowly. The others are depressing. A network can
    thus keep information in its synapses while its units are silent.

    Equations, where d is the depleted part of the transmitter and e the release above its resting value::

        d' = 1 - clip(1 - d + fast * d - dt * (U + e) * (1 - d) * h, 0, 1)
        e' = clip(U + e - slow * e + dt * U * (1 - U - e) * h, 0, 1) - U
        p  = sign * (U + e') * (1 - d') * h
        W  = relu(Wh) * (1 - I)
        h' = relu((1 - alpha) * h + alpha * (x relu(Wx) + p W + b))

    The parameter ``Wx (I, H)`` starts with gamma variates of mean 0.2, and ``Wh (H, H)`` of mean 0.1, or 0.2
    to and from inhibitory units. ``b (H,)`` starts at zero. The buffers are ``sign (H,)``, one for the first,
    excitatory part of the units and minus one for the others, ``U (H,)``, the resting release, ``fast (H,)``,
    the rate at which transmitter recovers, and ``slow (H,)``, the rate at which release returns to rest. The
    states are ``h (H,)``, the firing rates and the output, ``d (H,)`` and ``e (H,)``.

    Equations, initial values and defaults come from https://github.com/nmasse/Short-term-plasticity-RNN
    (Apache-2.0), the code of the paper, whose states are ``1 - d`` and ``U + e``. Weights do not shrink with
    the number of units, because the paper has 100.
    """

    name = "stsp_rnn"
    family = "classic"
    card = zoo.Card(
        title="Circuit mechanisms for the maintenance and manipulation of information in working memory",
        authors="Nicolas Y. Masse, Guangyu R. Yang, H. Francis Song, Xiao-Jing Wang, David J. Freedman",
        year=2019,
        url="https://doi.org/10.1038/s41593-019-0414-3",
        variant="Units with an even index are facilitating, the others depressing, and four of five are "
        "excitatory.",
        deviations="There is no noise. The first rates are zero, and in the paper they start at 0.1 and are "
        "trained. A weight that becomes negative counts as zero, as in the official code. The readout reads "
        "all units, and in the paper the excitatory ones, with positive weights.",
        history="Synapses with two such variables were proposed as a store of working memory without "
        "persistent activity. Masse and others trained networks with them in 2019 and found that synapses "
        "keep information over short delays, and that activity persists where a task has to manipulate it.",
        when_to_use="Use it as a model of working memory in neuroscience, for example on the tasks "
        "delayed_match, match_to_sample and delay_go. The defaults are steps of 10 ms. Change dt and alpha "
        "together. The paper adds a penalty of the squared rates and clips the gradient of each parameter.",
        trainability="Units with alpha = 0.1 follow their input over about ten steps, so they mix the last "
        "symbols of a text.",
        related={
            "ei_rnn": "has fixed synapses.",
            "leaky_rnn": "has fixed synapses and weights of both signs.",
        },
    )
    Wx = zoo.Param("I", "H", init=input_weights, help="input to units, of which the positive part counts")
    Wh = zoo.Param("H", "H", init=weights, help="unit to other units, of which the positive part counts")
    b = zoo.Param("H", help="bias")
    sign = zoo.Buffer("H", init=signs, help="one for excitatory units, minus one for inhibitory ones")
    U = zoo.Buffer("H", init=alternating(lambda _: 0.15, lambda _: 0.45), help="release at rest")
    fast = zoo.Buffer(
        "H",
        init=alternating(lambda cell: 5 * cell.dt, lambda cell: cell.dt / 1.5),
        help="part of the depleted transmitter that recovers in a step",
    )
    slow = zoo.Buffer(
        "H",
        init=alternating(lambda cell: cell.dt / 1.5, lambda cell: 5 * cell.dt),
        help="part of the additional release that ends in a step",
    )
    h = zoo.State("H", help="firing rates, and the output")
    d = zoo.State("H", help="depleted part of the transmitter")
    e = zoo.State("H", help="release above its value at rest")
    dt = zoo.Option(0.01, low=1e-6, high=0.2, help="seconds of a time step")
    alpha = zoo.Option(0.1, low=0.0, high=1.0, help="time step divided by the time constant of a unit")
    excitatory = zoo.Option(0.8, low=0.0, high=1.0, help="part of the units that are excitatory")

    def step(self, x: Array, h: Array, d: Array, e: Array) -> tuple[Array, Array, Array]:
        depleted, release = self.dt * (self.U + e) * (1 - d) * h, self.dt * self.U * (1 - self.U - e) * h
        d = 1 - np.clip(1 - d + self.fast * d - depleted, 0.0, 1.0)
        e = np.clip(self.U + e - self.slow * e + release, 0.0, 1.0) - self.U
        p = self.sign * (self.U + e) * (1 - d) * h
        W = zoo.relu(self.Wh) * (1 - zoo.eye(h.shape[-1]))
        h = (1 - self.alpha) * h + self.alpha * (x @ zoo.relu(self.Wx) + p @ W + self.b)
        return zoo.relu(h), d, e


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the network with short-term synaptic plasticity."""
    register(STSPRNN)
