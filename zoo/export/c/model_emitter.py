"""What turns scores into text in C: the draw, and the table of symbols.

A whole model in C: a source file and a header, and what room it takes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from zoo.data import Vocabulary
from zoo.export.c.header import aux_input_names, header_lines, step_signature
from zoo.export.c.layer_emitter import CLayer, state_field, write_layer
from zoo.export.c.literals import array_definition, c_type, string_literal
from zoo.export.c.operations import FUNCTIONS, HELPERS
from zoo.export.exported_model import Array, ExportedModel, LayerExport

# C99 promises 4,095 characters, and a byte may take four.
_MAX_STRING = 1000

# The random numbers of zoo.kernels.random, and the draw of zoo.kernels.sampling, in float64.
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
    int best = 0, found = -1;
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
        found = weight > 0 ? token : found;
    }
    return found;
}
"""

_TOKEN = """\
int PREFIX_token(const char *text, size_t length)
{
    int found = -1;
    for (int token = 0; token < UPPER_OUTPUTS; token++) {
        const PREFIX_symbol symbol = PREFIX_symbols[token];
        if (symbol.length <= length && memcmp(symbol.text, text, symbol.length) == 0
            && (found < 0 || symbol.length > PREFIX_symbols[found].length))
            found = token;
    }
    return found;
}
"""


def sampling_lines(prefix: str, kind: str) -> str:
    """The functions that draw a token and look one up."""
    text = f"{_SAMPLE}\n{_TOKEN}"
    return text.replace("PREFIX", prefix).replace("UPPER", prefix.upper()).replace("REAL", kind)


def symbol_lines(vocabulary: Vocabulary, prefix: str) -> Iterator[str]:
    """The table of symbols, every byte that is not plainly itself written as its number."""
    yield f"const {prefix}_symbol {prefix}_symbols[{prefix.upper()}_OUTPUTS] = {{"
    for symbol in vocabulary:
        data = bytes([symbol]) if isinstance(symbol, int) else symbol.encode("utf-8")
        yield f"    {{{_c_string(data)}, {len(data)}}},"
    yield "};"


def _c_string(data: bytes) -> str:
    """The bytes of a symbol: a string, unless it would be longer than every compiler must take."""
    if len(data) <= _MAX_STRING:
        return string_literal(data)
    return f"(const char[]){{{', '.join(str(byte - 256 * (byte > 127)) for byte in data)}}}"


@dataclass(frozen=True)
class CProgram:
    """A model in C.

    Args:
        source: The text of the source file.
        header: The text of the header.
        sizes: Bytes of ``weights``, the constants; ``states``, one struct for each sequence; and
            ``scratch``, on the stack while a step runs.
    """

    source: str
    header: str
    sizes: Mapping[str, int]


def c_program(subject: ExportedModel, prefix: str, header: str) -> CProgram:
    """Write a model.

    Args:
        subject: What is exported.
        prefix: What all names begin with that others see.
        header: The name of the header file.

    Raises:
        UsageError: if a step uses what there is no row for, or a layer reads from the end of time.
    """
    subject.check_streams("C")
    layers = [write_layer(part, prefix, subject.tokens and n == 0) for n, part in enumerate(subject.parts)]
    whole = _ModelEmitter(subject, prefix, layers)
    step = whole.step_lines()
    sizes = whole.sizes()
    source = [f'#include "{header}"', "", "#include <math.h>"]
    source += ["#include <string.h>"] if subject.vocabulary is not None else []
    source += ["", *whole.constant_lines(), *whole.helper_lines()]
    for layer in layers:
        source += [*layer.lines, ""]
    source += [*whole.init_lines(), "", *step]
    if subject.vocabulary is not None:
        source += ["", sampling_lines(prefix, c_type(subject.dtype)).rstrip()]
    return CProgram(_joined_lines(source), _joined_lines(header_lines(subject, prefix, sizes)), sizes)


class _ModelEmitter:
    """The layers and what reads them."""

    def __init__(self, subject: ExportedModel, prefix: str, layers: list[CLayer]) -> None:
        self.subject, self.prefix, self.layers = subject, prefix, layers
        self.between: dict[str, int] = {}
        """Arrays for outputs that the next layer reads, and how many numbers they hold."""
        self.constants: dict[str, Array] = {}
        for layer in layers:
            self.constants |= layer.constants
        self.helpers = {helper for layer in layers for helper in layer.helpers}
        for part in subject.parts:
            self.constants |= {f"initial_{state_field(part, name)}": v for name, v in part.initial.items()}
            self.helpers |= {"copy"} if part.initial else set()
        if subject.readout is not None:
            self.constants |= dict(zip(("readout_Why", "readout_by"), subject.readout, strict=True))

    def init_lines(self) -> Iterator[str]:
        """The function that makes the states before the first step: zeros, or what was learned."""
        yield f"void {self.prefix}_init({self.prefix}_state *state)"
        yield "{"
        yield f"    static const {self.prefix}_state zeros;"
        yield "    *state = zeros;"
        for part in self.subject.parts:
            for name in part.initial:
                field = state_field(part, name)
                yield f"    copy(initial_{field}, state->{field}, {part.initial[name].size});"
        yield "}"

    def step_lines(self) -> list[str]:
        """The step function: every layer, then the readout."""
        calls = list(self._calls())
        made = [f"    {c_type(self.subject.dtype)} {name}[{size}];" for name, size in self.between.items()]
        return [step_signature(self.subject, self.prefix), "{", *made, *calls, "}"]

    def _calls(self) -> Iterator[str]:
        x = "token" if self.subject.tokens else "x"
        for layer, stage in zip(self.layers, self.subject.stages, strict=True):
            x, lines = self._stage(layer, stage, x)
            yield from lines
        yield from self._output(x)

    def _stage(self, layer: CLayer, stage: LayerExport, x: str) -> tuple[str, list[str]]:
        """A floor: where its output lies, and the lines that make it."""
        beside, output = aux_input_names(self.subject), layer.output
        given = ["state", x, *(beside[name] for name in layer.inputs)]
        if not output or stage.floor.is_residual:
            output = self._array_for(stage)
        given += [] if layer.output else [output]
        lines = [f"    {layer.name}({', '.join(given)});"]
        size = stage.floor.output_size
        if layer.output and output != layer.output:
            self.helpers.add("copy")
            lines.append(f"    copy({layer.output}, {output}, {size});")
        if stage.floor.is_residual:
            lines.append(self._below(x, output, size))
        return output, lines

    def _array_for(self, stage: LayerExport) -> str:
        """An array for the output of a floor: the caller's, if nothing else reads it."""
        if stage is self.subject.stages[-1] and self.subject.readout is None:
            return "y"
        name = f"y{stage.floor.index}"
        self.between[name] = stage.floor.output_size
        return name

    def _below(self, x: str, output: str, size: int) -> str:
        """The line that adds the input of a floor to its output."""
        if x == "token":
            return f"    {output}[token] += 1;"
        self.helpers.add("add")
        return f"    add({x}, {output}, {size});"

    def _output(self, y: str) -> Iterator[str]:
        """What the last floor makes becomes the output."""
        size, width = self.subject.stages[-1].floor.output_size, self.subject.output_size
        if self.subject.readout is not None:
            self.helpers |= {"copy", "add_product"}
            name = self.subject.output
            yield f"    copy(readout_by, {name}, {width});"
            yield f"    add_product({y}, readout_Why, {name}, {size}, {width});"
        elif y != "y":
            self.helpers.add("copy")
            yield f"    copy({y}, y, {size});"

    def sizes(self) -> dict[str, int]:
        """Bytes, as :class:`Program` has them."""
        numbers = {
            "weights": sum(value.size for value in self.constants.values()),
            "states": sum(math.prod(shape) for shape in self.subject.states.values()),
            "scratch": sum(self.between.values()) + max(layer.scratch for layer in self.layers),
        }
        return {name: count * self.subject.dtype.itemsize for name, count in numbers.items()}

    def constant_lines(self) -> Iterator[str]:
        """All that never changes."""
        if self.subject.vocabulary is not None:
            yield from (*symbol_lines(self.subject.vocabulary, self.prefix), "")
        for name, value in self.constants.items():
            yield from (*array_definition(name, value, self.subject.dtype), "")

    def helper_lines(self) -> Iterator[str]:
        """The helpers that are called, in the order of the table."""
        suffix = "f" if self.subject.dtype == np.float32 else ""
        for name, text in HELPERS.items():
            if name in self.helpers:
                text = re.sub(r"\breal\b", c_type(self.subject.dtype), text)
                yield re.sub(rf"\b({'|'.join(FUNCTIONS)})\(", rf"\1{suffix}(", text)


def _joined_lines(lines: Iterator[str] | list[str]) -> str:
    return "\n".join(lines) + "\n"
