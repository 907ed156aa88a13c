"""A whole model in C: a source file and a header, and what room it takes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from zoo.export.c.header import beside_names, header_lines, step_signature
from zoo.export.c.layers import LayerText, field_of, write_layer
from zoo.export.c.operations import FUNCTIONS, HELPERS
from zoo.export.c.sampling import sampling_lines, symbol_lines
from zoo.export.c.text import array, c_type
from zoo.export.subject import Array, Stage, Subject


@dataclass(frozen=True)
class Program:
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


def c_program(subject: Subject, prefix: str, header: str) -> Program:
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
    whole = _Whole(subject, prefix, layers)
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
    return Program(_text(source), _text(header_lines(subject, prefix, sizes)), sizes)


class _Whole:
    """The layers and what reads them."""

    def __init__(self, subject: Subject, prefix: str, layers: list[LayerText]) -> None:
        self.subject, self.prefix, self.layers = subject, prefix, layers
        self.between: dict[str, int] = {}
        """Arrays for outputs that the next layer reads, and how many numbers they hold."""
        self.constants: dict[str, Array] = {}
        for layer in layers:
            self.constants |= layer.constants
        self.helpers = {helper for layer in layers for helper in layer.helpers}
        for part in subject.parts:
            self.constants |= {f"initial_{field_of(part, name)}": v for name, v in part.initial.items()}
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
                field = field_of(part, name)
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

    def _stage(self, layer: LayerText, stage: Stage, x: str) -> tuple[str, list[str]]:
        """A floor: where its output lies, and the lines that make it."""
        beside, output = beside_names(self.subject), layer.output
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

    def _array_for(self, stage: Stage) -> str:
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
            yield from (*array(name, value, self.subject.dtype), "")

    def helper_lines(self) -> Iterator[str]:
        """The helpers that are called, in the order of the table."""
        suffix = "f" if self.subject.dtype == np.float32 else ""
        for name, text in HELPERS.items():
            if name in self.helpers:
                text = re.sub(r"\breal\b", c_type(self.subject.dtype), text)
                yield re.sub(rf"\b({'|'.join(FUNCTIONS)})\(", rf"\1{suffix}(", text)


def _text(lines: Iterator[str] | list[str]) -> str:
    return "\n".join(lines) + "\n"
