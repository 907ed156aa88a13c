"""``zoo.sklearn.SequenceClassifier`` and ``SequenceRegressor``."""

from __future__ import annotations

import functools
import inspect
import operator
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
)
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from zoo.arguments import as_integer, as_mapping, counted, short_repr
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


class _BaseSequenceEstimator(BaseEstimator):  # type: ignore[misc]
    """Base class of both estimators: arguments, input sequences and the model."""

    _loss = ""
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
        clip: float | None = 1.0,
        dtype: str = "float32",
        precision: str | None = None,
        threads: int | None = None,
        random_state: Any = None,
        aux: Mapping[str, int] | None = None,
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
            targets: Their targets, ``(N,)`` classes or ``(N, V)`` numbers.
            outputs: ``V``.
            sample_weight: Their weights, or None.
            validation: Sequences for validation, and their targets.
            class_weights: Weight of each class, or None.
        """
        weights = _weights(sample_weight, rows)
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
            classes = targets[counted] if self._loss == "cross_entropy" else None
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
        """Arguments of ``SequenceModel.fit`` for sequences with a target at their last steps."""
        inputs, lengths, aux = arguments_of(rows, self.model_, columns)
        last = np.array([len(row) - 1 for row in rows]), np.arange(len(rows))
        step_weights = np.zeros(inputs.shape[:2])
        step_weights[last] = weights / weights.mean()
        step_targets = np.zeros((*inputs.shape[:2], *targets.shape[1:]), targets.dtype)
        step_targets[last] = targets
        arrays = {"inputs": inputs, "targets": step_targets, "weights": step_weights}
        return {**arrays, "lengths": lengths, "aux": aux}

    def _rows(self, X: Any, reset: bool) -> list[Array]:
        """Convert X to sequences; store the number of features if ``reset``."""
        owner, features = type(self).__name__, positive(self.features, "features")
        check_known_form(X, f"{owner}: X", _LISTED)
        rows = as_rows(X, features, owner)
        is_table = rows is None
        if rows is None:
            check_no_dates(X, f"{owner}: X")
            if reset or self._fitted_on_table:
                table = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
            else:  # fitted on sequences, whose lengths may differ
                table = check_array(X, dtype=[np.float64, np.float32], estimator=self)
            rows = rows_of_table(table, features, owner)
        if reset:
            self._step_features, self._fitted_on_table = rows[0].shape[1], is_table
        if rows[0].shape[1] != self._step_features:
            raise ValueError(
                f"{owner}: found {rows[0].shape[1]} features at a step, and it was fitted on "
                f"{self._step_features}. Pass one sequence in a list: [sequence]."
            )
        if not is_table and not self._fitted_on_table:
            named = [each for each in X if hasattr(each, "columns")] or rows[:1]
            for n, each in enumerate(named):  # the names of columns, and their number
                validate_data(self, each, reset=reset and n == 0, skip_check_array=True)
        return rows

    def _aux_columns(self, features: int) -> dict[str, int]:
        """The feature of each auxiliary input, counted from zero.

        Raises:
            UsageError: if it is none of the features, or none is left for x.
        """
        given = {} if self.aux is None else as_mapping(self.aux, "aux")
        columns = {
            name: as_integer(at, f"aux: {name}", -features, features - 1) % features
            for name, at in given.items()
        }
        if len(set(columns.values())) < len(columns) or len(columns) >= features:
            raise UsageError(
                f"aux is {given!r}; expected different features, and at least one of {features} left for x."
            )
        return columns

    def _targets(self, y: Any, dtype: Any) -> Array:
        """Validate the targets.

        Raises:
            ValueError: if y is None, NaN or infinite, has vectors of several lengths, or holds texts in place
                of numbers.
        """
        owner = type(self).__name__
        if y is None:
            raise ValueError(f"{owner} requires y to be passed, but the target y is None.")
        values = y if isinstance(y, list | tuple | np.ndarray) else ()
        lengths = {len(each) if _is_vector(each) else 0 for each in values}
        if len(lengths) > 1:
            raise ValueError(
                f"{owner}: y holds vectors of {min(lengths)} to {max(lengths)} values; expected the target "
                f"of each whole sequence. For targets at each step use zoo.SequenceModel."
            )
        if dtype is not None:
            check_no_dates(y, f"{type(self).__name__}: y")
        try:
            targets: Array = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
        except ValueError as error:
            if "could not convert string" not in str(error):
                raise
            raise ValueError(
                f"{type(self).__name__}: y holds texts; expected numbers. For classes use SequenceClassifier."
            ) from error
        return targets

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

    def _predict_outputs(self, X: Any) -> Array:
        """Outputs of the readout after the last step of each sequence."""
        check_is_fitted(self, "model_")
        rows = self._rows(X, reset=False)
        return predict_outputs(self.model_, rows, self._aux_columns(rows[0].shape[1]))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class SequenceClassifier(ClassifierMixin, _BaseSequenceEstimator):  # type: ignore[misc]
    """Sequence classification by a softmax readout after the last step.

    Sequences are a list of arrays ``(T, I)`` of any lengths; or an array ``(N, T, I)`` padded with NaN; or a
    table ``(N, T * features)`` with a sequence of the same length in each row, as in scikit-learn.

    >>> SequenceClassifier(cell="lstm", random_state=0).fit(sequences, classes).predict(others)

    Args:
        cell: Name of a registered cell, a cell class, a cell with options, or a list with one for each layer.
            A name may contain a block: ``"prenorm(lstm)"``.
        hidden_size: ``H``.
        num_layers: ``L``.
        features: ``I`` of sequences that are one-dimensional, in a table or a list.
        epochs: Number of passes over all sequences.
        batch_size: Sequences per update.
        optimizer: Name of an optimizer, or an optimizer with options.
        lr: Learning rate; None for the optimizer's default.
        clip: Maximum gradient norm; None for no limit.
        dtype: ``"float32"`` or ``"float64"``.
        precision: ``"bf16"`` for matrix products in bfloat16; see :class:`zoo.layers.StackConfig`. None for
            products in ``dtype``.
        threads: Number of threads; None for every processor. Results do not depend on it.
        random_state: Seed of initialisation, order and noise: an integer, a ``RandomState``, or None.
        aux: Features of X that are auxiliary inputs of the cell and not part of ``x``: ``{"dt": -1}`` if the
            last one is the time since the last step. A cell without such an input is trained without the
            feature, with a warning.
        bidirectional: Whether every layer also reads the sequences backwards.
        dropout: Dropout probability between layers.
        patience: Epochs without a better validation loss after which training stops; the model then has the
            parameters of the best epoch. None to train for all epochs, without validation.
        validation_fraction: Share of the sequences that validate if there is a patience, of each class alike.
        class_weight: Weight of each class, a mapping; or ``"balanced"`` for weights that are inverse to the
            frequencies of the classes; None for equal weights.

    Attributes:
        classes_: The classes, sorted.
        model_: The :class:`zoo.SequenceModel`.
        losses_: The mean loss of every epoch, nats.
        validation_losses_: The validation loss after every epoch; empty without validation.
        n_features_in_: Columns of the table, or features per step.
        feature_names_in_: Names of the columns of a table or of the data frames in a list, if they are texts.
    """

    _loss = "cross_entropy"

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
        clip: float | None = 1.0,
        dtype: str = "float32",
        precision: str | None = None,
        threads: int | None = None,
        random_state: Any = None,
        aux: Mapping[str, int] | None = None,
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

    @fit_or_restore
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation: Any = None) -> SequenceClassifier:
        """Train on sequences and their classes.

        Args:
            X: N sequences.
            y: Their classes, ``(N,)``.
            sample_weight: Weight of each sequence, ``(N,)``; None for equal weights.
            validation: Other sequences and their classes, ``(X, y)``, in place of a share of the sequences.

        Raises:
            ValueError: if an argument is invalid.
            ZooError: if training diverges.
        """
        rows = self._rows(X, reset=True)
        y = column_or_1d(self._targets(y, None), warn=True)
        check_target_count(X, rows, y, f"{type(self).__name__}: X")
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        held_out = None if validation is None else self._validation_classes(validation)
        class_weights = None
        if self.class_weight is not None:
            class_weights = compute_class_weight(self.class_weight, classes=self.classes_, y=y).tolist()
        self._fit(rows, indices, len(self.classes_), sample_weight, held_out, class_weights)
        return self

    def _validation_classes(self, validation: Any) -> tuple[list[Array], Array]:
        """The sequences for validation, and the indices of their classes.

        Raises:
            ValueError: if a class is not among those of training.
        """
        rows, y = self._validation_rows(validation)
        y = column_or_1d(self._targets(y, None), warn=True)
        unknown = np.setdiff1d(y, self.classes_)
        if unknown.size:
            raise ValueError(
                f"SequenceClassifier: validation has the class {unknown.tolist()[0]!r}, which training lacks."
            )
        return rows, np.searchsorted(self.classes_, y)

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class, ``(N, V)``, in the order of ``classes_``."""
        scores = self._predict_outputs(X)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        probabilities: Array = weights / weights.sum(axis=1, keepdims=True)
        return probabilities

    def predict(self, X: Any) -> Array:
        """The most probable class of each sequence, ``(N,)``."""
        indices = self._predict_outputs(X).argmax(axis=1)
        classes: Array = self.classes_[indices]
        return classes


class SequenceRegressor(RegressorMixin, _BaseSequenceEstimator):  # type: ignore[misc]
    """Sequence regression to one or several targets by a linear readout after the last step.

    Arguments and sequences are as for :class:`SequenceClassifier`. The loss is the squared error of the
    targets in units of their standard deviation, from their mean: ``fit`` scales them, and ``predict``
    returns their own units.

    >>> SequenceRegressor(cell="lstm", random_state=0).fit(sequences, numbers).predict(others)

    Attributes:
        model_: The :class:`zoo.SequenceModel`, which predicts the scaled targets.
        target_mean_: The mean of each target, ``(V,)``, with the weights of the sequences.
        target_scale_: The standard deviation of each target, ``(V,)``; 1 if it is constant. A prediction is
            an output of the model times ``target_scale_``, plus ``target_mean_``.
        losses_: The mean loss of every epoch.
        validation_losses_: The validation loss after every epoch; empty without validation.
        n_features_in_: Columns of the table, or features per step.
        feature_names_in_: Names of the columns of a table or of the data frames in a list, if they are texts.
    """

    _loss = "squared_error"

    @fit_or_restore
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation: Any = None) -> SequenceRegressor:
        """Train on sequences and their targets.

        Args:
            X: N sequences.
            y: Targets, ``(N,)`` or ``(N, V)``.
            sample_weight: Weight of each sequence, ``(N,)``; None for equal weights.
            validation: Other sequences and their targets, ``(X, y)``, in place of a share of the sequences.

        Raises:
            ValueError: if an argument is invalid.
            ZooError: if training diverges.
        """
        rows = self._rows(X, reset=True)
        y = self._targets(y, np.float64)
        y = column_or_1d(y, warn=True) if y.ndim == 1 or y.shape[1] == 1 else y
        check_target_count(X, rows, y, f"{type(self).__name__}: X")
        self._is_flat = y.ndim == 1
        targets, held_out = y.reshape(len(y), -1), None
        self.target_mean_, self.target_scale_ = _mean_and_scale(targets, _weights(sample_weight, rows))
        if validation is not None:
            others, of_others = self._validation_rows(validation)
            held_out = others, self._scaled(self._validation_targets(of_others, targets.shape[1]))
        self._fit(rows, self._scaled(targets), targets.shape[1], sample_weight, held_out)
        return self

    def _validation_targets(self, y: Any, count: int) -> Array:
        """Targets for validation, ``(N, V)``.

        Raises:
            ValueError: if their number is not ``count``, as in training.
        """
        targets = self._targets(y, np.float64)
        targets = targets.reshape(len(targets), -1)
        if targets.shape[1] != count:  # NumPy would repeat one target for all
            raise ValueError(
                f"SequenceRegressor: validation has {counted(targets.shape[1], 'target')} for each sequence, "
                f"and training has {count}."
            )
        return targets

    def predict(self, X: Any) -> Array:
        """Predicted targets, ``(N,)`` or ``(N, V)`` as in ``fit``."""
        outputs = self._predict_outputs(X) * self.target_scale_ + self.target_mean_
        return outputs[:, 0] if self._is_flat else outputs

    def _scaled(self, targets: Array) -> Array:
        """Targets in the units of the model."""
        scaled: Array = (targets - self.target_mean_) / self.target_scale_
        return scaled

    def _restore(self, checkpoint: Checkpoint, source: str, cell: CellClasses) -> None:
        """Load the model; files of older versions hold targets that are not scaled."""
        super()._restore(checkpoint, source, cell)
        count = self.model_.output_size
        for name, default in (("target_mean_", 0.0), ("target_scale_", 1.0)):
            stored = np.asarray(getattr(self, name, np.full(count, default)))
            if stored.shape != (count,) or stored.dtype.kind != "f" or not np.isfinite(stored).all():
                raise CheckpointError(f"{source}: its description of the estimator does not fit its model.")
            setattr(self, name, stored)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _mean_and_scale(targets: Array, weights: Array) -> tuple[Array, Array]:
    """The mean and the standard deviation of each target, ``(V,)``; the latter is 1 for a constant one."""
    shares = weights[:, None] / weights.sum()
    mean = (shares * targets).sum(axis=0)
    centred = np.where(shares > 0, targets - mean, 0.0)
    largest = np.abs(centred).max(axis=0)
    is_constant = largest <= 1e-12 * np.abs(mean)
    unit = np.where(is_constant, 1.0, largest)  # squares of large targets overflow
    deviation = unit * np.sqrt((shares * (centred / unit) ** 2).sum(axis=0))
    return mean, np.where(is_constant, 1.0, deviation)


def _is_vector(value: Any) -> bool:
    """Whether an element of the targets is a vector, and not a number or a text."""
    return isinstance(value, list | tuple) or (hasattr(value, "__array__") and np.ndim(value) > 0)


def _weights(sample_weight: Any, rows: list[Array]) -> Array:
    """Validate sample weights.

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
