"""Addresses in a nest of loops: which numbers of an array its indices mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zoo.compiler.dims import Dim
from zoo.compiler.emission.arrays import Array
from zoo.compiler.graph import Shape
from zoo.compiler.structure import ONE
from zoo.compiler.views import ZERO, Strides


@dataclass(frozen=True)
class Access:
    """Numbers of an array, addressed by the indices of a nest.

    Args:
        array: The array.
        offset: Place of the first number.
        strides: For each axis of the nest's shape, how far the next number is.
    """

    array: Array
    offset: Dim
    strides: Strides

    def place(self, indices: Mapping[int, str]) -> str:
        """The place that indices mean, ``H + i * K``; for each, the axis whose stride it has."""
        place = "" if self.offset == ZERO else str(self.offset)
        for axis, index in indices.items():
            stride = self.strides[axis]
            if stride == ZERO:
                continue
            is_back = stride.signs() == {-1}
            size = ZERO - stride if is_back else stride
            term = index if size == ONE else f"{index} * {factor(size)}"
            place = f"{place} {'-' if is_back else '+'} {term}" if place else term
        return place or "0"


@dataclass(frozen=True)
class Axis:
    """One loop of a nest.

    Args:
        length: How often it runs.
        last: The axis of the shape whose strides it has: the last of those that were made one.
    """

    length: Dim
    last: int


def axes_of(shape: Shape) -> list[int]:
    """The axes along which there is anything to do."""
    return [axis for axis, length in enumerate(shape) if length != ONE]


def merged_axes(shape: Shape, accesses: Sequence[Access]) -> list[Axis]:
    """The loops over a shape: neighbours are one where every array runs on from the one into the other."""
    merged: list[Axis] = []
    for axis in axes_of(shape):
        if merged and _run_on(accesses, merged[-1].last, axis, shape[axis]):
            merged[-1] = Axis(merged[-1].length * shape[axis], axis)
        else:
            merged.append(Axis(shape[axis], axis))
    return merged


def _run_on(accesses: Iterable[Access], outer: int, inner: int, length: Dim) -> bool:
    return all(access.strides[outer] == access.strides[inner] * length for access in accesses)


def factor(dim: Dim) -> str:
    """A length as a factor."""
    text = str(dim)
    return text if text.isidentifier() or text.isdecimal() else f"({text})"
