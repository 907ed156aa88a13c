"""Recurrences without connections between units, which need little memory for real-time recurrent learning.

The pattern is a step in which every element of a new state reads only state elements of its own unit, the
index along their last axis: ``s' = f(s, x)`` for each unit alone, as in IndRNN, LRU or minGRU. Every
parameter that a new state reads belongs to one unit, too. The input may be multiplied by any matrix, and the
output may combine all units.

The pass goes backward through the graph, from the elements of the new states, and notes for each element of
a value which units read it. An operation that it does not know reads all elements of its operands.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from zoo.array_types import Array
from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.interpreter import numpy_impl
from zoo.compiler.ir.dims import Sizes, concrete_shape
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import DOT, DOT_HEADS


class Readers(NamedTuple):
    """The units that read each element of a value.

    Args:
        low: The lowest of them; the number of all units if there are none.
        high: The highest; -1 if there are none.
    """

    low: Array
    high: Array

    def joined(self, other: Readers) -> Readers:
        """The units of both."""
        return Readers(np.minimum(self.low, other.low), np.maximum(self.high, other.high))


class UnitGroups(NamedTuple):
    """A step without connections between units.

    Args:
        states: The unit of each element of each continuous state.
        params: The unit of each element of each parameter; -1 if no new state reads it.
    """

    states: Mapping[str, Array]
    params: Mapping[str, Array]


def match_unit_groups(step_graph: StepGraph, sizes: Sizes) -> UnitGroups | None:
    """The units of states and parameters; None if units are connected.

    Args:
        step_graph: The step.
        sizes: ``I``, ``H`` and the options that are sizes.
    """
    declared = step_graph.cell.states
    shapes = {
        name: concrete_shape(node.shape, sizes)
        for name, node in step_graph.states.items()
        if not declared[name].discrete
    }
    if len({shape[-1:] for shape in shapes.values()}) != 1 or () in shapes.values():
        return None
    (count,) = next(iter(shapes.values()))[-1:]
    states = {name: np.broadcast_to(np.arange(count), shape) for name, shape in shapes.items()}
    readers = _readers(step_graph, states, sizes, count)
    for name, units in states.items():
        low, high = readers[step_graph.states[name]]
        if not np.all((high < 0) | ((low == units) & (high == units))):
            return None
    of_params = {name: readers[node] for name, node in step_graph.params.items()}
    if any(np.any(each.low < each.high) for each in of_params.values()):
        return None
    return UnitGroups(states, {name: each.high for name, each in of_params.items()})


def _readers(
    step_graph: StepGraph, states: Mapping[str, Array], sizes: Sizes, count: int
) -> dict[Node, Readers]:
    """The readers of all states and parameters, and of every value that the new states depend on."""
    outputs = {name: step_graph.new_states[name] for name in states}
    nodes = ancestors(outputs.values())
    readers = {}
    for node in {*nodes, *step_graph.states.values(), *step_graph.params.values()}:
        shape = concrete_shape(node.shape, sizes)
        readers[node] = Readers(np.full(shape, count), np.full(shape, -1))
    for name, node in outputs.items():
        readers[node] = readers[node].joined(Readers(states[name], states[name]))
    for node in reversed(nodes):
        for index, operand in enumerate(node.inputs):
            shape = readers[operand].low.shape
            more = _operand_readers(node, index, shape, readers[node], sizes, count)
            readers[operand] = readers[operand].joined(more)
    return readers


def _operand_readers(
    node: Node, index: int, shape: tuple[int, ...], own: Readers, sizes: Sizes, count: int
) -> Readers:
    """The units that read the elements of one operand by way of a value."""
    kind = node.op.kind
    if kind is Kind.ELEMENTWISE or (node.op in (DOT, DOT_HEADS) and index == 2):
        return _reduced(own, shape)
    if kind is Kind.CONCAT:
        lengths = [concrete_shape(each.shape, sizes)[node.attr] for each in node.inputs]
        start = sum(lengths[:index])
        part = tuple([slice(None)] * node.attr + [slice(start, start + lengths[index])])
        return Readers(own.low[part], own.high[part])
    if kind is Kind.VIEW:
        size = int(np.prod(shape, dtype=int))
        elements = np.arange(size).reshape(shape)
        source = np.ravel(numpy_impl(node, sizes, np.dtype(np.int64))(elements))
        low, high = np.full(size, count), np.full(size, -1)
        np.minimum.at(low, source, own.low.ravel())
        np.maximum.at(high, source, own.high.ravel())
        return Readers(low.reshape(shape), high.reshape(shape))
    if kind is Kind.REDUCTION:
        return Readers(*(np.broadcast_to(np.expand_dims(each, node.attr), shape) for each in own))
    if node.op == DOT and index == 1:  # a column for each element of the last axis
        return Readers(*(np.broadcast_to(each, shape) for each in _reduced(own, shape[-1:])))
    if node.op == DOT_HEADS and index == 1:
        return Readers(*(np.broadcast_to(each, shape) for each in _reduced(own, (shape[0], 1, shape[2]))))
    return Readers(*(np.broadcast_to(each, shape) for each in _reduced(own, ())))


def _reduced(own: Readers, shape: tuple[int, ...]) -> Readers:
    """The readers of an operand that is broadcast."""
    extra = own.low.ndim - len(shape)
    axes = (*range(extra), *(extra + n for n, size in enumerate(shape) if size == 1))
    return Readers(
        own.low.min(axis=axes, initial=np.iinfo(int).max).reshape(shape),
        own.high.max(axis=axes, initial=-1).reshape(shape),
    )
