"""Block-diagonal recurrent matrices, one block for each head."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_modifiers._recurrent_matrices import (
    Shape,
    declared_sizes,
    divide_size,
    recurrent_matrices,
    square_blocks,
)


def stack_blocks(initializer: Callable[..., Any], axis: int) -> Callable[..., Any]:
    """Initialize each block as a matrix of its size."""

    def blocks(rng: np.random.Generator, shape: Shape, cell: Any) -> Any:
        heads = shape[axis]
        block = (*shape[:axis], *shape[axis + 1 :])
        return np.stack([initializer(rng, block, cell) for _ in range(heads)], axis)

    return blocks


class BlockDiagonal(zoo.Modifier):
    """Every recurrent matrix is block diagonal: units form heads, and a unit reads only its own head.

    Equations, for every matrix U that multiplies a value that depends on a state::

        h @ U  becomes  h of each head @ U of that head

    The parameter has the same name, with shape ``(heads, n/heads, m/heads)`` in place of ``(n, m)``. Each
    block starts like a matrix of its size. With one head nothing changes.
    """

    card = zoo.Card(
        title="xLSTM: Extended Long Short-Term Memory",
        authors="Maximilian Beck, Korbinian Pöppel, Markus Spanring, Andreas Auer, Oleksandra Prudnikova, "
        "Michael Kopp, Günter Klambauer, Johannes Brandstetter, Sepp Hochreiter",
        year=2024,
        url="https://arxiv.org/abs/2405.04517",
        variant="These are the block-diagonal recurrent matrices of its sLSTM, for any cell.",
        when_to_use="Use it to save parameters and time where units of different heads need not read each "
        "other. The recurrent matrices shrink by the factor heads. Units of different heads mix only in the "
        "next layer.",
    )
    heads = zoo.Option(4, help="blocks of the recurrent matrices, a divisor of H", low=1)

    def edit(self, spec: Any) -> None:
        """Replace every matrix by a stack of blocks."""
        heads = spec.option("heads")
        for name, matmul in recurrent_matrices(spec).items():
            square_blocks(spec, matmul)
            *front, rows, columns = declared_sizes(spec, name)
            old = spec.params.pop(name)
            sizes = [*front, heads, divide_size(rows, heads), divide_size(columns, heads)]
            initializer = stack_blocks(spec.initializer_of(old), len(front))
            spec.add(name, zoo.Param(*sizes, init=initializer, help=f"{old.help or name}, for each head"))

    def matmul(self, ctx: Any, matmul: Any, operand: Any, matrix: Any) -> Any:
        """Multiply each head by its blocks, and concatenate the results gate by gate."""
        if not matmul.is_recurrent:
            return matmul.multiply(operand, matrix)
        count = square_blocks(ctx.spec, matmul)
        heads = operand.reshape(self.heads, 1, -1) @ matmul.select(ctx[matmul.param])
        return heads.reshape(self.heads, count, -1).swapaxes(0, 1).reshape(-1)


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register block-diagonal recurrent matrices."""
    register(BlockDiagonal)
