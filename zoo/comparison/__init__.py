"""Compare cells on tasks: request → plan → jobs → executor → records → statistics → tables.

Names are imported at first use, because a report that reads results needs no compiler.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.comparison.results import Comparison
    from zoo.comparison.runner import Stopped, compare

_MODULES = {"Comparison": "results", "Stopped": "runner", "compare": "runner"}

__all__ = ["Comparison", "Stopped", "compare"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'zoo.comparison' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.comparison.{_MODULES[name]}"), name)
