"""The layout of Flax's ``SimpleCell``, ``LSTMCell`` and ``GRUCell``, in ``flax.linen`` and ``flax.nnx``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from zoo.arguments import as_bool, as_choice, as_elements, as_mapping
from zoo.base import Cell
from zoo.convert.gate_layout import FORMS, Array, Arrays, Weights, read, write
from zoo.convert.stack_names import by_layer, counterpart, joined, layer_names
from zoo.errors import UsageError

Tree = dict[str, dict[str, Array]]
"""A dense layer's name to its ``kernel`` and ``bias``."""

CELLS = ("vanilla", "lstm", "gru")
STYLES = ("linen", "nnx")
# Which of a cell's dense layers have a bias: of the input, of the state. That of nnx.GRUCell has none inside.
_BIASED = {"vanilla": ("h", ""), "lstm": ("", "ifgo"), "gru": ("rzn", "n")}
_DENSE = {"i": "dense_i", "h": "dense_h"}


def from_flax(
    cell: str | type[Cell] | Cell,
    params: Mapping[str, Any] | Sequence[Mapping[str, Any]],
    bidirectional: bool = False,
) -> Arrays:
    """The parameters of zoo from those of Flax cells.

    Args:
        cell: ``"vanilla"`` for ``SimpleCell``, ``"lstm"`` or ``"gru"``, or such a cell with its options: what
            it adds as ``forget_bias`` is taken out of the bias.
        params: The parameters of one cell as a tree, or of several, one for each layer. Of ``flax.linen``
            they are gate by gate, ``{"hi": {"kernel": ..., "bias": ...}, ...}``; of ``flax.nnx`` side by
            side, ``{"dense_i": {"kernel": ...}, "dense_h": ...}``, but for its ``LSTMCell``.
        bidirectional: Whether the cells come in pairs, forwards and backwards.

    Returns:
        ``"l0.Wx"`` and so on, for ``rnn.fill``.

    Raises:
        UsageError: if Flax has no such cell, or arrays are missing, unknown or do not fit.
    """
    who = "from_flax"
    cell = counterpart(cell, "Flax", CELLS, who)
    cells = [params] if isinstance(params, Mapping) else params
    trees = as_elements(cells, f"{who}: params", "the parameters of a cell, or of several")
    as_bool(bidirectional, f"{who}: bidirectional")
    if not trees or len(trees) % (1 + bidirectional):
        expected = "an even number, forwards and backwards" if bidirectional else "one a layer"
        raise UsageError(f"{who}: the parameters of {len(trees)} cells; expected {expected}.")
    layers = layer_names(len(trees) // (1 + bidirectional), bidirectional)
    return joined(
        {layer: _from_tree(cell, tree, f"{who}: {layer}") for layer, tree in zip(layers, trees, strict=True)}
    )


def to_flax(cell: str | type[Cell] | Cell, params: Mapping[str, Any], style: str = "linen") -> list[Tree]:
    """The parameters of Flax cells from those of zoo.

    Args:
        cell: As for :func:`from_flax`; what it adds as ``forget_bias`` is put into the bias.
        params: ``rnn.params``: ``"l0.Wx"`` and so on, every layer and direction.
        style: ``"linen"`` for ``flax.linen``: ``SimpleCell``, ``LSTMCell`` or ``OptimizedLSTMCell``, and
            ``GRUCell``; ``"nnx"`` for ``flax.nnx``: ``SimpleCell``, ``OptimizedLSTMCell`` and ``GRUCell``.

    Returns:
        A tree for each layer, and in each direction.

    Raises:
        UsageError: if Flax has no such cell, the style is another, parameters are missing or unknown, or
            ``nnx.GRUCell`` cannot hold them: it has no bias inside the reset.
    """
    who = "to_flax"
    cell = counterpart(cell, "Flax", CELLS, who)
    as_choice(style, f"{who}: style", tuple(STYLES))
    return [
        _to_tree(cell, group, style, f"{who}: {layer}")
        for layer, group in by_layer(cell, params, who).items()
    ]


def _from_tree(cell: Cell, tree: Mapping[str, Any], who: str) -> Arrays:
    gates = FORMS[cell.name].gates
    as_mapping(tree, who)
    dense = {name.removesuffix("_"): layer for name, layer in tree.items()}  # nnx.LSTMCell has if_
    side_by_side = set(dense) == set(_DENSE.values())
    if not side_by_side and set(dense) != {_gate(cell, side, gate) for side in "ih" for gate in gates}:
        raise UsageError(
            f"{who}: the dense layers are {', '.join(sorted(tree))}, not those of {cell.label()}."
        )
    found = {}
    for side in "ih":
        names = [_DENSE[side]] if side_by_side else [_gate(cell, side, gate) for gate in gates]
        kernels = [_leaf(dense[name], "kernel", f"{who}: {name}") for name in names]
        found[side] = np.concatenate(kernels, axis=-1)
        biases = [
            _leaf(dense[name], "bias", f"{who}: {name}", np.zeros_like(kernel[..., 0, :]))
            for name, kernel in zip(names, kernels, strict=True)
        ]
        found[f"b{side}"] = np.concatenate(biases, axis=-1)
    return read(cell, Weights(found["i"], found["h"], found["bi"], found["bh"]), who, found)


def _leaf(layer: Mapping[str, Any], name: str, who: str, default: Array | None = None) -> Array:
    """An array of a dense layer."""
    if name not in layer:
        if default is None:
            raise UsageError(f"{who} has no {name}; it has {', '.join(layer) or 'nothing'}.")
        return default
    return np.asarray(layer[name])


def _to_tree(cell: Cell, arrays: Mapping[str, Array], style: str, who: str) -> Tree:
    w = write(cell, arrays)
    if cell.name == "lstm":  # whose bias is that of the state
        w = Weights(w.x, w.h, np.zeros_like(w.bias_x), w.bias_x)
    sides = {"i": (w.x, w.bias_x), "h": (w.h, w.bias_h)}
    if style == "linen":
        return _by_gate(cell, sides)
    if cell.name == "gru" and w.bias_h.any():
        raise UsageError(
            f"{who}: nnx.GRUCell has no bias inside the reset, and bn is not zero; linen's GRUCell has one."
        )
    biased = dict(zip("ih", _BIASED[cell.name], strict=True)) | ({"h": ""} if cell.name == "gru" else {})
    return {_DENSE[side]: _dense(*sides[side], bool(biased[side])) for side in "ih"}


def _by_gate(cell: Cell, sides: Mapping[str, tuple[Array, Array]]) -> Tree:
    gates = FORMS[cell.name].gates
    tree = {}
    for side, biased in zip("ih", _BIASED[cell.name], strict=True):
        parts = (np.split(array, len(gates), axis=-1) for array in sides[side])
        for gate, kernel, bias in zip(gates, *parts, strict=True):
            tree[_gate(cell, side, gate)] = _dense(kernel, bias, gate in biased)
    return tree


def _gate(cell: Cell, side: str, gate: str) -> str:
    """``hi`` for gate i of the state; a SimpleCell has one dense layer a side."""
    return side if cell.name == "vanilla" else side + gate


def _dense(kernel: Array, bias: Array, biased: bool) -> dict[str, Array]:
    found = {"kernel": np.array(kernel, order="C")}
    return {**found, "bias": np.array(bias, order="C")} if biased else found
