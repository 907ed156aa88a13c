"""Cells as modules of PyTorch; needs the extra ``torch``.

>>> import torch
>>> rnn = zoo.torch.Recurrent("lstm", input_size=3, hidden_size=5)
>>> y, (h, c) = rnn(torch.ones(7, 2, 3))
>>> y.shape, h.shape
(torch.Size([7, 2, 5]), torch.Size([1, 2, 5]))

Importing this room imports no PyTorch; its first use does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.optional import offered

if TYPE_CHECKING:
    from zoo.torch.recurrent import Recurrent

__all__ = ["Recurrent"]


def __getattr__(name: str) -> Any:
    return offered(__name__, "recurrent", __all__, "PyTorch", name)


def __dir__() -> list[str]:
    return __all__
