"""Generated products of stacks of matrices: code against NumPy, gradients against differences.

One operand depends on the state or the input. The other is a parameter or depends on the state too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import step_asserts as checks
from hypothesis import assume, given
from hypothesis import strategies as st
from structure_cells import structure_cell

from zoo.compiler.compile import plan_kernels

no_files = checks.no_files

SIZES = (3, 4)
LENGTHS = st.integers(1, 3)


@dataclass(frozen=True)
class Product:
    """``a @ b`` for ``a (*left, M, K)`` and ``b (*right, K, N)``.

    Args:
        left: Leading lengths of a; None if a is the vector ``(K,)``.
        right: Leading lengths of b; None if b is the vector ``(K,)``.
        lengths: M, K and N.
        parameter: The operand that is a parameter; empty if both are states.
        reads_x: Whether the other operand is computed from the input ``x (K,)``.
        a_axes: The order of the stored axes of a; those beyond its axes do not count.
        b_axes: The same for b.
        is_sliced: Whether the states have one more entry in front, which the product does not read.
    """

    left: tuple[int, ...] | None
    right: tuple[int, ...] | None
    lengths: tuple[int, int, int]
    parameter: str
    reads_x: bool
    a_axes: tuple[int, ...]
    b_axes: tuple[int, ...]
    is_sliced: bool

    def shape(self, name: str) -> tuple[int | str, ...]:
        """The shape of an operand."""
        m, k, n = self.lengths[0], "I" if self.reads_x else self.lengths[1], self.lengths[2]
        lead = self.left if name == "a" else self.right
        if lead is None:
            return (k,)
        return (*lead, *((m, k) if name == "a" else (k, n)))

    def axes(self, name: str) -> tuple[int, ...]:
        """The order in which an operand has the axes of its stored array."""
        order = self.a_axes if name == "a" else self.b_axes
        return tuple(axis for axis in order if axis < len(self.shape(name)))

    def stored_shape(self, name: str) -> tuple[int | str, ...]:
        """The shape of the array that an operand is taken from."""
        lengths = dict(zip(self.axes(name), self.shape(name), strict=True))
        shape = [lengths[axis] for axis in sorted(lengths)]
        return (f"{shape[0]}+1", *shape[1:]) if self.is_sliced and name != self.parameter else tuple(shape)

    def operand(self, name: str, values: Any) -> Any:
        """An operand, given the states, parameters and the input."""
        if self.reads_x and name != self.parameter:
            shape = self.shape(name)[:-1]
            return values.x * np.linspace(-1, 1, math.prod(shape)).reshape(*shape, 1) if shape else values.x
        stored = getattr(values, name.upper() if name == self.parameter else name)
        if self.is_sliced and name != self.parameter:
            stored = stored[1:]
        return stored.transpose(self.axes(name))


@st.composite
def products(draw: st.DrawFn) -> Product:
    heads = draw(LENGTHS)
    leads = st.sampled_from([None, (), (1,), (heads,), (2, heads), (1, heads)])
    parameter, reads_x = draw(st.sampled_from([("a", False), ("b", False), ("", False), ("b", True)]))
    lengths = draw(st.tuples(LENGTHS, LENGTHS, LENGTHS))
    left, right = draw(leads), draw(leads)
    a_axes, b_axes = draw(st.permutations(range(4))), draw(st.permutations(range(4)))
    return Product(
        left, right, lengths, parameter, reads_x, tuple(a_axes), tuple(b_axes), draw(st.booleans())
    )


def product_cell(product: Product) -> Any:
    """A cell whose output is the product, and whose states depend on it."""
    shapes = {"h": "H"}
    for name in ("a", "b"):
        if not (product.reads_x and name != product.parameter):
            key = name.upper() if name == product.parameter else name
            shapes[key] = " ".join(map(str, product.stored_shape(name)))

    def expression(values: Any) -> Any:
        result = product.operand("a", values) @ product.operand("b", values)
        return np.concatenate([result.reshape(-1), values.h])

    return structure_cell(shapes, expression)


@given(product=products())
def test_products_equal_numpy_and_gradients_equal_differences(product: Product) -> None:
    checks.check(checks.trial(product_cell(product), SIZES))


@given(product=products())
def test_products_with_a_parameter_run_for_all_rows_at_once(product: Product) -> None:
    """A matrix of parameters, or a stack of them, is never multiplied element by element."""
    leads = [lead for lead in (product.left, product.right) if lead is not None]
    parameter = {"a": product.left, "b": product.right, "": None}[product.parameter]
    assume(parameter is not None and all(len(lead) < 2 for lead in leads))
    source, _ = plan_kernels(product_cell(product)).source.split("def backward(")
    assert any(f"kernels.{name}" in source for name in ("add_matmul", "set_matmul", "project"))
