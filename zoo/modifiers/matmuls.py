"""The products of a step with parameters: found by reading its equations, and recognised again."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.base import Cell
from zoo.base.cell_editor import Product, Sizes
from zoo.compiler.frontend.complex_numbers import Complex
from zoo.compiler.frontend.matmul_hook import matmul_hook
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.frontend.trace_step import StepGraph, trace_step
from zoo.compiler.ir.dims import Dim, as_dim
from zoo.compiler.ir.graph import Level, Node, ancestors

STAND_IN = "stand_in"
"""The operation of a node in place of a parameter that a modifier removed: it has a shape and no numbers."""

_PARAMETERS = ("param", STAND_IN)


@dataclass(frozen=True)
class Found:
    """A product in the graph of a step.

    Args:
        product: What a modifier is told of it.
        operand: Nodes of what is multiplied.
        result: Nodes of the result: one, or two for complex numbers.
    """

    product: Product
    operand: tuple[Node, ...]
    result: tuple[Node, ...]


def parameter_product(a: Any, b: Any) -> tuple[Any, Any, bool] | None:
    """The operand, the matrix, and whether it stands on the left, if ``a @ b`` is a product with parameters.

    One of the two has to depend on parameters alone, and the other on more.
    """
    if _varies(a) and _is_of_parameters(b):
        return a, b, False
    if _varies(b) and _is_of_parameters(a):
        return b, a, True
    return None


def find_products(cell: Cell) -> tuple[StepGraph, list[Found]]:
    """The equations of a cell, and the products in them.

    Raises:
        DefinitionError: if the cell's step cannot be read.
    """
    seen: list[tuple[Any, Any, bool, Any]] = []

    def look(a: Any, b: Any) -> Any:
        result = a @ b
        if (found := parameter_product(a, b)) is not None:
            seen.append((*found, result))
        return result

    with matmul_hook(look):
        equations = trace_step(cell)
    once = seen[: len(seen) // 2]  # a step is read twice, to see that it is the same again
    names = _names([nodes_of(matrix) for _, matrix, *_ in once])
    return equations, [
        _found(index, name, *each) for index, (name, each) in enumerate(zip(names, once, strict=True))
    ]


def _found(index: int, name: str, operand: Any, matrix: Any, is_left: bool, result: Any) -> Found:
    param, place = _direct(nodes_of(matrix))
    is_complex = any(isinstance(each, Complex) for each in (operand, matrix))
    recurrent = any(node.level == Level.STEP for node in nodes_of(operand))
    sizes = texts(operand.dims), texts(matrix.dims), texts(result.dims)
    squares = _squares(matrix.dims)
    product = Product(index, name, param, place, recurrent, *sizes, is_left, is_complex, squares)
    return Found(product, nodes_of(operand), nodes_of(result))


def _squares(dims: Sequence[Dim]) -> int | None:
    count = dims[1].divide(dims[0]) if len(dims) == 2 else None
    return count.integer if count is not None else None


def texts(dims: Sequence[Dim]) -> Sizes:
    """Lengths as sizes are declared, ``"4H"``."""
    return tuple(re.sub(r"(\d) \* ", r"\1", str(dim)).replace(" // ", "/") for dim in dims)


def nodes_of(value: Any) -> tuple[Node, ...]:
    """The nodes of a symbolic array; none for numbers."""
    if isinstance(value, Complex):
        return value.real.node, value.imag.node
    return (value.node,) if isinstance(value, SymbolicArray) else ()


def _varies(value: Any) -> bool:
    return any(node.level != Level.ONCE for node in nodes_of(value))


def _is_of_parameters(value: Any) -> bool:
    return not _varies(value) and bool(_parameters(nodes_of(value)))


def _parameters(nodes: Iterable[Node]) -> list[str]:
    """The parameters that something is made of."""
    return [node.attr for node in ancestors(nodes) if node.op in _PARAMETERS]


def _direct(nodes: Sequence[Node]) -> tuple[str, tuple[int, ...]]:
    """The parameter that a matrix is, and the place if it is one of a stack; an empty name if neither."""
    places = [_place(node) for node in nodes]
    params = {param for param, _ in places}
    if len(nodes) == 2:  # the real and the imaginary plane of one parameter
        is_whole = len(params) == 1 and [place for _, place in places] == [(0,), (1,)]
        return (params.pop(), ()) if is_whole else ("", ())
    return places[0]


def _place(node: Node) -> tuple[str, tuple[int, ...]]:
    if node.op in _PARAMETERS:
        return node.attr, ()
    below = node.inputs[0] if node.op == "reshape" else node
    start = 0
    if below.op == "slice" and below.attr[0] == 0 and below.attr[1].integer is not None:
        start, below = below.attr[1].integer, below.inputs[0]
    is_one = below.op in _PARAMETERS and node.shape == below.shape[1:]
    is_one = is_one and (node.inputs[0].op == "slice" or below.shape[0] == as_dim(1))
    return (below.attr, (start,)) if is_one else ("", ())


def _names(matrices: Iterable[Sequence[Node]]) -> list[str]:
    """A name for each product: that of its parameter, with its place, or a number if that is taken."""
    found: list[str] = []
    for matrix in matrices:
        param, place = _direct(matrix)
        name = "".join([param or _parameters(matrix)[0], *map(str, place)])
        others = (f"{name}_{number}" for number in itertools.count(2))
        found.append(next(each for each in itertools.chain([name], others) if each not in found))
    return found
