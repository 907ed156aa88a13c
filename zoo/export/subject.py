"""What is exported: layers with their numbers, what they read, and what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from zoo.compiler.graph import Node
from zoo.compiler.reading import Equations, read
from zoo.compiler.settled import at_sizes, shared_values
from zoo.contracts import Noise
from zoo.data import Vocabulary
from zoo.errors import UsageError
from zoo.layers import Recurrent
from zoo.layers.layer import Layer
from zoo.model import LanguageModel

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Part:
    """One layer of what is exported.

    Args:
        layer: Sizes, and names of the arrays.
        arrays: Parameters and buffers under the cell's own names.
        told: Inputs beside x that are one number: noise at its expectation, and what nobody gives.
        dtype: Of all numbers.
    """

    layer: Layer
    arrays: Mapping[str, Array]
    told: Mapping[str, float]
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        """``l0``: what stands in front of the names of its arrays."""
        return f"l{self.layer.index}"

    @cached_property
    def equations(self) -> Equations:
        """Its step in numbers."""
        layer = self.layer
        sizes = {"I": layer.input_size, "H": layer.hidden_size}
        return at_sizes(read(layer.cell), sizes, self.told)

    def shared(self, outputs: Iterable[Node]) -> dict[Node, Array]:
        """The values that parameters alone decide, of those that some values depend on.

        Args:
            outputs: Of :attr:`equations`, or of what they were rewritten to.
        """
        return shared_values(outputs, self.arrays, self.dtype)

    def states(self) -> dict[str, tuple[int, ...]]:
        """The shape of each state under the cell's own name."""
        return {_own(name): shape for name, shape in self.layer.states.items()}


@dataclass(frozen=True)
class Subject:
    """What is exported.

    Args:
        parts: The layers, each reading the output of the one below.
        dtype: Of all numbers.
        input_size: Features of the input, or number of different tokens.
        tokens: Whether the input is tokens.
        inputs: The shape of each input beside x that is given at every step.
        readout: ``Why`` and ``by``; None if the output of the last layer is what is wanted.
        vocabulary: What tokens stand for; None if nobody says.
        facts: What else there is to say of it, as JSON has it.
    """

    parts: tuple[Part, ...]
    dtype: np.dtype[Any]
    input_size: int
    tokens: bool
    inputs: Mapping[str, tuple[int, ...]]
    readout: tuple[Array, Array] | None = None
    vocabulary: Vocabulary | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def output_size(self) -> int:
        """Features of the output, or scores."""
        return self.parts[-1].layer.output_size if self.readout is None else int(self.readout[1].size)

    @property
    def states(self) -> dict[str, tuple[int, ...]]:
        """The shape of each state, ``l0.h`` and so on, without the batch axis."""
        return {name: shape for part in self.parts for name, shape in part.layer.states.items()}


def subject_of(model: Any, tokens: bool | None = None) -> Subject:
    """What there is to export of a model.

    Args:
        model: A language model, or recurrent layers.
        tokens: For layers: whether they read tokens, not features; language models do.

    Raises:
        UsageError: if it is neither, or a cell states no step.
        DefinitionError: if a cell's step cannot be compiled.
    """
    if isinstance(model, LanguageModel):
        if tokens is False:
            raise UsageError("export: a language model reads tokens; leave out tokens=False.")
        readout = np.array(model.params["Why"]), np.array(model.params["by"])
        return _subject(model, True, {}, readout, model.vocab)
    if isinstance(model, Recurrent):
        given = {name for name, each in model.cell.inputs.items() if not isinstance(each, Noise)}
        shapes = {name: shape for name, shape in model.stack.input_shapes.items() if name in given}
        return _subject(model, bool(tokens), shapes)
    raise UsageError(
        f"export: found a {type(model).__name__}; expected a zoo.LanguageModel or a zoo.Recurrent."
    )


def _subject(
    model: LanguageModel | Recurrent,
    tokens: bool,
    inputs: Mapping[str, tuple[int, ...]],
    readout: tuple[Array, Array] | None = None,
    vocabulary: Vocabulary | None = None,
) -> Subject:
    stack = model.stack
    parts = tuple(_part(model, layer, inputs) for layer in stack.layers)
    return Subject(parts, model.dtype, stack.input_size, tokens, inputs, readout, vocabulary, _facts(model))


def _part(model: LanguageModel | Recurrent, layer: Layer, inputs: Mapping[str, Any]) -> Part:
    cell = layer.cell
    if not cell.has_step():
        raise UsageError(
            f"{cell.label()}: it brings its own kernels and states no step, and a step is what is exported; "
            f"add `def step(self, x, ...)` with the same equations."
        )
    held = {**model.params, **model.buffers}
    arrays = {_own(name): np.array(held[name]) for name in layer.arrays}
    told = {name: each.value(cell.options) for name, each in cell.inputs.items() if name not in inputs}
    return Part(layer, arrays, told, model.dtype)


def _facts(model: LanguageModel | Recurrent) -> dict[str, Any]:
    stack = model.stack
    return {
        "cell": model.cell.name,
        "options": dict(model.cell.options),
        "input_size": stack.input_size,
        "hidden_size": stack.hidden_size,
        "num_layers": len(stack.layers),
        "dtype": model.dtype.name,
        "parameters": model.layout.size,
    }


def _own(name: str) -> str:
    """A layer's name for an array as the cell has it."""
    return name.partition(".")[2]
