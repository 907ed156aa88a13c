"""``zoo export``: write a trained model as an ONNX graph, as C, as JavaScript, or as a web page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from zoo.arguments import real_path
from zoo.cli.completion import complete_runs
from zoo.cli.component_lookup import CELL_FILE, file_cells, plugin_option
from zoo.cli.flags import Command, argument, option
from zoo.cli.terminal import echo
from zoo.errors import UsageError
from zoo.tables import align

if TYPE_CHECKING:
    from zoo.export import CFiles, HtmlFile, JsFile, OnnxFile


_STEP = "{} has a function for one step, unless the model is bidirectional"
_RAW = "{} has functions for raw rows, if the model has a table"
_PAGE = "a web page runs its model itself"
_LANGUAGES = {"c": "C source", "js": "a JavaScript module"}
_NO_PREFIX = {
    "onnx": "an ONNX graph has the names of the model",
    "js": "JavaScript needs no prefix",
    "html": "a web page needs no prefix",
}
_NOTE = (
    "note",
    "the interval uses errors that were measured in training; zoo forecast also uses errors in later rows",
)


@click.command(cls=Command)
@argument("path", metavar="RUN", shell_complete=complete_runs)
@option(
    "--format",
    "form",
    type=click.Choice(["onnx", "c", "js", "html"]),
    help="The format.  [from the name of --out]",
)
@option(
    "--out",
    metavar="FILE",
    help="The file, NAME.onnx, .c, .js or .html; with NAME.c also NAME.h, with NAME.js also NAME.d.ts.  [in "
    "this directory, named after RUN]",
)
@option("--step", is_flag=True, help="ONNX: one time step, states as inputs and outputs, for streaming.")
@option("--raw", is_flag=True, help="ONNX, model of a table: rows in its units in, forecasts or classes out.")
@option(
    "--tokens",
    is_flag=True,
    help="Export a model that reads tokens. Models with a vocabulary or an embedding always do.",
)
@option("--name", metavar="NAME", help="C: prefix of all names.  [from the file]")
@option("--title", metavar="TEXT", help="HTML: title of the page.  [from the file]")
@option(
    "--example",
    metavar="FILE",
    help="HTML, model of a table: a CSV file with rows to begin with. The page contains its columns that the "
    "model reads, and the label.  [random rows in the units of training]",
)
@option(
    "--weights",
    type=click.Choice(["float", "int8"]),
    help="C, JavaScript, HTML: int8 quantizes matrices to integers and scales, a quarter of the bytes of "
    "large matrices; `zoo eval RUN --weights int8` evaluates the quantized model.  [float]",
)
@option("--force", is_flag=True, help="Replace existing files.")
@option("--cell", **CELL_FILE)
@plugin_option
def command(
    path: str,
    form: str | None,
    out: str | None,
    step: bool,
    raw: bool,
    tokens: bool,
    name: str | None,
    title: str | None,
    example: str | None,
    weights: Literal["float", "int8"] | None,
    force: bool,
    cell: str | None,
) -> None:
    """Export a trained model as ONNX, C, JavaScript or a web page.

    RUN is a run directory, of which zoo uses the best model, or a .safetensors file. The ONNX graph runs in
    onnxruntime. The C source needs a compiler and the mathematical library, and allocates no memory. The
    JavaScript module runs in browsers and in Node, and loads nothing. The web page of a language model
    generates text and shows the states. The web page of a model of a table reads rows, and shows forecasts or
    classes. Exports of a model of a table contain the names and units of its columns, all values of columns
    of texts, the names of the series, its classes, the scale of its label, and the offsets of its interval.
    """
    if form is None or out is not None:
        form = _format_of(form, out)
    if form != "onnx" and (step or raw):
        flag, reason = ("--step", _STEP) if step else ("--raw", _RAW)
        reason = reason.format(_LANGUAGES[form]) if form in _LANGUAGES else _PAGE
        raise UsageError(f"{flag} is for --format onnx: {reason}.")
    if form != "c" and name is not None:
        raise UsageError(f"--name is for --format c: {_NO_PREFIX[form]}.")
    if form == "html" and tokens:
        raise UsageError(
            "--tokens is for --format onnx, c and js: a web page is for a language model, which always reads "
            "tokens, or for a model of a table."
        )
    if form != "html" and title is not None:
        raise UsageError("--title is for --format html: other formats have no title.")
    if form != "html" and example is not None:
        raise UsageError("--example is for --format html: other formats have no rows to begin with.")
    if form == "onnx" and weights == "int8":
        raise UsageError(
            "--weights is for --format c, js and html; to quantize an ONNX file, use quantize_dynamic of "
            "onnxruntime.quantization."
        )

    from zoo.export import to_c, to_html, to_js, to_onnx
    from zoo.export.exported_data import exported_data
    from zoo.export.exported_model import load_trained
    from zoo.model.checkpoint import check_run_path
    from zoo.training import Run

    kind = "-step" if step else "-raw" if raw else ""
    target = Path(out) if out is not None else _default_target(Path(path), form, kind)
    cells = file_cells(cell)
    check_run_path(path)
    # A page names the loss of a run, and loads its model.
    is_run = form == "html" and Path(path).is_dir()
    model = Run(Path(path), cells) if is_run else load_trained(path, cells)
    if form == "onnx":
        rows = [*_onnx_rows(to_onnx(model, target, step=step, raw=raw, tokens=tokens or None, force=force))]
    elif form == "js":
        file = to_js(model, target, tokens=tokens or None, weights=weights or "float", force=force)
        rows = [*_js_rows(file), *_matrix_rows(file.float_matrices, weights)]
    elif form == "html":
        page = to_html(model, target, title=title, example=example, weights=weights or "float", force=force)
        rows = [*_html_rows(page), *_matrix_rows(page.float_matrices, weights)]
    else:
        files = to_c(model, target, name=name, tokens=tokens or None, weights=weights or "float", force=force)
        rows = [*_c_rows(files), *_matrix_rows(files.float_matrices, weights)]
    has_interval = (raw or form in _LANGUAGES) and getattr(exported_data(model), "offsets", None) is not None
    echo("\n".join(align([*rows, *[_NOTE] * has_interval])))


def _format_of(form: str | None, out: str | None) -> str:
    """The format of a file name; the given one if the name has no ending of a format.

    Raises:
        UsageError: if there is neither, or they contradict each other.
    """
    if out is None:
        raise UsageError("choose a format: --format onnx, c, js or html, or a file, --out NAME.onnx.")
    from zoo.export.api import SUFFIXES

    formats = [form for form, suffixes in SUFFIXES.items() if out.endswith(suffixes)]
    if form is not None:
        if formats not in ([], [form]):
            raise UsageError(f"--out {out} names a file of the format {formats[0]}, and --format is {form}.")
        return form
    if not formats:
        if Path(out).is_dir():
            raise UsageError(f"--out {out} is a directory; name a file.")
        *others, last = [ending for suffixes in SUFFIXES.values() for ending in suffixes]
        endings = f"{', '.join(others)} or {last}"
        raise UsageError(
            f"--out {out}: the format is unknown; use a name that ends in {endings}, or add --format."
        )
    return formats[0]


def _default_target(path: Path, form: str, kind: str) -> Path:
    """A file in the current directory with the name of the run."""
    from zoo.export.api import SUFFIXES
    from zoo.export.c_source import identifier_prefix

    name = real_path(path).name.removesuffix(".safetensors")
    return Path(f"{identifier_prefix(name) if form == 'c' else f'{name}{kind}'}{SUFFIXES[form][0]}")


def _onnx_rows(file: OnnxFile) -> Iterator[tuple[str, str]]:
    yield "file", f"{file.path}, {file.bytes:,} bytes"
    yield "opset", f"{file.opset}: {', '.join(file.operators)}"
    yield "inputs", ", ".join(file.inputs)
    yield "outputs", ", ".join(file.outputs)


def _js_rows(file: JsFile) -> Iterator[tuple[str, str]]:
    yield "file", f"{file.path}, {file.bytes:,} bytes"
    yield "types", str(file.types)
    yield "names", ", ".join(file.names)
    yield "bytes", ", ".join(f"{name} {size:,}" for name, size in file.sizes.items())


def _html_rows(page: HtmlFile) -> Iterator[tuple[str, str]]:
    yield "file", f"{page.path}, {page.bytes:,} bytes"
    yield "bytes", ", ".join(f"{name} {size:,}" for name, size in page.sizes.items())


def _matrix_rows(float_matrices: tuple[str, ...], weights: str | None) -> Iterator[tuple[str, str]]:
    if weights == "int8" and float_matrices:
        yield "note", f"not quantized: {', '.join(float_matrices)}"


def _c_rows(files: CFiles) -> Iterator[tuple[str, str]]:
    sizes = files.sizes
    yield "files", f"{files.source}, {files.header}"
    functions = ["predict_raw"] if "raw" in sizes else []
    if "work" in sizes:
        functions += ["sequence"]
    else:
        functions += ["step_raw" if "raw" in sizes else "init", "step"]
    yield "names", f"{', '.join(f'{files.prefix}_{function}' for function in functions)}, ..."
    yield "bytes", ", ".join(f"{name} {size:,}" for name, size in sizes.items())
