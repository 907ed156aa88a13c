"""ONNX's recurrent operators: conversion of parameters to their layout.

ONNX stacks the gates of an LSTM as input, output, forget, candidate, and those of a GRU as update, reset,
candidate, each with a bias of the input and one of the state. Its matrices are transposed, and every array
has a leading axis of directions (https://onnx.ai/onnx/operators/onnx__LSTM.html, and likewise GRU and RNN).
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
    """One of ONNX's recurrent operators with its arrays.

    Args:
        op: Its name.
        w: Weights of the input, ``(G H, I)``.
        r: Weights of the state, ``(G H, H)``.
        b: Biases of the input and of the state, ``(2 G H,)``.
        attributes: Further attributes.
    """

    op: str
    w: Array
    r: Array
    b: Array
    attributes: Mapping[str, Any] = field(default_factory=dict)


def builtin_operator(direction: DirectionExport) -> RecurrentOperator | None:
    """The operator equivalent to a layer; None if there is none.

    onnxruntime has kernels for float32 alone, so a layer of float64 is exported by its equations.
    """
    cell = direction.spec.cell
    convert = _CONVERTERS.get((type(cell).__module__, cell.name))
    return None if convert is None or direction.dtype != np.float32 else convert(cell, direction.arrays)


def _gates(w: Array, order: tuple[int, ...]) -> Array:
    """Reorder the gates of the last axis and move it to the front."""
    gates = np.split(w, len(order), axis=-1)
    return np.ascontiguousarray(np.concatenate([gates[index] for index in order], axis=-1).T)


def _rnn(_: Cell, arrays: Arrays) -> RecurrentOperator:
    b = arrays["bh"]
    return RecurrentOperator("RNN", arrays["Wxh"].T, arrays["Whh"].T, np.concatenate([b, np.zeros_like(b)]))


def _lstm(cell: Cell, arrays: Arrays) -> RecurrentOperator:
    """Gates i, f, g, o become i, o, f, g; the option forget_bias is added to the bias."""
    order, b = (0, 3, 1, 2), arrays["b"].copy()
    size = b.size // 4
    b[size : 2 * size] += b.dtype.type(cell.options["forget_bias"])
    biases = np.concatenate([_gates(b, order), np.zeros_like(b)])
    return RecurrentOperator("LSTM", _gates(arrays["Wx"], order), _gates(arrays["Wh"], order), biases)


def _gru(_: Cell, arrays: Arrays) -> RecurrentOperator:
    """Gates r, z, n become z, r, n; the reset gate multiplies the state's product and bias."""
    order = (1, 0, 2)
    inside = np.concatenate([np.zeros(2 * arrays["bn"].size, arrays["bn"].dtype), arrays["bn"]])
    biases = np.concatenate([_gates(arrays["b"], order), inside])
    w, r = _gates(arrays["Wx"], order), _gates(arrays["Wh"], order)
    return RecurrentOperator("GRU", w, r, biases, {"linear_before_reset": 1})


def _gru_reset_before(_: Cell, arrays: Arrays) -> RecurrentOperator:
    """The same gates; the reset gate multiplies the state itself."""
    order, b = (1, 0, 2), arrays["b"]
    r = _gates(np.concatenate([arrays["Wh"], arrays["Wn"]], axis=1), order)
    biases = np.concatenate([_gates(b, order), np.zeros_like(b)])
    return RecurrentOperator("GRU", _gates(arrays["Wx"], order), r, biases, {"linear_before_reset": 0})


# By module and name: another cell called "lstm" is exported by its own equations.
_CONVERTERS: Mapping[tuple[str, str], Callable[[Cell, Arrays], RecurrentOperator]] = {
    ("zoo_cells.classic.vanilla", "vanilla"): _rnn,
    ("zoo_cells.lstm.lstm", "lstm"): _lstm,
    ("zoo_cells.gated.gru", "gru"): _gru,
    ("zoo_cells.gated.gru_reset_before", "gru_reset_before"): _gru_reset_before,
}
