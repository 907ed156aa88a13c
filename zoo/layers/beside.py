"""What layers are told beside x: inputs that were given, noise that is drawn, and the defaults of others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.contracts import Cell, Input, Noise
from zoo.layers.layer import Array, Layer
from zoo.layers.noise import Draw, draw_noise
from zoo.layers.segments import cut

Told = list[tuple[Array, ...]]
"""For each layer what it is told, in the order of declaration."""


@dataclass(frozen=True)
class Beside:
    """The inputs beside x of a whole sequence, made for some steps and rows at a time.

    Args:
        cell: The cell, which declares them.
        layers: The layers.
        given: Those that were given, ``(T, B, ...)``; every layer gets them.
        dtype: Of all arrays.
        draw: What decides the noise; None for its expectation.
    """

    cell: Cell
    layers: list[Layer]
    given: Mapping[str, Array]
    dtype: np.dtype[Any]
    draw: Draw | None = None

    def part(self, steps: slice, rows: slice) -> Told:
        """What every layer is told in these steps, in these rows."""
        if not self.cell.inputs:
            return [()] * len(self.layers)
        made: dict[Any, Array] = {}
        return [
            tuple([self._array(name, layer, (steps, rows), made) for name in self.cell.inputs])
            for layer in self.layers
        ]

    def _array(self, name: str, layer: Layer, part: tuple[slice, slice], made: dict[Any, Array]) -> Array:
        """One input of one layer; what layers share is made once."""
        declared, shape = self.cell.inputs[name], layer.inputs[name]
        is_drawn = self.draw is not None and isinstance(declared, Noise) and name not in self.given
        key = (name, shape, layer.index if is_drawn else None)
        if key not in made:
            if name in self.given:
                made[key] = cut(self.given[name], *part)
            else:
                made[key] = self._made(declared, layer.index, part, shape)
        return made[key]

    def _made(self, declared: Input, layer: int, part: tuple[slice, slice], shape: tuple[int, ...]) -> Array:
        value = declared.value(self.cell.options)
        if self.draw is not None and isinstance(declared, Noise):
            return draw_noise(declared, value, self.draw, layer, part, shape, self.dtype)
        sizes = tuple(each.stop - each.start for each in part)
        return np.full((*sizes, *shape), value, self.dtype)
