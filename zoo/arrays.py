"""Conversion of arguments to NumPy arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from zoo.errors import UsageError

Array = np.ndarray[Any, Any]


def as_array(value: Any, who: str) -> Array:
    """An array of anything that NumPy takes, but for what it would take wrongly.

    Raises:
        UsageError: if it has rows of different lengths, or is masked or sparse.
    """
    if type(value) is np.ndarray:
        return value
    check_unmasked(value, who)
    if hasattr(value, "toarray"):
        raise UsageError(f"{who}: found a sparse {type(value).__name__}; make it an array, x.toarray().")
    try:
        return np.asarray(value)
    except (TypeError, ValueError, RuntimeError) as error:  # the last from a tensor that has a gradient
        raise UsageError(f"{who} cannot be made an array ({error}).") from None


def check_unmasked(value: Any, who: str) -> None:
    """Make sure that neither an array nor one of several has a mask, which NumPy would silently drop.

    Raises:
        UsageError: if one has.
    """
    rows = value if isinstance(value, (list, tuple)) else ()
    if any(isinstance(each, np.ma.MaskedArray) for each in (value, *rows)):
        raise UsageError(
            f"{who}: found a masked array, whose mask has no meaning here; fill it, as in x.filled(0), and "
            f"mark the valid steps with lengths= or weights=."
        )
