"""Names of modified cells, ``lstm+zoneout``: a cell and its modifiers, the innermost first."""

from __future__ import annotations

from zoo.base import Cell, Modifier
from zoo.base.names import MODIFIER_SEPARATOR
from zoo.registry import loader


def has_modifiers(name: object) -> bool:
    """Whether it is the name of a modified cell."""
    return isinstance(name, str) and MODIFIER_SEPARATOR in name


def cell_class(name: str) -> type[Cell]:
    """The cell class of a name, with its modifiers.

    Raises:
        UnknownNameError: if the name of the cell or of a modifier is unknown.
        UsageError: if a modifier does not suit the cell.
        DefinitionError: if the equations of the cell are invalid.
    """
    base, *modifiers = name.split(MODIFIER_SEPARATOR) if has_modifiers(name) else [name]
    return with_modifiers(loader.LOADER.registry(Cell).cls(base), modifiers)


def with_modifiers(cls: type[Cell], names: list[str]) -> type[Cell]:
    """A cell class with registered modifiers.

    Raises:
        UnknownNameError: if the name of a modifier is unknown.
        UsageError: if one does not suit the cell.
        DefinitionError: if the equations of the cell are invalid.
    """
    for name in names:
        from zoo.modifiers.modified_cell import modified_class  # imports the compiler

        cls = modified_class(cls, loader.LOADER.registry(Modifier).cls(name))
    return cls
