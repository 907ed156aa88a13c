"""Noise: random inputs that a layer draws in training, so that ``step`` stays a function."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from zoo.arguments import is_number, short_repr
from zoo.base.declarations import Input, Option
from zoo.errors import DefinitionError

PERIODS = ("step", "sequence")


class Noise(Input):
    """Random numbers, drawn for a cell: ``drop = zoo.Noise("H", probability="p")``.

    They are zeros and ones, or Gaussian with mean zero if there is a ``scale``, as private noise of rate
    models: ``xi = zoo.Noise("H", scale="sigma")``. ``rnn.forward(x, state, noise=(seed, step))`` draws them
    independently for every layer, sequence and element. Without ``noise=``, in evaluation, each element is
    its expectation: the probability, or zero. Noise can also be passed by name, as any input. It has no
    gradient.

    Args:
        *shape: Sizes for one sequence; none for a scalar.
        probability: The probability of a one: a number from 0 to 1, or the name of an option that is one.
        scale: The standard deviation of Gaussian noise: a number of zero or more, or the name of an option
            that is one; None for zeros and ones.
        per: ``"step"``, or ``"sequence"`` for values that are the same in all steps of one call.
        help: Its purpose, in one line.

    Raises:
        DefinitionError: if the probability, the scale or ``per`` is invalid.
    """

    kind = "noise"

    def __init__(
        self,
        *shape: int | str,
        probability: float | str = 0.5,
        scale: float | str | None = None,
        per: str = "step",
        help: str = "",
    ) -> None:
        if scale is not None and not (isinstance(probability, float) and probability == 0.5):
            raise DefinitionError(
                f"zoo.Noise: probability is {short_repr(probability)} and scale is {short_repr(scale)}; "
                f"expected a probability for zeros and ones, or a scale for Gaussian noise."
            )
        self.is_gaussian = scale is not None
        self.parameter_name, high = (
            ("scale", sys.float_info.max) if self.is_gaussian else ("probability", 1.0)
        )
        parameter = probability if scale is None else scale
        if not isinstance(parameter, str) and not (is_number(parameter) and 0 <= parameter <= high):
            expected = "a number of zero or more" if self.is_gaussian else "a number from 0 to 1"
            raise DefinitionError(
                f"zoo.Noise: the {self.parameter_name} is {short_repr(parameter)}; expected {expected}, or "
                f"the name of an option."
            )
        if not isinstance(per, str) or per not in PERIODS:
            raise DefinitionError(
                f"zoo.Noise: per is {short_repr(per)}; expected one of {', '.join(PERIODS)}."
            )
        default = 0.0 if self.is_gaussian else 0.5 if isinstance(parameter, str) else float(parameter)
        super().__init__(*shape, default=default, help=help)
        self._parameter, self.per = parameter, per

    def parameter(self, options: Mapping[str, Any]) -> float:
        """The probability of a one, or the scale of Gaussian noise."""
        return float(options[self._parameter] if isinstance(self._parameter, str) else self._parameter)

    def value(self, options: Mapping[str, Any]) -> float:
        """The expectation: the probability of a one, or zero."""
        return 0.0 if self.is_gaussian else self.parameter(options)

    def check(self, options: Mapping[str, Option[Any]], owner: str) -> None:
        """Check that a probability or scale given by name is an option with suitable limits.

        Raises:
            DefinitionError: naming the class, the noise and the option.
        """
        if not isinstance(self._parameter, str):
            return
        option = options.get(self._parameter)
        fits = option is not None and (_is_scale(option) if self.is_gaussian else _is_probability(option))
        if option is None or not fits:
            limits = "low=0.0" if self.is_gaussian else "low=0.0 and high=1.0 (or below=1.0)"
            raise DefinitionError(
                f"{owner}: the {self.parameter_name} of noise {self.name!r} is {self._parameter!r}; expected "
                f"the name of an option of the class that is a float with {limits}."
            )
        self.default = 0.0 if self.is_gaussian else option.default


def _is_scale(option: Option[Any]) -> bool:
    return option.type is float and option.low is not None and option.low >= 0


def _is_probability(option: Option[Any]) -> bool:
    highest = option.high if option.high is not None else option.below
    return _is_scale(option) and highest is not None and highest <= 1
