"""The embedding and the readout in source code."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from zoo.array_types import Array
from zoo.export.exported_model import ExportedModel
from zoo.export.matrix_source import MatrixSource, quantize_rows, saves_bytes
from zoo.export.syntax import Syntax
from zoo.model.category_inputs import CategoryInputs

EMBEDDING, READOUT = "embedding", "readout_Why"
"""Names of the arrays."""


def quantized_matrices(model: ExportedModel) -> list[str]:
    """Names of the arrays that become integers and scales in an int8 export: embedding, readout, or none."""
    widths = {}
    if model.embedding is not None:
        widths[EMBEDDING] = model.embedding.shape[1]
    if model.readout is not None and not model.is_tied:
        widths[READOUT] = len(model.readout[0])  # each output has a scale
    return [name for name, width in widths.items() if saves_bytes(width)]


@dataclass(frozen=True)
class ModelMatrices:
    """The embedding and the readout in source code.

    Args:
        model: The model.
        constants: Constant arrays by name.
        embedding: The vectors of tokens or of categories; None without an embedding.
        readout: The weights of the readout; None without a readout.
    """

    model: ExportedModel
    constants: Mapping[str, Array]
    embedding: MatrixSource | None
    readout: MatrixSource | None

    @classmethod
    def make(cls, model: ExportedModel, syntax: Syntax, int8: bool) -> ModelMatrices:
        """Store the matrices of a model. A tied readout reads the embedding."""
        constants: dict[str, Array] = {}
        quantized = quantized_matrices(model) if int8 else []

        def store(name: str, value: Array) -> MatrixSource:
            if name not in quantized:
                constants[name] = value
                return MatrixSource(syntax, name)
            constants[name], constants[f"{name}_scales"] = quantize_rows(value)
            return MatrixSource(syntax, name, f"{name}_scales")

        embedding = None if model.embedding is None else store(EMBEDDING, model.embedding)
        if model.readout is None:
            return cls(model, constants, embedding, None)
        weights, constants["readout_by"] = model.readout
        if model.is_tied and embedding is not None:
            readout = replace(embedding, is_transposed=True)
        elif READOUT in quantized:  # outputs may have different units, so each has a scale
            readout = replace(store(READOUT, weights.T), is_transposed=True)
        else:
            readout = store(READOUT, weights)
        return cls(model, constants, embedding, readout)

    @property
    def is_input_copied(self) -> bool:
        """Whether the input of the first layer is an array, not a row of the embedding."""
        return self.model.categories is not None or bool(self.embedding and self.embedding.scales)

    def embedding_row(self, token: str) -> str:
        """Expression for the vector of a token."""
        assert self.embedding is not None
        width = self.model.layers[0].spec.input_size
        return self.embedding.syntax.token_row(self.embedding.pointer, token, width)

    def embedded_lines(self, x: str, token: str, to: str) -> Iterator[str]:
        """The lines that write the input of the first layer.

        Args:
            x: Expression for a row of inputs with categories.
            token: Expression for a token, if the inputs are tokens.
            to: Expression for the row of the first layer.
        """
        assert self.embedding is not None
        if self.model.categories is None:
            yield self.embedding.copy_row(token, to, self.model.layers[0].spec.input_size)
        else:
            yield from _category_lines(self.model.categories, self.embedding, x, to)

    def readout_lines(self, y: str, to: str) -> Iterator[str]:
        """The lines that write the output of the model, from the output of the last layer."""
        assert self.readout is not None
        width = self.model.output_size
        yield f"copy(readout_by, {to}, {width});"
        yield self.readout.add_product(y, to, self.model.layers[-1].spec.output_size, width)


def _category_lines(categories: CategoryInputs, embedding: MatrixSource, x: str, to: str) -> Iterator[str]:
    """The lines that write the input of the first layer: numbers, and the vectors of categories.

    Args:
        categories: The inputs that are codes of categories.
        embedding: Their vectors.
        x: Expression for a row of inputs.
        to: Expression for the row of the first layer.
    """
    size = categories.size
    for part in categories.parts():
        count = part.inputs.stop - part.inputs.start
        source, target = (
            embedding.syntax.address(row, each.start) if each.start else row
            for row, each in ((x, part.inputs), (to, part.embedded))
        )
        if part.rows is None:
            yield f"copy({source}, {target}, {count});"
        else:
            vectors = embedding.slice_rows(part.rows.start, size)
            yield f"clear({target}, {size});"
            yield vectors.add_product(source, target, count, size)
