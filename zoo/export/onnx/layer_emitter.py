"""Emission of one direction of a layer in an ONNX graph: as an ONNX operator, a Scan, or a single step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.compiler.ir.dims import concrete_shape
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.export.exported_model import DirectionExport
from zoo.export.onnx.builtin_operators import RecurrentOperator, builtin_operator
from zoo.export.onnx.graph_builder import GraphBuilder, onnx_package
from zoo.export.onnx.step_emitter import RowEmitter, Tensor

_BOOL = np.dtype(bool)


@dataclass(frozen=True)
class LayerInputs:
    """Names of the tensors that a layer reads, with the leading axes of the graph.

    Args:
        x: The input.
        is_tokens: Whether it is tokens.
        states: Initial states by the cell's names.
        aux: Auxiliary inputs.
    """

    x: str
    is_tokens: bool
    states: Mapping[str, str]
    aux: Mapping[str, str]


# The output, and the final states by the cell's names.
LayerOutputs = tuple[str, dict[str, str]]


def write_layer(
    builder: GraphBuilder, direction: DirectionExport, inputs: LayerInputs, is_step: bool
) -> LayerOutputs:
    """Write one direction of a layer.

    Args:
        builder: The graph.
        direction: The direction.
        inputs: The tensors that it reads.
        is_step: Whether they hold one step, not a sequence.

    Returns:
        The names of its outputs.
    """
    values, tokens = _input_tensors(direction, inputs), inputs.x if inputs.is_tokens else ""
    emitter = RowEmitter(builder, direction, 1 if is_step else 2, inputs.x, values, tokens)
    operator = builtin_operator(direction)
    if operator is not None:
        return _write_operator(emitter, operator, inputs, is_step)
    return _write_step(emitter, inputs) if is_step else _write_scan(emitter, inputs)


def _input_tensors(direction: DirectionExport, inputs: LayerInputs) -> dict[Node, Tensor]:
    step_graph = direction.step_graph
    tensors = {
        node: Tensor(inputs.aux[name], concrete_shape(node.shape)) for name, node in step_graph.inputs.items()
    }
    if not inputs.is_tokens:
        tensors[step_graph.x] = Tensor(inputs.x, concrete_shape(step_graph.x.shape))
    return tensors


def _state_tensors(direction: DirectionExport, names: Mapping[str, str]) -> dict[Node, Tensor]:
    states = direction.step_graph.states
    return {node: Tensor(names[name], concrete_shape(node.shape)) for name, node in states.items()}


def _write_step(emitter: RowEmitter, inputs: LayerInputs) -> LayerOutputs:
    step_graph = emitter.direction.step_graph
    emitter.bind(_state_tensors(emitter.direction, inputs.states))
    emitter.write(step_graph.outputs)
    new_states = {name: emitter.full_tensor(node) for name, node in step_graph.new_states.items()}
    return emitter.full_tensor(step_graph.y), new_states


def _write_operator(
    emitter: RowEmitter, operator: RecurrentOperator, inputs: LayerInputs, is_step: bool
) -> LayerOutputs:
    """One of ONNX's operators, with an axis of directions; a step is a sequence of length one."""
    builder, direction = emitter.builder, emitter.direction
    step_graph = direction.step_graph
    emitter.write([step_graph.x])
    x, first = emitter.tensor(step_graph.x).name, builder.integers(0)
    x = builder.add("Unsqueeze", x, first) if is_step else x
    arrays = (operator.w[None], operator.r[None], operator.b[None])
    weights = [
        builder.constant(array, f"{direction.name}.{name}") for array, name in zip(arrays, "WRB", strict=True)
    ]
    initial = [builder.add("Unsqueeze", inputs.states[name], first) for name in step_graph.states]
    names = [f"{direction.name}.y", *(f"{direction.name}.{name}_last" for name in step_graph.states)]
    attributes = {"hidden_size": direction.spec.hidden_size, **operator.attributes}
    attributes |= {"direction": "reverse"} if direction.spec.reverse else {}
    y, *final = builder.add_many(operator.op, [x, *weights, "", *initial], names, attributes)
    last = [builder.add("Squeeze", tensor, first) for tensor in final]
    directions = builder.integers(*(0, 1) if is_step else (1,))
    return builder.add("Squeeze", y, directions), dict(zip(step_graph.states, last, strict=True))


def _write_scan(emitter: RowEmitter, inputs: LayerInputs) -> LayerOutputs:
    """Values of the input alone for all steps at once, and a Scan for the rest."""
    builder, direction = emitter.builder, emitter.direction
    step_graph = direction.step_graph
    precomputed = _precomputed(step_graph.outputs, list(step_graph.new_states.values())) or [step_graph.x]
    emitter.write(precomputed)
    y_is_precomputed = step_graph.y.level != Level.STEP
    if y_is_precomputed:
        emitter.write([step_graph.y])
    body = _scan_body(emitter, precomputed, None if y_is_precomputed else step_graph.y)
    initial = [inputs.states[name] for name in step_graph.states]
    read = [emitter.tensor(node).name for node in precomputed]
    names = [f"{direction.name}.{name}_last" for name in step_graph.states]
    names += [] if y_is_precomputed else [f"{direction.name}.y"]
    attributes = {"body": body, "num_scan_inputs": len(read)}
    if direction.spec.reverse:
        attributes["scan_input_directions"] = [1] * len(read)
        attributes |= {} if y_is_precomputed else {"scan_output_directions": [1]}
    outputs = builder.add_many("Scan", [*initial, *read], names, attributes)
    final = dict(zip(step_graph.states, outputs, strict=False))
    return emitter.full_tensor(step_graph.y) if y_is_precomputed else outputs[-1], final


def _precomputed(outputs: list[Node], new_states: list[Node]) -> list[Node]:
    """Values of the input alone that the steps read, or that are new states."""
    steps = ancestors(outputs, stop=lambda node: node.level != Level.STEP)
    read = {operand for node in steps if node.level == Level.STEP for operand in node.inputs}
    values = [node for node in {*read, *new_states} if node.level == Level.SEQUENCE]
    return sorted(values, key=lambda node: node.index)


def _scan_body(emitter: RowEmitter, precomputed: list[Node], y: Node | None) -> Any:
    """One step as a graph: from states and precomputed values to new states and the output."""
    direction, inner = emitter.direction, emitter.builder.inner()
    step_graph, helper = direction.step_graph, onnx_package().helper
    kind = helper.np_dtype_to_tensor_dtype(direction.dtype)
    states = {name: inner.fresh(f"{direction.name}.{name}_before") for name in step_graph.states}
    current = {node: Tensor(inner.fresh("now"), emitter.tensor(node).shape) for node in precomputed}
    like = next(iter(states.values()))
    step = RowEmitter(
        inner, direction, 1, like, {**_state_tensors(direction, states), **current}, outer=emitter
    )
    outputs = [*step_graph.new_states.values(), *([] if y is None else [y])]
    step.write(outputs)
    # Every output needs a name of its own, even an unchanged state or one value twice.
    names = [inner.add("Identity", step.full_tensor(node), name=f"{direction.name}.out") for node in outputs]
    body_inputs = [_info(name, kind, step_graph.states[state].shape) for state, name in states.items()]
    for node, tensor in current.items():
        of = helper.np_dtype_to_tensor_dtype(_BOOL) if node.is_bool else kind
        body_inputs.append(helper.make_tensor_value_info(tensor.name, of, ["batch", *tensor.shape]))
    body_outputs = [_info(name, kind, node.shape) for name, node in zip(names, outputs, strict=True)]
    return helper.make_graph(inner.nodes, f"{direction.name}.step", body_inputs, body_outputs)


def _info(name: str, kind: int, shape: Any) -> Any:
    return onnx_package().helper.make_tensor_value_info(name, kind, ["batch", *concrete_shape(shape)])
