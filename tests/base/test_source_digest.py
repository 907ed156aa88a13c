"""The digest of a class in a file: which changes of the file change it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.base.source_digest import _digest
from zoo.registry import load_cell_file

CELLS = '''
import math
import functools
import zoo
from zoo import njit

SCALE = 2.0


def half(x):
    return x / 2


def quarter(x):
    return half(half(x))


def unused(x):
    return quarter(x) + 1


def marked(cls):
    return cls


class Base(zoo.Cell, abstract=True):
    W = zoo.Param("I", "H")
    h = zoo.State("H")


class Mine(Base):
    """A cell."""

    def step(self, x, h):
        return SCALE * h + quarter(x @ self.W)


class Other(Mine):
    """Another cell."""


if __name__ == "__main__":
    Other.name
'''

SAME_DIGEST = {
    "an unused function": ("+ 1", "+ 2"),
    "a derived class": ('"""Another cell."""', '"""Another cell."""\n\n    extra = zoo.Option(1.0)'),
    "a new class": ("\nif __name__", "\nclass New(Mine):\n    'New.'\n\n\nif __name__"),
    "a registered class": ("class Other", "@zoo.register_cell\nclass Other"),
    "a new kernel": ("def unused", "@njit\ndef kernel(x):\n    return x\n\n\ndef unused"),
    "a new cached function": ("def unused", "@functools.cache\ndef more():\n    return 1\n\n\ndef unused"),
    "a list of names": ("SCALE =", '__all__ = ["Mine", "Other"]\nSCALE ='),
    "code for programs": ("    Other.name", "    Other.name, unused"),
    "no code for programs": ('if __name__ == "__main__":\n    Other.name\n', ""),
    "a docstring": ("A cell.", "The cell."),
}
OTHER_DIGEST = {
    "a used function": ("half(half(x))", "half(x)"),
    "a function that a used one calls": ("x / 2", "x / 3"),
    "the base class": ('zoo.Param("I", "H")', 'zoo.Param("I", "H", init="zeros")'),
    "the class": ("SCALE * h", "h"),
    "a constant": ("2.0", "3.0"),
    "an import": ("import math", "import cmath"),
    "a statement": ("class Base", "assert unused(4) == 2\n\n\nclass Base"),
    "a decorator of the file": ("class Other", "@marked\nclass Other"),
    "a namespace": ("+ 1", "+ globals()['SCALE']"),
    "a decorator of another module": (
        "class Other",
        "import contextlib\n\n\n@contextlib.contextmanager\nclass Other",
    ),
    "a side effect in a class": ('"""Another cell."""', '"""Another cell."""\n\n    Base.extra = 2'),
    "a call in a class": ('"""Another cell."""', '"""Another cell."""\n\n    extra = unused(2)'),
    "a call in a default": ("def marked(cls)", "def marked(cls, extra=unused(2))"),
    "a call of a function with a builtin name": (
        "class Other",
        "def sum(x):\n    return x\n\n\ndef late(x=sum(2)):\n    return x\n\n\nclass Other",
    ),
    "an assignment in a default": ("def marked(cls)", "def marked(cls, extra=(SCALE := 2.5))"),
    "a hook of derived classes": (
        "    W = zoo.Param(",
        "    def __init_subclass__(cls, **given):\n        super().__init_subclass__()\n\n    W = zoo.Param(",
    ),
    "a module by name": ("+ 1", "+ len(__import__('math').__name__)"),
    "the list of names": ("class Base", "__all__ = ['Mine']\nassert len(__all__) == 1\n\n\nclass Base"),
    "the names of a module": ("+ 1", "+ len(math.__dict__)"),
    "all modules": ("import math", "import sys, math\n\ndef here():\n    return sys.modules[__name__]"),
    "a condition": ('if __name__ == "__main__":', "if SCALE > 1:"),
}


@pytest.mark.parametrize(
    "changes", [*((case, False) for case in SAME_DIGEST), *((case, True) for case in OTHER_DIGEST)]
)
def test_digest_covers_what_the_class_uses(changes: tuple[str, bool], tmp_path: Path) -> None:
    case, is_changed = changes
    old, new = (OTHER_DIGEST if is_changed else SAME_DIGEST)[case]
    assert CELLS.count(old) == 1
    digests = []
    for number, text in enumerate((CELLS, CELLS.replace(old, new))):
        (tmp_path / f"{number}").mkdir()
        file = tmp_path / f"{number}" / "mine.py"
        file.write_text(text, encoding="utf-8")
        digests.append(load_cell_file(f"{file}:Mine").source_digest())
    assert (digests[0] != digests[1]) == is_changed


@pytest.mark.parametrize(
    ("used", "is_used"),
    [("'my_block'", True), ("'lstm+own'", True), ("'other'", False), ("1\n    'own'", False)],
)
def test_component_may_be_used_by_its_registered_name(used: str, is_used: bool) -> None:
    for declared in ("class MyBlock:\n    x = 1\n", "class MyBlock:\n    name = 'own'\n    x = 1\n"):
        source = f"{declared}\n\nclass Mine:\n    block = {used}\n"
        expected = is_used and ("own" not in used or "own" in declared)
        assert (_digest(source, "Mine") != _digest(source.replace("x = 1", "x = 2"), "Mine")) == expected


def test_whole_file_counts_for_losses_and_classes_made_by_functions(tmp_path: Path) -> None:
    source = "def make(gain):\n    class Mine:\n        k = gain\n\n    return Mine\n\n\nMine = make(1)\n"
    assert _digest(source, "make.<locals>.Mine") == _digest(source, "")
    assert _digest(source, "Mine") == _digest(source, "")


@given(
    st.integers(1, 6).flatmap(
        lambda count: st.tuples(
            st.lists(
                st.lists(st.integers(0, count - 1), max_size=3, unique=True), min_size=count, max_size=count
            ),
            st.integers(0, count - 1),
        )
    )
)
@settings(deadline=None)
def test_digest_of_generated_files(case: tuple[list[list[int]], int]) -> None:
    """Functions that call each other at random: the digest of the first changes with those it reaches."""
    calls, edited = case

    def source(constant: int) -> str:
        bodies = [
            f"{constant if index == edited else 0}" + "".join(f" + f{each}()" for each in called)
            for index, called in enumerate(calls)
        ]
        functions = (f"def f{index}():\n    return {body}\n" for index, body in enumerate(bodies))
        return "".join(functions) + "class Root:\n    def step(self):\n        return f0()\n"

    reached, waiting = {0}, [0]
    while waiting:
        new = set(calls[waiting.pop()]) - reached
        reached |= new
        waiting += new
    assert (_digest(source(1), "Root") != _digest(source(2), "Root")) == (edited in reached)
    assert _digest(textwrap.dedent(source(1)), "") != _digest(source(2), ""), "without a root, all counts"
