"""The common form of the standard cells' weights, between zoo's and other libraries' layouts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zoo.arguments import as_mapping
from zoo.array_types import Array, Arrays
from zoo.arrays import as_array
from zoo.base import Cell
from zoo.errors import UsageError
from zoo.registry import resolve_cell


class GateWeights(NamedTuple):
    """Weights of one layer in one direction, with gates side by side in zoo's order.

    Args:
        x: Input weights, ``(I, G·H)`` for G gates.
        h: Recurrent weights, ``(R, G·H)``; R is H without a projection.
        bias_x: Input bias, ``(G·H,)``.
        bias_h: Recurrent bias, ``(G·H,)``.
        projection: Output projection, ``(H, R)``; None for none.
    """

    x: Array
    h: Array
    bias_x: Array
    bias_h: Array
    projection: Array | None = None

    def is_consistent(self, gates: int) -> bool:
        """Whether the shapes are those of one layer with ``gates`` gates."""
        if self.x.ndim != 2 or self.h.ndim != 2 or self.x.shape[1] % gates:
            return False
        hidden, output = self.x.shape[1] // gates, self.h.shape[0]
        projected = (hidden, hidden) if self.projection is None else self.projection.shape
        widths = self.h.shape[1:], self.bias_x.shape, self.bias_h.shape
        return projected == (hidden, output) and widths == (self.x.shape[1:],) * 3


@dataclass(frozen=True)
class GateLayout:
    """The mapping between a cell's parameters and :class:`GateWeights`.

    Args:
        gates: A letter for each gate, in zoo's order.
        read: Convert weights to the cell's parameters.
        write: Convert the cell's parameters to weights.
    """

    gates: str
    read: Callable[[Cell, GateWeights], Arrays]
    write: Callable[[Cell, Mapping[str, Array]], GateWeights]


def _read_vanilla(_cell: Cell, w: GateWeights) -> Arrays:
    return {"Wxh": w.x, "Whh": w.h, "bh": w.bias_x + w.bias_h}


def _write_vanilla(_cell: Cell, p: Mapping[str, Array]) -> GateWeights:
    return GateWeights(p["Wxh"], p["Whh"], p["bh"], np.zeros_like(p["bh"]))


def _read_lstm(cell: Cell, w: GateWeights) -> Arrays:
    params = {"Wx": w.x, "Wh": w.h, "b": _shift_forget_bias(cell, w.bias_x + w.bias_h, -1)}
    return params if w.projection is None else {**params, "Wp": w.projection}


def _write_lstm(cell: Cell, p: Mapping[str, Array]) -> GateWeights:
    return GateWeights(
        p["Wx"], p["Wh"], _shift_forget_bias(cell, p["b"], 1), np.zeros_like(p["b"]), p.get("Wp")
    )


def _shift_forget_bias(cell: Cell, bias: Array, sign: int) -> Array:
    """Add ``sign`` times the option ``forget_bias`` to gate f of a bias of gates i, f, g, o."""
    if cell.options["forget_bias"] == 0:
        return bias
    shifted = bias.copy()
    shifted.reshape(4, -1)[1] += sign * cell.options["forget_bias"]
    return shifted


def _read_gru(_cell: Cell, w: GateWeights) -> Arrays:
    bias = w.bias_x + w.bias_h
    start = 2 * (bias.size // 3)  # of the candidate
    bias[start:] = w.bias_x[start:]
    return {"Wx": w.x, "Wh": w.h, "b": bias, "bn": w.bias_h[start:]}


def _write_gru(_cell: Cell, p: Mapping[str, Array]) -> GateWeights:
    bias_h = np.concatenate([np.zeros_like(p["b"][: -p["bn"].size]), p["bn"]])
    return GateWeights(p["Wx"], p["Wh"], p["b"], bias_h)


def _read_gru_reset_before(_cell: Cell, w: GateWeights) -> Arrays:
    gates = 2 * w.h.shape[0]
    return {"Wx": w.x, "Wh": w.h[:, :gates], "Wn": w.h[:, gates:], "b": w.bias_x + w.bias_h}


def _write_gru_reset_before(_cell: Cell, p: Mapping[str, Array]) -> GateWeights:
    return GateWeights(p["Wx"], np.concatenate([p["Wh"], p["Wn"]], axis=1), p["b"], np.zeros_like(p["b"]))


GATE_LAYOUTS = {
    "vanilla": GateLayout("h", _read_vanilla, _write_vanilla),
    "lstm": GateLayout("ifgo", _read_lstm, _write_lstm),
    "lstm_projected": GateLayout("ifgo", _read_lstm, _write_lstm),
    "gru": GateLayout("rzn", _read_gru, _write_gru),
    "gru_reset_before": GateLayout("rzn", _read_gru_reset_before, _write_gru_reset_before),
}


def has_gate_layout(cell: Cell) -> bool:
    """Whether a cell is one of :data:`FORMS`; a cell of the same name from a plugin is not."""
    return cell.name in GATE_LAYOUTS and type(cell).__module__.startswith("zoo_cells.")


def read_layer(cell: Cell, weights: GateWeights, owner: str, source: Mapping[str, Array]) -> Arrays:
    """The parameters of one layer.

    Args:
        cell: The cell.
        weights: Weights from another library.
        owner: Owner for error messages.
        source: The other library's arrays by name, for error messages.

    Raises:
        UsageError: if the shapes are inconsistent.
    """
    layout = GATE_LAYOUTS[cell.name]
    projects = (weights.projection is not None) == ("Wp" in cell.params)
    if not projects or not weights.is_consistent(len(layout.gates)):
        shapes = ", ".join(f"{name} {value.shape}" for name, value in source.items())
        raise UsageError(f"{owner}: {shapes} are not the arrays of one layer of {cell.label()}.")
    arrays = layout.read(cell, weights)
    expected = cell.param_shapes(weights.x.shape[0], weights.x.shape[1] // len(layout.gates))
    if {name: value.shape for name, value in arrays.items()} != expected:  # an option determines a size
        shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items())
        raise UsageError(f"{owner}: they make {shapes}; with its options, {cell!r} has {expected}.")
    return arrays


def write_layer(cell: Cell, arrays: Mapping[str, Array]) -> GateWeights:
    """The weights of one layer's parameters."""
    return GATE_LAYOUTS[cell.name].write(cell, arrays)


def reorder_gates(array: Array, order: str, new_order: str) -> Array:
    """Reorder gates along the last axis, named by letters."""
    if order == new_order:
        return array
    gates = dict(zip(order, np.split(array, len(order), axis=-1), strict=True))
    return np.concatenate([gates[letter] for letter in new_order], axis=-1)


_NAME = re.compile(r"(l(\d+)(?:\.(reverse))?)\.(\w+)")


def check_supported(cell: str | type[Cell] | Cell, library: str, cells: Iterable[str], owner: str) -> Cell:
    """Resolve a cell and check that the other library has it.

    Args:
        cell: A name, a class or a cell.
        library: Name of the library.
        cells: Cells of the library.
        owner: Owner for error messages.

    Raises:
        UsageError: if the library does not have it.
    """
    resolved = resolve_cell(cell)
    if resolved.name not in cells or not has_gate_layout(resolved):
        raise UsageError(
            f"{owner}: {library} has no layer with the equations of {resolved.label()}; it has layers for "
            f"{', '.join(cells)}."
        )
    return resolved


def layer_name(index: int, reverse: bool) -> str:
    """Zoo's name of a layer in one direction: ``l0``, ``l0.reverse``."""
    return f"l{index}.reverse" if reverse else f"l{index}"


def layer_names(count: int, bidirectional: bool) -> list[str]:
    """The names of ``count`` layers, in order; the forward direction first."""
    directions = (False, True) if bidirectional else (False,)
    return [layer_name(index, reverse) for index in range(count) for reverse in directions]


def split_by_layer(cell: Cell, params: Mapping[str, Any], owner: str) -> dict[str, Arrays]:
    """Group parameters ``"l0.Wx"`` by layer, in order.

    Raises:
        UsageError: if they are not the complete parameters of layers of the cell.
    """
    groups: dict[str, Arrays] = {}
    for name, value in as_mapping(params, f"{owner}: params").items():
        match = _NAME.fullmatch(name)
        if match is None or match[4] not in cell.params:
            raise UsageError(
                f"{owner}: {cell.label()} has no parameter {name!r}; expected l0.{', l0.'.join(cell.params)} "
                f"and so on for every layer."
            )
        groups.setdefault(match[1], {})[match[4]] = as_array(value, f"{owner}: {name}")
    is_bidirectional = any(name.endswith("reverse") for name in groups)
    expected = layer_names(len(groups) // (1 + is_bidirectional), is_bidirectional)
    if set(groups) != set(expected) or not groups:
        raise UsageError(
            f"{owner}: found the layers {', '.join(sorted(groups)) or '(none)'}; some are missing."
        )
    for layer in expected:
        missing = [name for name in cell.params if name not in groups[layer]]
        if missing:
            raise UsageError(f"{owner}: {layer}.{missing[0]} is missing; give all parameters of a layer.")
    return {layer: groups[layer] for layer in expected}


def merge_layers(layers: Mapping[str, Mapping[str, Array]]) -> Arrays:
    """Merge the parameters of all layers under zoo's names, as copies."""
    return {
        f"{layer}.{name}": np.array(value, order="C")
        for layer, arrays in layers.items()
        for name, value in arrays.items()
    }
