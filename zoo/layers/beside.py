"""What layers are told beside x: inputs that were given, noise that is drawn, and the defaults of others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.contracts import Noise
from zoo.errors import UsageError
from zoo.layers.floor import Floor, Told
from zoo.layers.layer import Array, Layer
from zoo.layers.noise import Draw, Part, draw_dropout, draw_noise
from zoo.layers.segments import cut
from zoo.layers.shards import Rows, count


@dataclass(frozen=True)
class Beside:
    """The inputs beside x of a whole sequence, made for some steps and rows at a time.

    Args:
        floors: The floors of the stack, whose cells declare them.
        given: Those that were given, ``(T, B, ...)``; every layer that declares one gets it.
        turned: The same for layers that read backwards, in their order of time.
        dtype: Of all arrays.
        draw: What decides the noise; None for its expectation.
        dropout: How probable it is that a number of what a floor hands to the next is dropped.
    """

    floors: list[Floor]
    given: Mapping[str, Array]
    turned: Mapping[str, Array]
    dtype: np.dtype[Any]
    draw: Draw | None = None
    dropout: float = 0.0

    def part(self, steps: slice, rows: Rows) -> list[Told]:
        """What every floor is told in these steps, in these rows."""
        part = steps, rows
        made: dict[Any, Array] = {}
        return [
            Told([self._inputs(layer, part, made) for layer in floor.layers], self._mask(floor, part))
            for floor in self.floors
        ]

    def _mask(self, floor: Floor, part: Part) -> Array | None:
        """What the floor's input is multiplied by: nothing lies below the first."""
        if self.draw is None or not self.dropout or floor.index == 0:
            return None
        return draw_dropout(self.dropout, self.draw, floor.index, part, floor.input_size, self.dtype)

    def _inputs(self, layer: Layer, part: Part, made: dict[Any, Array]) -> tuple[Array, ...]:
        return tuple([self._array(name, layer, part, made) for name in layer.inputs])

    def _array(self, name: str, layer: Layer, part: Part, made: dict[Any, Array]) -> Array:
        """One input of one layer; what layers share is made once."""
        declared, shape = layer.cell.inputs[name], layer.inputs[name]
        value = declared.value(layer.cell.options)
        given = self.turned if layer.reverse else self.given
        if name not in given and self.draw is not None and isinstance(declared, Noise):
            return draw_noise(declared, value, self.draw, layer.place, part, shape, self.dtype)
        key = (name, layer.reverse) if name in given else (shape, value)
        if key not in made:
            steps, rows = part
            sizes = (steps.stop - steps.start, count(rows), *shape)
            made[key] = cut(given[name], *part) if name in given else np.full(sizes, value, self.dtype)
        return made[key]


def check_shared(names: Iterable[str], layers: list[Layer], who: str) -> None:
    """Refuse inputs beside x that cannot be the same for every layer that declares them.

    Raises:
        UsageError: naming the first that has another shape in another layer.
    """
    for name in names:
        first, *others = [layer for layer in layers if name in layer.inputs]
        for layer in others:
            if layer.inputs[name] != first.inputs[name]:
                raise UsageError(
                    f"{who}: every layer gets the same inputs, but {name!r} is {first.inputs[name]} in layer "
                    f"{first.index} and {layer.inputs[name]} in layer {layer.index}; choose one layer, or "
                    f"sizes for which these are equal."
                )
