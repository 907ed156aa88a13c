"""Processes of zoo search for garbage rarely."""

from __future__ import annotations

import subprocess
import sys

_PROGRAM = """
import gc
from zoo.garbage_collection import reduce_collections
reduce_collections()
print(gc.get_threshold()[0])

class Garbage:
    def __init__(self):
        self.cycle = self
    def __del__(self):
        print("collected", flush=True)

Garbage()
"""


def test_garbage_is_collected_rarely_and_not_at_exit():
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["200000"]
