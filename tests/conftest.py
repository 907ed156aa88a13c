"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# Compiling makes a first example slow, and machines differ: examples are counted, not timed. Derandomised, so
# that a red run can be repeated.
settings.register_profile("zoo", deadline=None, derandomize=True, database=None)
settings.load_profile("zoo")
