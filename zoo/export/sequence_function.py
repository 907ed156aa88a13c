"""Statements over a whole sequence, for models whose layers read it from both ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from zoo.export.exported_model import DirectionExport, ExportedModel, LayerExport
from zoo.export.model_matrices import ModelMatrices
from zoo.export.step_function import LayerFunction
from zoo.export.syntax import Syntax, register_helper


class SequenceFunction:
    """Statements over a sequence: each direction of each layer in a loop over all steps, then the readout.

    They read ``tokens`` or ``x``, auxiliary inputs and ``count``, and write to ``outputs``.

    Args:
        model: The model.
        directions: The function of each direction of its layers.
        matrices: The embedding and the readout.
        aux: The names of the auxiliary inputs.
        syntax: The language.

    Attributes:
        arrays: The elements for each step of the arrays that the statements use, by name.
        lines: The statements.
        helpers: Names of the helpers that they call.
    """

    def __init__(
        self,
        model: ExportedModel,
        directions: list[LayerFunction],
        matrices: ModelMatrices,
        aux: dict[str, str],
        syntax: Syntax,
    ) -> None:
        self.model, self.syntax = model, syntax
        self.matrices, self.aux = matrices, aux
        self.functions = {
            direction.name: function for direction, function in zip(model.directions, directions, strict=True)
        }
        self.helpers = set[str]()
        self.arrays = {f"y{layer.spec.index}": layer.spec.output_size for layer in model.layers}
        if model.readout is None:
            self.arrays.popitem()  # the last layer writes to the outputs
        if matrices.is_input_copied:
            self.arrays = {"embedded": model.layers[0].spec.input_size, **self.arrays}
        self.lines = list(self._lines())

    @property
    def work(self) -> int:
        """Elements of memory for each step: the outputs of layers, and the inputs and outputs of raw rows."""
        model = self.model
        raw = model.input_size + model.output_size + sum(map(math.prod, model.inputs.values()))
        return max(1, sum(self.arrays.values()) + (0 if model.data is None else raw))

    def _lines(self) -> Iterator[str]:
        address = self.syntax.address
        x, width = ("tokens" if self.model.tokens else "x"), self.model.input_size
        if self.matrices.is_input_copied:
            size = self.model.layers[0].spec.input_size
            rows = address("x", f"t * {width}"), "tokens[t]", address("embedded", f"t * {size}")
            yield from self._loop(self._calls_of(self.matrices.embedded_lines(*rows)))
            x, width = "embedded", size
        for layer in self.model.layers:
            y = f"y{layer.spec.index}"
            y = y if y in self.arrays else "outputs"
            yield from self._layer(layer, x, width, y)
            x, width = y, layer.spec.output_size
        if self.model.readout is not None:
            y, to = address(x, f"t * {width}"), address("outputs", f"t * {self.model.output_size}")
            yield from self._loop(self._calls_of(self.matrices.readout_lines(y, to)))

    def _calls_of(self, calls: Iterable[str]) -> list[str]:
        return [register_helper(call, self.helpers) for call in calls]

    def _layer(self, layer: LayerExport, x: str, width: int, y: str) -> Iterator[str]:
        """The loops of the directions of a layer, and of its residual connection."""
        size, first = layer.spec.output_size, 0
        is_tokens = x == "tokens" and self.model.embedding is None
        address = self.syntax.address
        row = "tokens[t]" if is_tokens else address(x, f"t * {width}")
        if x == "tokens" and not is_tokens:
            row = self.matrices.embedding_row("tokens[t]")
        for direction in layer.directions:
            function, own = self.functions[direction.name], direction.spec.output_size
            to = address(y, f"t * {size}{f' + {first}' * (first > 0)}")
            aux = (self._aux_row(name, direction) for name in function.inputs)
            arguments = ", ".join(["state", row, *aux, *[to] * (not function.output)])
            lines = [f"{function.name}({arguments});"]
            if function.output:
                self.helpers.add("copy")
                lines.append(f"copy({function.output}, {to}, {own});")
            yield from self._loop(lines, direction.spec.reverse)
            first += own
        if layer.spec.is_residual:
            self.helpers |= set() if is_tokens else {"add"}
            added = (
                f"{self.syntax.element_of_row(y, f't * {size}', 'tokens[t]')} += 1;"
                if is_tokens
                else f"add({row}, {address(y, f't * {size}')}, {size});"
            )
            yield from self._loop([added])

    def _aux_row(self, name: str, direction: DirectionExport) -> str:
        """The row of an auxiliary input for step t."""
        row, size = self.aux[name], math.prod(self.model.inputs[name])
        if direction.spec.reads_following_steps(name):
            return f"(t + 1 < count ? {self.syntax.address(row, f'(t + 1) * {size}')} : {row})"
        return self.syntax.address(row, f"t * {size}")

    def _loop(self, lines: list[str], is_reverse: bool = False) -> Iterator[str]:
        yield from (
            f"{self.syntax.loop('t', 'count', is_reverse)} {{",
            *(f"    {line}" for line in lines),
            "}",
        )
