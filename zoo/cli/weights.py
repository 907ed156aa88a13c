"""The option ``--weights`` of commands that run a trained model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from zoo.export.exported_model import LoadedModel

M = TypeVar("M", bound="LoadedModel")

WEIGHTS: dict[str, Any] = {
    "type": click.Choice(["float", "int8"]),
    "help": "int8: quantize the weights as `zoo export --format c --weights int8` does.  [float]",
}
"""Attributes of ``--weights``."""


def with_weights(model: M, weights: str | None) -> M:
    """The model, quantized for ``--weights int8``.

    Args:
        model: A model, a forecaster or a predictor.
        weights: The value of the option; None without it.

    Raises:
        UsageError: if a matrix holds NaN or infinity, or a cell has no step.
    """
    if weights != "int8":
        return model
    from zoo.export import int8_weights

    return int8_weights(model)
