"""Emission of products: calls of ``zoo.kernels``, on all rows of a step or of all steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.compiler.codegen.storage import BLOCK, ArrayVar
from zoo.compiler.codegen.writer import Writer
from zoo.compiler.ir.dims import as_dim, product
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.structural_ops import MATRIX_FUNCTIONS, transpose_last
from zoo.compiler.ir.views import View, view_of
from zoo.compiler.schedule.fusion import Storage

if TYPE_CHECKING:
    from zoo.compiler.codegen.pass_emitter import PassEmitter


def write_matmul(function: PassEmitter, writer: Writer, node: Node, where: str) -> None:
    """Write one product.

    Args:
        function: The pass it belongs to.
        writer: Where to.
        node: The product.
        where: The section: whether it runs over the rows of one step or of all, or over shared arrays.
    """
    if node.op in ("outer", "outer_heads"):
        _write_outer(function, writer, node)
    elif node.op == "row_sum":
        _write_row_sum(function, writer, node)
    elif node.op in MATRIX_FUNCTIONS:
        operands = ", ".join(matrix(function, operand) for operand in node.inputs)
        writer.line(f"kernels.{node.op}({operands}, {function.array_of(node).name})")
    elif node.inputs[0].op == "x":
        _write_projection(function, writer, node)
    else:
        _write_dot(function, writer, node, where)


def _view(node: Node) -> View:
    view = view_of(node)
    assert view is not None  # copies.py saw to it
    return view


def _write_projection(function: PassEmitter, writer: Writer, node: Node) -> None:
    """``x @ W + b`` for the whole sequence, or if no other step's is needed, at every step."""
    _, w, *base = node.inputs
    array = function.array_of(node)
    function.assigned.add(array.name)
    bias = array_name(function, base[0]) if base else f"np.zeros({node.shape[0]}, {function.like}.dtype)"
    if array.store == Storage.STEPS:
        writer.line(f"{array.name} = kernels.project({function.x}, {matrix(function, w)}, {bias})")
        return
    weights, bias = (
        _named(function, writer, "weights", matrix(function, w)),
        _named(function, writer, "bias", bias),
    )
    found = function.names.fresh(f"{array.name.removesuffix('_now')}_found")
    writer.line(f"{found} = kernels.projections(x, {weights}, {bias})")
    function.found.append(f"{array.name} = kernels.projection({found}, t, x, {weights}, {bias})")


def _named(function: PassEmitter, writer: Writer, name: str, expression: str) -> str:
    """A variable for what is not one already."""
    if expression.isidentifier():
        return expression
    name = function.names.fresh(name)
    writer.line(f"{name} = {expression}")
    return name


def array_name(function: PassEmitter, node: Node) -> str:
    """The array that holds a value, as it is or within."""
    return function.array_of(_view(node).base).name


def matrix(function: PassEmitter, w: Node) -> str:
    """A matrix of parameters as an expression."""
    if w.op == "transpose":
        return f"np.ascontiguousarray({matrix(function, transpose_last(w))}.T)"
    view = _view(w)
    name = function.array_of(view.base).name
    if view.is_whole and view.base.ndim == w.ndim:
        return name
    start, size = view.offset, product(w.shape)
    lengths = ", ".join(map(str, w.shape))
    return f"{name}.reshape(-1)[{start}:{start + size}].reshape({lengths})"


def pack_call(function: PassEmitter, w: Node) -> str:
    """The call that packs a matrix for products."""
    heads = "_heads" if w.ndim == 3 else ""
    if w.op == "transpose":
        return f"kernels.pack{heads}_transposed({matrix(function, transpose_last(w))})"
    return f"kernels.pack{heads}({matrix(function, w)})"


def _write_dot(function: PassEmitter, writer: Writer, node: Node, where: str) -> None:
    a, w, *base = node.inputs
    target = function.array_of(node)
    everywhere = where != "step"
    if target.name == "dx" and where == "after":  # tokens have no gradient to compute
        writer = function.for_dx
    if not base:
        _write_zeros(function, writer, target, everywhere)
    # What is computed outside the loops is packed where it is used: in front of them it may not be there yet.
    panels = pack_call(function, w) if where in ("once", "final") else function.panels(w)
    view = _view(a)
    source = function.array_of(view.base)
    left, right = (_as_rows(array, each, node, everywhere) for array, each in ((source, a), (target, node)))
    whole = view.is_whole or source.store == Storage.SHARED
    if node.op == "dot_heads":
        call = f"kernels.add_matmul_heads({left}, {view.offset}, {panels}, {right}, 0, {node.shape[1]})"
    elif whole:
        call = f"kernels.add_matmul({left}, {panels}, {right})"
    else:
        call = f"kernels.add_matmul_at({left}, {view.offset}, {panels}, {right}, 0, {node.shape[-1]})"
    writer.line(call)


def _write_zeros(function: PassEmitter, writer: Writer, target: ArrayVar, everywhere: bool) -> None:
    if target.store == Storage.BATCH or (target.store == Storage.STEPS and target.steps is BLOCK):
        writer.line(f"{target.part if everywhere else target.step}.fill(0)")
    else:
        function.zeroed.add(target.name)


def _as_rows(array: ArrayVar, value: Node, product_node: Node, everywhere: bool) -> str:
    """An operand or the result of a product as a matrix; axes in front of the last are more rows."""
    heads = product_node.op == "dot_heads"
    if array.store == Storage.SHARED:
        return f"{array.name}.reshape(-1, {array.width if heads else value.shape[-1]})"
    if heads or product(value.shape[:-1]) == as_dim(1):
        return array.all_rows(everywhere)
    return f"{array.part if everywhere else array.step}.reshape(-1, {value.shape[-1]})"


def _write_outer(function: PassEmitter, writer: Writer, node: Node) -> None:
    a, g = node.inputs
    target = function.array_of(node)
    if a.op == "x":
        right = function.array_of(_view(g).base).part
        writer.line(f"kernels.add_input_outer({function.x}, {right}, {target.name})")
        return
    source = function.array_of(_view(a).base)
    if source.name in function.before:
        _write_outer_before(function, writer, node, source)
        return
    left, right = (function.array_of(_view(operand).base).all_rows(everywhere=True) for operand in (a, g))
    writer.line(_outer_call(node, left, right, target))


def _write_outer_before(function: PassEmitter, writer: Writer, node: Node, source: ArrayVar) -> None:
    """With the states before each step: those after the step before, and the first ones before the first."""
    target, after = function.array_of(node), function.array_of(_view(node.inputs[1]).base)
    initial, later = function.trajectory[source.name]

    def rows(array: str, first: str, last: str) -> str:
        return f"kernels.rows_between({array}, {first}, {last})"

    with writer.block("if first > 0:"):
        before = rows(later, "first - 1", "last - 1")
        writer.line(_outer_call(node, before, after.all_rows(everywhere=True), target))
    with writer.block("else:"):
        writer.line(_outer_call(node, initial, f"{after.name}[0]", target))
        before = rows(later, "0", "last - 1")
        writer.line(_outer_call(node, before, rows(after.name, "1", "last"), target))


def _outer_call(node: Node, left: str, right: str, target: ArrayVar) -> str:
    """The call for some rows; in a product of matrices, more axes of an operand are more rows."""
    if node.op == "outer":
        left, right = (
            rows if operand.ndim == 1 else f"{rows}.reshape(-1, {operand.shape[-1]})"
            for rows, operand in zip((left, right), node.inputs, strict=True)
        )
    a, g = (_view(operand) for operand in node.inputs)
    if node.op == "outer_heads":
        return f"kernels.add_outer_heads({left}, {a.offset}, {right}, {g.offset}, {target.name})"
    if a.is_whole and g.is_whole:
        return f"kernels.add_outer({left}, {right}, {target.name})"
    k, n = node.shape
    return f"kernels.add_outer_at({left}, {a.offset}, {k}, {right}, {g.offset}, {n}, {target.name})"


def _write_row_sum(function: PassEmitter, writer: Writer, node: Node) -> None:
    target, source = function.array_of(node), function.array_of(_view(node.inputs[0]).base)
    writer.line(f"kernels.add_rows({source.part}, {target.name}.reshape(-1))")
