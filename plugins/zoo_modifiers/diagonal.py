"""Diagonal recurrent matrices: each unit reads only its own past."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo
from zoo_modifiers._recurrent_matrices import Shape, declared_sizes, recurrent_matrices, square_blocks


def unit_interval(rng: np.random.Generator, shape: Shape) -> Any:
    """Uniform between zero and one, so that some units forget at once and others remember."""
    return rng.uniform(0, 1, shape)


class Diagonal(zoo.Modifier):
    """Every recurrent matrix is diagonal: a unit reads only its own last value.

    Equations, for every matrix U that multiplies a value that depends on a state::

        h @ U  becomes  u * h

    If U has several square matrices side by side, as for gates, each becomes a vector. The parameter has the
    same name and starts uniform between zero and one, like the recurrent weights in the authors' code.
    """

    card = zoo.Card(
        title="Independently Recurrent Neural Network (IndRNN): Building A Longer and Deeper RNN",
        authors="Shuai Li, Wanqing Li, Chris Cook, Ce Zhu, Yanbo Gao",
        year=2018,
        url="https://arxiv.org/abs/1803.04831",
        variant="This is its recurrence, for any cell. For the LSTM it is the IndyLSTM of Gonnet and "
        "Deselaers 2019, https://arxiv.org/abs/1903.08023.",
        when_to_use="Use it to save parameters and time: a recurrent product becomes a product of vectors. "
        "Units of one layer then do not mix, so stack at least two layers. Nothing bounds the weights, so "
        "clip gradients if the activation function is relu.",
    )

    def edit(self, spec: Any) -> None:
        """Replace every square matrix by a vector."""
        for name, matmul in recurrent_matrices(spec).items():
            count = square_blocks(spec, matmul)
            *front, rows, _ = declared_sizes(spec, name)
            sizes = [*front, *([str(count)] if count > 1 else []), rows]
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
