"""The weights of an int8 export as a model, to evaluate before it is exported."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar, overload

import numpy as np

from zoo.classification.predictor import Predictor
from zoo.errors import UsageError
from zoo.export.c_matrix import rounded_rows
from zoo.export.c_step import CStepEmitter
from zoo.export.exported_model import BareModel, exported_model, load_trained
from zoo.forecasting.forecaster import Forecaster
from zoo.training import Run

LoadedT = TypeVar("LoadedT", bound=BareModel | Forecaster | Predictor)


@overload
def int8_weights(model: LoadedT, tokens: bool | None = None) -> LoadedT: ...
@overload
def int8_weights(model: Run, tokens: bool | None = None) -> BareModel | Forecaster | Predictor: ...
def int8_weights(model: Any, tokens: bool | None = None) -> Any:
    """A copy of a model with the weights of its int8 export, to evaluate before you export it.

    The matrices that multiply inputs, states and outputs, and embeddings, become integers from -127 to 127
    with a scale for each row, the largest magnitude of the row divided by 127. Other parameters keep their
    values, for example biases, and matrices that a cell transforms or reads element by element, and so do
    buffers. The copy computes in the dtype of the model.

    >>> rounded = zoo.export.int8_weights(model)
    >>> zoo.export.to_c(model, "small.c", weights="int8")  # the same outputs as ``rounded``

    Args:
        model: As for :func:`to_c`. The result for a run is its best model.
        tokens: As for :func:`to_c`.

    Raises:
        UsageError: if it is not a model, a cell has no step, or a matrix holds NaN or infinity.
        DefinitionError: if a cell's step cannot be compiled.
    """
    if isinstance(model, Run):
        model = load_trained(model.path, model.cell)
    exported_model(model, tokens)  # raises the errors of an export
    if isinstance(model, Forecaster | Predictor):
        return replace(model, model=int8_weights(model.model))
    rounded = copy.deepcopy(model)
    for name in int8_parameters(rounded, tokens):
        value = rounded.params[name]
        if not np.isfinite(value).all():
            raise UsageError(
                f"export: {name!r} holds NaN or infinity; expected finite numbers for int8 weights."
            )
        value[...] = rounded_rows(value)
    return rounded


def int8_parameters(model: BareModel, tokens: bool | None = None) -> Iterator[str]:
    """The names of the parameters that an int8 export rounds.

    Args:
        model: A model or layers.
        tokens: As for :func:`to_c`.
    """
    exported = exported_model(model, tokens)
    for direction in exported.directions:
        reads_tokens = exported.first_layer_reads_tokens and direction.spec.index == 0
        step = CStepEmitter(direction, reads_tokens)
        yield from (f"{direction.spec.prefix}{param}" for param in step.matrix_parameters().values())
    yield from (name for name in ("embedding", "Why") if name in model.params)
