"""``BaseSequenceEstimator``: the arguments, the input sequences and the model of estimators of sequences."""

from __future__ import annotations

import functools
import inspect
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from zoo.arguments import as_integer, as_mapping, short_repr
from zoo.array_types import Array
from zoo.base import Cell, Optimizer
from zoo.base.names import did_you_mean
from zoo.errors import CheckpointError, UsageError, warn_caller
from zoo.layers import StackConfig
from zoo.model import SequenceModel, model_from
from zoo.model.checkpoint import CellClasses
from zoo.sklearn.checkpoint import restored_cell, save_estimator
from zoo.sklearn.sequences import (
    arguments_of,
    as_rows,
    at_last_step,
    check_known_form,
    check_no_dates,
    check_target_count,
    predict_outputs,
    rows_of_table,
)
from zoo.storage import Checkpoint

LARGEST_SEED = 2**31 - 1

_LISTED = "a list of arrays (T, I), [np.column_stack(row) for row in pandas.DataFrame(X).to_numpy()]"

_P = ParamSpec("_P")
_T = TypeVar("_T")


def suggest_names(init: Callable[_P, None]) -> Callable[_P, None]:
    """Make an ``__init__`` suggest the nearest name for an unknown argument."""
    known = inspect.signature(init).parameters

    @functools.wraps(init)
    def checked(*args: _P.args, **arguments: _P.kwargs) -> None:
        for name in arguments.keys() - known.keys():
            owner = type(args[0]).__name__
            raise TypeError(f"{owner}: unknown argument {name!r}.{did_you_mean(name, known)}")
        init(*args, **arguments)

    return checked


def fit_or_restore(fit: Callable[_P, _T]) -> Callable[_P, _T]:
    """Make a ``fit`` that raises an error restore all attributes, such as the model of an earlier fit."""

    @functools.wraps(fit)
    def restoring_fit(*args: _P.args, **arguments: _P.kwargs) -> _T:
        attributes = vars(args[0])
        before = attributes.copy()
        try:
            return fit(*args, **arguments)
        except BaseException:
            attributes.clear()
            attributes.update(before)
            raise

    return restoring_fit


class BaseSequenceEstimator(BaseEstimator):  # type: ignore[misc]
    """Base class of the estimators of sequences: arguments, input sequences and the model.

    Attributes:
        _loss: The name of the loss.
        _arrange: From the target of each sequence to the targets and weights of all steps.
        _predict: From sequences to the outputs of the model.
        _stratifies: Whether the share for validation has the same classes as the other sequences.
    """

    _loss = ""
    _arrange = staticmethod(at_last_step)
    _predict: Callable[[SequenceModel, Sequence[Array], Mapping[str, int]], Any] = staticmethod(
        predict_outputs
    )
    _stratifies = False
    n_features_in_: int
    _step_features: int
    _fitted_on_table = False

    @suggest_names
    def __init__(
        self,
        cell: str | type[Cell] | Cell | Sequence[Any] = "gru",
        hidden_size: int = 32,
        num_layers: int = 1,
        *,
        features: int = 1,
        epochs: int = 50,
        batch_size: int = 32,
        optimizer: str | Optimizer = "adam",
        lr: float | None = 0.01,
        base_hidden: int | None = None,
        clip: float | None = 1.0,
        dtype: str = "float32",
        precision: str | None = None,
        threads: int | None = None,
        random_state: Any = None,
        aux: Mapping[str, int | str] | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
        patience: int | None = None,
        validation_fraction: float = 0.1,
    ) -> None:
        self.cell = cell
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.features = features
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.base_hidden = base_hidden
        self.clip = clip
        self.dtype = dtype
        self.precision = precision
        self.threads = threads
        self.random_state = random_state
        self.aux = aux
        self.bidirectional = bidirectional
        self.dropout = dropout
        self.patience = patience
        self.validation_fraction = validation_fraction

    def _fit(
        self,
        rows: list[Array],
        targets: Array,
        outputs: int,
        sample_weight: Any,
        validation: tuple[list[Array], Array] | None,
        class_weights: list[float] | None = None,
    ) -> None:
        """Create a model and train it on the sequences with a positive weight.

        Args:
            rows: The sequences.
            targets: Their targets, ``(N,)`` classes, ``(N, V)`` numbers, or N arrays of the targets of steps.
            outputs: ``V``.
            sample_weight: Their weights, or None.
            validation: Sequences for validation, and their targets.
            class_weights: Weight of each class, or None.
        """
        weights = sequence_weights(sample_weight, rows)
        counted = np.flatnonzero(weights)
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(LARGEST_SEED))
        columns = self._aux_columns(rows[0].shape[1])
        layers = StackConfig(
            self.cell,
            rows[0].shape[1] - len(columns),
            self.hidden_size,
            self.num_layers,
            self.dtype,
            bidirectional=self.bidirectional,
            dropout=self.dropout,
            precision=self.precision,
        )
        self.model_ = SequenceModel.from_config(
            layers, outputs, loss=self._loss, seed=seed, threads=self.threads
        )
        if unread := [name for name in columns if name not in self.model_.stack.inputs]:
            warn_caller(
                f"{type(self).__name__}: {self.model_.stack.label()} has no auxiliary input "
                f"{', '.join(map(repr, unread))}, so it does not read the feature that `aux` names."
                f"{did_you_mean(unread[0], self.model_.stack.inputs)}"
            )
        held_out = None
        if validation is not None:
            held_out = self._data(*validation, np.ones(len(validation[0])), columns)
        elif self.patience is not None:
            classes = targets[counted] if self._stratifies else None
            shares = {"test_size": self.validation_fraction, "stratify": classes}
            counted, left = train_test_split(counted, random_state=seed, **shares)
            held_out = self._data([rows[n] for n in left], targets[left], weights[left], columns)
        history = self.model_.fit(
            **self._data([rows[n] for n in counted], targets[counted], weights[counted], columns),
            validation=held_out,
            class_weights=class_weights,
            epochs=positive(self.epochs, "epochs"),
            batch_size=positive(self.batch_size, "batch_size"),
            optimizer=self.optimizer,
            lr=self.lr,
            base_hidden=self.base_hidden,
            clip=self.clip,
            patience=self.patience,
            seed=seed,
        )
        self.losses_ = [event["loss"] for event in history if event["event"] == "step"]
        evals = [event["loss"] for event in history if event["event"] == "eval"]
        self.validation_losses_ = evals if held_out else []

    def _data(
        self, rows: list[Array], targets: Array, weights: Array, columns: Mapping[str, int]
    ) -> dict[str, Any]:
        """Arguments of ``SequenceModel.fit`` for some sequences."""
        inputs, lengths, aux = arguments_of(rows, self.model_, columns)
        arranged = self._arrange(rows, targets, weights / weights.mean(), inputs.shape[:2])
        return {"inputs": inputs, **arranged, "lengths": lengths, "aux": aux}

    def _rows(self, X: Any, reset: bool) -> list[Array]:
        """Convert X to sequences; store the number of features if ``reset``."""
        owner, features = type(self).__name__, positive(self.features, "features")
        check_known_form(X, f"{owner}: X", _LISTED)
        rows = as_rows(X, features, owner)
        is_table = rows is None
        if rows is None:
            check_no_dates(X, f"{owner}: X")
            rows = rows_of_table(self._table(X, reset), features, owner)
        if reset:
            self._step_features, self._fitted_on_table = rows[0].shape[1], is_table
        frames = [] if is_table or self._fitted_on_table else [each for each in X if hasattr(each, "columns")]
        for n, each in enumerate(frames):  # the names of columns, with an error for missing columns
            validate_data(self, each, reset=reset and n == 0, skip_check_array=True)
        if rows[0].shape[1] != self._step_features:
            raise ValueError(
                f"{owner}: found {rows[0].shape[1]} features at a step, and it was fitted on "
                f"{self._step_features}. Pass one sequence in a list: [sequence]."
            )
        if not is_table and not self._fitted_on_table and not frames:
            validate_data(self, rows[0], reset=reset, skip_check_array=True)  # the number of features
        return rows

    def _table(self, X: Any, reset: bool) -> Array:
        """The numbers of a table."""
        try:
            if reset or self._fitted_on_table:
                table = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
            else:  # fitted on sequences, whose lengths may differ
                table = check_array(X, dtype=[np.float64, np.float32], estimator=self)
        except ValueError as error:
            if "contains NaN" in str(error):
                raise ValueError(
                    f"{type(self).__name__}: X contains NaN; fill it, or use `zoo.fit` with "
                    f"`missing='forward'` or `missing='mask'`."
                ) from None
            if "could not convert string" not in str(error):
                raise
            raise ValueError(
                f"{type(self).__name__}: X holds texts; expected real numbers ({error}). Encode the texts "
                f"before, for example with a OneHotEncoder in a pipeline."
            ) from error
        return np.asarray(table)

    def _aux_columns(self, features: int) -> dict[str, int]:
        """The feature of each auxiliary input, counted from zero.

        Raises:
            UsageError: if it is none of the features, or none is left for x.
        """
        given = {} if self.aux is None else as_mapping(self.aux, "aux")
        columns = {name: self._feature(at, f"aux: {name}", features) for name, at in given.items()}
        if len(set(columns.values())) < len(columns) or len(columns) >= features:
            raise UsageError(
                f"aux is {given!r}; expected different features, and at least one of {features} left for x."
            )
        return columns

    def _feature(self, feature: Any, owner: str, features: int) -> int:
        """The number of a feature, counted from zero, from its number or the name of its column.

        Raises:
            UsageError: if there is no such feature.
        """
        if not isinstance(feature, str):
            return as_integer(feature, owner, -features, features - 1) % features
        names = [] if self._fitted_on_table else [*getattr(self, "feature_names_in_", ())]
        if feature not in names:
            known = f"one of {', '.join(map(repr, names[:20]))}" if names else "a number"
            advice = did_you_mean(feature, names)
            if self._fitted_on_table:
                advice = (
                    " Each row of a table is a sequence; give a list with one data frame for each sequence."
                )
            elif not names:
                advice = " Names need data frames in a list."
            raise UsageError(f"{owner} is {feature!r}; expected {known}.{advice}")
        return names.index(feature)

    def _validation_rows(self, validation: Any) -> tuple[list[Array], Any]:
        """The sequences and targets of the argument of ``fit``.

        Raises:
            ValueError: if it is no pair, or does not fit.
        """
        if not isinstance(validation, tuple) or len(validation) != 2:
            raise ValueError(
                f"{type(self).__name__}: validation is {short_repr(validation)}; expected a pair (X, y)."
            )
        rows = self._rows(validation[0], reset=False)
        check_target_count(validation[0], rows, validation[1], f"{type(self).__name__}: validation")
        return rows, validation[1]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the fitted estimator to a ``.safetensors`` file, whole or not at all.

        ``zoo.sklearn.load`` reads it, and ``zoo.load`` reads its model.

        Raises:
            CheckpointError: if the file cannot be written.
        """
        check_is_fitted(self, "model_")
        save_estimator(self, path, self.model_.to_checkpoint())

    def _restore(self, checkpoint: Checkpoint, source: str, cell: CellClasses) -> None:
        """Load the model of a checkpoint, whose description of the estimator is loaded.

        Raises:
            CheckpointError: if they do not fit each other.
        """
        model = model_from(checkpoint, source, cell, self.threads)
        classes = getattr(self, "classes_", range(model.output_size))
        sizes = model.input_size + len(self.aux or {}), model.output_size
        fits = (getattr(self, "_step_features", None), len(classes)) == sizes
        if not isinstance(model, SequenceModel) or model.criterion.name != self._loss or not fits:
            raise CheckpointError(f"{source}: its description of the estimator does not fit its model.")
        self.model_ = model
        self.cell = restored_cell(self.cell, model)

    def _predict_outputs(self, X: Any) -> Any:
        """Outputs of the readout, ``(N, V)`` after the last steps, or ``(T, V)`` for each sequence."""
        check_is_fitted(self, "model_")
        rows = self._rows(X, reset=False)
        return self._predict(self.model_, rows, self._aux_columns(rows[0].shape[1]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = tags.target_tags.required = True
        return tags


class BaseSequenceClassifier(BaseSequenceEstimator):
    """Base class of the classifiers: the weights of the classes.

    Attributes:
        classes_: The classes, sorted.
    """

    _loss = "cross_entropy"
    classes_: Array

    @suggest_names
    def __init__(
        self,
        cell: str | type[Cell] | Cell | Sequence[Any] = "gru",
        hidden_size: int = 32,
        num_layers: int = 1,
        *,
        features: int = 1,
        epochs: int = 50,
        batch_size: int = 32,
        optimizer: str | Optimizer = "adam",
        lr: float | None = 0.01,
        base_hidden: int | None = None,
        clip: float | None = 1.0,
        dtype: str = "float32",
        precision: str | None = None,
        threads: int | None = None,
        random_state: Any = None,
        aux: Mapping[str, int | str] | None = None,
        bidirectional: bool = False,
        dropout: float = 0.0,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        class_weight: Mapping[Any, float] | str | None = None,
    ) -> None:
        super().__init__(
            cell,
            hidden_size,
            num_layers,
            features=features,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=lr,
            base_hidden=base_hidden,
            clip=clip,
            dtype=dtype,
            precision=precision,
            threads=threads,
            random_state=random_state,
            aux=aux,
            bidirectional=bidirectional,
            dropout=dropout,
            patience=patience,
            validation_fraction=validation_fraction,
        )
        self.class_weight = class_weight

    def _class_weights(self, y: Array) -> list[float] | None:
        """The weight of each class in the loss, from all labels of training."""
        if self.class_weight is None:
            return None
        weights: list[float] = compute_class_weight(self.class_weight, classes=self.classes_, y=y).tolist()
        return weights

    def _codes(self, y: Array) -> Array:
        """The indices of the classes of labels for validation.

        Raises:
            ValueError: if a class is not among those of training.
        """
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(
                f"{type(self).__name__}: validation has the class {unknown.tolist()[0]!r}, which training "
                f"lacks."
            )
        return np.asarray(np.searchsorted(self.classes_, y))


def mean_and_scale(targets: Array, weights: Array) -> tuple[Array, Array]:
    """The mean and the standard deviation of each target, ``(V,)``; the latter is 1 for a constant one."""
    shares = weights[:, None] / weights.sum()
    mean = (shares * targets).sum(axis=0)
    centred = np.where(shares > 0, targets - mean, 0.0)
    largest = np.abs(centred).max(axis=0)
    is_constant = largest <= 1e-12 * np.abs(mean)
    unit = np.where(is_constant, 1.0, largest)  # squares of large targets overflow
    deviation = unit * np.sqrt((shares * (centred / unit) ** 2).sum(axis=0))
    return mean, np.where(is_constant, 1.0, deviation)


def sequence_weights(sample_weight: Any, rows: list[Array]) -> Array:
    """Validate sample weights, ``(N,)``.

    Raises:
        ValueError: if they are invalid, or all are zero.
    """
    if sample_weight is None:
        return np.ones(len(rows))
    check_no_dates(sample_weight, "sample_weight")
    weights: Array = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weights.shape != (len(rows),) or (weights < 0).any() or not weights.any():
        raise ValueError(
            f"sample_weight has the shape {weights.shape} and runs from {weights.min()} to {weights.max()}; "
            f"expected ({len(rows)},), numbers of at least zero, some above it."
        )
    return weights


def positive(value: Any, name: str) -> int:
    """Validate a positive integer.

    Raises:
        UsageError: if it is not one.
    """
    try:
        number = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise UsageError(f"{name} is {value!r}; expected a positive integer.")
    return number


def probabilities(scores: Array) -> Array:
    """The softmax of scores, ``(..., V)``."""
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    shares: Array = weights / weights.sum(axis=-1, keepdims=True)
    return shares
