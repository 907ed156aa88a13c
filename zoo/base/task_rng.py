"""Random numbers for tasks: the same on every machine and with every version of NumPy.

NumPy guarantees the raw output of a bit generator, but no distribution made from it. So all numbers here are
computed from the raw output of Philox, the counter-based generator of J. K. Salmon et al., *Parallel Random
Numbers: As Easy as 1, 2, 3*, SC 2011, https://doi.org/10.1145/2063384.2063405.
"""

from __future__ import annotations

import hashlib
import math
from typing import TYPE_CHECKING, Any, NoReturn

from zoo.base.names import did_you_mean

if TYPE_CHECKING:
    from zoo.array_types import Array


_UNIT = 2.0**-53


class TaskRng:
    """A counter-based random number generator; each call returns the next numbers of its sequence.

    Args:
        *words: Strings and integers that determine the sequence.
    """

    def __init__(self, *words: str | int) -> None:
        from numpy.random import Philox

        digest = hashlib.sha256(repr(("zoo draws", *words)).encode()).digest()
        self._bits: Any = Philox(key=int.from_bytes(digest[:16], "little"))

    def __getattr__(self, name: str) -> NoReturn:
        """Raise an error with the methods: generators of NumPy have others."""
        methods = [method for method, value in vars(TaskRng).items() if callable(value) and method[0] != "_"]
        raise AttributeError(
            f"zoo.TaskRng has no {name!r}; its methods are {', '.join(methods)}.{did_you_mean(name, methods)}"
        )

    def uniform(self, *shape: int) -> Array:
        """Numbers in [0, 1), multiples of 2**-53, float64."""
        raw = self._bits.random_raw(math.prod(shape))
        values: Array = (raw >> 11) * _UNIT
        return values.reshape(shape)

    def integers(self, low: int, high: int, *shape: int) -> Array:
        """Integers from ``low`` up to, not including, ``high``, int64; ``high - low`` is at most 2**31."""
        values: Array = (self.uniform(*shape) * (high - low)).astype("int64")
        return values + low

    def integer(self, low: int, high: int) -> int:
        """One integer from ``low`` up to, not including, ``high``."""
        return int(self.integers(low, high, 1)[0])

    def approximate_normal(self, *shape: int) -> Array:
        """Nearly normal noise of mean 0 and variance 1, float64: sums of 12 uniform numbers, at most 6.

        A true normal distribution needs a logarithm, which is not the same on every machine.
        """
        values: Array = self.uniform(12, *shape).sum(axis=0) - 6.0
        return values

    def permutations(self, items: int, *shape: int) -> Array:
        """Random permutations of ``range(items)`` along the last axis, ``(*shape, items)`` int64."""
        values: Array = self.uniform(*shape, items).argsort(axis=-1, kind="stable")
        return values
