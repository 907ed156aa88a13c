"""Conversion of weights of the standard cells to and from PyTorch, Keras and Flax, with NumPy only.

>>> import numpy as np
>>> rnn = zoo.Recurrent("lstm", input_size=3, hidden_size=5)
>>> weights = zoo.convert.to_torch("lstm", rnn.params)
>>> {name: value.shape for name, value in weights.items()}["weight_hh_l0"]
(20, 5)
>>> rnn.fill(zoo.convert.from_torch("lstm", weights), strict=True)

Of two biases with a common sum, zoo has only the sum. Conversion to the other library puts the sum into the
first bias and zeros into the second.
"""

from __future__ import annotations

from zoo.convert.flax import from_flax, to_flax
from zoo.convert.keras import from_keras, to_keras
from zoo.convert.torch import from_torch, to_torch

__all__ = ["from_flax", "from_keras", "from_torch", "to_flax", "to_keras", "to_torch"]
