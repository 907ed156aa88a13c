"""The exported model: layers with their arrays, the readout, and metadata."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np

from zoo.array_types import Array
from zoo.base import Noise
from zoo.classification.predictor import Predictor
from zoo.compiler.frontend.trace_step import StepGraph, trace_step
from zoo.compiler.ir.graph import Node
from zoo.compiler.passes.specialise import fold_parameters, specialise
from zoo.data import Vocabulary
from zoo.errors import UsageError
from zoo.export.exported_data import TIME_STEP, DataExport, exported_data
from zoo.forecasting.forecaster import Forecaster
from zoo.layers import Recurrent
from zoo.layers.direction import Direction
from zoo.layers.stack import Layer
from zoo.model import LanguageModel, SequenceModel, model_from
from zoo.model.category_inputs import CategoryInputs
from zoo.model.checkpoint import CellClasses, read_checkpoint
from zoo.training import Run

BareModel: TypeAlias = LanguageModel | SequenceModel | Recurrent
LoadedModel: TypeAlias = BareModel | Forecaster | Predictor
AnyModel: TypeAlias = LoadedModel | Run
"""A model or layers; a model with the columns and units of its table, as :func:`zoo.fit` returns it; or a run
of :func:`zoo.train`."""


@dataclass(frozen=True)
class DirectionExport:
    """One direction of a layer.

    Args:
        spec: Cell, sizes, direction of time, and names of the arrays.
        arrays: Parameters and buffers by the cell's names.
        initial: Learned initial states by the cell's names.
        constant_inputs: Auxiliary inputs that are one number: noise at its expectation, and defaults.
        dtype: Data type of the model.
    """

    spec: Direction
    arrays: Mapping[str, Array]
    initial: Mapping[str, Array]
    constant_inputs: Mapping[str, float]
    dtype: np.dtype[Any]

    @property
    def name(self) -> str:
        """``l0`` or ``l0.reverse``: the prefix of the names of its arrays."""
        return self.spec.prefix.removesuffix(".")

    @cached_property
    def step_graph(self) -> StepGraph:
        """The step, specialised to the sizes."""
        sizes = {"I": self.spec.input_size, "H": self.spec.hidden_size}
        return specialise(trace_step(self.spec.cell), sizes, self.constant_inputs)

    def folded(self, outputs: Iterable[Node]) -> dict[Node, Array]:
        """Values that depend on parameters alone, among the ancestors of some outputs.

        Args:
            outputs: Nodes of :attr:`step_graph`, or of a graph made of it.
        """
        return fold_parameters(outputs, self.arrays, self.dtype)

    def states(self) -> dict[str, tuple[int, ...]]:
        """The shape of each state by the cell's name."""
        return {_cell_name(self.spec, name): shape for name, shape in self.spec.states.items()}


@dataclass(frozen=True)
class LayerExport:
    """A layer: one direction, or two.

    Args:
        directions: The directions.
        spec: Sizes, and whether the input is added to the output.
    """

    directions: tuple[DirectionExport, ...]
    spec: Layer


@dataclass(frozen=True)
class ExportedModel:
    """The model that is exported.

    Args:
        layers: The layers, each reading the output of the one before.
        dtype: Data type of the model.
        tokens: Whether the input is tokens.
        inputs: The shape of each auxiliary input that is given at every step.
        readout: ``Why`` and ``by``; None if the last layer makes the output.
        output: Name of the output: ``logits`` if a softmax or sigmoid follows, else ``y``.
        embedding: The vectors that the first layer reads, of each token, ``(V, E)``, or of each value of a
            category, ``(rows, E)``; None if it reads the inputs.
        categories: The inputs that are codes of categories with an embedding; None for none.
        vocabulary: Symbols of the tokens, if known.
        metadata: Cell, options and sizes, as JSON values.
        data: The columns and units of the table of training; None for a bare model.
        is_tied: Whether the weights of the readout are the transposed embedding.
    """

    layers: tuple[LayerExport, ...]
    dtype: np.dtype[Any]
    tokens: bool
    inputs: Mapping[str, tuple[int, ...]]
    readout: tuple[Array, Array] | None
    output: str
    vocabulary: Vocabulary | None
    embedding: Array | None = None
    categories: CategoryInputs | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    data: DataExport | None = None
    is_tied: bool = False

    @property
    def directions(self) -> tuple[DirectionExport, ...]:
        """All directions, layer by layer."""
        return tuple(direction for layer in self.layers for direction in layer.directions)

    @property
    def input_size(self) -> int:
        """Features of the input, or number of different tokens."""
        if self.categories is not None:
            return self.categories.input_size
        return self.layers[0].spec.input_size if self.embedding is None else len(self.embedding)

    @property
    def first_layer_reads_tokens(self) -> bool:
        """Whether the input of the first layer is tokens."""
        return self.tokens and self.embedding is None

    @property
    def output_size(self) -> int:
        """Features of the output, or number of logits."""
        return self.layers[-1].spec.output_size if self.readout is None else int(self.readout[1].size)

    @property
    def states(self) -> dict[str, tuple[int, ...]]:
        """The shape of each state, ``l0.h`` and so on, without the batch axis."""
        return {name: shape for each in self.directions for name, shape in each.spec.states.items()}

    @property
    def is_bidirectional(self) -> bool:
        """Whether a layer reads the sequence from its end too."""
        return any(direction.spec.reverse for direction in self.directions)

    def check_streamable(self, target: str) -> None:
        """Check that the model can run step by step.

        Raises:
            UsageError: if a layer reads the sequence backwards.
        """
        if self.is_bidirectional:
            raise UsageError(
                f"export: {target} goes from step to step, and bidirectional layers read a sequence from its "
                f"end too; export the graph of whole sequences (ONNX without `step`)."
            )


def load_trained(path: str | os.PathLike[str], cell: CellClasses = None) -> LoadedModel:
    """Load the best model of a run directory, or the one in a file, with the columns and units of its table.

    Args:
        path: The run directory, or a ``.safetensors`` file.
        cell: As for :func:`zoo.load`.

    Raises:
        CheckpointError: if there is none, or it is damaged.
    """
    checkpoint = read_checkpoint(path)
    if "table" in checkpoint.meta:
        return Forecaster.from_checkpoint(checkpoint, str(path), cell)
    if "sequences" in checkpoint.meta:
        return Predictor.from_checkpoint(checkpoint, str(path), cell)
    return model_from(checkpoint, str(path), cell, threads=1)


def exported_model(model: Any, tokens: bool | None = None) -> ExportedModel:
    """Collect what is exported of a model.

    Args:
        model: A language model, a sequence model, recurrent layers, a forecaster, a predictor, or a run.
        tokens: Whether the input is tokens, not features; language models accept only tokens.

    Raises:
        UsageError: if it is none of these, or a cell has no step.
        DefinitionError: if a cell's step cannot be compiled.
    """
    if isinstance(model, Run):
        model = load_trained(model.path, model.cell)
    data = exported_data(model)
    model = model if data is None else model.model
    if not isinstance(model, LanguageModel | SequenceModel | Recurrent):
        if hasattr(model, "to_layer"):
            raise UsageError(
                "export: found a zoo.torch.Recurrent; export module.to_layer(), a zoo.Recurrent with its "
                "parameters."
            )
        raise UsageError(
            f"export: found a {type(model).__name__}; expected a zoo.LanguageModel, a zoo.SequenceModel, a "
            f"zoo.Recurrent, zoo.Run(path) of a run directory, or the result of zoo.fit or zoo.train."
        )
    if data is not None and tokens:
        raise UsageError("export: a model of a table reads numbers; leave out tokens.")
    has_rows = not isinstance(model, Recurrent) and model.embedding is not None
    if (isinstance(model, LanguageModel) or has_rows) and tokens is False:
        kind = "a language model" if isinstance(model, LanguageModel) else "a model with an embedding"
        raise UsageError(f"export: {kind} reads tokens; leave out tokens=False.")
    inputs = _runtime_inputs(model, data)
    return ExportedModel(
        tuple(
            LayerExport(tuple(_direction(model, spec, inputs) for spec in layer.directions), layer)
            for layer in model.stack.layers
        ),
        model.dtype,
        isinstance(model, LanguageModel) or has_rows or bool(tokens),
        inputs,
        None if isinstance(model, Recurrent) else (model.readout_weights().copy(), model.params["by"].copy()),
        "y" if isinstance(model, Recurrent) or model.criterion.target == "value" else "logits",
        model.vocab if isinstance(model, LanguageModel) else None,
        model.params["embedding"].copy() if "embedding" in model.params else None,
        model.categories if isinstance(model, SequenceModel) else None,
        _metadata(model),
        data,
        not isinstance(model, Recurrent) and model.tie,
    )


def _runtime_inputs(model: BareModel, data: DataExport | None) -> dict[str, tuple[int, ...]]:
    """The auxiliary inputs that are given at every step: all but noise.

    Rows of a table give the time between them. Language models use defaults, as when they sample.
    """
    stack = model.stack
    names = {name for name, each in stack.inputs.items() if not isinstance(each, Noise)}
    if data is not None:
        names &= {TIME_STEP} if data.has_times else set()
    elif isinstance(model, LanguageModel):
        names = set()
    return {name: shape for name, shape in stack.input_shapes.items() if name in names}


def _direction(model: BareModel, spec: Direction, inputs: Mapping[str, Any]) -> DirectionExport:
    cell = spec.cell
    if not cell.has_step():
        raise UsageError(
            f"{cell.label()}: it has its own kernels and no `step`, and zoo exports only a `step`; "
            f"add `def step(self, x, ...)` with the same equations."
        )
    all_arrays = {**model.params, **model.buffers}
    arrays = {_cell_name(spec, name): all_arrays[name].copy() for name in spec.arrays}
    learned = {state: all_arrays[name].copy() for name, state in model.stack.learned.items()}
    initial = {_cell_name(spec, name): learned[name] for name in spec.states if name in learned}
    constants = {name: each.value(cell.options) for name, each in cell.inputs.items() if name not in inputs}
    return DirectionExport(spec, arrays, initial, constants, model.dtype)


def _metadata(model: BareModel) -> dict[str, Any]:
    stack = model.stack
    names, options = [cell.name for cell in stack.cells], [dict(cell.options) for cell in stack.cells]
    is_one = all(cell == stack.cell for cell in stack.cells)
    return {
        "cell": names[0] if is_one else names,
        "options": options[0] if is_one else options,
        "input_size": stack.input_size if isinstance(model, Recurrent) else model.input_size,
        "hidden_size": stack.hidden_size,
        "num_layers": len(stack.layers),
        "bidirectional": stack.bidirectional,
        "residual": stack.config.residual,
        "dtype": model.dtype.name,
        "parameters": model.layout.size,
    }


def _cell_name(spec: Direction, name: str) -> str:
    return name.removeprefix(spec.prefix)
