"""A cell and a function that another process can import by name, for tests of pickles."""

from __future__ import annotations

import numpy as np

import zoo
from zoo.kernels import pure_python


class Own(zoo.Cell):
    """A cell of a user's own file."""

    card = zoo.Card(title="None", authors="Nobody", year=2026, url="https://example.org")
    W = zoo.Param("I", "H", init="glorot_uniform")
    U = zoo.Param("H", "H", init="orthogonal")
    h = zoo.State("H")
    gain = zoo.Option(1.0)

    def step(self, x, h):
        return np.tanh(self.gain * (x @ self.W + h @ self.U))


def outcome(rnn: zoo.Recurrent) -> list[np.ndarray]:
    """All that a pass forward and back gives."""
    x = np.random.default_rng(0).normal(size=(5, 2, 3))
    with pure_python():
        y, last = rnn.forward(x, noise=(1, 2))
        dx, dfirst = rnn.backward(np.ones_like(y))
    return [y, *last.values(), dx, *dfirst.values(), rnn.grad.copy()]
