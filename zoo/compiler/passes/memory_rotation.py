"""Polar form of the factors of complex memories: ``gamma * exp(i theta)`` as a decay and an angle.

A complex factor is two real arrays, ``gamma * cos(theta)`` and ``gamma * sin(theta)``. The form is found in
the products, so that gamma and theta have exact gradients. The angle of a factor given by its real and
imaginary part has no derivative at zero, so such a factor has a polar form only if it needs no gradient.
"""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass

from zoo.compiler.ir import structural_ops as ops
from zoo.compiler.ir.dims import ONE, ZERO
from zoo.compiler.ir.elementwise_ops import DIVIDE, MULTIPLY, NEGATIVE
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.op_table import OPS, Kind, Op
from zoo.compiler.ir.structural_ops import (
    ARRAY,
    BROADCAST,
    BUFFER,
    CONSTANT,
    EYE,
    RESHAPE,
    SIZE,
    TRANSPOSE,
)

COS, SIN = OPS["cos"], OPS["sin"]


@dataclass(frozen=True)
class Polar:
    """Decay and angle of the factors of the rows of a complex memory.

    Args:
        decay: ``(heads, R)``, or ``(heads, 1)`` if it is the same in all rows; None for one.
        cosine: Cosine of the angle, ``(heads, R)``.
        sine: Sine of the angle, ``(heads, R)``.
        is_trained: Whether the angle needs a gradient.
    """

    decay: Node | None
    cosine: Node
    sine: Node
    is_trained: bool


def polar_form(real: Node, imag: Node) -> Polar | None:
    """The polar form of complex factors ``(heads, R)``, given their parts; None if it is not found."""
    (real_number, reals), (imag_number, imags) = factors_of(real), factors_of(imag)
    for cosine in reals if abs(real_number) == abs(imag_number) else ():
        for sine in imags:
            angle = _argument(cosine, COS)
            if angle is None or angle is not _argument(sine, SIN):
                continue
            decays = [node for node in reals if node is not cosine]
            if decays == [node for node in imags if node is not sine]:
                # exp(-i theta) has the opposite sign in the imaginary part.
                signed = sine if real_number == imag_number else -sine
                return Polar(_decay(real_number, decays, real), cosine, signed, is_trained(angle))
    common = [node for node in reals if node in imags]
    real = _product(real_number, [node for node in reals if node not in common], real)
    imag = _product(imag_number, [node for node in imags if node not in common], imag)
    return None if is_trained(real) or is_trained(imag) else _polar_form_of_parts(real, imag, common)


def _polar_form_of_parts(real: Node, imag: Node, decays: list[Node]) -> Polar:
    """The polar form of factors without gradients, times decays."""
    graph = real.graph
    size = graph.apply("sqrt", real * real + imag * imag)
    is_zero = graph.apply("equal", size, 0.0)
    divisor = graph.apply("where", is_zero, 1.0, size)
    cosine = graph.apply("where", is_zero, 1.0, real / divisor)
    number, factors = factors_of(size)
    return Polar(_decay(number, [*decays, *factors], real), cosine, imag / divisor, False)


def _product(number: float, factors: list[Node], like: Node) -> Node:
    """A product in the shape of another value."""
    return functools.reduce(operator.mul, factors, like.graph.constant(number, like.shape))


def factors_of(node: Node) -> tuple[float, list[Node]]:
    """A number and nodes, sorted, whose product a value is."""
    if node.value is not None:
        return node.value, []
    if node.op in (BROADCAST, RESHAPE, TRANSPOSE):
        number, factors = factors_of(node.inputs[0])
        views = (node.graph.build(node.op, (each,), node.attr, node.shape) for each in factors)
        return number, sorted(views, key=_index)
    if node.op == NEGATIVE:
        number, factors = factors_of(node.inputs[0])
        return -number, factors
    if node.op == MULTIPLY or (node.op == DIVIDE and node.inputs[1].value is None):
        (a, first), (b, second) = map(factors_of, node.inputs)
        if node.op == DIVIDE:
            b, second = 1.0, [1.0 / node.inputs[1]]
        return a * b, sorted([*first, *second], key=_index)
    return 1.0, [node]


def _index(node: Node) -> int:
    return node.index


def _argument(node: Node, function: Op) -> Node | None:
    """The argument of a cosine or sine, or of a view of one, in the shape of the view."""
    if node.op == function:
        return node.inputs[0]
    if node.op in (BROADCAST, RESHAPE, TRANSPOSE):
        inner = _argument(node.inputs[0], function)
        return None if inner is None else node.graph.build(node.op, (inner,), node.attr, node.shape)
    return None


def real_decay(decay: Node) -> Node | None:
    """A real decay ``(heads, R)``, or ``(heads, 1)`` if it is the same in all rows; None for one."""
    return _decay(*factors_of(decay), decay)


def _decay(number: float, factors: list[Node], like: Node) -> Node | None:
    """The product of a number and of factors ``(heads, R)``, the shape of ``like``."""
    if all(_is_constant(node, 1) for node in factors):
        factors = [ops.slice_axis(node, 1, ZERO, ONE) for node in factors]
    if number != 1.0 or not factors:
        factors = [*factors, like.graph.constant(number, (like.shape[0], ONE))]
    decay = functools.reduce(operator.mul, factors)
    return None if decay.value == 1.0 else decay


def _is_constant(node: Node, axis: int) -> bool:
    """Whether the entries along an axis are the same."""
    if node.value is not None or node.shape[axis] == ONE:
        return True
    if node.op.kind is Kind.ELEMENTWISE:
        return all(_is_constant(operand, axis) for operand in node.inputs)
    inner = node.inputs[0] if node.inputs else None
    if inner is None:
        return False
    if node.op == BROADCAST:
        inner_axis = axis - node.ndim + inner.ndim
        return inner_axis < 0 or _is_constant(inner, inner_axis)
    if node.op == TRANSPOSE:
        return _is_constant(inner, node.attr[axis])
    if node.op == RESHAPE:
        own, others = ([n for n, dim in enumerate(each.shape) if dim != ONE] for each in (node, inner))
        same = [node.shape[n] for n in own] == [inner.shape[n] for n in others]
        return same and _is_constant(inner, others[own.index(axis)])
    return False


def is_trained(node: Node) -> bool:
    """Whether a value depends on anything but buffers and numbers."""
    leaves = (each.op for each in ancestors([node]) if not each.inputs)
    return not all(op in (BUFFER, CONSTANT, ARRAY, SIZE, EYE) for op in leaves)
