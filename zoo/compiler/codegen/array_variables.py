"""Variables and arrays of a generated function, and addresses of elements in nested loops."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from zoo.compiler.codegen.writer import ARRAY_SUFFIXES, Names
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.frontend.value_names import ValueNames
from zoo.compiler.ir.dims import ONE, ZERO, Dim, product
from zoo.compiler.ir.graph import Node, Shape, Strides, View, contiguous, view_of
from zoo.compiler.ir.structural_ops import ARRAY, EYE, SIZE
from zoo.compiler.schedule.fusion import ArrayLayout, FusedLoop, unreshaped
from zoo.compiler.schedule.sections import PassSchedule


@dataclass(frozen=True)
class TimeIndexing:
    """Position of time steps in arrays that have a row for each step.

    Args:
        step: Index of step ``time`` along the first axis.
        row: Variable with the index of step ``time`` and sequence ``row`` among all rows.
        block: First and last index of the steps that are computed together; empty for all steps.
    """

    step: str = "time"
    row: str = "row_index"
    block: str = ""

    def active_steps(self, name: str) -> str:
        """Expression for the steps of an array that are computed together."""
        return f"kernels.slice_steps({name}, {self.block})" if self.block else name

    def active_rows(self, name: str) -> str:
        """Expression for the rows of these steps as a matrix."""
        return f"kernels.rows_of_steps({name}, {self.block})" if self.block else f"kernels.as_rows({name})"

    def row_assignment(self) -> str:
        """Line that computes the row index."""
        return f"{self.row} = {self.step if self.step.isidentifier() else f'({self.step})'} * batch + row"


ALL_STEPS = TimeIndexing()

BLOCK_IN_FULL_ARRAY = TimeIndexing(block="first, last")
"""For arrays with rows for all steps, in a kernel that runs block after block of steps."""

BLOCK = TimeIndexing(step="time - first", row="block_row", block="0, last - first")
"""For arrays with rows for one block of steps, which the next block overwrites."""


@dataclass(frozen=True)
class ArrayVar:
    """An array of the generated function.

    Args:
        name: Variable.
        layout: Kind of array.
        width: Elements of a row, or of the whole array if it is shared.
        time: Position of its steps, if it has a row for each.
    """

    name: str
    layout: ArrayLayout
    width: Dim
    time: TimeIndexing = ALL_STEPS

    @property
    def row(self) -> str:
        """Variable of a row in a loop over rows."""
        if self.layout in (ArrayLayout.ROW, ArrayLayout.SCALAR):
            return self.name
        return f"{self.name}_flat" if self.layout == ArrayLayout.SHARED else f"{self.name}_row"

    def row_expression(self) -> str:
        """Expression for the row of step ``time`` and sequence ``row``, or of sequence ``row``."""
        return f"kernels.row({self.name}, {self.time.row if self.layout == ArrayLayout.STEPS else 'row'})"

    @property
    def current_step(self) -> str:
        """Expression for the rows of step ``time``."""
        if self.layout != ArrayLayout.STEPS:
            return self.name
        return f"kernels.at_step({self.name}, {self.time.step})"

    @property
    def active_steps(self) -> str:
        """Expression for the rows of the steps that are computed together."""
        return self.time.active_steps(self.name) if self.layout == ArrayLayout.STEPS else self.name

    def as_matrix(self, all_steps: bool) -> str:
        """Expression for its rows as a matrix: of the steps computed together, or of step ``time``."""
        if self.layout != ArrayLayout.STEPS:
            return self.name
        return self.time.active_rows(self.name) if all_steps else self.current_step


# Leaves that the generated function fills element by element.
_LITERAL_OPS = (ARRAY, EYE)


class FunctionVariables:
    """Variables and arrays of one generated function.

    Args:
        step_graph: The traced step.
        schedule: The computation.
        names: Names of the function.
        value_names: Names of the values.

    Attributes:
        arrays: The array of each stored value.
        shapes: Full shapes of the arrays that the function allocates.
        variables: The variable of each value that has one.
        caller_time: Position of steps in arrays of the caller.
        local_time: Position of steps in arrays that the function allocates.
    """

    caller_time: TimeIndexing = ALL_STEPS
    local_time: TimeIndexing = ALL_STEPS

    def __init__(
        self, step_graph: StepGraph, schedule: PassSchedule, names: Names, value_names: ValueNames
    ) -> None:
        self.step_graph, self.schedule, self.names = step_graph, schedule, names
        self.value_names = value_names
        self.arrays: dict[Node, ArrayVar] = {}
        self.shapes: dict[str, Shape] = {}
        self.variables: dict[Node, str] = {}

    def variable(self, node: Node) -> str:
        """The variable of a value."""
        if node not in self.variables:
            self.variables[node] = self.names.fresh(self._base_name(node))
        return self.variables[node]

    def bind(self, node: Node, name: str, layout: ArrayLayout) -> ArrayVar:
        """Set the existing array that holds a value."""
        self.arrays[node] = ArrayVar(name, layout, product(node.shape), self.caller_time)
        return self.arrays[node]

    def has_array(self, node: Node) -> bool:
        """Whether a value is stored."""
        node = self.schedule.shares.get(node, node)
        return node in self.arrays or node in self.schedule.layouts or node.op in _LITERAL_OPS

    def array_of(self, node: Node) -> ArrayVar:
        """The array that holds a value, named at the first call."""
        node = self.schedule.shares.get(node, node)
        if node not in self.arrays:
            layout = ArrayLayout.SHARED if node.op in _LITERAL_OPS else self.schedule.layouts[node]
            if layout == ArrayLayout.SCALAR:
                return self.bind(node, self.variable(node), layout)
            return self._allocate(node, layout)
        return self.arrays[node]

    def _allocate(self, node: Node, layout: ArrayLayout) -> ArrayVar:
        name = self.names.fresh(self._preferred_name(node, layout), ARRAY_SUFFIXES)
        self.arrays[node] = ArrayVar(name, layout, product(node.shape), self.local_time)
        self.shapes[name] = node.shape
        return self.arrays[node]

    def _preferred_name(self, node: Node, layout: ArrayLayout) -> str:
        raise NotImplementedError

    def _base_name(self, node: Node) -> str:
        return self.value_names.name(node)


@dataclass(frozen=True)
class ArrayAccess:
    """Elements of an array, addressed by the indices of nested loops.

    Args:
        array: The array.
        offset: Index of the first element.
        strides: For each axis of the loops' shape, the distance to the next element.
    """

    array: ArrayVar
    offset: Dim
    strides: Strides

    def index(self, indices: Mapping[int, str]) -> str:
        """The index expression, ``H + i * K``, for loop variables by the axis whose stride they have."""
        text = "" if self.offset == ZERO else str(self.offset)
        for axis, index in indices.items():
            stride = self.strides[axis]
            if stride == ZERO:
                continue
            is_negative = stride.signs() == {-1}
            size = ZERO - stride if is_negative else stride
            term = index if size == ONE else f"{index} * {_as_factor(size)}"
            text = f"{text} {'-' if is_negative else '+'} {term}" if text else term
        return text or "0"


def access_to(variables: FunctionVariables, view: View) -> ArrayAccess:
    """A view as an access to the array of its base."""
    return ArrayAccess(variables.array_of(view.base), view.offset, view.strides)


def access_to_sum(array: ArrayVar, node: Node) -> ArrayAccess:
    """The target of a reduction in loops over its operand; the stride along reduced axes is zero."""
    own = iter(contiguous(node.shape))
    strides = [ZERO if axis in node.attr else next(own) for axis in range(node.inputs[0].ndim)]
    lengths = zip(strides, node.inputs[0].shape, strict=True)
    return ArrayAccess(array, ZERO, tuple(stride for stride, length in lengths if length != ONE))


def collect_loads(variables: FunctionVariables, loop: FusedLoop) -> dict[Node, ArrayAccess]:
    """Values that a loop reads from arrays."""
    loads: dict[Node, ArrayAccess] = {}
    body = set(loop.body)
    read = [operand for node in loop.body for operand in node.inputs]
    for node in [*read, *(value for value, _ in loop.stores)]:
        if unreshaped(node) in body or node in loads or node.value is not None:
            continue
        view = view_of(node)
        assert view is not None  # insert_copies.py made sure of it
        if view.base.op != SIZE and variables.array_of(view.base).layout != ArrayLayout.SCALAR:
            loads[node] = access_to(variables, view if loop.is_axis_scan else view.squeezed())
    return loads


def collect_stores(variables: FunctionVariables, loop: FusedLoop) -> list[tuple[Node, ArrayAccess]]:
    """Values that a loop writes to arrays."""
    return [
        (value, access_to(variables, view.squeezed()))
        for value, view in loop.stores
        if variables.array_of(view.base).layout != ArrayLayout.SCALAR
    ]


@dataclass(frozen=True)
class LoopAxis:
    """One of the nested loops.

    Args:
        length: Number of iterations.
        axis: Axis of the shape whose strides it has: the last of the axes merged into it.
    """

    length: Dim
    axis: int


def axes_of(shape: Shape) -> list[int]:
    """The axes that are longer than one."""
    return [axis for axis, length in enumerate(shape) if length != ONE]


def merged_axes(shape: Shape, accesses: Sequence[ArrayAccess]) -> list[LoopAxis]:
    """The loops over a shape; adjacent axes become one loop where they are contiguous in every array."""
    merged: list[LoopAxis] = []
    for axis in axes_of(shape):
        if merged and _are_contiguous(accesses, merged[-1].axis, axis, shape[axis]):
            merged[-1] = LoopAxis(merged[-1].length * shape[axis], axis)
        else:
            merged.append(LoopAxis(shape[axis], axis))
    return merged


def _are_contiguous(accesses: Iterable[ArrayAccess], outer: int, inner: int, length: Dim) -> bool:
    return all(access.strides[outer] == access.strides[inner] * length for access in accesses)


def _as_factor(dim: Dim) -> str:
    text = str(dim)
    return text if text.isidentifier() or text.isdecimal() else f"({text})"
