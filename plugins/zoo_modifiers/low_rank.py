"""Recurrent matrices of low rank, as products of two."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_modifiers._matrices import Shape, recurrent_matrices, sizes_in_front


def orthonormal(rng: np.random.Generator, shape: Shape) -> Any:
    """Orthonormal columns, or rows if those are fewer, in every matrix of a stack."""
    *front, rows, columns = shape
    tall = rng.normal(size=(*front, max(rows, columns), min(rows, columns)))
    q = np.linalg.qr(tall)[0]
    return q if rows >= columns else q.swapaxes(-1, -2)


class LowRank(zoo.Modifier):
    """Every recurrent matrix is the product of a high and a wide one, which takes fewer numbers.

    Equations, for every matrix U that multiplies what depends on a state::

        h @ U  becomes  (h @ U_left) @ U_right

    Parameters in place of ``U (n, m)``: ``U_left (n, r)``, which starts with orthonormal columns, and
    ``U_right (r, m)``, which starts as the matrix U would, with r rows.
    """

    card = zoo.Card(
        title="Factorization tricks for LSTM networks",
        authors="Oleksii Kuchaiev, Boris Ginsburg",
        year=2017,
        url="https://arxiv.org/abs/1703.10722",
        variant="Matrix factorisation by design, for the recurrent matrices alone.",
    )
    r = zoo.Option(16, help="rank of the recurrent matrices", low=1)

    def declare(self, parts: Any) -> None:
        """Two matrices for every one."""
        for name, product in recurrent_matrices(parts).items():
            front, (rows, columns), old = sizes_in_front(parts, name), product.matrix, parts.params.pop(name)
            sizes = ([*front, rows, str(self.r)], [*front, str(self.r), columns])
            start = parts.start_of(old)
            parts.add(f"{name}_left", zoo.Param(*sizes[0], init=orthonormal, help=f"{name}, left factor"))
            parts.add(f"{name}_right", zoo.Param(*sizes[1], init=start, help=f"{name}, right factor"))

    def product(self, now: Any, product: Any, operand: Any, matrix: Any) -> Any:
        """Two products in place of one."""
        if not product.recurrent:
            return product.of(operand, matrix)
        left, right = (product.part_of(now[f"{product.param}_{side}"]) for side in ("left", "right"))
        return (operand @ left) @ right


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register recurrent matrices of low rank."""
    register(LowRank)
