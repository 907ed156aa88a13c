"""The layout of PyTorch's ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.arguments import as_mapping
from zoo.array_types import Array, Arrays
from zoo.base import Cell
from zoo.convert.gate_layout import (
    GateWeights,
    check_supported,
    has_gate_layout,
    layer_name,
    layer_names,
    merge_layers,
    read_layer,
    split_by_layer,
    write_layer,
)
from zoo.errors import UsageError

# PyTorch has zoo's order of gates: i, f, g, o and r, z, n.
CELLS = {"vanilla": "nn.RNN", "lstm": "nn.LSTM", "lstm_projected": "nn.LSTM(proj_size=...)", "gru": "nn.GRU"}
"""The modules of PyTorch by the names of zoo's cells."""
_ARRAYS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
_NAME = re.compile(rf"({'|'.join(_ARRAYS)})_l(\d+)(_reverse)?")


def from_torch(cell: str | type[Cell] | Cell, state_dict: Mapping[str, Any]) -> Arrays:
    """Convert to the parameters of zoo from a ``state_dict`` of ``nn.RNN`` (tanh), ``nn.LSTM`` or ``nn.GRU``.

    Outputs are the same up to rounding. Only the sum of the two biases of a gate is kept. Without biases
    (``bias=False``) it is zero.

    Args:
        cell: ``"vanilla"``, ``"lstm"``, ``"lstm_projected"`` or ``"gru"``, or such a cell with options.
            Its ``forget_bias`` is subtracted from the bias. ``lstm_projected`` needs its option ``proj``.
        state_dict: ``"weight_ih_l0"`` and so on to a tensor or array, every layer and direction.

    Returns:
        ``"l0.Wx"`` and so on, for ``rnn.fill(..., strict=True)``.

    Raises:
        UsageError: if PyTorch has no such cell, or arrays are missing, unknown or invalid.
    """
    owner = "from_torch"
    cell = check_supported(cell, "PyTorch", CELLS, owner)
    if hasattr(state_dict, "state_dict"):
        raise UsageError(f"{owner}: state_dict is a module; pass module.state_dict().")
    groups = _groups(state_dict, owner)
    projections = [group["weight_hr"] for group in groups.values() if "weight_hr" in group]
    if projections and cell.name in ("lstm", "lstm_projected") and projections[0].ndim == 2:
        size = len(projections[0])
        if size != cell.options.get("proj"):
            raise UsageError(
                f"{owner}: the LSTM has a projection to {size} units (proj_size); give the cell "
                f"zoo.get_cell('lstm_projected', proj={size})."
            )
    return merge_layers(
        {layer: from_layer(cell, group, f"{owner}: {layer}") for layer, group in groups.items()}
    )


def to_torch(cell: str | type[Cell] | Cell, params: Mapping[str, Any]) -> Arrays:
    """Convert parameters of zoo to parameters of ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU``.

    Each gate's bias is in ``bias_ih``, and ``bias_hh`` is zero, except for the GRU's candidate, which has a
    bias inside the reset.

    Args:
        cell: As for :func:`from_torch`. Its ``forget_bias`` is added to the bias.
        params: ``rnn.params``: ``"l0.Wx"`` and so on, every layer and direction.

    Returns:
        Arrays by PyTorch's names and in its order, for ``load_state_dict`` after ``torch.from_numpy``.

    Raises:
        UsageError: if PyTorch has no such cell, or parameters are missing or unknown.
    """
    owner = "to_torch"
    cell = check_supported(cell, "PyTorch", CELLS, owner)
    return {
        torch_name(layer, name): np.array(value, order="C")
        for layer, arrays in split_by_layer(cell, params, owner).items()
        for name, value in to_layer(cell, arrays).items()
    }


def has_layout(cell: Cell) -> bool:
    """Whether PyTorch has this cell."""
    return cell.name in CELLS and has_gate_layout(cell)


def torch_name(layer: str, array: str) -> str:
    """``weight_ih_l0_reverse`` for ``weight_ih`` of ``l0.reverse``."""
    return f"{array}_{layer.replace('.', '_')}"


def from_layer(cell: Cell, arrays: Mapping[str, Array], owner: str) -> Arrays:
    """The parameters of one layer in one direction from ``weight_ih`` and so on; views where possible.

    Raises:
        UsageError: if the shapes are inconsistent.
    """
    zeros = np.zeros_like(arrays["weight_ih"][..., 0])
    return read_layer(cell, weights_of({"bias_ih": zeros, "bias_hh": zeros, **arrays}), owner, arrays)


def weights_of(arrays: Mapping[str, Array]) -> GateWeights:
    """The weights of one layer in one direction from all its arrays; views."""
    x, h, bias_x, bias_h = (arrays[name] for name in _ARRAYS[:4])
    projection = arrays.get("weight_hr")
    return GateWeights(x.T, h.T, bias_x, bias_h, None if projection is None else projection.T)


def to_layer(cell: Cell, arrays: Mapping[str, Array]) -> Arrays:
    """The inverse of :func:`from_layer`; views where possible."""
    w = write_layer(cell, arrays)
    result = {"weight_ih": w.x.T, "weight_hh": w.h.T, "bias_ih": w.bias_x, "bias_hh": w.bias_h}
    return result if w.projection is None else {**result, "weight_hr": w.projection.T}


def _groups(state_dict: Mapping[str, Any], owner: str) -> dict[str, Arrays]:
    groups: dict[str, Arrays] = {}
    for name, value in as_mapping(state_dict, f"{owner}: state_dict").items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise UsageError(
                f"{owner}: {name!r} is not an array of nn.RNN, nn.LSTM or nn.GRU; give the state_dict of "
                f"such a module."
            )
        layer = layer_name(int(match[2]), match[3] is not None)
        groups.setdefault(layer, {})[match[1]] = _array(value, f"{owner}: {name}")
    is_bidirectional = any(layer.endswith("reverse") for layer in groups)
    expected = layer_names(max(1, len(groups) // (1 + is_bidirectional)), is_bidirectional)
    needed = [(layer, array) for layer in (*groups, *expected) for array in ("weight_ih", "weight_hh")]
    for layer, array in needed:
        if array not in groups.get(layer, {}):
            raise UsageError(f"{owner}: {torch_name(layer, array)} is missing.")
    return {layer: groups[layer] for layer in expected}


def _array(value: Any, owner: str) -> Array:
    try:
        if hasattr(value, "detach"):  # a tensor
            value = value.detach()
            value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        return np.asarray(value)
    except (TypeError, RuntimeError) as error:  # another device, or a dtype unknown to NumPy
        raise UsageError(f"{owner} cannot be read as an array ({error}).") from None
