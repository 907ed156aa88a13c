"""One layer's step as a function in C or JavaScript: the plan of one row, with numbers for sizes.

The schedule is the schedule of the decoder loop: matrix products, and fused element-wise loops between
them. Values that depend on parameters alone are computed here and written as constants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from zoo.array_types import Array
from zoo.compiler.codegen.array_variables import (
    ArrayAccess,
    ArrayVar,
    FunctionVariables,
    access_to_sum,
    axes_of,
    collect_loads,
    collect_stores,
    merged_axes,
)
from zoo.compiler.codegen.expressions import ATOM, COMPARISON, PRECEDENCE, SIGN, Expressions, ExprText
from zoo.compiler.codegen.writer import identifiers_in
from zoo.compiler.ir.dims import ONE, ZERO, Dim, as_dim, concrete_shape, product
from zoo.compiler.ir.graph import Level, Node, View, contiguous, view_of
from zoo.compiler.ir.op_table import Kind, Op
from zoo.compiler.ir.structural_ops import (
    BUFFER,
    DOT,
    DOT_HEADS,
    PARAM,
    SLICE,
    X,
    swaps_last_axes,
    transpose_last,
)
from zoo.compiler.passes.simplify import fuse_accumulations, push_slices_down
from zoo.compiler.schedule.fusion import ArrayLayout, FusedLoop
from zoo.compiler.schedule.phases import MatmulItem
from zoo.compiler.schedule.sections import decode_schedule, step_with_copies
from zoo.errors import UsageError
from zoo.export.exported_model import DirectionExport
from zoo.export.matrix_source import MatrixSource, quantize_rows, saves_bytes
from zoo.export.syntax import BraceWriter, Syntax, register_helper

# The index of the matrix that multiplies row `at`, if each multiplies `{0}` rows; empty for one matrix.
MATMULS: Mapping[Op, str] = {DOT: "", DOT_HEADS: "at / {0}"}


@dataclass(frozen=True)
class LayerFunction:
    """A layer as a function.

    Args:
        name: Name of the function.
        constants: Constant arrays by name.
        lines: The function.
        inputs: The auxiliary inputs that it reads, in order.
        scratch: Number of elements of its local arrays.
        output: Expression for its output, if that is a state; empty if it is written to an array.
        helpers: Names of the helpers that it calls.
    """

    name: str
    constants: dict[str, Array]
    lines: list[str]
    inputs: tuple[str, ...]
    scratch: int
    output: str
    helpers: set[str]


def state_field(direction: DirectionExport, state: str) -> str:
    """The field of a state in the struct of all states."""
    return f"{_plain_name(direction)}_{state}"


def _plain_name(direction: DirectionExport) -> str:
    """``l0`` or ``l0_reverse``."""
    return direction.name.replace(".", "_")


def write_layer(direction: DirectionExport, syntax: Syntax, is_tokens: bool, int8: bool) -> LayerFunction:
    """Write a layer.

    Args:
        direction: The layer direction.
        syntax: The language.
        is_tokens: Whether its input is a token.
        int8: Whether matrices of products are int8 numbers with scales.
    """
    spec, step = direction.spec, StepEmitter(direction, syntax, is_tokens)
    if int8:
        step.store_int8()
    body = _body(step)
    sizes = step.scratch()
    if is_tokens and "x" in identifiers_in(body):
        sizes["x"] = spec.input_size
        body = [f"    {step.call('clear')}(x, {sizes['x']});", "    x[token] = 1;", *body]
    name = f"layer_{spec.index}{'_reverse' * spec.reverse}"
    first = "token" if is_tokens else "x"
    lines = [
        f"/* one step of {spec.cell.name}, {spec.input_size} in, {spec.output_size} out */",
        syntax.layer_head(name, first, step.inputs.values(), not step.y_is_state, step.dtype),
        "{",
        *_declarations(step, sizes, body),
        *body,
        "}",
    ]
    output = syntax.field(state_field(direction, step.y_is_state)) if step.y_is_state else ""
    return LayerFunction(
        name, step.constants, lines, tuple(step.inputs), sum(sizes.values()), output, step.helpers
    )


def _body(step: StepEmitter) -> list[str]:
    """The body of the function: the schedule, then the copy of the new states."""
    writer = BraceWriter()
    for item in step.schedule.sections["step"].items:
        if isinstance(item, MatmulItem):
            write_matmul(item.node, step, writer)
            continue
        for loop in item.loops:
            write_loop(loop, step, writer)
    for name, node in step.step_graph.new_states.items():
        new = step.array_of(node)
        writer.line(f"{step.call('copy')}({new.name}, {step.states[name]}, {new.width});")
    return writer.lines


def _declarations(step: StepEmitter, sizes: dict[str, int], body: list[str]) -> Iterator[str]:
    """States, local arrays, and the arguments that are not read."""
    syntax, read = step.syntax, identifiers_in(body)
    for name, called in step.states.items():
        yield f"    {syntax.state_array(called, state_field(step.direction, name), step.dtype)}"
    yield from (f"    {line}" for line in syntax.arrays(sizes, step.dtype))
    for array, parts in _named_slices(step).items():
        if array in sizes:
            yield f"    /* {array}: {', '.join(f'{name} from {start}' for start, name in sorted(parts))} */"
    for name in ("token" if step.is_tokens else "x", *step.inputs.values()):
        if name not in read:
            yield from (f"    {line}" for line in syntax.unused(name))
    yield ""


def _named_slices(step: StepEmitter) -> dict[str, list[tuple[int, str]]]:
    """The slices of each array that the author named: first index and name."""
    slices: dict[str, list[tuple[int, str]]] = {}
    for node, name in step.step_graph.names.items():
        view = view_of(node) if node.op == SLICE else None
        if view is not None and view.is_contiguous and step.has_array(view.base):
            start = int(view.offset.evaluate({}))
            slices.setdefault(step.array_of(view.base).name, []).append((start, name))
    return slices


class StepEmitter(FunctionVariables):
    """Names and arrays of a step function.

    Args:
        direction: The layer direction.
        syntax: The language.
        is_tokens: Whether its input is a token.

    Attributes:
        constants: Constant arrays by name.
        helpers: Names of the helpers that it calls.
        scales: The array of scales of each constant array of int8 numbers.
    """

    def __init__(self, direction: DirectionExport, syntax: Syntax, is_tokens: bool) -> None:
        # Few arrays: sums of products accumulate in place, slices cost nothing.
        step_graph = direction.step_graph
        step_graph = step_graph.map_nodes(fuse_accumulations(step_graph.outputs))
        step_graph = step_with_copies(step_graph.map_nodes(push_slices_down(step_graph.outputs)))
        super().__init__(step_graph, decode_schedule(step_graph), syntax.names(), step_graph.value_names())
        self.direction, self.syntax, self.is_tokens = direction, syntax, is_tokens
        self.dtype = direction.dtype
        self.constants: dict[str, Array] = {}
        self.helpers: set[str] = set()
        self.scales: dict[str, str] = {}
        self._shared = direction.folded(step_graph.outputs)
        self.states = {name: self.names.fresh(name) for name in step_graph.states}
        self.inputs = {name: self.names.fresh(name) for name in step_graph.inputs}
        self._bind_leaves()

    def _bind_leaves(self) -> None:
        step_graph = self.step_graph
        self.bind(step_graph.x, "x", ArrayLayout.BATCH)
        for name, node in step_graph.states.items():
            self.bind(node, self.states[name], ArrayLayout.BATCH)
        for name, node in step_graph.inputs.items():
            self.bind(node, self.inputs[name], ArrayLayout.BATCH)
        for name, node in step_graph.new_states.items():
            if node not in self.arrays:
                array = self.bind(node, self.names.fresh(f"{name}_next"), ArrayLayout.BATCH)
                self.shapes[array.name] = node.shape
                self.variables[node] = self.names.fresh(f"{name}_new")
        if step_graph.y not in self.arrays:
            self.bind(step_graph.y, "y", ArrayLayout.BATCH)

    @property
    def y_is_state(self) -> str:
        """The state that is the output; empty if there is none."""
        after = self.step_graph.new_states.items()
        return next((name for name, node in after if node is self.step_graph.y), "")

    def array_of(self, node: Node) -> ArrayVar:
        """The array that holds a value; a constant if it depends on parameters alone."""
        if node.level != Level.ONCE:
            return super().array_of(node)
        if node not in self.arrays:
            name = self.names.fresh(f"{_plain_name(self.direction)}_{self._base_name(node)}")
            self.constants[name] = self._shared[node]
            self.bind(node, name, ArrayLayout.SHARED)
        return self.arrays[node]

    def product_parameters(self) -> dict[str, str]:
        """The parameters that nothing but products reads, by array name: their rows have scales with int8."""
        in_products, elsewhere = dict[str, str](), set[str]()
        for item in self.schedule.sections["step"].items:
            if not isinstance(item, MatmulItem):
                for loop in item.loops:
                    elsewhere |= {access.array.name for access in collect_loads(self, loop).values()}
                continue
            a, w, *addend = item.node.inputs
            view = _view(_stored(w))
            name = self.array_of(view.base).name
            if _has_whole_rows(view):
                in_products[name] = str(view.base.attr)
            else:
                elsewhere.add(name)
            operands = addend if a.op == X and self.is_tokens else [a, *addend]
            elsewhere |= {self.array_of(_view(operand).base).name for operand in operands}
        elsewhere |= {self.array_of(node).name for node in self.step_graph.new_states.values()}
        return {name: param for name, param in in_products.items() if name not in elsewhere}

    def store_int8(self) -> None:
        """Store the matrices of products as int8 numbers and scales."""
        in_products, constants = self.product_parameters(), self.constants
        self.constants = {}
        for name, value in constants.items():
            if name not in in_products:
                self.constants[name] = value
                continue
            scales = self.scales[name] = self.names.fresh(f"{name}_scales")
            self.constants[name], self.constants[scales] = quantize_rows(value)

    def _preferred_name(self, node: Node, layout: ArrayLayout) -> str:  # noqa: ARG002 - one name for all kinds of arrays
        return self._base_name(node)

    def _base_name(self, node: Node) -> str:
        return str(node.attr) if node.op in (PARAM, BUFFER) else super()._base_name(node)

    def scratch(self) -> dict[str, int]:
        """Number of elements of each array that the function allocates."""
        sizes = {array.name: array.width for array in self.arrays.values()}
        return {name: int(sizes[name].evaluate({})) for name in self.shapes}

    def call(self, helper: str) -> str:
        """Register a helper; its name."""
        self.helpers.add(helper)
        return helper

    def register(self, call: str) -> str:
        """Register the helper that a line calls; the line."""
        return register_helper(call, self.helpers)

    def code(self, node: Node) -> str:
        """The code of an operation.

        Raises:
            UsageError: if it has none.
        """
        if not node.op.export:
            raise UsageError(
                f"{self.direction.spec.cell.label()}: its step uses {node.op}, which has no `export` in the "
                f"table of operations; add it in zoo/compiler/ir."
            )
        return self.syntax.operation(node.op, self.dtype, self.helpers)


class StepExpressions(Expressions):
    """The expressions of one loop."""

    def __init__(self, step: StepEmitter, body: Iterable[Node], stored: Iterable[Node]) -> None:
        self._step = step
        super().__init__(step, body, stored)

    def number(self, value: float) -> ExprText:
        """A literal of the model's dtype."""
        text = self._step.syntax.number(value, self._step.dtype)
        return ExprText(text, SIGN if text.startswith("-") else ATOM)

    def as_number(self, condition: str) -> str:
        """A conditional expression."""
        return f"({condition}) ? {self.number(1.0).text} : {self.number(0.0).text}"

    def assignment(self, node: Node, name: str, text: str) -> str:
        """A constant variable."""
        return self._step.syntax.constant(name, text, self._step.dtype, node.is_bool)

    def template(self, node: Node) -> tuple[str, int]:
        """The code in the table of operations. It calls functions where Python has other operators."""
        op = node.op
        is_operator = op.export == op.code
        precedence = COMPARISON if op.is_bool else PRECEDENCE.get(op, ATOM) if is_operator else ATOM
        return self._step.code(node), precedence


def write_loop(loop: FusedLoop, step: StepEmitter, writer: BraceWriter) -> None:
    """Write one loop of a plan."""
    if loop.is_axis_scan:
        _write_scan(loop, step, writer)
        return
    loads, stores = collect_loads(step, loop), collect_stores(step, loop)
    reductions = [node for node in loop.body if node.op.kind is Kind.REDUCTION]
    sums = {node: access_to_sum(step.array_of(node), node) for node in reductions}
    accesses = [*loads.values(), *sums.values(), *(access for _, access in stores)]
    axes = merged_axes(loop.shape, accesses)
    names = ["at"] if len(axes) == 1 else [f"at{depth}" for depth in range(len(axes))]
    indices = {axis.axis: name for axis, name in zip(axes, names, strict=True)}
    expressions = StepExpressions(step, loop.body, [value for value, _ in stores])
    for node, access in sums.items():
        _write_initial_value(access.array, expressions.number(node.op.initial), step, writer)
    with _nest(writer, step, {name: axis.length for axis, name in zip(axes, names, strict=True)}):
        for node, access in loads.items():
            expressions.load(node, _element(access, indices))
        for node in loop.body:
            if node in sums:
                value = expressions.operand(node.inputs[0]).text
                writer.line(f"{step.code(node).format(_element(sums[node], indices), value)};")
            elif (line := expressions.define(node)) is not None:
                writer.line(line)
        for value_node, access in stores:
            writer.line(f"{_element(access, indices)} = {expressions.stored(value_node)};")


@contextmanager
def _nest(writer: BraceWriter, step: StepEmitter, lengths: Mapping[str, Dim]) -> Iterator[None]:
    """Put the lines written inside the context into loops over variables, the first outermost."""
    with ExitStack() as loops:
        for name, length in lengths.items():
            loops.enter_context(writer.block(step.syntax.loop(name, length)))
        yield


def _element(access: ArrayAccess, indices: Mapping[int, str]) -> str:
    name = access.array.name
    return name if access.array.layout == ArrayLayout.SCALAR else f"{name}[{access.index(indices)}]"


def _write_initial_value(array: ArrayVar, initial: ExprText, step: StepEmitter, writer: BraceWriter) -> None:
    if array.layout == ArrayLayout.SCALAR:
        writer.line(step.syntax.variable(array.name, initial.text, step.dtype))
        return
    with _nest(writer, step, {"at": array.width}):
        writer.line(f"{array.name}[at] = {initial.text};")


def _write_scan(loop: FusedLoop, step: StepEmitter, writer: BraceWriter) -> None:
    (node,) = loop.body
    axis, reverse = node.attr
    others = [other for other in axes_of(loop.shape) if other != axis]
    names = {other: f"at{other}" for other in others}
    with _nest(writer, step, {name: loop.shape[other] for other, name in names.items()}):
        indices = {**names, axis: "at"}
        length, total = loop.shape[axis], step.variable(node)
        expressions, target = StepExpressions(step, loop.body, ()), step.array_of(node)
        for each, access in collect_loads(step, loop).items():
            expressions.load(each, f"{access.array.name}[{access.index(indices)}]")
        index = ArrayAccess(target, ZERO, contiguous(node.shape)).index(indices)
        zero, first = expressions.number(0.0).text, length - ONE if reverse else ZERO
        writer.line(step.syntax.variable(total, zero, step.dtype))
        with writer.block(step.syntax.loop("at", length, reverse)):
            operands = [expressions.operand(operand).text for operand in node.inputs]
            for line in step.code(node).splitlines():
                writer.line(f"{line.format(*operands, total=total, zero=zero, first=first)};")
            writer.line(f"{target.name}[{index}] = {total};")


def write_matmul(node: Node, step: StepEmitter, writer: BraceWriter) -> None:
    """Write ``a @ w``, added to the array of its addend if it has one."""
    a, _, *base = node.inputs
    target = step.array_of(node)
    if a.op == X and step.is_tokens:
        _write_lookup(node, step, writer)
        return
    if not base:
        writer.line(f"{step.call('clear')}({target.name}, {target.width});")
    elif step.array_of(_view(base[0]).base) != target:
        _write_copy(base[0], target, step, writer)
    _write_rows(node, step, writer)


def _write_lookup(node: Node, step: StepEmitter, writer: BraceWriter) -> None:
    """The product of a one-hot row and a matrix: a row of the matrix."""
    _, w, *base = node.inputs
    matrix, target = _matrix(w, step), step.array_of(node).name
    symbols, width = concrete_shape(w.shape)
    if base:
        _write_copy(base[0], step.array_of(node), step, writer)
    elif matrix.is_transposed:
        writer.line(f"{step.call('clear')}({target}, {width});")
    if matrix.is_transposed:
        writer.line(step.register(matrix.add_column("token", target, symbols, width)))
    else:
        write_row = matrix.add_row if base else matrix.copy_row
        writer.line(step.register(write_row("token", target, width)))


def _write_copy(source: Node, target: ArrayVar, step: StepEmitter, writer: BraceWriter) -> None:
    start = _address(step, _view(source))
    writer.line(f"{step.call('copy')}({start}, {target.name}, {target.width});")


def _write_rows(node: Node, step: StepEmitter, writer: BraceWriter) -> None:
    """The call for each row of ``a``; with heads, the rows of each head have their own matrix."""
    a, w, *_ = node.inputs
    matrix, target, syntax = _matrix(w, step), step.array_of(node), step.syntax
    depth, width = a.shape[-1], node.shape[-1]
    rows = product(a.shape[:-1])
    source = _address(step, _view(a))
    if rows == as_dim(1):
        writer.line(step.register(matrix.add_product(source, target.name, depth, width)))
        return
    if index := MATMULS[node.op].format(a.shape[-2]):
        index = syntax.integer(index)
        stored = (width, depth) if matrix.is_transposed else (depth, width)
        matrix = matrix.matrix_at(index, *stored)
    row, to = (syntax.address(*each) for each in ((source, f"at * {depth}"), (target.name, f"at * {width}")))
    with writer.block(syntax.loop("at", rows)):
        writer.line(step.register(matrix.add_product(row, to, depth, width)))


def _matrix(w: Node, step: StepEmitter) -> MatrixSource:
    inner = _stored(w)
    view = _view(inner)
    array = step.array_of(view.base)
    if array.name not in step.scales:
        return MatrixSource(step.syntax, _address(step, view), is_transposed=inner is not w)
    width = int(view.shape[-1].evaluate({}))
    first = int(view.offset.evaluate({})) // width
    matrix = MatrixSource(step.syntax, array.name, step.scales[array.name], inner is not w)
    return matrix.slice_rows(first, width)


def _stored(w: Node) -> Node:
    """The matrix whose rows an array holds: ``w`` or its transpose."""
    return transpose_last(w) if swaps_last_axes(w) else w


def _has_whole_rows(view: View) -> bool:
    """Whether a view consists of whole rows of a parameter, which int8 makes smaller."""
    base = view.base
    is_matrix = base.op == PARAM and len(base.shape) > 1
    return is_matrix and view.shape[-1] == base.shape[-1] and saves_bytes(int(base.shape[-1].evaluate({})))


def _address(step: StepEmitter, view: View) -> str:
    name = step.array_of(view.base).name
    return name if view.offset == ZERO else step.syntax.address(name, view.offset)


def _view(node: Node) -> View:
    view = view_of(node)
    assert view is not None  # insert_copies.py made sure of it
    return view
