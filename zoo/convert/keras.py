"""The layout of Keras's ``SimpleRNN``, ``LSTM`` and ``GRU``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.arguments import as_bool, as_elements
from zoo.array_types import Array, Arrays
from zoo.arrays import as_array
from zoo.base import Cell
from zoo.convert.gate_layout import (
    GATE_LAYOUTS,
    GateWeights,
    check_supported,
    layer_names,
    merge_layers,
    read_layer,
    reorder_gates,
    split_by_layer,
    write_layer,
)
from zoo.errors import UsageError

CELLS = {
    "vanilla": "SimpleRNN",
    "lstm": "LSTM",
    "gru": "GRU",
    "gru_reset_before": "GRU(reset_after=False)",
}
"""The layers of Keras by the names of zoo's cells."""
# Order of the gates in Keras, in zoo's letters; Keras calls n h.
_ORDERS = {"vanilla": "h", "lstm": "ifgo", "gru": "zrn", "gru_reset_before": "zrn"}
_NAMES = ("kernel", "recurrent_kernel", "bias")


def from_keras(cell: str | type[Cell] | Cell, weights: Sequence[Any], bidirectional: bool = False) -> Arrays:
    """Convert to the parameters of zoo from the weights of Keras layers.

    Outputs are the same up to rounding if the layers have Keras's default activations. ``GRU`` is ``"gru"``,
    and ``GRU(reset_after=False)`` is ``"gru_reset_before"``.

    Args:
        cell: ``"vanilla"`` for ``SimpleRNN``, ``"lstm"``, ``"gru"`` or ``"gru_reset_before"``, or such a cell
            with options. Its ``forget_bias`` is subtracted from the bias.
        weights: ``get_weights()`` of a layer: kernel, recurrent kernel and bias; for a stack, the arrays of
            all layers in order.
        bidirectional: Whether each layer is a ``Bidirectional``, with six arrays.

    Returns:
        ``"l0.Wx"`` and so on, for ``rnn.fill``.

    Raises:
        UsageError: if Keras has no such cell, or arrays are missing or invalid.
    """
    owner = "from_keras"
    cell = check_supported(cell, "Keras", CELLS, owner)
    elements = as_elements(
        weights, f"{owner}: weights", "the arrays of layers, as get_weights() returns them"
    )
    arrays = [as_array(value, f"{owner}: weights[{n}]") for n, value in enumerate(elements)]
    each = len(_NAMES) * (1 + as_bool(bidirectional, f"{owner}: bidirectional"))
    if not arrays or len(arrays) % each:
        raise UsageError(
            f"{owner}: {len(arrays)} arrays; expected {each} a layer, {', '.join(_NAMES)}"
            f"{' in both directions' * bidirectional}. Give zeros as the bias where use_bias=False."
        )
    layers = layer_names(len(arrays) // each, bidirectional)
    groups = (dict(zip(_NAMES, arrays[n : n + 3], strict=True)) for n in range(0, len(arrays), 3))
    return merge_layers(
        {
            layer: _from_layer(cell, group, f"{owner}: {layer}")
            for layer, group in zip(layers, groups, strict=True)
        }
    )


def to_keras(cell: str | type[Cell] | Cell, params: Mapping[str, Any]) -> list[Array]:
    """Convert parameters of zoo to weights of Keras layers.

    Args:
        cell: As for :func:`from_keras`. Its ``forget_bias`` is added to the bias.
        params: ``rnn.params``: ``"l0.Wx"`` and so on, every layer and direction.

    Returns:
        Three arrays for each layer and direction, for ``set_weights``.

    Raises:
        UsageError: if Keras has no such cell, or parameters are missing or unknown.
    """
    owner = "to_keras"
    cell = check_supported(cell, "Keras", CELLS, owner)
    groups = split_by_layer(cell, params, owner).values()
    return [np.array(value, order="C") for group in groups for value in _to_layer(cell, group)]


def _from_layer(cell: Cell, arrays: Arrays, owner: str) -> Arrays:
    gates, order = GATE_LAYOUTS[cell.name].gates, _ORDERS[cell.name]
    if (arrays["bias"].ndim == 2) != (cell.name == "gru"):
        raise UsageError(
            f"{owner}: the bias is {arrays['bias'].shape}, and {cell.label()} has one of {_bias(cell)}; a "
            f"GRU is 'gru' with reset_after=True, which is (2, 3H), and 'gru_reset_before' without."
        )
    x, h, bias = (reorder_gates(arrays[name], order, gates) for name in _NAMES)
    bias_x, bias_h = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    return read_layer(cell, GateWeights(x, h, bias_x, bias_h), owner, arrays)


def _bias(cell: Cell) -> str:
    return "(2, 3H)" if cell.name == "gru" else f"({len(GATE_LAYOUTS[cell.name].gates)}H,)"


def _to_layer(cell: Cell, arrays: Mapping[str, Array]) -> list[Array]:
    gates, order, w = GATE_LAYOUTS[cell.name].gates, _ORDERS[cell.name], write_layer(cell, arrays)
    bias = np.stack([w.bias_x, w.bias_h]) if cell.name == "gru" else w.bias_x
    return [reorder_gates(array, gates, order) for array in (w.x, w.h, bias)]
