"""Sizes in generated functions: ``I`` and ``H`` in terms of the shapes of the caller's arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TypeAlias

from zoo.compiler.codegen.emit_context import EmitContext
from zoo.compiler.codegen.writer import identifiers_in
from zoo.compiler.ir.dims import Dim, as_dim
from zoo.errors import DefinitionError

_Length: TypeAlias = tuple[str, Dim]
"""Expression for the length of an axis, and its size in letters."""

_LETTERS = {"H": "I", "I": "H"}
"""Each letter and the other one."""


def size_letters(context: EmitContext, words: Collection[str], has_states: bool = True) -> Iterator[str]:
    """The lines that define ``I`` and ``H``, if they are among the words.

    Args:
        context: The kernel.
        words: Identifiers in its lines.
        has_states: Whether the function has states; if not, the shapes of parameters determine the letters.

    Raises:
        DefinitionError: if no shape determines a letter.
    """
    lengths = [*_parameter_lengths(context), *(_state_lengths(context) if has_states else ())]
    solutions = {name: _solutions(name, lengths) for name in _LETTERS}
    if not any(_is_direct(name, text) for name, texts in solutions.items() for text in texts[:1]):
        solutions = {name: [] for name in _LETTERS}  # each needs the other one
    lines, pending = dict[str, str](), [name for name in _LETTERS if name in words]
    while pending:  # one letter may depend on the other
        name = pending.pop()
        if not solutions[name]:
            owner = context.step_graph.cell.error_name()
            raise DefinitionError(
                f"{owner}: step needs {name}, and no parameter, buffer or state has a size that determines "
                f"it; add a parameter with a size {name!r}."
            )
        lines[name] = solutions[name][0]
        pending += [] if _is_direct(name, lines[name]) or _LETTERS[name] in lines else [_LETTERS[name]]
    for name in sorted(lines, key=lambda name: not _is_direct(name, lines[name])):
        yield f"{name} = {lines[name]}"


def _solutions(letter: str, lengths: list[_Length]) -> list[str]:
    """Expressions for a letter; those that do not contain the other letter come first."""
    solutions = [solution for length, dim in lengths for solution in _solve(dim, letter, length)]
    return sorted(solutions, key=lambda solution: not _is_direct(letter, solution))


def _is_direct(letter: str, solution: str) -> bool:
    return _LETTERS[letter] not in identifiers_in([solution])


def _parameter_lengths(context: EmitContext) -> Iterator[_Length]:
    """Every axis of parameters and buffers."""
    step_graph, names = context.step_graph, context.leaf_names
    for name, node in {**step_graph.params, **step_graph.buffers}.items():
        yield from ((f"{names.declared(name)}.shape[{axis}]", dim) for axis, dim in enumerate(node.shape))


def _state_lengths(context: EmitContext) -> Iterator[_Length]:
    """Every axis of states."""
    names = context.leaf_names
    for name, node in context.step_graph.states.items():
        yield from (
            (f"{names.initial_state(name)}.shape[{axis + 1}]", dim) for axis, dim in enumerate(node.shape)
        )


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
