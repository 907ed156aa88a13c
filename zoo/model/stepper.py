"""``model.stepper()``: layers and readout over a stream, one time step in each call."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from zoo.array_types import Array
from zoo.layers.stepper import Stepper
from zoo.layers.validation import as_step_inputs

if TYPE_CHECKING:
    from zoo.layers.stream_step import Readout
    from zoo.model.model import Model


class ModelStepper(Stepper):
    """Runs a model over a stream, one time step in each call, and keeps the states. Made by
    ``model.stepper()``; see :class:`zoo.layers.Stepper`.

    >>> stepper = model.stepper(batch_size=4)
    >>> for x in stream:  # (4, I)
    ...     y = stepper.predict(x)

    A call returns the outputs of the readout, ``(B, V)``, as :meth:`zoo.SequenceModel.outputs`.
    """

    __slots__ = ()

    _layers: Model

    def predict(self, x: ArrayLike, **inputs: ArrayLike) -> Array:
        """Run one time step; arguments as for ``step``.

        Returns:
            The predictions in the form of targets, as from :meth:`zoo.SequenceModel.predict`: classes
            ``(B,)`` or numbers ``(B, V)``.

        Raises:
            UsageError: if an argument does not fit.
        """
        predictions: Array = self._layers.criterion.predictions(self.step(x, **inputs)[None])[0]
        return predictions

    def _readout(self) -> Readout:
        from zoo.layers.stream_step import Readout  # imports Numba

        arrays, precision = self._arrays, self._layers.config.precision
        weights = np.ascontiguousarray(arrays["embedding"].T) if self._layers.tie else arrays["Why"]
        return Readout(weights, arrays["by"], precision)

    def _inputs(self, x: ArrayLike) -> Array:
        model = self._layers
        reads = "both"
        if model.embedding is not None or model.categories is not None:
            reads = "numbers" if model.categories is not None else "tokens"
        sizes = self._batch_size, model.input_size
        inputs = as_step_inputs(x, *sizes, self._dtype, self._label, reads)
        return model.embed(inputs, self._arrays.get("embedding"))
