"""Options that are nothing but sizes, such as ``heads``: letters in the graph of a step, as I and H are.

If you replace the letters by the values of the options, the graph must be the one that ``step`` has with
these values. ``step`` may need a value in a way that no error reveals, for example as a text or in
``isinstance``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from zoo.base import Cell
from zoo.base.declarations import ArrayDeclaration
from zoo.compiler.codegen.writer import ARRAY_SUFFIXES, RESERVED
from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.frontend.trace_step import StepGraph, trace_step
from zoo.compiler.ir.dims import ONE, Dim, Quotient
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.solve_sizes import solve_sizes
from zoo.compiler.ir.structural_ops import SIZE
from zoo.compiler.passes.specialise import copy_with_sizes
from zoo.errors import DefinitionError, UsageError


def is_variable(option: str) -> bool:
    """Whether kernels can have a variable with the name of an option: no other variable has this name."""
    return option not in RESERVED and "_per_" not in option and not option.endswith(ARRAY_SUFFIXES[1:])


def is_general_form(step_graph: StepGraph, with_values: StepGraph) -> bool:
    """Whether a graph becomes another one of the same cell if options get their values.

    Args:
        step_graph: The graph with options as letters.
        with_values: The graph with their values.
    """
    options = step_graph.cell.options
    values = {name: options[name] for name in step_graph.size_options}
    copies = copy_with_sizes(step_graph.outputs, with_values.y.graph, values)
    return [copies[node] for node in step_graph.outputs] == with_values.outputs


def trace_for_all_sizes(cell: Cell, numbers: Collection[str]) -> StepGraph:
    """Trace the ``step`` of a cell with options as letters, where they are nothing but sizes.

    An option stays a number if it is one or makes an axis of length one, which is left out of loops. It also
    does if ``step`` needs its value, for example in a loop, or if values of parameters alone depend on it and
    the shapes of parameters do not determine it.

    Args:
        cell: The cell.
        numbers: Names of other options that stay numbers.

    Raises:
        DefinitionError: if ``step`` cannot be compiled.
    """
    names = tuple(name for name in _declared_size_options(cell) if name not in numbers)
    step_graph = _trace_with_letters(cell, names) if names else None
    if step_graph is None and len(names) > 1:
        chosen: tuple[str, ...] = ()
        for name in names:
            if (wider := _trace_with_letters(cell, (*chosen, name))) is not None:
                chosen, step_graph = (*chosen, name), wider
    return trace_step(cell) if step_graph is None else step_graph


def _declared_size_options(cell: Cell) -> Iterator[str]:
    """Options above one that are in the size of an array."""
    arrays: list[ArrayDeclaration] = [*cell.params.values(), *cell.buffers.values(), *cell.states.values()]
    in_sizes = {name for array in arrays for size in array.shape for name in size.names}
    return (name for name, value in cell.options.items() if name in in_sizes and value > 1)


def _trace_with_letters(cell: Cell, names: tuple[str, ...]) -> StepGraph | None:
    """The graph with options as letters; None if one of them is more than a size."""
    try:
        step_graph = trace_step(cell, size_options=names)
    except (DefinitionError, TraceError, UsageError):
        return None
    checks = (_has_integer_quotients, _has_axes_longer_than_one, _can_prepare)
    return step_graph if all(check(step_graph) for check in checks) else None


def _has_integer_quotients(step_graph: StepGraph) -> bool:
    """Whether I and H are only divided by options that divide them without a remainder."""
    leaves = {**step_graph.params, **step_graph.buffers, **step_graph.states}.values()
    integers = {quotient for node in leaves for dim in node.shape for quotient in _integer_quotient(dim)}
    dims = {dim for node in ancestors(step_graph.outputs) for dim in _dims_of(node)}
    return all(dim.quotients is not None and dim.quotients <= integers for dim in dims)


def _has_axes_longer_than_one(step_graph: StepGraph) -> bool:
    """Whether options make no axis of length one. Without such axes, kernels have fewer loops."""
    dims = {dim for node in ancestors(step_graph.outputs) for dim in node.shape if dim != ONE}
    options = step_graph.cell.options
    return not any(not dim.depends_on_layer and dim.evaluate(options) == 1 for dim in dims)


def _can_prepare(step_graph: StepGraph) -> bool:
    """Whether the shapes of parameters determine the options that values of parameters alone depend on."""
    leaves = {**step_graph.params, **step_graph.buffers}.values()
    lengths = [("", dim) for node in leaves for dim in node.shape]
    options = set(step_graph.size_options).difference(
        solve_sizes(("I", "H", *step_graph.size_options), lengths)
    )
    nodes = (node for node in ancestors(step_graph.outputs) if node.level == Level.ONCE)
    computed = [node for node in nodes if node.op.kind not in (Kind.VIEW, Kind.LEAF)]
    lengths_in_them = [node for node in ancestors(computed) if node.op == SIZE]
    return not any(options & dim.letters for node in [*computed, *lengths_in_them] for dim in _dims_of(node))


def _integer_quotient(declared: Dim) -> frozenset[Quotient]:
    """The quotient that is an integer because a declared size is: ``H / heads`` for ``H / (2 * heads)``."""
    ((monomial, factor), *others) = declared.terms
    exponents = sorted(exponent for _, exponent in monomial)
    is_quotient = not others and exponents == [-1, 1] and factor.numerator == 1
    return declared.quotients or frozenset() if is_quotient else frozenset()


def _dims_of(node: Node) -> Iterator[Dim]:
    """The sizes in the shape and the arguments of a node."""
    attr = node.attr if isinstance(node.attr, tuple) else (node.attr,)
    yield from (each for each in (*node.shape, *attr) if isinstance(each, Dim))
