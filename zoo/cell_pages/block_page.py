"""The page of one block in Markdown, and the page that lists the blocks.

The page of a block has its source, its use, equations, a diagram, arrays and options, the number of its
parameters, the cells whose papers have it, differences from the paper and references.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

from zoo.base import Block, Cell
from zoo.base.block import BLOCK_PREFIX, EXAMPLE_CELLS
from zoo.base.card import UNPUBLISHED
from zoo.cell_pages import GENERATED_MARK
from zoo.cell_pages.cell_info import HIDDEN_SIZE, INPUT_SIZE
from zoo.cell_pages.cell_page import (
    PageLinks,
    component_document,
    count_in_letters,
    declarations,
    document,
    link,
    papers,
    prose,
    section,
    wrapped,
)
from zoo.registry import place_in_stack, resolve_cell_in_block
from zoo.tables import TextTable

BLOCKS_FOLDER = "blocks"
DIAGRAM_CELL = "vanilla"
"""The cell within the block in diagrams."""
_FIRST, _MIDDLE, _LAST = (True, False, 3), (False, False, 3), (False, True, 3)

_INTRODUCTION = (
    "A block surrounds the cell of a layer, for example with a norm, projections, a gate and a skip "
    "connection. It was published with some cells, and other cells can be in it too."
)
_SIZES_NOTE = (
    "`I` is the number of features that the layer reads, `D` the width of the model (`hidden_size`), and `Y` "
    "the size of the cell's output."
)


def block_page(cls: type[Block], cells: Iterable[type[Cell]], links: PageLinks | None = None) -> str:
    """The page of a block.

    Args:
        cls: The block.
        cells: The cells, of which those appear whose cards name the block.
        links: Addresses of other pages.

    Raises:
        DefinitionError: if the equations of the block cannot be compiled.
    """
    return "\n".join(_lines(cls, cells, links or PageLinks())).rstrip("\n") + "\n"


def block_index_page(blocks: Iterable[type[Block]], cells: Iterable[type[Cell]], links: PageLinks) -> str:
    """The page that lists the blocks, from the folder of their pages.

    Args:
        blocks: The blocks.
        cells: The cells, of which those appear whose cards name a block.
        links: Addresses of other pages.
    """
    above = f"See also {link('the cells', links.index)}." if links.index else ""
    lines = [GENERATED_MARK, "", "# Blocks", "", *wrapped(f"{introduction(links)} {above}"), ""]
    return "\n".join([*lines, *block_table(blocks, cells, "", "../")]).rstrip("\n") + "\n"


def introduction(links: PageLinks) -> str:
    """The sentences before a list of blocks, with a link to the guide if there is one."""
    guide = links.documents.get("docs/blocks.md")
    return f"{_INTRODUCTION} {link('Blocks', guide)} shows how." if guide else _INTRODUCTION


def block_table(
    blocks: Iterable[type[Block]], cells: Iterable[type[Cell]], folder: str, cells_folder: str
) -> list[str]:
    """A table of blocks with links to their pages.

    Args:
        blocks: The blocks.
        cells: The cells, of which those appear whose cards name a block.
        folder: Address of the folder of the blocks' pages, empty or with a slash at its end.
        cells_folder: Address of the folder with the folders of families, likewise.
    """
    headings, cells = ("block", "year", "nearest to the block of", "description"), list(cells)
    rows = tuple(
        (
            f"[`{cls.name}`]({folder}{cls.name}.md)",
            "-" if cls.is_bare() else f"{cls.card.year or '-'}",
            ", ".join(
                f"[{cell.name}]({cells_folder}{cell.family}/{cell.name}.md)"
                for cell in cells_of_block(cls, cells)
            ),
            prose(cls.summary()),
        )
        for cls in blocks
    )
    return [*TextTable("", headings, rows).markdown(), ""]


def cells_of_block(cls: type[Block], cells: Iterable[type[Cell]]) -> list[type[Cell]]:
    """The cells whose cards name the block."""
    return [cell for cell in cells if cell.card.block == cls.name]


def _lines(cls: type[Block], cells: Iterable[type[Cell]], links: PageLinks) -> Iterator[str]:
    doc, card = component_document(cls), cls.card
    yield from (GENERATED_MARK, "", f"# {cls.name} (block)", "", *document(doc.summary))
    yield from (*wrapped(_origin(cls, links)), "", *wrapped(_use(cls)), "")
    blocks = [*doc.lead, *doc.equations, *doc.notes, *doc.examples]
    if cls.is_bare():
        yield from document(blocks, links.documents)
    else:
        picture = f"![{cls.name} around {DIAGRAM_CELL}]({cls.name}.svg)"
        yield from section("Equations", document(blocks, links.documents))
        yield from (*wrapped(_diagram_note(cls)), "", picture, "")
        yield from section("History", document([card.history]))
        yield from section("When to use it", document([card.when_to_use]))
        yield from ("## Arrays and options", "", *wrapped(_SIZES_NOTE), "", *declarations(cls))
        yield from ("## Parameters of the block", "", *_parameters(cls))
    names = [cell.name for cell in cells_of_block(cls, cells)]
    yield from section("Cells of this block", _cell_list(names, links.cells))
    yield from section("Variant and differences from the paper", document([card.variant, card.deviations]))
    yield from ("## References", "", "```bibtex", cls.bibtex(), "```", "")


def _origin(cls: type[Block], links: PageLinks) -> str:
    origin = "A layer of the cell alone, as in" if cls.is_bare() else "From"
    source = f"{origin} {papers(cls.card)}" if cls.card.published else UNPUBLISHED.capitalize()
    above = f"One of {link('the blocks', links.index)}. " if links.index else ""
    file = f" [Source]({links.source})." if links.source else ""
    return f"{above}{source}.{file}"


def _use(cls: type[Block]) -> str:
    name = cls.name
    compared = "bare,prenorm" if cls.is_bare() else f"bare,{name}"
    return (
        f'Use it with `zoo.Recurrent("lstm", input_size, hidden_size, block="{name}")` in Python, or with '
        f"`zoo train --cell lstm --block {name}` on the command line. `zoo compare --cells lstm,gru --block "
        f"{compared} --tasks copying` compares blocks, and `zoo check block:{name}` tests its laws."
    )


def _parameters(cls: type[Block]) -> Iterator[str]:
    """The number of parameters around a recurrence and around a mixer, by the position of the layer."""
    headings = ("around", "layer", "formula", f"I={INPUT_SIZE}, D={HIDDEN_SIZE}")
    rows, end = [], _end_of_stack(cls)
    for name in EXAMPLE_CELLS:
        for position, placement in (("first", _FIRST), ("middle", _MIDDLE), ("last", _LAST)):
            count, formula = _count(cls, name, placement)
            rows.append((f"`{name}`", position, formula, f"{count:,}"))
    yield from (*TextTable("", headings, tuple(rows), right=(3,)).markdown(), "")
    last = f", and the last one ends with {end}" if end else ""
    yield from wrapped(
        f"The first layer projects its input{last}. The mixer `gla` has projections and gates of its own."
    )
    yield ""


def _diagram_note(cls: type[Block]) -> str:
    end = _end_of_stack(cls)
    last = f" and ends with {end}" if end else ""
    return (
        f"The diagram shows the block around `{DIAGRAM_CELL}`, in a stack of one layer, which projects its "
        f"input{last}. The arrays of the block begin with `{BLOCK_PREFIX}`. Blue are arguments, grey are "
        f"parameters and buffers, green are results."
    )


def _end_of_stack(cls: type[Block]) -> str:
    """The operation after the last layer of a stack; empty if there is none."""
    return "" if cls.finish is Block.finish else "`finish`, the last operation of a stack"


def _count(cls: type[Block], name: str, placement: tuple[bool, bool, int]) -> tuple[int, str]:
    """The parameters of the block in one layer, and the number as a polynomial in I and D."""
    is_first, is_last, layers = placement
    cell = resolve_cell_in_block(name, cls)
    cell = place_in_stack(cell, is_first=is_first, is_last=is_last, num_layers=layers)
    arrays = {key: array for key, array in cell.params.items() if key.startswith(BLOCK_PREFIX)}
    shapes = cell.param_shapes(INPUT_SIZE if is_first else HIDDEN_SIZE, HIDDEN_SIZE)
    count = sum(math.prod(shapes[key]) for key in arrays)
    return count, count_in_letters(arrays, cell.options).replace("H", "D")


def _cell_list(names: Iterable[str], addresses: Mapping[str, str]) -> list[str]:
    items = [f"[{name}]({addresses[name]})" if name in addresses else name for name in names]
    words = "Of all blocks of zoo, this one is nearest to the block in the papers of these cells:"
    return [*wrapped(f"{words} {', '.join(items)}."), ""] if items else []
