"""Recurrent matrices of a cell, for the modifiers that change their form."""

from __future__ import annotations

import re
from typing import Any

Shape = tuple[int, ...]


def recurrent_matrices(spec: Any) -> dict[str, Any]:
    """The parameters that are recurrent matrices, or stacks of them, each with one of its products.

    Raises:
        UsageError: if one has another use than as the matrix on the right of a state.
    """
    matrices: dict[str, Any] = {}
    for matmul in spec.recurrent_matmuls:
        if not matmul.param:
            raise spec.unsupported(f"it computes the matrix of {matmul.name!r} from parameters")
        if matmul.param in spec.non_matmul_params:
            raise spec.unsupported(
                f"step uses {matmul.param!r} in other ways than as the matrix of a product (zoo.grad of a "
                f"product uses its transpose)"
            )
        if matmul.is_left or len(matmul.operand) != 1 or len(matmul.matrix) != 2:
            raise spec.unsupported(f"{matmul.name!r} is no matrix on the right of one vector")
        if matmul.is_complex:
            raise spec.unsupported(f"{matmul.name!r} multiplies complex numbers")
        matrices[matmul.param] = matmul
    for matmul in spec.matmuls:
        if matmul.param in matrices and not matmul.is_recurrent:
            raise spec.unsupported(f"{matmul.param!r} multiplies its input as well as its state")
    return matrices


def square_blocks(spec: Any, matmul: Any) -> int:
    """The number of square matrices side by side in a recurrent one, as for gates.

    Raises:
        UsageError: if it does not consist of square ones.
    """
    count = matmul.num_squares
    if count is None:
        sizes = ", ".join(matmul.matrix)
        raise spec.unsupported(f"{matmul.name!r} is a matrix ({sizes}), which is not made of square ones")
    return int(count)


def declared_sizes(spec: Any, name: str) -> list[str]:
    """The sizes of a matrix, or of a stack of matrices."""
    return [size.text for size in spec.params[name].shape]


def divide_size(size: str, by: str) -> str:
    """Divide a size expression."""
    return f"{size}/{by}" if re.fullmatch(r"\w+", size) else f"({size})/{by}"
