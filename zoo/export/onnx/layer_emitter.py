"""One layer in an ONNX graph: over a whole sequence or for one step, as an operator or written out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.compiler.passes.specialise import concrete_shape
from zoo.export.exported_model import DirectionExport
from zoo.export.onnx.builtin_operators import RecurrentOperator, builtin_operator
from zoo.export.onnx.graph_builder import GraphBuilder, onnx_package
from zoo.export.onnx.step_emitter import RowEmitter, Tensor


@dataclass(frozen=True)
class LayerInputs:
    """What a layer reads, as names of tensors with as many axes in front as the graph has.

    Args:
        x: The input.
        is_tokens: Whether it is tokens.
        states: The states before the first step, by the cell's own name.
        inputs: Inputs beside x.
    """

    x: str
    is_tokens: bool
    states: Mapping[str, str]
    inputs: Mapping[str, str]


# The output, and the states after the last step by the cell's own name.
_BOOL = np.dtype(bool)

LayerOutputs = tuple[str, dict[str, str]]


def write_layer(
    nodes: GraphBuilder, part: DirectionExport, given: LayerInputs, is_step: bool
) -> LayerOutputs:
    """Write a layer; the names of what it makes.

    Args:
        nodes: Where to.
        part: The layer.
        given: What it reads.
        is_step: Whether that is one step, not a sequence.
    """
    rows = RowEmitter(
        nodes, part, 1 if is_step else 2, given.x, _input_tensors(part, given), given.is_tokens * given.x
    )
    operator = builtin_operator(part)
    if operator is not None:
        return _write_operator(rows, operator, given, is_step)
    return _write_step(rows, given) if is_step else _write_scan(rows, given)


def _input_tensors(part: DirectionExport, given: LayerInputs) -> dict[Node, Tensor]:
    """The input and those beside it as values of the step's."""
    equations = part.step_graph
    found = {
        node: Tensor(given.inputs[name], concrete_shape(node.shape))
        for name, node in equations.inputs.items()
    }
    if not given.is_tokens:
        found[equations.x] = Tensor(given.x, concrete_shape(equations.x.shape))
    return found


def _state_tensors(part: DirectionExport, names: Mapping[str, str]) -> dict[Node, Tensor]:
    states = part.step_graph.states
    return {node: Tensor(names[name], concrete_shape(node.shape)) for name, node in states.items()}


def _write_step(rows: RowEmitter, given: LayerInputs) -> LayerOutputs:
    """The equations as they are."""
    equations = rows.part.step_graph
    rows.give(_state_tensors(rows.part, given.states))
    rows.write(equations.outputs)
    return rows.whole(equations.y), {name: rows.whole(node) for name, node in equations.new_states.items()}


def _write_operator(
    rows: RowEmitter, operator: RecurrentOperator, given: LayerInputs, is_step: bool
) -> LayerOutputs:
    """One of ONNX's own operators, with an axis of directions; a step is a sequence of one."""
    nodes, part = rows.nodes, rows.part
    equations = part.step_graph
    rows.write([equations.x])
    x, first = rows.tensor(equations.x).name, nodes.integers(0)
    x = nodes.add("Unsqueeze", x, first) if is_step else x
    arrays = (operator.w[None], operator.r[None], operator.b[None])
    weights = [nodes.constant(a, f"{part.name}.{name}") for a, name in zip(arrays, "WRB", strict=True)]
    before = [nodes.add("Unsqueeze", given.states[name], first) for name in equations.states]
    wishes = [f"{part.name}.y", *(f"{part.name}.{name}_last" for name in equations.states)]
    told = {"hidden_size": part.layer.hidden_size, **operator.attributes}
    told |= {"direction": "reverse"} if part.layer.reverse else {}
    y, *after = nodes.add_many(operator.op, [x, *weights, "", *before], wishes, told)
    last = [nodes.add("Squeeze", tensor, first) for tensor in after]
    directions = nodes.integers(*(0, 1) if is_step else (1,))
    return nodes.add("Squeeze", y, directions), dict(zip(equations.states, last, strict=True))


def _write_scan(rows: RowEmitter, given: LayerInputs) -> LayerOutputs:
    """What depends on the input alone for all steps at once, and the rest step by step."""
    nodes, equations = rows.nodes, rows.part.step_graph
    ahead = _precomputed(equations.outputs, list(equations.new_states.values())) or [equations.x]
    rows.write(ahead)
    y_is_ahead = equations.y.level != Level.STEP
    if y_is_ahead:
        rows.write([equations.y])
    body = _scan_body(rows, ahead, None if y_is_ahead else equations.y)
    before = [given.states[name] for name in equations.states]
    read = [rows.tensor(node).name for node in ahead]
    wishes = [f"{rows.part.name}.{name}_last" for name in equations.states]
    wishes += [] if y_is_ahead else [f"{rows.part.name}.y"]
    told = {"body": body, "num_scan_inputs": len(read)}
    if rows.part.layer.reverse:
        told["scan_input_directions"] = [1] * len(read)
        told |= {} if y_is_ahead else {"scan_output_directions": [1]}
    found = nodes.add_many("Scan", [*before, *read], wishes, told)
    after = dict(zip(equations.states, found, strict=False))
    return rows.whole(equations.y) if y_is_ahead else found[-1], after


def _precomputed(outputs: list[Node], after: list[Node]) -> list[Node]:
    """Values of the input alone that the steps read, or that are states after one."""
    steps = ancestors(outputs, stop=lambda node: node.level != Level.STEP)
    read = {operand for node in steps if node.level == Level.STEP for operand in node.inputs}
    wanted = [node for node in {*read, *after} if node.level == Level.SEQUENCE]
    return sorted(wanted, key=lambda node: node.index)


def _scan_body(rows: RowEmitter, ahead: list[Node], y: Node | None) -> Any:
    """One step as a graph: states and what was computed ahead in, new states and the output out."""
    part, inner = rows.part, rows.nodes.inner()
    equations, helper = part.step_graph, onnx_package().helper
    kind = helper.np_dtype_to_tensor_dtype(part.dtype)
    states = {name: inner.fresh(f"{part.name}.{name}_before") for name in equations.states}
    seen = {node: Tensor(inner.fresh("now"), rows.tensor(node).shape) for node in ahead}
    like = next(iter(states.values()))
    step = RowEmitter(inner, part, 1, like, {**_state_tensors(part, states), **seen}, outer=rows)
    outputs = [*equations.new_states.values(), *([] if y is None else [y])]
    step.write(outputs)
    # What comes out needs a name of its own, be it a state as it was or one value twice.
    names = [inner.add("Identity", step.whole(node), name=f"{part.name}.out") for node in outputs]
    into = [_info(name, kind, equations.states[state].shape) for state, name in states.items()]
    for node, tensor in seen.items():
        of = helper.np_dtype_to_tensor_dtype(_BOOL) if node.is_bool else kind
        into.append(helper.make_tensor_value_info(tensor.name, of, ["batch", *tensor.shape]))
    out = [_info(name, kind, node.shape) for name, node in zip(names, outputs, strict=True)]
    return helper.make_graph(inner.found, f"{part.name}.step", into, out)


def _info(name: str, kind: int, shape: Any) -> Any:
    return onnx_package().helper.make_tensor_value_info(name, kind, ["batch", *concrete_shape(shape)])
