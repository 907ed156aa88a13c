"""``CategoryInputs``: the inputs of a model that are one-hot codes of categories, and their embedding."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from zoo.arguments import as_integer
from zoo.array_types import Array
from zoo.errors import UsageError
from zoo.kernels.input_projection import add_weight_gradient


class InputPart(NamedTuple):
    """Consecutive inputs: one category, or the numbers between two of them.

    Attributes:
        inputs: Its inputs.
        embedded: Its elements of the input of the first layer.
        rows: Its rows of the embedding; None for numbers, which stay as they are.
    """

    inputs: slice
    embedded: slice
    rows: slice | None


@dataclass(frozen=True)
class CategoryInputs:
    """Embedding of the inputs that are one-hot codes of categories: the first layer reads a vector for each.

    The vector of a value is a row of the parameter ``embedding (rows, E)``. A missing value, whose inputs are
    all zero, has the vector zero.

    >>> categories = CategoryInputs(5, 2, ((1, 3, 0),))  # inputs 1 to 3 are the code of a category
    >>> categories.embed(np.eye(5)[None], np.arange(6.0).reshape(3, 2))[0].tolist()[1]
    [0.0, 0.0, 1.0, 0.0]

    Attributes:
        input_size: ``I``, inputs of a step.
        size: ``E``, the size of the vectors.
        codes: For each category its first input, the number of its values, and its first row of the
            embedding, in the order of the inputs. Categories with the same rows have the same vectors.
    """

    input_size: int
    size: int
    codes: tuple[tuple[int, int, int], ...]

    def __post_init__(self) -> None:
        end = 0
        for first, count, row in self.codes:
            if not (end <= first and 0 < count <= self.input_size - first and row >= 0):
                raise UsageError(
                    f"categories: the code {(first, count, row)} does not fit {self.input_size} inputs; "
                    f"expected (first input, number of values, first row), ascending, without overlap."
                )
            end = first + count
        if not self.codes:
            raise UsageError("categories: no input is the code of a category; give at least one code.")
        if self.size < 1:
            raise UsageError(f"categories: the size of the vectors is {self.size}; give 1 or more.")

    @property
    def rows(self) -> int:
        """Rows of the embedding."""
        return max(row + count for _, count, row in self.codes)

    @property
    def embedded_size(self) -> int:
        """Inputs of the first layer."""
        return self.input_size - sum(count - self.size for _, count, _ in self.codes)

    def parts(self) -> Iterator[InputPart]:
        """All inputs in order, category by category, with the numbers between them."""
        read = written = 0
        for first, count, row in (*self.codes, (self.input_size, 0, 0)):
            if first > read:
                numbers = first - read
                yield InputPart(slice(read, first), slice(written, written + numbers), None)
                written += numbers
            if count:
                rows = slice(row, row + count)
                yield InputPart(slice(first, first + count), slice(written, written + self.size), rows)
                written += self.size
            read = first + count

    def embed(self, x: Array, embedding: Array) -> Array:
        """The input of the first layer, ``(T, B, E')``.

        Args:
            x: The inputs, ``(T, B, I)``.
            embedding: The vectors, ``(rows, E)``.
        """
        out = np.empty((*x.shape[:-1], self.embedded_size), embedding.dtype)
        for part in self.parts():
            values = x[..., part.inputs]
            out[..., part.embedded] = values if part.rows is None else values @ embedding[part.rows]
        return out

    def add_gradient(self, x: Array, gradient: Array, out: Array) -> None:
        """Add the gradient of the embedding.

        Args:
            x: The inputs, ``(T, B, I)``.
            gradient: Gradient of the result of :meth:`embed`.
            out: The sum so far, ``(rows, E)``.
        """
        for part in self.parts():
            if part.rows is not None:
                # The kernel of the layers: a product of NumPy may depend on the threads of its library.
                codes = np.ascontiguousarray(x[..., part.inputs])
                add_weight_gradient(codes, np.ascontiguousarray(gradient[..., part.embedded]), out[part.rows])

    def matrix(self, embedding: Array) -> Array:
        """:meth:`embed` as a matrix ``(I, E')``, which multiplies a row of inputs."""
        return self.embed(np.eye(self.input_size, dtype=embedding.dtype), embedding)

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "input_size": self.input_size,
            "size": self.size,
            "codes": [list(each) for each in self.codes],
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> CategoryInputs:
        """Read the result of :meth:`to_json`.

        Raises:
            KeyError: if an entry is missing.
            TypeError, ValueError, UsageError: if an entry is invalid.
        """
        inputs, size = (as_integer(stored[name], f"categories: {name}", 1) for name in ("input_size", "size"))
        codes = [tuple(as_integer(each, "categories: codes", 0) for each in code) for code in stored["codes"]]
        return cls(inputs, size, tuple((first, count, row) for first, count, row in codes))


def category_inputs(
    columns: Iterable[str | None],
    categories: Mapping[str, Sequence[str]],
    first: int,
    input_size: int,
    size: int | None,
    source: str,
) -> CategoryInputs | None:
    """The inputs of some columns that are categories, for an embedding of some size.

    Args:
        columns: The columns of the inputs, in order, with None for other numbers. A column that occurs again
            has the same vectors.
        categories: The values of each category.
        first: Inputs before the first column.
        input_size: All inputs, ``I``.
        size: The size of the vectors; None for no embedding.
        source: Name of the data, for messages.

    Raises:
        UsageError: if no column is a category.
    """
    if size is None:
        return None
    rows, codes = dict[str, int](), list[tuple[int, int, int]]()
    for name in columns:
        count = 0 if name is None else len(categories.get(name, ()))
        if name is not None and count:
            row = rows.setdefault(name, sum(len(categories[each]) for each in rows))
            codes.append((first, count, row))
        first += count or 1
    if not codes:
        raise UsageError(
            f"embedding is {size}, and no input of {source} is a column of text values; leave it out. A "
            f"column with many different text values is an input only if `input` names it."
        )
    return CategoryInputs(input_size, size, tuple(codes))
