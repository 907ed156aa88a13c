"""Checks of the labels of sequences before training, and of the parts into which they are divided."""

from __future__ import annotations

import numpy as np

from zoo.arguments import counted
from zoo.array_types import Array
from zoo.base.data_kinds import PARTS
from zoo.classification.metrics import CLASS_METRICS, NUMBER_METRICS, ORDER_METRICS
from zoo.classification.sequence_parts import SequenceParts
from zoo.classification.spec import SequenceSpec
from zoo.data import parse_split
from zoo.data.labelled_sequences import LabelledSequences
from zoo.errors import DataError, UsageError

_PART_NAMES = {"train": "training", "valid": "validation", "test": "test"}


def check_metric(metric: str | None, classes: tuple[str, ...]) -> None:
    """Raise an error for a score that the labels do not have.

    Args:
        metric: The score; None for the default.
        classes: The classes; empty for numbers.
    """
    known = CLASS_METRICS if classes else NUMBER_METRICS
    names = [name for name in known if name not in ORDER_METRICS or len(classes) == 2]
    if metric is None or metric in names:
        return
    labels = counted(len(classes), "class", "classes") if classes else "numbers"
    raise UsageError(
        f"metric is {metric!r}, and the labels are {labels}; expected {', '.join(names[:-1])} or {names[-1]}."
    )


def check_labels(
    given: LabelledSequences,
    spec: SequenceSpec,
    parts: SequenceParts,
    codes: Array,
    labelled: dict[str, Array],
    metric: str | None,
) -> None:
    """Check that each part has labels, and that there is something to learn from them.

    Args:
        given: The sequences.
        spec: Their inputs and outputs.
        parts: Their parts.
        codes: The labels of sequences or steps, `(n,)`, see :meth:`SequenceSpec.codes`.
        labelled: The indices of the labels that are present in each part.
        metric: The score that chooses the best model; None for the loss.

    Raises:
        DataError: if a part is empty, or its labels do not suffice.
    """
    _check_parts(given, spec, parts, labelled)
    labels = codes[labelled["train"]]
    if spec.classes:
        _check_exact(given)
        _check_classes(given, spec, parts, codes, labels)
    elif len(labels) < 2 or labels.std() == 0:
        unit = "step" if spec.is_stepwise else "sequence"
        raise DataError(
            f"{given.name}: all labels of the training part ({counted(len(labels), unit)}) are "
            f"equal; there is nothing to learn. Give more sequences."
        )
    if metric in ORDER_METRICS:
        _check_two_classes(given, parts, codes[labelled[parts.validated]], metric)


def _check_exact(given: LabelledSequences) -> None:
    """Raise an error for classes that are numbers beyond 2**53: different ones may be equal as float64."""
    labels = given.labels
    if labels is None or labels.kind != "number":
        return
    is_rounded = np.abs(labels.values) >= 2**53
    if is_rounded.any():
        value = labels.values[int(is_rounded.argmax())]
        raise DataError(
            f"{given.name}: a label is {value:.0f}, and numbers beyond 2**53 are rounded, so that different "
            f"classes may be equal; give texts as labels, or smaller numbers."
        )


def _check_parts(
    given: LabelledSequences, spec: SequenceSpec, parts: SequenceParts, labelled: dict[str, Array]
) -> None:
    """Raise an error for a part without groups or labelled steps.

    Without groups, whole sequences are enough for all parts if they are enough for their classes.
    """
    if parts.is_cut and given.groups is not None:
        raise DataError(
            f"{given.name} has one sequence, which is divided by time and not by groups; leave out `group`, "
            f"or give more sequences."
        )
    unit, count = _divided_unit(given)
    for part, share in zip(PARTS, parse_split(spec.split), strict=True):
        if not share or not (spec.is_stepwise or unit == "group"):
            continue
        if not len(parts.numbers(part)) and not parts.is_cut:
            raise DataError(
                f"{given.name} has {counted(count, unit)}, fewer than the parts of the split {spec.split!r}; "
                f"give more {unit}s, or a split with fewer parts."
            )
        if spec.is_stepwise and not len(labelled[part]):
            raise DataError(
                f"{given.name}: no step of the {_PART_NAMES[part]} part has a label; give another "
                f"{_split_setting(parts)}, or more labels."
            )


def _divided_unit(given: LabelledSequences) -> tuple[str, int]:
    """The unit that is divided into parts, ``"group"`` or ``"sequence"``, and the number of units."""
    if given.groups is None:
        return "sequence", len(given)
    return "group", len(np.unique(given.groups.values))


def _split_setting(parts: SequenceParts) -> str:
    """The setting that divides the data in another way."""
    return "`split`" if parts.is_cut else "`split_seed`"


def _check_classes(
    given: LabelledSequences, spec: SequenceSpec, parts: SequenceParts, codes: Array, train: Array
) -> None:
    """Raise an error for one class, for one that training lacks, and for one with a single sequence."""
    classes, unit = spec.classes, _divided_unit(given)[0]
    if len(classes) < 2:
        count = counted(int(spec.has_label(codes).sum()), "step" if spec.is_stepwise else "sequence")
        raise DataError(
            f"{given.name}: the label of all {count} is {classes[0]!r}; expected two classes or more."
        )
    in_training = np.bincount(train, minlength=len(classes))
    if not in_training.all():
        name, share = classes[int(in_training.argmin())], parse_split(spec.split)[0]
        if parts.is_cut:
            raise DataError(
                f"{given.name}: class {name!r} does not occur in the training part, which is the first "
                f"{share:.0%} of the only sequence; give several sequences, or a larger share (`split`)."
            )
        raise DataError(
            f"{given.name}: no {unit} of the training part has class {name!r}; set another `split_seed`, or "
            f"give more {unit}s."
        )
    if not spec.is_stepwise and unit == "sequence":
        _check_counts(given, spec, np.bincount(codes, minlength=len(classes)))


def _check_counts(given: LabelledSequences, spec: SequenceSpec, counts: Array) -> None:
    """Raise an error for a class with one sequence, which is either for training or for another part."""
    if counts.min() >= 2 or parse_split(spec.split)[0] == 1:
        return
    name = spec.classes[int(counts.argmin())]
    others = f" ({int((counts < 2).sum())} classes have one)" if (counts < 2).sum() > 1 else ""
    of_numbers = (
        " For labels that are numbers and not classes, give `loss='squared_error'`."
        if given.labels is not None and given.labels.kind == "number"
        else ""
    )
    raise DataError(
        f"{given.name}: class {name!r} has one sequence{others}; expected two or more, to train and to "
        f"test. Give more sequences, or leave the class out.{of_numbers}"
    )


def _check_two_classes(given: LabelledSequences, parts: SequenceParts, labels: Array, metric: str) -> None:
    """Raise an error for one class in the part that chooses the best model by a score of two classes."""
    if len(np.unique(labels)) == 1:
        raise DataError(
            f"{given.name}: the {_PART_NAMES[parts.validated]} part has labels of one class, and the metric "
            f"is {metric!r}, which compares two classes; give another {_split_setting(parts)}, or another "
            f"`metric`."
        )
