"""A digest of parameters: the backward pass compares it with that of the forward pass.

NumPy arrays have no version counter, as tensors of PyTorch have. A backward pass with other parameters than
the forward pass gives wrong gradients, so both read them once more: 1 us for 16,600 of them and 4 us for
131,072, where a cache holds them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zoo.errors import UsageError
from zoo.kernels.jit import njit
from zoo.layers.validation import Array

_STRIDE = 0x9E3779B97F4A7C15


def _py_digest(words: Array) -> np.uint64:
    pairs = words[: words.size // 2 * 2].view(np.uint64)
    mixed = pairs + np.arange(pairs.size, dtype=np.uint64) * np.uint64(_STRIDE)
    products = (mixed & np.uint64(0xFFFFFFFF)) * (mixed >> np.uint64(32))
    odd = sum(words[pairs.size * 2 :].tolist()) * _STRIDE
    return np.uint64((int(products.sum(dtype=np.uint64)) + odd) % 2**64)


@njit(python_fallback=_py_digest)
def digest(words: Array) -> np.uint64:
    """A digest of uint32 words ``(N,)`` that depends on their places: the hash NH of UMAC, with plain keys.

    A plain sum would not notice numbers that have changed places, nor an even number of signs. One product
    for two words is twice as fast as one for each. J. Black et al. 1999,
    https://doi.org/10.1007/3-540-48405-1_14.
    """
    pairs = words[: words.size // 2 * 2].view(np.uint64)
    total, key = np.uint64(0), np.uint64(0)
    for n in range(pairs.size):
        mixed = pairs[n] + key
        key += np.uint64(_STRIDE)
        total += (mixed & np.uint64(0xFFFFFFFF)) * (mixed >> np.uint64(32))
    if words.size % 2:
        total += np.uint64(words[-1]) * np.uint64(_STRIDE)
    return total


class Fingerprint(NamedTuple):
    """The digest of a vector at one time.

    Args:
        vector: The vector ``(P,)``, C-contiguous.
        digest: Of what it held.
    """

    vector: Array
    digest: np.uint64

    def check(self, who: str, calls: tuple[str, str]) -> None:
        """Make sure that the vector holds the same numbers now.

        Args:
            who: Whose parameters they are.
            calls: Names of the forward and the backward call, for the message.

        Raises:
            UsageError: if it holds others.
        """
        if digest(self.vector.view(np.uint32)) != self.digest:
            raise UsageError(
                f"{who}: the parameters have changed since the forward pass, so that its gradients would be "
                f"wrong; call {calls[1]} before you change them, or {calls[0]} again."
            )


def fingerprint(vector: Array) -> Fingerprint:
    """Compute the fingerprint of a vector ``(P,)``."""
    return Fingerprint(vector, digest(vector.view(np.uint32)))
