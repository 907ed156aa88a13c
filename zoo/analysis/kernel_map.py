"""The map of a layer whose cell brings kernels and states no step: sequences of one step, both ways."""

from __future__ import annotations

import numpy as np

from zoo.analysis.step_map import StepMap, Told
from zoo.layers.layer import Array, Arrays, LayerTape


class KernelMap(StepMap):
    """The map of such a layer."""

    def step(self, told: Told, vectors: Array) -> Array:
        """As declared."""
        _, after, _ = self._run(told, vectors.reshape(-1, self.size))
        return self._joined(after, vectors.shape)

    def pull_back(self, told: Told, vectors: Array, seeds: Array) -> Array:
        """As declared."""
        shape = (len(seeds), *vectors.shape)
        spread = told.map(lambda value: np.broadcast_to(value, (len(seeds), *value.shape)))
        y, after, tape = self._run(spread, np.broadcast_to(vectors, shape).reshape(-1, self.size))
        parts = self.split(np.broadcast_to(seeds, shape).reshape(-1, self.size))
        dlast = {
            full: np.ascontiguousarray(parts[name]) if name in parts else np.zeros_like(after[full])
            for name, full in zip(self.cell.states, self.layer.states, strict=True)
        }
        _, dbefore, _ = self.layer.backward(self.arrays, tape, np.zeros_like(y), dlast)
        return self._joined(dbefore, shape)

    def _joined(self, states: Arrays, shape: tuple[int, ...]) -> Array:
        """The states that the map is about, as vectors."""
        own = [states[name] for name in self.places]
        return self.join(own, (len(own[0]),)).reshape(shape)

    def _run(self, told: Told, vectors: Array) -> tuple[Array, Arrays, LayerTape]:
        """One step of many rows: outputs, states after it, and the tape."""
        rows, layer, own = len(vectors), self.layer, self.split(vectors)
        width = () if told.x.dtype.kind == "i" else (layer.input_size,)
        before = {
            full: np.ascontiguousarray(own[name] if name in own else told.whole[name].reshape(rows, *shape))
            for name, (full, shape) in zip(self.cell.states, layer.states.items(), strict=True)
        }
        inputs = tuple(
            np.ascontiguousarray(each.reshape(1, rows, *shape))
            for each, shape in zip(told.inputs, layer.inputs.values(), strict=True)
        )
        x = np.ascontiguousarray(told.x.reshape(1, rows, *width))
        return layer.forward(self.arrays, x, before, inputs)
