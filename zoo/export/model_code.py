"""The parts of an exported model that C and JavaScript share: constants, and the calls of one step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

import numpy as np

from zoo.array_types import Array
from zoo.export.exported_model import ExportedModel, LayerExport
from zoo.export.model_matrices import ModelMatrices
from zoo.export.sequence_function import SequenceFunction
from zoo.export.step_function import LayerFunction, state_field, write_layer
from zoo.export.syntax import Syntax, register_helper


class ModelCode:
    """The constants, functions and calls of a model.

    Args:
        model: The model.
        syntax: The language.
        int8: Whether matrices of products are int8 numbers with scales.

    Attributes:
        layers: The function of each direction of each layer.
        aux: The names of the auxiliary inputs.
        constants: Constant arrays by name.
        helpers: Names of the helpers that the functions and calls use.
        step_calls: The statements of one step; empty for a bidirectional model.
        step_arrays: Lengths of the local arrays of a step.
        sequence: The statements over a whole sequence of a bidirectional model; None for a step.
    """

    def __init__(self, model: ExportedModel, syntax: Syntax, int8: bool) -> None:
        self.model, self.syntax = model, syntax
        self.layers = [
            write_layer(direction, syntax, model.first_layer_reads_tokens and direction.spec.index == 0, int8)
            for direction in model.directions
        ]
        names = syntax.names()
        self.aux = {name: names.fresh(name) for name in model.inputs}
        self._matrices = matrices = ModelMatrices.make(model, syntax, int8)
        self.constants: dict[str, Array] = {}
        for layer in self.layers:
            self.constants |= layer.constants
        self.helpers = {helper for layer in self.layers for helper in layer.helpers}
        for direction in model.directions:
            self.constants |= {
                f"initial_{state_field(direction, name)}": v for name, v in direction.initial.items()
            }
        self.constants |= matrices.constants
        self.step_calls, self.step_arrays = list[str](), dict[str, int]()
        self.sequence: SequenceFunction | None = None
        if model.is_bidirectional:
            self.sequence = SequenceFunction(model, self.layers, matrices, self.aux, syntax)
            self.helpers |= self.sequence.helpers
        else:
            self.step_calls = list(self._calls())

    def _calls(self) -> Iterator[str]:
        x = "token" if self.model.tokens else "x"
        if self._matrices.is_input_copied:
            size = self.model.layers[0].spec.input_size
            yield from self._calls_of(self._matrices.embedded_lines("x", "token", "embedded"))
            x, self.step_arrays["embedded"] = "embedded", size
        elif self.model.embedding is not None:
            x = self._matrices.embedding_row("token")
        for function, layer in zip(self.layers, self.model.layers, strict=True):
            x, lines = self._layer(function, layer, x)
            yield from lines
        yield from self._output(x)

    def _layer(self, function: LayerFunction, layer: LayerExport, x: str) -> tuple[str, list[str]]:
        """The expression for the output of a layer, and the lines that compute it."""
        aux, output = self.aux, function.output
        arguments = ["state", x, *(aux[name] for name in function.inputs)]
        if not output or layer.spec.is_residual:
            output = self._array_for(layer)
        arguments += [] if function.output else [output]
        lines = [f"{function.name}({', '.join(arguments)});"]
        size = layer.spec.output_size
        if function.output and output != function.output:
            self.helpers.add("copy")
            lines.append(f"copy({function.output}, {output}, {size});")
        if layer.spec.is_residual:
            lines.append(self._add_residual(x, output, size))
        return output, lines

    def _array_for(self, layer: LayerExport) -> str:
        """An array for the output of a layer: the caller's, if it is the output of the model."""
        if layer is self.model.layers[-1] and self.model.readout is None:
            return "y"
        name = f"y{layer.spec.index}"
        self.step_arrays[name] = layer.spec.output_size
        return name

    def _add_residual(self, x: str, output: str, size: int) -> str:
        if x == "token":
            return f"{output}[token] += 1;"
        self.helpers.add("add")
        return f"add({x}, {output}, {size});"

    def _output(self, y: str) -> Iterator[str]:
        """The lines that compute the output of the model from that of the last layer."""
        if self.model.readout is not None:
            yield from self._calls_of(self._matrices.readout_lines(y, self.model.output))
        elif y != "y":
            self.helpers.add("copy")
            yield f"copy({y}, y, {self.model.layers[-1].spec.output_size});"

    def _calls_of(self, calls: Iterable[str]) -> Iterator[str]:
        return (register_helper(call, self.helpers) for call in calls)

    def sizes(self) -> dict[str, int]:
        """Bytes of constants, states, local arrays, and of the work for a step of a bidirectional model."""
        size = self.model.dtype.itemsize
        states = sum(math.prod(shape) for shape in self.model.states.values())
        scratch = sum(self.step_arrays.values()) + max(layer.scratch for layer in self.layers)
        sizes = {
            "weights": sum(
                value.size * (1 if value.dtype == np.int8 else size) for value in self.constants.values()
            ),
            "states": states * size,
            "scratch": scratch * size,
        }
        return sizes if self.sequence is None else {**sizes, "work": self.sequence.work * size}

    def is_int8(self) -> dict[str, bool]:
        """Whether each constant of two numbers or more in a row and a column is int8, by name."""
        return {
            name: value.dtype == np.int8
            for name, value in self.constants.items()
            if value.ndim > 1 and min(value.shape[-2:]) > 1
        }
