"""Base class of penalties, terms of the loss that depend on the activity or on parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from zoo.base.component import Component, check_method
from zoo.base.declarations import Option
from zoo.errors import DefinitionError

if TYPE_CHECKING:
    from zoo.array_types import Array


class Penalty(Component, abstract=True):
    """A term of the loss that depends on the activity of a network or on a parameter.

    It has one method, which returns the term and its gradient. zoo multiplies both by the option ``factor``,
    which every penalty has::

        class Barrier(zoo.Penalty):
            "Fourth power: large values cost much more than small ones."

            def value_and_grad(self, values, weights):
                return (weights * values**4).sum(), 4 * weights * values**3

    Args:
        **options: Values for the declared options.

    Raises:
        DefinitionError: when the class is defined, if it is not well formed.
        UsageError: for an unknown option or a value that is not allowed.
    """

    kind: ClassVar[str] = "penalty"
    activity_only: ClassVar[bool] = False
    """Whether it needs the axis of time, so that it does not apply to parameters."""

    factor = Option(1e-4, help="factor of the penalty in the loss", low=0.0)

    @classmethod
    def _check_class(cls) -> None:
        super()._check_class()
        if cls.value_and_grad is Penalty.value_and_grad:
            raise DefinitionError(
                f"{cls.error_name()}: value_and_grad is missing; add a method value_and_grad(self, values, "
                f"weights) that returns the penalty and its gradient."
            )
        check_method(cls, "value_and_grad", ("values", "weights"))

    def value_and_grad(self, values: Array, weights: Array) -> tuple[float, Array]:
        """The penalty without its factor, and its gradient, an array of the shape of ``values``.

        Args:
            values: The activity ``(T, B, H)``, or a parameter of any shape.
            weights: Weight of each element, of the same shape, read-only. For a parameter all are 1, so a
                weighted sum is a sum. For the activity they are zero in the padding and add up to 1, so a
                weighted sum is a mean over time steps, sequences and units.
        """
        raise NotImplementedError

    def of_activity(self, y: Array, lengths: Array | None = None) -> tuple[float, Array]:
        """The penalty of the activity of a layer, times its factor, and the gradient.

        Args:
            y: Outputs of a layer ``(T, B, H)``, zeros in the padding.
            lengths: Steps of each sequence ``(B,)``; None if all have T.

        Returns:
            The value, and the gradient ``(T, B, H)``, which you add to the gradient of the outputs.

        Raises:
            DefinitionError: if the gradient has another shape than the values.
        """
        import numpy as np

        steps, batch, units = y.shape
        valid = np.ones((steps, batch), bool) if lengths is None else np.arange(steps)[:, None] < lengths
        weights = (valid / max(1, valid.sum() * units)).astype(y.dtype)[..., None]
        return self._times_factor(y, np.broadcast_to(weights, y.shape))

    def of_parameter(self, values: Array) -> tuple[float, Array]:
        """The penalty of a parameter of any shape, times its factor, and its gradient.

        Raises:
            DefinitionError: if the gradient has another shape than the values.
        """
        import numpy as np

        return self._times_factor(values, np.broadcast_to(values.dtype.type(1), values.shape))

    def _times_factor(self, values: Array, weights: Array) -> tuple[float, Array]:
        import numpy as np

        result: Any = self.value_and_grad(values, weights)
        is_pair = isinstance(result, tuple) and len(result) == 2
        if not is_pair or np.shape(result[1]) != values.shape or np.ndim(result[0]) != 0:
            raise DefinitionError(
                f"{self.error_name()}: value_and_grad returned something else than a number and a gradient "
                f"of shape {values.shape}; return the pair (value, gradient)."
            )
        value, gradient = result
        return self.factor * float(value), (self.factor * gradient).astype(values.dtype, copy=False)
