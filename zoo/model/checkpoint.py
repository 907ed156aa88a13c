"""Load models and layers. Loading imports nothing and validates everything; their ``save`` writes them."""

from __future__ import annotations

import os
import reprlib
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeAlias, TypeVar

from zoo.arguments import as_bool, as_path, short_repr
from zoo.base import Cell
from zoo.base.loss import Loss
from zoo.base.names import MODIFIER_SEPARATOR
from zoo.data import vocabulary_from_json
from zoo.errors import CheckpointError, DefinitionError, UnknownNameError, UsageError, warn_caller
from zoo.kernels.precision import BF16, bf16_problem
from zoo.layers.config import StackConfig
from zoo.layers.parameters import MAX_PARAMETERS, array_shapes, strip_prefixes
from zoo.layers.recurrent import Recurrent
from zoo.layers.stack import Stack
from zoo.model.category_inputs import CategoryInputs
from zoo.model.language_model import LanguageModel
from zoo.model.model import DEFAULT_LOSS, Model, embedding_shape, model_shapes
from zoo.model.sequence_model import SequenceModel
from zoo.registry import find_loss, get_cell, split_name, with_parts
from zoo.storage import PLAN_FILE, Checkpoint, RunDirectory, expect
from zoo.storage import load as load_file

AnyModel: TypeAlias = LanguageModel | SequenceModel
CellClasses: TypeAlias = type[Cell] | Sequence[type[Cell]] | None
"""Cell classes that are not registered."""
Factory = Callable[..., AnyModel | Recurrent]
R = TypeVar("R")

CALIBRATION_PREFIX = "calibration."
"""Prefix of the names of arrays of a validation, which a model and its training do not read."""

# Prefixes of the names of arrays that are allowed only along with metadata of training.
_TRAINING_PREFIXES = ("optimizer.", "state.")

_CLASS_ADVICE = "give the class of training with `cell` (FILE.py:Class on the command line)."

_REPR = reprlib.Repr()  # values in an untrusted file may be megabytes long
_REPR.maxstring = 80


def load(
    path: str | os.PathLike[str], cell: CellClasses = None, threads: int | None = None
) -> AnyModel | Recurrent:
    """Load the model or the layers in a checkpoint file, or the best model of a run directory.

    The cell is looked up by name in the registry; nothing is imported because a file names it.

    Args:
        path: A ``.safetensors`` file made by zoo, or a run directory.
        cell: The class, if it is not registered; a list of them for a model with several cells.
        threads: As for :class:`zoo.LanguageModel`.

    Raises:
        CheckpointError: if the file is damaged, holds neither, or needs an unknown cell.
        UsageError: if an argument is invalid.
    """
    return _build(read_checkpoint(path), str(path), cell, threads, [*_MODELS, Recurrent.kind])


def load_model(
    path: str | os.PathLike[str], cell: CellClasses = None, threads: int | None = None
) -> AnyModel:
    """As :func:`load`, for models only."""
    return model_from(read_checkpoint(path), str(path), cell, threads)


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Read a ``.safetensors`` file, or the best checkpoint of a run directory.

    Raises:
        CheckpointError: if it does not exist, is damaged, or holds no checkpoint.
        UsageError: if it is the directory of a comparison.
    """
    path = as_path(path, "load: path")
    if not os.path.isdir(path):  # noqa: PTH112 - does not raise if the name is too long
        return load_file(path)
    if (path / PLAN_FILE).is_file():
        raise UsageError(f"{path} is a comparison; `zoo report {path}` shows it, `zoo runs {path}` its runs.")
    run = RunDirectory(path)
    best = run.load_best(warn_caller)
    if best is None:
        yet = " yet" if run.holds_run() else ""
        raise CheckpointError(
            f"{path} holds no checkpoint{yet}; give a run directory of `zoo train` or a .safetensors file."
        )
    return best[1]


def read_run(run: Any) -> tuple[Checkpoint, str]:
    """The best checkpoint of a run, and its path for messages.

    Args:
        run: A run, a run directory or a ``.safetensors`` file.

    Raises:
        CheckpointError: if it holds no checkpoint, or is damaged.
        UsageError: if it does not exist, or is a comparison.
    """
    path = as_path(getattr(run, "path", run), "run")
    check_run_path(path)
    return read_checkpoint(path), str(path)


def open_run(
    kind: type[R],
    from_checkpoint: Callable[[Checkpoint, str, CellClasses, Any], R],
    run: Any,
    cell: CellClasses,
) -> R:
    """An object that uses the best model of a run, such as a forecaster.

    Args:
        kind: Its class.
        from_checkpoint: Makes it of a checkpoint, its path, the class of its cell and the data of training.
        run: Such an object, which is returned; a run, a run directory or a ``.safetensors`` file.
        cell: The class of the cell, if it is not registered.

    Raises:
        CheckpointError: if it does not exist, or is damaged.
        UsageError: if it is a run on other data.
    """
    if isinstance(run, kind):
        return run
    checkpoint, source = read_run(run)
    own_cell, own_data = getattr(run, "cell", None), getattr(run, "data", None)
    return from_checkpoint(checkpoint, source, cell or own_cell, own_data)


def check_run_path(path: str | os.PathLike[str]) -> None:
    """Check that something is at the path of a trained model.

    Raises:
        UsageError: if nothing is there.
    """
    if not os.path.exists(path):  # noqa: PTH110 - Path.exists raises for a name that is too long
        raise UsageError(f"{path}: no such file or directory; `zoo runs` lists the runs.")


_COMMANDS = {"table": "forecast", "sequences": "predict", "task": "eval", "text": "sample"}
"""Entries of a checkpoint that describe the data of training, and the command for such a model."""


def command_for(checkpoint: Checkpoint) -> str:
    """The command of ``zoo`` that uses the model in a checkpoint; empty if its data are unknown."""
    return next((command for kind, command in _COMMANDS.items() if kind in checkpoint.meta), "")


def usage_advice(checkpoint: Checkpoint, path: str) -> str:
    """The command or the call that uses the model in a checkpoint, as advice at the end of an error."""
    if command := command_for(checkpoint):
        return f"use `zoo {command} {path}`"
    return f"use it in Python, zoo.load({path!r}), for example with its method evaluate"


def model_from(
    checkpoint: Checkpoint, source: str, cell: CellClasses = None, threads: int | None = None
) -> AnyModel:
    """Build the model in a checkpoint.

    The arrays in the file are checked against its metadata before anything is allocated. Arrays of a training
    run are ignored; any other extra array is an error.

    Args:
        checkpoint: Contents of a file.
        source: Its path, for messages.
        cell: As for `load`.
        threads: As for :class:`zoo.LanguageModel`.

    Raises:
        CheckpointError: if the checkpoint does not hold a model that fits its metadata.
        UsageError: if the cell is not a cell class, or the number of threads does not fit.
    """
    model = _build(checkpoint, source, cell, threads, _MODELS)
    assert not isinstance(model, Recurrent)  # it is none of these kinds
    return model


def _build(
    checkpoint: Checkpoint, source: str, cell: CellClasses, threads: int | None, kinds: Sequence[str]
) -> AnyModel | Recurrent:
    """As :func:`model_from`, for some kinds of models and layers."""
    classes = cell_classes(cell, source)
    kind = checkpoint.meta.get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        use = f" Load a layer in Python, zoo.load({source!r})." if kind == Recurrent.kind else ""
        raise CheckpointError(
            f"{source}: holds {_REPR.repr(kind)}; expected a {' or a '.join(kinds)} saved by zoo.{use}"
        )
    ignored = (
        *(_TRAINING_PREFIXES if "training" in checkpoint.meta else ()),
        *((CALIBRATION_PREFIX,) if "table" in checkpoint.meta else ()),
    )
    arrays = {name: value for name, value in checkpoint.arrays.items() if not name.startswith(ignored)}
    try:
        metadata = checkpoint.meta["model"]
        make, outputs, config = _from_metadata(kind, metadata, len(arrays), classes, source)
        rows, tie = _embedding_shape(kind, metadata, outputs or 0)
        stack = Stack(config)
    except DefinitionError as error:
        raise CheckpointError(
            f"{source}: {str(error).removesuffix('.')}. Correct the class, or {_CLASS_ADVICE}"
        ) from error
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{source}: its description of the model is not one zoo wrote ({str(error)[:200]})."
        ) from None
    params = stack.param_shapes if outputs is None else model_shapes(stack, outputs, rows, tie)
    shapes = array_shapes(params, stack.buffer_shapes)
    expected = {name: (shape, config.dtype) for name, shape in shapes.items()}
    try:
        expect(Checkpoint(arrays, checkpoint.meta), expected, source=source)
    except CheckpointError as error:
        if not classes:
            raise
        names = " and ".join(cell.error_name() for cell in classes)
        problem = str(error).partition(". Load it with")[0].replace("this model", names, 1)
        raise CheckpointError(f"{problem}. Correct the class, or {_CLASS_ADVICE}") from error
    return make(config=config, threads=threads, initial=strip_prefixes(arrays))


def cell_classes(given: Any, source: str) -> tuple[type[Cell], ...]:
    """The cell classes in an argument.

    Raises:
        UsageError: if there is anything else in it.
    """
    classes = tuple(given) if isinstance(given, (list, tuple)) else () if given is None else (given,)
    for cell in classes:
        if not (isinstance(cell, type) and issubclass(cell, Cell) and hasattr(cell, "name")):
            is_cell = isinstance(cell, Cell)
            advice = f"Give the class, `cell={type(cell).__name__}`, or " if is_cell else ""
            advice += "leave the argument out for a registered cell, which is found by its name."
            raise UsageError(
                f"{source}: cell is {short_repr(cell)}; expected a class derived from zoo.Cell. "
                f"{advice[0].upper()}{advice[1:]}"
            )
    return classes


def _from_metadata(
    kind: str, metadata: Any, arrays: int, classes: tuple[type[Cell], ...], source: str
) -> tuple[Factory, int | None, StackConfig]:
    """Factory, outputs (None without a readout) and config from metadata, which may hold anything."""
    chosen = _find_cells(metadata["cell"], classes, source)
    for name in ("hidden_size", "num_layers"):
        _size(metadata, name)
    if metadata["num_layers"] > arrays:
        raise UsageError(f"{metadata['num_layers']} layers in {arrays} arrays")
    try:
        make, inputs, outputs = _KINDS[kind](metadata)
    except UnknownNameError as error:
        raise CheckpointError(
            f"{source}: made with the loss {_REPR.repr(metadata['loss'])}, which is not registered here; "
            f"install the plugin it comes from, or register it (--plugin FILE.py:NAME on the command line)."
        ) from error
    return make, outputs, StackConfig.from_metadata(_supported(metadata, source), chosen, inputs)


def _supported(metadata: Any, source: str) -> Any:
    """The metadata without a precision that this processor lacks; prints a warning then."""
    if metadata.get("precision") != BF16 or not (problem := bf16_problem()):
        return metadata
    warn_caller(
        f"{source}: trained with precision 'bf16', and {problem}; its matrix products are float32 here."
    )
    return {name: value for name, value in metadata.items() if name != "precision"}


def _language_model(metadata: Any) -> tuple[Factory, int, int | None]:
    vocabulary = vocabulary_from_json(metadata["vocabulary"])
    loss = _loss(metadata, LanguageModel, len(vocabulary))
    size, tie = _embedding(metadata)
    make = partial(LanguageModel.from_config, vocabulary, loss=loss, embedding=size, tie=tie)
    return make, len(vocabulary) if size is None else size, len(vocabulary)


def _embedding(metadata: Any) -> tuple[int | None, bool]:
    """The size of the embedding, None without one, and whether the readout is tied to it."""
    size = _size(metadata, "embedding") if "embedding" in metadata else None
    return size, as_bool(metadata.get("tie", False), "tie")


def _sequence_model(metadata: Any) -> tuple[Factory, int, int | None]:
    inputs, outputs = (_size(metadata, name) for name in ("input_size", "output_size"))
    loss, categories = _loss(metadata, SequenceModel, outputs), _categories(metadata)
    size, _ = _embedding(metadata)
    if categories is not None:
        if categories.input_size != inputs:
            raise UsageError(f"categories of {categories.input_size} inputs, and input_size is {inputs}")
        if size is not None:
            raise UsageError("both categories and an embedding of tokens")
    make = partial(
        SequenceModel.from_config,
        output_size=outputs,
        loss=loss,
        categories=categories,
        embedding=size,
        num_tokens=inputs,
    )
    return make, size or (inputs if categories is None else categories.embedded_size), outputs


def _categories(metadata: Any) -> CategoryInputs | None:
    """The inputs that are codes of categories with an embedding; None without one."""
    return CategoryInputs.from_json(metadata["categories"]) if "categories" in metadata else None


def _embedding_shape(kind: str, metadata: Any, outputs: int) -> tuple[tuple[int, int] | None, bool]:
    """The shape of the embedding, None without one, and whether the readout is tied to it."""
    size, tie = _embedding(metadata)
    if kind == LanguageModel.kind:
        return embedding_shape(outputs, size), tie
    if kind == SequenceModel.kind:
        return embedding_shape(_size(metadata, "input_size"), size, _categories(metadata)), False
    return None, False


def _loss(metadata: Any, cls: type[Model], outputs: int) -> Loss:
    loss = find_loss(metadata.get("loss", DEFAULT_LOSS)).with_options(**metadata.get("loss_options", {}))
    return cls.check_loss(loss, outputs)


def _layers(metadata: Any) -> tuple[Factory, int, int | None]:
    batch_first = as_bool(metadata.get("batch_first", False), "batch_first")
    make = partial(Recurrent.from_config, batch_first=batch_first)
    return make, _size(metadata, "input_size"), None


_MODELS = (LanguageModel.kind, SequenceModel.kind)
_KINDS = {
    LanguageModel.kind: _language_model,
    SequenceModel.kind: _sequence_model,
    Recurrent.kind: _layers,
}


def _size(metadata: Any, name: str) -> int:
    size = metadata[name]
    if type(size) is not int or not 1 <= size < MAX_PARAMETERS:
        raise UsageError(f"{name} is {_REPR.repr(size)}")
    return size


def _find_cells(metadata: Any, classes: tuple[type[Cell], ...], source: str) -> Cell | list[Cell]:
    """The cell of all layers, or of each: the given class that its name fits, or the registered one."""
    each_layer = metadata if isinstance(metadata, list) else [metadata]
    names = [str(cell["name"]) for cell in each_layer]
    fits = [[cell for cell in classes if _contains_cell(name, cell)] for name in names]
    for cell in classes:
        if not any(cell in fitting for fitting in fits):
            shown = _REPR.repr(names) if isinstance(metadata, list) else _REPR.repr(names[0])
            made = f"cell{'s' * isinstance(metadata, list)} {shown}"
            raise CheckpointError(
                f"{source}: made with the {made}; found {cell.error_name()}, which is {cell.label()}. "
                f"Leave it out for a registered cell, or {_CLASS_ADVICE}"
            )
    cells = [
        _find_cell(cell, fitting_class(name, fitting, source), source)
        for name, cell, fitting in zip(names, each_layer, fits, strict=True)
    ]
    return cells if isinstance(metadata, list) else cells[0]


def fitting_class(name: str, classes: Iterable[type[Cell]], source: str) -> type[Cell] | None:
    """The class of a name among some, with the modifiers in the name; None if there is none.

    Raises:
        CheckpointError: if a modifier is unknown.
    """
    fitting = [cell for cell in classes if _contains_cell(name, cell)]
    if not fitting:
        return None
    cell = max(fitting, key=lambda each: len(each.name))
    return cell if name == cell.name else _add_parts(cell, name, source)


def _contains_cell(name: str, cell: type[Cell]) -> bool:
    """Whether a name is that of the cell, or of the cell with modifiers or in a block."""
    if name == cell.name:
        return True
    inner = f"{split_name(name)._replace(block='')}{MODIFIER_SEPARATOR}"
    return not cell.is_in_block() and inner.startswith(f"{cell.name}{MODIFIER_SEPARATOR}")


def _find_cell(metadata: Any, cell: type[Cell] | None, source: str) -> Cell:
    """The cell with the options in the metadata: the given class, or the registered one of that name."""
    name, options = metadata["name"], dict(metadata["options"])
    if not isinstance(name, str):
        raise UsageError(f"the cell's name is {_REPR.repr(name)}")
    shown = _REPR.repr(name)
    try:
        chosen = get_cell(name, **options) if cell is None else cell(**options)
    except UnknownNameError:
        raise _unregistered(source, shown) from None
    except UsageError as error:
        raise CheckpointError(
            f"{source}: made with other options than cell {shown} has here ({str(error)[:200]})."
        ) from None
    if chosen.source_digest() != metadata["source"]:
        warn_caller(
            f"{source}: cell {shown} has changed since this model was made; it may compute something else."
        )
    return chosen


def _add_parts(cell: type[Cell], name: str, source: str) -> type[Cell]:
    """An unregistered cell with the modifiers and the block that a checkpoint names."""
    block, _, modifiers = split_name(name)
    added = cell.name.count(MODIFIER_SEPARATOR)  # the class may have some of the modifiers
    try:
        return with_parts(cell, modifiers[added:], block)
    except UnknownNameError:
        raise _unregistered(source, _REPR.repr(name)) from None


def _unregistered(source: str, shown: str) -> CheckpointError:
    return CheckpointError(
        f"{source}: made with the cell {shown}, which is not registered here; install the plugin it "
        f"comes from, or give its class with `cell` (FILE.py:Class on the command line)."
    )
