"""What the modifiers share that give recurrent matrices another form."""

from __future__ import annotations

from typing import Any

Shape = tuple[int, ...]


def recurrent_matrices(spec: Any) -> dict[str, Any]:
    """The parameters that are recurrent matrices, or stacks of them, with one of their products each.

    Raises:
        UsageError: if one of them is used in another way than as a matrix on the right of a state.
    """
    found: dict[str, Any] = {}
    for matmul in spec.recurrent_matmuls:
        if not matmul.param or matmul.param in spec.non_matmul_params:
            raise spec.unsupported(f"it computes the matrix of {matmul.name!r} from parameters")
        if matmul.is_left or len(matmul.operand) != 1 or len(matmul.matrix) != 2:
            raise spec.unsupported(f"{matmul.name!r} is no matrix on the right of one vector")
        if matmul.is_complex:
            raise spec.unsupported(f"{matmul.name!r} multiplies complex numbers")
        found[matmul.param] = matmul
    for matmul in spec.matmuls:
        if matmul.param in found and not matmul.is_recurrent:
            raise spec.unsupported(f"{matmul.param!r} multiplies its input as well as its state")
    return found


def square_blocks(spec: Any, matmul: Any) -> int:
    """How many square matrices stand side by side in a recurrent one, as gates do.

    Raises:
        UsageError: if it is not made of square ones.
    """
    count = matmul.num_squares
    if count is None:
        sizes = ", ".join(matmul.matrix)
        raise spec.unsupported(f"{matmul.name!r} is a matrix ({sizes}), which is not made of square ones")
    return int(count)


def stack_sizes(spec: Any, name: str) -> list[str]:
    """The sizes of a stack of matrices before those of each matrix."""
    return [size.text for size in spec.params[name].shape[:-2]]


def divide_size(size: str, by: int) -> str:
    """A size in so many spec."""
    return f"({size})/{by}" if " " in size else f"{size}/{by}"
