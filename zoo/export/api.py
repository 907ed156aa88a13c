"""Export of models to files, which are written whole and never overwrite others unasked."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.arguments import as_bool, as_choice, as_path, missing_directory, real_path, short_repr
from zoo.classification.predictor import Predictor
from zoo.errors import UsageError
from zoo.export.c_model import c_program
from zoo.export.c_source import MAX_PREFIX, identifier_prefix
from zoo.export.exported_model import AnyModel, ExportedModel, exported_model, load_trained
from zoo.export.html_example import read_example
from zoo.export.html_page import check_has_page, html_page
from zoo.export.html_table import step_column
from zoo.export.int8_weights import int8_weights
from zoo.export.js_model import js_module
from zoo.export.js_types import type_declarations
from zoo.export.onnx_graph import require_onnx
from zoo.export.onnx_model import OPSET, onnx_model, used_operators
from zoo.forecasting.forecaster import Forecaster
from zoo.storage.atomic import write_files
from zoo.training import Run


def check_writable(paths: list[Path], force: bool) -> None:
    """Check that files can be written.

    Raises:
        UsageError: if a file exists and ``force`` is not given, or the directory does not exist.
    """
    as_bool(force, "export: force")
    for path in paths:
        if path.is_dir():
            raise UsageError(f"export: {path} is a directory; name a file.")
        folder = (real_path(path) if path.is_symlink() else path).parent
        if not folder.is_dir():
            raise UsageError(missing_directory(folder))
        if path.exists() and not force:
            raise UsageError(f"export: {path} is there already; choose another name, or `force`.")


# Characters without a special meaning in an #include.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.+-]+", re.ASCII)


SUFFIXES: Mapping[str, tuple[str, ...]] = {
    "onnx": (".onnx",),
    "c": (".c",),
    "js": (".js", ".mjs"),
    "html": (".html", ".htm"),
}
"""The endings of files of each format, the usual one first."""

WEIGHTS = "float", "int8"
"""How C and JavaScript store matrices."""


@dataclass(frozen=True)
class OnnxFile:
    """An exported ONNX file.

    Args:
        path: The file.
        bytes: Its size.
        opset: The version of ONNX's operators.
        operators: The operators that it uses, sorted.
        inputs: Names of the graph's inputs; the first is read at every step.
        outputs: Names of its outputs, with the states in the order of the inputs.
    """

    path: Path
    bytes: int
    opset: int
    operators: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True)
class CFiles:
    """Exported C files.

    Args:
        source: The source file.
        header: The header.
        prefix: Prefix of all public names.
        sizes: Bytes of ``weights``, the constants; ``states``, one struct for each sequence; ``scratch``, on
            the stack while a step runs; of a bidirectional model ``work``, memory of the caller for each step
            of a sequence; and of a model of a table ``raw``, in addition on the stack while ``predict_raw``
            runs.
        float_matrices: Names in the source of the matrices that are not int8.
    """

    source: Path
    header: Path
    prefix: str
    sizes: Mapping[str, int]
    float_matrices: tuple[str, ...] = ()


@dataclass(frozen=True)
class JsFile:
    """An exported JavaScript module.

    Args:
        path: The file.
        types: The declarations for TypeScript and editors, NAME.d.ts or NAME.d.mts.
        bytes: The size of the module.
        names: The names that it exports.
        sizes: Bytes of ``weights``, the constants, and ``states``, of one sequence.
        float_matrices: Names in the source of the matrices that are not int8.
    """

    path: Path
    types: Path
    bytes: int
    names: tuple[str, ...]
    sizes: Mapping[str, int]
    float_matrices: tuple[str, ...] = ()


@dataclass(frozen=True)
class HtmlFile:
    """An exported web page.

    Args:
        path: The file.
        bytes: Its size.
        sizes: Bytes of ``weights``, the constants, and ``states``, of one sequence.
        float_matrices: Names in the source of the matrices that are not int8.
    """

    path: Path
    bytes: int
    sizes: Mapping[str, int]
    float_matrices: tuple[str, ...] = ()


def to_onnx(
    model: AnyModel,
    path: str | os.PathLike[str],
    *,
    step: bool = False,
    raw: bool = False,
    tokens: bool | None = None,
    force: bool = False,
) -> OnnxFile:
    """Write a model as an ONNX graph.

    The input is ``tokens`` or ``x``. The output is ``logits`` if a softmax or sigmoid follows, else ``y``. A
    state ``l0.h (B, H)`` is an input of that name and an output ``l0.h.next``. Batch and time are dynamic.
    The metadata hold learned initial states as ``zoo.initial``.

    Args:
        model: The model, exported in its dtype, also with precision ``"bf16"``. For the result of
            :func:`zoo.fit` on a table, or for a run, the metadata contain the columns with their units, and
            the classes.
        path: The file.
        step: One step, ``(B, ...)``, for streaming; otherwise a whole sequence, ``(T, B, ...)``.
        raw: For a model of a table: the input is ``rows (T, B, C)`` in the units of the table, and the output
            is ``forecast (B, h, M, Q)``, ``probabilities (B, K)`` and ``class (B,)``, or ``label (B,)``.
        tokens: Whether the input is tokens, not features; always true for a language model.
        force: Whether an existing file may be replaced.

    Raises:
        UsageError: if the package onnx is not installed, the model cannot be exported, or the file exists.
        DefinitionError: if a cell's step cannot be compiled.
        CheckpointError: if the file cannot be written.
    """
    path = as_path(path, "export: path")
    as_bool(step, "export: step")
    as_bool(raw, "export: raw")
    require_onnx()
    check_writable([path], force)
    graph_model = onnx_model(exported_model(model, tokens), step, raw)
    data = graph_model.SerializeToString()
    write_files({path: data})
    names = (
        tuple(each.name for each in infos) for infos in (graph_model.graph.input, graph_model.graph.output)
    )
    return OnnxFile(path, len(data), OPSET, tuple(used_operators(graph_model)), *names)


def to_c(
    model: AnyModel,
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    tokens: bool | None = None,
    weights: Literal["float", "int8"] = "float",
    force: bool = False,
) -> CFiles:
    """Write a model as a C99 source file and its header.

    They need only the mathematical library, and allocate no memory. A model of a table, which is a run or the
    result of :func:`zoo.fit`, also has functions that read rows in the units of the table.

    Args:
        model: The model, exported in its dtype, also with precision ``"bf16"``.
        path: The source file, ``NAME.c``; the header is ``NAME.h``.
        name: Prefix of all public names: ASCII letters, digits and single underscores, with a letter in
            front; by default from the name of the file.
        tokens: Whether the input is a token, not features; always true for a language model.
        weights: ``"int8"`` quantizes the matrices of products to integers and scales: a quarter of the bytes
            of large matrices. States and arithmetic keep the dtype. The outputs are those of
            :func:`int8_weights`, to rounding.
        force: Whether existing files may be replaced.

    Raises:
        UsageError: if the model cannot be exported, the name is invalid, or a file exists.
        DefinitionError: if a cell's step cannot be compiled.
        CheckpointError: if a file cannot be written.
    """
    source = as_path(path, "export: path")
    if source.suffix != ".c" or not _PLAIN_NAME.fullmatch(source.name):
        raise UsageError(
            f"export: the file is {source.name!r}; expected a name of letters, digits, and _ . + - that ends "
            f"with .c, since the source contains it."
        )
    header = source.with_suffix(".h")
    check_writable([source, header], force)
    if name is not None and not isinstance(name, str):
        raise UsageError(
            f"export: name is {short_repr(name)}; expected a string, or None for the file's name."
        )
    prefix = identifier_prefix(source.stem if name is None else name)
    if name is not None and prefix != name:
        raise UsageError(
            f"export: name is {short_repr(name)}; expected ASCII letters, digits and single underscores, "
            f"with a letter in front, at most {MAX_PREFIX} in all and none of l0, l1, ..., initial, layer "
            f"and readout, such as {prefix!r}."
        )
    subject, is_int8 = _subject(model, tokens, weights)
    program = c_program(subject, prefix, header.name, is_int8)
    write_files({header: program.header.encode("ascii"), source: program.source.encode("ascii")})
    return CFiles(source, header, prefix, program.sizes, _float_matrices(program.is_int8))


def to_js(
    model: AnyModel,
    path: str | os.PathLike[str],
    *,
    tokens: bool | None = None,
    weights: Literal["float", "int8"] = "float",
    force: bool = False,
) -> JsFile:
    """Write a model as a JavaScript module with declarations of its types, which loads nothing.

    It runs in browsers and in Node. TypeScript and editors read the declarations.

    It exports a class ``Model`` with the states of one sequence and ``step``, or ``sequence`` of a
    bidirectional model. A language model also has ``sample``, and the module the functions between text,
    tokens and probabilities. A model of a table, which is a run or the result of :func:`zoo.fit`, also has
    ``forecast`` or ``predict``, which read rows in the units of the table.

    Args:
        model: The model, exported in its dtype, also with precision ``"bf16"``. JavaScript computes in double
            and rounds to the dtype where it stores arrays.
        path: The file, ``NAME.js`` or ``NAME.mjs``. The declarations of its types are ``NAME.d.ts`` or
            ``NAME.d.mts``.
        tokens: Whether the input is a token, not features; always true for a language model.
        weights: ``"int8"`` as for :func:`to_c`: a quarter of the bytes of large matrices.
        force: Whether existing files may be replaced.

    Raises:
        UsageError: if the model cannot be exported, the name has another ending, or a file exists.
        DefinitionError: if a cell's step cannot be compiled.
        CheckpointError: if the file cannot be written.
    """
    target = as_path(path, "export: path")
    _check_suffix(target, "js")
    types = target.with_suffix(f".d{target.suffix.replace('js', 'ts')}")
    check_writable([target, types], force)
    module = js_module(*_subject(model, tokens, weights), target.name)
    data = module.source.encode("ascii")
    write_files({types: type_declarations(module.source, module.info).encode("ascii"), target: data})
    return JsFile(target, types, len(data), module.names, module.sizes, _float_matrices(module.is_int8))


def to_html(
    model: AnyModel,
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    example: str | os.PathLike[str] | None = None,
    weights: Literal["float", "int8"] = "float",
    force: bool = False,
) -> HtmlFile:
    """Write a language model or a model of a table as a web page, in one file that loads nothing.

    The page of a language model continues a prompt, shows the probabilities of the next symbol and all
    states, and colours the text by a unit. The page of a model of a table reads rows as CSV, and shows
    forecasts with their intervals, or classes with their probabilities. It contains the names of columns,
    series and classes, all values of columns of texts, the units of each series, the scale of the label, and
    the offsets of the interval. It contains no rows of training. Each page names the cell and its paper, and
    the page of a run on a text its validation loss.

    Args:
        model: A language model, a model of a table as for :func:`to_js`, or a run of one.
        path: The file, ``NAME.html`` or ``NAME.htm``.
        title: The title of the page, not empty; by default the name of the file.
        example: For a model of a table: a CSV file of at most 1 MB with rows to begin with. The page contains
            the columns that the model reads, and the label. By default the page begins with random rows in
            the units of training.
        weights: As for :func:`to_js`.
        force: Whether an existing file may be replaced.

    Raises:
        UsageError: if it is another model, the title is empty, the name has another ending, the file exists,
            or the example is too large, or for a language model.
        DataError: if the example cannot be read, lacks a column, or the page would show an error for it.
        DefinitionError: if a cell's step cannot be compiled.
        CheckpointError: if the file cannot be written.
    """
    target = as_path(path, "export: path")
    _check_suffix(target, "html")
    if title is not None and not (isinstance(title, str) and title.strip()):
        raise UsageError(
            f"export: title is {short_repr(title)}; expected a text that is not empty, or None for the name "
            f"of the file."
        )
    check_writable([target], force)
    loss = model.best_loss if isinstance(model, Run) else None
    trained = load_trained(model.path, model.cell) if isinstance(model, Run) else model
    subject, is_int8 = _subject(trained, None, weights)
    check_has_page(subject)
    rows = None
    if example is not None:
        if not isinstance(trained, Forecaster | Predictor):
            raise UsageError(
                "export: `example` is for a model of a table; leave it out for a language model."
            )
        rows = read_example(as_path(example, "export: example"), trained, step_column(subject))
    text, module = html_page(subject, is_int8, target.stem if title is None else title, loss, rows)
    data = text.encode(errors="backslashreplace")  # a name may not be UTF-8
    write_files({target: data})
    return HtmlFile(target, len(data), module.sizes, _float_matrices(module.is_int8))


def _check_suffix(path: Path, form: str) -> None:
    if path.suffix not in SUFFIXES[form]:
        endings = " or ".join(SUFFIXES[form])
        raise UsageError(f"export: the file is {path.name!r}; expected a name that ends with {endings}.")


def _subject(model: AnyModel, tokens: bool | None, weights: str) -> tuple[ExportedModel, bool]:
    """The model that source code holds, and whether its matrices become int8 numbers with scales."""
    is_int8 = as_choice(weights, "export: weights", WEIGHTS) == "int8"
    # The model is rounded first, for constants that are computed from its parameters. Quantizing rounded rows
    # again gives the same integers.
    return exported_model(int8_weights(model, tokens) if is_int8 else model, tokens), is_int8


def _float_matrices(is_int8: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(name for name, is_small in is_int8.items() if not is_small)
