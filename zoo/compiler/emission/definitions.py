"""The lines in front of a pass: sizes, numbers and arrays, each if it is used."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from zoo.compiler.dims import Dim, as_dim
from zoo.compiler.emission.arrays import SPAN, Array
from zoo.compiler.emission.writer import Writer, literal
from zoo.compiler.fusion import Store
from zoo.compiler.graph import Shape
from zoo.errors import DefinitionError

if TYPE_CHECKING:
    from zoo.compiler.emission.function import Function

_LETTER = re.compile(r"\b[IH]\b")


def definitions(function: Function, body: list[str]) -> list[str]:
    """Sizes, numbers and arrays that the lines of the body use."""
    writer = Writer()
    made = [*arrays_made(function), *flat_arrays(function, body), *leaf_numbers(function, body)]
    text = "\n".join([*made, *body])
    for line in [*_sizes(function, text), *numbers(function), *made]:
        writer.line(line)
    return writer.lines


def numbers(function: Function) -> Iterator[str]:
    """The lines that give numbers the kernel's dtype."""
    for value, name in function.numbers.found.items():
        yield f"{name} = {function.like}.dtype.type({value})"


def _sizes(function: Function, text: str) -> Iterator[str]:
    if uses(text, "steps") or uses(text, "batch"):
        yield "steps, batch = x.shape[0], x.shape[1]"
    if function.by_spans:
        yield "span = kernels.span(steps, batch)"
    yield from letters(function, text)


def letters(function: Function, text: str) -> Iterator[str]:
    """The lines that find the size letters a text uses."""
    lines = {
        name: _size_of(function, name, other) for name, other in (("H", "I"), ("I", "H")) if uses(text, name)
    }
    # One letter may be found with the help of the other, which then comes first.
    for name in sorted(lines, key=lambda name: len(_LETTER.findall(lines[name]))):
        yield f"{name} = {lines[name]}"


def _size_of(function: Function, letter: str, other: str) -> str:
    """How to find a letter in the shapes of what the caller brings.

    Raises:
        DefinitionError: if they do not tell.
    """
    found = [
        how for name, axis, dim in _lengths(function) for how in _solved(dim, letter, f"{name}.shape[{axis}]")
    ]
    plain = [how for how in found if not uses(how, other)]
    if found:
        return (plain or found)[0]
    who = function.equations.cell.who()
    raise DefinitionError(
        f"{who}: step needs {letter}, and no parameter, buffer or state has a size that tells it; add a "
        f"parameter with a size {letter!r}."
    )


def _lengths(function: Function) -> Iterator[tuple[str, int, Dim]]:
    """Every axis of every array that the caller brings: its array, its place, its length in letters."""
    equations = function.equations
    for name, node in {**equations.params, **equations.buffers}.items():
        yield from ((function.called["{}", name], axis, dim) for axis, dim in enumerate(node.shape))
    for name, node in equations.states.items():
        yield from ((function.called["{}_0", name], axis + 1, dim) for axis, dim in enumerate(node.shape))


def arrays_made(function: Function) -> Iterator[str]:
    """The lines that make the arrays of a function."""
    for name, shape in function.shapes.items():
        if name not in function.assigned:
            array = next(each for each in function.arrays.values() if each.name == name)
            yield f"{name} = {_made(function, array, shape)}"


def _made(function: Function, array: Array, shape: Shape) -> str:
    """The call that makes an array."""
    if array.name in function.zeroed:
        return f"np.zeros({_shape_text(array, shape)}, {function.like}.dtype)"
    if array.store == Store.STEPS:
        steps = "span" if array.steps is SPAN else "steps"
        return f"kernels.sequence({steps}, batch, {array.width}, {function.like})"
    return f"np.empty({_shape_text(array, shape)}, {function.like}.dtype)"


def flat_arrays(function: Function, body: list[str]) -> Iterator[str]:
    """The lines that see shared arrays as one row, where some lines do."""
    text = "\n".join(body)
    for array in function.arrays.values():
        flat = f"{array.name}_flat"
        if array.store == Store.SHARED and uses(text, flat) and array.name not in function.assigned:
            yield f"{flat} = {array.name}.reshape(-1)"


def leaf_numbers(function: Function, body: list[str]) -> Iterator[str]:
    """The lines that make numbers of sizes, where some lines use them so."""
    text = "\n".join(body)
    for node, name in function.labels.items():
        if node.op == "size" and uses(text, name):
            yield f"{name} = {function.like}.dtype.type({node.attr})"


def fixed_arrays(function: Function) -> list[str]:
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


def uses(text: str, name: str) -> bool:
    """Whether a name occurs in a text."""
    return re.search(rf"\b{name}\b", text) is not None


def _shape_text(array: Array, shape: Shape) -> str:
    if array.store == Store.SHARED:
        return f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    return {
        Store.STEPS: f"(steps, batch, {array.width})",
        Store.BATCH: f"(batch, {array.width})",
        Store.ROW: f"{array.width}",
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
