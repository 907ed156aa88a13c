"""``zoo show RUN``: the training and the parameters of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.arguments import counted, short_repr
from zoo.array_types import Array
from zoo.classification.calibration import ClassCalibration
from zoo.classification.spec import SequenceSpec
from zoo.cli.terminal import bold, dim, indent
from zoo.data import vocabulary_from_json
from zoo.data.vocabulary import Symbol
from zoo.errors import DataError
from zoo.forecasting.spec import ForecastSpec
from zoo.layers.parameters import parameter_part, strip_prefixes
from zoo.model.checkpoint import read_run
from zoo.tables import align
from zoo.training.run import Run
from zoo.training.run_info import info_rows, run_info


def run_lines(path: Path) -> Iterator[str]:
    """The facts of a run, and the names, shapes and numbers of the parameters in its best checkpoint.

    The rows of an embedding have the names of categories or symbols.

    The checkpoint is read without its cell, which may be in a file.

    Raises:
        CheckpointError: if it holds no checkpoint, or is damaged.
        UsageError: if it is a comparison.
    """
    checkpoint, source = read_run(path)
    params, buffers = (_of_kind(checkpoint.arrays, kind) for kind in ("params", "buffers"))
    parts: dict[str, int] = {}
    for name, array in params.items():
        part = parameter_part(name)
        parts[part] = parts.get(part, 0) + array.size
    yield f"{bold(source)}  {dim(str(checkpoint.meta.get('kind')))}"
    if path.is_dir():
        yield from ("", *align(info_rows(run_info(Run(path)))))
    if calibration := _calibration_rows(checkpoint.meta, source):
        yield from ("", bold("Calibration, which the readout contains"), *indent(align(calibration)))
    yield from ("", bold(f"Parameters: {sum(parts.values()):,}"))
    yield from indent(_rows(params, with_part=True))
    yield from (
        "",
        bold("Parts"),
        *indent(align([(part, f"{n:,}") for part, n in parts.items()], right=(1,))),
    )
    if rows := _embedding_rows(params, checkpoint.meta, source):
        yield from ("", bold("Rows of the embedding"), *indent(align(rows)))
    if buffers:
        yield from ("", bold("Buffers, which are not trained"))
        yield from indent(_rows(buffers, with_part=False))


def _calibration_rows(meta: Mapping[str, Any], source: str) -> list[tuple[str, str]]:
    """The temperature, the biases and the data of a calibrated classifier; empty without a calibration."""
    sequences = meta.get("sequences")
    if not isinstance(sequences, Mapping) or sequences.get("calibration") is None:
        return []
    classes = SequenceSpec.from_json(sequences.get("spec"), source).classes
    calibration = ClassCalibration.from_json(sequences["calibration"], len(classes), source)
    part = "validation part of " if calibration.part == "valid" else ""
    digest = f", sha256 {calibration.sha256[:12]}" if calibration.sha256 else ""
    biases = zip(classes, calibration.biases, strict=True)
    return [
        ("fitted", f"to {counted(calibration.labels, 'label')}, {part}{calibration.data}{digest}"),
        ("temperature", f"{calibration.temperature:.4g}"),
        *((f"bias of {name}", f"{bias:.4g}") for name, bias in biases),
    ]


def _of_kind(arrays: Mapping[str, Array], kind: str) -> dict[str, Array]:
    """The arrays of a kind by their own names, those of the layers first."""
    own = strip_prefixes({name: value for name, value in arrays.items() if name.startswith(f"{kind}.")})
    return {name: own[name] for name in sorted(own, key=lambda name: ("." not in name, name))}


_MAX_NAMES = 10
"""Rows of an embedding with a name."""


def _embedding_rows(
    params: Mapping[str, Array], meta: Mapping[str, Any], source: str
) -> list[tuple[str, str, str]]:
    """The columns of the rows, or the kind of a symbol; the rows; and the first of their names."""
    names = _row_names(meta, source) if "embedding" in params else {}
    if sum(map(len, names.values())) != len(params.get("embedding", ())):
        return []  # rows without names, of a task or of tokens that are numbers
    lines, first = [], 0
    for owner, each in names.items():
        shown = [f"0x{name:02x}" if isinstance(name, int) else short_repr(name) for name in each[:_MAX_NAMES]]
        more = f" and {len(each) - _MAX_NAMES:,} more" if len(each) > _MAX_NAMES else ""
        lines.append((owner, f"{first:,} to {first + len(each) - 1:,}", ", ".join(shown) + more))
        first += len(each)
    return lines


def _row_names(meta: Mapping[str, Any], source: str) -> Mapping[str, Sequence[Symbol]]:
    """The values of each column with an embedding, or the symbols of a text by their kind."""
    if isinstance(table := meta.get("table"), Mapping):
        return ForecastSpec.from_json(table.get("spec"), source).embedded_categories
    if isinstance(sequences := meta.get("sequences"), Mapping):
        return SequenceSpec.from_json(sequences.get("spec"), source).embedded_categories
    model = meta.get("model")
    try:
        vocabulary = vocabulary_from_json(model.get("vocabulary") if isinstance(model, Mapping) else None)
    except DataError:  # not a text, or the package of its tokenizer is not installed
        return {}
    level = vocabulary.level
    return {} if level == "token" else {"token" if level == "tokenizer" else level: vocabulary.symbols}


def _rows(arrays: Mapping[str, Array], with_part: bool) -> list[str]:
    return align(
        [
            (
                name,
                f"({', '.join(map(str, value.shape))})",
                f"{value.size:,}",
                *[parameter_part(name)] * with_part,
            )
            for name, value in arrays.items()
        ],
        right=(2,),
    )
