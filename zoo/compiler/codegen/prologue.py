"""The lines in front of a pass: sizes, numbers and arrays, each if it is used."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from zoo.compiler.codegen.storage import BLOCK, ArrayVar
from zoo.compiler.codegen.writer import Writer, identifiers_in, literal
from zoo.compiler.ir.dims import Dim, as_dim
from zoo.compiler.ir.graph import Shape
from zoo.compiler.schedule.fusion import Storage
from zoo.errors import DefinitionError

if TYPE_CHECKING:
    from zoo.compiler.codegen.pass_emitter import PassEmitter


def definitions(function: PassEmitter, body: list[str]) -> list[str]:
    """Sizes, numbers and arrays that the lines of the body use."""
    writer = Writer()
    words = identifiers_in(body)
    made = [*arrays_made(function), *flat_arrays(function, words), *leaf_numbers(function, words)]
    for line in [*_sizes(function, words | identifiers_in(made)), *numbers(function), *made]:
        writer.line(line)
    return writer.lines


def numbers(function: PassEmitter) -> Iterator[str]:
    """The lines that give numbers the kernel's dtype."""
    for value, name in function.numbers.found.items():
        yield f"{name} = {function.like}.dtype.type({value})"


def _sizes(function: PassEmitter, words: Collection[str]) -> Iterator[str]:
    spans = function.by_spans and "span" in words
    if spans or "steps" in words or "batch" in words:
        yield "steps, batch = x.shape[0], x.shape[1]"
    if spans:
        yield "span = kernels.span(steps, batch)"
    yield from letters(function, words)


def letters(function: PassEmitter, words: Collection[str]) -> Iterator[str]:
    """The lines that find the size letters among the words of some lines."""
    lines = {
        name: _size_of(function, name, other) for name, other in (("H", "I"), ("I", "H")) if name in words
    }
    # One letter may be found with the help of the other, which then comes first.
    for name in sorted(lines, key=lambda name: len(identifiers_in([lines[name]]) & {"I", "H"})):
        yield f"{name} = {lines[name]}"


def _size_of(function: PassEmitter, letter: str, other: str) -> str:
    """How to find a letter in the shapes of what the caller brings.

    Raises:
        DefinitionError: if they do not tell.
    """
    found = [
        how for name, axis, dim in _lengths(function) for how in _solved(dim, letter, f"{name}.shape[{axis}]")
    ]
    plain = [how for how in found if other not in identifiers_in([how])]
    if found:
        return (plain or found)[0]
    who = function.step_graph.cell.error_name()
    raise DefinitionError(
        f"{who}: step needs {letter}, and no parameter, buffer or state has a size that tells it; add a "
        f"parameter with a size {letter!r}."
    )


def _lengths(function: PassEmitter) -> Iterator[tuple[str, int, Dim]]:
    """Every axis of every array that the caller brings: its array, its place, its length in letters."""
    equations = function.step_graph
    for name, node in {**equations.params, **equations.buffers}.items():
        yield from ((function.called["{}", name], axis, dim) for axis, dim in enumerate(node.shape))
    for name, node in equations.states.items():
        yield from ((function.called["{}_0", name], axis + 1, dim) for axis, dim in enumerate(node.shape))


def arrays_made(function: PassEmitter) -> Iterator[str]:
    """The lines that make the arrays of a function."""
    arrays = {each.name: each for each in reversed(function.arrays.values())}
    for name, shape in function.shapes.items():
        if name not in function.assigned:
            yield f"{name} = {_made(function, arrays[name], shape)}"


def _made(function: PassEmitter, array: ArrayVar, shape: Shape) -> str:
    """The call that makes an array."""
    if array.name in function.zeroed:
        return f"np.zeros({_shape_text(array, shape)}, {function.like}.dtype)"
    if array.store == Storage.STEPS:
        steps = "span" if array.steps is BLOCK else "steps"
        return f"kernels.sequence({steps}, batch, {array.width}, {function.like})"
    return f"np.empty({_shape_text(array, shape)}, {function.like}.dtype)"


def flat_arrays(function: PassEmitter, words: Collection[str]) -> Iterator[str]:
    """The lines that see shared arrays as one row, of those that are among the words of some lines."""
    for array in function.arrays.values():
        flat = f"{array.name}_flat"
        if array.store == Storage.SHARED and flat in words and array.name not in function.assigned:
            yield f"{flat} = {array.name}.reshape(-1)"


def leaf_numbers(function: PassEmitter, words: Collection[str]) -> Iterator[str]:
    """The lines that make numbers of sizes, of those that are among the words of some lines."""
    for node, name in function.labels.items():
        if node.op == "size" and name in words:
            yield f"{name} = {function.like}.dtype.type({node.attr})"


def fixed_arrays(function: PassEmitter) -> list[str]:
    """Small arrays of numbers, and identity matrices, filled."""
    writer = Writer()
    for node, array in list(function.arrays.items()):
        if node.op == "array":
            for place, value in enumerate(node.attr):
                writer.line(f"{array.name}_flat[{place}] = {literal(value)}")
        elif node.op == "eye":
            function.zeroed.add(array.name)
            with writer.block(f"for i in range({node.attr}):"):
                writer.line(f"{array.name}[i, i] = 1")
    return writer.lines


def _shape_text(array: ArrayVar, shape: Shape) -> str:
    if array.store == Storage.SHARED:
        return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    return {
        Storage.STEPS: f"(steps, batch, {array.width})",
        Storage.BATCH: f"(batch, {array.width})",
        Storage.ROW: f"{array.width}",
    }[array.store]


def _solved(dim: Dim, letter: str, length: str) -> Iterator[str]:
    """How a letter follows from a length that it is in, if it is there once and alone."""
    mine = [(letters, factor) for letters, factor in dim.terms if letter in letters]
    if len(mine) != 1 or mine[0][0] != (letter,):
        return
    factor = mine[0][1]
    rest = dim - Dim(tuple(mine))
    text = length if rest == as_dim(0) else f"({length} - ({rest}))"
    up = f" * {factor.denominator}" if factor.denominator != 1 else ""
    down = f" // {factor.numerator}" if factor.numerator != 1 else ""
    yield f"{text}{up}{down}"
