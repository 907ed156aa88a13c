"""Save fitted estimators as checkpoints of zoo: arrays and JSON, without pickle."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from zoo.arguments import as_path, short_repr
from zoo.base import Cell, Optimizer
from zoo.errors import CheckpointError, UsageError
from zoo.model import SequenceModel
from zoo.model.checkpoint import CellClasses
from zoo.registry import get_optimizer
from zoo.storage import Checkpoint, save
from zoo.storage import load as load_file

_KEY = "estimator"
_ARRAYS = ("classes_", "feature_names_in_", "target_mean_", "target_scale_")
_PLAIN = (
    "losses_",
    "validation_losses_",
    "n_features_in_",
    "_step_features",
    "_fitted_on_table",
    "_is_flat",
    "_has_y",
    "_targets",
)


def save_estimator(estimator: Any, path: str | os.PathLike[str], checkpoint: Checkpoint) -> None:
    """Write a fitted estimator to a file.

    Args:
        estimator: The estimator.
        path: The file.
        checkpoint: Its model.

    Raises:
        CheckpointError: if the file cannot be written.
        UsageError: if classes are neither numbers, booleans nor texts.
    """
    name = type(estimator).__name__
    fitted: dict[str, Any] = {each: vars(estimator)[each] for each in _PLAIN if each in vars(estimator)}
    for each in _ARRAYS:
        if each in vars(estimator):
            fitted[each] = _array_to_json(vars(estimator)[each], f"{name}: {each}")
    params = {each: _param_to_json(value) for each, value in estimator.get_params(deep=False).items()}
    stored = {"name": name, "params": params, "fitted": fitted}
    save(as_path(path, f"{name}: path"), Checkpoint(checkpoint.arrays, {**checkpoint.meta, _KEY: stored}))


def load_estimator(
    path: str | os.PathLike[str], estimators: Mapping[str, type[Any]], cell: CellClasses = None
) -> Any:
    """Read a fitted estimator from a file of :func:`save_estimator`.

    Args:
        path: The file.
        estimators: The classes of estimators by name.
        cell: The class of the cell, if it is not registered.

    Raises:
        CheckpointError: if the file is damaged, or holds no estimator.
    """
    source = as_path(path, "load: path")
    checkpoint = load_file(source)
    stored = checkpoint.meta.get(_KEY)
    if not isinstance(stored, Mapping):
        raise CheckpointError(
            f"{source} holds no estimator; expected a file that `save` of an estimator wrote."
        )
    try:
        made = estimators[stored["name"]]
        if isinstance(stored["params"].get("optimizer"), str):
            get_optimizer(stored["params"]["optimizer"])  # no other name, which might be that of a file
        estimator = made(**{name: _param_from_json(value) for name, value in stored["params"].items()})
        fitted = stored["fitted"]
        for name in _PLAIN:
            if name in fitted:
                setattr(estimator, name, fitted[name])
        for name in _ARRAYS:
            if name in fitted:
                setattr(estimator, name, _array_from_json(fitted[name]))
    except (KeyError, TypeError, ValueError, AttributeError, UsageError) as error:
        raise CheckpointError(
            f"{source}: its description of the estimator is not one zoo wrote ({str(error)[:200]})."
        ) from None
    estimator._restore(checkpoint, str(source), cell)
    return estimator


def restored_cell(param: Any, model: SequenceModel) -> Any:
    """The parameter ``cell`` of a loaded estimator: its name if the model has it, or else the model's cells.

    Other texts are not kept: a name such as ``FILE.py:Class`` would execute a file in the next ``fit``.
    """
    if isinstance(param, (list, tuple)):
        return list(model.cells)
    return param if param == model.cell.name else model.cell


def _array_to_json(array: Any, owner: str) -> dict[str, Any]:
    values = np.asarray(array).tolist()
    if not all(isinstance(value, (str, bool, int, float)) for value in values):
        raise UsageError(
            f"{owner} are {short_repr(values)}; expected numbers, booleans or texts to save them."
        )
    return {"dtype": np.asarray(array).dtype.str, "values": values}


def _array_from_json(stored: Any) -> np.ndarray[Any, Any]:
    dtype = np.dtype(stored["dtype"])
    if dtype.kind not in "biufUO":
        raise ValueError(f"an array of {dtype}")
    return np.array(list(stored["values"]), dtype)


def _param_to_json(value: Any) -> Any:
    """A parameter as plain JSON values. The model stores its cells, and a random state has no other form."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Optimizer):
        return {"optimizer": value.name, "options": dict(value.options)}
    if isinstance(value, Mapping):
        return {"items": [[_param_to_json(key), _param_to_json(each)] for key, each in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_param_to_json(each) for each in value]}
    if isinstance(value, list):
        return [_param_to_json(each) for each in value]
    is_cell = isinstance(value, Cell) or (isinstance(value, type) and issubclass(value, Cell))
    return None if is_cell or isinstance(value, np.random.RandomState) else value


def _param_from_json(stored: Any) -> Any:
    if isinstance(stored, Mapping):
        if "optimizer" in stored:
            return get_optimizer(stored["optimizer"], **stored["options"])
        if "tuple" in stored:
            return tuple(map(_param_from_json, stored["tuple"]))
        return {key: _param_from_json(each) for key, each in stored["items"]}
    return stored
