"""A model that computes the first batch of a run on one time step of one sequence, to preview its kernels."""

from __future__ import annotations

from typing import Any

from zoo.model import AnyModel
from zoo.model.small_batch import small_batch


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
        return self._model.loss_and_grad(**small_batch(*args, **kwargs))

    def loss(self, *args: Any, **kwargs: Any) -> Any:
        """``model.loss``."""
        return self._model.loss(**small_batch(*args, **kwargs))

    def evaluate_batch(self, *args: Any, **kwargs: Any) -> Any:
        """``model.evaluate_batch``."""
        return self._model.evaluate_batch(**small_batch(*args, **kwargs))
