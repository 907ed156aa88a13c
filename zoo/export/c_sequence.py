"""Emission of a function over a whole sequence in C, for models whose layers read it from both ends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from zoo.export.c_model_matrices import ModelMatrices
from zoo.export.c_source import c_type, register_helper
from zoo.export.c_step import CLayer
from zoo.export.exported_model import DirectionExport, ExportedModel, LayerExport

_COMMENT = """\
/* The outputs of a sequence of `count` steps: `count` rows {into} in, `count` rows of {upper}_OUTPUTS numbers
 * out. `work` is memory for count * {upper}_WORK numbers, which need no values. */"""


class SequenceFunction:
    """The function ``sequence``: each direction of each layer in a loop over all steps, then the readout.

    Args:
        model: The model.
        prefix: Prefix of all public names.
        directions: The function of each direction of its layers.
        matrices: The embedding and the readout.
        aux: The C names of the auxiliary inputs.

    Attributes:
        helpers: Names of the helpers that it calls, after :meth:`source_lines`.
    """

    def __init__(
        self,
        model: ExportedModel,
        prefix: str,
        directions: list[CLayer],
        matrices: ModelMatrices,
        aux: dict[str, str],
    ) -> None:
        self.model, self.prefix, self.upper = model, prefix, prefix.upper()
        self.real, self.matrices, self.aux = c_type(model.dtype), matrices, aux
        self.functions = {
            direction.name: function for direction, function in zip(model.directions, directions, strict=True)
        }
        self.helpers = set[str]()
        self.arrays = {f"y{layer.spec.index}": layer.spec.output_size for layer in model.layers}
        if model.readout is None:
            self.arrays.popitem()  # the last layer writes to the outputs
        if matrices.is_input_copied:
            self.arrays = {"embedded": model.layers[0].spec.input_size, **self.arrays}

    @property
    def work(self) -> int:
        """Elements of memory for each step: the outputs of layers, and the inputs and outputs of raw rows."""
        model = self.model
        raw = model.input_size + model.output_size + sum(map(math.prod, model.inputs.values()))
        return max(1, sum(self.arrays.values()) + (0 if model.data is None else raw))

    def header_lines(self) -> Iterator[str]:
        """The lines of the header."""
        into = "of a token" if self.model.tokens else f"of {self.upper}_INPUTS features"
        yield f"#define {self.upper}_WORK {self.work} /* numbers of memory for each step */"
        yield ""
        yield from _COMMENT.format(upper=self.upper, into=into).split("\n")
        yield f"{self._signature()};"
        yield ""

    def _signature(self) -> str:
        real = self.real
        first = "const int *tokens" if self.model.tokens else f"const {real} *x"
        aux = (f"const {real} *{name}" for name in self.aux.values())
        arguments = [first, *aux, "size_t count", f"{real} *work", f"{real} *outputs"]
        return f"void {self.prefix}_sequence({', '.join(arguments)})"

    def source_lines(self) -> Iterator[str]:
        """The lines of the source."""
        yield from (self._signature(), "{", f"    {self.prefix}_state memory, *const state = &memory;")
        address = "work"
        for name, size in self.arrays.items():
            yield f"    {self.real} *const {name} = {address};"
            address = f"{name} + count * {size}"
        yield from (*["    (void)work;"] * (not self.arrays), f"    {self.prefix}_init(state);")
        x, width = ("tokens" if self.model.tokens else "x"), self.model.input_size
        if self.matrices.is_input_copied:
            size = self.model.layers[0].spec.input_size
            rows = f"x + t * {width}", "tokens[t]", f"embedded + t * {size}"
            yield from self._loop(self._calls_of(self.matrices.embedded_lines(*rows)))
            x, width = "embedded", size
        for layer in self.model.layers:
            y = f"y{layer.spec.index}"
            y = y if y in self.arrays else "outputs"
            yield from self._layer(layer, x, width, y)
            x, width = y, layer.spec.output_size
        if self.model.readout is not None:
            y, to = f"{x} + t * {width}", f"outputs + t * {self.model.output_size}"
            yield from self._loop(self._calls_of(self.matrices.readout_lines(y, to)))
        yield "}"

    def _calls_of(self, calls: Iterable[str]) -> list[str]:
        return [f"    {register_helper(call, self.helpers)}" for call in calls]

    def _layer(self, layer: LayerExport, x: str, width: int, y: str) -> Iterator[str]:
        """The loops of the directions of a layer, and of its residual connection."""
        size, first = layer.spec.output_size, 0
        is_tokens = x == "tokens" and self.model.embedding is None
        row = "tokens[t]" if is_tokens else f"{x} + t * {width}"
        if x == "tokens" and not is_tokens:
            row = self.matrices.embedding_row("tokens[t]")
        for direction in layer.directions:
            function, own = self.functions[direction.name], direction.spec.output_size
            to = f"{y} + t * {size}{f' + {first}' * (first > 0)}"
            aux = (self._aux_row(name, direction) for name in function.inputs)
            arguments = ", ".join(["state", row, *aux, *[to] * (not function.output)])
            lines = [f"    {function.name}({arguments});"]
            if function.output:
                self.helpers.add("copy")
                lines.append(f"    copy({function.output}, {to}, {own});")
            yield from self._loop(lines, direction.spec.reverse)
            first += own
        if layer.spec.is_residual:
            self.helpers |= set() if is_tokens else {"add"}
            added = (
                f"{y}[t * {size} + (size_t)tokens[t]] += 1;"
                if is_tokens
                else f"add({row}, {y} + t * {size}, {size});"
            )
            yield from self._loop([f"    {added}"])

    def _aux_row(self, name: str, direction: DirectionExport) -> str:
        """The row of an auxiliary input for step t."""
        row, size = self.aux[name], math.prod(self.model.inputs[name])
        if direction.spec.reads_following_steps(name):
            return f"(t + 1 < count ? {row} + (t + 1) * {size} : {row})"
        return f"{row} + t * {size}"

    def _loop(self, lines: list[str], is_reverse: bool = False) -> Iterator[str]:
        head = "size_t t = count; t-- > 0;" if is_reverse else "size_t t = 0; t < count; t++"
        yield from (f"    for ({head}) {{", *(f"    {line}" for line in lines), "    }")
