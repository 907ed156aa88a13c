"""Noise: random inputs that a layer draws in training, so that ``step`` stays a function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.arguments import short_repr
from zoo.base.declarations import Input, Option
from zoo.errors import DefinitionError

PERIODS = ("step", "sequence")


class Noise(Input):
    """Zeros and ones, drawn for a cell in training, as in ``drop = zoo.Noise("H", probability="p")``.

    ``rnn.forward(x, state, noise=(seed, step))`` draws them independently for every layer, sequence and
    element. Without ``noise=``, in evaluation, each element is its expectation, the probability. Noise can
    also be passed by name, as any input. It has no gradient.

    Args:
        *shape: Sizes for one sequence; none for a scalar.
        probability: The probability of a one: a number from 0 to 1, or the name of an option that is one.
        per: ``"step"``, or ``"sequence"`` for values that are the same in all steps of one call.
        help: What it is, in one line.

    Raises:
        DefinitionError: if the probability or ``per`` is invalid.
    """

    kind = "noise"

    def __init__(
        self, *shape: int | str, probability: float | str = 0.5, per: str = "step", help: str = ""
    ) -> None:
        is_number = type(probability) in (int, float) and 0 <= float(probability) <= 1
        if not is_number and not isinstance(probability, str):
            raise DefinitionError(
                f"zoo.Noise: the probability is {short_repr(probability)}; expected a number from 0 to 1, or "
                f"the name of an option."
            )
        if not isinstance(per, str) or per not in PERIODS:
            raise DefinitionError(
                f"zoo.Noise: per is {short_repr(per)}; expected one of {', '.join(PERIODS)}."
            )
        default = 0.5 if isinstance(probability, str) else float(probability)
        super().__init__(*shape, default=default, help=help)
        self.probability, self.per = probability, per

    def value(self, options: Mapping[str, Any]) -> float:
        """The expectation: the probability of a one."""
        return float(options[self.probability]) if isinstance(self.probability, str) else self.default

    def check(self, options: Mapping[str, Option[Any]], owner: str) -> None:
        """Check that a probability given by name is an option from 0 to 1.

        Raises:
            DefinitionError: naming the class, the noise and the option.
        """
        if not isinstance(self.probability, str):
            return
        option = options.get(self.probability)
        if option is None or not _is_probability(option):
            raise DefinitionError(
                f"{owner}: the probability of noise {self.name!r} is {self.probability!r}; expected the name "
                f"of an option of the class that is a float with low=0.0 and high=1.0 (or below=1.0)."
            )
        self.default = option.default


def _is_probability(option: Option[Any]) -> bool:
    highest = option.high if option.high is not None else option.below
    is_bounded = option.type is float and option.low is not None and option.low >= 0
    return is_bounded and highest is not None and highest <= 1
