"""Weights of the standard cells in the layouts of PyTorch, Keras and Flax, both ways; NumPy is all it needs.

>>> import numpy as np
>>> rnn = zoo.Recurrent("lstm", input_size=3, hidden_size=5)
>>> weights = zoo.convert.to_torch("lstm", rnn.params)
>>> {name: value.shape for name, value in weights.items()}["weight_hh_l0"]
(20, 5)
>>> rnn.fill(zoo.convert.from_torch("lstm", weights))

What the other library has and zoo has not is summed up: of two biases that are added to the same number,
their sum. Going back, the sum is in the first of them and the second is zero.
"""

from __future__ import annotations

from zoo.convert.flax import from_flax, to_flax
from zoo.convert.keras import from_keras, to_keras
from zoo.convert.torch import from_torch, to_torch

__all__ = ["from_flax", "from_keras", "from_torch", "to_flax", "to_keras", "to_torch"]
