"""Kernels that no process has compiled."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

KERNELS = """
import zoo

@zoo.njit
def first(x):
    return x + 1

@zoo.njit
def second(x, y):
    return first(x) * y

@zoo.njit
def plus_two(x):
    return x + 2

@zoo.njit
def third(x):
    return plus_two(x) + first(x)

@zoo.njit
def fourth(x):
    return second(x, 0.5)

@zoo.njit
def apply(function, x):
    return function(x)

@zoo.njit
def fifth(x):
    return apply(print, x)

@zoo.njit
def times(x, factor=2):
    return x * factor

@zoo.njit
def sixth(x):
    return times(x) + plus_two(x=x)
"""


@pytest.fixture
def kernels(kernel_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """A module that the second process can import, with kernels that nobody has compiled."""
    (tmp_path / "second_compiler_kernels.py").write_text(KERNELS, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield importlib.import_module("second_compiler_kernels")
    del sys.modules["second_compiler_kernels"]
