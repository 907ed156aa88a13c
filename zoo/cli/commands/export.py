"""``zoo export``: write a trained model as an ONNX graph or as C."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.arguments import real_path
from zoo.cli.component_lookup import file_cells, plugin_option
from zoo.cli.flags import argument, option
from zoo.cli.terminal import echo
from zoo.tables import align

if TYPE_CHECKING:
    from zoo.export import CFiles, OnnxFile


@click.command()
@argument("path", metavar="RUN")
@option("--format", "form", type=click.Choice(["onnx", "c"]), required=True, help="What is written.")
@option(
    "--out",
    metavar="FILE",
    help="The file; for C the source, NAME.c, beside which NAME.h is written.  [RUN's name, here]",
)
@option("--step", is_flag=True, help="ONNX: one step with the states in and out, for streaming.")
@option("--tokens", is_flag=True, help="The input is tokens, not features; a language model's is.")
@option("--name", metavar="NAME", help="C: what all names begin with.  [after the file]")
@option("--force", is_flag=True, help="Replace files that are there.")
@option("--cell", metavar="FILE.py:Class", help="The model's cell, if it is registered nowhere.")
@plugin_option
def command(
    path: str,
    form: str,
    out: str | None,
    step: bool,
    tokens: bool,
    name: str | None,
    force: bool,
    cell: str | None,
) -> None:
    """Write a trained model as an ONNX graph, or as C.

    RUN is a run directory, whose best model is taken, or a .safetensors file. ONNX runs wherever onnxruntime
    does; the C needs a compiler and the mathematical library, and allocates nothing.
    """
    if form == "c" and step:
        raise click.UsageError("--step is for --format onnx: in C there is a function for one step anyway.")
    if form == "onnx" and name is not None:
        raise click.UsageError("--name is for --format c: in ONNX inputs and outputs have the model's names.")

    from zoo.export import to_c, to_onnx
    from zoo.model import load

    target = Path(out) if out is not None else _default_target(Path(path), form, step)
    model = load(Path(path), cell=file_cells(cell), threads=1)
    if form == "onnx":
        rows = _onnx_rows(to_onnx(model, target, step=step, tokens=tokens or None, force=force))
    else:
        rows = _c_rows(to_c(model, target, name=name, tokens=tokens or None, force=force))
    echo("\n".join(align(rows)))


def _default_target(path: Path, form: str, step: bool) -> Path:
    """A file in the current directory with the name of the run."""
    from zoo.export.c.literals import identifier_prefix

    name = real_path(path).name.removesuffix(".safetensors")
    return Path(f"{identifier_prefix(name)}.c" if form == "c" else f"{name}{'-step' * step}.onnx")


def _onnx_rows(file: OnnxFile) -> Iterator[tuple[str, str]]:
    yield "file", f"{file.path}, {file.bytes:,} bytes"
    yield "opset", f"{file.opset}: {', '.join(file.operators)}"
    yield "inputs", ", ".join(file.inputs)
    yield "outputs", ", ".join(file.outputs)


def _c_rows(files: CFiles) -> Iterator[tuple[str, str]]:
    sizes = files.sizes
    yield "files", f"{files.source}, {files.header}"
    yield "names", f"{files.prefix}_init, {files.prefix}_step, ..."
    yield "bytes", f"weights {sizes['weights']:,}, states {sizes['states']:,}, scratch {sizes['scratch']:,}"
