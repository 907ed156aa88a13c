"""Classes of modified cells: ``lstm+zoneout`` is a cell like any other."""

from __future__ import annotations

import functools
import inspect
from dataclasses import replace
from typing import ClassVar

from zoo.base import Card, Cell, Modifier
from zoo.base.card import UNPUBLISHED
from zoo.base.names import MODIFIER_SEPARATOR, check_component_name
from zoo.errors import UsageError
from zoo.modifiers.compose import ComposedCell, compose
from zoo.modifiers.composite_cell import CompositeCell, renamed_options


class ModifiedCell(CompositeCell, abstract=True):
    """A cell with a modifier; it has the options of both."""

    component: ClassVar[type[Modifier]]

    @property
    def composed(self) -> ComposedCell:
        """The cell and the modifier with their options."""
        return compose(self.base_cell(), self.component(**self.component_options()))

    @classmethod
    def _check_name(cls) -> None:
        for name in cls.name.split(MODIFIER_SEPARATOR):
            check_component_name(name, cls.error_name())


def modified_class(base: type[Cell], modifier: type[Modifier]) -> type[Cell]:
    """The class of a cell class with a modifier; the same two always give the same class.

    Raises:
        UsageError: if the modifier does not suit the cell, or the cell has it already.
        DefinitionError: if the equations of the cell cannot be read.
    """
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
        "__doc__": _docstring(base, modifier),
        "__module__": base.__module__,
        "__qualname__": f"{base.__qualname__}+{modifier.__qualname__}",
        "name": f"{base.name}{MODIFIER_SEPARATOR}{modifier.name}",
        "family": base.family,
        "card": _card(base.card, modifier),
        "gates": base.gates,
        "base": base,
        "component": modifier,
        "compose_class": staticmethod(modified_class),
        **base.declared_options,
        **options,
        **arrays,
    }
    return type(f"{base.__name__}+{modifier.__name__}", (ModifiedCell,), attributes)


def _docstring(base: type[Cell], modifier: type[Modifier]) -> str:
    _, _, rest = (inspect.getdoc(base) or "").partition("\n\n")
    of_modifier = inspect.getdoc(modifier) or ""
    return f"{base.summary()} With {modifier.name}.\n\n{rest}\n\nModifier {modifier.name}: {of_modifier}"


def _card(card: Card, modifier: type[Modifier]) -> Card:
    source = modifier.card
    reference = f"{source.authors} ({source.year}), {source.title}, {source.url}"
    note = f"Modified by {modifier.name}: {reference if source.published else UNPUBLISHED}."
    return replace(card, variant=" ".join(filter(None, [card.variant, note])))
