"""Frames of processes of zoo share one block of memory."""

from __future__ import annotations

import subprocess
import sys

import pytest

from zoo import cli
from zoo.call_stack import _FRAME_OBJECTS
from zoo.comparison import execute
from zoo.compiler import compiler_process
from zoo.testing import child

pytest.importorskip("resource", reason="counts page faults")

_CALLS = 1000
_PROGRAM = f"""
import resource
from zoo.call_stack import with_large_stack

def page_faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def function():
    a = b = c = d = None

def faults_at(depth):
    if depth:
        return faults_at(depth - 1)
    start = page_faults()
    for _ in range({_CALLS}):
        function()
    return page_faults() - start

def most_faults():
    return max(faults_at(depth) for depth in range(400))

print(most_faults(), with_large_stack(most_faults)())
"""


def test_calls_allocate_no_blocks_at_any_depth():
    done = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, check=True)
    plain, large = map(int, done.stdout.split())
    assert large < _CALLS / 10
    if sys.version_info >= (3, 11):  # which keeps frames in blocks
        assert plain > _CALLS / 2


@pytest.mark.parametrize("main", [cli.main, execute.main, compiler_process.main, child.main])
def test_main_functions_have_a_large_stack(main):
    assert main.__code__.co_stacksize == _FRAME_OBJECTS
