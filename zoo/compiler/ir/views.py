"""Views as addresses: an offset and strides into the array of another node."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

from zoo.compiler.ir.dims import GENERIC_SIZES, ONE, ZERO, Dim, product
from zoo.compiler.ir.graph import Node, Shape

Strides = tuple[Dim, ...]


@dataclass(frozen=True)
class View:
    """The address of a node's elements in the array of another node.

    Args:
        base: The node whose contiguous array holds the elements.
        offset: The index of the first element.
        strides: For each axis, the distance of one entry from the next.
        shape: Lengths of the axes.
    """

    base: Node
    offset: Dim
    strides: Strides
    shape: Shape

    @property
    def is_whole(self) -> bool:
        """Whether it is all of its base, in order."""
        return self.is_window and self.offset == ZERO and product(self.shape) == product(self.base.shape)

    @property
    def is_window(self) -> bool:
        """Whether it is contiguous."""
        pairs = zip(self.strides, contiguous(self.shape), self.shape, strict=True)
        return all(stride == expected or length == ONE for stride, expected, length in pairs)


def contiguous(shape: Shape) -> Strides:
    """Return the strides of a contiguous array, whose last axis runs fastest."""
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))


def view_of(node: Node) -> View | None:
    """Return the address of a node's elements: itself if it is not a view; None if no strides reach them."""
    known: dict[Node, View | None] = node.graph.views
    if node in known:
        return known[node]
    chain = [node]
    while chain[-1].op.view is not None and chain[-1] not in known:
        chain.append(chain[-1].inputs[0])
    for each in reversed(chain):
        if each.op.view is None:
            known[each] = View(each, ZERO, contiguous(each.shape), each.shape)
        elif each not in known:
            inner = known[each.inputs[0]]
            known[each] = None if inner is None else each.op.view(each, inner)
    return known[node]


def reshape_strides(shape: Shape, strides: Strides, new: Shape) -> Strides | None:
    """Return the strides of the same elements in a new shape, if there are any.

    Axes are matched in groups of equal product, from the front. The old axes of a group must be contiguous.
    """
    old = [(length, stride) for length, stride in zip(shape, strides, strict=True) if length != ONE]
    wanted = [length for length in new if length != ONE]
    result: list[Dim] = []
    while old and wanted:
        group, lengths = [old.pop(0)], [wanted.pop(0)]
        while product(length for length, _ in group) != product(lengths):
            shorter = _evaluate_generic(length for length, _ in group) < _evaluate_generic(lengths)
            if not (old if shorter else wanted):
                return None
            if shorter:
                group.append(old.pop(0))
            else:
                lengths.append(wanted.pop(0))
        if any(stride != below * length for (_, stride), (length, below) in pairwise(group)):
            return None
        result += [product(lengths[axis + 1 :]) * group[-1][1] for axis in range(len(lengths))]
    rest = iter(result)
    return tuple(ZERO if length == ONE else next(rest) for length in new)


def _evaluate_generic(lengths: Iterable[Dim]) -> Fraction:
    """A product for comparisons. ``H - I`` is meant for an H above I, so its sign is ignored."""
    return abs(product(lengths).evaluate(GENERIC_SIZES))
