"""The arrays of a kernel: how each is called, made, and read row by row.

Which variable or array holds each value of a function, and what that is called, in whatever language.

Addresses in a nest of loops: which numbers of an array its indices mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zoo.compiler.codegen.writer import ARRAY, Names
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.frontend.value_names import default_name
from zoo.compiler.ir.dims import Dim, product
from zoo.compiler.ir.graph import Node, Shape
from zoo.compiler.ir.structural_ops import ONE
from zoo.compiler.ir.views import ZERO, Strides
from zoo.compiler.schedule.fusion import Storage
from zoo.compiler.schedule.sections import PassSchedule


@dataclass(frozen=True)
class TimeIndexing:
    """Where the steps of a kernel are in arrays that have rows for each of them.

    Args:
        now: Which of the steps in an array is step ``t``.
        at: Which of its rows is that of step ``t`` and row ``r`` of the batch.
        part: From where to where the steps lie that are worked on together; empty if they are all.
    """

    now: str = "t"
    at: str = "at"
    part: str = ""

    def of(self, name: str) -> str:
        """The steps of an array that are worked on together."""
        return f"kernels.steps_of({name}, {self.part})" if self.part else name

    def rows_of(self, name: str) -> str:
        """Their rows as a matrix."""
        return f"kernels.rows_between({name}, {self.part})" if self.part else f"kernels.rows_of({name})"

    def row_found(self) -> str:
        """The line that says which row it is."""
        return f"{self.at} = {self.now if self.now.isidentifier() else f'({self.now})'} * batch + r"


ALL_STEPS = TimeIndexing()

BLOCK_OF_ALL = TimeIndexing(part="first, last")

"""Of arrays with rows for all steps, where a kernel works on one span of them after the other."""

BLOCK = TimeIndexing(now="t - first", at="here", part="0, last - first")

"""Of arrays with rows for the steps of one span, which the next one uses again."""


@dataclass(frozen=True)
class ArrayVar:
    """An array.

    Args:
        name: What it is called.
        store: What kind it is.
        width: How many numbers a row has; for a shared array, how many it has in all.
        steps: Where its steps are, if it has a row for each.
    """

    name: str
    store: Storage
    width: Dim
    steps: TimeIndexing = ALL_STEPS

    @property
    def row(self) -> str:
        """What a row of it is called in a loop over rows."""
        if self.store in (Storage.ROW, Storage.SCALAR):
            return self.name
        return f"{self.name}_flat" if self.store == Storage.SHARED else f"{self.name}_row"

    def row_expression(self) -> str:
        """A row of it: that of step t and row r, or that of row r."""
        return f"kernels.row({self.name}, {self.steps.at if self.store == Storage.STEPS else 'r'})"

    @property
    def step(self) -> str:
        """Its rows of one step."""
        return f"{self.name}[{self.steps.now}]" if self.store == Storage.STEPS else self.name

    @property
    def part(self) -> str:
        """Its rows of the steps that are worked on together."""
        return self.steps.of(self.name) if self.store == Storage.STEPS else self.name

    def all_rows(self, everywhere: bool) -> str:
        """Its rows as a matrix: those of one step, or those of the steps that are worked on together."""
        if self.store != Storage.STEPS:
            return self.name
        return self.steps.rows_of(self.name) if everywhere else self.step


# Leaves that a kernel itself fills, element by element.
_LITERAL_OPS = ("array", "eye")


class StorageMap:
    """Names and arrays of one function.

    Args:
        equations: The step, for its leaves and names.
        plan: What the function computes.
        names: The names that are taken.

    Attributes:
        arrays: The array of each value that has one.
        shapes: True shapes of the arrays that the function makes.
        labels: The variable of each value that has one.
        given: Where steps are in arrays that the caller brings.
        made: Where they are in those that the function makes.
    """

    given: TimeIndexing = ALL_STEPS
    made: TimeIndexing = ALL_STEPS

    def __init__(self, equations: StepGraph, plan: PassSchedule, names: Names) -> None:
        self.step_graph, self.plan, self.names = equations, plan, names
        self.arrays: dict[Node, ArrayVar] = {}
        self.shapes: dict[str, Shape] = {}
        self.labels: dict[Node, str] = {}

    def label(self, node: Node) -> str:
        """The variable of a value."""
        if node not in self.labels:
            self.labels[node] = self.names.fresh(self._called(node))
        return self.labels[node]

    def give(self, node: Node, name: str, store: Storage) -> ArrayVar:
        """Say which array, already there, holds a value."""
        return self._hold(node, ArrayVar(name, store, product(node.shape), self.given))

    def _hold(self, node: Node, array: ArrayVar) -> ArrayVar:
        self.arrays[node] = array
        return array

    def has_array(self, node: Node) -> bool:
        """Whether a value is stored."""
        node = self.plan.shares.get(node, node)
        return node in self.arrays or node in self.plan.stores or node.op in _LITERAL_OPS

    def array_of(self, node: Node) -> ArrayVar:
        """The array that holds a value; named when first asked for."""
        node = self.plan.shares.get(node, node)
        if node not in self.arrays:
            store = Storage.SHARED if node.op in _LITERAL_OPS else self.plan.stores[node]
            if store == Storage.SCALAR:
                return self.give(node, self.label(node), store)
            return self._make(node, store)
        return self.arrays[node]

    def _make(self, node: Node, store: Storage) -> ArrayVar:
        """A new array for a value."""
        name = self.names.fresh(self._wish(node, store), ARRAY)
        array = self._hold(node, ArrayVar(name, store, product(node.shape), self.made))
        self.shapes[array.name] = node.shape
        return array

    def _wish(self, node: Node, store: Storage) -> str:
        """What an array for a value would best be called."""
        raise NotImplementedError

    def _called(self, node: Node) -> str:
        """What the author calls a value, or what it is called after: ``sigmoid_f``, ``tanh_c``."""
        names = self.step_graph.names
        return names.get(node) or default_name(node, lambda below: names.get(below, ""))


@dataclass(frozen=True)
class ArrayAccess:
    """Numbers of an array, addressed by the indices of a nest.

    Args:
        array: The array.
        offset: Place of the first number.
        strides: For each axis of the nest's shape, how far the next number is.
    """

    array: ArrayVar
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
class LoopAxis:
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


def merged_axes(shape: Shape, accesses: Sequence[ArrayAccess]) -> list[LoopAxis]:
    """The loops over a shape: neighbours are one where every array runs on from the one into the other."""
    merged: list[LoopAxis] = []
    for axis in axes_of(shape):
        if merged and _run_on(accesses, merged[-1].last, axis, shape[axis]):
            merged[-1] = LoopAxis(merged[-1].length * shape[axis], axis)
        else:
            merged.append(LoopAxis(shape[axis], axis))
    return merged


def _run_on(accesses: Iterable[ArrayAccess], outer: int, inner: int, length: Dim) -> bool:
    return all(access.strides[outer] == access.strides[inner] * length for access in accesses)


def factor(dim: Dim) -> str:
    """A length as a factor."""
    text = str(dim)
    return text if text.isidentifier() or text.isdecimal() else f"({text})"
