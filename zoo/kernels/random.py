"""Counter-based random numbers: a hash of a seed and a counter, the same on every machine and version.

NumPy guarantees only the raw output of a bit generator, and a seed must always sample the same text. There is
no state to save: number n of a run is ``uniform(seed, n)``.

The hash is SplitMix64 (G. L. Steele Jr., D. Lea & C. H. Flood, *Fast Splittable Pseudorandom Number
Generators*, OOPSLA 2014, https://doi.org/10.1145/2660193.2660195), with the constants of
``java.util.SplittableRandom``. Its states are an arithmetic sequence modulo 2**64, so the state after
``counter`` steps takes one product. The sequence of a seed starts at the first output of the generator
for that seed: the first n numbers of two seeds, neighbours or not, overlap with a probability of about
n / 2**63.
"""

from __future__ import annotations

import operator

import numpy as np

from zoo.errors import UsageError
from zoo.kernels.jit import njit

# Each has its top bit set, so Numba types it as a uint64. A uint64 and an int64 would become a float64.
GAMMA = 0x9E3779B97F4A7C15
"""The step between states: 2**64 over the golden ratio, rounded to an odd number."""
_MUL1 = 0xBF58476D1CE4E5B9
_MUL2 = 0x94D049BB133111EB
_MASK = 0xFFFFFFFFFFFFFFFF


@njit
def splitmix64(state: int) -> int:
    """SplitMix64's finaliser, a bijection of 64 bits.

    Without Numba the same lines run on Python's integers. In compiled code ``int`` keeps a uint64, products
    wrap, and the mask does nothing.
    """
    z = int(state)
    z = ((z ^ (z >> 30)) * _MUL1) & _MASK
    z = ((z ^ (z >> 27)) * _MUL2) & _MASK
    return z ^ (z >> 31)


@njit
def random_bits(seed: np.uint64, counter: np.uint64) -> int:
    """64 random bits, number ``counter`` of the sequence of ``seed``; both must be uint64."""
    start = splitmix64((int(seed) + GAMMA) & _MASK)
    return splitmix64((start + int(counter) * GAMMA + GAMMA) & _MASK)


@njit
def random_uniform(seed: np.uint64, counter: np.uint64) -> float:
    """:func:`uniform` for kernels; both arguments must be uint64."""
    return (random_bits(seed, counter) >> 11) * 2.0**-53


def uniform(seed: int, counter: int) -> float:
    """A number in [0, 1), a multiple of 2**-53: number ``counter`` of the sequence of ``seed``.

    Args:
        seed: From 0 to 2**64 - 1.
        counter: From 0 to 2**64 - 1.

    Raises:
        UsageError: if one of them is not such an integer.
    """
    return random_uniform(_as_uint64(seed, "seed"), _as_uint64(counter, "counter"))


def _as_uint64(value: int, name: str) -> np.uint64:
    try:
        return np.uint64(operator.index(value))
    except (TypeError, OverflowError):
        raise UsageError(
            f"random numbers: {name} is {value!r}; expected an integer from 0 to 2**64 - 1."
        ) from None
