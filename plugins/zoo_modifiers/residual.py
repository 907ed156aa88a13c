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
    """The output is the output of the cell plus its input. The states do not change.

    Equations::

        y' = y + x P

    The parameter ``residual_P (I, output)`` starts Glorot uniform. With ``project=False`` it is fixed as the
    identity: x itself is added where input and output have one size, and otherwise the part of it that fits.
    """

    card = zoo.Card(
        title="Google's Neural Machine Translation System: Bridging the Gap between Human and Machine "
        "Translation",
        authors="Yonghui Wu, Mike Schuster, Zhifeng Chen, Quoc V. Le, Mohammad Norouzi et al.",
        year=2016,
        url="https://arxiv.org/abs/1609.08144",
        variant="The residual connection is between stacked layers, as between LSTM layers in the paper.",
        deviations="In the paper the input is added as it is. Here a projection is the default, since the "
        "input of the first layer seldom has the size of its output.",
        when_to_use="Use it in stacks of two layers and more, so that gradients reach the lower layers. "
        "With project=False it has no parameters. Layers and models also have residual=True (--residual), "
        "which adds the input where the sizes agree.",
    )
    project = zoo.Option(True, help="whether a trained matrix projects the input")

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
