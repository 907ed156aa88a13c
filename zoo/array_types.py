"""Names of array types for annotations."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

Array: TypeAlias = np.ndarray[Any, Any]
"""An array of any shape and dtype. Docstrings give both."""

Vector: TypeAlias = Array
"""An array with one axis."""

Arrays: TypeAlias = dict[str, Array]
"""Arrays by name."""
