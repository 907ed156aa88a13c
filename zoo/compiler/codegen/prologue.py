"""The first lines of a kernel: sizes, numbers and arrays, as far as the kernel uses them."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from zoo.compiler.codegen.emit_context import EmitContext
from zoo.compiler.codegen.storage import BLOCK, ArrayVar
from zoo.compiler.codegen.writer import Writer, identifiers_in, literal
from zoo.compiler.ir.dims import Dim, as_dim
from zoo.compiler.ir.graph import Shape
from zoo.compiler.ir.structural_ops import ARRAY, EYE, SIZE
from zoo.compiler.schedule.fusion import Storage
from zoo.errors import DefinitionError


def definitions(context: EmitContext, body: list[str]) -> list[str]:
    """Sizes, numbers and arrays that the lines of the body use."""
    writer = Writer()
    words = identifiers_in(body)
    arrays = [*allocations(context), *flat_arrays(context, words), *size_numbers(context, words)]
    for line in [*_sizes(context, words | identifiers_in(arrays)), *numbers(context), *arrays]:
        writer.line(line)
    return writer.lines


def numbers(context: EmitContext) -> Iterator[str]:
    """The lines that define numbers in the kernel's dtype."""
    for value, name in context.numbers.variables.items():
        yield f"{name} = {context.like}.dtype.type({value})"


def _sizes(context: EmitContext, words: Collection[str]) -> Iterator[str]:
    by_blocks = context.by_blocks and "span" in words
    if by_blocks or "steps" in words or "batch" in words:
        yield "steps, batch = x.shape[0], x.shape[1]"
    if by_blocks:
        yield "span = kernels.steps_per_gradient_block(steps, batch)"
    yield from size_letters(context, words)


def size_letters(context: EmitContext, words: Collection[str]) -> Iterator[str]:
    """The lines that define ``I`` and ``H``, if they are among the words."""
    lines = {
        name: _size_of(context, name, other) for name, other in (("H", "I"), ("I", "H")) if name in words
    }
    # One letter may depend on the other, which then comes first.
    for name in sorted(lines, key=lambda name: len(identifiers_in([lines[name]]) & {"I", "H"})):
        yield f"{name} = {lines[name]}"


def _size_of(context: EmitContext, letter: str, other: str) -> str:
    """An expression for a letter in terms of the shapes of the caller's arrays.

    Raises:
        DefinitionError: if no shape determines it.
    """
    solutions = [
        solution
        for name, axis, dim in _lengths(context)
        for solution in _solve(dim, letter, f"{name}.shape[{axis}]")
    ]
    direct = [solution for solution in solutions if other not in identifiers_in([solution])]
    if solutions:
        return (direct or solutions)[0]
    who = context.step_graph.cell.error_name()
    raise DefinitionError(
        f"{who}: step needs {letter}, and no parameter, buffer or state has a size that tells it; add a "
        f"parameter with a size {letter!r}."
    )


def _lengths(context: EmitContext) -> Iterator[tuple[str, int, Dim]]:
    """Array, axis and length of every axis of the caller's arrays."""
    step_graph = context.step_graph
    for name, node in {**step_graph.params, **step_graph.buffers}.items():
        yield from ((context.leaf_names["{}", name], axis, dim) for axis, dim in enumerate(node.shape))
    for name, node in step_graph.states.items():
        yield from ((context.leaf_names["{}_0", name], axis + 1, dim) for axis, dim in enumerate(node.shape))


def allocations(context: EmitContext) -> Iterator[str]:
    """The lines that allocate the arrays of a kernel."""
    arrays = {each.name: each for each in reversed(context.arrays.values())}
    for name, shape in context.shapes.items():
        if name not in context.assigned:
            yield f"{name} = {_allocation(context, arrays[name], shape)}"


def _allocation(context: EmitContext, array: ArrayVar, shape: Shape) -> str:
    if array.name in context.zeroed:
        return f"np.zeros({_shape_text(array, shape)}, {context.like}.dtype)"
    if array.storage == Storage.STEPS:
        steps = "span" if array.time is BLOCK else "steps"
        return f"kernels.empty_sequence({steps}, batch, {array.width}, {context.like})"
    return f"np.empty({_shape_text(array, shape)}, {context.like}.dtype)"


def flat_arrays(context: EmitContext, words: Collection[str]) -> Iterator[str]:
    """The lines that flatten shared arrays whose flat names are among the words."""
    for array in context.arrays.values():
        flat = f"{array.name}_flat"
        if array.storage == Storage.SHARED and flat in words and array.name not in context.assigned:
            yield f"{flat} = {array.name}.reshape(-1)"


def size_numbers(context: EmitContext, words: Collection[str]) -> Iterator[str]:
    """The lines that define sizes as numbers, if their names are among the words."""
    for node, name in context.variables.items():
        if node.op == SIZE and name in words:
            yield f"{name} = {context.like}.dtype.type({node.attr})"


def constant_arrays(context: EmitContext) -> list[str]:
    """The lines that fill small arrays of numbers and identity matrices."""
    writer = Writer()
    for node, array in list(context.arrays.items()):
        if node.op == ARRAY:
            for index, value in enumerate(node.attr):
                writer.line(f"{array.name}_flat[{index}] = {literal(value)}")
        elif node.op == EYE:
            context.zeroed.add(array.name)
            with writer.block(f"for entry in range({node.attr}):"):
                writer.line(f"{array.name}[entry, entry] = 1")
    return writer.lines


def _shape_text(array: ArrayVar, shape: Shape) -> str:
    if array.storage == Storage.SHARED:
        return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    return {
        Storage.STEPS: f"(steps, batch, {array.width})",
        Storage.BATCH: f"(batch, {array.width})",
        Storage.ROW: f"{array.width}",
    }[array.storage]


def _solve(dim: Dim, letter: str, length: str) -> Iterator[str]:
    """The value of a letter given a length that contains it once, in a linear term."""
    terms = [(letters, factor) for letters, factor in dim.terms if letter in letters]
    if len(terms) != 1 or terms[0][0] != (letter,):
        return
    factor = terms[0][1]
    rest = dim - Dim(tuple(terms))
    text = length if rest == as_dim(0) else f"({length} - ({rest}))"
    up = f" * {factor.denominator}" if factor.denominator != 1 else ""
    down = f" // {factor.numerator}" if factor.numerator != 1 else ""
    yield f"{text}{up}{down}"
