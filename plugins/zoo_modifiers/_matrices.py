"""What the modifiers share that give recurrent matrices another form."""

from __future__ import annotations

from typing import Any

Shape = tuple[int, ...]


def recurrent_matrices(parts: Any) -> dict[str, Any]:
    """The parameters that are recurrent matrices, or stacks of them, with one of their products each.

    Raises:
        UsageError: if one of them is used in another way than as a matrix on the right of a state.
    """
    found: dict[str, Any] = {}
    for product in parts.recurrent:
        if not product.param or product.param in parts.loose:
            raise parts.refusal(f"it computes the matrix of {product.name!r} from parameters")
        if product.is_left or len(product.operand) != 1 or len(product.matrix) != 2:
            raise parts.refusal(f"{product.name!r} is no matrix on the right of one vector")
        if product.is_complex:
            raise parts.refusal(f"{product.name!r} multiplies complex numbers")
        found[product.param] = product
    for product in parts.products:
        if product.param in found and not product.recurrent:
            raise parts.refusal(f"{product.param!r} multiplies its input as well as its state")
    return found


def blocks(parts: Any, product: Any) -> int:
    """How many square matrices stand side by side in a recurrent one, as gates do.

    Raises:
        UsageError: if it is not made of square ones.
    """
    count = product.squares
    if count is None:
        sizes = ", ".join(product.matrix)
        raise parts.refusal(f"{product.name!r} is a matrix ({sizes}), which is not made of square ones")
    return int(count)


def sizes_in_front(parts: Any, name: str) -> list[str]:
    """The sizes of a stack of matrices before those of each matrix."""
    return [size.text for size in parts.params[name].shape[:-2]]


def divided(size: str, by: int) -> str:
    """A size in so many parts."""
    return f"({size})/{by}" if " " in size else f"{size}/{by}"
