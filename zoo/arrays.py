"""Conversion of arguments to NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.errors import UsageError


def as_array(value: Any, owner: str) -> Array:
    """Convert to a NumPy array.

    Raises:
        UsageError: if it has rows of different lengths, or is masked or sparse, which NumPy misreads.
    """
    if type(value) is np.ndarray:
        return value
    check_unmasked(value, owner)
    if hasattr(value, "toarray"):
        raise UsageError(f"{owner}: found a sparse {type(value).__name__}; make it an array, x.toarray().")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # the last from a tensor that has a gradient
        if "inhomogeneous" in str(error):
            raise UsageError(
                f"{owner} cannot be made an array: parts of the list have different lengths; pad them to one "
                f"length, and mark the valid steps with lengths= or weights=."
            ) from None
        raise UsageError(f"{owner} cannot be made an array ({error}).") from None


def check_unmasked(value: Any, owner: str) -> None:
    """Refuse masked arrays, alone or in a list, since NumPy would silently drop the mask.

    Raises:
        UsageError: if an array is masked.
    """
    rows = value if isinstance(value, (list, tuple)) else ()
    if any(isinstance(each, np.ma.MaskedArray) for each in (value, *rows)):
        raise UsageError(
            f"{owner}: found a masked array, whose mask has no meaning here; fill it, as in x.filled(0), and "
            f"mark the valid steps with lengths= or weights=."
        )
