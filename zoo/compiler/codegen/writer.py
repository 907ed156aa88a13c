"""Lines of Python, names, and numbers of the kernel's dtype."""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_RESERVED = {
    *keyword.kwlist,
    *dir(builtins),
    *("kernels", "math", "np", "zoo"),
    *("params", "x", "state", "inputs", "tape", "dy", "dx", "dlast", "forward", "backward"),
    *("steps", "batch", "at", "t", "r", "i", "j", "k", "I", "H"),
    *("span", "first", "last", "here"),
    *(f"i{depth}" for depth in range(32)),  # NumPy has no more axes
}

_NUMBERS = {0.0: "zero", 1.0: "one", 2.0: "two", 0.5: "half", -1.0: "minus_one", math.inf: "infinity"}


# An array, a row of it, and all of it as one row.
ARRAY = ("", "_row", "_flat")


@dataclass
class Names:
    """Names of one function, each given once."""

    taken: set[str] = field(default_factory=lambda: set(_RESERVED))
    _next: dict[tuple[str, tuple[str, ...]], int] = field(default_factory=dict)

    def fresh(self, wish: str, endings: tuple[str, ...] = ("",)) -> str:
        """The name wished for, or the nearest one that is free with each of some endings."""
        number = self._next.get((wish, endings), 1)  # a name once taken stays so
        name = numbered(wish, number)
        while not self.taken.isdisjoint(name + ending for ending in endings):
            number += 1
            name = numbered(wish, number)
        self.taken |= {name + ending for ending in endings}
        self._next[wish, endings] = number + 1
        return name


def numbered(name: str, number: int) -> str:
    """The first of several values of one name by that name alone, the others with their number."""
    return name if number == 1 else f"{name}_{number}"


@dataclass
class Writer:
    """Lines at the indentation of the block they stand in."""

    lines: list[str] = field(default_factory=list)
    depth: int = 1

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.lines.append(("    " * self.depth + text).rstrip())

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Within it, lines stand under ``head``; a block that stays empty is left out."""
        self.line(head)
        start = len(self.lines)
        self.depth += 1
        yield
        self.depth -= 1
        if len(self.lines) == start:
            self.lines.pop()


def identifiers_in(lines: Iterable[str]) -> set[str]:
    """All identifiers, keywords and integers in some lines."""
    return {word for line in lines for word in re.findall(r"\w+", line)}


def literal(value: float) -> str:
    """A number as code."""
    if math.isnan(value):
        return "np.nan"
    return f"{'-' * (value < 0)}np.inf" if math.isinf(value) else repr(value)


@dataclass
class NumberVars:
    """Numbers as variables of the kernel's dtype: a plain ``1.0`` would make float32 code float64."""

    names: Names
    known: dict[str, str]
    """What options call their values, by the text of the number."""
    found: dict[str, str] = field(default_factory=dict)

    def name(self, value: float) -> str:
        """The variable that holds a number."""
        text = literal(value)
        if text not in self.found:
            wish = _NUMBERS.get(value) or self.known.get(text) or f"number_{len(self.found) + 1}"
            self.found[text] = self.names.fresh(wish)
        return self.found[text]
