"""Export of models to ONNX: layers as recurrent operators of ONNX, Scans or single steps, and the readout.

ONNX stacks the gates of an LSTM as input, output, forget, candidate, and the gates of a GRU as update, reset,
candidate, each with a bias of the input and one of the state. Its matrices are transposed, and every array
has a leading axis of directions (https://onnx.ai/onnx/operators/onnx__LSTM.html, and likewise GRU and RNN).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import zoo
from zoo.array_types import Array
from zoo.base import Cell
from zoo.compiler.ir.dims import concrete_shape
from zoo.compiler.ir.graph import Level, Node, ancestors
from zoo.errors import UsageError
from zoo.export.exported_model import DirectionExport, ExportedModel, LayerExport
from zoo.export.onnx_graph import GraphBuilder, onnx_package
from zoo.export.onnx_raw import RawGraph
from zoo.export.onnx_step import RowEmitter, Tensor, one_hot
from zoo.installation import DISTRIBUTION

OPSET = 18
"""The first with all operators that are used (reductions take their axes as an input), of December 2022;
every
later runtime reads it."""
IR_VERSION = 8
"""The version of ONNX's format that came with it."""

MAX_BYTES = 2**31 - 1
"""Largest size of one protocol buffer."""
_METADATA_BYTES = 2**24  # for everything but the constants

NEXT_SUFFIX = ".next"
"""Suffix of the name of a state among the outputs."""


def onnx_model(model: ExportedModel, is_step: bool, is_raw: bool = False) -> Any:
    """The model as an ONNX model, checked by ONNX's checker.

    Args:
        model: The model.
        is_step: Whether the graph computes one step.
        is_raw: Whether the graph reads rows of the table in its own units.

    Raises:
        UsageError: if the model is too large for one file, its step uses an operation without a template, a
            graph of one step is requested for a bidirectional layer, or one of raw rows for a bare model.
    """
    onnx = onnx_package()
    if is_step:
        model.check_streamable("a graph of one step")
    if is_raw and (is_step or model.data is None):
        reason = "reads a whole window: leave out `step`" if is_step else "is for models of a table"
        raise UsageError(f"export: `raw` {reason}.")
    builder = GraphBuilder(model.dtype)
    if is_raw:
        raw = RawGraph(model, builder)
        y, _ = _write_layers(model, builder, *raw.write_inputs(), is_step=False)
        raw.write_results(y)
        inputs, outputs = raw.inputs, raw.outputs
    else:
        axes = ("batch",) if is_step else ("time", "batch")
        inputs = list(_inputs(model, builder, axes))
        outputs = list(_outputs(model, builder, axes, [each.name for each in inputs]))
    _check_size(builder)
    graph = onnx.helper.make_graph(builder.nodes, "zoo", inputs, outputs, builder.constants)
    proto = onnx.helper.make_model(
        graph,
        producer_name=DISTRIBUTION,
        producer_version=zoo.__version__,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.helper.set_model_props(
        proto, _metadata(model, "raw" if is_raw else "step" if is_step else "sequence")
    )
    onnx.checker.check_model(proto, full_check=True)
    return proto


def input_name(model: ExportedModel) -> str:
    """Name of the input."""
    return "tokens" if model.tokens else "x"


def _check_size(builder: GraphBuilder) -> None:
    size = sum(len(each.raw_data) for each in builder.constants)
    if size > MAX_BYTES - _METADATA_BYTES:
        raise UsageError(
            f"export: the numbers of this model are {size:,} bytes, and an ONNX file holds no more than "
            f"{MAX_BYTES:,}; export a smaller model, or one of float32."
        )


def _inputs(model: ExportedModel, builder: GraphBuilder, axes: tuple[str, ...]) -> Iterator[Any]:
    """The inputs of the graph, whose names are reserved."""
    make, name = onnx_package().helper.make_tensor_value_info, builder.fresh
    kind = _tensor_type(model.dtype)
    if model.tokens:
        yield make(name("tokens"), _tensor_type(np.dtype(np.int64)), axes)
    else:
        yield make(name("x"), kind, [*axes, model.input_size])
    for aux, shape in model.inputs.items():
        yield make(name(aux), kind, [*axes, *shape])
    for state, shape in model.states.items():
        yield make(name(state), kind, ["batch", *shape])


def _outputs(
    model: ExportedModel, builder: GraphBuilder, axes: tuple[str, ...], inputs: list[str]
) -> Iterator[Any]:
    """Write the layers and the readout; the outputs of the graph."""
    make, kind = onnx_package().helper.make_tensor_value_info, _tensor_type(model.dtype)
    names = [builder.fresh(name) for name in (model.output, *(f"{s}{NEXT_SUFFIX}" for s in model.states))]
    aux = dict(zip(model.inputs, inputs[1:], strict=False))
    states = {name: name for name in model.states}
    y, final = _write_layers(model, builder, inputs[0], states, aux, is_step=len(axes) == 1)
    for name, value in zip(names, [y, *final], strict=True):
        builder.nodes.append(onnx_package().helper.make_node("Identity", [value], [name], name=name))
    yield make(names[0], kind, [*axes, model.output_size])
    for name, shape in zip(names[1:], model.states.values(), strict=True):
        yield make(name, kind, ["batch", *shape])


def _write_layers(
    model: ExportedModel,
    builder: GraphBuilder,
    x: str,
    states: Mapping[str, str],
    aux: Mapping[str, str],
    is_step: bool,
) -> tuple[str, list[str]]:
    """Write the layers and the readout; the output and the final states.

    Args:
        model: The model.
        builder: Its graph.
        x: The input.
        states: The initial states by their names in the model.
        aux: Auxiliary inputs.
        is_step: Whether they hold one step, not a sequence.
    """
    y, final = x, list[str]()
    if model.categories is not None and model.embedding is not None:
        y = builder.add("MatMul", y, builder.constant(model.categories.matrix(model.embedding), "embedding"))
    elif model.embedding is not None:
        y = builder.add("Gather", builder.constant(model.embedding, "embedding"), y, axis=0)
    for layer in model.layers:
        is_tokens = model.first_layer_reads_tokens and layer is model.layers[0]
        y, last = _write_layer(builder, layer, LayerInputs(y, is_tokens, states, aux), is_step)
        final += last
    if model.readout is not None:
        why, by = (builder.constant(a, name) for a, name in zip(model.readout, ("Why", "by"), strict=True))
        y = builder.add("Add", builder.add("MatMul", y, why), by)
    return y, final


def _write_layer(
    builder: GraphBuilder, layer: LayerExport, inputs: LayerInputs, is_step: bool
) -> tuple[str, list[str]]:
    """Write the directions of a layer and its residual connection; the output and the final states."""
    outputs, final, x, is_tokens = list[str](), list[str](), inputs.x, inputs.is_tokens
    for direction in layer.directions:
        own = {name: inputs.states[f"{direction.spec.prefix}{name}"] for name in direction.states()}
        y, last = write_layer(builder, direction, replace(inputs, states=own), is_step)
        outputs.append(y)
        final += last.values()
    y = outputs[0] if len(outputs) == 1 else builder.add("Concat", *outputs, axis=-1)
    if layer.spec.is_residual:
        residual = one_hot(builder, x, layer.spec.input_size) if is_tokens else x
        y = builder.add("Add", residual, y)
    return y, final


def _tensor_type(dtype: np.dtype[Any]) -> int:
    return onnx_package().helper.np_dtype_to_tensor_dtype(dtype)  # type: ignore[no-any-return]


def _metadata(model: ExportedModel, graph: str) -> dict[str, str]:
    """The metadata of the file as strings, structured values as JSON."""
    metadata = {f"zoo.{name}": value for name, value in model.metadata.items()}
    metadata["zoo.version"] = zoo.__version__
    metadata["zoo.graph"] = graph
    if graph != "raw":
        metadata["zoo.states"] = {name: f"{name}{NEXT_SUFFIX}" for name in model.states}
    initial = {
        f"{direction.spec.prefix}{name}": value.tolist()
        for direction in model.directions
        for name, value in direction.initial.items()
    }
    if initial and graph != "raw":
        metadata["zoo.initial"] = initial
    if model.vocabulary is not None:
        metadata["zoo.vocabulary"] = model.vocabulary.to_json()
    if model.data is not None:
        metadata |= {f"zoo.{name}": value for name, value in model.data.metadata().items()}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}


def used_operators(proto: Any) -> list[str]:
    """The different operators of a model's graph and of its subgraphs, sorted."""
    return sorted(set(_node_operators(proto.graph.node)))


def _node_operators(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        yield node.op_type
        for attribute in node.attribute:
            yield from _node_operators(attribute.g.node)


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
    values, tokens = _input_tensors(builder, direction, inputs), inputs.x if inputs.is_tokens else ""
    emitter = RowEmitter(builder, direction, 1 if is_step else 2, inputs.x, values, tokens)
    operator = builtin_operator(direction)
    if operator is not None:
        return _write_operator(emitter, operator, inputs, is_step)
    return _write_step(emitter, inputs) if is_step else _write_scan(emitter, inputs)


def _input_tensors(
    builder: GraphBuilder, direction: DirectionExport, inputs: LayerInputs
) -> dict[Node, Tensor]:
    step_graph = direction.step_graph
    tensors = {}
    for name, node in step_graph.inputs.items():
        tensor = inputs.aux[name]
        if direction.spec.reads_following_steps(name):
            tensor = _following_steps(builder, tensor)
        tensors[node] = Tensor(tensor, concrete_shape(node.shape))
    if not inputs.is_tokens:
        tensors[step_graph.x] = Tensor(inputs.x, concrete_shape(step_graph.x.shape))
    return tensors


def _following_steps(builder: GraphBuilder, tensor: str) -> str:
    """The value of the following step at every step, and of the first step at the last one."""
    axis, first, end = builder.integers(0), builder.integers(1), builder.integers(np.iinfo(np.int64).max)
    following = builder.add("Slice", tensor, first, end, axis)
    return builder.add("Concat", following, builder.add("Slice", tensor, axis, first, axis), axis=0)


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


@dataclass(frozen=True)
class RecurrentOperator:
    """One of ONNX's recurrent operators with its arrays.

    Args:
        op: Its name.
        w: Weights of the input, ``(G H, I)``.
        r: Weights of the state, ``(G H, H)``.
        b: Biases of the input and of the state, ``(2 G H,)``.
        attributes: Further attributes.
    """

    op: str
    w: Array
    r: Array
    b: Array
    attributes: Mapping[str, Any] = field(default_factory=dict)


def builtin_operator(direction: DirectionExport) -> RecurrentOperator | None:
    """The operator equivalent to a layer; None if there is none.

    onnxruntime has kernels for float32 alone, so a layer of float64 is exported by its equations.
    """
    cell = direction.spec.cell
    convert = _CONVERTERS.get((type(cell).__module__, cell.name))
    return None if convert is None or direction.dtype != np.float32 else convert(cell, direction.arrays)


def _gates(w: Array, order: tuple[int, ...]) -> Array:
    """Reorder the gates of the last axis and move it to the front."""
    gates = np.split(w, len(order), axis=-1)
    return np.ascontiguousarray(np.concatenate([gates[index] for index in order], axis=-1).T)


def _rnn(_: Cell, arrays: Mapping[str, Array]) -> RecurrentOperator:
    b = arrays["bh"]
    return RecurrentOperator("RNN", arrays["Wxh"].T, arrays["Whh"].T, np.concatenate([b, np.zeros_like(b)]))


def _lstm(cell: Cell, arrays: Mapping[str, Array]) -> RecurrentOperator:
    """Gates i, f, g, o become i, o, f, g; the option forget_bias is added to the bias."""
    order, b = (0, 3, 1, 2), arrays["b"].copy()
    size = b.size // 4
    b[size : 2 * size] += b.dtype.type(cell.options["forget_bias"])
    biases = np.concatenate([_gates(b, order), np.zeros_like(b)])
    return RecurrentOperator("LSTM", _gates(arrays["Wx"], order), _gates(arrays["Wh"], order), biases)


def _gru(_: Cell, arrays: Mapping[str, Array]) -> RecurrentOperator:
    """Gates r, z, n become z, r, n; the reset gate multiplies the state's product and bias."""
    order = (1, 0, 2)
    inside = np.concatenate([np.zeros(2 * arrays["bn"].size, arrays["bn"].dtype), arrays["bn"]])
    biases = np.concatenate([_gates(arrays["b"], order), inside])
    w, r = _gates(arrays["Wx"], order), _gates(arrays["Wh"], order)
    return RecurrentOperator("GRU", w, r, biases, {"linear_before_reset": 1})


def _gru_reset_before(_: Cell, arrays: Mapping[str, Array]) -> RecurrentOperator:
    """The same gates; the reset gate multiplies the state itself."""
    order, b = (1, 0, 2), arrays["b"]
    r = _gates(np.concatenate([arrays["Wh"], arrays["Wn"]], axis=1), order)
    biases = np.concatenate([_gates(b, order), np.zeros_like(b)])
    return RecurrentOperator("GRU", _gates(arrays["Wx"], order), r, biases, {"linear_before_reset": 0})


# By module and name: another cell called "lstm" is exported by its own equations.
_CONVERTERS: Mapping[tuple[str, str], Callable[[Cell, Mapping[str, Array]], RecurrentOperator]] = {
    ("zoo_cells.classic.vanilla", "vanilla"): _rnn,
    ("zoo_cells.lstm.lstm", "lstm"): _lstm,
    ("zoo_cells.gated.gru", "gru"): _gru,
    ("zoo_cells.gated.gru_reset_before", "gru_reset_before"): _gru_reset_before,
}
