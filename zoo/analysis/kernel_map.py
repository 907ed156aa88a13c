"""The map of a layer whose cell brings kernels and states no step: sequences of one step, both ways."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from zoo.analysis.step_map import StepMap, Told
from zoo.compiler import passes
from zoo.layers.layer import Array


class KernelMap(StepMap):
    """The map of such a layer."""

    def step(self, told: Told, vectors: Array) -> Array:
        """As declared."""
        after = self._run(told, vectors.reshape(-1, self.size))[1]
        return self.join(self._own(after), (len(after[0]),)).reshape(vectors.shape)

    def pull_back(self, told: Told, vectors: Array, seeds: Array) -> Array:
        """As declared."""
        shape = (len(seeds), *vectors.shape)
        spread = told.map(lambda value: np.broadcast_to(value, (len(seeds), *value.shape)))
        seen, after, (y, kept) = self._run(spread, np.broadcast_to(vectors, shape).reshape(-1, self.size))
        parts = self.split(np.broadcast_to(seeds, shape).reshape(-1, self.size))
        dlast = tuple(
            np.ascontiguousarray(parts[name]) if name in parts else np.zeros_like(value)
            for name, value in zip(self.cell.states, after, strict=True)
        )
        calls = passes(self.cell)
        _, dbefore, _ = calls.backward(*seen, kept, np.zeros_like(y), dlast, *calls.options)
        return self.join(self._own(dbefore), (len(y[0]),)).reshape(shape)

    def _own(self, states: Sequence[Array]) -> list[Array]:
        """The states that the map is about."""
        return [state for name, state in zip(self.cell.states, states, strict=True) if name in self.shapes]

    def _run(self, told: Told, vectors: Array) -> tuple[Any, Any, Any]:
        """One step of many rows: what the kernel was given, the states after it, the output and the tape."""
        rows, calls = len(vectors), passes(self.cell)
        width = () if told.x.dtype.kind == "i" else (self.layer.input_size,)
        x = np.ascontiguousarray(told.x.reshape(1, rows, *width))
        own = self.split(vectors)
        before = tuple(
            np.ascontiguousarray(own[name] if name in own else told.whole[name].reshape(rows, *shape))
            for name, shape in zip(self.cell.states, self.layer.states.values(), strict=True)
        )
        shapes = self.layer.inputs.values()
        inputs = tuple(
            np.ascontiguousarray(each.reshape(1, rows, *shape))
            for each, shape in zip(told.inputs, shapes, strict=True)
        )
        seen = self.arrays, x, before, *((inputs,) if self.cell.inputs else ())
        y, after, kept = calls.forward(*seen, *calls.options)
        return seen, after, (y, kept)
