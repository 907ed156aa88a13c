"""The layout of PyTorch's ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.arguments import as_mapping
from zoo.base import Cell
from zoo.convert.gate_layout import Array, Arrays, Weights, has_form, read, write
from zoo.convert.stack_names import by_layer, counterpart, joined, layer_name, layer_names
from zoo.errors import UsageError

# Its gates stand in zoo's order: i, f, g, o and r, z, n.
CELLS = ("vanilla", "lstm", "lstm_projected", "gru")
_ARRAYS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
_NAME = re.compile(rf"({'|'.join(_ARRAYS)})_l(\d+)(_reverse)?")


def from_torch(cell: str | type[Cell] | Cell, state_dict: Mapping[str, Any]) -> Arrays:
    """The parameters of zoo from those of ``nn.RNN`` (tanh), ``nn.LSTM`` or ``nn.GRU``.

    Outputs are the same up to rounding. How the two biases of a gate divided their sum is lost; without
    biases (``bias=False``) they are zero.

    Args:
        cell: ``"vanilla"``, ``"lstm"``, ``"lstm_projected"`` or ``"gru"``, or such a cell with its options:
            what it adds as ``forget_bias`` is taken out of the bias.
        state_dict: ``"weight_ih_l0"`` and so on to a tensor or array, every layer and direction.

    Returns:
        ``"l0.Wx"`` and so on, for ``rnn.fill``.

    Raises:
        UsageError: if PyTorch has no such cell, or arrays are missing, unknown or do not fit.
    """
    who = "from_torch"
    cell = counterpart(cell, "PyTorch", CELLS, who)
    groups = _groups(state_dict, who)
    return joined({layer: from_layer(cell, group, f"{who}: {layer}") for layer, group in groups.items()})


def to_torch(cell: str | type[Cell] | Cell, params: Mapping[str, Any]) -> Arrays:
    """The parameters of ``nn.RNN``, ``nn.LSTM`` or ``nn.GRU`` from those of zoo.

    Each gate's bias is ``bias_ih`` and ``bias_hh`` is zero, but for the candidate of the GRU, which has one
    inside the reset.

    Args:
        cell: As for :func:`from_torch`; what it adds as ``forget_bias`` is put into the bias.
        params: ``rnn.params``: ``"l0.Wx"`` and so on, every layer and direction.

    Returns:
        Arrays by PyTorch's names and in its order, for ``load_state_dict`` after ``torch.from_numpy``.

    Raises:
        UsageError: if PyTorch has no such cell, or parameters are missing or unknown.
    """
    who = "to_torch"
    cell = counterpart(cell, "PyTorch", CELLS, who)
    return {
        torch_name(layer, name): np.array(value, order="C")
        for layer, arrays in by_layer(cell, params, who).items()
        for name, value in to_layer(cell, arrays).items()
    }


def has_layout(cell: Cell) -> bool:
    """Whether PyTorch has this cell."""
    return cell.name in CELLS and has_form(cell)


def torch_name(layer: str, array: str) -> str:
    """``weight_ih_l0_reverse`` for ``weight_ih`` of ``l0.reverse``."""
    return f"{array}_{layer.replace('.', '_')}"


def from_layer(cell: Cell, arrays: Mapping[str, Array], who: str) -> Arrays:
    """The parameters of one layer in one direction from ``weight_ih`` and so on; views where they can be.

    Raises:
        UsageError: if they do not fit.
    """
    none = np.zeros_like(arrays["weight_ih"][..., 0])
    return read(cell, weights_of({"bias_ih": none, "bias_hh": none, **arrays}), who, arrays)


def weights_of(arrays: Mapping[str, Array]) -> Weights:
    """The arrays of one layer in one direction, all of them, in the form that libraries share; views."""
    x, h, bias_x, bias_h = (arrays[name] for name in _ARRAYS[:4])
    projection = arrays.get("weight_hr")
    return Weights(x.T, h.T, bias_x, bias_h, None if projection is None else projection.T)


def to_layer(cell: Cell, arrays: Mapping[str, Array]) -> Arrays:
    """The other way; views where they can be."""
    w = write(cell, arrays)
    found = {"weight_ih": w.x.T, "weight_hh": w.h.T, "bias_ih": w.bias_x, "bias_hh": w.bias_h}
    return found if w.projection is None else {**found, "weight_hr": w.projection.T}


def _groups(state_dict: Mapping[str, Any], who: str) -> dict[str, Arrays]:
    """The arrays of every layer in every direction."""
    groups: dict[str, Arrays] = {}
    for name, value in as_mapping(state_dict, f"{who}: state_dict").items():
        match = _NAME.fullmatch(name)
        if match is None:
            raise UsageError(
                f"{who}: {name!r} is no array of nn.RNN, nn.LSTM or nn.GRU; give the state_dict of one such "
                f"module."
            )
        layer = layer_name(int(match[2]), match[3] is not None)
        groups.setdefault(layer, {})[match[1]] = _array(value, f"{who}: {name}")
    both = any(layer.endswith("reverse") for layer in groups)
    expected = layer_names(max(1, len(groups) // (1 + both)), both)
    needed = [(layer, array) for layer in (*groups, *expected) for array in ("weight_ih", "weight_hh")]
    for layer, array in needed:
        if array not in groups.get(layer, {}):
            raise UsageError(f"{who}: {torch_name(layer, array)} is missing.")
    return {layer: groups[layer] for layer in expected}


def _array(value: Any, who: str) -> Array:
    """A tensor or array as an array."""
    try:
        return np.asarray(value.detach() if hasattr(value, "detach") else value)
    except (TypeError, RuntimeError) as error:  # another device, a dtype that NumPy has not
        raise UsageError(f"{who} cannot be read as an array ({error}).") from None
