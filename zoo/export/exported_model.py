"""What is exported: layers with their numbers, what they read, and what reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from zoo.base import Noise
from zoo.compiler.frontend.trace_step import StepGraph, trace_step
from zoo.compiler.ir.graph import Node
from zoo.compiler.passes.specialise import fold_parameters, specialise
from zoo.data import Vocabulary
from zoo.errors import UsageError
from zoo.layers import Recurrent
from zoo.layers.direction import Direction
from zoo.layers.stack import Layer, Stack
from zoo.model import LanguageModel, SequenceModel

Array = np.ndarray[Any, Any]
AnyModel: TypeAlias = LanguageModel | SequenceModel | Recurrent


@dataclass(frozen=True)
class DirectionExport:
    """One layer of what is exported.

    Args:
        layer: Cell, sizes, direction of time, and names of the arrays.
        arrays: Parameters and buffers under the cell's own names.
        initial: Learned states before the first step under the cell's own names.
        told: Inputs beside x that are one number: noise at its expectation, and what nobody gives.
        dtype: Of all numbers.
    """

    layer: Direction
    arrays: Mapping[str, Array]
    initial: Mapping[str, Array]
    told: Mapping[str, float]
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        """``l0`` or ``l0.reverse``: what stands in front of the names of its arrays."""
        return self.layer.prefix.removesuffix(".")

    @cached_property
    def step_graph(self) -> StepGraph:
        """Its step in numbers."""
        layer = self.layer
        sizes = {"I": layer.input_size, "H": layer.hidden_size}
        return specialise(trace_step(layer.cell), sizes, self.told)

    def shared(self, outputs: Iterable[Node]) -> dict[Node, Array]:
        """The values that parameters alone decide, of those that some values depend on.

        Args:
            outputs: Of :attr:`equations`, or of what they were rewritten to.
        """
        return fold_parameters(outputs, self.arrays, self.dtype)

    def states(self) -> dict[str, tuple[int, ...]]:
        """The shape of each state under the cell's own name."""
        return {_cell_name(self.layer, name): shape for name, shape in self.layer.states.items()}


@dataclass(frozen=True)
class LayerExport:
    """A floor of what is exported: one layer, or one for each direction of time.

    Args:
        parts: The layers.
        floor: Sizes, and whether the input is added to the output.
    """

    parts: tuple[DirectionExport, ...]
    floor: Layer


@dataclass(frozen=True)
class ExportedModel:
    """What is exported.

    Args:
        stages: The floors, each reading the output of the one below.
        dtype: Of all numbers.
        tokens: Whether the input is tokens.
        inputs: The shape of each input beside x that is given at every step.
        readout: ``Why`` and ``by``; None if the output of the last floor is what is wanted.
        output: What the output is called: ``y``, or ``logits`` of what a softmax or sigmoid is meant for.
        vocabulary: What tokens stand for; None if nobody says.
        facts: What else there is to say of it, as JSON has it.
    """

    stages: tuple[LayerExport, ...]
    dtype: np.dtype[Any]
    tokens: bool
    inputs: Mapping[str, tuple[int, ...]]
    readout: tuple[Array, Array] | None
    output: str
    vocabulary: Vocabulary | None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parts(self) -> tuple[DirectionExport, ...]:
        """All layers, floor by floor."""
        return tuple(part for stage in self.stages for part in stage.parts)

    @property
    def input_size(self) -> int:
        """Features of the input, or number of different tokens."""
        return self.stages[0].floor.input_size

    @property
    def output_size(self) -> int:
        """Features of the output, or scores."""
        return self.stages[-1].floor.output_size if self.readout is None else int(self.readout[1].size)

    @property
    def states(self) -> dict[str, tuple[int, ...]]:
        """The shape of each state, ``l0.h`` and so on, without the batch axis."""
        return {name: shape for part in self.parts for name, shape in part.layer.states.items()}

    def check_streams(self, what: str) -> None:
        """Refuse what cannot go step by step.

        Raises:
            UsageError: if some layer reads from the end of the sequence.
        """
        if any(part.layer.reverse for part in self.parts):
            raise UsageError(
                f"export: {what} goes from step to step, and bidirectional layers read a sequence from its "
                f"end too; export the graph of whole sequences (ONNX without --step)."
            )


def exported_model(model: Any, tokens: bool | None = None) -> ExportedModel:
    """What there is to export of a model.

    Args:
        model: A language model, a sequence model, or recurrent layers.
        tokens: Whether the input is tokens, not features; language models read nothing else.

    Raises:
        UsageError: if it is none of these, or a cell states no step.
        DefinitionError: if a cell's step cannot be compiled.
    """
    if not isinstance(model, LanguageModel | SequenceModel | Recurrent):
        raise UsageError(
            f"export: found a {type(model).__name__}; expected a zoo.LanguageModel, a zoo.SequenceModel or a "
            f"zoo.Recurrent."
        )
    if isinstance(model, LanguageModel) and tokens is False:
        raise UsageError("export: a language model reads tokens; leave out tokens=False.")
    inputs = _runtime_inputs(model.stack) if isinstance(model, Recurrent) else {}
    return ExportedModel(
        tuple(LayerExport(_directions(model, floor, inputs), floor) for floor in model.stack.layers),
        model.dtype,
        isinstance(model, LanguageModel) or bool(tokens),
        inputs,
        None if isinstance(model, Recurrent) else (model.params["Why"].copy(), model.params["by"].copy()),
        "y" if isinstance(model, Recurrent) or model.loss_name == "squared_error" else "logits",
        model.vocab if isinstance(model, LanguageModel) else None,
        _metadata(model),
    )


def _runtime_inputs(stack: Stack) -> dict[str, tuple[int, ...]]:
    """The inputs beside x that are given at every step: all but noise."""
    given = {name for name, each in stack.inputs.items() if not isinstance(each, Noise)}
    return {name: shape for name, shape in stack.input_shapes.items() if name in given}


def _directions(model: AnyModel, floor: Layer, inputs: Mapping[str, Any]) -> tuple[DirectionExport, ...]:
    return tuple(_direction(model, layer, inputs) for layer in floor.directions)


def _direction(model: AnyModel, layer: Direction, inputs: Mapping[str, Any]) -> DirectionExport:
    cell = layer.cell
    if not cell.has_step():
        raise UsageError(
            f"{cell.label()}: it brings its own kernels and states no step, and a step is what is exported; "
            f"add `def step(self, x, ...)` with the same equations."
        )
    held = {**model.params, **model.buffers}
    arrays = {_cell_name(layer, name): held[name].copy() for name in layer.arrays}
    learned = {state: held[name].copy() for name, state in model.stack.learned.items()}
    initial = {_cell_name(layer, name): learned[name] for name in layer.states if name in learned}
    told = {name: each.value(cell.options) for name, each in cell.inputs.items() if name not in inputs}
    return DirectionExport(layer, arrays, initial, told, model.dtype)


def _metadata(model: AnyModel) -> dict[str, Any]:
    stack = model.stack
    names, options = [cell.name for cell in stack.cells], [dict(cell.options) for cell in stack.cells]
    is_one = all(cell == stack.cell for cell in stack.cells)
    return {
        "cell": names[0] if is_one else names,
        "options": options[0] if is_one else options,
        "input_size": stack.input_size,
        "hidden_size": stack.hidden_size,
        "num_layers": len(stack.layers),
        "bidirectional": stack.bidirectional,
        "residual": stack.residual,
        "dtype": model.dtype.name,
        "parameters": model.layout.size,
    }


def _cell_name(layer: Direction, name: str) -> str:
    """A layer's name for an array as the cell has it."""
    return name.removeprefix(layer.prefix)
