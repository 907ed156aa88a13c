"""Specialised step graphs have the same values."""

from __future__ import annotations

import numpy as np
import pytest
from export_asserts import case

import zoo
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.interpreter import GraphInterpreter
from zoo.compiler.ir.dims import concrete_shape
from zoo.compiler.ir.graph import Graph, Level, ancestors
from zoo.compiler.passes.specialise import copy_with_sizes, fold_parameters, specialise

CELLS = ["vanilla", "lstm", "retnet", "mamba", "clockwork", "slstm", "lif", "rg_lru", "lru", "lipschitz"]


def evaluate(nodes, leaf_values):
    """The values of nodes by node."""
    known = {node: leaf_values[node.op][node.attr] for node in nodes if node.op in leaf_values}
    expression = GraphInterpreter({}, {}, np.dtype(np.float64)).prepare(nodes, known)
    return dict(zip(nodes, expression(known), strict=True))


@pytest.mark.parametrize("name", [*CELLS, "lstm+zoneout"])
def test_specialised_graph_has_the_same_values(name):
    numbers = case(zoo.Recurrent(name, 3, 8, dtype="float64", seed=1), 1, 1)
    cell = numbers.rnn.cell
    arrays = {key.removeprefix("l0."): v for key, v in {**numbers.rnn.params, **numbers.rnn.buffers}.items()}
    constants = {key: each.value(cell.options) for key, each in cell.inputs.items()}
    equations = specialise(trace_step(cell), {"I": 3, "H": 8}, constants)
    nodes = ancestors(equations.outputs)
    state = {key.removeprefix("l0."): value[0] for key, value in numbers.state.items()}
    leaf_values = {"param": arrays, "buffer": arrays, "state": state, "x": {"x": numbers.x[0, 0]}}
    values = evaluate(nodes, leaf_values)
    expected, *_ = numbers.expected()
    np.testing.assert_allclose(values[equations.y], expected[0, 0], rtol=1e-12, atol=1e-14)
    assert all(values[node].shape == concrete_shape(node.shape) for node in nodes if node.value is None)
    shared = fold_parameters(equations.outputs, arrays, np.dtype(np.float64))
    assert set(shared) == {node for node in nodes if node.level == Level.ONCE}


def test_constant_inputs_are_folded_and_others_stay():
    equations = trace_step(zoo.get_cell("ctrnn"))
    constants = specialise(equations, {"I": 3, "H": 4}, {"dt": 0.5})
    assert (dict(constants.inputs), set(specialise(equations, {"I": 3, "H": 4}, {}).inputs)) == ({}, {"dt"})


def test_derivative_markers_are_removed():
    equations = specialise(trace_step(zoo.get_cell("lif")), {"I": 3, "H": 4}, {})
    assert not {"with_derivative", "stop_gradient"} & {node.op for node in ancestors(equations.outputs)}


@pytest.mark.parametrize("name", zoo.list_cells())
def test_copies_are_equal_to_the_nodes(name):
    copies = copy_with_sizes(trace_step(zoo.get_cell(name)).outputs, Graph(), {})
    for node, copied in copies.items():
        assert copied.inputs == tuple(copies[operand] for operand in node.inputs)
        for attribute in ("op", "attr", "shape", "level", "is_bool"):
            assert getattr(copied, attribute) == getattr(node, attribute)
