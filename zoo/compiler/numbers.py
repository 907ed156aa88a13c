"""Graphs worked out in NumPy: for one row, for many, or for every row of many steps at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from zoo.compiler.graph import Level, Node, ancestors
from zoo.compiler.meanings import Sizes, lengths, meaning

Array = np.ndarray[Any, Any]
Part = tuple[Node, Callable[..., Any], tuple[Node, ...], list[Node]]
"""A value, its function, what that is applied to, and the values that nobody needs afterwards."""


class Numbers:
    """The numbers of one layer, for the graph of its step.

    Args:
        shared: Parameters and buffers, as they are stored.
        sizes: What ``I`` and ``H`` are.
        dtype: Of numbers that stand in the equations.
    """

    def __init__(self, shared: Mapping[Node, Array], sizes: Sizes, dtype: np.dtype[Any]) -> None:
        self.sizes, self.dtype = sizes, dtype
        self._shared: dict[Node, Any] = dict(shared)

    def work(self, outputs: Sequence[Node], given: Iterable[Node]) -> Work:
        """How to get from some values to others; what depends on parameters alone is worked out here."""
        known = set(given)
        reached = ancestors(outputs, stop=lambda node: node in known or node.level == Level.ONCE)
        for node in reached:
            if node.level == Level.ONCE and node not in known:
                self._share(node)
        rows = [node for node in reached if node.level != Level.ONCE and node not in known]
        functions = [meaning(node, self.sizes, self.dtype) for node in rows]
        read = {*outputs, *(each for node in rows for each in node.inputs)}
        shared = {node: self._shared[node] for node in read if node in self._shared}
        return Work(outputs, _parts(rows, functions, outputs), shared)

    def length(self, node: Node) -> int:
        """How many numbers a value has in one row."""
        return int(np.prod(lengths(node.shape, self.sizes), dtype=np.int64))

    def _share(self, output: Node) -> None:
        for node in ancestors([output], stop=lambda node: node in self._shared):
            if node not in self._shared:
                operands = [self._shared[each] for each in node.inputs]
                with np.errstate(all="ignore"):
                    self._shared[node] = meaning(node, self.sizes, self.dtype)(*operands)


class Work:
    """From the values that are given to those that are wanted.

    Args:
        outputs: What is wanted.
        parts: What is done, in order.
        shared: Values that all rows share.
    """

    def __init__(self, outputs: Sequence[Node], parts: list[Part], shared: Mapping[Node, Any]) -> None:
        self.outputs, self._parts, self._shared = tuple(outputs), parts, shared

    @property
    def nodes(self) -> list[Node]:
        """Every value that is made."""
        return [node for node, *_ in self._parts]

    def __call__(self, given: Mapping[Node, Any]) -> list[Any]:
        """The values that are wanted.

        Args:
            given: Values that are there, with any axes in front of a row's, the same for all or such that
                NumPy broadcasts them.
        """
        found = {**self._shared, **given}
        # What overflows in a kernel overflows here: in silence.
        with np.errstate(all="ignore"):
            for node, function, operands, done in self._parts:
                found[node] = function(*[found[each] for each in operands])
                for each in done:
                    del found[each]
        return [found[node] for node in self.outputs]


def _parts(rows: list[Node], functions: list[Callable[..., Any]], outputs: Iterable[Node]) -> list[Part]:
    """The parts in order; a value goes once it has been read for the last time."""
    made, last = set(rows) - set(outputs), dict[Node, int]()
    for place, node in enumerate(rows):
        last.update({each: place for each in node.inputs if each in made})
    done: list[list[Node]] = [[] for _ in rows]
    for node, place in last.items():
        done[place].append(node)
    return [
        (node, each, node.inputs, done[i]) for i, (node, each) in enumerate(zip(rows, functions, strict=True))
    ]
