"""Fit the readout of a model to sequences in memory by ridge regression: ``model.fit_readout``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo.arguments import as_elements, as_integer, as_number, check_seed, short_repr
from zoo.array_types import Array
from zoo.errors import UsageError
from zoo.model import SequenceModel
from zoo.model.ridge_regression import ReadoutFit, RidgeRegression
from zoo.training.array_dataset import EVALUATION_BATCH, Sequences, evaluate_sequences
from zoo.training.fit import as_sequences, divide_validation


def fit_readout(
    model: SequenceModel,
    inputs: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None,
    lengths: ArrayLike | None,
    aux: Mapping[str, ArrayLike] | None,
    validation: Any,
    *,
    ridge: float | Sequence[float],
    washout: int,
    seed: int,
) -> ReadoutFit:
    """Fit the readout; see ``SequenceModel.fit_readout``."""
    penalties = _as_penalties(ridge, has_validation=validation is not None)
    steps, seed = as_integer(washout, "fit_readout: washout", 0), check_seed(seed)
    sequences = as_sequences(model, inputs, targets, weights, lengths, aux)
    train, valid = divide_validation(model, sequences, validation, lengths, aux, seed, has_classes=False)
    train = _without_washout(train, steps, "the data")
    valid = None if valid is None else _without_washout(valid, steps, "the validation data")
    regression = RidgeRegression(model.stack.output_size, model.output_size)
    for rows in train.batches(EVALUATION_BATCH):
        model.add_to_regression(regression, **train.arguments(rows))
    if not regression.is_finite:
        raise UsageError(
            "fit_readout: outputs of the layers are NaN or infinite; scale the inputs, or choose a cell with "
            "bounded states."
        )
    readouts = {penalty: regression.solve(penalty) for penalty in penalties}
    losses: dict[float, float] = {}
    if valid is not None:
        for penalty, readout in readouts.items():
            _set_readout(model, readout)
            losses[penalty] = evaluate_sequences(model, valid, EVALUATION_BATCH)["loss"]
    if not all(map(math.isfinite, losses.values())):
        raise UsageError(
            "fit_readout: outputs for the validation data are NaN or infinite; scale their inputs as for "
            "training."
        )
    best = min(losses, key=losses.__getitem__) if losses else penalties[0]
    _set_readout(model, readouts[best])
    return ReadoutFit(best, losses)


def _as_penalties(ridge: Any, *, has_validation: bool) -> list[float]:
    """Check the penalty, or several."""
    name, expected = "fit_readout: ridge", "a number, zero or more, or a sequence of them"
    is_one = isinstance(ridge, str) or not isinstance(ridge, Iterable)
    given = [ridge] if is_one else as_elements(ridge, name, expected)
    penalties = list(dict.fromkeys(as_number(each, name, expected) for each in given))
    if not penalties or min(penalties) < 0:
        raise UsageError(f"{name} is {short_repr(ridge)}; expected {expected}.")
    if len(penalties) > 1 and not has_validation:
        raise UsageError(
            f"{name} holds {len(penalties)} penalties without validation data to choose from them; give "
            f"validation=0.2, or (inputs, targets)."
        )
    return penalties


def _without_washout(data: Sequences, steps: int, name: str) -> Sequences:
    """Sequences whose first steps have weight zero.

    Raises:
        UsageError: if no step is left.
    """
    if steps == 0:
        return data
    weights = np.ones(data.targets.shape[:2]) if data.weights is None else data.weights.copy()
    weights[:steps] = 0.0
    counts = weights.any(axis=0)
    if not counts.any():
        raise UsageError(
            f"fit_readout: washout is {steps}, and no sequence of {name} has a step with a target after it; "
            f"give fewer steps."
        )
    return replace(data, weights=weights).select(np.flatnonzero(counts))


def _set_readout(model: SequenceModel, readout: tuple[Array, Array]) -> None:
    model.params["Why"], model.params["by"] = readout
