"""Names of stacks of layers: ``2*griffin(rg_lru),griffin(lstm)`` has three layers, the first one below.

A comma separates layers. ``N*`` repeats a layer, or several in parentheses:
``4*(2*griffin(rg_lru),griffin(lstm))`` has twelve. In a list of cells, which has commas of its own, a stack
is one item, in parentheses or with a number in front: ``lstm,(lstm,gru),2*gru`` is a cell and two stacks.

The comma was the notation for layers before. Other characters mean something else: ``+`` begins a modifier,
``/`` and ``-`` occur in paths of files, ``:`` separates a file and its class, ``=`` a label, ``.`` an option.
A shell writes into a file at ``>`` and starts another program at ``|``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from zoo.arguments import short_repr
from zoo.errors import UsageError
from zoo.registry.plugin_files import is_file_spec

MAX_LAYERS = 1000

_REPEATED = re.compile(r"([0-9]+)\*(.*)", re.DOTALL)
_MAX_DEPTH = 2
"""Parentheses within each other: those of an item of a list, and those of a pattern that is repeated."""


def split_at_commas(text: str) -> list[str]:
    """Split at the commas that are not within parentheses, or at all commas if the parentheses have no pairs.

    Parentheses without pairs are part of a path.
    """
    parts, depth = [""], 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            break
        if letter == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in (text.split(",") if depth else parts)]


def is_stack(text: str) -> bool:
    """Whether an item of a list of cells is a stack of layers, ``(lstm,gru)`` or ``2*lstm``."""
    return bool(_REPEATED.fullmatch(text)) or _in_parentheses(text) is not None


def _in_parentheses(text: str) -> str | None:
    """The text within parentheses that begin and end ``text``; None if there are none."""
    if not (text.startswith("(") and text.endswith(")")):
        return None
    depths = itertools.accumulate((letter == "(") - (letter == ")") for letter in text)
    closed = next((index for index, depth in enumerate(depths) if depth == 0), None)
    return text[1:-1] if closed == len(text) - 1 else None


def layer_names(text: str) -> list[str]:
    """The name of the cell of each layer, from the notation of a stack or from the name of a cell.

    Raises:
        UsageError: if a name is empty, a layer is invalid, or there are too many layers.
    """
    return _expand(text, text, 0)


def _expand(text: str, whole: str, depth: int) -> list[str]:
    layers: list[str] = []
    for item in split_at_commas(text):
        count, name = _split_count(item)
        pattern = _in_parentheses(name)
        if pattern is None:
            names = [_checked_layer(name)]
        elif depth == _MAX_DEPTH:
            raise UsageError(
                f"{short_repr(whole)} has parentheses within a repeated pattern; write out its layers."
            )
        else:
            names = _expand(pattern, whole, depth + 1)
        if len(layers) + count * len(names) > MAX_LAYERS:
            raise UsageError(f"{short_repr(whole)} has more than {MAX_LAYERS:,} layers; give fewer.")
        layers += count * names
    return layers


def _split_count(item: str) -> tuple[int, str]:
    """Split ``2*lstm``; the number is 1 if there is none."""
    repeated = _REPEATED.fullmatch(item)
    if not repeated:
        return 1, item
    digits, name = repeated.groups()
    if len(digits) > len(str(MAX_LAYERS)) or not 1 <= int(digits) <= MAX_LAYERS:
        raise UsageError(f"{short_repr(item)} repeats a layer; expected 1 to {MAX_LAYERS:,} times.")
    return int(digits), name.strip()


def _checked_layer(name: str) -> str:
    if not name:
        raise UsageError("the name of a cell is empty; leave out the comma, or give a name.")
    if not is_file_spec(name) and ("*" in name or "," in name):
        raise UsageError(
            f"{short_repr(name)} is not a layer; expected CELL, BLOCK(CELL), or a number in front of a layer "
            f"or of layers in parentheses, as in 2*(prenorm(lstm),gru)."
        )
    return name


def stack_name(layers: Sequence[str]) -> str:
    """The name of a stack as an item of a list of cells, from the names of its layers.

    Raises:
        UsageError: if the path of a file contains commas or parentheses without pairs.
    """
    period = next(
        size
        for size in range(1, len(layers) + 1)
        if len(layers) % size == 0 and [*layers] == [*layers[:size]] * (len(layers) // size)
    )
    repeats = len(layers) // period
    runs = [(name, len(list(run))) for name, run in itertools.groupby(layers[:period])]
    pattern = ",".join(f"{count}*{name}" if count > 1 else name for name, count in runs)
    text = (
        f"{repeats}*{pattern}" if period == 1 else f"{repeats}*({pattern})" if repeats > 1 else f"({pattern})"
    )
    if layer_names(text) != [*layers]:
        raise UsageError(
            f"{text!r} is not a stack, since the path of a file has commas or parentheses; rename it."
        )
    return text


def stack_label(name: str) -> str:
    """The label of a stack, which can name a directory: ``4x(2xgriffin(rg_lru)-griffin(lstm))``."""
    return (_in_parentheses(name) or name).replace(",", "-").replace("*", "x")
