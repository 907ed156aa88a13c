"""Cells in the recurrent model of darts; needs the extra ``darts``.

>>> from darts.models import RNNModel
>>> from zoo.darts import RecurrentModule
>>> class LSTM(RecurrentModule):
...     cell = "lstm"
>>> model = RNNModel(model=LSTM, input_chunk_length=24, training_length=48)

Importing this package does not import darts; its first use does.
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {"recurrent_module": "RecurrentModule"}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS, library="darts")
