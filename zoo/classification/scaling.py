"""Labelled sequences in the units of a model, ``ScaledSequences``, and the units of the training part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.classification.sequence_parts import SequenceParts
from zoo.classification.spec import SequenceSpec
from zoo.data.growing_array import allocate, row_chunks, sequence_chunks
from zoo.data.labelled_sequences import LabelledSequences
from zoo.errors import DataError
from zoo.field_repr import one_line_repr


@one_line_repr
@dataclass(frozen=True, eq=False)
class ScaledSequences:
    """Sequences in the units of a model.

    Attributes:
        spec: The inputs and outputs.
        values: Inputs of all steps, `(R, I)`.
        offsets: The first step of each sequence, and R, `(N + 1,)`. A single sequence with a label at each
            step may be divided by time into several here.
        dt: Time from the step before, `(R,)`; None without times.
    """

    spec: SequenceSpec
    values: Array
    offsets: Array
    dt: Array | None

    @classmethod
    def make(
        cls, given: LabelledSequences, spec: SequenceSpec, dtype: Any, offsets: Array | None = None
    ) -> ScaledSequences:
        """Scale sequences.

        Args:
            given: The sequences.
            spec: The inputs and outputs, with the units.
            dtype: The type of the values.
            offsets: The offsets, if a sequence is divided.

        Raises:
            DataError: if a channel has missing values and had none in training.
        """
        if len(given.channels) != len(spec.channels):
            raise DataError(
                f"{given.name} has {counted(len(given.channels), 'channel')}; the model reads "
                f"{len(spec.channels)}: {', '.join(spec.channels[:20])}."
            )
        for number in np.flatnonzero(given.has_missing):
            if spec.channels[number] not in spec.masked:
                step = int(np.isnan(given.values[:, number]).argmax())
                sequence = given.ids[int(np.searchsorted(given.offsets, step, side="right")) - 1]
                raise DataError(
                    f"{given.name}: a value of channel {spec.channels[number]!r} is missing in sequence "
                    f"{sequence!r}, and none was in training; fill it, for example with the value before, or "
                    f"train with sequences that lack values of this channel."
                )
        values = allocate((len(given.values), spec.input_size), dtype)
        masked = [spec.channels.index(name) for name in spec.masked]
        for rows in row_chunks(*values.shape):
            part = given.values[rows]
            scaled = (part - np.array(spec.mean)) / np.array(spec.scale)
            absent = np.isnan(part)
            values[rows, : len(spec.channels)] = np.where(absent, 0.0, scaled)
            values[rows, len(spec.channels) :] = absent[:, masked]
        dt = None
        if given.dt is not None:
            unit, dt = spec.time_unit or given.time_unit, allocate(given.dt.shape, dtype)
            for rows in row_chunks(len(dt)):
                dt[rows] = given.dt[rows] * (given.time_unit / unit)
        return cls(spec, values, given.offsets if offsets is None else offsets, dt)

    @property
    def lengths(self) -> Array:
        """Steps of each sequence, `(N,)`."""
        return np.diff(self.offsets)

    def items(self, numbers: Array) -> Array:
        """The indices of the labels of some sequences: their numbers, or the rows of all their steps."""
        return self.spec.items(numbers, self.offsets)

    def batch(self, numbers: Array, aux_names: tuple[str, ...] = ()) -> dict[str, Any]:
        """Inputs of some sequences, padded at the end to the longest of them, as for :meth:`windows`."""
        return self.windows(self.offsets[numbers], self.lengths[numbers], aux_names)

    def windows(self, starts: Array, sizes: Array, aux_names: tuple[str, ...] = ()) -> dict[str, Any]:
        """Inputs of successive steps, padded at the end to the longest window.

        Args:
            starts: The first row of each window, `(B,)`.
            sizes: Its steps, `(B,)`.
            aux_names: The auxiliary inputs that the cells declare.

        Returns:
            ``inputs (T, B, I)``; ``lengths (B,)``, unless all are equal; and ``dt (T, B)``, if it is among
            the auxiliary inputs.
        """
        longest = int(sizes.max())
        is_step, rows = window_rows(starts, sizes)
        inputs = self.values[rows]
        arguments: dict[str, Any] = {"inputs": inputs}
        if (sizes != longest).any():
            inputs[~is_step] = 0.0
            arguments["lengths"] = sizes
        if self.dt is not None and "dt" in aux_names:
            arguments["dt"] = self.dt[rows]
        return arguments


def window_rows(starts: Array, sizes: Array) -> tuple[Array, Array]:
    """Whether each step of a padded batch is in its window, and its row, or the last one, `(T, B)`."""
    steps = np.arange(int(sizes.max()))[:, None]
    return steps < sizes, starts + np.minimum(steps, np.maximum(sizes - 1, 0))


def with_units(
    spec: SequenceSpec, given: LabelledSequences, parts: SequenceParts, labels: Array, is_embedded: bool
) -> SequenceSpec:
    """A spec with the units of the training part.

    Args:
        spec: The inputs and outputs.
        given: The sequences.
        parts: Their parts.
        labels: The labels of the training part, `(n,)`.
        is_embedded: Whether categories have an embedding. Their codes then stay 0 and 1.

    Raises:
        DataError: if all channels are constant.
    """
    mean, scale, varies = channel_units(given.values, parts)
    if not varies.any():
        raise DataError(
            f"{given.name}: all channels are constant in the training part; there is nothing to learn."
        )
    scale = np.where(varies, scale, 1.0)
    if is_embedded:
        is_code = np.isin(
            spec.channels, [f"{name}={text}" for name in spec.categories for text in spec.categories[name]]
        )
        mean, scale = np.where(is_code, 0.0, mean), np.where(is_code, 1.0, scale)
    units: dict[str, Any] = {"mean": tuple(mean.tolist()), "scale": tuple(scale.tolist())}
    if not spec.classes:
        units |= {"label_mean": float(labels.mean()), "label_scale": float(labels.std())}
    return replace(spec, **units)


def channel_units(values: Array, parts: SequenceParts) -> tuple[Array, Array, Array]:
    """The mean and standard deviation of channels in the training part, and whether they vary, `(I,)` each.

    Missing values do not count. The values of a constant channel may differ by rounding.

    Args:
        values: The values of all steps, `(R, I)`.
        parts: The parts of the sequences.
    """
    is_train = np.zeros(len(parts.offsets) - 1, bool)
    is_train[parts.train] = True
    steps = values, parts.offsets, is_train
    counts = np.maximum(_sum_of_steps(*steps, lambda each: ~np.isnan(each)), 1)
    mean = _sum_of_steps(*steps, lambda each: each) / counts
    scale = np.sqrt(_sum_of_steps(*steps, lambda each: (each - mean) ** 2) / counts)
    return mean, scale, scale > 1e-12 * (np.abs(mean) + 1)


def _sum_of_steps(
    values: Array, offsets: Array, is_chosen: Array, function: Callable[[Array], Array]
) -> Array:
    """The sum of a function of the values of some sequences, `(I,)`; NaN counts as zero.

    A sum of chunks would round differently with one channel.
    """
    lengths, width = np.diff(offsets), values.shape[1]
    terms, end = allocate((int(lengths[is_chosen].sum()), width), np.float64), 0
    for chunk in sequence_chunks(offsets, width):
        rows = slice(offsets[chunk.start], offsets[chunk.stop])
        part = function(values[rows][np.repeat(is_chosen[chunk], lengths[chunk])])
        terms[end : end + len(part)] = np.where(np.isnan(part), 0.0, part)
        end += len(part)
    return np.asarray(terms.sum(axis=0))
