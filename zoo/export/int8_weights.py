"""The weights of an int8 export as a model, to evaluate before it is exported."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TypeVar, overload

import numpy as np

from zoo.classification.predictor import Predictor
from zoo.errors import UsageError
from zoo.export.c_source import CSyntax
from zoo.export.exported_model import AnyModel, LoadedModel, exported_model, load_trained
from zoo.export.matrix_source import rounded_rows
from zoo.export.model_matrices import EMBEDDING, READOUT, quantized_matrices
from zoo.export.step_function import StepEmitter
from zoo.forecasting.forecaster import Forecaster
from zoo.training import Run

LoadedT = TypeVar("LoadedT", bound=LoadedModel)


@overload
def int8_weights(model: LoadedT, tokens: bool | None = None) -> LoadedT: ...
@overload
def int8_weights(model: Run, tokens: bool | None = None) -> LoadedModel: ...
def int8_weights(model: AnyModel, tokens: bool | None = None) -> LoadedModel:
    """A copy of a model with the quantized weights of its int8 export, to evaluate before you export it.

    The matrices that multiply inputs and states, and embeddings, become integers from -127 to 127 with a
    scale for each row, the largest magnitude of the row divided by 127. The readout has a scale for each
    output. Other parameters keep their values, for example biases, and matrices that a cell transforms or
    reads element by element. Buffers keep theirs too. The copy has the dtype and precision of the model.

    >>> rounded = zoo.export.int8_weights(model)
    >>> zoo.export.to_c(model, "small.c", weights="int8")  # the outputs of ``rounded``, to rounding

    Args:
        model: As for :func:`to_c`. The result for a run is its best model.
        tokens: As for :func:`to_c`.

    Raises:
        UsageError: if it is not a model, a cell has no step, or a matrix holds NaN or infinity.
        DefinitionError: if a cell's step cannot be compiled.
    """
    loaded = load_trained(model.path, model.cell) if isinstance(model, Run) else model
    if isinstance(loaded, Forecaster | Predictor):
        exported_model(loaded, tokens)  # raises an error for `tokens`
        return replace(loaded, model=int8_weights(loaded.model))
    quantized, rounded = int8_parameters(loaded, tokens), copy.deepcopy(loaded)
    for name in quantized:
        value = rounded.params[name]
        if not np.isfinite(value).all():
            raise UsageError(
                f"export: {name!r} holds NaN or infinity; expected finite numbers for int8 weights."
            )
        value[...] = rounded_rows(value.T).T if name == "Why" else rounded_rows(value)
    return rounded


def int8_parameters(model: AnyModel, tokens: bool | None = None) -> list[str]:
    """The names of the parameters that an int8 export quantizes.

    Args:
        model: As for :func:`to_c`.
        tokens: As for :func:`to_c`.
    """
    exported = exported_model(model, tokens)
    names = list[str]()
    for direction in exported.directions:
        reads_tokens = exported.first_layer_reads_tokens and direction.spec.index == 0
        step = StepEmitter(direction, CSyntax("model"), reads_tokens)
        names += (f"{direction.spec.prefix}{param}" for param in step.product_parameters().values())
    params = {EMBEDDING: "embedding", READOUT: "Why"}
    names += (params[name] for name in quantized_matrices(exported))
    return names
