"""The layout of Flax's ``SimpleCell``, ``LSTMCell`` and ``GRUCell``, in ``flax.linen`` and ``flax.nnx``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.arguments import as_bool, as_choice, as_elements, as_mapping
from zoo.array_types import Array, Arrays
from zoo.base import Cell
from zoo.convert.gate_layout import (
    GATE_LAYOUTS,
    GateWeights,
    check_supported,
    layer_names,
    merge_layers,
    read_layer,
    split_by_layer,
    write_layer,
)
from zoo.errors import UsageError

Tree = dict[str, dict[str, Array]]
"""Name of a dense layer to its ``kernel`` and ``bias``."""

CELLS = {"vanilla": "SimpleCell", "lstm": "LSTMCell", "gru": "GRUCell"}
"""The classes of Flax by the names of zoo's cells."""
STYLES = ("linen", "nnx")
# Gates whose dense layers have a bias: of the input, of the state. nnx.GRUCell has none of the state.
_BIASED = {"vanilla": ("h", ""), "lstm": ("", "ifgo"), "gru": ("rzn", "n")}
_DENSE = {"i": "dense_i", "h": "dense_h"}


def from_flax(
    cell: str | type[Cell] | Cell,
    params: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    bidirectional: bool = False,
) -> Arrays:
    """Convert to the parameters of zoo from those of Flax cells.

    Args:
        cell: ``"vanilla"`` for ``SimpleCell``, ``"lstm"`` or ``"gru"``, or such a cell with options. Its
            ``forget_bias`` is subtracted from the bias.
        params: The tree of one cell, or a list with one per layer. ``flax.linen`` has one dense layer per
            gate, ``{"hi": {"kernel": ..., "bias": ...}, ...}``; ``flax.nnx`` one for all gates, ``{"dense_i":
            {"kernel": ...}, "dense_h": ...}``, except in ``LSTMCell``.
        bidirectional: Whether the cells are pairs of a forward and a backward cell.

    Returns:
        ``"l0.Wx"`` and so on, for ``rnn.fill``.

    Raises:
        UsageError: if Flax has no such cell, or arrays are missing, unknown or invalid.
    """
    owner = "from_flax"
    cell = check_supported(cell, "Flax", CELLS, owner)
    cells = [params] if isinstance(params, Mapping) else params
    trees = as_elements(cells, f"{owner}: params", "the parameters of a cell, or of several")
    as_bool(bidirectional, f"{owner}: bidirectional")
    if not trees or len(trees) % (1 + bidirectional):
        expected = "an even number, forwards and backwards" if bidirectional else "one a layer"
        raise UsageError(f"{owner}: the parameters of {len(trees)} cells; expected {expected}.")
    layers = layer_names(len(trees) // (1 + bidirectional), bidirectional)
    return merge_layers(
        {
            layer: _from_tree(cell, tree, f"{owner}: {layer}")
            for layer, tree in zip(layers, trees, strict=True)
        }
    )


def to_flax(cell: str | type[Cell] | Cell, params: Mapping[str, Any], style: str = "linen") -> list[Tree]:
    """Convert parameters of zoo to parameters of Flax cells.

    Args:
        cell: As for :func:`from_flax`. Its ``forget_bias`` is added to the bias.
        params: ``rnn.params``: ``"l0.Wx"`` and so on, every layer and direction.
        style: ``"linen"`` for ``flax.linen``: ``SimpleCell``, ``LSTMCell`` or ``OptimizedLSTMCell``, and
            ``GRUCell``; ``"nnx"`` for ``flax.nnx``: ``SimpleCell``, ``OptimizedLSTMCell`` and ``GRUCell``.

    Returns:
        A tree for each layer and direction.

    Raises:
        UsageError: if Flax has no such cell, the style is unknown, parameters are missing or unknown, or
            ``nnx.GRUCell`` cannot represent them: it has no bias inside the reset.
    """
    owner = "to_flax"
    cell = check_supported(cell, "Flax", CELLS, owner)
    as_choice(style, f"{owner}: style", tuple(STYLES))
    return [
        _to_tree(cell, group, style, f"{owner}: {layer}")
        for layer, group in split_by_layer(cell, params, owner).items()
    ]


def _from_tree(cell: Cell, tree: Mapping[str, Any], owner: str) -> Arrays:
    gates = GATE_LAYOUTS[cell.name].gates
    as_mapping(tree, owner)
    dense = {name.removesuffix("_"): layer for name, layer in tree.items()}  # nnx.LSTMCell has if_
    is_fused = set(dense) == set(_DENSE.values())
    if not is_fused and set(dense) != {_gate(cell, side, gate) for side in "ih" for gate in gates}:
        raise UsageError(
            f"{owner}: the dense layers are {', '.join(sorted(tree))}, and {cell.label()} has others."
        )
    arrays = {}
    for side in "ih":
        names = [_DENSE[side]] if is_fused else [_gate(cell, side, gate) for gate in gates]
        kernels = [_leaf(dense[name], "kernel", f"{owner}: {name}") for name in names]
        arrays[side] = np.concatenate(kernels, axis=-1)
        biases = [
            _leaf(dense[name], "bias", f"{owner}: {name}", np.zeros_like(kernel[..., 0, :]))
            for name, kernel in zip(names, kernels, strict=True)
        ]
        arrays[f"b{side}"] = np.concatenate(biases, axis=-1)
    return read_layer(cell, GateWeights(arrays["i"], arrays["h"], arrays["bi"], arrays["bh"]), owner, arrays)


def _leaf(layer: Mapping[str, Any], name: str, owner: str, default: Array | None = None) -> Array:
    if name not in layer:
        if default is None:
            raise UsageError(f"{owner} has no {name}; it has {', '.join(layer) or 'nothing'}.")
        return default
    return np.asarray(layer[name])


def _to_tree(cell: Cell, arrays: Mapping[str, Array], style: str, owner: str) -> Tree:
    w = write_layer(cell, arrays)
    if cell.name == "lstm":  # its bias is in the state's layers
        w = GateWeights(w.x, w.h, np.zeros_like(w.bias_x), w.bias_x)
    sides = {"i": (w.x, w.bias_x), "h": (w.h, w.bias_h)}
    if style == "linen":
        return _by_gate(cell, sides)
    if cell.name == "gru" and w.bias_h.any():
        raise UsageError(
            f"{owner}: nnx.GRUCell has no bias inside the reset, and bn is not zero; linen's GRUCell has one."
        )
    biased = dict(zip("ih", _BIASED[cell.name], strict=True)) | ({"h": ""} if cell.name == "gru" else {})
    return {_DENSE[side]: _dense(*sides[side], bool(biased[side])) for side in "ih"}


def _by_gate(cell: Cell, sides: Mapping[str, tuple[Array, Array]]) -> Tree:
    gates = GATE_LAYOUTS[cell.name].gates
    tree = {}
    for side, biased in zip("ih", _BIASED[cell.name], strict=True):
        parts = (np.split(array, len(gates), axis=-1) for array in sides[side])
        for gate, kernel, bias in zip(gates, *parts, strict=True):
            tree[_gate(cell, side, gate)] = _dense(kernel, bias, gate in biased)
    return tree


def _gate(cell: Cell, side: str, gate: str) -> str:
    """``hi`` for gate i of the state; a SimpleCell has one dense layer per side."""
    return side if cell.name == "vanilla" else side + gate


def _dense(kernel: Array, bias: Array, biased: bool) -> dict[str, Array]:
    layer = {"kernel": np.array(kernel, order="C")}
    return {**layer, "bias": np.array(bias, order="C")} if biased else layer
