"""Emission of matrix products: calls of ``zoo.kernels`` on all rows of a step or of all steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from zoo.compiler.codegen.array_variables import ArrayVar
from zoo.compiler.codegen.emit_context import EmitContext, MemoryArrays
from zoo.compiler.codegen.writer import Writer, as_tuple
from zoo.compiler.ir.dims import as_dim, product
from zoo.compiler.ir.graph import Level, Node, View, view_of
from zoo.compiler.ir.memory_ops import (
    CONVOLUTION,
    CONVOLUTION_GRADIENT,
    FACTORS_GRADIENT,
    FILTER,
    FILTER_GRADIENT,
    MEMORY,
    MEMORY_GRADIENT,
    SCAN,
    SCAN_GRADIENT,
    MemoryForm,
    SequenceForm,
    states_of,
)
from zoo.compiler.ir.op_table import Op
from zoo.compiler.ir.structural_ops import (
    DOT,
    DOT_HEADS,
    EXPM,
    EXPM_DERIVATIVE,
    OUTER,
    OUTER_HEADS,
    ROW_SUM,
    SOLVE,
    X,
    swaps_last_axes,
    transpose_last,
)
from zoo.compiler.schedule.fusion import ArrayLayout


def write_matmul(context: EmitContext, writer: Writer, node: Node, section: str) -> None:
    """Write one product.

    Args:
        context: The kernel.
        writer: Receives the lines.
        node: The product.
        section: Whether it runs over the rows of one step, of all steps, or over shared arrays.
    """
    table = _MEMORIES if node.op in _MEMORIES else MATMULS
    table[node.op](context, writer, node, section)


def _view(node: Node) -> View:
    view = view_of(node)
    assert view is not None  # insert_copies.py made sure of it
    return view


def _write_projection(context: EmitContext, writer: Writer, node: Node) -> None:
    """``x @ W + b`` for the steps computed together, or at every step if nothing needs other steps."""
    _, w, *base = node.inputs
    array = context.array_of(node)
    bias = array_name(context, base[0]) if base else f"kernels.zeros(({node.shape[0]},), {context.like})"
    weights = f"kernels.prepare_input_weights(x, {matrix(context, w)})"
    weights, bias = _as_variable(context, "input_weights", weights), _as_variable(context, "bias", bias)
    if array.layout == ArrayLayout.STEPS:
        writer.line(f"kernels.project_into({context.x}, {weights}, {bias}, {array.active_steps})")
        return
    context.assigned.add(array.name)
    buffer = context.names.fresh(f"{array.name.removesuffix('_step')}_projections")
    writer.line(f"{buffer} = kernels.projection_buffer(x, {bias})")
    context.step_lines.append(f"{array.name} = kernels.project_at({buffer}, time, x, {weights}, {bias})")


def _as_variable(context: EmitContext, name: str, expression: str) -> str:
    """A variable with the value of an expression of parameters, if it is not one already."""
    if expression.isidentifier():
        return expression
    name = context.names.fresh(name)
    context.setup[name] = expression
    return name


def array_name(context: EmitContext, node: Node) -> str:
    """The array that holds a value or the base of a view."""
    return context.array_of(_view(node).base).name


def matrix(context: EmitContext, w: Node) -> str:
    """A matrix of parameters as an expression."""
    if swaps_last_axes(w):
        return f"np.ascontiguousarray({matrix(context, transpose_last(w))}.T)"
    view = _view(w)
    name = context.array_of(view.base).name
    if view.is_whole and view.base.shape == w.shape:
        return name
    start, size = view.offset, product(w.shape)
    lengths = ", ".join(map(str, w.shape))
    return f"kernels.reshape(kernels.flat_slice({name}, {start}, {size}), ({lengths}))"


def setup_lines(context: EmitContext) -> list[str]:
    """The lines that prepare input weights and biases."""
    return [f"    {name} = {expression}" for name, expression in context.setup.items()]


def pack_lines(context: EmitContext) -> list[str]:
    """The lines that pack the matrices of the loops over time."""
    if_needed = "kernels.matrix_if(x.ndim == 3 and needs_dx, {})"
    return [
        f"    {name} = {_pack_call(context, w, if_needed if w in context.packed_for_dx else '{}')}"
        for w, name in context.packed.items()
    ]


def _pack_call(context: EmitContext, w: Node, pattern: str = "{}") -> str:
    """Expression for a packed matrix; the pattern is filled with the expression for the matrix."""
    is_transposed = swaps_last_axes(w)
    whole = transpose_last(w) if is_transposed else w
    function = f"pack{'_heads' * (w.ndim == 3)}{'_transposed' * is_transposed}"
    return f"kernels.{function}({pattern.format(matrix(context, whole))})"


def _write_dot(context: EmitContext, writer: Writer, node: Node, section: str) -> None:
    if node.inputs[0].op == X:
        _write_projection(context, writer, node)
        return
    a, w, *base = node.inputs
    target = context.array_of(node)
    all_steps = section != "step"
    is_dx = node in context.schedule.dx_products
    if is_dx:  # tokens have no gradient
        writer = context.dx_writer
    # Outside the loops a matrix is packed where it is used: before them it may not be computed yet.
    panels = _pack_call(context, w) if section in ("once", "final") else context.panels(w, is_dx)
    view = _view(a)
    source = context.array_of(view.base)
    if all_steps and source.name in context.states_before:
        left = _reshaped_rows(_rows_of_states(context, writer, source), a, node)
    else:
        left = _as_rows(source, a, node, all_steps)
    right = _as_rows(target, node, node, all_steps)
    if node.op == DOT_HEADS:
        if not base:
            _write_zeros(context, writer, target, all_steps)
        rows, width = node.shape[1:]
        call = f"add_matmul_heads({left}, {view.offset}, {panels}, {right}, 0, {width}, {rows})"
    else:
        context.set_by_products |= {target.name} if is_dx and not base else set()
        is_whole = view.is_whole or source.layout == ArrayLayout.SHARED
        call = "add_matmul" if base else "set_matmul"
        if is_whole:
            call = f"{call}({left}, {panels}, {right})"
        else:
            call = f"{call}_offset({left}, {view.offset}, {panels}, {right}, 0, {node.shape[-1]})"
    writer.line(f"kernels.{call}")


def _write_zeros(context: EmitContext, writer: Writer, target: ArrayVar, all_steps: bool) -> None:
    by_blocks = target.layout == ArrayLayout.STEPS and target.time.block and target.name != "dx"
    if target.layout == ArrayLayout.BATCH or by_blocks:
        writer.line(f"kernels.fill_zeros({target.active_steps if all_steps else target.current_step})")
    else:
        context.zeroed.add(target.name)


def _as_rows(array: ArrayVar, value: Node, product_node: Node, all_steps: bool) -> str:
    """An operand or the result of a product as a matrix; leading axes become more rows."""
    if array.layout == ArrayLayout.SHARED:
        return f"{array.name}.reshape(-1, {array.width if product_node.op == DOT_HEADS else value.shape[-1]})"
    if _is_one_row(value, product_node):
        return array.as_matrix(all_steps)
    return f"{array.active_steps if all_steps else array.current_step}.reshape(-1, {value.shape[-1]})"


def _is_one_row(value: Node, product_node: Node) -> bool:
    """Whether an operand or the result of a product has one row for each sequence and step."""
    return product_node.op == DOT_HEADS or product(value.shape[:-1]) == as_dim(1)


def _reshaped_rows(rows: str, value: Node, product_node: Node) -> str:
    """An operand whose rows are a matrix; its leading axes become more rows."""
    return rows if _is_one_row(value, product_node) else f"{rows}.reshape(-1, {value.shape[-1]})"


def _adds_flag(context: EmitContext, target: ArrayVar, section: str) -> str:
    """The last argument of a sum over rows: whether it adds to the sum of later blocks of steps.

    Without blocks it is empty, and sums add to zeros.
    """
    if not context.by_blocks or section != "after":
        return ""
    context.set_by_products.add(target.name)
    return ", last < steps"


def _write_outer(context: EmitContext, writer: Writer, node: Node, section: str) -> None:
    a, g = node.inputs
    target = context.array_of(node)
    if a.op == X:
        right = context.array_of(_view(g).base).active_steps
        flag = _adds_flag(context, target, section)
        writer.line(f"kernels.add_weight_gradient({context.x}, {right}, {target.name}{flag})")
        return
    source = context.array_of(_view(a).base)
    if source.name in context.states_before:
        left = _rows_of_states(context, writer, source)
    else:
        left = source.as_matrix(all_steps=True)
    right = context.array_of(_view(g).base).as_matrix(all_steps=True)
    writer.line(_outer_call(context, node, left, right, section))


def _rows_of_states(context: EmitContext, writer: Writer, source: ArrayVar) -> str:
    """Variable of the states before each step of a block: the trajectory, shifted by one step."""
    rows = context.rows_before.get(source.name)
    if rows is None:
        initial, trajectory = context.trajectories[source.name]
        rows = context.rows_before[source.name] = context.names.fresh(f"{source.name}_rows")
        writer.line(f"{rows} = kernels.rows_before_steps({initial}, {trajectory}, first, last)")
    return rows


def _outer_call(context: EmitContext, node: Node, left: str, right: str, section: str) -> str:
    """The call for some rows; in a product of matrices, leading axes of an operand are more rows."""
    target = context.array_of(node)
    if node.op == OUTER:
        left, right = (
            rows if operand.ndim == 1 else f"{rows}.reshape(-1, {operand.shape[-1]})"
            for rows, operand in zip((left, right), node.inputs, strict=True)
        )
    a, g = (_view(operand) for operand in node.inputs)
    if node.op == OUTER_HEADS:
        rows = node.inputs[0].shape[1]
        return f"kernels.add_matmul_ta_heads({left}, {a.offset}, {right}, {g.offset}, {target.name}, {rows})"
    flag = _adds_flag(context, target, section)
    if a.is_whole and g.is_whole:
        return f"kernels.add_matmul_ta({left}, {right}, {target.name}{flag})"
    k, n = node.shape
    sizes = f"{a.offset}, {k}, {right}, {g.offset}, {n}"
    return f"kernels.add_matmul_ta_offset({left}, {sizes}, {target.name}{flag})"


def _write_row_sum(context: EmitContext, writer: Writer, node: Node, _section: str) -> None:
    target, source = context.array_of(node), context.array_of(_view(node.inputs[0]).base)
    total = target.name if node.ndim == 1 else f"kernels.flat({target.name})"
    writer.line(f"kernels.add_column_sums({source.active_steps}, {total})")


def _write_matrix_function(context: EmitContext, writer: Writer, node: Node, _section: str) -> None:
    operands = ", ".join(matrix(context, operand) for operand in node.inputs)
    writer.line(f"kernels.{node.op}({operands}, {context.array_of(node).name})")


def copied_memory(form: SequenceForm, state: str) -> str:
    """Expression for a copy of a state, or of its gradient, as kernels need it."""
    rows, planes = f"kernels.reshape({state}, (batch, {form.heads * form.elements}))", form.planes
    if planes > 1:  # the rows of a head side by side
        rows = f"kernels.exchanged_planes({rows}, {planes}, {form.heads})"
    if form.transposed:
        lengths = f"{form.heads * as_dim(planes)}, {form.rows}, {form.width}"
        return f"kernels.transposed_memories({rows}, {lengths})"
    return rows if planes > 1 else f"kernels.copy({rows})"


def memory_state(form: SequenceForm, memories: str) -> str:
    """Expression for a state, or its gradient, ``(batch, elements)``, given that of kernels."""
    planes = form.planes
    if form.transposed:
        lengths = f"{form.heads * as_dim(planes)}, {form.width}, {form.rows}"
        memories = f"kernels.transposed_memories({memories}, {lengths})"
    return f"kernels.exchanged_planes({memories}, {form.heads}, {planes})" if planes > 1 else memories


def _write_memory(context: EmitContext, writer: Writer, node: Node, _section: str) -> None:
    """One block of steps of a state that kernels compute for all steps."""
    form, arrays = node.attr, [context.memories[state] for state in states_of(node.attr)]
    operands, *factors = _memory_operands(context, form, node.inputs)
    out, states, saved = context.array_of(node).active_steps, *_names_of_memories(arrays)
    given = ", ".join([operands, *factors, "first", *states, *saved, out])
    writer.line(f"kernels.{form.kernel}_forward({given}, {form.flags})")


def _write_memory_gradient(context: EmitContext, writer: Writer, node: Node, _section: str) -> None:
    """One block of steps of such a state, in the backward pass."""
    form, arrays = node.attr, [context.memories[state] for state in states_of(node.attr)]
    gradient, operands, *factors = _memory_operands(context, form, node.inputs)
    has_gradient = not isinstance(form, MemoryForm)  # of the fixed factors
    results = [context.array_of(node).active_steps, *[arrays[0].dfactors] * has_gradient]
    states, saved = _names_of_memories(arrays)
    given = ", ".join([operands, *factors, *saved, "first", *states, gradient, *results])
    writer.line(f"kernels.{form.kernel}_backward({given}, {form.flags})")


def _names_of_memories(arrays: Sequence[MemoryArrays]) -> tuple[list[str], list[str]]:
    """Variables of the states that a kernel computes, and of the saved ones."""
    return [each.state for each in arrays], [each.saved for each in arrays]


def _memory_operands(context: EmitContext, form: SequenceForm, operands: Sequence[Node]) -> list[str]:
    """Expressions for the operands, and None for fixed factors that the kernel takes and the form lacks."""
    lacks_factors = len(form.fields) > 1 and not form.fields[1]
    return [*(_memory_operand(context, operand) for operand in operands), *["None"] * lacks_factors]


def _memory_operand(context: EmitContext, operand: Node) -> str:
    """Expression for an array of the steps that are computed together, or of a value of all steps."""
    base = _view(operand).base
    array = context.array_of(base)
    if operand.level != Level.ONCE:
        return array.active_steps
    if operand.shape == base.shape:
        return array.name
    return f"kernels.reshape({array.name}, {as_tuple([str(length) for length in operand.shape])})"


def _write_nothing(_context: EmitContext, _writer: Writer, _node: Node, _section: str) -> None:
    """The kernel of the input has written the value."""


MATMULS: Mapping[Op, Callable[[EmitContext, Writer, Node, str], None]] = {
    DOT: _write_dot,
    DOT_HEADS: _write_dot,
    OUTER: _write_outer,
    OUTER_HEADS: _write_outer,
    ROW_SUM: _write_row_sum,
    SOLVE: _write_matrix_function,
    EXPM: _write_matrix_function,
    EXPM_DERIVATIVE: _write_matrix_function,
}
"""The table of the Numba back end for operations on all rows of a step or of all steps."""

_MEMORIES = {
    MEMORY: _write_memory,
    SCAN: _write_memory,
    FILTER: _write_memory,
    CONVOLUTION: _write_memory,
    MEMORY_GRADIENT: _write_memory_gradient,
    SCAN_GRADIENT: _write_memory_gradient,
    FILTER_GRADIENT: _write_memory_gradient,
    CONVOLUTION_GRADIENT: _write_memory_gradient,
    FACTORS_GRADIENT: _write_nothing,
}
