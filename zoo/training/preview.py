"""A model that computes the first batch of a run on one time step of one sequence, to preview its kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.model import AnyModel


class SmallBatches:
    """A model that takes the last time step of the first sequence from each batch.

    Args:
        model: The model. The methods below call it with small batches. Its other attributes are available,
            but no other method.
    """

    def __init__(self, model: AnyModel) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._model, name)
        if callable(value):
            raise AttributeError(name)  # it might compute with the whole batch
        return value

    def loss_and_grad(self, *args: Any, **kwargs: Any) -> Any:
        """``model.loss_and_grad``."""
        return self._model.loss_and_grad(**_small(*args, **kwargs))

    def loss(self, *args: Any, **kwargs: Any) -> Any:
        """``model.loss``."""
        return self._model.loss(**_small(*args, **kwargs))

    def evaluate_batch(self, *args: Any, **kwargs: Any) -> Any:
        """``model.evaluate_batch``."""
        return self._model.evaluate_batch(**_small(*args, **kwargs))


def _small(
    inputs: Any,
    targets: Any,
    weights: Any = None,
    *,
    state: Any = None,
    noise: Any = None,
    lengths: Any = None,
    **aux: Any,
) -> dict[str, Any]:
    """The arguments of a model for the last time step of the first sequence."""
    shape = inputs.shape[:2]

    def cut(value: Any) -> Any:
        """The part of an array ``(T, B, ...)`` or ``(B, ...)``."""
        return value[-1:, :1] if np.shape(value)[:2] == shape else value[:1]

    return {
        "inputs": cut(inputs),
        "targets": cut(targets),
        "weights": None if weights is None else np.ones_like(cut(weights)),
        "state": None if state is None else {name: value[:1] for name, value in state.items()},
        "noise": noise,
        "lengths": None if lengths is None else np.ones_like(lengths[:1]),
        **{name: cut(value) for name, value in aux.items()},
    }
