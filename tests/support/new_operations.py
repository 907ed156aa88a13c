"""Operations that zoo lacks, each a row of the table and nothing else, and a cell that uses them."""

from __future__ import annotations

from typing import Any

import numpy as np

import zoo
from zoo.compiler.frontend.symbolic import SymbolicArray
from zoo.compiler.ir.dims import ONE, ZERO
from zoo.compiler.ir.graph import Node, View
from zoo.compiler.ir.op_table import Kind, Op
from zoo.compiler.ir.structural_ops import SUM, reshape, with_ones


def _prod_vjp(g: Any, node: Any, a: Any) -> tuple[Any]:
    def spread(value: Any) -> Any:
        return node.graph.broadcast(reshape(value, with_ones(value.shape, node.attr)), a.shape)

    return (spread(g * node) / a,)


PROD = Op(
    "prod",
    Kind.REDUCTION,
    shape=SUM.shape,
    numpy_for=lambda node, sizes, dtype: lambda value: np.prod(value, node.attr[0] - node.inputs[0].ndim),
    vjp=_prod_vjp,
    expensive=True,
    code="{0} *= {1}",
    export="{0} *= {1}",
    onnx="ReduceProd",
    initial=1.0,
)


def _mirror_view(node: Node, view: View) -> View:
    last, stride = node.shape[-1] - ONE, view.strides[-1]
    return View(view.base, view.offset + last * stride, (*view.strides[:-1], ZERO - stride), node.shape)


MIRROR = Op(
    "mirror",
    Kind.VIEW,
    shape=lambda inputs, attr: inputs[0].shape,
    numpy_for=lambda node, sizes, dtype: lambda value: value[..., ::-1],
    vjp=lambda g, node, a: (g.graph.node(MIRROR, (g,)),),
    view=_mirror_view,
)


def _prod(a: Any) -> Any:
    """The product of the last axis."""
    if not isinstance(a, SymbolicArray):
        return np.prod(a, -1)
    return SymbolicArray(a.graph.node(PROD, (a.node,), (a.ndim - 1,)))


def _mirror(a: Any) -> Any:
    """The last axis in reverse order."""
    return SymbolicArray(a.graph.node(MIRROR, (a.node,))) if isinstance(a, SymbolicArray) else a[..., ::-1]


class Products(zoo.Cell):
    """A cell with new operations."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    W, U = zoo.Param("H", 3, init="ones"), zoo.Param("I", "H", init="ones")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> Any:
        return np.tanh(_prod(zoo.sigmoid(_mirror(h)[:, None] * self.W)) + x @ self.U)
