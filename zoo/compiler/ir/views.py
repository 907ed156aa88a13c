"""Views as addresses: an offset and a stride for each axis into the numbers of what is viewed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

from zoo.compiler.ir.dims import Dim, as_dim, product
from zoo.compiler.ir.graph import Node, Shape
from zoo.compiler.ir.structural_ops import ONE, VIEWS

ZERO = as_dim(0)
# Any I and H will do to see which of two lengths is the longer; equality is decided exactly.
GENERIC_SIZES = {"I": 7919, "H": 5040}

Strides = tuple[Dim, ...]


@dataclass(frozen=True)
class View:
    """Where the numbers of a node lie among those of another.

    Args:
        base: What holds the numbers, one after the other.
        offset: Place of the first one.
        strides: For each axis, how far its next entry is.
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
        """Whether its numbers lie side by side, in order."""
        pairs = zip(self.strides, contiguous(self.shape), self.shape, strict=True)
        return all(stride == expected or length == ONE for stride, expected, length in pairs)


def contiguous(shape: Shape) -> Strides:
    """The strides of numbers that lie side by side, the last axis running fastest."""
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))


def view_of(node: Node) -> View | None:
    """Where a node's numbers lie; itself if it is no view; None if no strides reach them."""
    known = node.graph.views
    if node in known:
        return known[node]
    chain = [node]
    while chain[-1].op in VIEWS and chain[-1] not in known:
        chain.append(chain[-1].inputs[0])
    for each in reversed(chain):
        if each.op not in VIEWS:
            known[each] = View(each, ZERO, contiguous(each.shape), each.shape)
        elif each not in known:
            inner = known[each.inputs[0]]
            known[each] = None if inner is None else _VIEW_RULES[each.op](each, inner)
    return known[node]


def _slice(node: Node, view: View) -> View:
    axis, start, _ = node.attr
    return replace(view, offset=view.offset + start * view.strides[axis], shape=node.shape)


def _stride(node: Node, view: View) -> View:
    axis, start, step, _ = node.attr
    own = view.strides[axis]
    strides = (*view.strides[:axis], own * step, *view.strides[axis + 1 :])
    return replace(view, offset=view.offset + start * own, strides=strides, shape=node.shape)


def _transpose(node: Node, view: View) -> View:
    return replace(view, strides=tuple(view.strides[axis] for axis in node.attr), shape=node.shape)


def _broadcast(node: Node, view: View) -> View:
    new = node.ndim - len(view.shape)
    strides = [ZERO] * new
    for axis, length in enumerate(view.shape):
        strides.append(view.strides[axis] if length == node.shape[new + axis] else ZERO)
    return replace(view, strides=tuple(strides), shape=node.shape)


def _reshape(node: Node, view: View) -> View | None:
    strides = reshape_strides(view.shape, view.strides, node.shape)
    return None if strides is None else replace(view, strides=strides, shape=node.shape)


_VIEW_RULES = {
    "slice": _slice,
    "stride": _stride,
    "transpose": _transpose,
    "broadcast": _broadcast,
    "reshape": _reshape,
}


def reshape_strides(shape: Shape, strides: Strides, new: Shape) -> Strides | None:
    """The strides of the same numbers in a new shape, if there are any.

    Axes are matched in groups of equal product, from the front; within a group the old axes must run on into
    one another.
    """
    old = [(length, stride) for length, stride in zip(shape, strides, strict=True) if length != ONE]
    wanted = [length for length in new if length != ONE]
    found: list[Dim] = []
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
        found += [product(lengths[axis + 1 :]) * group[-1][1] for axis in range(len(lengths))]
    rest = iter(found)
    return tuple(ZERO if length == ONE else next(rest) for length in new)


def _evaluate_generic(lengths: Iterable[Dim]) -> Fraction:
    """A product to compare others with; ``H - I`` is meant for an H above I, so its sign says nothing."""
    return abs(product(lengths).evaluate(GENERIC_SIZES))
