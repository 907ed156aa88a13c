"""``zoo show RUN``: the training and the parameters of a model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from zoo.array_types import Array
from zoo.cli.terminal import bold, dim, indent
from zoo.layers.parameters import parameter_part, strip_prefixes
from zoo.model.checkpoint import read_run
from zoo.tables import align
from zoo.training.run import Run
from zoo.training.run_info import info_rows, run_info


def run_lines(path: Path) -> Iterator[str]:
    """The facts of a run, and the names, shapes and numbers of the parameters in its best checkpoint.

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
    yield from ("", bold(f"Parameters: {sum(parts.values()):,}"))
    yield from indent(_rows(params, with_part=True))
    yield from (
        "",
        bold("Parts"),
        *indent(align([(part, f"{n:,}") for part, n in parts.items()], right=(1,))),
    )
    if buffers:
        yield from ("", bold("Buffers, which are not trained"))
        yield from indent(_rows(buffers, with_part=False))


def _of_kind(arrays: Mapping[str, Array], kind: str) -> dict[str, Array]:
    """The arrays of a kind by their own names, those of the layers first."""
    own = strip_prefixes({name: value for name, value in arrays.items() if name.startswith(f"{kind}.")})
    return {name: own[name] for name in sorted(own, key=lambda name: ("." not in name, name))}


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
