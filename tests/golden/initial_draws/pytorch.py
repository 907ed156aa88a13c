"""Initial values of the recurrent layers of PyTorch."""

from __future__ import annotations

import torch
from initial_draws._draws import Draw, DrawCell, Sizes


def vanilla(n: Sizes) -> Draw:
    """``torch.nn.RNN``, whose two biases are one here."""
    rnn = torch.nn.RNN(n.I, n.H)
    return Draw({"Wxh": rnn.weight_ih_l0.T, "Whh": rnn.weight_hh_l0.T, "bh": rnn.bias_ih_l0})


DRAWS: dict[str, DrawCell] = {"vanilla": vanilla}
