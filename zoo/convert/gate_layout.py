"""The standard cells in one form, between zoo's parameters and the layouts of other libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zoo.base import Cell
from zoo.errors import UsageError

Array = np.ndarray[Any, Any]
Arrays = dict[str, Array]


class Weights(NamedTuple):
    """One layer in one direction, its gates side by side in zoo's order.

    Args:
        x: What multiplies the input, ``(I, G·H)`` for G gates.
        h: What multiplies the output of the step before, ``(R, G·H)``; R is H where nothing is projected.
        bias_x: What is added to the product with the input, ``(G·H,)``.
        bias_h: What is added to the product with the output, ``(G·H,)``.
        projection: What makes the output of hidden units, ``(H, R)``; None for none.
    """

    x: Array
    h: Array
    bias_x: Array
    bias_h: Array
    projection: Array | None = None

    def fit(self, gates: int) -> bool:
        """Whether the shapes are those of one layer with so many gates."""
        if self.x.ndim != 2 or self.h.ndim != 2 or self.x.shape[1] % gates:
            return False
        hidden, output = self.x.shape[1] // gates, self.h.shape[0]
        projected = (hidden, hidden) if self.projection is None else self.projection.shape
        widths = self.h.shape[1:], self.bias_x.shape, self.bias_h.shape
        return projected == (hidden, output) and widths == (self.x.shape[1:],) * 3


@dataclass(frozen=True)
class Form:
    """How one cell's parameters make up :class:`Weights`.

    Args:
        gates: A letter for each gate, in zoo's order.
        read: Weights to the cell's parameters.
        write: The cell's parameters to weights.
    """

    gates: str
    read: Callable[[Cell, Weights], Arrays]
    write: Callable[[Cell, Mapping[str, Array]], Weights]


def _read_vanilla(_cell: Cell, w: Weights) -> Arrays:
    return {"Wxh": w.x, "Whh": w.h, "bh": w.bias_x + w.bias_h}


def _write_vanilla(_cell: Cell, p: Mapping[str, Array]) -> Weights:
    return Weights(p["Wxh"], p["Whh"], p["bh"], np.zeros_like(p["bh"]))


def _read_lstm(cell: Cell, w: Weights) -> Arrays:
    found = {"Wx": w.x, "Wh": w.h, "b": _shifted(cell, w.bias_x + w.bias_h, -1)}
    return found if w.projection is None else {**found, "Wp": w.projection}


def _write_lstm(cell: Cell, p: Mapping[str, Array]) -> Weights:
    return Weights(p["Wx"], p["Wh"], _shifted(cell, p["b"], 1), np.zeros_like(p["b"]), p.get("Wp"))


def _shifted(cell: Cell, bias: Array, sign: int) -> Array:
    """A bias of gates i, f, g, o with the option ``forget_bias`` taken into f, or out of it."""
    if cell.options["forget_bias"] == 0:
        return bias
    shifted = bias.copy()
    shifted.reshape(4, -1)[1] += sign * cell.options["forget_bias"]
    return shifted


def _read_gru(_cell: Cell, w: Weights) -> Arrays:
    outside = w.bias_x + w.bias_h
    inside = 2 * (outside.size // 3)  # where the candidate's part begins
    outside[inside:] = w.bias_x[inside:]
    return {"Wx": w.x, "Wh": w.h, "b": outside, "bn": w.bias_h[inside:]}


def _write_gru(_cell: Cell, p: Mapping[str, Array]) -> Weights:
    inside = np.concatenate([np.zeros_like(p["b"][: -p["bn"].size]), p["bn"]])
    return Weights(p["Wx"], p["Wh"], p["b"], inside)


def _read_gru_reset_before(_cell: Cell, w: Weights) -> Arrays:
    gates = 2 * w.h.shape[0]
    return {"Wx": w.x, "Wh": w.h[:, :gates], "Wn": w.h[:, gates:], "b": w.bias_x + w.bias_h}


def _write_gru_reset_before(_cell: Cell, p: Mapping[str, Array]) -> Weights:
    return Weights(p["Wx"], np.concatenate([p["Wh"], p["Wn"]], axis=1), p["b"], np.zeros_like(p["b"]))


FORMS = {
    "vanilla": Form("h", _read_vanilla, _write_vanilla),
    "lstm": Form("ifgo", _read_lstm, _write_lstm),
    "lstm_projected": Form("ifgo", _read_lstm, _write_lstm),
    "gru": Form("rzn", _read_gru, _write_gru),
    "gru_reset_before": Form("rzn", _read_gru_reset_before, _write_gru_reset_before),
}


def has_form(cell: Cell) -> bool:
    """Whether a cell is one of :data:`FORMS`; one of the same name that somebody else wrote is not."""
    return cell.name in FORMS and type(cell).__module__.startswith("zoo_cells.")


def read(cell: Cell, weights: Weights, who: str, found: Mapping[str, Array]) -> Arrays:
    """The parameters of one layer.

    Args:
        cell: The cell.
        weights: What another library's arrays make.
        who: Whose they are, for errors.
        found: Those arrays under their names, for errors.

    Raises:
        UsageError: if they do not fit together.
    """
    form = FORMS[cell.name]
    projects = (weights.projection is not None) == ("Wp" in cell.params)
    if not projects or not weights.fit(len(form.gates)):
        shapes = ", ".join(f"{name} {value.shape}" for name, value in found.items())
        raise UsageError(f"{who}: {shapes} are not the arrays of one layer of {cell.label()}.")
    arrays = form.read(cell, weights)
    expected = cell.param_shapes(weights.x.shape[0], weights.x.shape[1] // len(form.gates))
    if {name: value.shape for name, value in arrays.items()} != expected:  # an option decides about a size
        shapes = ", ".join(f"{name} {value.shape}" for name, value in arrays.items())
        raise UsageError(f"{who}: they make {shapes}; with its options, {cell!r} has {expected}.")
    return arrays


def write(cell: Cell, arrays: Mapping[str, Array]) -> Weights:
    """The parameters of one layer as weights."""
    return FORMS[cell.name].write(cell, arrays)


def reordered(array: Array, order: str, wanted: str) -> Array:
    """Gates along the last axis, named by letters, in another order."""
    if order == wanted:
        return array
    gates = dict(zip(order, np.split(array, len(order), axis=-1), strict=True))
    return np.concatenate([gates[letter] for letter in wanted], axis=-1)
