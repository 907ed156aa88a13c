"""A whole model in ONNX: inputs, layers, readout, outputs, and metadata."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

import zoo
from zoo.errors import UsageError
from zoo.export.exported_model import ExportedModel, LayerExport
from zoo.export.onnx.graph_builder import GraphBuilder, onnx_package
from zoo.export.onnx.layer_emitter import LayerInputs, write_layer
from zoo.export.onnx.step_emitter import one_hot
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


def onnx_model(model: ExportedModel, is_step: bool) -> Any:
    """The model as an ONNX model, checked by ONNX's checker.

    Raises:
        UsageError: if the model is too large for one file, its step uses an operation without a template, or
            a graph of one step is requested for a bidirectional layer.
    """
    onnx = onnx_package()
    if is_step:
        model.check_streamable("a graph of one step")
    builder = GraphBuilder(model.dtype)
    axes = ("batch",) if is_step else ("time", "batch")
    inputs = list(_inputs(model, builder, axes))
    aux = dict(zip(model.inputs, (each.name for each in inputs[1:]), strict=False))
    outputs = list(_outputs(model, builder, axes, aux))
    _check_size(builder)
    graph = onnx.helper.make_graph(builder.nodes, "zoo", inputs, outputs, builder.constants)
    proto = onnx.helper.make_model(
        graph,
        producer_name=DISTRIBUTION,
        producer_version=zoo.__version__,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.helper.set_model_props(proto, _metadata(model, is_step))
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
    model: ExportedModel, builder: GraphBuilder, axes: tuple[str, ...], aux: Mapping[str, str]
) -> Iterator[Any]:
    """Write the layers and the readout; the outputs of the graph."""
    make, kind = onnx_package().helper.make_tensor_value_info, _tensor_type(model.dtype)
    names = [builder.fresh(name) for name in (model.output, *(f"{s}{NEXT_SUFFIX}" for s in model.states))]
    y, final = input_name(model), list[str]()
    for layer in model.layers:
        is_tokens = model.tokens and layer is model.layers[0]
        y, states = _write_layer(builder, layer, y, is_tokens, aux, is_step=len(axes) == 1)
        final += states
    if model.readout is not None:
        why, by = (builder.constant(a, name) for a, name in zip(model.readout, ("Why", "by"), strict=True))
        y = builder.add("Add", builder.add("MatMul", y, why), by)
    for name, value in zip(names, [y, *final], strict=True):
        builder.nodes.append(onnx_package().helper.make_node("Identity", [value], [name], name=name))
    yield make(names[0], kind, [*axes, model.output_size])
    for name, shape in zip(names[1:], model.states.values(), strict=True):
        yield make(name, kind, ["batch", *shape])


def _write_layer(
    builder: GraphBuilder, layer: LayerExport, x: str, is_tokens: bool, aux: Mapping[str, str], is_step: bool
) -> tuple[str, list[str]]:
    """Write the directions of a layer and its residual connection; the output and the final states."""
    outputs, final = list[str](), list[str]()
    for direction in layer.directions:
        states = {name: f"{direction.spec.prefix}{name}" for name in direction.states()}
        y, last = write_layer(builder, direction, LayerInputs(x, is_tokens, states, aux), is_step)
        outputs.append(y)
        final += last.values()
    y = outputs[0] if len(outputs) == 1 else builder.add("Concat", *outputs, axis=-1)
    if layer.spec.is_residual:
        residual = one_hot(builder, x, layer.spec.input_size) if is_tokens else x
        y = builder.add("Add", residual, y)
    return y, final


def _tensor_type(dtype: np.dtype[Any]) -> int:
    return onnx_package().helper.np_dtype_to_tensor_dtype(dtype)  # type: ignore[no-any-return]


def _metadata(model: ExportedModel, is_step: bool) -> dict[str, str]:
    """The metadata of the file as strings, structured values as JSON."""
    metadata = {f"zoo.{name}": value for name, value in model.metadata.items()}
    metadata["zoo.version"] = zoo.__version__
    metadata["zoo.graph"] = "step" if is_step else "sequence"
    metadata["zoo.states"] = {name: f"{name}{NEXT_SUFFIX}" for name in model.states}
    initial = {
        f"{direction.spec.prefix}{name}": value.tolist()
        for direction in model.directions
        for name, value in direction.initial.items()
    }
    if initial:
        metadata["zoo.initial"] = initial
    if model.vocabulary is not None:
        metadata["zoo.vocabulary"] = model.vocabulary.to_json()
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in metadata.items()}


def used_operators(proto: Any) -> list[str]:
    """The different operators of a model's graph and of its subgraphs, sorted."""
    return sorted(set(_node_operators(proto.graph.node)))


def _node_operators(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        yield node.op_type
        for attribute in node.attribute:
            yield from _node_operators(attribute.g.node)
