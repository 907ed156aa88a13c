"""Classes of cells with a block: ``prenorm(lstm)`` is a cell like any other."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar

from zoo.base import Block, Card, Cell, Option
from zoo.base.block import BLOCK_PREFIX, PLACEMENT_OPTIONS
from zoo.base.card import UNPUBLISHED
from zoo.compiler.frontend.trace_step import trace_step
from zoo.errors import UsageError
from zoo.modifiers.block_composition import (
    BlockDeclarations,
    ComposedBlock,
    Placement,
    compose_block,
    used_declarations,
)
from zoo.modifiers.composite_cell import CompositeCell, renamed_options


class BlockCell(CompositeCell, abstract=True):
    """A cell with a block; it has the options of both and of its position in a stack."""

    component: ClassVar[type[Block]]

    block_first = Option(True, help="project the input to the width of the model; layers set it")
    block_last = Option(True, help="compute the final norm; layers set it")
    block_layers = Option(1, low=1, help="number of layers of the stack; layers set it")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.declare(_used_declarations(self))

    @property
    def x_size(self) -> str:  # type: ignore[override]  # a property, since it depends on options
        """Size of the input: ``I``, or ``H`` without a projection."""
        return "I" if self.block_first else "H"

    @property
    def composed(self) -> ComposedBlock:
        """The cell and the block with their options."""
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
def _used_declarations(cell: BlockCell) -> BlockDeclarations:
    """The declarations without those that the equations of this layer do not use."""
    return used_declarations(cell.composed.spec, trace_step(cell, allow_unused=True))


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
    of_base = [*base.declared_options, *base.params, *base.buffers, *base.states, *base.inputs]
    taken = {*options, *PLACEMENT_OPTIONS, *(name for name in arrays if name not in of_base)}
    if clash := sorted(taken & {*of_base}):
        raise UsageError(f"block {block.name!r} does not suit {base.label()}: both have {clash[0]!r}.")
    attributes = {
        "__doc__": _docstring(base, block),
        "__module__": base.__module__,
        "__qualname__": f"{block.__qualname__}({base.__qualname__})",
        "name": f"{block.name}({base.name})",
        "family": base.family,
        "card": _card(base.card, block),
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


def _docstring(base: type[Cell], block: type[Block]) -> str:
    _, _, rest = (inspect.getdoc(base) or "").partition("\n\n")
    of_block = inspect.getdoc(block) or ""
    return f"{base.summary()} In the block {block.name}.\n\n{rest}\n\nBlock {block.name}: {of_block}"


def _card(card: Card, block: type[Block]) -> Card:
    source = block.card
    reference = f"{source.authors} ({source.year}), {source.title}, {source.url}"
    note = f"In the block {block.name}: {reference if source.published else UNPUBLISHED}."
    return replace(card, variant=" ".join(filter(None, [card.variant, note])))
