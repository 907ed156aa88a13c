"""Lines of generated Python, names, and numbers in the kernel's dtype."""

from __future__ import annotations

import builtins
import keyword
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

RESERVED = {
    *keyword.kwlist,
    *dir(builtins),
    *("kernels", "math", "np", "zoo"),
    *("params", "x", "state", "inputs", "tape", "dy", "dx", "dlast", "needs_dx", "forward", "backward"),
    *("steps", "batch", "time", "row", "row_index", "outer", "j", "entry", "I", "H"),
    *("block_steps", "first", "last", "block_row"),
    *(f"i{depth}" for depth in range(32)),  # NumPy has no more axes
}

_NUMBER_NAMES = {0.0: "zero", 1.0: "one", 2.0: "two", 0.5: "half", -1.0: "minus_one", math.inf: "infinity"}


# An array, one row of it, and the whole array as one row.
ARRAY_SUFFIXES = ("", "_row", "_flat")


@dataclass
class Names:
    """Unique names within one function."""

    taken: set[str] = field(default_factory=lambda: set(RESERVED))
    _next: dict[tuple[str, tuple[str, ...]], int] = field(default_factory=dict)

    def fresh(self, preferred: str, suffixes: tuple[str, ...] = ("",)) -> str:
        """The preferred name, or the first numbered one that is free with each suffix."""
        number = self._next.get((preferred, suffixes), 1)  # names are never released
        name = numbered(preferred, number)
        while not self.taken.isdisjoint(name + suffix for suffix in suffixes):
            number += 1
            name = numbered(preferred, number)
        self.taken |= {name + suffix for suffix in suffixes}
        self._next[preferred, suffixes] = number + 1
        return name


def numbered(name: str, number: int) -> str:
    """The name itself for number 1, else the name with its number."""
    return name if number == 1 else f"{name}_{number}"


@dataclass
class Writer:
    """Lines with the indentation of their block."""

    lines: list[str] = field(default_factory=list)
    depth: int = 1

    def line(self, text: str = "") -> None:
        """Write one line."""
        self.lines.append(("    " * self.depth + text).rstrip())

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Indent the lines written inside the context under ``head``; an empty block is left out."""
        self.line(head)
        start = len(self.lines)
        self.depth += 1
        yield
        self.depth -= 1
        if len(self.lines) == start:
            self.lines.pop()


def identifiers_in(lines: Iterable[str]) -> set[str]:
    """All identifiers, keywords and integers in some lines."""
    return set(re.findall(r"\w+", "\n".join(lines)))


def literal(value: float) -> str:
    """A number as code."""
    if math.isnan(value):
        return "np.nan"
    return f"{'-' * (value < 0)}np.inf" if math.isinf(value) else repr(value)


def unpack(names: list[str], source: str) -> str:
    """The line that unpacks a tuple; empty without names."""
    return f"{', '.join(names)}{',' * (len(names) == 1)} = {source}" if names else ""


def as_tuple(parts: list[str]) -> str:
    """A tuple as code."""
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"


@dataclass
class NumberVars:
    """Numbers as variables of the kernel's dtype: a plain ``1.0`` would make float32 code float64.

    Args:
        names: Names of the function.
        option_names: Names of the options that have a value, by the text of the number.
        variables: Variables by the text of the number.
    """

    names: Names
    option_names: dict[str, str]
    variables: dict[str, str] = field(default_factory=dict)

    def name(self, value: float) -> str:
        """The variable that holds a number."""
        text = literal(value)
        if text not in self.variables:
            preferred = (
                _NUMBER_NAMES.get(value) or self.option_names.get(text) or f"number_{len(self.variables) + 1}"
            )
            self.variables[text] = self.names.fresh(preferred)
        return self.variables[text]
