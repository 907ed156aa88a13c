"""Emission of a whole model in C: header, layers, readout, sampling, the table of symbols, and sizes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import zoo
from zoo.data import Vocabulary
from zoo.export.c_raw import RawFunctions
from zoo.export.c_sequence import CSequence
from zoo.export.c_source import FUNCTIONS, HELPERS, CSyntax, array_definition, c_type, string_literal
from zoo.export.exported_model import ExportedModel
from zoo.export.model_code import ModelCode
from zoo.export.step_function import state_field

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

/* A token drawn from the softmax of scores / temperature; with a temperature of 0 the token of the highest
 * score; -1 if there is nothing to draw from, since a score is NaN or infinity, or none is above minus
 * infinity. */
int {prefix}_sample(const {kind} scores[{upper}_OUTPUTS], double temperature, {prefix}_random *random);

/* The bytes of a token: {bytes}, and how many. */
typedef struct {{
    const char *text;
    size_t length;
}} {prefix}_symbol;

extern const {prefix}_symbol {prefix}_symbols[{upper}_OUTPUTS];

/* The token of the longest symbol that a text begins with; -1 if there is none. zoo splits a text in another
 * way for a model of words or of a tokenizer: pass tokens to such a model. */
int {prefix}_token(const char *text, size_t length);
"""


def header_lines(
    code: ModelCode,
    prefix: str,
    sizes: Mapping[str, int],
    raw: RawFunctions | None,
    sequence: CSequence | None,
    int8: bool,
) -> Iterator[str]:
    """The lines of the header.

    Args:
        code: The functions of the model.
        prefix: Prefix of all public names.
        sizes: Bytes, as in ``CProgram``.
        raw: The functions that read rows of a table; None for a bare model.
        sequence: The function of a bidirectional model over a whole sequence; None for a step function.
        int8: Whether matrices of products are int8 numbers with scales.
    """
    model, upper = code.model, prefix.upper()
    into = "different tokens" if model.tokens else "features"
    out = "scores" if model.output == "logits" else "features"
    yield from _comment(code, prefix, sizes, raw, int8)
    yield _OPEN.format(upper=upper)
    yield f"#define {upper}_INPUTS {model.input_size} /* {into} */"
    yield f"#define {upper}_OUTPUTS {model.output_size} /* {out} */"
    yield ""
    if sequence is not None:
        yield from sequence.header_lines()
    else:
        yield from _struct(model, prefix)
        yield from _functions(code, prefix)
    if raw is not None:
        yield from raw.header_lines()
    yield _CLOSE


def _comment(
    code: ModelCode, prefix: str, sizes: Mapping[str, int], raw: RawFunctions | None, int8: bool
) -> Iterator[str]:
    model, metadata = code.model, code.model.metadata
    layers = f"{metadata['num_layers']} layer{'s' * (metadata['num_layers'] != 1)}"
    cells = ", ".join(dict.fromkeys(direction.spec.cell.name for direction in model.directions))
    symbols = "" if model.vocabulary is None else ", in addition to the table of symbols"
    dtype = f"{metadata['dtype']}{', weights in int8' * int8}"
    yield f"/* {prefix}: {layers} of {metadata['hidden_size']} units, {cells}, {dtype}."
    yield f" * Made by zoo {zoo.__version__}. Do not edit: export again."
    yield " *"
    yield " * Bytes:"
    yield f" *     weights {sizes['weights']:,}, constants{symbols}"
    function = "sequence" if "work" in sizes else "step"
    if "work" in sizes:
        yield f" *     work    {sizes['work']:,} for each step of a sequence, from the caller"
        yield f" *     states  {sizes['states']:,}, on the stack while {prefix}_sequence runs"
    else:
        yield f" *     states  {sizes['states']:,}, one {prefix}_state for each sequence"
    runs = f"{prefix}_{function} runs"
    yield f" *     scratch {sizes['scratch']:,}, on the stack while {runs}; nothing is allocated"
    if "raw" in sizes:
        yield f" *     raw     {sizes['raw']:,}, in addition on the stack while {prefix}_predict_raw runs"
    yield " *"
    example = _example(code, prefix) if raw is None else raw.example_lines()
    yield from (f" *     {line}" for line in example)
    yield " *"
    yield from _aux_lines(code)
    yield " * C99; it needs the mathematical library alone: cc -std=c99 -O2 ... -lm"
    yield " */"


def _aux_lines(code: ModelCode) -> Iterator[str]:
    """The help texts of auxiliary inputs; a cell of a user may have any text."""
    declared = {name: each for one in code.model.directions for name, each in one.spec.cell.inputs.items()}
    for name, c_name in code.aux.items():
        if text := " ".join(declared[name].description.split()).replace("*/", "* /").replace("?", "? "):
            yield f" * {c_name}: {text}"
            yield " *"


def _example(code: ModelCode, prefix: str) -> Iterator[str]:
    model = code.model
    if model.is_bidirectional:
        kind, upper = c_type(model.dtype), prefix.upper()
        arguments = ", ".join(["tokens" if model.tokens else "x[0]", *code.aux.values()])
        yield f"static {kind} work[COUNT * {upper}_WORK], y[COUNT][{upper}_OUTPUTS];"
        yield f"{prefix}_sequence({arguments}, COUNT, work, y[0]);"
        return
    output = model.output
    arguments = ", ".join(["&state", "token" if model.tokens else "x", *code.aux.values(), output])
    yield f"{prefix}_state state;"
    yield f"{c_type(model.dtype)} {output}[{prefix.upper()}_OUTPUTS];"
    if model.vocabulary is not None:
        yield f"{prefix}_random random = {{0, 0}};"
    yield f"{prefix}_init(&state);"
    yield f"{prefix}_step({arguments});"
    if model.vocabulary is not None:
        yield f"token = {prefix}_sample(logits, 1.0, &random);"


def _struct(model: ExportedModel, prefix: str) -> Iterator[str]:
    yield "/* state of one sequence */"
    yield "typedef struct {"
    for direction in model.directions:
        for name, shape in direction.states().items():
            note = f" /* {' x '.join(map(str, shape))} */" if len(shape) > 1 else ""
            yield f"    {c_type(model.dtype)} {state_field(direction, name)}[{math.prod(shape)}];{note}"
    yield f"}} {prefix}_state;"
    yield ""


def step_signature(code: ModelCode, prefix: str) -> str:
    """The signature of the step function."""
    model, kind, upper = code.model, c_type(code.model.dtype), prefix.upper()
    first = "int token" if model.tokens else f"const {kind} x[{upper}_INPUTS]"
    aux = (f"const {kind} {code.aux[name]}[{math.prod(shape)}]" for name, shape in model.inputs.items())
    arguments = [f"{prefix}_state *state", first, *aux, f"{kind} {model.output}[{upper}_OUTPUTS]"]
    return f"void {prefix}_step({', '.join(arguments)})"


def _functions(code: ModelCode, prefix: str) -> Iterator[str]:
    model, upper = code.model, prefix.upper()
    into = f"a token from 0 to {upper}_INPUTS - 1" if model.tokens else "features"
    out = "the output" if model.vocabulary is None else "scores of the next token"
    yield "/* set the initial states */"
    yield f"void {prefix}_init({prefix}_state *state);"
    yield ""
    yield f"/* one step: {into} in, {out} out */"
    yield f"{step_signature(code, prefix)};"
    yield ""
    if model.vocabulary is not None:
        what = "a byte" if model.vocabulary.level == "byte" else "bytes of UTF-8"
        names = {"prefix": prefix, "upper": upper, "kind": c_type(model.dtype), "bytes": what}
        yield _TEXT_FUNCTIONS.format(**names)


# C99 guarantees 4,095 characters, and a byte may take four.
_MAX_STRING = 1000

# The random numbers of zoo.kernels.random and the sampling of zoo.kernels.sampling, in float64.
_SAMPLE = """\
static uint64_t scramble(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

/* from zero to less than one */
static double uniform(uint64_t seed, uint64_t draw)
{
    const uint64_t gamma = UINT64_C(0x9E3779B97F4A7C15);
    const uint64_t start = scramble(seed + gamma);
    return (double)(scramble(start + draw * gamma + gamma) >> 11) / 9007199254740992.0;
}

int PREFIX_sample(const REAL scores[UPPER_OUTPUTS], double temperature, PREFIX_random *random)
{
    const double u = uniform(random->seed, random->draws++);
    int best = 0, drawn = -1;
    for (int token = 0; token < UPPER_OUTPUTS; token++) {
        if (!(scores[token] < INFINITY))
            return -1;
        best = scores[token] > scores[best] ? token : best;
    }
    if (!(scores[best] > -INFINITY))
        return -1;
    if (temperature <= 0)
        return best;
    double total = 0, below = 0;
    for (int token = 0; token < UPPER_OUTPUTS; token++)
        total += exp(((double)scores[token] - (double)scores[best]) / temperature);
    for (int token = 0; token < UPPER_OUTPUTS && below <= u * total; token++) {
        const double weight = exp(((double)scores[token] - (double)scores[best]) / temperature);
        below += weight;
        drawn = weight > 0 ? token : drawn;
    }
    return drawn;
}
"""

_TOKEN = """\
int PREFIX_token(const char *text, size_t length)
{
    int longest = -1;
    for (int token = 0; token < UPPER_OUTPUTS; token++) {
        const PREFIX_symbol symbol = PREFIX_symbols[token];
        if (symbol.length <= length && memcmp(symbol.text, text, symbol.length) == 0
            && (longest < 0 || symbol.length > PREFIX_symbols[longest].length))
            longest = token;
    }
    return longest;
}
"""


def sampling_lines(prefix: str, kind: str) -> str:
    """The functions that sample a token and look one up."""
    text = f"{_SAMPLE}\n{_TOKEN}"
    return text.replace("PREFIX", prefix).replace("UPPER", prefix.upper()).replace("REAL", kind)


def symbol_lines(vocabulary: Vocabulary, prefix: str) -> Iterator[str]:
    """The table of symbols."""
    yield f"const {prefix}_symbol {prefix}_symbols[{prefix.upper()}_OUTPUTS] = {{"
    for token in range(len(vocabulary)):
        data = vocabulary.symbol_bytes(token)
        yield f"    {{{_c_string(data)}, {len(data)}}},"
    yield "};"


def _c_string(data: bytes) -> str:
    """The bytes of a symbol: a string literal, or an array if it is longer than compilers must accept."""
    if len(data) <= _MAX_STRING:
        return string_literal(data)
    return f"(const char[]){{{', '.join(str(byte - 256 * (byte > 127)) for byte in data)}}}"


@dataclass(frozen=True)
class CProgram:
    """A model in C.

    Args:
        source: The text of the source file.
        header: The text of the header.
        sizes: Bytes, as in :class:`zoo.export.CFiles`.
        is_int8: Whether each matrix is int8 numbers with scales, by name.
    """

    source: str
    header: str
    sizes: Mapping[str, int]
    is_int8: Mapping[str, bool]


def c_program(model: ExportedModel, prefix: str, header: str, int8: bool = False) -> CProgram:
    """Write a model.

    Args:
        model: The model.
        prefix: Prefix of all public names.
        header: Name of the header file.
        int8: Whether matrices of products are int8 numbers with scales.

    Raises:
        UsageError: if a step uses an operation without a template.
    """
    code = ModelCode(model, CSyntax(prefix), int8)
    if any(direction.initial for direction in model.directions):
        code.helpers.add("copy")
    sizes, raw = code.sizes(), None
    sequence = None if code.sequence is None else CSequence(code, prefix)
    if model.data is not None:
        raw = RawFunctions(model, prefix)
        sizes["raw"] = raw.stack_bytes()
        sizes["weights"] += raw.constant_bytes()
    source = [f'#include "{header}"', "", "#include <math.h>"]
    source += ["#include <string.h>"] if model.vocabulary is not None else []
    source += ["", *_constant_lines(code, prefix), *_helper_lines(code)]
    source += [] if sequence is None else _struct(model, prefix)
    for layer in code.layers:
        source += [*layer.lines, ""]
    source += [*_init_lines(model, prefix), ""]
    source += _step_lines(code, prefix) if sequence is None else sequence.source_lines()
    if model.vocabulary is not None:
        source += ["", sampling_lines(prefix, c_type(model.dtype)).rstrip()]
    if raw is not None:
        source += ["", *raw.source_lines()]
    is_int8 = code.is_int8()
    header_text = header_lines(code, prefix, sizes, raw, sequence, any(is_int8.values()))
    return CProgram(_joined_lines(source), _joined_lines(header_text), sizes, is_int8)


def _init_lines(model: ExportedModel, prefix: str) -> Iterator[str]:
    """The function that sets the initial states: zeros, or the learned ones."""
    linkage = "static " if model.is_bidirectional else ""
    yield f"{linkage}void {prefix}_init({prefix}_state *state)"
    yield "{"
    yield f"    static const {prefix}_state zeros;"
    yield "    *state = zeros;"
    for direction in model.directions:
        for name in direction.initial:
            field = state_field(direction, name)
            yield f"    copy(initial_{field}, state->{field}, {direction.initial[name].size});"
    yield "}"


def _step_lines(code: ModelCode, prefix: str) -> Iterator[str]:
    """The step function: every layer, then the readout."""
    yield from (step_signature(code, prefix), "{")
    for name, size in code.step_arrays.items():
        yield from (f"    {line}" for line in code.syntax.arrays({name: size}, code.model.dtype))
    yield from (f"    {line}" for line in code.step_calls)
    yield "}"


def _constant_lines(code: ModelCode, prefix: str) -> Iterator[str]:
    if code.model.vocabulary is not None:
        yield from (*symbol_lines(code.model.vocabulary, prefix), "")
    for name, value in code.constants.items():
        yield from (*array_definition(name, value, code.model.dtype), "")


def _helper_lines(code: ModelCode) -> Iterator[str]:
    """The helpers that the model uses, in the order of the table."""
    dtype = code.model.dtype
    for name, text in HELPERS.items():
        if name in code.helpers:
            text = re.sub(r"\breal\b", c_type(dtype), text)
            yield re.sub(
                rf"\b({'|'.join(FUNCTIONS)})\(", lambda call: f"{code.syntax.function(call[1], dtype)}(", text
            )


def _joined_lines(lines: Iterable[str]) -> str:
    return "\n".join(lines) + "\n"
