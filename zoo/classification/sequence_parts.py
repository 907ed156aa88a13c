"""``SequenceParts``: the sequences for training, for validation and for the test."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from zoo.array_types import Array
from zoo.base.data_kinds import PARTS
from zoo.classification.spec import SequenceSpec
from zoo.data.labelled_sequences import LabelledSequences
from zoo.data.split import parse_split, split, split_groups, split_items
from zoo.data.table import DataColumn
from zoo.field_repr import one_line_repr


@one_line_repr
@dataclass(frozen=True, eq=False)
class SequenceParts:
    """The division of sequences into three parts. A sequence lies in one part.

    Attributes:
        train: Numbers of the sequences for training, ascending.
        valid: Numbers of the sequences for validation; empty without a share of the split.
        test: Numbers of the sequences for the test; empty without a share of the split.
        offsets: The first row of each sequence, and R, `(N + 1,)`.
        is_cut: Whether a single sequence with a label at each step was cut by time into these sequences, one
            for each part.
    """

    train: Array
    valid: Array
    test: Array
    offsets: Array
    is_cut: bool = False

    def by_name(self) -> dict[str, Array]:
        """The numbers of the sequences of each part: ``"train"``, ``"valid"`` and ``"test"``."""
        return {name: getattr(self, name) for name in PARTS}

    def numbers(self, part: str) -> Array:
        """The numbers of the sequences of a part, or of ``"all"``."""
        return np.arange(len(self.offsets) - 1) if part == "all" else self.by_name()[part]

    @property
    def sizes(self) -> list[int]:
        """Number of sequences of each part."""
        return [len(numbers) for numbers in self.by_name().values()]

    @property
    def last(self) -> str:
        """The name of the last part that is not empty."""
        return next(name for name in reversed(PARTS) if len(self.numbers(name)))

    @property
    def validated(self) -> str:
        """The name of the part that chooses the best model: validation, or training if that is empty."""
        return "valid" if len(self.valid) else "train"


def divide(given: LabelledSequences, spec: SequenceSpec) -> SequenceParts:
    """Divide the sequences of training into parts.

    A single sequence with a label at each step is cut by time, at the shares of the split.
    """
    if spec.is_stepwise and len(given) == 1:
        return _cut(int(given.offsets[-1]), spec.split)
    codes = np.zeros(len(given), np.int64) if spec.is_stepwise else spec.codes(given)
    stratify = bool(spec.classes) and not spec.is_stepwise  # a sequence of labelled steps has no class
    parts = split_sequences(codes, spec.split, spec.seed, stratify, given.groups)
    train, valid, test = (parts[name] for name in PARTS)
    return SequenceParts(train, valid, test, given.offsets)


def _cut(rows: int, shares: str) -> SequenceParts:
    """Cut one sequence by time into a sequence for each part with a share."""
    sizes = [len(part) for part in split(np.arange(rows), parse_split(shares))]
    ends, numbers = np.cumsum([0, *(size for size in sizes if size)]), iter(range(len(sizes)))
    train, valid, test = (np.array([next(numbers)] if size else [], np.int64) for size in sizes)
    return SequenceParts(train, valid, test, ends, is_cut=True)


def split_sequences(
    codes: Array, shares: str, seed: int, stratify: bool, groups: DataColumn | None = None
) -> dict[str, Array]:
    """Numbers of the sequences of the training, validation and test parts.

    Each class is divided by the same shares, in an order that the seed decides. A part with a share above
    zero gets a sequence of each class if there are enough: first training, then test, then validation. With
    groups, the groups are divided instead, whatever their sizes and classes.

    Args:
        codes: The labels, `(N,)`.
        shares: The shares, as ``"70,15,15"``.
        seed: Seed of the order.
        stratify: Whether labels are classes; else all sequences are divided at once.
        groups: The group of each sequence, all of whose sequences lie in one part; None for none.
    """
    if groups is None:
        return split_items(codes, parse_split(shares), seed, stratify)
    return split_groups(groups.values, parse_split(shares), seed)
