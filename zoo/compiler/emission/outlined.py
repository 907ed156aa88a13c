"""Innermost loops over many arrays, as functions of their own.

LLVM vectorises a loop only if no two of its arrays overlap. It cannot know that of arrays that a kernel made
itself, let alone of parts of a row, and has it tested at run time: for the dozen arrays of a gate 160
instructions, before every row or once for all. If once, it looks at all that the rows span, finds that the
parts of a row that lie side by side overlap, and goes number by number: an LSTM's way back took 7.5 cycles
a number so, and takes 2 where it is promised that arrays are disjoint, which only a function's arguments can
be. The whole way back took 16 % more at H=64, a GRU's 27 %, and neither compiles slower for it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_KNOWN = {"j", "range", "kernels", "np"}

LEAST_PAIRS = 4
"""Pairs of arrays that might overlap; with fewer, a test is nothing to speak of."""


class Outlined(NamedTuple):
    """A loop as a function.

    Args:
        lines: The function.
        call: The line that calls it.
    """

    lines: list[str]
    call: str


def is_worth_it(body: Sequence[str]) -> bool:
    """Whether a loop with this body writes to and reads from enough arrays."""
    read: set[str] = set()
    written: set[str] = set()
    for node in ast.walk(ast.parse("\n".join(body))):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            (written if isinstance(node.ctx, ast.Store) else read).add(node.value.id)
    return len(written) * (len(written) - 1) // 2 + len(written) * len(read - written) >= LEAST_PAIRS


def outlined(name: str, body: Sequence[str], length: str, sums: Sequence[str]) -> Outlined:
    """A loop over ``j`` as a function.

    Args:
        name: What to call it.
        body: The lines in the loop.
        length: How often it runs.
        sums: Variables that grow in it.
    """
    taken = [each for each in dict.fromkeys(_names([*body, length])) if each not in sums]
    arguments, grown = ", ".join([*taken, *sums]), ", ".join(sums)
    lines = [
        "@zoo.njit(inline=True, disjoint=True)",
        f"def {name}({arguments}):",
        f"    for j in range({length}):",
        *(f"        {line}" for line in body),
        *([f"    return {grown}"] if sums else []),
    ]
    return Outlined(lines, f"{grown} = {name}({arguments})" if sums else f"{name}({arguments})")


def _names(lines: Sequence[str]) -> Iterator[str]:
    """The variables that lines use and do not make, in their order."""
    names = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.Name)]
    made = {node.id for node in names if isinstance(node.ctx, ast.Store)} | _KNOWN
    for node in sorted(names, key=lambda node: (node.lineno, node.col_offset)):
        if node.id not in made:
            yield node.id
