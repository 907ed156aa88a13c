"""``zoo.sklearn.SequenceClassifier`` and ``SequenceRegressor``."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    RegressorMixin,
)
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from zoo.base import Cell, Optimizer
from zoo.errors import UsageError
from zoo.model import SequenceModel
from zoo.registry import get_optimizer
from zoo.sklearn.fit import Lesson, answers, learn
from zoo.sklearn.sequences import Array, as_rows, rows_of_table
from zoo.training.clipping import Clip

_LARGEST_SEED = 2**31 - 1


class _Sequences(BaseEstimator):  # type: ignore[misc]
    """What both estimators are: arguments, sequences in, a model that reads them."""

    _loss = ""

    def __init__(
        self,
        cell: str | type[Cell] | Cell = "gru",
        hidden_size: int = 32,
        num_layers: int = 1,
        features: int = 1,
        epochs: int = 50,
        batch_size: int = 32,
        optimizer: str | Optimizer = "adam",
        lr: float | None = 0.01,
        clip: float | None = 1.0,
        dtype: str = "float32",
        threads: int | None = None,
        random_state: Any = None,
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
        self.threads = threads
        self.random_state = random_state

    def _fit(self, rows: list[Array], targets: Array, outputs: int, sample_weight: Any) -> None:
        """Make a model, and train it on what has a weight."""
        weights = _weights(sample_weight, rows)
        counted = np.flatnonzero(weights)
        rng = check_random_state(self.random_state)
        seed = int(rng.randint(_LARGEST_SEED))
        sizes = rows[0].shape[1], outputs, self.hidden_size, self.num_layers, self._loss
        self.model_ = SequenceModel(self.cell, *sizes, self.dtype, seed, self.threads)
        lesson = Lesson(
            [rows[place] for place in counted],
            targets[counted],
            weights[counted],
            _positive(self.epochs, "epochs"),
            _positive(self.batch_size, "batch_size"),
            get_optimizer(self.optimizer) if isinstance(self.optimizer, str) else self.optimizer,
            self.lr,
            Clip(norm=self.clip),
            seed,
        )
        self.losses_ = learn(self.model_, lesson, rng)

    def _rows(self, X: Any, reset: bool) -> list[Array]:
        """The sequences; while fitting, how many features they have is kept."""
        who, features = type(self).__name__, _positive(self.features, "features")
        rows = as_rows(X, features, who)
        if rows is None:
            table = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
            rows = rows_of_table(table, features, who)
        elif reset:
            self.n_features_in_ = rows[0].shape[1]
        if not reset and rows[0].shape[1] != self.model_.stack.input_size:
            raise ValueError(
                f"{who}: found {rows[0].shape[1]} features at a step, and it was fitted on "
                f"{self.model_.stack.input_size}."
            )
        return rows

    def _targets(self, y: Any, dtype: Any) -> Array:
        """What shall come out, finite.

        Raises:
            ValueError: if there is nothing, or NaN or infinity.
        """
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        found: Array = check_array(y, ensure_2d=False, dtype=dtype, input_name="y")
        return found

    def _answers(self, X: Any) -> Array:
        """What the readout says after the last step of each sequence."""
        check_is_fitted(self, "model_")
        return answers(self.model_, self._rows(X, reset=False))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags


class SequenceClassifier(ClassifierMixin, _Sequences):  # type: ignore[misc]
    """A class for each sequence, read after its last step by a softmax.

    Sequences are a list of arrays ``(T, I)``, each of its own length; or an array ``(N, T, I)``, in which NaN
    pads what follows the end of a sequence; or a table ``(N, T * features)``, a sequence of the same length
    in each row, as scikit-learn's own estimators and transformers have it.

    >>> SequenceClassifier(cell="lstm", random_state=0).fit(sequences, classes).predict(others)

    Args:
        cell: Name of a registered cell, a cell class, or a cell with its options chosen.
        hidden_size: ``H``.
        num_layers: ``L``.
        features: ``I`` of sequences that are plain rows of numbers, in a table or a list.
        epochs: How often all sequences are seen.
        batch_size: Sequences of an update.
        optimizer: Name of an optimizer, or one with its options chosen.
        lr: Its step size; None for its own.
        clip: Largest norm of a gradient; None for no limit.
        dtype: ``"float32"`` or ``"float64"``.
        threads: Threads among which a batch is divided; None for every processor. Changes no bit.
        random_state: Decides first values, order and noise: a seed, a ``RandomState``, or None.

    Attributes:
        classes_: The classes, in order.
        model_: The :class:`zoo.SequenceModel`.
        losses_: The mean loss of every epoch, nats.
        n_features_in_: Columns of the table, or features of a step.
    """

    _loss = "cross_entropy"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SequenceClassifier:
        """Learn classes from sequences.

        Args:
            X: N sequences.
            y: Their classes, ``(N,)``.
            sample_weight: How much each counts, ``(N,)``; None for all alike.

        Raises:
            ValueError: if something does not fit.
            ZooError: if training diverges.
        """
        rows = self._rows(X, reset=True)
        y = column_or_1d(self._targets(y, None), warn=True)
        check_consistent_length(rows, y)
        check_classification_targets(y)
        self.classes_, places = np.unique(y, return_inverse=True)
        self._fit(rows, places, len(self.classes_), sample_weight)
        return self

    def predict_proba(self, X: Any) -> Array:
        """How probable each class is, ``(N, V)``, in the order of ``classes_``."""
        scores = self._answers(X)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        found: Array = weights / weights.sum(axis=1, keepdims=True)
        return found

    def predict(self, X: Any) -> Array:
        """The most probable class of each sequence, ``(N,)``."""
        places = self._answers(X).argmax(axis=1)
        found: Array = self.classes_[places]
        return found


class SequenceRegressor(RegressorMixin, _Sequences):  # type: ignore[misc]
    """A number, or several, for each sequence, read after its last step.

    Arguments and sequences are those of :class:`SequenceClassifier`. What is learnt is the least mean square;
    numbers far from one are best scaled, by ``sklearn.compose.TransformedTargetRegressor``.

    >>> SequenceRegressor(cell="lstm", random_state=0).fit(sequences, numbers).predict(others)

    Attributes:
        model_: The :class:`zoo.SequenceModel`.
        losses_: The mean loss of every epoch.
        n_features_in_: Columns of the table, or features of a step.
    """

    _loss = "squared_error"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> SequenceRegressor:
        """Learn numbers from sequences.

        Args:
            X: N sequences.
            y: A number for each, ``(N,)``, or several, ``(N, V)``.
            sample_weight: How much each counts, ``(N,)``; None for all alike.

        Raises:
            ValueError: if something does not fit.
            ZooError: if training diverges.
        """
        rows = self._rows(X, reset=True)
        y = self._targets(y, np.float64)
        y = column_or_1d(y, warn=True) if y.ndim == 1 or y.shape[1] == 1 else y
        check_consistent_length(rows, y)
        self._is_flat = y.ndim == 1
        numbers = y.reshape(len(y), -1)
        self._fit(rows, numbers, numbers.shape[1], sample_weight)
        return self

    def predict(self, X: Any) -> Array:
        """The numbers of each sequence, ``(N,)`` or ``(N, V)`` as they were learnt."""
        found = self._answers(X)
        return found[:, 0] if self._is_flat else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _weights(sample_weight: Any, rows: list[Array]) -> Array:
    """How much each sequence counts.

    Raises:
        ValueError: if that does not fit, or none counts.
    """
    if sample_weight is None:
        return np.ones(len(rows))
    found: Array = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if found.shape != (len(rows),) or (found < 0).any() or not found.any():
        raise ValueError(
            f"sample_weight has the shape {found.shape} and runs from {found.min()} to {found.max()}; "
            f"expected ({len(rows)},), numbers of at least zero, some above it."
        )
    return found


def _positive(value: Any, name: str) -> int:
    """A parameter that counts something.

    Raises:
        UsageError: if it is no integer of at least one.
    """
    try:
        found = 0 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        found = 0
    if found < 1:
        raise UsageError(f"{name} is {value!r}; expected a positive integer.")
    return found
