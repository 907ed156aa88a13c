"""A whole model as ONNX: inputs, layers, readout, outputs, and what the file says of itself."""

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

OPSET = 18
"""The first with all that is used (reductions take their axes as an input), of December 2022; every later
runtime reads it."""
IR_VERSION = 8
"""What came with it."""

MAX_BYTES = 2**31 - 1
"""What one protocol buffer holds at most."""
_METADATA_BYTES = 2**24  # for all that is no numbers

NEXT_SUFFIX = ".next"
"""What the name of a state ends with where it comes out."""


def onnx_model(subject: ExportedModel, is_step: bool) -> Any:
    """The model in ONNX's own terms, checked by ONNX's checker.

    Raises:
        UsageError: if the model is too large for one file, its step uses what there is no row for, or one
            step is asked for of what reads from the end of time.
    """
    onnx = onnx_package()
    if is_step:
        subject.check_streams("a graph of one step")
    nodes = GraphBuilder(subject.dtype)
    axes = ("batch",) if is_step else ("time", "batch")
    inputs = list(_inputs(subject, nodes, axes))
    beside = dict(zip(subject.inputs, (each.name for each in inputs[1:]), strict=False))
    outputs = list(_outputs(subject, nodes, axes, beside))
    _check_size(nodes)
    graph = onnx.helper.make_graph(nodes.found, "zoo", inputs, outputs, nodes.constants)
    model = onnx.helper.make_model(
        graph,
        producer_name="recurrent-zoo",
        producer_version=zoo.__version__,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    onnx.helper.set_model_props(model, _metadata(subject, is_step))
    onnx.checker.check_model(model, full_check=True)
    return model


def input_name(subject: ExportedModel) -> str:
    """What the input is called."""
    return "tokens" if subject.tokens else "x"


def _check_size(nodes: GraphBuilder) -> None:
    size = sum(len(each.raw_data) for each in nodes.constants)
    if size > MAX_BYTES - _METADATA_BYTES:
        raise UsageError(
            f"export: the numbers of this model are {size:,} bytes, and an ONNX file holds no more than "
            f"{MAX_BYTES:,}; export a smaller model, or one of float32."
        )


def _inputs(subject: ExportedModel, nodes: GraphBuilder, axes: tuple[str, ...]) -> Iterator[Any]:
    """The graph's inputs; their names are taken from then on."""
    make, name = onnx_package().helper.make_tensor_value_info, nodes.fresh
    kind = _kind(subject.dtype)
    if subject.tokens:
        yield make(name("tokens"), _kind(np.dtype(np.int64)), axes)
    else:
        yield make(name("x"), kind, [*axes, subject.input_size])
    for beside, shape in subject.inputs.items():
        yield make(name(beside), kind, [*axes, *shape])
    for state, shape in subject.states.items():
        yield make(name(state), kind, ["batch", *shape])


def _outputs(
    subject: ExportedModel, nodes: GraphBuilder, axes: tuple[str, ...], beside: Mapping[str, str]
) -> Iterator[Any]:
    """Write the floors and the readout; the graph's outputs."""
    make, kind = onnx_package().helper.make_tensor_value_info, _kind(subject.dtype)
    names = [nodes.fresh(name) for name in (subject.output, *(f"{s}{NEXT_SUFFIX}" for s in subject.states))]
    y, last = input_name(subject), list[str]()
    for stage in subject.stages:
        is_tokens = subject.tokens and stage is subject.stages[0]
        y, after = _write_layer(nodes, stage, y, is_tokens, beside, is_step=len(axes) == 1)
        last += after
    if subject.readout is not None:
        why, by = (nodes.constant(a, name) for a, name in zip(subject.readout, ("Why", "by"), strict=True))
        y = nodes.add("Add", nodes.add("MatMul", y, why), by)
    for name, found in zip(names, [y, *last], strict=True):
        nodes.found.append(onnx_package().helper.make_node("Identity", [found], [name], name=name))
    yield make(names[0], kind, [*axes, subject.output_size])
    for name, shape in zip(names[1:], subject.states.values(), strict=True):
        yield make(name, kind, ["batch", *shape])


def _write_layer(
    nodes: GraphBuilder, stage: LayerExport, x: str, is_tokens: bool, beside: Mapping[str, str], is_step: bool
) -> tuple[str, list[str]]:
    """Write a floor: its layers side by side, and what is added to them; the output, and the last states."""
    outputs, last = list[str](), list[str]()
    for part in stage.parts:
        states = {name: f"{part.layer.prefix}{name}" for name in part.states()}
        given = LayerInputs(x, is_tokens, states, beside)
        y, after = write_layer(nodes, part, given, is_step)
        outputs.append(y)
        last += after.values()
    y = outputs[0] if len(outputs) == 1 else nodes.add("Concat", *outputs, axis=-1)
    if stage.floor.is_residual:
        below = one_hot(nodes, x, stage.floor.input_size) if is_tokens else x
        y = nodes.add("Add", below, y)
    return y, last


def _kind(dtype: np.dtype[Any]) -> int:
    return onnx_package().helper.np_dtype_to_tensor_dtype(dtype)  # type: ignore[no-any-return]


def _metadata(subject: ExportedModel, is_step: bool) -> dict[str, str]:
    """What the file says of itself: strings, those that hold more than a word as JSON."""
    facts = {f"zoo.{name}": value for name, value in subject.facts.items()}
    facts["zoo.version"] = zoo.__version__
    facts["zoo.graph"] = "step" if is_step else "sequence"
    facts["zoo.states"] = {name: f"{name}{NEXT_SUFFIX}" for name in subject.states}
    learned = {f"{p.layer.prefix}{name}": v.tolist() for p in subject.parts for name, v in p.initial.items()}
    if learned:
        facts["zoo.initial"] = learned
    if subject.vocabulary is not None:
        facts["zoo.vocabulary"] = subject.vocabulary.to_json()
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}


def used_operators(model: Any) -> list[str]:
    """The different operators of a model's graph and of the graphs within it, sorted."""
    return sorted(set(_node_operators(model.graph.node)))


def _node_operators(nodes: Iterable[Any]) -> Iterator[str]:
    for node in nodes:
        yield node.op_type
        for attribute in node.attribute:
            yield from _node_operators(attribute.g.node)
