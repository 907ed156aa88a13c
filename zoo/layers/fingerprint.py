"""Fingerprints of flat parameter vectors: the backward pass checks that they have not changed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from zoo.array_types import Array
from zoo.errors import UsageError
from zoo.kernels.jit import njit

_STRIDE = 0x9E3779B97F4A7C15


def _py_digest(words: Array) -> np.uint64:
    pairs = words[: words.size // 2 * 2].view(np.uint64)
    mixed = pairs + np.arange(pairs.size, dtype=np.uint64) * np.uint64(_STRIDE)
    products = (mixed & np.uint64(0xFFFFFFFF)) * (mixed >> np.uint64(32))
    odd = sum(words[pairs.size * 2 :].tolist()) * _STRIDE
    return np.uint64((int(products.sum(dtype=np.uint64)) + odd) % 2**64)


@njit(python_fallback=_py_digest)
def digest(words: Array) -> np.uint64:
    """Digest of uint32 words ``(N,)`` that depends on their positions: the hash NH of UMAC, with plain keys.

    A plain sum would not detect elements that swap positions, nor an even number of changed signs. One
    product for two words is twice as fast as one for each. J. Black et al. 1999,
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
    """The digest of a vector: the backward pass checks that the parameters have not changed.

    Other parameters would give wrong gradients, and NumPy arrays have no version counter as PyTorch tensors
    have. Both passes therefore compute a digest: 1 us for 16,600 parameters and 4 us for 131,072, if they are
    in the cache.

    Args:
        vector: The vector ``(P,)``, C-contiguous.
        digest: Digest of its elements at that time.
    """

    vector: Array
    digest: np.uint64

    def check(self, owner: str, calls: tuple[str, str]) -> None:
        """Check that the vector is unchanged.

        Args:
            owner: Owner of the parameters, for the message.
            calls: Names of the forward and the backward call, for the message.

        Raises:
            UsageError: if it has changed.
        """
        if digest(self.vector.view(np.uint32)) != self.digest:
            raise UsageError(
                f"{owner}: the parameters have changed since the forward pass, so that its gradients would "
                f"be wrong; call {calls[1]} before you change them, or {calls[0]} again."
            )


def fingerprint(vector: Array) -> Fingerprint:
    """Compute the fingerprint of a vector ``(P,)``."""
    return Fingerprint(vector, digest(vector.view(np.uint32)))
