"""Residual connections around a cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import zoo


def identity(rng: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Ones on the diagonal."""
    rows, columns = shape
    return np.eye(rows, columns)


class Residual(zoo.Modifier):
    """The output is what the cell makes plus its input; the states are as they were.

    Equations::

        y' = y + x P

    Parameter ``residual_P (I, output)``, Glorot uniform. With ``project=False`` it is fixed instead, the
    identity: where input and output are of one size, x itself is added, otherwise as much of it as fits.
    """

    card = zoo.Card(
        title="Google's Neural Machine Translation System: Bridging the Gap between Human and Machine "
        "Translation",
        authors="Yonghui Wu, Mike Schuster, Zhifeng Chen, Quoc V. Le, Mohammad Norouzi et al.",
        year=2016,
        url="https://arxiv.org/abs/1609.08144",
        variant="Residual connections between stacked layers, as there between LSTM layers.",
        deviations="There the input is added as it is; a projection is the default here, since the first "
        "layer's input is seldom of the size of its output.",
    )
    project = zoo.Option(True, help="whether the input goes through a trained matrix")

    def edit(self, spec: Any) -> None:
        """Add the matrix, trained or fixed."""
        sizes, description = ("I", spec.output), "input to output, around the cell"
        if self.project:
            spec.add("residual_P", zoo.Param(*sizes, init="glorot_uniform", help=description))
        else:
            spec.add("residual_P", zoo.Buffer(*sizes, init=identity, help=description))

    def step(self, ctx: Any, inner_step: Callable[..., Any], x: Any, states: Any) -> Any:
        """Add the input to the output of the step."""
        result = inner_step(x, states)
        return type(result)(result.output + x @ ctx["residual_P"], result.states)


@zoo.hookimpl
def zoo_register_modifiers(register: Callable[[type[zoo.Modifier]], None]) -> None:
    """Register residual connections."""
    register(Residual)
