"""Emission of a walk: the step forward of one row, split into what is made once and what every step does."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from zoo.compiler.codegen.matmuls import array_name, matrix
from zoo.compiler.codegen.module import as_tuple, loop_lines, unpack, unpacked
from zoo.compiler.codegen.pass_emitter import PassEmitter
from zoo.compiler.codegen.prologue import (
    arrays_made,
    fixed_arrays,
    flat_arrays,
    leaf_numbers,
    letters,
    numbers,
)
from zoo.compiler.codegen.writer import Writer, identifiers_in
from zoo.compiler.ir.graph import Node
from zoo.compiler.passes.autodiff import StepGradient
from zoo.compiler.schedule.fusion import Storage
from zoo.compiler.schedule.phases import Item, MatmulItem
from zoo.compiler.schedule.sections import PassSchedule


class DecodeEmitter(PassEmitter):
    """A walk being written: x is one step of one row, and so is all that is made of it."""

    def __init__(self, derivation: StepGradient, plan: PassSchedule) -> None:
        super().__init__("walk", derivation.step_graph, plan, ("kept", "prepare", "advance"))
        self.input_weights: dict[Node, str] = {}
        """Matrices that x is multiplied by, and what each is called as products want it."""
        self.biases: dict[str, Node] = {}
        """Zeros for products that nothing is added to."""
        self._give_leaves()

    def _give_leaves(self) -> None:
        equations, called = self.step_graph, self.called
        for name, node in {**equations.params, **equations.buffers}.items():
            self.give(node, called["{}", name], Storage.SHARED)
        for name, node in equations.states.items():
            self.give(node, called["{}_before", name], Storage.BATCH)
        for name, node in {**equations.inputs, "x": equations.x}.items():
            self.give(node, called["{}_all", name], Storage.BATCH)

    def _write_item(self, writer: Writer, item: Item, where: str) -> None:
        if isinstance(item, MatmulItem) and item.node.inputs[0].op == "x":
            self._write_projection(writer, item.node)
        else:
            super()._write_item(writer, item, where)

    def _write_projection(self, writer: Writer, node: Node) -> None:
        _, w, *base = node.inputs
        if w not in self.input_weights:
            self.input_weights[w] = self.names.fresh("input_weights")
        bias = array_name(self, base[0]) if base else self._no_bias(node)
        writer.line(f"kernels.project_step(x, {self.input_weights[w]}, {bias}, {self.array_of(node).name})")

    def _no_bias(self, node: Node) -> str:
        name = self.names.fresh("no_bias")
        self.biases[name] = node
        return name

    def text(self, lines: list[str]) -> list[str]:
        """Lines with the letters, the numbers and the size of the batch that they use in front."""
        writer, words = Writer(), identifiers_in(lines)
        found = [line for line in numbers(self) if line.partition(" ")[0] in words]
        found += leaf_numbers(self, words)
        for line in letters(self, words | identifiers_in(found)):
            writer.line(line)
        if "batch" in words:
            writer.line("batch = 1")
        for line in found:
            writer.line(line)
        return [*writer.lines, *lines]


def decode_source(derivation: StepGradient, plan: PassSchedule) -> list[list[str]]:
    """The two functions of a walk, ``prepare`` and ``advance``.

    ``prepare(params, x, state[, inputs])`` makes all arrays, among them the output's, and returns it and what
    ``advance`` takes; that reads x, writes the output, and leaves the new states where the next step reads.
    """
    walk = DecodeEmitter(derivation, plan)
    once, step = walk.section("once"), walk.section("step")
    fixed = fixed_arrays(walk)
    advance = walk.text([*_dense(walk, step), *step, *_renewed(walk)])
    words = identifiers_in(advance)
    kept = [name for name in dict.fromkeys(_names(walk)) if name in words]
    made = Writer()
    for line in [*arrays_made(walk), *flat_arrays(walk, words | identifiers_in([*once, *fixed]))]:
        made.line(line)
    body = [*made.lines, *fixed, *once, *walk.panel_lines(step), *_prepared(walk, words)]
    y = walk.array_of(walk.step_graph.y).name
    inputs = ", inputs" if walk.step_graph.inputs else ""
    return [
        [
            *loop_lines(walk),
            "@zoo.njit",
            f"def prepare(params, x, state{inputs}):",
            *unpacked(walk),
            *walk.text(body),
            f"    return {y}.reshape(1, 1, -1), {as_tuple(kept)}",
        ],
        ["@zoo.njit(inline=True)", "def advance(kept):", f"    {unpack(kept, 'kept')}", *advance],
    ]


def _dense(walk: DecodeEmitter, step: list[str]) -> Iterator[str]:
    """The input as a row of numbers, where a token will not do."""
    name = walk.called["{}_all", "x"]
    if name in identifiers_in(step):
        yield f"    {name} = kernels.rows_of(kernels.dense(x, I, {walk.like}))"


def _renewed(walk: DecodeEmitter) -> Iterator[str]:
    """The new states become those before the next step."""
    for name, node in walk.step_graph.new_states.items():
        yield f"    kernels.copy_row({walk.array_of(node).name}, {walk.called['{}_before', name]})"


def _prepared(walk: DecodeEmitter, words: Collection[str]) -> Iterator[str]:
    """What x is multiplied by, states that can be written to, and inputs as rows."""
    for w, name in walk.input_weights.items():
        yield f"    {name} = kernels.input_panels(x, {matrix(walk, w)})"
    for name, node in walk.biases.items():
        yield f"    {name} = np.zeros({node.shape[0]}, {walk.like}.dtype)"
    for name, node in walk.step_graph.states.items():
        first = walk.called["{}_0", name]
        shaped = "" if node.ndim == 1 else f".reshape(1, {walk.arrays[node].width})"
        yield f"    {walk.called['{}_before', name]} = {first}.copy(){shaped}"
    for name, node in walk.step_graph.inputs.items():
        row = walk.called["{}_all", name]
        if row in words:
            yield f"    {row} = {walk.called['{}', name]}.reshape(1, {walk.arrays[node].width})"


def _names(walk: DecodeEmitter) -> Iterator[str]:
    """Everything that a step could read or write, the input first."""
    yield "x"
    yield from (walk.called["{}_0", name] for name in walk.step_graph.states)
    yield from walk.input_weights.values()
    yield from walk.biases
    yield from walk.packed.values()
    for array in walk.arrays.values():
        if array.store != Storage.SCALAR and array.name != walk.called["{}_all", "x"]:
            yield array.name
            yield f"{array.name}_flat"
