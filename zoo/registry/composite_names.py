"""Names of composite cells: ``lstm+zoneout`` has a modifier, ``prenorm(lstm+zoneout)`` a block around it.

Modifiers follow the cell, the innermost first. Each part may be a class in a Python file,
``prenorm(FILE.py:MyCell+FILE.py:MyModifier)``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from zoo.base import Block, Cell, Component, Modifier
from zoo.base.block import PLACEMENT_OPTIONS
from zoo.base.names import MODIFIER_SEPARATOR
from zoo.errors import UsageError
from zoo.registry import loader


class CellName(NamedTuple):
    """The parts of the name of a cell.

    Args:
        block: Name of the block, or its file and class; empty without a block.
        cell: Name of the cell, or its file and class.
        modifiers: Names of the modifiers, or their files and classes, the innermost first.
    """

    block: str
    cell: str
    modifiers: tuple[str, ...]

    @property
    def is_composite(self) -> bool:
        """Whether there is a block or a modifier."""
        return bool(self.block or self.modifiers)

    def __str__(self) -> str:
        inner = MODIFIER_SEPARATOR.join((self.cell, *self.modifiers))
        return f"{self.block}({inner})" if self.block else inner


def split_name(text: str) -> CellName:
    """Split the name of a cell; ``str`` joins it again.

    Raises:
        UsageError: if a parenthesis is missing, something follows the last one, or there are two blocks.
    """
    block, inner = _split_block(text)
    if block and ")" in inner.rpartition(":")[2]:
        raise UsageError(f"{text!r}: a cell has one block, as in prenorm(lstm); leave out the others.")
    cell, *modifiers = _split_modifiers(inner)
    return CellName(block, cell, tuple(modifiers))


_PART = re.compile(r"\w*|.*\.py:.*", re.DOTALL)
"""A name, or a file and its class."""


def _split_modifiers(text: str) -> list[str]:
    """Split at plus signs, except for those of a path: in ``./a+b.py:MyCell``, but not in ``lstm+b.py:M``."""
    pieces = text.split(MODIFIER_SEPARATOR)
    last_path = max((index for index, piece in enumerate(pieces) if ".py:" in piece), default=0)
    parts = pieces[:1]
    for index, piece in enumerate(pieces[1:], 1):
        if index > last_path or _PART.fullmatch(parts[-1]):
            parts.append(piece)
        else:
            parts[-1] += MODIFIER_SEPARATOR + piece
    return parts


def _split_block(text: str) -> tuple[str, str]:
    if _lacks_parenthesis(text):
        raise UsageError(f"{text!r} lacks a closing parenthesis; expected BLOCK(CELL), as in prenorm(lstm).")
    if not text.endswith(")"):
        _, closed, rest = text.rpartition(")")
        if closed and rest.startswith(MODIFIER_SEPARATOR):
            raise UsageError(
                f"{text!r}: modifiers are written within the block, as in prenorm(lstm+zoneout)."
            )
        return "", text
    depth = 0
    for index in range(len(text) - 1, -1, -1):
        depth += (text[index] == ")") - (text[index] == "(")
        if depth == 0:
            break
    if depth or index == 0 or index == len(text) - 2:
        raise UsageError(f"{text!r} is not a block and a cell; expected BLOCK(CELL), as in prenorm(lstm).")
    return text[:index], text[index + 1 : -1]


def is_composite(name: object) -> bool:
    """Whether a name belongs to a cell with a modifier or a block."""
    return isinstance(name, str) and (
        MODIFIER_SEPARATOR in name or name.endswith(")") or _lacks_parenthesis(name)
    )


def _lacks_parenthesis(text: str) -> bool:
    return ":" not in text and text.count("(") > text.count(")")  # a path may have any


def cell_class(name: str) -> type[Cell]:
    """The cell class of a name, with its modifiers and its block.

    Raises:
        UnknownNameError: if the name of the cell, of a modifier or of the block is unknown.
        UsageError: if a modifier or the block does not suit the cell.
        DefinitionError: if the equations of the cell are invalid.
    """
    block, cell, modifiers = split_name(name) if is_composite(name) else CellName("", name, ())
    return with_parts(loader.LOADER.registry(Cell).cls(cell), modifiers, block)


def with_parts(
    cls: type[Cell], modifiers: Sequence[str | type[Modifier]], block: str | type[Block] = ""
) -> type[Cell]:
    """A cell class with modifiers and within a block, which are classes or registered names.

    Raises:
        UnknownNameError: if the name of a modifier or of the block is unknown.
        UsageError: if one does not suit the cell.
        DefinitionError: if the equations of the cell are invalid.
    """
    for modifier in modifiers:
        from zoo.modifiers.modified_cell import modified_class  # imports the compiler

        cls = modified_class(cls, _modifier_class(modifier, cls))
    if isinstance(block, str):
        return in_block_class(cls, loader.LOADER.registry(Block).cls(block)) if block else cls
    return in_block_class(cls, block)


def _modifier_class(modifier: str | type[Modifier], cell: type[Cell]) -> type[Modifier]:
    if not isinstance(modifier, str):
        return modifier
    if modifier in loader.LOADER.registry(Block):
        raise UsageError(f"{modifier!r} is a block and no modifier; write {modifier}({cell.name}).")
    return loader.LOADER.registry(Modifier).cls(modifier)


def in_block_class(cls: type[Cell], block: type[Block]) -> type[Cell]:
    """A cell class within a block.

    Raises:
        UsageError: if the block does not suit the cell.
        DefinitionError: if the equations of the cell or the block are invalid.
    """
    from zoo.modifiers.block_cell import block_class  # imports the compiler

    return block_class(cls, block)


def component_parts(cls: type[Component]) -> list[type[Component]]:
    """The cell, the modifiers and the block of a composite cell, innermost first; else the class itself."""
    from zoo.modifiers.composite_cell import CompositeCell  # imports the compiler

    if not issubclass(cls, CompositeCell) or "base" not in vars(cls):
        return [cls]
    return [*component_parts(cls.base), cls.component]


def in_block(cell: Cell, block: Block) -> Cell:
    """A cell within a block, both with their options.

    Raises:
        UsageError: if the block does not suit the cell.
        DefinitionError: if the equations of the cell or the block are invalid.
    """
    cls = in_block_class(type(cell), type(block))
    if cls is type(cell):
        return cell
    return cls(**cell.options, **{f"{block.name}_{name}": value for name, value in block.options.items()})


def place_in_stack(cell: Cell, *, is_first: bool, is_last: bool, num_layers: int) -> Cell:
    """A cell with a block at its position in a stack of layers; any other cell itself.

    Args:
        cell: The cell.
        is_first: Whether it projects its input to the width of the model.
        is_last: Whether it computes the final norm.
        num_layers: Layers of the stack.
    """
    if not cell.is_in_block():
        return cell
    placement: dict[str, Any] = dict(zip(PLACEMENT_OPTIONS, (is_first, is_last, num_layers), strict=True))
    return type(cell)(**{**cell.options, **placement})
