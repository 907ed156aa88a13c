"""Matrices of products in source code: floating-point numbers, or int8 numbers with a scale for each row."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from zoo.array_types import Array
from zoo.compiler.ir.dims import Dim
from zoo.export.syntax import Syntax

_LARGEST = 127


def quantize_rows(matrix: Array) -> tuple[Array, Array]:
    """Quantize a matrix to integers and a scale for each row, ``matrix ≈ integers * scales[..., None]``.

    The largest magnitude of a row becomes 127. Rows of subnormal numbers become zero.

    Args:
        matrix: ``(..., K, N)``, finite.

    Returns:
        ``integers (..., K, N)``, int8, and ``scales (..., K)`` in the dtype of the matrix.
    """
    limits = np.finfo(matrix.dtype)
    scales = np.abs(matrix).max(axis=-1) / matrix.dtype.type(_LARGEST)
    scales = np.minimum(scales, np.nextafter(limits.max / _LARGEST, 0, dtype=matrix.dtype))
    is_zero = scales < limits.tiny
    divisors = np.where(is_zero, 1, scales)[..., None]
    integers = np.clip(np.rint(matrix / divisors), -_LARGEST, _LARGEST).astype(np.int8)
    integers[is_zero] = 0
    return integers, divisors[..., 0]


def saves_bytes(width: int) -> bool:
    """Whether rows of this length are smaller as integers and a scale."""
    return width > 1


def rounded_rows(matrix: Array) -> Array:
    """The values of a matrix after :func:`quantize_rows`."""
    integers, scales = quantize_rows(matrix)
    return integers * scales[..., None]


@dataclass(frozen=True)
class MatrixSource:
    """A matrix, or a stack of them, in source code. Its methods return calls of helpers.

    Args:
        syntax: The language.
        pointer: Expression for its first element.
        scales: Expression for the scale of its first row; empty if the elements are floating-point numbers.
        is_transposed: Whether the array holds the transpose.
    """

    syntax: Syntax
    pointer: str
    scales: str = ""
    is_transposed: bool = False

    def add_product(self, a: str, to: str, depth: object, width: object) -> str:
        """Add ``a @ matrix`` to an array."""
        helper = "add_product_transposed" if self.is_transposed else "add_product"
        arrays = ", ".join([a, self.pointer, *self._scales(), to])
        return f"{helper}{self._suffix}({arrays}, {depth}, {width});"

    def copy_row(self, row: str, to: str, width: object) -> str:
        """Copy a row to an array."""
        return self._write_row("copy", row, to, width)

    def add_row(self, row: str, to: str, width: object) -> str:
        """Add a row to an array."""
        return self._write_row("add", row, to, width)

    def _write_row(self, helper: str, row: str, to: str, width: object) -> str:
        start = self.syntax.row(self.pointer, row, width)
        if not self.scales:
            return f"{helper}({start}, {to}, {width});"
        scale = self.syntax.element(self.scales, row)
        return f"{helper}_row_int8({start}, {scale}, {to}, {width});"

    def add_column(self, column: str, to: str, depth: object, width: object) -> str:
        """Add a column of the array to another one."""
        arrays = ", ".join([self.syntax.address(self.pointer, column), *self._scales(), to])
        return f"add_column{self._suffix}({arrays}, {depth}, {width});"

    def slice_rows(self, first: int, width: int) -> MatrixSource:
        """The rows from one on."""
        return self._from(first * width, first) if first else self

    def matrix_at(self, index: str, rows: Dim, width: Dim) -> MatrixSource:
        """One matrix of a stack.

        Args:
            index: Expression for its index.
            rows: Number of rows of the array for each matrix.
            width: Length of a row of the array.
        """
        return self._from(f"{index} * {rows * width}", f"{index} * {rows}")

    def _from(self, element: object, row: object) -> MatrixSource:
        scales = self.syntax.address(self.scales, row) if self.scales else ""
        return replace(self, pointer=self.syntax.address(self.pointer, element), scales=scales)

    @property
    def _suffix(self) -> str:
        return "_int8" if self.scales else ""

    def _scales(self) -> list[str]:
        return [self.scales] if self.scales else []
