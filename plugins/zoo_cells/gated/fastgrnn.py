"""The FastGRNN: one pair of matrices for gate and candidate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo

Array = Any


def normal_01(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Normal with standard deviation 0.1 for every size."""
    return rng.normal(0, 0.1, shape)


def scales(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """One for zeta and minus four for nu: the candidate has little weight where the gate is open."""
    return np.array([1.0, -4.0])


class FastGRNN(zoo.Cell):
    """FastGRNN: gate and candidate share the matrices of a vanilla RNN, for devices of a few kilobytes.

    Gate and candidate differ in their biases alone. Two trained numbers set how much of the candidate is
    added where the gate is closed, and how much in any case. The order in the biases is gate z, candidate n.

    Equations::

        a = x Wx + h Wh
        bz, bn = b
        zeta, nu = scale
        z = sigmoid(a + bz)
        n = tanh(a + bn)
        h' = z * h + (sigmoid(zeta) * (1 - z) + sigmoid(nu)) * n

    Parameters: ``Wx (I, H)`` and ``Wh (H, H)`` normal with standard deviation 0.1, ``b (2H,)`` one,
    ``scale (2,)`` in the order zeta, nu, which start at 1 and -4. State and output: ``h (H,)``.

    The equations and the initial values are from the official code (https://github.com/microsoft/EdgeML,
    ``pytorch/edgeml_pytorch/graph/rnn.py``, ``FastGRNNCell`` with its defaults). The gate is a sigmoid.
    torchrecurrent's default is tanh.
    """

    name = "fastgrnn"
    family = "gated"
    card = zoo.Card(
        title="FastGRNN: A Fast, Accurate, Stable and Tiny Kilobyte Sized Gated Recurrent Neural Network",
        authors="Aditya Kusupati, Manish Singh, Kush Bhatia, Ashish Kumar, Prateek Jain, Manik Varma",
        year=2018,
        url="https://arxiv.org/abs/1901.02358",
        variant="The matrices are full, the gate is a sigmoid and the candidate has tanh, which are the "
        "defaults of the official cell.",
        deviations="The factors of low rank and the sparse and quantised weights, which compress the trained "
        "cell, are left out.",
        history="Kusupati et al. of Microsoft Research published the cell in 2018 for microcontrollers. It "
        "turns the residual connection of FastRNN into a gate without adding a matrix. With matrices of low "
        'rank, sparse and quantised, a model of 1 KB recognised the wake word "Hey Cortana". The code is '
        "part of the EdgeML library.",
        when_to_use="Use it to classify recordings of some hundred steps that start from a zero state, on "
        "devices with little memory. It has one block of recurrent weights, a third of a gru. Do not use it "
        "on a stream without resets. A model of text that starts every window of 64 characters from zero "
        "learns well.",
        trainability="On a text without end a unit may drive its own gate open, and then grows by about "
        "``sigmoid(nu)`` in every step.",
        related={
            "fastrnn": "has two trained numbers in place of the gate.",
            "ugrnn": "has matrices of their own for gate and candidate.",
            "atr": "has two gates that share their matrices with the candidate.",
        },
    )
    Wx = zoo.Param("I", "H", init=normal_01, help="input to gate and candidate")
    Wh = zoo.Param("H", "H", init=normal_01, help="hidden to gate and candidate")
    b = zoo.Param("2H", init="ones", help="bias of gate z, candidate n")
    scale = zoo.Param(2, init=scales, help="zeta and nu, whose sigmoids weight the candidate")
    h = zoo.State("H", help="hidden units, and the output")
    gates = zoo.Gates(forget_gate="z", update_gate="z", candidate="n")

    def step(self, x: Array, h: Array) -> Array:
        a = x @ self.Wx + h @ self.Wh
        bz, bn = zoo.split(self.b, 2)
        zeta, nu = zoo.sigmoid(self.scale[0]), zoo.sigmoid(self.scale[1])
        z, n = zoo.sigmoid(a + bz), zoo.tanh(a + bn)
        return z * h + (zeta * (1 - z) + nu) * n


@zoo.hookimpl
def zoo_register_cells(register: Callable[[type[zoo.Cell]], None]) -> None:
    """Register the FastGRNN."""
    register(FastGRNN)
