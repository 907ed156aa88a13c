"""Initial values of the recurrent layers of PyTorch."""

from __future__ import annotations

import torch
from initial_draws._draws import Draw, DrawCell, Sizes


def vanilla(n: Sizes) -> Draw:
    """``torch.nn.RNN``, whose two biases are one here."""
    rnn = torch.nn.RNN(n.I, n.H)
    return Draw({"Wxh": rnn.weight_ih_l0.T, "Whh": rnn.weight_hh_l0.T, "bh": rnn.bias_ih_l0})


def lstm(n: Sizes) -> Draw:
    """``torch.nn.LSTM``, whose two biases are one here."""
    layer = torch.nn.LSTM(n.I, n.H)
    return Draw({"Wx": layer.weight_ih_l0.T, "Wh": layer.weight_hh_l0.T, "b": layer.bias_ih_l0})


def lstm_projected(n: Sizes) -> Draw:
    """``torch.nn.LSTM`` with a projection, whose two biases are one here."""
    layer = torch.nn.LSTM(n.I, n.H, proj_size=n.proj)
    arrays = {"Wx": layer.weight_ih_l0.T, "Wh": layer.weight_hh_l0.T, "b": layer.bias_ih_l0}
    return Draw(arrays | {"Wp": layer.weight_hr_l0.T})


DRAWS: dict[str, DrawCell] = {"lstm": lstm, "lstm_projected": lstm_projected, "vanilla": vanilla}
