"""The header of an exported model: its public names, sizes and an example."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import zoo
from zoo.export.c.layer_emitter import state_field
from zoo.export.c.literals import c_names, c_type
from zoo.export.exported_model import ExportedModel

_OPEN = """\
#ifndef {upper}_H
#define {upper}_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {{
#endif
"""
_CLOSE = """\
#ifdef __cplusplus
}
#endif

#endif"""

_TEXT_FUNCTIONS = """\
/* Random numbers: draw number n of a seed is the n-th of its sequence, by SplitMix64, as in zoo itself.
 * To begin, draws is 0. */
typedef struct {{
    uint64_t seed;
    uint64_t draws;
}} {prefix}_random;

/* A token drawn from the softmax of scores / temperature; with a temperature of 0 that of the highest score;
 * -1 if there is nothing to draw from, since a score is NaN or infinity, or none is above minus infinity. */
int {prefix}_sample(const {kind} scores[{upper}_OUTPUTS], double temperature, {prefix}_random *random);

/* What a token stands for: {bytes}, and how many. */
typedef struct {{
    const char *text;
    size_t length;
}} {prefix}_symbol;

extern const {prefix}_symbol {prefix}_symbols[{upper}_OUTPUTS];

/* The token of the longest symbol that a text begins with; -1 if there is none. */
int {prefix}_token(const char *text, size_t length);
"""


def header_lines(model: ExportedModel, prefix: str, sizes: Mapping[str, int]) -> Iterator[str]:
    """The lines of the header.

    Args:
        model: The model.
        prefix: Prefix of all public names.
        sizes: Bytes, as in ``CProgram``.
    """
    upper = prefix.upper()
    into = "different tokens" if model.tokens else "features"
    out = "scores" if model.output == "logits" else "features"
    yield from _comment(model, prefix, sizes)
    yield _OPEN.format(upper=upper)
    yield f"#define {upper}_INPUTS {model.input_size} /* {into} */"
    yield f"#define {upper}_OUTPUTS {model.output_size} /* {out} */"
    yield ""
    yield from _struct(model, prefix)
    yield from _functions(model, prefix)
    yield _CLOSE


def _comment(model: ExportedModel, prefix: str, sizes: Mapping[str, int]) -> Iterator[str]:
    metadata = model.metadata
    layers = f"{metadata['num_layers']} layer{'s' * (metadata['num_layers'] != 1)}"
    cells = ", ".join(dict.fromkeys(direction.spec.cell.name for direction in model.directions))
    symbols = "" if model.vocabulary is None else ", beside the table of symbols"
    yield f"/* {prefix}: {layers} of {metadata['hidden_size']} units, {cells}, {metadata['dtype']}."
    yield f" * Made by zoo {zoo.__version__}. Do not edit: export again."
    yield " *"
    yield " * Bytes:"
    yield f" *     weights {sizes['weights']:,}, constants{symbols}"
    yield f" *     states  {sizes['states']:,}, one {prefix}_state for each sequence"
    yield f" *     scratch {sizes['scratch']:,}, on the stack while {prefix}_step runs; nothing is allocated"
    yield " *"
    yield from (f" *     {line}" for line in _example(model, prefix))
    yield " *"
    yield " * C99; it needs the mathematical library alone: cc -std=c99 -O2 ... -lm"
    yield " */"


def _example(model: ExportedModel, prefix: str) -> Iterator[str]:
    output = model.output
    arguments = ", ".join(
        ["&state", "token" if model.tokens else "x", *aux_input_names(model).values(), output]
    )
    yield f"{prefix}_state state;"
    yield f"{c_type(model.dtype)} {output}[{prefix.upper()}_OUTPUTS];"
    if model.vocabulary is not None:
        yield f"{prefix}_random random = {{0, 0}};"
    yield f"{prefix}_init(&state);"
    yield f"{prefix}_step({arguments});"
    if model.vocabulary is not None:
        yield f"token = {prefix}_sample(logits, 1.0, &random);"


def aux_input_names(model: ExportedModel) -> dict[str, str]:
    """The C names of the auxiliary inputs."""
    names = c_names()
    return {name: names.fresh(name) for name in model.inputs}


def _struct(model: ExportedModel, prefix: str) -> Iterator[str]:
    yield "/* what one sequence carries from step to step */"
    yield "typedef struct {"
    for direction in model.directions:
        for name, shape in direction.states().items():
            note = f" /* {' x '.join(map(str, shape))} */" if len(shape) > 1 else ""
            yield f"    {c_type(model.dtype)} {state_field(direction, name)}[{math.prod(shape)}];{note}"
    yield f"}} {prefix}_state;"
    yield ""


def step_signature(model: ExportedModel, prefix: str) -> str:
    """The signature of the step function."""
    kind, upper, names = c_type(model.dtype), prefix.upper(), aux_input_names(model)
    first = "int token" if model.tokens else f"const {kind} x[{upper}_INPUTS]"
    aux = (f"const {kind} {names[name]}[{math.prod(shape)}]" for name, shape in model.inputs.items())
    arguments = [f"{prefix}_state *state", first, *aux, f"{kind} {model.output}[{upper}_OUTPUTS]"]
    return f"void {prefix}_step({', '.join(arguments)})"


def _functions(model: ExportedModel, prefix: str) -> Iterator[str]:
    upper = prefix.upper()
    into = f"a token from 0 to {upper}_INPUTS - 1" if model.tokens else "features"
    out = "the output" if model.vocabulary is None else "scores of the next token"
    yield "/* the states before the first step */"
    yield f"void {prefix}_init({prefix}_state *state);"
    yield ""
    yield f"/* one step: {into} in, {out} out */"
    yield f"{step_signature(model, prefix)};"
    yield ""
    if model.vocabulary is not None:
        what = "a byte" if model.vocabulary.level == "byte" else "bytes of UTF-8"
        words = {"prefix": prefix, "upper": upper, "kind": c_type(model.dtype), "bytes": what}
        yield _TEXT_FUNCTIONS.format(**words)
