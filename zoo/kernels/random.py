"""Random numbers that never change: a hash of a seed and a counter, the same on every machine and version.

NumPy promises no stream beyond a bit generator's raw output, and a seed must give the same text for ever. Nor
is there a state to save: the n-th number of a run is ``uniform(seed, n)``.

The hash is SplitMix64 (G. L. Steele Jr., D. Lea & C. H. Flood, *Fast Splittable Pseudorandom Number
Generators*, OOPSLA 2014, https://doi.org/10.1145/2660193.2660195), with the constants that
``java.util.SplittableRandom`` has. Its states are an arithmetic sequence modulo 2**64, so the state after
``counter`` steps is one product away. The first output of the generator started at ``seed`` is where the
sequence of that seed starts: two seeds, neighbours or not, meet within their first n numbers with a chance of
about n / 2**63.
"""

from __future__ import annotations

import operator

import numpy as np

from zoo.errors import UsageError
from zoo.kernels.jit import njit

# Each has its top bit set, so Numba takes it for a uint64: beside an int64, a uint64 would become a float64.
GAMMA = 0x9E3779B97F4A7C15
"""The step between states: 2**64 over the golden ratio, rounded to an odd number."""
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_MASK = 0xFFFFFFFFFFFFFFFF


@njit
def scramble(state: int) -> int:
    """SplitMix64's output for a state, a bijection of 64 bits.

    Without Numba the same lines run on Python's integers; in compiled code ``int`` leaves a uint64 what it
    is, products wrap, and the mask does nothing.
    """
    z = int(state)
    z = ((z ^ (z >> 30)) * _FIRST) & _MASK
    z = ((z ^ (z >> 27)) * _SECOND) & _MASK
    return z ^ (z >> 31)


@njit
def random_bits(seed: np.uint64, counter: np.uint64) -> int:
    """64 random bits, number ``counter`` of the sequence that ``seed`` starts; both must be uint64."""
    start = scramble((int(seed) + GAMMA) & _MASK)
    return scramble((start + int(counter) * GAMMA + GAMMA) & _MASK)


@njit
def random_uniform(seed: np.uint64, counter: np.uint64) -> float:
    """:func:`uniform` for kernels; both arguments must be uint64."""
    return (random_bits(seed, counter) >> 11) * 2.0**-53


def uniform(seed: int, counter: int) -> float:
    """A number in [0, 1), a multiple of 2**-53: number ``counter`` of the sequence that ``seed`` starts.

    Args:
        seed: From 0 to 2**64 - 1.
        counter: From 0 to 2**64 - 1.

    Raises:
        UsageError: if one of them is not such an integer.
    """
    return random_uniform(_word(seed, "seed"), _word(counter, "counter"))


def _word(value: int, name: str) -> np.uint64:
    try:
        return np.uint64(operator.index(value))
    except (TypeError, OverflowError):
        raise UsageError(
            f"random numbers: {name} is {value!r}; expected an integer from 0 to 2**64 - 1."
        ) from None
