"""The cells that ONNX has operators for: where they lie in its operators' arrays.

ONNX stacks the gates of an LSTM as input, output, forget, candidate, and those of a GRU as update, reset,
candidate, each with a bias of the input and one of the state; its matrices are transposed, and everything
has an axis of directions in front (https://onnx.ai/onnx/operators/onnx__LSTM.html, and likewise GRU and RNN).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from zoo.base import Cell
from zoo.export.exported_model import Array, DirectionExport

Arrays = Mapping[str, Array]


@dataclass(frozen=True)
class RecurrentOperator:
    """One of ONNX's recurrent operators, and what it is given.

    Args:
        op: Its name.
        w: What the input is multiplied by, ``(G H, I)``.
        r: What the state is multiplied by, ``(G H, H)``.
        b: Biases of the input and of the state, ``(2 G H,)``.
        attributes: What else it is told.
    """

    op: str
    w: Array
    r: Array
    b: Array
    attributes: Mapping[str, Any] = field(default_factory=dict)


def builtin_operator(part: DirectionExport) -> RecurrentOperator | None:
    """The operator that computes what a layer does; None if there is none.

    There are kernels for float32 alone in onnxruntime, so a layer of float64 is written out.
    """
    cell = part.layer.cell
    maker = _CONVERTERS.get((type(cell).__module__, cell.name))
    return None if maker is None or part.dtype != np.float32 else maker(cell, part.arrays)


def _gates(w: Array, order: tuple[int, ...]) -> Array:
    """The gates of the last axis in another order, which becomes the first axis."""
    gates = np.split(w, len(order), axis=-1)
    return np.ascontiguousarray(np.concatenate([gates[place] for place in order], axis=-1).T)


def _rnn(_: Cell, arrays: Arrays) -> RecurrentOperator:
    b = arrays["bh"]
    return RecurrentOperator("RNN", arrays["Wxh"].T, arrays["Whh"].T, np.concatenate([b, np.zeros_like(b)]))


def _lstm(cell: Cell, arrays: Arrays) -> RecurrentOperator:
    """Gates i, f, g, o become i, o, f, g; what is added to the forget gate goes into its bias."""
    order, b = (0, 3, 1, 2), arrays["b"].copy()
    size = b.size // 4
    b[size : 2 * size] += b.dtype.type(cell.options["forget_bias"])
    biases = np.concatenate([_gates(b, order), np.zeros_like(b)])
    return RecurrentOperator("LSTM", _gates(arrays["Wx"], order), _gates(arrays["Wh"], order), biases)


def _gru(_: Cell, arrays: Arrays) -> RecurrentOperator:
    """Gates r, z, n become z, r, n; the reset acts on the product and the bias of the state."""
    order = (1, 0, 2)
    inside = np.concatenate([np.zeros(2 * arrays["bn"].size, arrays["bn"].dtype), arrays["bn"]])
    biases = np.concatenate([_gates(arrays["b"], order), inside])
    w, r = _gates(arrays["Wx"], order), _gates(arrays["Wh"], order)
    return RecurrentOperator("GRU", w, r, biases, {"linear_before_reset": 1})


def _gru_reset_before(_: Cell, arrays: Arrays) -> RecurrentOperator:
    """The same gates; the reset acts on the state itself."""
    order, b = (1, 0, 2), arrays["b"]
    r = _gates(np.concatenate([arrays["Wh"], arrays["Wn"]], axis=1), order)
    biases = np.concatenate([_gates(b, order), np.zeros_like(b)])
    return RecurrentOperator("GRU", _gates(arrays["Wx"], order), r, biases, {"linear_before_reset": 0})


# By module and name: a cell of somebody else's that is called "lstm" is written out from its own equations.
_CONVERTERS: Mapping[tuple[str, str], Callable[[Cell, Arrays], RecurrentOperator]] = {
    ("zoo_cells.classic.vanilla", "vanilla"): _rnn,
    ("zoo_cells.lstm.lstm", "lstm"): _lstm,
    ("zoo_cells.gated.gru", "gru"): _gru,
    ("zoo_cells.gated.gru_reset_before", "gru_reset_before"): _gru_reset_before,
}
