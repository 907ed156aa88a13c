"""Names such as ``lstm+zoneout``: a registered cell, and registered modifiers, the innermost first."""

from __future__ import annotations

from zoo.base import Cell, Modifier
from zoo.base.names import MODIFIER_SEPARATOR
from zoo.registry import loader


def has_modifiers(name: object) -> bool:
    """Whether a name is that of a modified cell."""
    return isinstance(name, str) and MODIFIER_SEPARATOR in name


def cell_class(name: str) -> type[Cell]:
    """The cell that a name stands for, with modifiers if it names some.

    Raises:
        UnknownNameError: if a cell or modifier is not registered.
        UsageError: if a modifier makes no sense for the cell.
        DefinitionError: if the equations of the cell cannot be read.
    """
    base, *modifiers = name.split(MODIFIER_SEPARATOR) if has_modifiers(name) else [name]
    return with_modifiers(loader.LOADER.registry(Cell).cls(base), modifiers)


def with_modifiers(cls: type[Cell], names: list[str]) -> type[Cell]:
    """A class of cells with registered modifiers.

    Raises:
        UnknownNameError: if a modifier is not registered.
        UsageError: if one makes no sense for the cell.
        DefinitionError: if the equations of the cell cannot be read.
    """
    for name in names:
        from zoo.modifiers.modified_cell import modified_class  # the compiler, which nobody else here needs

        cls = modified_class(cls, loader.LOADER.registry(Modifier).cls(name))
    return cls
