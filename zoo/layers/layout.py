"""Named arrays as views into one flat vector: what optimizers, checkpoints and other frameworks see."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Layout:
    """Names and shapes, in the order in which they lie in the vector.

    Args:
        shapes: Shape of each named array.
    """

    shapes: Mapping[str, tuple[int, ...]]

    @cached_property
    def size(self) -> int:
        """``P``, the length of the vector."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    def places(self) -> Iterator[tuple[str, slice, tuple[int, ...]]]:
        """Name, place in the vector, and shape of each array."""
        start = 0
        for name, shape in self.shapes.items():
            stop = start + math.prod(shape)
            yield name, slice(start, stop), shape
            start = stop

    def views(self, vector: Array) -> dict[str, Array]:
        """The named arrays as views: writing to one writes to the vector ``(P,)``."""
        return {name: vector[place].reshape(shape) for name, place, shape in self.places()}


class Fixed(Mapping[str, Array]):
    """A mapping of views whose entries can be filled but not replaced: ``params["Why"][:] = 0``.

    Replacing an entry would part it from the flat vector without a word, so assignment copies into the view.
    """

    def __init__(self, views: Mapping[str, Array]) -> None:
        self._views = dict(views)

    def __getitem__(self, name: str) -> Array:
        return self._views[name]

    def __setitem__(self, name: str, value: Any) -> None:
        self._views[name][...] = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name}: {view.shape}" for name, view in self._views.items()) + "}"
