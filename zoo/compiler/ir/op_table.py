"""The table of operations: every operation of a graph, with its meaning, gradient, shape and code.

Element-wise rows are defined in :mod:`zoo.compiler.ir.elementwise_ops`, all others in
:mod:`zoo.compiler.ir.structural_ops`. Passes, the interpreter, the printer and the back ends read this
table. A row also holds the code of its operation in a kernel, in C and in ONNX.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

Interval: TypeAlias = tuple[float, float]


class Kind(enum.Enum):
    """The form of an operation, which decides how it is scheduled and emitted."""

    LEAF = enum.auto()
    """Has no inputs."""
    ELEMENTWISE = enum.auto()
    """Applies to each element alone; operands are broadcast."""
    VIEW = enum.auto()
    """Computes nothing: another way to address the elements of its input."""
    CONCAT = enum.auto()
    """Joins its inputs."""
    REDUCTION = enum.auto()
    """Removes axes."""
    SCAN = enum.auto()
    """Runs along an axis in order: each entry depends on the one before."""
    MATMUL = enum.auto()
    """Multiplies the rows of the batch by a matrix that they share."""
    MATRIX_FUNCTION = enum.auto()
    """Applies to a whole matrix of parameters."""
    OUTER = enum.auto()
    """Gradient of the matrix of a matmul: a sum over all rows of all steps."""
    ROW_SUM = enum.auto()
    """Sum over all rows of all steps."""
    MEMORY = enum.auto()
    """Runs over all steps of a sequence: each step changes a matrix and reads it."""


@dataclass(frozen=True, eq=False, repr=False)
class Op(str):
    """One operation: a row of the table. As a string it is its name; compare operations with ``==``.

    Args:
        name: The name.
        kind: The form.
        shape: Shape rule, ``(inputs, attr) -> shape``; None if the shape is an argument.
        numpy: The operation on NumPy arrays, if neither attributes nor shapes matter.
        numpy_for: ``(node, sizes, dtype) -> function on NumPy arrays``, for all other operations.
        vjp: Gradient rule, ``(gradient, node, *inputs) -> gradients of the inputs``; None without derivative.
        jvp: Tangent rule, ``(tangents of the inputs, node, *inputs) -> tangent``, in which the tangent of an
            input may be None for zero. An elementwise operation needs none: its gradient rule contains it.
        build: ``(inputs, attr, shape) -> node``: a constructor that simplifies; None for a plain node.
        view: Of views only: ``(node, view of its input) -> view``, or None if no strides reach the elements.
        expensive: Whether the result is saved rather than recomputed.
        is_bool: Whether the result is boolean.
        accepts_bool: Whether operands may be boolean; otherwise they become one and zero.
        exact_gradient: Whether ``vjp`` is the derivative of the function.
        code: The code in a kernel; ``{0}`` and ``{1}`` are the operands. Of an element-wise operation an
            expression; of a reduction the line that adds ``{1}`` to the accumulator ``{0}``; of a scan the
            lines that update ``{total}``.
        export: The same in exported C and JavaScript, whose operators are alike, without semicolons.
            ``$name`` is a function of ``math.h``, by its name for doubles, or a helper of
            :mod:`zoo.export.c_source` and :mod:`zoo.export.js_source`.
        onnx: The operator of ONNX; empty if :mod:`zoo.export.onnx_step` composes the operation of several.
        initial: Of reductions: the initial value of the accumulator.
        domain: The interval of each operand that tests draw from.
    """

    name: str
    kind: Kind
    shape: Callable[..., Any] | None = None
    numpy: Any = None
    numpy_for: Callable[..., Callable[..., Any]] | None = None
    vjp: Callable[..., tuple[Any, ...]] | None = None
    jvp: Callable[..., Any] | None = None
    build: Callable[..., Any] | None = None
    view: Callable[..., Any] | None = None
    expensive: bool = False
    is_bool: bool = False
    accepts_bool: bool = False
    exact_gradient: bool = True
    code: str = ""
    export: str = ""
    onnx: str = ""
    initial: float = 0.0
    domain: tuple[Interval, ...] = ()

    def __new__(cls, name: str, *args: Any, **kwargs: Any) -> Op:  # noqa: ARG004 - the arguments of __init__
        """Make the string."""
        return super().__new__(cls, name)

    @property
    def sums_rows(self) -> bool:
        """Whether the result is a sum over all rows of all steps, known after the loop over time."""
        return self.kind in (Kind.OUTER, Kind.ROW_SUM)

    @property
    def batches_steps(self) -> bool:
        """Whether the operation is computed for many time steps together where that is possible."""
        return self.kind in (Kind.MATMUL, Kind.MEMORY)


OPS: dict[str, Op] = {}
"""All operations by name."""


def define(name: str, kind: Kind, **row: Any) -> Op:
    """Add a row to the table and return its operation."""
    OPS[name] = Op(name, kind, **row)
    return OPS[name]


def elementwise(
    name: str,
    numpy: Callable[..., Any],
    code: str,
    vjp: Callable[..., tuple[Any, ...]] | None = None,
    domain: tuple[Interval, ...] = ((-2.0, 2.0),),
    **fields: Any,
) -> Op:
    """Add an element-wise row to the table and return its operation.

    An operator that Python writes as C does needs no ``export``.
    """
    fields.setdefault("export", "" if "(" in code else code)
    return define(name, Kind.ELEMENTWISE, numpy=numpy, code=code, vjp=vjp, domain=domain, **fields)


def elementwise_rows() -> dict[str, Op]:
    """Return the element-wise operations by name."""
    return {name: op for name, op in OPS.items() if op.kind is Kind.ELEMENTWISE}
