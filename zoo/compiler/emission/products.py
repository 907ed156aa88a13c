"""Emission of products: calls of ``zoo.kernels``, on all rows of a step or of all steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.compiler.dims import as_dim, product
from zoo.compiler.emission.arrays import Array
from zoo.compiler.emission.writer import Writer
from zoo.compiler.fusion import Store
from zoo.compiler.graph import Node
from zoo.compiler.structure import swap_last
from zoo.compiler.views import View, view_of

if TYPE_CHECKING:
    from zoo.compiler.emission.function import Function


def write_product(function: Function, writer: Writer, node: Node, where: str) -> None:
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
    elif node.inputs[0].op == "x":
        _write_projection(function, writer, node)
    else:
        _write_dot(function, writer, node, where)


def _view(node: Node) -> View:
    view = view_of(node)
    assert view is not None  # copies.py saw to it
    return view


def _write_projection(function: Function, writer: Writer, node: Node) -> None:
    """``x @ W + b`` for the whole sequence, or if no other step's is needed, at every step."""
    _, w, *base = node.inputs
    array = function.array_of(node)
    function.assigned.add(array.name)
    bias = array_name(function, base[0]) if base else f"np.zeros({node.shape[0]}, {function.like}.dtype)"
    if array.store == Store.STEPS:
        writer.line(f"{array.name} = kernels.project(x, {matrix(function, w)}, {bias})")
        return
    weights, bias = (
        _named(function, writer, "weights", matrix(function, w)),
        _named(function, writer, "bias", bias),
    )
    found = function.names.fresh(f"{array.name.removesuffix('_now')}_found")
    writer.line(f"{found} = kernels.projections(x, {weights}, {bias})")
    function.found.append(f"{array.name} = kernels.projection({found}, t, x, {weights}, {bias})")


def _named(function: Function, writer: Writer, name: str, expression: str) -> str:
    """A variable for what is not one already."""
    if expression.isidentifier():
        return expression
    name = function.names.fresh(name)
    writer.line(f"{name} = {expression}")
    return name


def array_name(function: Function, node: Node) -> str:
    """The array that holds a value, as it is or within."""
    return function.array_of(_view(node).base).name


def matrix(function: Function, w: Node) -> str:
    """A matrix of parameters as an expression."""
    if w.op == "transpose":
        return f"np.ascontiguousarray({matrix(function, swap_last(w))}.T)"
    view = _view(w)
    name = function.array_of(view.base).name
    if view.is_whole and view.base.ndim == w.ndim:
        return name
    start, size = view.offset, product(w.shape)
    lengths = ", ".join(map(str, w.shape))
    return f"{name}.reshape(-1)[{start}:{start + size}].reshape({lengths})"


def packed(function: Function, w: Node) -> str:
    """The call that packs a matrix for products."""
    heads = "_heads" if w.ndim == 3 else ""
    if w.op == "transpose":
        return f"kernels.pack{heads}_transposed({matrix(function, swap_last(w))})"
    return f"kernels.pack{heads}({matrix(function, w)})"


def _write_dot(function: Function, writer: Writer, node: Node, where: str) -> None:
    a, w, *base = node.inputs
    target = function.array_of(node)
    everywhere = where != "step"
    if target.name == "dx" and where == "after":  # tokens have no gradient to compute
        writer = function.for_dx
    if not base:
        _write_zeros(function, writer, target)
    # What is computed outside the loops is packed where it is used: in front of them it may not be there yet.
    panels = packed(function, w) if where in ("once", "final") else function.panels(w)
    view = _view(a)
    source = function.array_of(view.base)
    left, right = (_as_rows(array, each, node, everywhere) for array, each in ((source, a), (target, node)))
    whole = view.is_whole or source.store == Store.SHARED
    if node.op == "dot_heads":
        call = f"kernels.add_matmul_heads({left}, {view.offset}, {panels}, {right}, 0, {node.shape[1]})"
    elif whole:
        call = f"kernels.add_matmul({left}, {panels}, {right})"
    else:
        call = f"kernels.add_matmul_at({left}, {view.offset}, {panels}, {right}, 0, {node.shape[-1]})"
    writer.line(call)


def _write_zeros(function: Function, writer: Writer, target: Array) -> None:
    if target.store == Store.BATCH:
        writer.line(f"{target.name}.fill(0)")
    else:
        function.zeroed.add(target.name)


def _as_rows(array: Array, value: Node, product_node: Node, everywhere: bool) -> str:
    """An operand or the result of a product as a matrix; axes in front of the last are more rows."""
    heads = product_node.op == "dot_heads"
    if array.store == Store.SHARED:
        return f"{array.name}.reshape(-1, {array.width if heads else value.shape[-1]})"
    if heads or product(value.shape[:-1]) == as_dim(1):
        return array.all_rows(everywhere)
    name = array.name if everywhere or array.store == Store.BATCH else f"{array.name}[t]"
    return f"{name}.reshape(-1, {value.shape[-1]})"


def _write_outer(function: Function, writer: Writer, node: Node) -> None:
    a, g = node.inputs
    target = function.array_of(node)
    if a.op == "x":
        writer.line(f"kernels.add_input_outer(x, {function.array_of(_view(g).base).name}, {target.name})")
        return
    source = function.array_of(_view(a).base)
    if source.name in function.before:
        with writer.block("if steps > 0:"):
            _write_outer_before(function, writer, node, source)
        return
    left, right = (_all_rows(function, operand, node) for operand in (a, g))
    writer.line(_outer_call(node, left, right, target))


def _write_outer_before(function: Function, writer: Writer, node: Node, source: Array) -> None:
    """With the states before each step: the first ones, and those after every step but the last."""
    a, g = node.inputs
    target = function.array_of(node)
    after = function.array_of(_view(g).base)
    initial, later = function.trajectory[source.name]
    for left, right, rows in (
        (initial, f"{after.name}[0]", "batch"),
        (f"{later}[:-1]", f"{after.name}[1:]", "rows - batch"),
    ):
        left = f"{left}.reshape({_outer_shape(a, node, source, rows)})"
        right = f"{right}.reshape({_outer_shape(g, node, after, rows)})"
        writer.line(_outer_call(node, left, right, target))


def _outer_shape(operand: Node, node: Node, array: Array, rows: str) -> str:
    if node.op == "outer" and operand.ndim > 1:
        return f"-1, {operand.shape[-1]}"
    return f"{rows}, {array.width}"


def _all_rows(function: Function, operand: Node, node: Node) -> str:
    array = function.array_of(_view(operand).base)
    return f"{array.name}.reshape({_outer_shape(operand, node, array, 'rows')})"


def _outer_call(node: Node, left: str, right: str, target: Array) -> str:
    a, g = (_view(operand) for operand in node.inputs)
    if node.op == "outer_heads":
        return f"kernels.add_outer_heads({left}, {a.offset}, {right}, {g.offset}, {target.name})"
    if a.is_whole and g.is_whole:
        return f"kernels.add_outer({left}, {right}, {target.name})"
    k, n = node.shape
    return f"kernels.add_outer_at({left}, {a.offset}, {k}, {right}, {g.offset}, {n}, {target.name})"


def _write_row_sum(function: Function, writer: Writer, node: Node) -> None:
    target, source = function.array_of(node), function.array_of(_view(node.inputs[0]).base)
    writer.line(f"kernels.add_rows({source.name}, {target.name}.reshape(-1))")
