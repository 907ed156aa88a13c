"""The header: what a program in C sees of a model, and how it is used."""

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


def header_lines(subject: ExportedModel, prefix: str, sizes: Mapping[str, int]) -> Iterator[str]:
    """The lines of the header.

    Args:
        subject: What is exported.
        prefix: What all names begin with.
        sizes: Bytes, as ``Program`` has them.
    """
    upper = prefix.upper()
    into = "different tokens" if subject.tokens else "features"
    out = "scores" if subject.output == "logits" else "features"
    yield from _comment(subject, prefix, sizes)
    yield _OPEN.format(upper=upper)
    yield f"#define {upper}_INPUTS {subject.input_size} /* {into} */"
    yield f"#define {upper}_OUTPUTS {subject.output_size} /* {out} */"
    yield ""
    yield from _struct(subject, prefix)
    yield from _functions(subject, prefix)
    yield _CLOSE


def _comment(subject: ExportedModel, prefix: str, sizes: Mapping[str, int]) -> Iterator[str]:
    facts = subject.facts
    layers = f"{facts['num_layers']} layer{'s' * (facts['num_layers'] != 1)}"
    cells = ", ".join(dict.fromkeys(part.layer.cell.name for part in subject.parts))
    symbols = "" if subject.vocabulary is None else ", beside the table of symbols"
    yield f"/* {prefix}: {layers} of {facts['hidden_size']} units, {cells}, {facts['dtype']}."
    yield f" * Made by zoo {zoo.__version__}. Do not edit: export again."
    yield " *"
    yield " * Bytes:"
    yield f" *     weights {sizes['weights']:,}, constants{symbols}"
    yield f" *     states  {sizes['states']:,}, one {prefix}_state for each sequence"
    yield f" *     scratch {sizes['scratch']:,}, on the stack while {prefix}_step runs; nothing is allocated"
    yield " *"
    yield from (f" *     {line}" for line in _example(subject, prefix))
    yield " *"
    yield " * C99; it needs the mathematical library alone: cc -std=c99 -O2 ... -lm"
    yield " */"


def _example(subject: ExportedModel, prefix: str) -> Iterator[str]:
    output = subject.output
    given = ", ".join(
        ["&state", "token" if subject.tokens else "x", *aux_input_names(subject).values(), output]
    )
    yield f"{prefix}_state state;"
    yield f"{c_type(subject.dtype)} {output}[{prefix.upper()}_OUTPUTS];"
    if subject.vocabulary is not None:
        yield f"{prefix}_random random = {{0, 0}};"
    yield f"{prefix}_init(&state);"
    yield f"{prefix}_step({given});"
    if subject.vocabulary is not None:
        yield f"token = {prefix}_sample(logits, 1.0, &random);"


def aux_input_names(subject: ExportedModel) -> dict[str, str]:
    """What the inputs beside x are called in C."""
    names = c_names()
    return {name: names.fresh(name) for name in subject.inputs}


def _struct(subject: ExportedModel, prefix: str) -> Iterator[str]:
    yield "/* what one sequence carries from step to step */"
    yield "typedef struct {"
    for part in subject.parts:
        for name, shape in part.states().items():
            note = f" /* {' x '.join(map(str, shape))} */" if len(shape) > 1 else ""
            yield f"    {c_type(subject.dtype)} {state_field(part, name)}[{math.prod(shape)}];{note}"
    yield f"}} {prefix}_state;"
    yield ""


def step_signature(subject: ExportedModel, prefix: str) -> str:
    """The head of the step function."""
    kind, upper, names = c_type(subject.dtype), prefix.upper(), aux_input_names(subject)
    first = "int token" if subject.tokens else f"const {kind} x[{upper}_INPUTS]"
    beside = (f"const {kind} {names[name]}[{math.prod(shape)}]" for name, shape in subject.inputs.items())
    given = [f"{prefix}_state *state", first, *beside, f"{kind} {subject.output}[{upper}_OUTPUTS]"]
    return f"void {prefix}_step({', '.join(given)})"


def _functions(subject: ExportedModel, prefix: str) -> Iterator[str]:
    upper = prefix.upper()
    into = f"a token from 0 to {upper}_INPUTS - 1" if subject.tokens else "features"
    out = "the output" if subject.vocabulary is None else "scores of the next token"
    yield "/* the states before the first step */"
    yield f"void {prefix}_init({prefix}_state *state);"
    yield ""
    yield f"/* one step: {into} in, {out} out */"
    yield f"{step_signature(subject, prefix)};"
    yield ""
    if subject.vocabulary is not None:
        what = "a byte" if subject.vocabulary.level == "byte" else "bytes of UTF-8"
        words = {"prefix": prefix, "upper": upper, "kind": c_type(subject.dtype), "bytes": what}
        yield _TEXT_FUNCTIONS.format(**words)
