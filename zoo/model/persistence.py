"""A language model as a checkpoint, and back. Loading imports nothing and trusts nothing."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from zoo.contracts import Cell
from zoo.data import Vocabulary
from zoo.errors import CheckpointError, UnknownNameError, UsageError, ZooWarning
from zoo.layers.boundary import as_dtype
from zoo.layers.stack import Stack
from zoo.model.language_model import LanguageModel, model_shapes
from zoo.registry import get_cell
from zoo.storage import Checkpoint, RunDirectory, expect, load as load_file, save as save_file

KIND = "language model"


def describe_model(model: LanguageModel) -> dict[str, Any]:
    """Everything but the numbers: what a checkpoint says of the model it holds."""
    return {
        "cell": {"name": model.cell.name, "options": dict(model.cell.options), "source": model.cell.source_digest()},
        "hidden_size": model.stack.hidden_size,
        "num_layers": len(model.stack.layers),
        "dtype": model.dtype.name,
        "vocabulary": model.vocab.to_json(),
    }


def model_arrays(model: LanguageModel) -> dict[str, np.ndarray[Any, Any]]:
    """The parameters under the names they have in a checkpoint."""
    return {f"params.{name}": value for name, value in model.params.items()}


def save_model(model: LanguageModel, path: str | os.PathLike[str]) -> None:
    """Write a model to a file; see ``LanguageModel.save``."""
    save_file(Path(path), Checkpoint(model_arrays(model), {"kind": KIND, "model": describe_model(model)}))


def load(path: str | os.PathLike[str], cell: type[Cell] | None = None, threads: int | None = None) -> LanguageModel:
    """The model in a checkpoint file, or the best one of a run directory.

    The cell is looked up by name among the registered ones; nothing is imported because a file says so.

    Args:
        path: A ``.safetensors`` file made by zoo, or a run directory.
        cell: The class, if it is registered nowhere.
        threads: As for :class:`zoo.LanguageModel`.

    Raises:
        CheckpointError: if the file is damaged, is no language model, or needs a cell that is not there.
    """
    path = Path(path)
    if path.is_dir():
        found = RunDirectory(path).load_best(_warn)
        if found is None:
            raise CheckpointError(f"{path} holds no checkpoint yet; give a run directory of `zoo train` or a .safetensors file.")
        return model_from(found[1], str(path), cell, threads)
    return model_from(load_file(path), str(path), cell, threads)


def _warn(sentence: str) -> None:
    warnings.warn(sentence, ZooWarning, stacklevel=3)


def model_from(checkpoint: Checkpoint, source: str, cell: type[Cell] | None = None, threads: int | None = None) -> LanguageModel:
    """The language model that a checkpoint holds; arrays that are no parameters are left alone.

    Nothing is allocated before the arrays in the file have been found to be those that its description calls for.

    Raises:
        CheckpointError: if the checkpoint does not hold a language model that fits its own description.
    """
    if checkpoint.meta.get("kind") != KIND:
        raise CheckpointError(f"{source}: holds {checkpoint.meta.get('kind')!r}; expected a language model saved by zoo.")
    arrays = {name: value for name, value in checkpoint.arrays.items() if name.startswith("params.")}
    try:
        facts: Any = checkpoint.meta["model"]
        chosen = _find_cell(facts["cell"], cell, source)
        vocabulary = Vocabulary.from_json(facts["vocabulary"])
        hidden_size, num_layers, dtype = facts["hidden_size"], facts["num_layers"], as_dtype(facts["dtype"])
        if num_layers > len(arrays):
            raise UsageError(f"{num_layers} layers in {len(arrays)} arrays")
        shapes = model_shapes(Stack(chosen, len(vocabulary), hidden_size, num_layers), len(vocabulary))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{source}: its description of the model is not one zoo wrote ({error}).") from None
    expected = {f"params.{name}": (shape, dtype) for name, shape in shapes.items()}
    expect(Checkpoint(arrays, checkpoint.meta), expected, source=source)
    model = LanguageModel(vocabulary, chosen, hidden_size, num_layers, dtype, threads=threads)
    for name in model.params:
        model.params[name] = arrays[f"params.{name}"]
    return model


def _find_cell(facts: Any, cell: type[Cell] | None, source: str) -> Cell:
    name, options = str(facts["name"]), dict(facts["options"])
    if cell is not None and cell.name != name:
        raise CheckpointError(f"{source}: made with the cell {name!r}; found {cell.label()}, which is another.")
    try:
        chosen = get_cell(name, **options) if cell is None else cell(**options)
    except UnknownNameError:
        raise CheckpointError(
            f"{source}: made with the cell {name!r}, which is not registered here; install the plugin it "
            f"comes from, or name its file with --plugin FILE.py or --cell FILE.py:Class."
        ) from None
    except UsageError as error:
        raise CheckpointError(f"{source}: made with other options than cell {name!r} has here ({error}).") from None
    if chosen.source_digest() != facts["source"]:
        _warn(f"{source}: cell {name!r} has changed since this model was made; it may compute something else.")
    return chosen
