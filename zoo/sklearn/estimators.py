"""``zoo.sklearn.SequenceClassifier`` and ``SequenceRegressor``."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_array, column_or_1d

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.arrays import is_missing_value
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
from zoo.sklearn.sequences import check_no_dates, check_target_count
from zoo.storage import Checkpoint


class SequenceClassifier(ClassifierMixin, BaseSequenceClassifier):  # type: ignore[misc]
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
        base_hidden: Hidden units for which ``lr`` was chosen; None for ``hidden_size``. Matrices with inputs
            from hidden units learn at ``lr * base_hidden / hidden_size`` (docs/howto/learning-rate.md).
        clip: Maximum gradient norm; None for no limit.
        dtype: ``"float32"`` or ``"float64"``.
        precision: ``"bf16"`` for matrix products in bfloat16; see :class:`zoo.layers.StackConfig`. None for
            products in ``dtype``.
        threads: Number of threads; None for every processor. Results do not depend on it.
        random_state: Seed of initialisation, order and noise: an integer, a ``RandomState``, or None.
        aux: Features of X that are auxiliary inputs of the cell and not part of ``x``: ``{"dt": -1}`` if the
            last one is the time since the last step, or ``{"dt": "gap"}`` for the column ``gap`` of data
            frames in a list. A cell without such an input is trained without the feature, with a warning.
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

    _stratifies = True

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
        y = column_or_1d(_targets(y, None, self), warn=True)
        check_target_count(X, rows, y, f"{type(self).__name__}: X")
        check_classification_targets(y)
        self.classes_, indices = np.unique(y, return_inverse=True)
        held_out = None if validation is None else self._validation_classes(validation)
        self._fit(rows, indices, len(self.classes_), sample_weight, held_out, self._class_weights(y))
        return self

    def _validation_classes(self, validation: Any) -> tuple[list[Array], Array]:
        """The sequences for validation, and the indices of their classes.

        Raises:
            ValueError: if a class is not among those of training.
        """
        rows, y = self._validation_rows(validation)
        return rows, self._codes(column_or_1d(_targets(y, None, self), warn=True))

    def predict_proba(self, X: Any) -> Array:
        """Probability of each class, ``(N, V)``, in the order of ``classes_``."""
        return probabilities(self._predict_outputs(X))

    def predict(self, X: Any) -> Array:
        """The most probable class of each sequence, ``(N,)``."""
        indices = self._predict_outputs(X).argmax(axis=1)
        classes: Array = self.classes_[indices]
        return classes


class SequenceRegressor(RegressorMixin, BaseSequenceEstimator):  # type: ignore[misc]
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
        y = _targets(y, np.float64, self)
        y = column_or_1d(y, warn=True) if y.ndim == 1 or y.shape[1] == 1 else y
        check_target_count(X, rows, y, f"{type(self).__name__}: X")
        self._is_flat = y.ndim == 1
        targets, held_out = y.reshape(len(y), -1), None
        self.target_mean_, self.target_scale_ = mean_and_scale(targets, sequence_weights(sample_weight, rows))
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
        targets = _targets(y, np.float64, self)
        targets = targets.reshape(len(targets), -1)
        if targets.shape[1] != count:  # NumPy would repeat one target for all
            raise ValueError(
                f"SequenceRegressor: validation has {counted(targets.shape[1], 'target')} for each sequence, "
                f"and training has {count}."
            )
        return targets

    def predict(self, X: Any) -> Array:
        """Predicted targets, ``(N,)`` or ``(N, V)`` as in ``fit``."""
        outputs: Array = self._predict_outputs(X) * self.target_scale_ + self.target_mean_
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


_STEPWISE = {"cross_entropy": "StepClassifier", "squared_error": "StepRegressor"}


def _targets(y: Any, dtype: Any, estimator: Any) -> Array:
    """Validate the targets.

    Raises:
        ValueError: if y is None, NaN or infinite, has vectors of several lengths, or holds texts in place
            of numbers.
    """
    owner = type(estimator).__name__
    if y is None:
        raise ValueError(f"{owner} requires y to be passed, but the target y is None.")
    values = y.to_numpy() if hasattr(y, "to_numpy") else y
    values = values if isinstance(values, list | tuple | np.ndarray) else ()
    lengths = {len(each) if _is_vector(each) else 0 for each in values}
    if len(lengths) > 1:
        raise ValueError(
            f"{owner}: y holds vectors of {min(lengths)} to {max(lengths)} values; expected the target "
            f"of each whole sequence. For targets at each step use {_STEPWISE[estimator._loss]}."
        )
    is_class = dtype is None
    missing = next((n for n, each in enumerate(values if is_class else ()) if _is_missing(each)), None)
    if missing is not None:
        raise ValueError(
            f"{owner}: y[{missing}] is {values[missing]}; expected a class. Leave out sequences without one."
        )
    if dtype is not None:
        check_no_dates(y, f"{owner}: y")
    try:
        targets: Array = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
    except ValueError as error:
        if "could not convert string" not in str(error):
            raise
        raise ValueError(
            f"{owner}: y holds texts; expected numbers. For classes use SequenceClassifier."
        ) from error
    return targets


def _is_missing(value: Any) -> bool:
    return not _is_vector(value) and is_missing_value(value)


def _is_vector(value: Any) -> bool:
    """Whether an element of the targets is a vector, and not a number or a text."""
    return isinstance(value, list | tuple) or (hasattr(value, "__array__") and np.ndim(value) > 0)
