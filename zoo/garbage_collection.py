"""Rare garbage collections, for processes that belong to zoo."""

from __future__ import annotations

import atexit
import gc

# Kernels and their compiler are half a million objects that stay. Searching them for garbage after every 700
# new objects, Python's default, took an eighth of the time until the first step. After every 50,000, three
# searches took 60 of 820 ms until the first step of a warm `zoo train --cell mamba`.
_OBJECTS_BETWEEN_COLLECTIONS = 200_000


def reduce_collections() -> None:
    """Search for garbage rarely, and not at the end of the process.

    The three searches of Python at its end took 0.2 s after a short training, a fifth of the whole time.
    """
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
    atexit.register(gc.freeze)
