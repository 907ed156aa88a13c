"""Emission of a whole model as an ES module of JavaScript."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import zoo
from zoo.data import Vocabulary
from zoo.export.exported_data import SequencesExport, TableExport
from zoo.export.exported_model import ExportedModel
from zoo.export.js_raw import data_info, data_names, data_options, data_text
from zoo.export.js_source import (
    HELPERS,
    JsSyntax,
    array_definition,
    asset,
    js_array,
    js_comment,
    js_value,
)
from zoo.export.model_code import ModelCode
from zoo.export.step_function import state_field
from zoo.export.syntax import fill_lines


@dataclass(frozen=True)
class JsModule:
    """A model in JavaScript.

    Args:
        source: The text of the module, in ASCII.
        names: The names that it exports.
        info: The description that it exports.
        sizes: Bytes of ``weights`` and ``states``.
        is_int8: Whether each matrix is int8 numbers with scales, by name.
    """

    source: str
    names: tuple[str, ...]
    info: Mapping[str, Any]
    sizes: Mapping[str, int]
    is_int8: Mapping[str, bool]


def js_module(model: ExportedModel, int8: bool = False, file: str = "model.js") -> JsModule:
    """Write a model.

    Args:
        model: The model.
        int8: Whether matrices of products are int8 numbers with scales.
        file: The name of the file, for the example in the comment.

    Raises:
        UsageError: if a step uses an operation without a template.
    """
    code = ModelCode(model, JsSyntax(), int8)
    sizes = {name: size for name, size in code.sizes().items() if name in ("weights", "states")}
    is_int8 = code.is_int8()
    has_int8 = any(is_int8.values())
    into = "different tokens" if model.tokens else "features"
    out = "scores" if model.output == "logits" else "features"
    info = _info(code, sizes, "int8" if has_int8 else "float")
    lines = [
        *_comment(code, has_int8, file),
        "",
        f"/** @type {{number}} {into} */\nexport const INPUTS = {model.input_size};",
        f"/** @type {{number}} {out} */\nexport const OUTPUTS = {model.output_size};",
        "",
        *_info_lines(info),
        "",
        *_constant_lines(code),
        *(text for name, text in HELPERS.items() if name in code.helpers),
    ]
    for layer in code.layers:
        lines += [*layer.lines, ""]
    lines += [*_initial_state_lines(model), "", *_model_lines(code), ""]
    names = ["Model", "info", "INPUTS", "OUTPUTS"]
    if model.vocabulary is not None:
        lines += [*_text_lines(model.vocabulary), ""]
        names += ["symbols", "tokens", "text", "probabilities", "draw", "Random"]
    if model.data is not None:
        lines.append(data_text(model))
        names += data_names(model)
    source = "\n".join(line.rstrip() for line in "\n".join(lines).rstrip().split("\n"))
    return JsModule(f"{source}\n", tuple(names), info, sizes, is_int8)


def _comment(code: ModelCode, int8: bool, file: str) -> Iterator[str]:
    metadata = code.model.metadata
    layers = f"{metadata['num_layers']} layer{'s' * (metadata['num_layers'] != 1)}"
    cells = ", ".join(dict.fromkeys(direction.spec.cell.name for direction in code.model.directions))
    yield "/**"
    dtype = metadata["dtype"]
    yield f" * {layers} of {metadata['hidden_size']} units, {cells}, {dtype}{', weights in int8' * int8}."
    yield f" * Made by zoo {zoo.__version__}. Do not edit: export again."
    yield " *"
    yield " * An ES module for browsers and Node. It loads nothing. It computes in double, and arrays round"
    yield f" * to {dtype}."
    yield " *"
    yield from (f" *     {line}" for line in _example(code, f"./{file}"))
    yield " *"
    yield " * @module"
    yield " */"


def _example(code: ModelCode, address: str) -> Iterator[str]:
    model, address = code.model, js_value(address)
    if model.data is not None:
        name = data_names(model)[0]
        yield f"import {{ {name} }} from {address};"
        options = ", ".join(data_options(model))
        yield f"const result = {name}(rows{f', {{ {options} }}' * bool(options)});"
        return
    yield f"import {{ Model }} from {address};"
    yield "const model = new Model();"
    if model.vocabulary is not None:
        yield "console.log(model.sample(prompt, 100, { temperature: 0.8, seed: 0 }));"
        return
    first = ("tokens" if model.is_bidirectional else "token") if model.tokens else "x"
    method, result = ("sequence", "outputs") if model.is_bidirectional else ("step", model.output)
    yield f"const {result} = model.{method}({', '.join([first, *code.aux.values()])});"


def _info(code: ModelCode, sizes: Mapping[str, int], weights: str) -> dict[str, Any]:
    """The description of the model, which the module exports."""
    model = code.model
    info: dict[str, Any] = {
        **model.metadata,
        "weights": weights,
        "bytes": dict(sizes),
        "tokens": model.tokens,
        "output": model.output,
        "inputs": {code.aux[name]: list(shape) for name, shape in model.inputs.items()},
        "states": {
            state_field(direction, name): list(shape)
            for direction in model.directions
            for name, shape in direction.states().items()
        },
        "zoo": zoo.__version__,
    }
    if model.vocabulary is not None:
        info["level"] = model.vocabulary.level
    if model.data is not None:
        info |= data_info(model)
    return info


def _info_lines(info: Mapping[str, Any]) -> Iterator[str]:
    yield "/**"
    yield " * The description of the model: cell, sizes, and the shape of each auxiliary input and state. The"
    yield " * shape [] is one number."
    yield " */"
    yield "export const info = {"
    yield from (f"    {js_value(name)}: {js_value(value)}," for name, value in info.items())
    yield "};"


def _constant_lines(code: ModelCode) -> Iterator[str]:
    dtype = code.model.dtype
    yield f"/** Arrays of numbers. */\nconst RealArray = {js_array(dtype)};\n"
    yield asset("arrays.js")
    if any(value.dtype == np.int8 for value in code.constants.values()):
        yield asset("integers.js")
    yield asset("checks.js")
    for name, value in code.constants.items():
        yield from (*array_definition(name, value, dtype), "")


def _initial_state_lines(model: ExportedModel) -> Iterator[str]:
    yield "function initial_state() {"
    yield "    return {"
    for direction in model.directions:
        for name, shape in direction.states().items():
            field = state_field(direction, name)
            note = f" // {' x '.join(map(str, shape))}" if len(shape) > 1 else ""
            zeros = f"new {js_array(model.dtype)}({math.prod(shape)})"
            value = f"initial_{field}.slice()" if name in direction.initial else zeros
            yield f"        {field}: {value},{note}"
    yield "    };"
    yield "}"


def _model_lines(code: ModelCode) -> Iterator[str]:
    model = code.model
    if model.is_bidirectional:
        yield "/** A model that reads a sequence from both ends. */"
        yield "export class Model {"
        yield from _sequence_method(code)
        yield "}"
        return
    array = js_array(model.dtype)
    fields = ", ".join(
        f"{state_field(direction, name)}: {array}"
        for direction in model.directions
        for name in direction.states()
    )
    yield asset("states.js")
    yield "/** A model and the states of one sequence. */"
    yield "export class Model {"
    yield "    constructor() {"
    yield f"        /** @type {{{{ {fields} }}}} */"
    yield "        this.state = initial_state();"
    yield "    }"
    yield ""
    yield "    /** Set the initial states. */"
    yield "    reset() {"
    yield "        this.state = initial_state();"
    yield "    }"
    yield ""
    yield from _step_method(code)
    if model.vocabulary is not None:
        yield ""
        yield asset("sample.js").rstrip()
    yield "}"


def _step_method(code: ModelCode) -> Iterator[str]:
    model, array = code.model, js_array(code.model.dtype)
    first = "token" if model.tokens else "x"
    out = "scores of the next token" if model.vocabulary is not None else _outputs(model)
    into = "a token" if model.tokens else "features"
    yield "    /**"
    yield f"     * One step: {into} in, {out} out."
    yield from _scaled_note(model)
    yield "     *"
    if model.tokens:
        yield "     * @param {number} token - an integer from 0 to INPUTS - 1"
    else:
        yield "     * @param {ArrayLike<number>} x - INPUTS numbers"
    yield from _aux_params(code, "")
    yield f"     * @returns {{{array}}} OUTPUTS numbers"
    yield "     */"
    yield f"    step({', '.join([first, *code.aux.values()])}) {{"
    yield '        token_of(token, "token");' if model.tokens else '        x = row_of(x, INPUTS, "x");'
    for name, shape in model.inputs.items():
        aux = code.aux[name]
        yield f'        {aux} = row_of({aux}, {math.prod(shape)}, "{aux}");'
    yield "        const state = state_of(this.state);"
    for line in code.syntax.arrays({model.output: model.output_size, **code.step_arrays}, model.dtype):
        yield f"        {line}"
    yield from (f"        {line}" for line in code.step_calls)
    yield f"        return {model.output};"
    yield "    }"


def _sequence_method(code: ModelCode) -> Iterator[str]:
    model, array, sequence = code.model, js_array(code.model.dtype), code.sequence
    assert sequence is not None  # the model is bidirectional
    first = "tokens" if model.tokens else "x"
    yield "    /**"
    yield f"     * A sequence: {'tokens' if model.tokens else 'features'} in, {_outputs(model)} out."
    yield from _scaled_note(model)
    yield "     *"
    if model.tokens:
        yield "     * @param {ArrayLike<number>} tokens - integers from 0 to INPUTS - 1"
    else:
        yield "     * @param {ArrayLike<number>[]} x - a row of INPUTS numbers for each step"
    yield from _aux_params(code, "[]")
    yield f"     * @returns {{{array}[]}} a row of OUTPUTS numbers for each step"
    yield "     */"
    yield f"    sequence({', '.join([first, *code.aux.values()])}) {{"
    yield f'        const count = length_of({first}, "{first}"), state = initial_state();'
    if model.tokens:
        yield "        Array.from(tokens, (token, t) => token_of(token, `tokens[${t}]`));"
    else:
        yield '        x = rows_of(x, count, INPUTS, "x");'
    for name, shape in model.inputs.items():
        aux = code.aux[name]
        yield f'        {aux} = rows_of({aux}, count, {math.prod(shape)}, "{aux}");'
    sizes = {"outputs": model.output_size, **sequence.arrays}
    yield from (f"        {line}" for line in code.syntax.sequence_arrays(sizes, model.dtype))
    yield from (f"        {line}" for line in sequence.lines)
    row = "outputs.slice(t * OUTPUTS, (t + 1) * OUTPUTS)"
    yield f"        return Array.from({{ length: count }}, (_, t) => {row});"
    yield "    }"


def _outputs(model: ExportedModel) -> str:
    """The meaning of the outputs, in a comment."""
    if isinstance(model.data, TableExport):
        return "scaled forecasts"
    if isinstance(model.data, SequencesExport):
        return "scores of the classes" if model.data.spec.classes else "the scaled label"
    return "the output"


def _scaled_note(model: ExportedModel) -> Iterator[str]:
    """Comments on a method that does not know the units of the table."""
    if model.data is not None:
        yield "     * The inputs are scaled, in the order of `zoo.inputs` in the metadata of ONNX files."
        readers = " or ".join(f"`{name}`" for name in data_names(model)[:2])
        yield f"     * To pass rows of the table in their own units, use {readers}."


def _aux_params(code: ModelCode, suffix: str) -> Iterator[str]:
    """The comments of auxiliary inputs; a cell of a user may have any text."""
    declared = {name: each for one in code.model.directions for name, each in one.spec.cell.inputs.items()}
    for name, shape in code.model.inputs.items():
        size = math.prod(shape)
        help_text = js_comment(declared[name].description) or f"{size} number{'s' * (size != 1)}"
        kind = "number" if size == 1 else "ArrayLike<number>"
        steps = ", for each step" if suffix else ""
        yield f"     * @param {{{kind}{suffix}}} {code.aux[name]} - {help_text}{steps}"


def _text_lines(vocabulary: Vocabulary) -> Iterator[str]:
    """The symbols, and the functions between texts, tokens and scores."""
    pieces, holds_bytes = _pieces(vocabulary)
    yield "/** The symbol of each token. */" if not holds_bytes else "/** The bytes of each token. */"
    yield "const pieces = ["
    yield from (line.rstrip() for line in fill_lines(map(js_value, pieces), ", "))
    yield "];"
    yield f"const HOLDS_BYTES = {js_value(holds_bytes)};"
    yield ""
    yield asset("text.js")
    split = {"word": "words.js", "token": "decimals.js"}.get(vocabulary.level, "longest.js")
    yield asset(split)


def _pieces(vocabulary: Vocabulary) -> tuple[list[str], bool]:
    """The text of each symbol; or its bytes, a character each, if symbols are not whole characters."""
    data = [vocabulary.symbol_bytes(token) for token in range(len(vocabulary))]
    try:
        if vocabulary.level != "byte":
            return [each.decode() for each in data], False
    except UnicodeDecodeError:
        pass
    return [each.decode("latin-1") for each in data], True
