"""Comparing cells: a plan, its jobs, whatever runs them, their records, statistics, tables.

One way: what is asked → plan → jobs → engine → records → statistics → tables.
"""

from zoo.comparison.comparing import Stopped, compare
from zoo.comparison.results import Comparison

__all__ = ["Comparison", "Stopped", "compare"]
