"""Cells as modules of PyTorch; needs the extra ``torch``.

>>> import torch
>>> rnn = zoo.torch.Recurrent("lstm", input_size=3, hidden_size=5)
>>> y, (h, c) = rnn(torch.ones(7, 2, 3))
>>> y.shape, h.shape
(torch.Size([7, 2, 5]), torch.Size([1, 2, 5]))

Importing this package does not import PyTorch; its first use does.
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {"recurrent": "Recurrent"}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS, library="PyTorch")
