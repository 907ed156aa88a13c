"""Noise: random inputs that a layer draws in training, so that ``step`` stays a function."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.arguments import short_repr
from zoo.base.declarations import Input, Option
from zoo.errors import DefinitionError

PERIODS = ("step", "sequence")


class Noise(Input):
    """Zeros and ones, drawn for a cell in training, as in ``drop = zoo.Noise("H", chance="p")``.

    A layer draws them where it is told to, ``rnn.forward(x, state, noise=(seed, step))``, for every layer,
    row and number anew. Where it is not told to, in evaluation, each is its expectation, the chance itself.
    They may be given by name too, as any input. Nothing is differentiated by them.

    Args:
        *shape: Sizes of one row; none for one number.
        chance: How probable a one is: a number from 0 to 1, or the name of an option that is one.
        per: ``"step"``, or ``"sequence"`` for numbers that stay the same in all steps of one call.
        help: What it is, in one line.

    Raises:
        DefinitionError: if the chance is neither, or ``per`` is another word.
    """

    kind = "noise"

    def __init__(
        self, *shape: int | str, chance: float | str = 0.5, per: str = "step", help: str = ""
    ) -> None:
        is_number = type(chance) in (int, float) and 0 <= float(chance) <= 1
        if not is_number and not isinstance(chance, str):
            raise DefinitionError(
                f"zoo.Noise: the chance is {short_repr(chance)}; expected a number from 0 to 1, or the name "
                f"of an option."
            )
        if not isinstance(per, str) or per not in PERIODS:
            raise DefinitionError(
                f"zoo.Noise: per is {short_repr(per)}; expected one of {', '.join(PERIODS)}."
            )
        super().__init__(*shape, default=0.5 if isinstance(chance, str) else float(chance), help=help)
        self.chance, self.per = chance, per

    def value(self, options: Mapping[str, Any]) -> float:
        """Its expectation: the chance."""
        return float(options[self.chance]) if isinstance(self.chance, str) else self.default

    def check(self, options: Mapping[str, Option[Any]], who: str) -> None:
        """Refuse a chance that is no option between 0 and 1.

        Raises:
            DefinitionError: naming the class, the noise and the option.
        """
        if not isinstance(self.chance, str):
            return
        option = options.get(self.chance)
        known = option is not None and option.type is float and option.low is not None
        if option is None or not known or not _within_one(option):
            raise DefinitionError(
                f"{who}: the chance of noise {self.name!r} is {self.chance!r}; expected the name of an "
                f"option of the class that is a float with low=0.0 and high=1.0 (or below=1.0)."
            )
        self.default = option.default


def _within_one(option: Option[Any]) -> bool:
    """Whether every allowed value is a probability."""
    highest = option.high if option.high is not None else option.below
    return option.low is not None and option.low >= 0 and highest is not None and highest <= 1
