"""Operations of states that kernels compute for all steps, which compiler passes find in a step.

See :mod:`zoo.compiler.passes.matrix_memory`, :mod:`zoo.compiler.passes.momentum_memory`,
:mod:`zoo.compiler.passes.selective_scan`, :mod:`zoo.compiler.passes.diagonal_filter` and
:mod:`zoo.compiler.passes.short_convolution`.

They are not in the table of operations: no step contains them, only the kernels of a pass over a sequence.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from zoo.compiler.ir.dims import ONE, Dim, as_dim
from zoo.compiler.ir.graph import Level, Node, Shape
from zoo.compiler.ir.op_table import Kind, Op
from zoo.kernels import memory_chunk


class Decays(enum.IntEnum):
    """Whether a step multiplies memories by factors: one for each head, for each row or for each column."""

    NONE = memory_chunk.NO_DECAY
    HEADS = memory_chunk.HEAD_DECAY
    ROWS = memory_chunk.ROW_DECAY
    COLUMNS = 3  # with kernels of their own


class Rotations(enum.IntEnum):
    """Whether the rows of a memory rotate in pairs, and whether their angles have gradients."""

    NONE = memory_chunk.NO_ROTATION
    FIXED = memory_chunk.FIXED_ROTATION
    TRAINED = memory_chunk.TRAINED_ROTATION


@dataclass(frozen=True)
class MemoryForm:
    """The form of a matrix memory (:mod:`zoo.kernels.matrix_memory`, :mod:`zoo.kernels.column_memory`).

    Args:
        state: Name of the state.
        heads: Number of memories of a sequence.
        planes: Real matrices of a memory: two if the state is complex, else one.
        rows: Rows of one of them, over which queries sum.
        width: Columns ``D``.
        updates: Updates of a step, one after the other.
        writes: Outer products of an update.
        decays: Whether an update multiplies memories by factors.
        rotations: Whether an update rotates them.
        has_probe: Whether a probe reads the memory before the update.
        query_first: Whether the query reads the memory before the update.
        transposed: Whether the state has its columns before its rows.
        has_fixed_decay: Whether the decays are the same at every step and need no gradient.
        momentum: Name of the state that is its momentum (:mod:`zoo.kernels.momentum_memory`); empty if it has
            none.
    """

    state: str
    heads: Dim
    planes: int
    rows: Dim
    width: Dim
    updates: int
    writes: int
    decays: Decays
    rotations: Rotations
    has_probe: bool
    query_first: bool
    transposed: bool
    has_fixed_decay: bool = False
    momentum: str = ""

    @property
    def kernel(self) -> str:
        """Name of the kernels ``*_forward`` and ``*_backward``."""
        if self.momentum:
            return "momentum_memory"
        return "column_memory" if self.decays == Decays.COLUMNS else "memory"

    @property
    def decay_size(self) -> Dim:
        """Decays of one head."""
        return {Decays.ROWS: self.depth, Decays.COLUMNS: self.width}.get(self.decays, ONE)

    @property
    def depth(self) -> Dim:
        """Rows ``K`` of a memory as kernels see it: the rows of all planes."""
        return self.rows * as_dim(self.planes)

    @property
    def fields(self) -> tuple[tuple[str, ...], ...]:
        """Names of the parts of the operands of an update and of the fixed factors, in their order."""
        decay, angle = ["decay"] * bool(self.decays), ["cosine", "sine"] * bool(self.rotations)
        fixed = [*decay * self.has_fixed_decay, *angle * self.has_fixed_angle]
        names = ["value", "key"] if self.writes == 1 else [f"{self.writes} values", f"{self.writes} keys"]
        names += ["query", *(name for name in (*decay, *angle) if name not in fixed)]
        names += ["keep", "gain"] * bool(self.momentum)
        operands = (*names, *["probe", "rate"] * self.has_probe)
        return (operands, tuple(fixed)) if self.kernel == "memory" else (operands,)

    @property
    def has_fixed_angle(self) -> bool:
        """Whether the angles are the same at every step and need no gradient."""
        return self.rotations == Rotations.FIXED

    @property
    def flags(self) -> str:
        """The last arguments of the kernels."""
        numbers = [str(self.heads)]
        if not self.momentum:
            numbers += [str(self.updates), str(self.writes)]
            if self.decays != Decays.COLUMNS:
                numbers += [str(self.decays.value), str(self.rotations.value), str(self.has_fixed_decay)]
        return ", ".join([*numbers, str(self.has_probe), str(self.query_first)])

    @property
    def elements(self) -> Dim:
        """Elements of the memory of one head."""
        return self.depth * self.width


def _memory(inputs: tuple[Node, ...], attr: MemoryForm, shape: Shape) -> Node:
    operands, *_ = inputs
    return operands.graph.node(MEMORY, inputs, attr, shape, max(operands.level, Level.SEQUENCE))


def _memory_vjp(g: Node, node: Node, operands: Node, *factors: Node) -> tuple[Node]:
    return (g.graph.node(MEMORY_GRADIENT, (g, operands, *factors), node.attr, operands.shape),)


MEMORY = Op("read_memory", Kind.MEMORY, vjp=_memory_vjp, build=_memory, expensive=True)
"""The result of the query at a step, ``(heads, D)``, from the operands of the step, ``(heads, ...)``.

A second input holds the decays and angles that are the same at every step and need no gradient, if any.
"""

MEMORY_GRADIENT = Op("memory_gradient", Kind.MEMORY, expensive=True)
"""The gradients of the operands of a step, from the gradient of the result of the query and the inputs."""


def matrix_memory(operands: Node, form: MemoryForm, factors: Node | None = None) -> Node:
    """The result of the query at every step; ``factors`` are the same at every step."""
    inputs = (operands,) if factors is None else (operands, factors)
    return _memory(inputs, form, (form.heads, form.width))


@dataclass(frozen=True)
class ScanForm:
    """The form of a selective scan (:mod:`zoo.kernels.selective_scan`).

    Args:
        state: Name of the state.
        heads: Number of matrices of a sequence.
        depth: Rows ``K``, over which queries sum.
        width: Columns ``D``.
        query_first: Whether the query reads the state before the update.
        transposed: Whether the state is ``(heads, D, K)``.
    """

    state: str
    heads: Dim
    depth: Dim
    width: Dim
    query_first: bool
    transposed: bool

    kernel, planes, updates = "scan", 1, 1
    """The kernels are ``scan_forward`` and ``scan_backward``. States are real, with one update in a step."""

    fields = ("value", "key", "query", "time"), ("rates",)
    """Names of the parts of the operands of a step, in their order, and of the fixed factors."""

    @property
    def rows(self) -> Dim:
        """Rows ``K``."""
        return self.depth

    @property
    def factors_shape(self) -> Shape:
        """Shape of the rates."""
        return self.heads, self.depth, self.width

    @property
    def flags(self) -> str:
        """The last arguments of the kernels."""
        return f"{self.heads}, {self.query_first}"

    @property
    def elements(self) -> Dim:
        """Elements of the state of one head."""
        return self.depth * self.width


@dataclass(frozen=True)
class FilterForm:
    """The form of a diagonal filter (:mod:`zoo.kernels.diagonal_filter`).

    Args:
        state: Name of the state.
        heads: Number of matrices of a sequence.
        planes: Real matrices of a state: two if it is complex, else one.
        rows: Rows ``K`` of one of them, over which the output sums.
        width: Columns ``D``.
        transposed: Whether the state has its columns before its rows.
    """

    state: str
    heads: Dim
    planes: int
    rows: Dim
    width: Dim
    transposed: bool

    kernel, updates = "filter", 1
    """The kernels are ``filter_forward`` and ``filter_backward``. A step has one update."""

    fields = ("value",), ("keep", "take", "read")
    """Names of the parts of the operands of a step, and of the fixed factors, in their order."""

    @property
    def depth(self) -> Dim:
        """Rows of a state as kernels see it: the rows of all planes."""
        return self.rows * as_dim(self.planes)

    @property
    def factors_shape(self) -> Shape:
        """Shape of the matrices that are the same at every step."""
        return self.heads * as_dim(3 * self.planes), self.rows, self.width

    @property
    def flags(self) -> str:
        """The last arguments of the kernels."""
        return f"{self.heads}, {self.planes}"

    @property
    def elements(self) -> Dim:
        """Elements of the state of one head."""
        return self.depth * self.width


@dataclass(frozen=True)
class ConvolutionForm:
    """The form of a short convolution (:mod:`zoo.kernels.short_convolution`).

    Args:
        state: Name of the state.
        rows: Steps that the state holds, one less than a window.
        width: Features ``D``.
        transposed: Whether time is the last axis of the state.
    """

    state: str
    rows: Dim
    width: Dim
    transposed: bool

    kernel, heads, planes, updates = "convolution", ONE, 1, 1
    """The kernels are ``convolution_forward`` and ``convolution_backward``. One head, real, one update."""

    fields = ("value",), ("taps",)
    """Names of the parts of the operands of a step, and of the fixed factors."""

    @property
    def depth(self) -> Dim:
        """Rows of a state as kernels see it."""
        return self.rows

    @property
    def factors_shape(self) -> Shape:
        """Shape of the weights of the steps of a window."""
        return self.rows + ONE, self.width

    @property
    def flags(self) -> str:
        """The last argument of the kernels."""
        return str(self.rows + ONE)

    @property
    def elements(self) -> Dim:
        """Elements of the state."""
        return self.rows * self.width


FixedFactorForm: TypeAlias = ScanForm | FilterForm | ConvolutionForm
"""The form of a state whose step has factors that are the same at every step."""

SequenceForm: TypeAlias = MemoryForm | FixedFactorForm
"""The form of a state that kernels compute for all steps."""


def states_of(form: SequenceForm) -> tuple[str, ...]:
    """Names of the states that a kernel computes: one, or a memory and its momentum."""
    if isinstance(form, MemoryForm) and form.momentum:
        return form.state, form.momentum
    return (form.state,)


def _read_with_factors(inputs: tuple[Node, ...], attr: FixedFactorForm, shape: Shape) -> Node:
    operands, _ = inputs
    op, _ = _FIXED_FACTOR_OPS[type(attr)]
    return operands.graph.node(op, inputs, attr, shape, max(operands.level, Level.SEQUENCE))


def _read_with_factors_vjp(g: Node, node: Node, operands: Node, factors: Node) -> tuple[Node, Node]:
    _, op = _FIXED_FACTOR_OPS[type(node.attr)]
    gradient = g.graph.node(op, (g, operands, factors), node.attr, operands.shape)
    return gradient, g.graph.node(FACTORS_GRADIENT, (gradient,), node.attr, factors.shape, Level.ONCE)


SCAN = Op("read_scan", Kind.MEMORY, vjp=_read_with_factors_vjp, build=_read_with_factors, expensive=True)
"""The result of the query at a step, ``(heads, D)``, given the operands of the step and the fixed factors."""

FILTER = Op("read_filter", Kind.MEMORY, vjp=_read_with_factors_vjp, build=_read_with_factors, expensive=True)
"""The output of a diagonal filter, given the values of the step and the fixed factors."""

SCAN_GRADIENT = Op("scan_gradient", Kind.MEMORY, expensive=True)
"""The gradients of the operands of a step, given the gradient of the output, the operands and the factors."""

FILTER_GRADIENT = Op("filter_gradient", Kind.MEMORY, expensive=True)
"""The gradient of the values of a step, given the gradient of the output, the values and the factors."""

CONVOLUTION = Op(
    "read_convolution", Kind.MEMORY, vjp=_read_with_factors_vjp, build=_read_with_factors, expensive=True
)
"""The weighted sum of a short convolution, given the values of the step and the weights."""

CONVOLUTION_GRADIENT = Op("convolution_gradient", Kind.MEMORY, expensive=True)
"""The gradient of the values of a step, given the gradient of the sum, the values and the weights."""

_FIXED_FACTOR_OPS: Mapping[type[FixedFactorForm], tuple[Op, Op]] = {
    ScanForm: (SCAN, SCAN_GRADIENT),
    FilterForm: (FILTER, FILTER_GRADIENT),
    ConvolutionForm: (CONVOLUTION, CONVOLUTION_GRADIENT),
}
"""The operations of the read and of its gradient, by the form."""

READ_OPS = MEMORY, *(read for read, _ in _FIXED_FACTOR_OPS.values())
"""The operations that compute a state for all steps and return what is read."""

FACTORS_GRADIENT = Op("factors_gradient", Kind.OUTER, expensive=True)
"""The gradient of the fixed factors. The kernel of its input adds it up, so it emits nothing."""


def read_with_factors(operands: Node, factors: Node, form: FixedFactorForm) -> Node:
    """Return what is read at every step of a selective scan, a diagonal filter or a short convolution.

    Args:
        operands: ``(heads, ...)``.
        factors: Values that are the same at every step, in the shape ``form.factors_shape``.
        form: The form.
    """
    return _read_with_factors((operands, factors), form, (form.heads, form.width))
