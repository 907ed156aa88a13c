"""Diagonal recurrent matrices: each unit depends on its own past alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_modifiers._recurrent_matrices import Shape, recurrent_matrices, square_blocks, stack_sizes


def unit_interval(rng: np.random.Generator, shape: Shape) -> Any:
    """Uniform between zero and one: some units forget at once, others remember."""
    return rng.uniform(0, 1, shape)


class Diagonal(zoo.Modifier):
    """Every recurrent matrix is a diagonal one: a unit reads its own last value and no other's.

    Equations, for every matrix U that multiplies what depends on a state::

        h @ U  becomes  u * h

    with a vector for each square in U where several stand side by side, as gates do. The parameter keeps its
    name, and starts uniform between zero and one, as the recurrent weights of the authors' code do.
    """

    card = zoo.Card(
        title="Independently Recurrent Neural Network (IndRNN): Building A Longer and Deeper RNN",
        authors="Shuai Li, Wanqing Li, Chris Cook, Ce Zhu, Yanbo Gao",
        year=2018,
        url="https://arxiv.org/abs/1803.04831",
        variant="Its recurrence, for any cell; for the LSTM it is the IndyLSTM of Gonnet & Deselaers 2019, "
        "https://arxiv.org/abs/1903.08023.",
    )

    def edit(self, spec: Any) -> None:
        """Replace every square matrix by a vector."""
        for name, matmul in recurrent_matrices(spec).items():
            count, rows = square_blocks(spec, matmul), matmul.matrix[0]
            sizes = [*stack_sizes(spec, name), *([str(count)] if count > 1 else []), rows]
            del spec.params[name]
            spec.add(name, zoo.Param(*sizes, init=unit_interval, help="each unit to itself"))

    def matmul(self, ctx: Any, matmul: Any, operand: Any, matrix: Any) -> Any:
        """Multiply each unit by its own weights."""
        if not matmul.is_recurrent:
            return matmul.multiply(operand, matrix)
        return (matmul.select(ctx[matmul.param]) * operand).reshape(-1)


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register diagonal recurrent matrices."""
    register(Diagonal)
