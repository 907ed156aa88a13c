"""Input sequences in the forms of scikit-learn: a list, an array padded with NaN, or a table."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from sklearn.utils.validation import check_consistent_length

from zoo.arguments import dtype_and_shape, short_repr
from zoo.array_types import Array
from zoo.arrays import as_array, as_floats, check_unmasked
from zoo.model import SequenceModel

_DATES = datetime.timedelta, np.datetime64, np.timedelta64  # dates have the method strftime
_CONVERTERS = "values", "to_numpy", "numpy"
_LEAST_FILLED = 0.5  # share of the steps that are no padding, from which on lengths are left out
PREDICT_BATCH_SIZE = 256
"""Batch size of prediction."""


def as_rows(data: Any, features: int, owner: str) -> list[Array] | None:
    """The sequences of a list or a three-dimensional array; None for other data, such as a table.

    Args:
        data: The data.
        features: Features per step of one-dimensional sequences.
        owner: Owner for error messages.

    Raises:
        ValueError: if a sequence is invalid, or the numbers of features differ.
    """
    check_unmasked(data, owner)
    if not isinstance(data, list | tuple | np.ndarray) or _is_table(data):
        return None
    if len(data) == 0:
        raise ValueError(f"{owner}: found no sequences; expected at least one.")
    is_padded = is_padded_array(data)
    rows = [_as_row(each, features, f"{owner}: sequence {n}", is_padded) for n, each in enumerate(data)]
    sizes = sorted({row.shape[1] for row in rows})
    if len(sizes) > 1:
        raise ValueError(f"{owner}: the sequences have {sizes} features; expected the same number in each.")
    return rows


def check_known_form(data: Any, owner: str, expected: str) -> None:
    """Raise an error for time series of other libraries that NumPy cannot read.

    Args:
        data: The data.
        owner: Owner for error messages.
        expected: The expected form, for the error of a nested data frame.

    Raises:
        ValueError: if it is a nested data frame, as in sktime, or an object such as a TimeSeries of darts.
    """
    for kind in {type(each) for each in (data if isinstance(data, list | tuple) else [data])}:
        is_read = hasattr(kind, "__array__") or hasattr(kind, "toarray") or issubclass(kind, Mapping)
        method = next((name for name in _CONVERTERS if callable(getattr(kind, name, None))), None)
        if method and not is_read:
            raise ValueError(
                f"{owner}: found a {kind.__name__}; expected an array. Convert it with its method {method}()."
            )
    if hasattr(data, "iloc"):
        for cell in np.ravel(data.iloc[:1].to_numpy()):
            if np.ndim(cell) > 0:
                nested = f"a {type(cell).__name__} in a cell of a {type(data).__name__}"
                raise ValueError(f"{owner}: found {nested}; expected {expected}.")


def check_target_count(data: Any, rows: Sequence[Array], y: Any, owner: str) -> None:
    """Raise an error if there is not one target for each sequence.

    Args:
        data: The data of the sequences.
        rows: The sequences.
        y: The targets.
        owner: Owner for error messages.

    Raises:
        ValueError: if the numbers differ.
    """
    try:
        check_consistent_length(rows, y)
    except ValueError as error:
        levels = getattr(getattr(data, "index", None), "nlevels", 1)
        columns = {np.shape(np.array(each, object)) for each in y}
        if levels == 1 and len(y) == max(map(len, rows), default=0) and columns == {(len(rows),)}:
            raise ValueError(
                f"{owner}: y has {len(y)} rows of {len(rows)} targets, and X has {len(rows)} sequences of up "
                f"to {len(y)} steps; expected (N, T). Exchange the axes, np.transpose(y)."
            ) from error
        if levels == 1:
            raise
        raise ValueError(
            f"{owner}: found {len(rows)} rows with an index of {levels} levels and {len(y)} targets; "
            f"expected a list of arrays (T, I), [rows.to_numpy() for _, rows in X.groupby(level=0)]."
        ) from error


def check_no_dates(data: Any, owner: str) -> None:
    """Raise an error for dates and durations, which scikit-learn would convert to counts of days.

    Args:
        data: A table or an array.
        owner: Owner for error messages.

    Raises:
        ValueError: if it contains any.
    """
    # A whole data frame of polars would be an array of numbers.
    for part in [data[name] for name in data.columns] if hasattr(data, "columns") else [data]:
        try:
            array = np.asarray(part)
        except ValueError:  # rows of different lengths, for which scikit-learn has an error
            return
        for value in array.flat if array.dtype.kind in "OmM" else ():
            if isinstance(value, _DATES) or hasattr(value, "strftime"):
                raise ValueError(
                    f"{owner} contains {value}, a {type(value).__name__}; expected real numbers, such as the "
                    f"hours since a date, (times - start) / np.timedelta64(1, 'h')."
                )


def rows_of_table(table: Array, features: int, owner: str) -> list[Array]:
    """The rows of a table ``(N, T * features)`` as sequences.

    Raises:
        ValueError: if the number of columns is not a multiple of ``features``.
    """
    if table.shape[1] % features:
        raise ValueError(
            f"{owner}: the rows hold {table.shape[1]} numbers, which is not a multiple of "
            f"features={features}."
        )
    return [_as_row(row, features, f"{owner}: row {n}") for n, row in enumerate(table)]


def _is_table(data: Sequence[Any] | Array) -> bool:
    """Whether data is numbers in rows of one length and not sequences.

    A list of one-dimensional arrays is sequences, also if their lengths are equal: in the next call they may
    differ. A list of lists of numbers is a table, as for NumPy, if their lengths are equal.
    """
    if isinstance(data, np.ndarray) and (data.dtype != object or data.ndim != 1):
        return data.ndim < 3
    if any(hasattr(each, "__array__") and np.ndim(each) > 0 for each in data):
        return False
    if not all(isinstance(each, list | tuple) for each in data):
        return True
    is_nested = any(isinstance(value, list | tuple | np.ndarray) for each in data for value in each)
    return len({len(each) for each in data}) == 1 and not is_nested


def is_padded_array(data: Any) -> bool:
    """Whether data is an array ``(N, T, I)``. Only in it is NaN at the end of a sequence padding."""
    return isinstance(data, np.ndarray) and data.ndim == 3


def _as_row(value: Any, features: int, owner: str, is_padded: bool = False) -> Array:
    """One sequence ``(T, I)``, of an array without its padding of NaN."""
    array = as_array(value, owner)
    if array.dtype.kind in "cMmV":  # NumPy would drop imaginary parts, and convert dates to counts of days
        raise ValueError(f"{owner} is {dtype_and_shape(array)}; expected real numbers.")
    row, text = as_floats(array)
    if row.ndim == 1 and row.size % features == 0:
        row = row.reshape(-1, features)
    if row.ndim != 2 or row.shape[1] == 0:
        raise ValueError(
            f"{owner} has the shape {row.shape}; expected (T, I), or (T,) for features={features} per step."
        )
    names = [*getattr(value, "columns", range(row.shape[1]))]
    if text is not None:
        step, feature = divmod(text, row.shape[1])
        raise ValueError(
            f"{owner}, step {step}, feature {names[feature]!r}: found {short_repr(array.item(text))}; "
            f"expected a real number. Encode the column as numbers, or give `zoo.fit` one table of all "
            f"sequences, which may have columns of texts and times."
        )
    row = without_padding(row) if is_padded else row
    is_finite = np.isfinite(row)
    if not is_finite.all():
        step, feature = divmod(int(is_finite.argmin()), row.shape[1])
        position = f"{owner}, step {step}, feature {names[feature]!r}"
        if np.isnan(row[step, feature]):
            raise ValueError(
                f"{position}: the value is missing; fill it, or use `zoo.fit` with `missing='forward'` or "
                f"`missing='mask'`. Only in an array (N, T, I) may NaN pad the end of a sequence."
            )
        raise ValueError(f"{position}: found {row[step, feature]}; expected a finite number.")
    if row.size == 0:
        raise ValueError(f"{owner} has no steps; expected at least one.")
    return row


def without_padding(row: Array) -> Array:
    """A sequence `(T, I)` of floats without trailing steps of NaN."""
    valid = np.flatnonzero(~np.isnan(row).all(axis=1))
    return row[: int(valid[-1]) + 1 if valid.size else 0]


def arguments_of(
    rows: Sequence[Array], model: SequenceModel, columns: Mapping[str, int]
) -> tuple[Array, Array | None, dict[str, Any]]:
    """Sequences as arguments of a model: padded inputs, lengths if they matter, and auxiliary inputs.

    A layer that reads forwards needs no lengths, since no step of the padding has a target.
    Without lengths the compiled training step runs: a fit of 150 sequences of 5 to 20 steps takes
    0.06 s in place of 0.17 s. With lengths, steps of padding are not computed, which saves more if most steps
    are padding.

    Args:
        rows: The sequences, ``(T, I)`` each.
        model: The model.
        columns: Features that are auxiliary inputs, by name. Inputs that no cell declares are left out.
    """
    lengths = np.array([len(row) for row in rows])
    batch = np.zeros((lengths.max(), len(rows), rows[0].shape[1]), model.dtype)
    for n, row in enumerate(rows):
        batch[: len(row), n] = row
    aux = {name: batch[..., column] for name, column in columns.items() if name in model.stack.inputs}
    inputs = np.delete(batch, [*columns.values()], axis=2)
    is_mostly_padding = lengths.mean() < _LEAST_FILLED * lengths.max()
    needs_lengths = is_mostly_padding or (model.config.bidirectional and lengths.min() < lengths.max())
    return inputs, lengths if needs_lengths else None, aux


def at_last_step(
    rows: Sequence[Array], targets: Array, weights: Array, shape: tuple[int, ...]
) -> dict[str, Array]:
    """Targets and weights of all steps, of which only the last one of each sequence has a weight.

    Args:
        rows: The sequences.
        targets: Their targets, ``(N,)`` classes or ``(N, V)`` numbers.
        weights: Their weights, ``(N,)``.
        shape: ``(T, N)``.
    """
    last = np.array([len(row) - 1 for row in rows]), np.arange(len(rows))
    of_steps = {"targets": np.zeros((*shape, *targets.shape[1:]), targets.dtype), "weights": np.zeros(shape)}
    of_steps["targets"][last], of_steps["weights"][last] = targets, weights
    return of_steps


def at_each_step(
    rows: Sequence[Array], targets: Array, weights: Array, shape: tuple[int, ...]
) -> dict[str, Array]:
    """Targets and weights of all steps; steps without a target have the weight zero.

    Args:
        rows: The sequences.
        targets: N arrays of the targets of their steps, see :func:`has_target`.
        weights: Their weights, ``(N,)``.
        shape: ``(T, N)``.
    """
    first = targets[0]
    of_steps = {"targets": np.zeros((*shape, *first.shape[1:]), first.dtype), "weights": np.zeros(shape)}
    for n, (row, each) in enumerate(zip(rows, targets, strict=True)):
        is_present = has_target(each)
        of_steps["targets"][: len(row), n][is_present] = each[is_present]
        of_steps["weights"][: len(row), n] = is_present * weights[n]
    return of_steps


def has_target(targets: Array) -> Array:
    """Whether a step has a target, ``(T,)`` booleans.

    Args:
        targets: Classes ``(T,)``, -1 for none, or numbers ``(T, V)``, NaN for none.
    """
    return targets >= 0 if targets.ndim == 1 else ~np.isnan(targets[:, 0])


def predict_outputs(model: SequenceModel, rows: Sequence[Array], columns: Mapping[str, int]) -> Array:
    """Outputs of the readout after the last step of each sequence, ``(N, V)``, float64."""
    result = np.empty((len(rows), model.output_size))
    for indices, batch in _batches_of_similar_lengths(rows):
        inputs, lengths, aux = arguments_of(batch, model, columns)
        last = np.array([len(row) - 1 for row in batch]), np.arange(len(batch))
        weights = np.zeros(inputs.shape[:2])
        weights[last] = 1
        outputs, _ = model.outputs(inputs, weights, lengths=lengths, **aux)
        result[indices] = outputs[last]
    return result


def predict_step_outputs(
    model: SequenceModel, rows: Sequence[Array], columns: Mapping[str, int]
) -> list[Array]:
    """Outputs of the readout at each step of each sequence, ``(T, V)``, float64."""
    result = [np.empty(0)] * len(rows)
    for indices, batch in _batches_of_similar_lengths(rows):
        inputs, lengths, aux = arguments_of(batch, model, columns)
        outputs, _ = model.outputs(inputs, lengths=lengths, **aux)
        for position, (index, row) in enumerate(zip(indices.tolist(), batch, strict=True)):
            result[index] = outputs[: len(row), position].astype(np.float64)
    return result


def _batches_of_similar_lengths(rows: Sequence[Array]) -> Iterator[tuple[Array, list[Array]]]:
    """The numbers of sequences and the sequences of each batch of a prediction.

    Similar lengths need the least padding.
    """
    order = np.argsort([len(row) for row in rows], kind="stable")
    for start in range(0, len(order), PREDICT_BATCH_SIZE):
        indices = order[start : start + PREDICT_BATCH_SIZE]
        yield indices, [rows[n] for n in indices]
