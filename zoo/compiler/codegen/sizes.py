"""Sizes in generated functions: I, H and options in terms of the shapes of the caller's arrays."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from zoo.compiler.codegen.emit_context import EmitContext
from zoo.compiler.ir.dims import LAYER_LETTERS, quotients_of
from zoo.compiler.ir.solve_sizes import Length, solve_sizes
from zoo.errors import DefinitionError


def size_letters(context: EmitContext, words: Collection[str], has_states: bool = True) -> Iterator[str]:
    """The lines that define the letters and quotients that are among the words.

    Args:
        context: The kernel.
        words: Identifiers in its lines.
        has_states: Whether the function has states; if not, the shapes of parameters determine the letters.

    Raises:
        DefinitionError: if no shape determines a letter.
    """
    letters = (*LAYER_LETTERS, *context.step_graph.size_options)
    quotients = [each for each in quotients_of(context.step_graph.size_options) if each.name in words]
    lengths = [*_parameter_lengths(context), *(_state_lengths(context) if has_states else ())]
    solutions = solve_sizes(letters, lengths)
    wanted = {letter for letter in letters if letter in words} | {part for each in quotients for part in each}
    for letter in sorted(wanted, key=letters.index):
        if letter not in solutions:
            owner = context.step_graph.cell.error_name()
            raise DefinitionError(
                f"{owner}: step needs {letter}, and no parameter, buffer or state has a size that determines "
                f"it; add a parameter with a size {letter!r}."
            )
    for letter in reversed(solutions):
        wanted |= solutions[letter].needs if letter in wanted else frozenset()
    yield from (f"{letter} = {solution.text}" for letter, solution in solutions.items() if letter in wanted)
    yield from (f"{each.name} = {each.dividend} // {each.option}" for each in quotients)


def _parameter_lengths(context: EmitContext) -> Iterator[Length]:
    """Every axis of parameters and buffers."""
    step_graph, names = context.step_graph, context.leaf_names
    for name, node in {**step_graph.params, **step_graph.buffers}.items():
        yield from ((f"{names.declared(name)}.shape[{axis}]", dim) for axis, dim in enumerate(node.shape))


def _state_lengths(context: EmitContext) -> Iterator[Length]:
    """Every axis of states."""
    names = context.leaf_names
    for name, node in context.step_graph.states.items():
        yield from (
            (f"{names.initial_state(name)}.shape[{axis + 1}]", dim) for axis, dim in enumerate(node.shape)
        )
