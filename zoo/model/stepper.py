"""``model.stepper()``: layers and readout over a stream, one time step in each call."""

from __future__ import annotations

from typing import TYPE_CHECKING

from numpy.typing import ArrayLike

from zoo.array_types import Array
from zoo.errors import UsageError
from zoo.layers.stepper import Stepper
from zoo.layers.validation import as_step_inputs

if TYPE_CHECKING:
    from zoo.layers.stream_step import Readout
    from zoo.model.model import Model


class ModelStepper(Stepper):
    """Runs a model over a stream, one time step in each call, and keeps the states: see :class:`Stepper`.

    >>> stepper = model.stepper(batch_size=4)
    >>> for x in stream:  # (4, I)
    ...     y = stepper.predict(x)

    A call returns the outputs of the readout, ``(B, V)``, as :meth:`zoo.SequenceModel.outputs`.
    """

    _layers: Model

    def predict(self, x: ArrayLike, **inputs: ArrayLike) -> Array:
        """Run one time step; arguments as for a call.

        Returns:
            The predictions in the form of targets, as from :meth:`zoo.SequenceModel.predict`: classes
            ``(B,)`` or numbers ``(B, V)``.

        Raises:
            UsageError: if an argument does not fit.
        """
        predictions: Array = self._layers.criterion.predictions(self(x, **inputs)[None])[0]
        return predictions

    def _readout(self) -> Readout:
        from zoo.layers.stream_step import Readout  # imports Numba

        model = self._layers
        return Readout(model.readout_weights().copy(), model.params["by"].copy(), model.config.precision)

    def _inputs(self, x: ArrayLike) -> Array:
        model = self._layers
        inputs = as_step_inputs(x, self._batch_size, model.input_size, self._dtype, self._label)
        reads_tokens, is_tokens = model.embedding is not None, inputs.ndim == 2
        if reads_tokens != is_tokens and (reads_tokens or model.categories is not None):
            kind, expected = ("tokens", "numbers") if is_tokens else ("numbers", "tokens")
            raise UsageError(f"{self._label}: inputs are {kind}; this model reads {expected}.")
        return model.embed(inputs, self._arrays.get("embedding"))
