"""Train and evaluate a model on arrays, or a text, in memory: ``model.fit`` and ``model.evaluate``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from zoo.arguments import as_bool, as_choice, as_integer, as_mapping, check_seed, is_number, short_repr
from zoo.array_types import Array
from zoo.arrays import as_array
from zoo.base import Optimizer
from zoo.base.loss import Loss
from zoo.base.metric import METRICS
from zoo.base.param_groups import ParamGroups
from zoo.classification.evaluation import balanced_weights
from zoo.data import BpttBatches, Corpus, Split, fit_batch_shape
from zoo.data.corpus import TextLevel
from zoo.data.split import split_items
from zoo.distributed.collectives import SINGLE_PROCESS
from zoo.errors import UsageError, warn_caller
from zoo.layers.validation import as_aux_inputs, as_lengths, mask_padding
from zoo.model import AnyModel, LanguageModel, SequenceModel
from zoo.model.targets import as_targets
from zoo.registry.api import resolve
from zoo.training.array_dataset import ArrayDataset, Sequences
from zoo.training.array_dataset import evaluate_sequences as evaluate_sequences
from zoo.training.aux_notes import inputs_without_values
from zoo.training.config import Config
from zoo.training.dataset import Dataset
from zoo.training.evaluation import bits, evaluate
from zoo.training.regularisation import Regularisation, as_regularisation
from zoo.training.schedules import make_schedule
from zoo.training.signals import StopRequest
from zoo.training.state import TrainingState
from zoo.training.text_dataset import TextDataset, evaluation_streams
from zoo.training.trainer import Event, Trainer


def fit_sequences(
    model: SequenceModel,
    inputs: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None,
    lengths: ArrayLike | None,
    aux: Mapping[str, ArrayLike] | None,
    validation: Any,
    class_weights: Any,
    batch_size: int,
    seed: int,
    **options: Any,
) -> list[Event]:
    """Train on sequences; see ``SequenceModel.fit``."""
    sequences = as_sequences(model, inputs, targets, weights, lengths, aux)
    for name in inputs_without_values(model.stack, sequences.aux):
        warn_caller(
            f"fit: {model.stack.label()} reads {name!r}, which `aux` lacks, so it is 0 at every step."
        )
    has_classes = model.criterion.target == "class" and np.ndim(targets) == 1
    train, valid = divide_validation(
        model, sequences, validation, lengths, aux, seed, has_classes=has_classes
    )
    size = as_integer(batch_size, "fit: batch_size", 1)
    dataset = ArrayDataset(train, valid, min(size, train.inputs.shape[1]), seed)
    if class_weights is not None:
        model = model.with_loss(_weighted_loss(model, class_weights, train))  # shares the parameters
    return _fit(model, dataset, dataset.steps_per_epoch, valid is not None, seed=seed, **options)


def fit_text(
    model: LanguageModel,
    tokens: Array,
    validation: Array | float | None,
    seq: int,
    carry: bool,
    batch_size: int,
    **options: Any,
) -> list[Event]:
    """Train on the tokens of a text, ``(N,)``; see ``LanguageModel.fit``."""
    validation_tokens = None if validation is None else np.asarray(validation)
    if is_number(validation):
        count = len(tokens) - round(_as_share(validation) * len(tokens))
        tokens, validation_tokens = tokens[:count], tokens[count:]
    train = BpttBatches(tokens, *fit_batch_shape(len(tokens), batch_size, seq))
    has_validation = validation_tokens is not None
    valid = evaluation_streams(validation_tokens if has_validation else tokens, train)
    level: TextLevel = "byte" if model.vocab.level == "byte" else "char"
    corpus = Corpus("text", level, model.vocab.symbols, tokens, "", len(tokens), model.vocab)
    empty = tokens[:0]
    parts = Split(tokens, valid.tokens if has_validation else empty, empty)
    dataset = TextDataset(corpus, parts, train, valid, has_validation, carry=carry)
    return _fit(model, dataset, train.windows_per_epoch, has_validation, **options)


def _fit(
    model: SequenceModel | LanguageModel,
    dataset: Dataset,
    steps_per_epoch: int,
    has_validation: bool,
    *,
    epochs: int,
    steps: int | None,
    optimizer: str | Optimizer,
    lr: float | None,
    clip: float | None,
    patience: int | None,
    seed: int,
    progress: bool,
    constraints: Any,
    penalties: Any,
    param_groups: ParamGroups,
    base_hidden: int | None,
) -> list[Event]:
    """Run the trainer, without a run directory, and return the events that have a loss."""
    if patience is not None and not has_validation:
        raise UsageError(f"fit: patience is {short_repr(patience)} without validation; give both.")
    total = as_integer(epochs, "fit: epochs", 1) * steps_per_epoch if steps is None else steps
    resolved = resolve(Optimizer, optimizer, {})
    config = Config(
        data=(dataset.kind,),
        steps=as_integer(total, "fit: steps", 1),
        log_every=steps_per_epoch,
        eval_every=steps_per_epoch if has_validation else total,
        lr=lr,
        clip=0.0 if clip is None else clip,
        patience=0 if patience is None else as_integer(patience, "fit: patience", 1),
        seed=seed,
    )
    regularisation = as_regularisation(resolved, constraints, penalties, param_groups, base_hidden)
    shows_progress = as_bool(progress, "fit: progress")
    return train_in_memory(config, dataset, model, resolved, shows_progress, regularisation)


def train_in_memory(
    config: Config,
    dataset: Dataset,
    model: AnyModel,
    optimizer: Optimizer,
    progress: bool = False,
    regularisation: Regularisation | None = None,
) -> list[Event]:
    """Run the trainer without a run directory, and return the events that have a loss.

    The model ends with the parameters of the best validation, if there are data for validation.

    Args:
        config: The configuration with all sizes resolved.
        dataset: The data.
        model: The model.
        optimizer: The optimizer.
        progress: Whether to print a line for each event.
        regularisation: Constraints, penalties and parameter groups.
    """
    history: list[Event] = []
    best: list[Array] = []
    has_validation = dataset.eval_split_name == "validation"

    def emit(event: Event) -> None:
        if event["event"] in ("step", "eval"):
            history.append(event)
            if progress:
                sys.stderr.write(_progress_line(event, config.steps or 0))
        if event.get("best") and has_validation:
            best[:] = [model.theta.copy()]

    schedule = make_schedule("constant")
    state = TrainingState(optimizer.init(model.theta), schedule.init())
    grouped, hooks = (regularisation or Regularisation()).bind(model, optimizer)
    outputs = None, SINGLE_PROCESS, emit
    Trainer(config, dataset, model, grouped, schedule, state, *outputs, hooks=hooks).run(StopRequest())
    for theta in best:
        model.theta = theta
    return history


def _progress_line(event: Event, steps: int) -> str:
    names = [name for name in ("loss", "bits", *METRICS) if name in event]
    values = "  ".join(f"{name} {event[name]:.4g}" for name in names)
    return f"step {event['step']}/{steps}  {event.get('part', 'training')}: {values}\n"


def evaluate_text(
    model: LanguageModel, tokens: Array, seq: int = 64, batch_size: int = 32, carry: bool = True
) -> dict[str, float]:
    """Cross-entropy of the next symbol, in nats as ``loss``, and in bits."""
    streams = BpttBatches(tokens, *fit_batch_shape(len(tokens), batch_size, seq))
    nats = evaluate(model, streams, carry=carry, include_remainder=True).nats
    return {"loss": nats, "bits": bits(nats)}


def as_sequences(
    model: SequenceModel,
    inputs: ArrayLike,
    targets: ArrayLike,
    weights: ArrayLike | None = None,
    lengths: ArrayLike | None = None,
    aux: Mapping[str, ArrayLike] | None = None,
) -> Sequences:
    """Check the arrays of N sequences; targets of the last step are extended to all, with weights.

    Raises:
        UsageError: if they do not fit each other or the model.
    """
    x, owner = as_array(inputs, "fit: inputs"), model.kind
    reads_tokens = model.embedding is not None
    dims, kinds = ((2,), "iu") if reads_tokens else ((2, 3), "fiu")
    if x.ndim not in dims or not x.size or x.dtype.kind not in kinds:
        floats = "" if reads_tokens else f"floats (T, N, {model.input_size}) or "
        raise UsageError(
            f"{owner}: inputs are {x.dtype}{x.shape}; expected N sequences, {floats}integer tokens (T, N), "
            f"time first."
        )
    steps = None if lengths is None else as_lengths(lengths, x.shape[0], x.shape[1], owner)
    sizes = x.shape[:2], model.output_size, model.dtype
    y, checked = as_targets(targets, weights, model.criterion, *sizes, owner, steps)
    named = {} if aux is None else as_mapping(aux, f"{owner}: aux")
    declared = model.stack.inputs, model.stack.input_shapes
    read_steps = np.full(x.shape[1], x.shape[0]) if steps is None else steps
    if checked is not None:
        read_steps = np.where(checked.any(axis=0), read_steps, 0)
    checked_aux = as_aux_inputs(named, *declared, x.shape[:2], model.dtype, owner, read_steps)
    _check_finite(x, y, np.ndim(targets), checked_aux, checked, steps, owner)
    data = Sequences(x, y, checked, steps, checked_aux)
    if checked is None or checked.any(axis=0).all():
        return data
    return data.select(np.flatnonzero(checked.any(axis=0)))  # a batch needs a weight above zero


def _check_finite(
    x: Array,
    y: Array,
    target_axes: int,
    aux: Mapping[str, Array],
    weights: Array | None,
    lengths: Array | None,
    owner: str,
) -> None:
    """Check that no number that training reads is NaN or infinite; targets of weight zero are zeros here."""
    read = {"inputs": x, **{f"values of {name!r}": array for name, array in aux.items()}}
    for name, array in {**read, "targets": y}.items():
        wrong, axes = ~np.isfinite(array), target_axes
        if name in read:
            wrong, axes = wrong if lengths is None else mask_padding(wrong, lengths), array.ndim
            if weights is not None:
                wrong[:, ~weights.any(axis=0)] = False
        if wrong.any():
            index = np.unravel_index(int(wrong.argmax()), wrong.shape)
            position = [int(each) for each in index][-axes:]
            raise UsageError(
                f"{owner}: {name} are {array[index]} at {position}; expected finite numbers. Replace them, "
                f"or exclude them with lengths or weights."
            )


def divide_validation(
    model: SequenceModel,
    sequences: Sequences,
    validation: Any,
    lengths: ArrayLike | None,
    aux: Mapping[str, ArrayLike] | None,
    seed: int,
    *,
    has_classes: bool,
) -> tuple[Sequences, Sequences | None]:
    """The sequences for training, and those for validation if there are any.

    Args:
        model: The model.
        sequences: All sequences.
        validation: The argument of ``fit``.
        lengths: The argument of training.
        aux: The argument of training.
        seed: Seed that chooses the sequences, if ``validation`` is a share.
        has_classes: Whether each sequence has a class, whose shares stay the same.

    Raises:
        UsageError: if the validation data do not fit.
    """
    if is_number(validation):
        return _split_off(sequences, _as_share(validation), check_seed(seed), has_classes)
    if validation is None:
        return sequences, None
    given = {name for name, each in (("lengths", lengths), ("aux", aux or None)) if each is not None}
    return sequences, _validation_sequences(model, validation, given)


def _validation_sequences(model: SequenceModel, data: Any, given: AbstractSet[str]) -> Sequences:
    """The sequences of ``(inputs, targets)``, ``(inputs, targets, weights)``, or a mapping.

    Args:
        model: The model.
        data: The argument.
        given: The names of those arguments of training that a tuple lacks: padding would count without
            lengths, and auxiliary inputs would have their defaults.
    """
    if isinstance(data, Mapping) and {"inputs", "targets"} <= data.keys() <= _SEQUENCE_ARGUMENTS:
        return as_sequences(model, **data)
    if isinstance(data, tuple) and len(data) in (2, 3) and given:
        names = sorted(given)
        keys = ", ".join(f"{name!r}: ..." for name in ("inputs", "targets", *names))
        raise UsageError(
            f"fit: training has {' and '.join(names)}, and validation is a tuple of {len(data)} arrays "
            f"without them; give a mapping, validation={{{keys}}}."
        )
    if isinstance(data, tuple) and len(data) in (2, 3):
        return as_sequences(model, *data)
    raise UsageError(
        f"fit: validation is {short_repr(data)}; expected a share from 0 to 1, (inputs, targets), "
        f"(inputs, targets, weights), or a mapping with some of {', '.join(sorted(_SEQUENCE_ARGUMENTS))}."
    )


def _as_share(value: Any) -> float:
    """Check the share of the data that is for validation."""
    if not 0 < value < 1:
        raise UsageError(
            f"fit: validation is {short_repr(value)}; expected a share between 0 and 1, or data."
        )
    return float(value)


def _split_off(data: Sequences, share: float, seed: int, has_classes: bool) -> tuple[Sequences, Sequences]:
    """Divide sequences into those for training and a share for validation."""
    count = data.inputs.shape[1]
    last = -1 if data.lengths is None else data.lengths - 1
    codes = data.targets[last, np.arange(count)] if has_classes else np.zeros(count)
    parts = split_items(codes, (1 - share, share, 0.0), seed, stratify=has_classes)
    for part, use in (("train", "training"), ("valid", "validation")):
        if not len(parts[part]):
            raise UsageError(
                f"fit: validation is {share:g}, which leaves none of {count} sequences for {use}; give more "
                f"sequences, or data for validation."
            )
    return data.select(parts["train"]), data.select(parts["valid"])


def _weighted_loss(model: SequenceModel, class_weights: Any, data: Sequences) -> Loss:
    """The loss of a model with weights of classes, which may depend on their frequencies."""
    if isinstance(class_weights, str) and model.criterion.target == "class":
        as_choice(class_weights, "fit: class_weights", ("balanced",))
        counted = data.targets if data.weights is None else data.targets[data.weights > 0]
        class_weights = balanced_weights(counted.ravel(), model.output_size)
    return model.criterion.with_options(class_weights=class_weights)


_SEQUENCE_ARGUMENTS = {"inputs", "targets", "weights", "lengths", "aux"}
