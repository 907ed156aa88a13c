"""Recurrent matrices of low rank, as products of two factors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_modifiers._recurrent_matrices import Shape, declared_sizes, recurrent_matrices


def orthonormal(rng: np.random.Generator, shape: Shape) -> Any:
    """Orthonormal columns, or rows if those are fewer, in every matrix of a stack."""
    *front, rows, columns = shape
    tall = rng.normal(size=(*front, max(rows, columns), min(rows, columns)))
    q = np.linalg.qr(tall)[0]
    return q if rows >= columns else q.swapaxes(-1, -2)


class LowRank(zoo.Modifier):
    """Every recurrent matrix is the product of two smaller matrices.

    Equations, for every matrix U that multiplies a value that depends on a state::

        h @ U  becomes  (h @ U_left) @ U_right

    The parameters ``U_left (n, r)``, which starts with orthonormal columns, and ``U_right (r, m)``, which
    starts like the matrix U with r rows, replace ``U (n, m)``.
    """

    card = zoo.Card(
        title="Factorization tricks for LSTM networks",
        authors="Oleksii Kuchaiev, Boris Ginsburg",
        year=2017,
        url="https://arxiv.org/abs/1703.10722",
        variant="This is the matrix factorisation by design, for the recurrent matrices alone.",
        when_to_use="Use it to save parameters where H is large, with r below H / 2, where the two factors "
        "of a square matrix are smaller than the matrix. It is also a model of low-rank networks in "
        "neuroscience, for which the cell low_rank_rnn has the initial values of that field. The input "
        "matrices stay full.",
    )
    r = zoo.Option(16, help="rank of the recurrent matrices", low=1)

    def edit(self, spec: Any) -> None:
        """Replace every matrix by two factors."""
        rank = spec.option("r")
        for name in recurrent_matrices(spec):
            *front, rows, columns = declared_sizes(spec, name)
            old = spec.params.pop(name)
            sizes = ([*front, rows, rank], [*front, rank, columns])
            initializer = spec.initializer_of(old)
            spec.add(f"{name}_left", zoo.Param(*sizes[0], init=orthonormal, help=f"{name}, left factor"))
            spec.add(f"{name}_right", zoo.Param(*sizes[1], init=initializer, help=f"{name}, right factor"))

    def matmul(self, ctx: Any, matmul: Any, operand: Any, matrix: Any) -> Any:
        """Multiply by the left factor, then by the right one."""
        if not matmul.is_recurrent:
            return matmul.multiply(operand, matrix)
        left, right = (matmul.select(ctx[f"{matmul.param}_{side}"]) for side in ("left", "right"))
        return (operand @ left) @ right


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register recurrent matrices of low rank."""
    register(LowRank)
