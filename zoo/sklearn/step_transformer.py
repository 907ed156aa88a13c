"""``StepTransformer``: a transformer of scikit-learn for the time steps of sequences."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from zoo.arguments import dtype_and_shape, short_repr
from zoo.array_types import Array
from zoo.arrays import as_floats
from zoo.sklearn.base_estimator import suggest_names
from zoo.sklearn.sequences import check_known_form, is_padded_array, without_padding

_LIBRARIES = "pandas", "polars"


class _Steps(NamedTuple):
    """The steps of all sequences.

    Attributes:
        table: An array ``(R, I)`` or a data frame, a row for each step.
        ends: The end of each sequence in it, ``(N,)``.
    """

    table: Any
    ends: Array


class StepTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A transformer of scikit-learn, such as a scaler, for the time steps of sequences of any lengths.

    ``fit`` fits the transformer to a table with a row for each step of all sequences, and ``transform``
    returns a list with the transformed steps of each sequence. A step of a pipeline before a
    :class:`SequenceClassifier` is fitted to the sequences of training only, also in a cross-validation.

    >>> line = make_pipeline(StepTransformer(StandardScaler()), SequenceClassifier(cell="gru"))
    >>> line.fit(sequences, classes)

    Args:
        transformer: The transformer, which returns a row for each row. It reads no classes. For a function
            use ``FunctionTransformer(np.log)``. If the sequences are data frames, it gets a data frame, so a
            ``ColumnTransformer`` can choose columns.

    Attributes:
        transformer_: The fitted transformer.
        n_features_in_: Features of a step, I.
    """

    @suggest_names
    def __init__(self, transformer: Any) -> None:
        self.transformer = transformer

    def set_output(self, *, transform: str | None = None) -> StepTransformer:
        """Set the kind of the transformed sequences, as for the transformer itself.

        Args:
            transform: ``"pandas"`` or ``"polars"`` for data frames, ``"default"`` for the default of the
                transformer. None changes nothing.

        Raises:
            TypeError: if the transformer is not a transformer.
            ValueError: if the transformer cannot set its output.
        """
        _check_transformer(self.transformer, type(self).__name__)
        for each in (self.transformer, getattr(self, "transformer_", self.transformer)):
            if not hasattr(each, "set_output"):
                raise ValueError(
                    f"{type(self).__name__}: {type(each).__name__} has no `set_output`; expected a "
                    f"transformer with it, such as StandardScaler()."
                )
            each.set_output(transform=transform)
        return self

    def fit(self, X: Any, y: Any = None) -> StepTransformer:  # noqa: ARG002
        """Fit the transformer to the steps.

        Args:
            X: A list of N arrays ``(T, I)`` or ``(T,)``, or of data frames of pandas or polars; or an array
                ``(N, T, I)``, in which NaN at the end of a sequence is padding.
            y: Ignored.

        Raises:
            ValueError: if X is anything else, or the sequences differ in their features.
            TypeError: if the transformer has no ``fit`` or no ``transform``, or needs y.
        """
        _check_transformer(self.transformer, type(self).__name__)
        steps = _steps(X, type(self).__name__)
        transformer = clone(self.transformer).fit(steps.table)
        self.transformer_, self.n_features_in_ = transformer, steps.table.shape[1]
        return self

    def transform(self, X: Any) -> list[Any]:
        """Transform the steps.

        Args:
            X: As for :meth:`fit`.

        Returns:
            For each sequence an array ``(T, J)``, or a data frame if the transformer returns one.

        Raises:
            ValueError: if X is invalid, or the transformer does not return a row for each step.
        """
        check_is_fitted(self, "transformer_")
        steps = _steps(X, type(self).__name__)
        rows = self.transformer_.transform(steps.table)
        rows = rows.toarray() if hasattr(rows, "toarray") else rows
        if len(rows) != len(steps.table):
            raise ValueError(
                f"{type(self).__name__}: {self.transformer_!r} returned {len(rows):,} rows for "
                f"{len(steps.table):,} steps; expected a row for each step."
            )
        rows = getattr(rows, "iloc", rows)
        return [rows[start:end] for start, end in zip((0, *steps.ends[:-1]), steps.ends, strict=True)]


def _check_transformer(transformer: Any, owner: str) -> None:
    """Raise a TypeError for anything other than a transformer that is fitted without classes."""
    has_methods = all(callable(getattr(transformer, name, None)) for name in ("fit", "transform"))
    if isinstance(transformer, type) or not has_methods:
        cure = ""
        if isinstance(transformer, type):
            cure = f" Call the class, {transformer.__name__}()."
        elif callable(transformer):
            cure = f" For a function use FunctionTransformer({getattr(transformer, '__name__', 'function')})."
        raise TypeError(
            f"{owner}: transformer is {short_repr(transformer)}; expected a transformer with fit and "
            f"transform, such as StandardScaler().{cure}"
        )
    if get_tags(transformer).target_tags.required:
        raise TypeError(
            f"{owner}: {type(transformer).__name__} needs y, and steps have no classes here; expected a "
            f"transformer that is fitted without y."
        )


def _steps(data: Any, owner: str) -> _Steps:
    """The steps of sequences.

    Raises:
        ValueError: if they are not sequences, or have other features than the first one.
    """
    rows = data if isinstance(data, list | tuple) else ()
    if any(isinstance(each, np.ma.MaskedArray) for each in (data, *rows)):
        raise ValueError(
            f"{owner}: found a masked array; expected missing values as NaN, x.astype(float).filled(np.nan)."
        )
    is_array = isinstance(data, np.ndarray) and (data.ndim == 3 or data.dtype == object)
    if not is_array and not isinstance(data, list | tuple):
        is_table = hasattr(data, "columns")
        given = f"a {type(data).__name__}" if is_table else short_repr(data)
        given = dtype_and_shape(data) if isinstance(data, np.ndarray) else given
        cure = " For a table of all steps, [rows for _, rows in X.groupby('id')]." if is_table else ""
        raise ValueError(
            f"{owner}: X is {given}; expected a list of sequences (T, I) or an array (N, T, I). Give one "
            f"sequence as [X].{cure} A table with one sequence in each row needs no {owner}."
        )
    check_known_form(data, owner, "numbers, a row for each time step")
    if len(data) == 0:
        raise ValueError(f"{owner}: found no sequences; expected at least one.")
    is_frame = [hasattr(each, "columns") for each in data]
    if any(is_frame):
        odd = is_frame.index(False) if not all(is_frame) else None
        if odd is not None:
            raise ValueError(
                f"{owner}: sequence {odd} is not a data frame, and others are; give data frames only."
            )
        table = _joined_frames(data, owner)
        lengths = [len(each) for each in data]
    else:
        is_padded = is_padded_array(data)
        data = _as_numbers(data) if is_padded else data
        rows = [_as_steps(each, f"{owner}: sequence {n}") for n, each in enumerate(data)]
        if is_padded and data.dtype.kind == "f":
            rows = [without_padding(row) for row in rows]
        for n, row in enumerate(rows):
            if row.shape[1] != rows[0].shape[1]:
                raise ValueError(
                    f"{owner}: sequence {n} has {row.shape[1]} features and sequence 0 has "
                    f"{rows[0].shape[1]}; expected the same number in each."
                )
        table, lengths = np.concatenate(rows), [len(row) for row in rows]
    return _Steps(table, np.cumsum(lengths))


def _as_numbers(array: Array) -> Array:
    """An array of objects as floats, if they are numbers or missing. Texts may be categories, also digits."""
    if array.dtype != object or any(isinstance(value, str | bytes) for value in array.flat):
        return array
    floats, first_other = as_floats(array)
    return floats if first_other is None else array


def _as_steps(value: Any, owner: str) -> Array:
    """One sequence ``(T, I)``."""
    array = np.asarray(value)
    array = array[:, None] if array.ndim == 1 else array
    if array.ndim != 2:
        raise ValueError(f"{owner} is {dtype_and_shape(array)}; expected (T, I), or (T,) for one feature.")
    return array


def _joined_frames(frames: Sequence[Any], owner: str) -> Any:
    """Data frames below each other.

    Raises:
        ValueError: if they are of different libraries or another one, or differ in their columns.
    """
    library = type(frames[0]).__module__.partition(".")[0]
    for n, frame in enumerate(frames):
        own = type(frame).__module__.partition(".")[0]
        if own not in _LIBRARIES or own != library:
            raise ValueError(
                f"{owner}: sequence {n} is a {type(frame).__name__} of {own}, and sequence 0 of {library}; "
                f"expected arrays, or data frames of {' or '.join(_LIBRARIES)}."
            )
        if list(frame.columns) != list(frames[0].columns):
            raise ValueError(
                f"{owner}: sequence {n} has the columns {list(frame.columns)}, and sequence 0 has "
                f"{list(frames[0].columns)}; expected the same columns in the same order."
            )
    if library == "pandas":
        return sys.modules["pandas"].concat(list(frames), ignore_index=True)
    return sys.modules["polars"].concat(list(frames), how="vertical_relaxed")
