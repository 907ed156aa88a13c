"""Comparing cells: a plan, its jobs, whatever runs them, their records, statistics, tables.

One way: what is asked → plan → jobs → engine → records → statistics → tables.

A name is imported when it is first used: a report reads results, and needs no compiler.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.comparison.results import Comparison
    from zoo.comparison.runner import Stopped, compare

_HOMES = {"Comparison": "results", "Stopped": "runner", "compare": "runner"}

__all__ = ["Comparison", "Stopped", "compare"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.comparison' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.comparison.{_HOMES[name]}"), name)
