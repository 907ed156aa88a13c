"""Cells with a modifier: ``lstm+zoneout`` is a cell like any other, with composed declarations and step."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from zoo.base import Cell, Modifier, Output
from zoo.base.component import bound_copy, fixed_options
from zoo.base.declarations import ArrayDeclaration
from zoo.base.initializers import initializer_of
from zoo.base.modifier import CellDeclarations, StepContext, StepResult, check_declarations
from zoo.base.names import MODIFIER_SEPARATOR, check_component_name
from zoo.compiler.frontend.complex_numbers import Complex
from zoo.compiler.frontend.numpy_functions import Handler, matmul_hook
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.dims import as_dim, dim_of
from zoo.compiler.ir.graph import Graph, Level, Node, ancestors, view_base
from zoo.compiler.ir.structural_ops import BUFFER, PARAM, PLACEHOLDER
from zoo.errors import UsageError
from zoo.modifiers.composite_cell import (
    CompositeCell,
    composite_card,
    composite_docstring,
    lengths_of,
    renamed_options,
)
from zoo.modifiers.matmuls import GraphMatmul, find_matmuls, find_sums, size_texts, split_parameter_matmul


@dataclass(frozen=True)
class ComposedCell:
    """A cell and a modifier, and what they declare together.

    Args:
        cell: The cell, with its options chosen.
        modifier: The modifier, with its options chosen.
        spec: The declarations of the modified cell.
    """

    cell: Cell
    modifier: Modifier
    spec: CellDeclarations

    def step(
        self, arrays: Mapping[str, Any], x: Any, states: Mapping[str, Any], lengths: Mapping[str, Any]
    ) -> Any:
        """Compute one step on symbolic arrays, see :class:`zoo.modifiers.composite_cell.Composition`."""
        ctx = StepContext(arrays, self.spec)
        modifier = self._bound_modifier(lengths)

        def inner_step(
            x: Any, states: Mapping[str, Any], others: Mapping[str, Any] | None = None
        ) -> StepResult:
            with matmul_hook(_matmul_hook(modifier, ctx)):
                return self._inner_step(x, states, arrays if others is None else others, lengths)

        result = modifier.step(ctx, inner_step, x, states)
        new_states = tuple(result.states[name] for name in self.spec.states)
        return new_states if result.y is None else Output(result.y, *new_states)

    def block_states(
        self, arrays: Mapping[str, Any], states: Mapping[str, Any], lengths: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """The states of a block around the cell that its step reads."""
        modifier = self._bound_modifier(lengths)
        states = modifier.block_states(StepContext(arrays, self.spec), states)
        if isinstance(self.cell, ModifiedCell):
            return self.cell.composed.block_states(arrays, states, lengths)
        return states

    def _bound_modifier(self, lengths: Mapping[str, Any]) -> Modifier:
        """The modifier with symbolic lengths in place of its options."""
        lengths = lengths_of(self.modifier, lengths, f"{self.modifier.name}_")
        bound: Modifier = bound_copy(self.modifier, lengths)
        return bound

    def _inner_step(
        self, x: Any, states: Mapping[str, Any], arrays: Mapping[str, Any], lengths: Mapping[str, Any]
    ) -> StepResult:
        """The step of the cell."""
        cell = self.cell
        params = {name: arrays[name] for name in (*cell.params, *cell.buffers) if name in arrays}
        values = fixed_options(cell.options, lengths)
        placeholders = {
            name: placeholder(values, param, x.graph)
            for name, param in cell.params.items()
            if name not in params
        }
        old_states = [states[name] for name in cell.states]
        bound = bound_copy(cell, lengths_of(cell, lengths), {**params, **placeholders})
        return step_result(cell, bound.step(x, *old_states, *(arrays[name] for name in cell.inputs)))


def _matmul_hook(modifier: Modifier, ctx: StepContext) -> Handler:
    """Call the modifier for the products of one step, which come in the order of ``spec.matmuls``."""
    matmuls = iter(ctx.spec.matmuls)

    def multiply(a: Any, b: Any) -> Any:
        factors = split_parameter_matmul(a, b)
        if factors is None:
            return a @ b
        return modifier.matmul(ctx, next(matmuls), *factors[:2])

    return multiply


@functools.lru_cache(maxsize=256)
def compose(cell: Cell, modifier: Modifier) -> ComposedCell:
    """Compose a cell and a modifier.

    Raises:
        UsageError: if the modifier makes no sense for the cell.
        DefinitionError: if the equations of the cell cannot be read, or the modifier declares another object
            than an array.
    """
    if not cell.has_step():
        raise UsageError(
            f"modifier {modifier.name!r} does not suit {cell.label()}: it has kernels and no step; a "
            f"modifier changes the equations of a step."
        )
    equations, matmuls = find_matmuls(cell)
    spec = CellDeclarations(
        cell,
        modifier.name,
        dict(cell.params),
        dict(cell.buffers),
        dict(cell.states),
        dict(cell.inputs),
        tuple(each.matmul for each in matmuls),
        find_sums(equations, matmuls),
        size_texts(equations.y.shape)[0],
        _non_matmul_params(equations.outputs, matmuls),
        _has_recurrent_matmul(equations, matmuls),
        _arrays_of(equations.new_states.values()),
        initializer_of,
    )
    modifier.edit(spec)
    check_declarations(spec)
    return ComposedCell(cell, modifier, spec)


def _non_matmul_params(outputs: Any, matmuls: Sequence[GraphMatmul]) -> frozenset[str]:
    """Parameters with another use than as the matrix of a product, or as one matrix of a stack."""
    direct = [each for each in matmuls if each.matmul.param]
    results = {view_base(node) for each in direct for node in each.result}
    starts = [*outputs, *(node for each in direct for node in each.operand)]
    reached = ancestors(starts, stop=lambda node: node in results)
    return frozenset(node.attr for node in reached if node.op == PARAM)


def _has_recurrent_matmul(equations: StepGraph, matmuls: Sequence[GraphMatmul]) -> bool:
    """Whether new states depend on a product of a parameter matrix and a state that has a past of its own."""
    after, before = equations.new_states, equations.states
    recurrent = {before[name] for name, node in after.items() if node.level == Level.STEP}
    read = set(ancestors(after.values()))
    products = (each for each in matmuls if read & set(each.result))
    return any(recurrent & set(ancestors(each.operand)) for each in products)


def _arrays_of(nodes: Iterable[Node]) -> frozenset[str]:
    """Parameters and buffers on which nodes depend."""
    return frozenset(node.attr for node in ancestors(nodes) if node.op in (PARAM, BUFFER))


def placeholder(values: Mapping[str, Any], array: ArrayDeclaration, graph: Graph) -> Any:
    """A symbolic array with the shape of one that was removed; options without a value are letters in it."""
    dims = tuple(dim_of(size, values) for size in array.shape)
    planes = (as_dim(2),) if array.complex else ()
    node = graph.node(PLACEHOLDER, attr=array.name, shape=(*planes, *dims), level=Level.ONCE)  # type: ignore[arg-type]
    return Complex(SymbolicArray(node)[0], SymbolicArray(node)[1]) if array.complex else SymbolicArray(node)


def step_result(cell: Cell, result: Any) -> StepResult:
    """The output and the new states that a step returned."""
    if isinstance(result, Output):
        return StepResult(result.y, dict(zip(cell.states, result.states, strict=True)))
    states = result if isinstance(result, tuple) else (result,)
    return StepResult(None, dict(zip(cell.states, states, strict=True)))


class ModifiedCell(CompositeCell, abstract=True):
    """A cell with a modifier; it has the options of both."""

    component: ClassVar[type[Modifier]]
    composed: ComposedCell

    def _compose(self) -> ComposedCell:
        return compose(self.base_cell(), self.component(**self.component_options()))

    @classmethod
    def restarting_modifier(cls) -> str:
        """The modifier itself, or as of the inner cell."""
        return cls.component.name if cls.component.restarts_states else super().restarting_modifier()

    @classmethod
    def _check_name(cls) -> None:
        for name in cls.name.split(MODIFIER_SEPARATOR):
            check_component_name(name, cls.error_name())


def modified_class(base: type[Cell], modifier: type[Modifier]) -> type[Cell]:
    """The class of a cell class with a modifier; the same two always give the same class.

    A modifier of the cell that is outermost stays outermost.

    Raises:
        UsageError: if the modifier does not suit the cell, or the cell has it already.
        DefinitionError: if the equations of the cell cannot be read.
    """
    if issubclass(base, ModifiedCell) and base.component.is_outermost and not modifier.is_outermost:
        return modified_class(modified_class(base.base, modifier), base.component)
    return _make_class(base, modifier)  # type: ignore[arg-type]  # to mypy, classes cannot be hashed


@functools.cache
def _make_class(base: type[Cell], modifier: type[Modifier]) -> type[Cell]:
    if base.is_in_block():
        raise UsageError(
            f"{base.label()} cannot be modified: modifiers are written within the block, as in "
            f"{base.name[:-1]}{MODIFIER_SEPARATOR}{modifier.name})."
        )
    if modifier.name in base.name.split(MODIFIER_SEPARATOR)[1:]:
        raise UsageError(f"{base.label()} has the modifier {modifier.name!r} already; leave one out.")
    spec = compose(base(), modifier()).spec
    options = renamed_options(modifier, f"{modifier.name}_")
    if clash := sorted(set(options) & {*base.declared_options, *base.params, *base.states}):
        raise UsageError(f"modifier {modifier.name!r} does not suit {base.label()}: both have {clash[0]!r}.")
    arrays = {**spec.params, **spec.buffers, **spec.states, **spec.inputs}
    attributes = {
        "__doc__": composite_docstring(base, modifier, f"With {modifier.name}"),
        "__module__": base.__module__,
        "__qualname__": f"{base.__qualname__}+{modifier.__qualname__}",
        "name": f"{base.name}{MODIFIER_SEPARATOR}{modifier.name}",
        "family": base.family,
        "card": composite_card(base.card, modifier, f"Modified by {modifier.name}"),
        "gates": base.gates,
        "base": base,
        "component": modifier,
        "compose_class": staticmethod(modified_class),
        **base.declared_options,
        **options,
        **arrays,
    }
    return type(f"{base.__name__}+{modifier.__name__}", (ModifiedCell,), attributes)
