"""The continuous states of a stack as one vector for each sequence."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.layers.stack import Stack


class StateVectors:
    """Vectors of the elements of all continuous states of a stack, in the order of the layers.

    Args:
        stack: The layers.

    Attributes:
        size: ``S``, the length of a vector.
    """

    def __init__(self, stack: Stack) -> None:
        self._shapes, self._slices, self.size = stack.state_shapes, dict[str, slice](), 0
        for name, shape in self._shapes.items():
            if name not in stack.discrete_states:
                self._slices[name] = slice(self.size, self.size + math.prod(shape))
                self.size += math.prod(shape)

    def join(self, states: Mapping[str, Array]) -> Array:
        """The vectors of states ``(N, ...)``, ``(N, S)``."""
        return np.concatenate([states[name].reshape(len(states[name]), -1) for name in self._slices], axis=1)

    def split(self, vectors: Array) -> Arrays:
        """The states in vectors ``(N, S)``, by name; zeros for discrete ones."""
        return {
            name: np.ascontiguousarray(vectors[:, self._slices[name]]).reshape(-1, *shape)
            if name in self._slices
            else np.zeros((len(vectors), *shape), vectors.dtype)
            for name, shape in self._shapes.items()
        }
