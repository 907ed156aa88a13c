"""Emission of the decoding step: the forward step of one row, split into initialisation and step."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from zoo.compiler.codegen.definitions import allocations, constant_arrays, flat_arrays, numbers, size_numbers
from zoo.compiler.codegen.matmuls import array_name, matrix, pack_lines
from zoo.compiler.codegen.pass_emitter import PassEmitter, loop_functions, unpack_arguments
from zoo.compiler.codegen.sizes import size_letters
from zoo.compiler.codegen.writer import Writer, as_tuple, identifiers_in, unpack
from zoo.compiler.frontend.value_names import ValueNames
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.structural_ops import X
from zoo.compiler.passes.autodiff import StepGradient
from zoo.compiler.schedule.fusion import ArrayLayout
from zoo.compiler.schedule.phases import Item, MatmulItem
from zoo.compiler.schedule.sections import PassSchedule


class DecodeEmitter(PassEmitter):
    """Writes the decode step: x and all values belong to one step of one sequence.

    Attributes:
        input_weights: Variables of the matrices that multiply x, laid out for ``kernels.project_step``.
        zero_biases: Zeros for input projections without a bias.
    """

    input_layout = ArrayLayout.BATCH

    def __init__(self, step_gradient: StepGradient, schedule: PassSchedule, value_names: ValueNames) -> None:
        taken = ("workspace", "prepare", "advance")
        super().__init__("decode", step_gradient.step_graph, schedule, value_names, taken)
        self.input_weights: dict[Node, str] = {}
        self.zero_biases: dict[str, Node] = {}
        step_graph, names = self.step_graph, self.leaf_names
        for name, node in {**step_graph.params, **step_graph.buffers}.items():
            self.bind(node, names.declared(name), ArrayLayout.SHARED)
        for name, node in step_graph.states.items():
            self.bind(node, names.state_before(name), ArrayLayout.BATCH)
        for name, node in {**step_graph.inputs, "x": step_graph.x}.items():
            self.bind(node, names.flat_input(name), ArrayLayout.BATCH)

    def _write_item(self, writer: Writer, item: Item, section: str) -> None:
        if isinstance(item, MatmulItem) and item.node.inputs[0].op == X:
            self._write_projection(writer, item.node)
        else:
            super()._write_item(writer, item, section)

    def _write_projection(self, writer: Writer, node: Node) -> None:
        _, w, *base = node.inputs
        if w not in self.input_weights:
            self.input_weights[w] = self.names.fresh("input_weights")
        bias = array_name(self, base[0]) if base else self._zero_bias(node)
        writer.line(f"kernels.project_step(x, {self.input_weights[w]}, {bias}, {self.array_of(node).name})")

    def _zero_bias(self, node: Node) -> str:
        name = self.names.fresh("no_bias")
        self.zero_biases[name] = node
        return name

    def with_prologue(self, lines: list[str]) -> list[str]:
        """Lines after the sizes and numbers that they use."""
        writer, words = Writer(), identifiers_in(lines)
        used = [*numbers(self, words), *size_numbers(self, words)]
        for line in size_letters(self, words | identifiers_in(used)):
            writer.line(line)
        if "batch" in words:
            writer.line("batch = 1")
        for line in used:
            writer.line(line)
        return [*writer.lines, *lines]


def decode_source(
    step_gradient: StepGradient, schedule: PassSchedule, value_names: ValueNames
) -> list[list[str]]:
    """The two functions of the decoding step, ``prepare`` and ``advance``.

    ``prepare(params, x, state[, inputs])`` allocates all arrays and returns the output array and the
    arguments of ``advance``. ``advance`` reads x, writes the output, and leaves the new states where the next
    step reads them.
    """
    emitter = DecodeEmitter(step_gradient, schedule, value_names)
    once, step = emitter.section("once"), emitter.section("step")
    constants = constant_arrays(emitter)
    advance = emitter.with_prologue([*_dense_input(emitter, step), *step, *_copy_states(emitter)])
    words = identifiers_in(advance)
    workspace = [name for name in dict.fromkeys(_array_names(emitter)) if name in words]
    arrays = Writer()
    flat = flat_arrays(emitter, words | identifiers_in([*once, *constants]))
    for line in [*allocations(emitter).values(), *flat]:
        arrays.line(line)
    body = [*arrays.lines, *constants, *once, *pack_lines(emitter), *_initial_values(emitter, words)]
    y = emitter.array_of(emitter.step_graph.y).name
    inputs = ", inputs" if emitter.step_graph.inputs else ""
    return [
        [
            *loop_functions(emitter),
            "@zoo.njit",
            f"def prepare(params, x, state{inputs}):",
            *unpack_arguments(emitter),
            *emitter.with_prologue(body),
            f"    return kernels.reshape({y}, (1, 1, {y}.size)), {as_tuple(workspace)}",
        ],
        [
            "@zoo.njit(inline=True)",
            "def advance(workspace):",
            f"    {unpack(workspace, 'workspace')}",
            *advance,
        ],
    ]


def _dense_input(emitter: DecodeEmitter, step: list[str]) -> Iterator[str]:
    """The input as a dense row, where the step does not work on a token."""
    name = emitter.leaf_names.flat_input("x")
    if name in identifiers_in(step):
        (size,) = emitter.step_graph.x.shape
        yield f"    {name} = kernels.as_rows(kernels.to_dense(x, {size}, {emitter.like}))"


def _copy_states(emitter: DecodeEmitter) -> Iterator[str]:
    """The new states become the states before the next step."""
    for name, node in emitter.step_graph.new_states.items():
        before = emitter.leaf_names.state_before(name)
        yield f"    kernels.copy_into({emitter.array_of(node).name}, {before})"


def _initial_values(emitter: DecodeEmitter, words: Collection[str]) -> Iterator[str]:
    """Input weights, writable states, and auxiliary inputs as rows."""
    names = emitter.leaf_names
    for w, name in emitter.input_weights.items():
        yield f"    {name} = kernels.prepare_input_weights(x, {matrix(emitter, w)})"
    for name, node in emitter.zero_biases.items():
        yield f"    {name} = kernels.zeros(({node.shape[0]},), {emitter.like})"
    for name, node in emitter.step_graph.states.items():
        copy = f"kernels.copy({names.initial_state(name)})"
        rows = copy if node.ndim == 1 else f"kernels.reshape({copy}, (1, {emitter.arrays[node].width}))"
        yield f"    {names.state_before(name)} = {rows}"
    for name, node in emitter.step_graph.inputs.items():
        row = names.flat_input(name)
        if row in words:
            yield f"    {row} = kernels.reshape({names.declared(name)}, (1, {emitter.arrays[node].width}))"


def _array_names(emitter: DecodeEmitter) -> Iterator[str]:
    """Every array that the step could read or write, the input first."""
    yield "x"
    yield from (emitter.leaf_names.initial_state(name) for name in emitter.step_graph.states)
    yield from emitter.input_weights.values()
    yield from emitter.zero_biases
    yield from emitter.packed.values()
    for array in emitter.arrays.values():
        if array.layout != ArrayLayout.SCALAR and array.name != emitter.leaf_names.flat_input("x"):
            yield array.name
            yield f"{array.name}_flat"
