"""Diagonal recurrent matrices: a unit hears of its own past alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_modifiers._matrices import Shape, blocks, recurrent_matrices, sizes_in_front


def unit_interval(rng: np.random.Generator, shape: Shape) -> Any:
    """Uniform between zero and one: some units forget at once, some remember."""
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

    def declare(self, parts: Any) -> None:
        """A vector for every square."""
        for name, product in recurrent_matrices(parts).items():
            count, rows = blocks(parts, product), product.matrix[0]
            sizes = [*sizes_in_front(parts, name), *([str(count)] if count > 1 else []), rows]
            del parts.params[name]
            parts.add(name, zoo.Param(*sizes, init=unit_interval, help="each unit to itself"))

    def product(self, now: Any, product: Any, operand: Any, matrix: Any) -> Any:
        """Each unit times its own weights."""
        if not product.recurrent:
            return product.of(operand, matrix)
        return (product.part_of(now[product.param]) * operand).reshape(-1)


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register diagonal recurrent matrices."""
    register(Diagonal)
