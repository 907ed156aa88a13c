"""Conversion of arguments to NumPy arrays."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np

from zoo.array_types import Array
from zoo.errors import UsageError

_MISSING = ("NoneType", "NAType", "NaTType")  # two of them are of pandas


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
        array = np.asarray(value)
        if array.dtype.kind not in "OMm" and hasattr(value, "columns"):
            columns = [np.asarray(value[name]) for name in value.columns]
            if any(each.dtype.kind in "Mm" for each in columns):  # polars makes counts of days of dates
                return np.column_stack([each.astype(object) for each in columns])
        return array
    except (TypeError, ValueError, RuntimeError) as error:  # the last from a tensor that has a gradient
        if "inhomogeneous" in str(error):
            raise UsageError(
                f"{owner} cannot be made an array: parts of the list have different lengths; pad them to one "
                f"length, and mark the valid steps with lengths= or weights=."
            ) from None
        raise UsageError(f"{owner} cannot be made an array ({error}).") from None


def as_floats(array: Array) -> tuple[Array, int | None]:
    """Convert numbers, booleans and objects to float64, with NaN for a missing value.

    Args:
        array: Numbers, texts of numbers, or objects, such as the values of a data frame with several types.

    Returns:
        The values, and the index in ``array.flat`` of the first one that is not a real number; None if there
        is none.
    """
    try:
        return array.astype(np.float64), None
    except (TypeError, ValueError):  # also from the missing value of pandas
        floats = np.full(array.shape, np.nan)
    for index, value in enumerate(array.flat):
        if not is_missing_value(value):
            try:
                floats.flat[index] = value
            except (TypeError, ValueError):
                return floats, index
    return floats, None


def is_missing_value(value: Any) -> bool:
    """Whether an object is None, NaN, or a missing value of pandas. An array or a list is not."""
    if type(value).__name__ in _MISSING:
        return True
    if isinstance(value, Decimal):  # the comparison of a signalling NaN raises an error
        return value.is_nan()
    return not isinstance(value, (list, tuple, dict, np.ndarray)) and bool(value != value)


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
