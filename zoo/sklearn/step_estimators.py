"""``zoo.sklearn.StepClassifier`` and ``StepRegressor``: a label at each step of sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils.multiclass import check_classification_targets

from zoo.arguments import counted, dtype_and_shape, short_repr
from zoo.array_types import Array
from zoo.arrays import as_array, is_missing_value
from zoo.errors import CheckpointError
from zoo.model.checkpoint import CellClasses
from zoo.sklearn.base_estimator import (
    BaseSequenceClassifier,
    BaseSequenceEstimator,
    fit_or_restore,
    mean_and_scale,
    probabilities,
    sequence_weights,
)
from zoo.sklearn.sequences import (
    at_each_step,
    check_no_dates,
    check_target_count,
    has_target,
    is_padded_array,
    predict_step_outputs,
)
from zoo.storage import Checkpoint


class StepClassifier(BaseSequenceClassifier):
    """Classification of each step of sequences by a softmax readout.

    Arguments and sequences are as for :class:`SequenceClassifier`. A prediction depends on the inputs up to
    its step, with ``bidirectional=True`` on those after it, too. Steps without a label, None or NaN, are read
    and have no loss.

    >>> StepClassifier(cell="lstm", random_state=0).fit(sequences, classes_of_steps).predict(others)

    ``sklearn.base.is_classifier`` is False, because ``y`` holds a vector for each sequence. So a search
    divides whole sequences, whatever their classes. Scores of scikit-learn need ``numpy.concatenate`` for
    both arguments.

    Attributes:
        classes_: The classes, sorted.
        model_: The :class:`zoo.SequenceModel`.
        losses_: The mean loss of every epoch, nats.
        validation_losses_: The validation loss after every epoch; empty without validation.
        n_features_in_: Columns of the table, or features per step.
        feature_names_in_: Names of the columns of a table or of the data frames in a list, if they are texts.
    """

    _arrange = staticmethod(at_each_step)
    _predict = staticmethod(predict_step_outputs)

    @fit_or_restore
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation: Any = None) -> StepClassifier:
        """Train on sequences and the classes of their steps.

        Args:
            X: N sequences.
            y: A list of N vectors ``(T,)``, or an array ``(N, T)``; None or NaN for a step without a label.
            sample_weight: Weight of each sequence, ``(N,)``; None for equal weights.
            validation: Other sequences and their classes, ``(X, y)``, in place of a share of the sequences.

        Raises:
            ValueError: if an argument is invalid.
            ZooError: if training diverges.
        """
        rows, owner = self._rows(X, reset=True), type(self).__name__
        labels = _classes_of_steps(y, X, rows, owner)
        present = _present(labels, owner)
        check_classification_targets(present)
        self.classes_ = np.unique(present)
        held_out = None
        if validation is not None:
            others, of_others = self._validation_rows(validation)
            labels_of_others = _classes_of_steps(of_others, validation[0], others, f"{owner}: validation")
            self._codes(_present(labels_of_others, f"{owner}: validation"))
            held_out = _labelled(others, self._codes_of_steps(labels_of_others))
        weights = _weights_of_labelled(sample_weight, rows, labels, owner)
        targets = self._codes_of_steps(labels)
        self._fit(rows, targets, len(self.classes_), weights, held_out, self._class_weights(present))
        return self

    def _codes_of_steps(self, labels: Sequence[Array]) -> Array:
        """The indices of the classes of steps, N vectors; -1 for a step without a label."""
        targets = [np.full(len(each), -1) for each in labels]
        for codes, each in zip(targets, labels, strict=True):
            is_present = ~_is_missing(each)
            codes[is_present] = np.searchsorted(self.classes_, each[is_present].astype(self.classes_.dtype))
        return _as_objects(targets)

    def predict_proba(self, X: Any) -> list[Array]:
        """Probability of each class of ``classes_`` at each step, ``(T, V)`` for each sequence."""
        return [probabilities(scores) for scores in self._predict_outputs(X)]

    def predict(self, X: Any) -> list[Array]:
        """The most probable class of each step, ``(T,)`` for each sequence."""
        return [self.classes_[scores.argmax(axis=1)] for scores in self._predict_outputs(X)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The accuracy over all steps that have a label.

        Args:
            X: N sequences.
            y: The classes of their steps, as for :meth:`fit`.
            sample_weight: Weight of each sequence, ``(N,)``; None for equal weights.
        """
        predicted, rows = self.predict(X), self._rows(X, reset=False)
        labels = _classes_of_steps(y, X, rows, type(self).__name__)
        actual = _present(labels, type(self).__name__)
        is_present = np.concatenate([~_is_missing(each) for each in labels])
        weights = _weights_of_steps(sample_weight, rows)[is_present]
        return float(accuracy_score(actual, np.concatenate(predicted)[is_present], sample_weight=weights))


class StepRegressor(BaseSequenceEstimator):
    """Regression of a number at each step of sequences by a linear readout.

    Arguments and sequences are as for :class:`SequenceClassifier`, and steps as for :class:`StepClassifier`.
    The loss is the squared error of the numbers in units of their standard deviation, from their mean, as for
    :class:`SequenceRegressor`.

    >>> StepRegressor(cell="lstm", random_state=0).fit(sequences, numbers_of_steps).predict(others)

    Attributes:
        model_: The :class:`zoo.SequenceModel`, which predicts the scaled numbers.
        target_mean_: The mean of the numbers, ``(1,)``, with the weights of the sequences.
        target_scale_: Their standard deviation, ``(1,)``; 1 if they are constant.
        losses_: The mean loss of every epoch.
        validation_losses_: The validation loss after every epoch; empty without validation.
        n_features_in_: Columns of the table, or features per step.
        feature_names_in_: Names of the columns of a table or of the data frames in a list, if they are texts.
    """

    _loss = "squared_error"
    _arrange = staticmethod(at_each_step)
    _predict = staticmethod(predict_step_outputs)

    @fit_or_restore
    def fit(self, X: Any, y: Any, sample_weight: Any = None, *, validation: Any = None) -> StepRegressor:
        """Train on sequences and the numbers of their steps.

        Args:
            X: N sequences.
            y: A list of N vectors ``(T,)``, or an array ``(N, T)``; None or NaN for a step without a number.
            sample_weight: Weight of each sequence, ``(N,)``; None for equal weights.
            validation: Other sequences and their numbers, ``(X, y)``, in place of a share of the sequences.

        Raises:
            ValueError: if an argument is invalid.
            ZooError: if training diverges.
        """
        rows, owner = self._rows(X, reset=True), type(self).__name__
        numbers = _numbers_of_steps(y, X, rows, owner)
        weights = _weights_of_labelled(sample_weight, rows, numbers, owner)
        joined = np.concatenate(numbers)[:, None]
        is_present = has_target(joined)
        self.target_mean_, self.target_scale_ = mean_and_scale(
            joined[is_present], _weights_of_steps(weights, rows)[is_present]
        )
        held_out = None
        if validation is not None:
            others, of_others = self._validation_rows(validation)
            given = _numbers_of_steps(of_others, validation[0], others, f"{owner}: validation")
            held_out = _labelled(others, self._scaled(given))
        self._fit(rows, self._scaled(numbers), 1, weights, held_out)
        return self

    def _scaled(self, numbers: Sequence[Array]) -> Array:
        """The numbers of steps in the units of the model, N arrays ``(T, 1)``."""
        return _as_objects([(each[:, None] - self.target_mean_) / self.target_scale_ for each in numbers])

    def predict(self, X: Any) -> list[Array]:
        """The predicted number of each step, ``(T,)`` for each sequence."""
        scale, mean = self.target_scale_[0], self.target_mean_[0]
        return [outputs[:, 0] * scale + mean for outputs in self._predict_outputs(X)]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The coefficient of determination over all steps that have a number.

        Args:
            X: N sequences.
            y: The numbers of their steps, as for :meth:`fit`.
            sample_weight: Weight of each sequence, ``(N,)``; None for equal weights.
        """
        predicted, rows = self.predict(X), self._rows(X, reset=False)
        actual = np.concatenate(_numbers_of_steps(y, X, rows, type(self).__name__))
        is_present = ~np.isnan(actual)
        weights = _weights_of_steps(sample_weight, rows)[is_present]
        return float(
            r2_score(actual[is_present], np.concatenate(predicted)[is_present], sample_weight=weights)
        )

    def _restore(self, checkpoint: Checkpoint, source: str, cell: CellClasses) -> None:
        super()._restore(checkpoint, source, cell)
        for name in ("target_mean_", "target_scale_"):
            stored = np.asarray(getattr(self, name, None))
            if stored.shape != (1,) or stored.dtype.kind != "f" or not np.isfinite(stored).all():
                raise CheckpointError(f"{source}: its description of the estimator does not fit its model.")


def _vectors(y: Any, X: Any, rows: list[Array], owner: str) -> list[Array]:
    """The labels of the steps of each sequence; those of padding are left out.

    Raises:
        ValueError: if they are not vectors of the lengths of the sequences.
    """
    if y is None:
        raise ValueError(f"{owner} requires y to be passed, but the target y is None.")
    if not isinstance(y, list | tuple | np.ndarray):
        raise ValueError(
            f"{owner}: y is {short_repr(y)}; expected a list with a vector (T,) for each sequence."
        )
    check_target_count(X, rows, y, owner)
    name = owner.partition(":")[0]
    vectors = list[Array]()
    for n, (each, row) in enumerate(zip(y, rows, strict=True)):
        is_list = isinstance(each, list | tuple)
        vector = np.array(each, object) if is_list else as_array(each, f"{owner}: y: sequence {n}")
        if vector.ndim == 0:
            raise ValueError(
                f"{owner}: y holds {short_repr(each)} for sequence {n}; expected a vector (T,) of the labels "
                f"of its steps. For a label of each sequence use {name.replace('Step', 'Sequence')}."
            )
        if vector.ndim != 1:
            raise ValueError(f"{owner}: y of sequence {n} is {dtype_and_shape(vector)}; expected (T,).")
        if len(vector) not in (len(row), len(X[n]) if is_padded_array(X) else len(row)):
            raise ValueError(
                f"{owner}: sequence {n} has {counted(len(row), 'step')} and {counted(len(vector), 'label')}; "
                f"expected one for each step, None or NaN for a step without a label."
            )
        vectors.append(vector[: len(row)])
    return vectors


def _is_missing(labels: Array) -> Array:
    """Whether a step has no label, ``(T,)``: None, NaN, or the missing value of pandas."""
    if labels.dtype.kind == "f":
        return np.isnan(labels)
    if labels.dtype.kind != "O":
        return np.zeros(len(labels), bool)
    values = labels.tolist()
    return np.array([is_missing_value(each) for each in values], bool)


def _classes_of_steps(y: Any, X: Any, rows: list[Array], owner: str) -> list[Array]:
    """The classes of the steps of each sequence, as they are given."""
    vectors = _vectors(y, X, rows, owner)
    for each in vectors:
        check_no_dates(each, f"{owner}: y")
    return vectors


def _present(labels: Sequence[Array], owner: str) -> Array:
    """The labels of all steps that have one, ``(R,)``.

    Raises:
        ValueError: if there are none, or texts as well as numbers.
    """
    present = [each[~_is_missing(each)] for each in labels]
    values = [value for each in present for value in each.tolist()]
    if not values:
        raise ValueError(f"{owner}: y holds no label; expected one for at least one step.")
    if len({isinstance(value, str) for value in values}) > 1:
        raise ValueError(f"{owner}: y holds texts as well as numbers; expected labels of one kind.")
    return np.array(values)


def _numbers_of_steps(y: Any, X: Any, rows: list[Array], owner: str) -> list[Array]:
    """The numbers of the steps of each sequence, float64 with NaN for none.

    Raises:
        ValueError: if a value is not a finite number.
    """
    numbers = list[Array]()
    for n, each in enumerate(_vectors(y, X, rows, owner)):
        check_no_dates(each, f"{owner}: y")
        values = np.where(_is_missing(each), np.nan, each)
        try:
            if values.dtype.kind in "cUS" or any(isinstance(value, str) for value in values):
                raise ValueError("texts")
            numbers.append(values.astype(np.float64))
        except (TypeError, ValueError):
            raise ValueError(
                f"{owner}: y of sequence {n} is {dtype_and_shape(each)}; expected numbers. For classes use "
                f"StepClassifier."
            ) from None
        if np.isinf(numbers[-1]).any():
            raise ValueError(f"{owner}: y of sequence {n} holds infinity; expected finite numbers.")
    if all(np.isnan(each).all() for each in numbers):
        raise ValueError(f"{owner}: y holds no number; expected one for at least one step.")
    return numbers


def _weights_of_labelled(sample_weight: Any, rows: list[Array], labels: Sequence[Array], owner: str) -> Array:
    """The weights of sequences, ``(N,)``, 0 for a sequence without any label, which has no loss.

    Raises:
        ValueError: if all are zero.
    """
    has_label = np.array([not _is_missing(each).all() for each in labels])
    weights: Array = sequence_weights(sample_weight, rows) * has_label
    if not weights.any():
        raise ValueError(f"{owner}: sample_weight is 0 for all sequences with a label; expected one above 0.")
    return weights


def _weights_of_steps(sample_weight: Any, rows: list[Array]) -> Array:
    """The weight of the sequence of each step, ``(R,)``."""
    return np.repeat(sequence_weights(sample_weight, rows), [len(row) for row in rows])


def _labelled(rows: list[Array], targets: Array) -> tuple[list[Array], Array]:
    """The sequences that have a label, with their targets."""
    chosen = [n for n, each in enumerate(targets) if has_target(each).any()]
    return [rows[n] for n in chosen], targets[chosen]


def _as_objects(arrays: list[Array]) -> Array:
    """A vector of arrays, also if all have the same length."""
    objects = np.empty(len(arrays), object)
    for n, each in enumerate(arrays):
        objects[n] = each
    return objects
