"""Cells with a block: ``prenorm(lstm)`` is a cell like any other, with composed declarations and step."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, ClassVar

from zoo.base import Block, Buffer, Cell, Input, Option, Output, Param, State
from zoo.base.block import BLOCK_PREFIX, PLACEMENT_OPTIONS
from zoo.base.component import bound_copy, fixed_options
from zoo.base.declarations import ArrayDeclaration
from zoo.base.initializers import initializer_of
from zoo.base.modifier import StepResult, substitute_sizes
from zoo.base.size_expr import parse_shape
from zoo.compiler.frontend.complex_numbers import Complex
from zoo.compiler.frontend.source_errors import TraceError
from zoo.compiler.frontend.symbolic import SymbolicArray, describe
from zoo.compiler.frontend.trace_step import StepGraph, step_graph_of, trace_step
from zoo.compiler.ir.dims import dim_of, letter
from zoo.compiler.ir.graph import ancestors
from zoo.errors import UsageError
from zoo.modifiers.composite_cell import (
    CompositeCell,
    composite_card,
    composite_docstring,
    lengths_of,
    renamed_options,
)
from zoo.modifiers.matmuls import size_texts
from zoo.modifiers.modified_cell import ModifiedCell, placeholder, step_result


@dataclass(frozen=True)
class Placement:
    """The position of a layer in its stack.

    Args:
        is_first: Whether the layer projects its input to the width of the model.
        is_last: Whether the layer computes the final norm.
        num_layers: Layers of the stack.
    """

    is_first: bool
    is_last: bool
    num_layers: int


@dataclass(frozen=True)
class BlockDeclarations:
    """The declarations of a cell with a block, in the letters of layers, ``I`` and ``H``.

    Args:
        params: Parameters by name, first of the cell and then of the block.
        buffers: Buffers by name.
        states: States by name.
        inputs: Auxiliary inputs of the cell.
    """

    params: dict[str, Param]
    buffers: dict[str, Buffer]
    states: dict[str, State]
    inputs: dict[str, Input]


@dataclass(frozen=True)
class ComposedBlock:
    """A cell and a block, and what they declare together.

    Args:
        cell: The inner cell, with its options chosen.
        block: The block, with its options chosen and its placement set.
        cell_input: Size of the inner cell's input, in the letters of layers.
        spec: The declarations, with those that the step of this layer does not use.
    """

    cell: Cell
    block: Block
    cell_input: str
    spec: BlockDeclarations

    def step(
        self, arrays: Mapping[str, Any], x: Any, states: Mapping[str, Any], lengths: Mapping[str, Any]
    ) -> Any:
        """Compute one step on symbolic arrays, see :class:`zoo.modifiers.composite_cell.Composition`."""
        block, graph = self.block, x.graph
        values = fixed_options(self.options, lengths)
        declared: dict[str, ArrayDeclaration] = {**self.spec.params, **self.spec.buffers, **self.spec.states}
        known = {**arrays, **states}
        own = {
            name.removeprefix(BLOCK_PREFIX): known[name]
            if name in known
            else placeholder(values, array, graph)
            for name, array in declared.items()
            if name.startswith(BLOCK_PREFIX)
        }
        own_arrays = {name: own[name] for name in (*block.params, *block.buffers)}
        bound = bound_copy(block, lengths_of(block, lengths, f"{block.name}_"), own_arrays)
        inner = InnerCell(self, arrays, states, lengths)
        before: Mapping[str, Any] = {name: own[name] for name in block.states}
        if isinstance(self.cell, ModifiedCell):
            before = self.cell.composed.block_states(arrays, before, lengths)
            if list(before) != list(block.states):
                raise TraceError(
                    f"block_states of a modifier of {self.cell.label()} returns the states "
                    f"{', '.join(before) or 'none'}; expected {', '.join(block.states)}"
                )
        width = bound.project(x) if block.is_first else x
        result = bound.step(width, *(before[name] for name in block.states), inner)
        y, *after = result if isinstance(result, tuple) else (result,)
        self._check_result(y, after, inner)
        # A state that the block returns as it is, is the state before the modifier: the layer leaves it out.
        returned = zip(block.states, after, strict=True)
        after_step = {name: own[name] if value is before[name] else value for name, value in returned}
        new = {**inner.new_states(), **_prefixed(after_step)}
        return Output(bound.finish(y) if block.is_last else y, *(new[name] for name in states))

    @property
    def options(self) -> Mapping[str, Any]:
        """The options that sizes may name."""
        return {**self.cell.options, **_prefixed(self.block.options, f"{self.block.name}_")}

    def _check_result(self, y: Any, after: list[Any], inner: InnerCell) -> None:
        expected = ", ".join(["y", *self.block.states])
        if len(after) != len(self.block.states):
            raise TraceError(
                f"the step of {self.block.label()} returns {1 + len(after)} values; expected `{expected}`"
            )
        if inner.result is None:
            raise TraceError(
                f"the step of {self.block.label()} does not call the cell; call it once, `y = cell(u)`"
            )
        if not isinstance(y, SymbolicArray) or y.dims != (letter("H"),):
            shown = f"shape {_shape(y)}" if isinstance(y, SymbolicArray) else describe(y)
            raise TraceError(f"the output of the step of {self.block.label()} has {shown}; expected (D,)")


class InnerCell:
    """The argument ``cell`` of a block's step, ``y = cell(u)``.

    Args:
        composed: The cell and the block.
        arrays: Parameters, buffers and auxiliary inputs by name.
        states: States before the step by name.
        lengths: Symbolic lengths in place of the values of options.
    """

    def __init__(
        self,
        composed: ComposedBlock,
        arrays: Mapping[str, Any],
        states: Mapping[str, Any],
        lengths: Mapping[str, Any],
    ) -> None:
        self._composed, self._arrays, self._states, self._lengths = composed, arrays, states, lengths
        self.result: StepResult | None = None

    def __call__(self, u: Any) -> Any:
        """One step of the inner cell for the input ``u``: its output."""
        cell, composed = self._composed.cell, self._composed
        if self.result is not None:
            raise TraceError(f"the step of {composed.block.label()} calls the cell twice; call it once")
        values = fixed_options(composed.options, self._lengths)
        expected = (dim_of(parse_shape((composed.cell_input,))[0], values),)
        if not isinstance(u, SymbolicArray) or u.dims != expected:
            shown = f"shape {_shape(u)}" if isinstance(u, SymbolicArray) else describe(u)
            size, _ = composed.block.cell_sizes(composed.block.is_mixer)
            raise TraceError(f"the input of the cell has {shown}; expected ({size},)")
        arrays = {name: self._arrays[name] for name in (*cell.params, *cell.buffers)}
        states = [self._states[name] for name in cell.states]
        inputs = [self._arrays[name] for name in cell.inputs]
        bound = bound_copy(cell, lengths_of(cell, self._lengths), arrays)
        self.result = step_result(cell, bound.step(u, *states, *inputs))
        return self.result.output

    def new_states(self) -> dict[str, Any]:
        """The new states of the cell by name."""
        assert self.result is not None  # checked after the step
        return self.result.states


def compose_block(cell: Cell, block: Block, placement: Placement) -> ComposedBlock:
    """Compose a cell and a block.

    Args:
        cell: The inner cell.
        block: The block.
        placement: The position of the layer in its stack.

    Raises:
        UsageError: if the cell has no step, or both have an array or option of one name.
        DefinitionError: if the equations of the cell cannot be read.
    """
    return _compose(cell, block, placement)


@functools.lru_cache(maxsize=256)
def _compose(cell: Cell, block: Block, placement: Placement) -> ComposedBlock:
    if not cell.has_step():
        raise UsageError(
            f"block {block.name!r} does not suit {cell.label()}: it has kernels and no step; a block is "
            f"compiled together with the equations of a step."
        )
    placed = block.placed(is_mixer=cell.card.scope == "mixer", **vars(placement))
    options = {name: f"{block.name}_{name}" for name in block.options}
    block_sizes = {"D": "H", "I": "I", **options}
    cell_input, cell_hidden = (
        substitute_sizes(size, block_sizes) for size in block.cell_sizes(placed.is_mixer)
    )
    cell_sizes = {"I": cell_input, "H": cell_hidden}
    (output,) = size_texts(step_graph_of(cell).y.shape)
    block_sizes["Y"] = substitute_sizes(output, cell_sizes)
    spec = BlockDeclarations({}, {}, {}, {})
    for kind in ("params", "buffers", "states", "inputs"):
        group: dict[str, Any] = getattr(spec, kind)
        for name, declared in getattr(cell, kind).items():
            group[name] = _resized(declared, name, cell_sizes, cell)
        for name, declared in getattr(block, kind, {}).items():
            group[f"{BLOCK_PREFIX}{name}"] = _resized(declared, f"{BLOCK_PREFIX}{name}", block_sizes, placed)
    _start_cell(cell, placed, spec)
    return ComposedBlock(cell, placed, cell_input, spec)


def _start_cell(cell: Cell, block: Block, spec: BlockDeclarations) -> None:
    """Replace initializers of the cell by those that the block has for this cell.

    Raises:
        UsageError: if the block names a parameter that the cell does not have.
    """
    cell_name, _, modifiers = cell.name.partition("+")
    for name, init in block.cell_init.items():
        owner, _, parameter = name.partition(".")
        if owner != cell_name:
            continue
        if parameter in cell.params:
            spec.params[parameter].init = init if isinstance(init, str) else _with_owner(init, block)
        elif not modifiers:
            raise UsageError(
                f"block {block.name!r}: cell_init has {name!r}, and the parameters of the cell are "
                f"{', '.join(cell.params)}."
            )


def _resized(
    declared: ArrayDeclaration, name: str, sizes: Mapping[str, str], owner: Cell | Block
) -> ArrayDeclaration:
    """A copy of a declaration with other sizes; a function that draws initial values gets the owner."""
    duplicate = copy.copy(declared)
    duplicate.name = name
    duplicate.shape = parse_shape(tuple(substitute_sizes(size.text, sizes) for size in declared.shape))
    if callable(declared.init):
        duplicate.init = _with_owner(initializer_of(declared), owner)
    return duplicate


def _with_owner(initialize: Callable[..., Any], owner: Cell | Block) -> Callable[..., Any]:
    """An initializer ``(rng, shape)`` that passes the cell or the block on."""
    return lambda rng, shape: initialize(rng, shape, owner)


def _used_declarations(spec: BlockDeclarations, graph: StepGraph) -> BlockDeclarations:
    """The declarations without the block's arrays that the equations do not use."""
    unchanged = {name for name, node in graph.new_states.items() if node is graph.states[name]}
    outputs = [graph.y, *(node for name, node in graph.new_states.items() if name not in unchanged)]
    reached = set(ancestors(outputs))

    def used(group: Mapping[str, Any], nodes: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: declared
            for name, declared in group.items()
            if nodes[name] in reached or not name.startswith(BLOCK_PREFIX)
        }

    return replace(
        spec,
        params=used(spec.params, graph.params),
        buffers=used(spec.buffers, graph.buffers),
        states=used(spec.states, graph.states),
    )


def _prefixed(values: Mapping[str, Any], prefix: str = BLOCK_PREFIX) -> dict[str, Any]:
    return {f"{prefix}{name}": value for name, value in values.items()}


def _shape(array: SymbolicArray | Complex) -> str:
    return f"({', '.join(size_texts(array.dims)).replace('H', 'D')},)"


class BlockCell(CompositeCell, abstract=True):
    """A cell with a block; it has the options of both and of its position in a stack."""

    component: ClassVar[type[Block]]
    composed: ComposedBlock

    block_first = Option(True, help="project the input to the width of the model; layers set it")
    block_last = Option(True, help="compute the final norm; layers set it")
    block_layers = Option(1, low=1, help="number of layers of the stack; layers set it")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.declare(_used_by_layer(self))

    @property
    def x_size(self) -> str:  # type: ignore[override]  # a property, since it depends on options
        """Size of the input: ``I``, or ``H`` without a projection."""
        return "I" if self.block_first else "H"

    def _compose(self) -> ComposedBlock:
        placement = Placement(self.block_first, self.block_last, self.block_layers)
        return compose_block(self.base_cell(), self.component(**self.component_options()), placement)

    def __repr__(self) -> str:
        options = (
            f"{name}={value!r}" for name, value in self.options.items() if name not in PLACEMENT_OPTIONS
        )
        return f"{type(self).__name__}({', '.join(options)})"

    def __copy__(self) -> Any:
        # Without __init__, which traces a copy.
        duplicate = object.__new__(type(self))
        vars(duplicate).update(vars(self))
        return duplicate

    @classmethod
    def is_in_block(cls) -> bool:
        """Whether it is a cell with a block."""
        return True

    @classmethod
    def named_functions(cls) -> Mapping[Callable[..., Any], str]:
        """The steps of the cell and of the block, whose values have the prefix of its parameters."""
        return {**super().named_functions(), cls.component.step: BLOCK_PREFIX}

    @classmethod
    def _check_name(cls) -> None:
        """Skip the check: the names of the parts are checked."""


@functools.lru_cache(maxsize=256)
def _used_by_layer(cell: BlockCell) -> BlockDeclarations:
    """The declarations without those that the equations of this layer do not use."""
    return _used_declarations(cell.composed.spec, trace_step(cell, allow_unused=True))


def block_class(base: type[Cell], block: type[Block]) -> type[Cell]:
    """The class of a cell class with a block; the same two always give the same class.

    Raises:
        UsageError: if the cell has a block already or no step, or both have an option or array of one name.
        DefinitionError: if the equations of the cell or of the block cannot be read.
    """
    if block.is_bare():
        return base
    return _make_class(base, block)  # type: ignore[arg-type]  # to mypy, classes cannot be hashed


@functools.cache
def _make_class(base: type[Cell], block: type[Block]) -> type[Cell]:
    if base.is_in_block():
        raise UsageError(f"{base.label()} has a block already; leave out the block {block.name!r}.")
    spec = compose_block(base(), block(), Placement(True, True, 1)).spec
    options = renamed_options(block, f"{block.name}_")
    arrays = {**spec.params, **spec.buffers, **spec.states, **spec.inputs}
    base_names = [*base.declared_options, *base.params, *base.buffers, *base.states, *base.inputs]
    taken = {*options, *PLACEMENT_OPTIONS, *(name for name in arrays if name not in base_names)}
    if clash := sorted(taken & {*base_names}):
        raise UsageError(f"block {block.name!r} does not suit {base.label()}: both have {clash[0]!r}.")
    attributes = {
        "__doc__": composite_docstring(base, block, f"In the block {block.name}"),
        "__module__": base.__module__,
        "__qualname__": f"{block.__qualname__}({base.__qualname__})",
        "name": f"{block.name}({base.name})",
        "family": base.family,
        "card": composite_card(base.card, block, f"In the block {block.name}"),
        "gates": base.gates,
        "base": base,
        "component": block,
        "compose_class": staticmethod(block_class),
        **base.declared_options,
        **options,
        **arrays,
    }
    cls = type(f"{block.__name__}({base.__name__})", (BlockCell,), attributes)
    example = cls()
    for kind in ("params", "buffers", "states"):
        setattr(cls, kind, MappingProxyType(dict(getattr(example, kind))))
    return cls
