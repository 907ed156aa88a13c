"""What a modifier is shown of a cell: declarations, products with parameters, and where those are added."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.base.cell import Cell
from zoo.base.declarations import Array, Buffer, Input, Param, State
from zoo.base.names import check_part_name
from zoo.base.size_expr import as_sizes
from zoo.errors import UsageError

Sizes = tuple[str, ...]


@dataclass(frozen=True)
class Product:
    """A product in ``step`` of something that varies with a matrix made of parameters.

    Args:
        index: Its place in the order in which ``step`` multiplies.
        name: A name for it that no other product has: that of the parameter where it can be.
        param: The parameter that is the matrix, or whose part is; empty if the matrix is computed.
        place: Where in the parameter the matrix stands, ``(2,)`` for ``self.R[2]``; empty for all of it.
        recurrent: Whether what is multiplied depends on a state.
        operand: Sizes of what is multiplied.
        matrix: Sizes of the matrix.
        result: Sizes of the product.
        is_left: Whether the matrix stands on the left.
        is_complex: Whether complex numbers are involved.
        squares: How many square matrices stand side by side in the matrix, as gates do; None if it is made
            otherwise.
    """

    index: int
    name: str
    param: str
    place: tuple[int, ...]
    recurrent: bool
    operand: Sizes
    matrix: Sizes
    result: Sizes
    is_left: bool
    is_complex: bool
    squares: int | None

    def of(self, operand: Any, matrix: Any) -> Any:
        """The product itself."""
        return matrix @ operand if self.is_left else operand @ matrix

    def part_of(self, array: Any) -> Any:
        """The part of another parameter that belongs to this product, if that has the same axes in front."""
        for place in self.place:
            array = array[place]
        return array


@dataclass(frozen=True)
class Sum:
    """A product of a state and one of the input that ``step`` adds.

    Args:
        recurrent: The product of a state.
        driven: The product of the input.
        part: From the value of the second to the part of it that is added to the first.
        is_whole: Whether that is all of it.
    """

    recurrent: Product
    driven: Product
    part: Callable[[Any], Any] = field(repr=False, compare=False)
    is_whole: bool


@dataclass
class Parts:
    """A cell as a modifier finds it, and as it leaves it: what is declared may be changed.

    Args:
        cell: The cell that is modified.
        modifier: Name of the modifier.
        params: Parameters by name.
        buffers: Buffers by name.
        states: States by name.
        inputs: Inputs beside x, noise among them, by name.
        products: Its products with parameters, in the order in which ``step`` multiplies.
        sums: Where a product of a state and one of the input are added.
        output: Size of the output.
        loose: Parameters that ``step`` uses otherwise than as the matrix of a product.
        start_of: From a parameter to how it starts, ``(rng, shape, cell) -> array``, for other shapes too.
    """

    cell: Cell
    modifier: str
    params: dict[str, Param]
    buffers: dict[str, Buffer]
    states: dict[str, State]
    inputs: dict[str, Input]
    products: tuple[Product, ...]
    sums: tuple[Sum, ...]
    output: str
    loose: frozenset[str]
    start_of: Callable[[Param], Callable[..., Any]]

    @property
    def recurrent(self) -> tuple[Product, ...]:
        """The products of what depends on a state.

        Raises:
            UsageError: if there is none.
        """
        found = tuple(product for product in self.products if product.recurrent)
        if not found:
            raise self.refusal("it multiplies no state by a matrix of parameters")
        return found

    def add(self, name: str, declared: Array) -> None:
        """Declare one more array.

        Raises:
            UsageError: if the cell has something of that name.
        """
        check_part_name(name, f"modifier {self.modifier!r}")
        groups = self._groups()
        taken = any(name in group for group in groups.values()) or name in self.cell.options
        if taken or hasattr(Cell, name):
            raise self.refusal(f"it has something called {name!r} already")
        declared.name = name
        next(group for kind, group in groups.items() if isinstance(declared, kind))[name] = declared

    def _groups(self) -> dict[type[Array], dict[str, Any]]:
        return {Param: self.params, Buffer: self.buffers, State: self.states, Input: self.inputs}

    def renamed(self, declared: Array, name: str, sizes: Mapping[str, str] | None = None) -> None:
        """Declare an array as another is declared, under a new name and with other sizes for letters."""
        twin = copy.copy(declared)
        twin.shape = as_sizes(tuple(_resized(size.text, sizes or {}) for size in declared.shape))
        self.add(name, twin)

    def refusal(self, why: str) -> UsageError:
        """The error that this modifier makes no sense for this cell: raise it."""
        return UsageError(f"modifier {self.modifier!r} does not suit {self.cell.label()}: {why}.")


def _resized(text: str, sizes: Mapping[str, str]) -> str:
    """A size with others in place of letters; a number in front of a letter multiplies it."""
    return re.sub(r"[A-Za-z_]\w*", lambda match: _grouped(sizes.get(match[0], match[0])), text)


def _grouped(text: str) -> str:
    return text if text.isidentifier() else f"({text})"


@dataclass
class Now:
    """One step as a modifier takes part in it.

    Args:
        arrays: Parameters, buffers and inputs beside x by name: those of the cell, and the modifier's own.
        parts: What was declared.
        memo: For the modifier to remember something until the end of the step.
    """

    arrays: Mapping[str, Any]
    parts: Parts
    memo: dict[Any, Any] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]


@dataclass(frozen=True)
class Stepped:
    """What a step makes.

    Args:
        y: The output; None where it is the first state.
        states: The new states by name.
    """

    y: Any
    states: dict[str, Any]

    @property
    def output(self) -> Any:
        """The output."""
        return next(iter(self.states.values())) if self.y is None else self.y
