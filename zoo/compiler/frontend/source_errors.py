"""Errors in a ``step``, with the source location in the user's code.

Code that cannot be compiled raises a :class:`TraceError` with its replacement. The location is the innermost
line of the traceback that belongs neither to zoo nor to NumPy nor to the standard library.
"""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import linecache
import re
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import FrameType, TracebackType
from typing import NamedTuple

import numpy as np

from zoo.base import Cell
from zoo.base.names import near_names
from zoo.compiler.ir.graph import ClosedGraphError, ShapeError
from zoo.errors import DefinitionError, ZooError

# Longer expressions are cut at this length.
_MAX_QUOTE = 100


_recorded: ContextVar[list[TraceError] | None] = ContextVar("zoo_trace_errors", default=None)


class TraceError(Exception):
    """Code that cannot be compiled, and its replacement; the text has no full stop.

    It is not a TypeError, which NumPy would replace with its own.
    """

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        errors = _recorded.get()
        if errors is not None and not isinstance(self, AttributeError):
            errors.append(self)


class UnknownAttributeError(TraceError, AttributeError):
    """An unknown attribute, for which ``hasattr`` returns False."""


@contextmanager
def recorded_errors() -> Iterator[list[TraceError]]:
    """Within the block, record the errors, also those that a ``try`` statement of ``step`` catches.

    A caught error would leave equations that differ from those on plain arrays.
    """
    errors: list[TraceError] = []
    token = _recorded.set(errors)
    try:
        yield errors
    finally:
        _recorded.reset(token)


def definition_error(error: Exception, cell: Cell, note: str = "") -> DefinitionError:
    """Return the error of a cell's class for an exception in its ``step``."""
    frames = list(_frames(error.__traceback__))
    user_frames = [each for each in frames if not _is_library_file(each.file)]
    where = source_location(*user_frames[-1]) if user_frames else step_location(cell)
    inside_kernels = any(Path(each.file).is_relative_to(_KERNELS) for each in frames)
    problem = _CALLS_A_KERNEL if inside_kernels else _problem(error, cell)
    if isinstance(error.__context__, ShapeError) and user_frames and _has_numpy_eye(user_frames[-1].frame):
        problem += "; np.eye(n) has a fixed size, so write zoo.eye(h.shape[-1]) for the size H"
    return error_at(cell, where, f"{problem}{note}")


def _has_numpy_eye(frame: FrameType) -> bool:
    """Whether the code of a function calls ``np.eye`` or ``np.identity``."""
    try:
        return re.search(r"\b(np|numpy)\.(eye|identity)\(", inspect.getsource(frame.f_code)) is not None
    except (OSError, TypeError):  # without a source
        return False


def error_at(cell: Cell, where: str, problem: str) -> DefinitionError:
    """Return the error of a cell's class at a source location."""
    return DefinitionError(f"{cell.error_name()}: {where}: {problem}{'' if problem.endswith('?') else '.'}")


def source_location(frame: FrameType, instruction: int, line: int) -> str:
    """Return ``file.py:12, in `expression```; without a source, the function in place of the expression."""
    name = frame.f_code.co_filename
    expression = _expression(frame, instruction) or linecache.getline(name, line, frame.f_globals).strip()
    where = f"{Path(name).name}:{line}"
    return f"{where}, in `{shorten(expression)}`" if expression else f"{where}, in {frame.f_code.co_name}"


def step_location(cell: Cell) -> str:
    """Return the source location of the definition of ``step``."""
    code = getattr(inspect.unwrap(type(cell).step), "__code__", None)  # type: ignore[attr-defined]
    return f"{Path(code.co_filename).name}:{code.co_firstlineno}, in step" if code is not None else "step"


class _Frame(NamedTuple):
    frame: FrameType
    instruction: int
    line: int

    @property
    def file(self) -> str:
        return self.frame.f_code.co_filename


def _frames(traceback: TracebackType | None) -> Iterator[_Frame]:
    while traceback is not None:
        yield _Frame(traceback.tb_frame, traceback.tb_lasti, traceback.tb_lineno)
        traceback = traceback.tb_next


_ZOO = Path(__file__).parents[2]
_KERNELS = _ZOO / "kernels"
_MODIFIERS = _ZOO / "modifiers"
_LIBRARIES = [
    Path(spec.origin).parent
    for spec in map(importlib.util.find_spec, ("numpy", "numba"))
    if spec is not None and spec.origin is not None
]
_LIBRARY_PATHS = (
    _ZOO / "compiler",
    _KERNELS,
    _MODIFIERS,
    _ZOO / "functions.py",
    _ZOO / "_lazy.py",
    *_LIBRARIES,
)


def _is_library_file(file: str) -> bool:
    path = Path(file)
    if path.suffix == ".pyx":  # frames of Cython have relative paths
        return True
    if any(path.is_relative_to(directory) for directory in _LIBRARY_PATHS):
        return True
    installed = any(path.is_relative_to(sysconfig.get_path(scheme)) for scheme in ("purelib", "platlib"))
    return not installed and path.is_relative_to(sysconfig.get_path("stdlib"))


def _expression(frame: FrameType, instruction: int) -> str:
    """The text of the current expression, for Pythons that keep its columns (3.11 and later)."""
    positions = getattr(frame.f_code, "co_positions", None)
    if positions is None:
        return ""
    first, last, start, stop = list(positions())[instruction // 2]
    if None in (first, last, start, stop):
        return ""
    lines = [
        linecache.getline(frame.f_code.co_filename, number, frame.f_globals).encode()
        for number in range(first, last + 1)
    ]
    lines[-1] = lines[-1][:stop]
    lines[0] = lines[0][start:]
    return b"".join(lines).decode(errors="replace")


def shorten(expression: str) -> str:
    """Return an expression in one line of limited length."""
    text = " ".join(expression.split())
    return text if len(text) <= _MAX_QUOTE else f"{text[: _MAX_QUOTE - 1]}…"


NOT_DETERMINISTIC = (
    "step gives other equations when it is called a second time: random numbers, the clock and values stored "
    "on self would become constants; declare a zoo.Input, zoo.Noise, zoo.State or zoo.Buffer for them"
)
_CALLS_A_KERNEL = (
    "the functions of zoo.kernels are for the numbers in a kernel; write the one of the same name in zoo or "
    "NumPy"
)
_ONE_ROW = "; a step sees one row, x (I,) and h (H,), without the axes of time and batch"
_IS_LIST = "; zoo.split and np.split return a list, so give each part a name, as in `i, f = zoo.split(a, 2)`"
_UNPACKED = re.compile(r"(?:too many|not enough) values to unpack \(expected (\d+)(?:, got (\d+))?\)")
_TENSOR_FUNCTION = re.compile(r"(\w+)\(\): argument .* must be Tensor, not (SymbolicArray|Complex)")


def _problem(error: Exception, cell: Cell) -> str:
    text = (str(error).strip().splitlines() or [""])[0].rstrip(".")
    if isinstance(error, ClosedGraphError):
        return NOT_DETERMINISTIC
    if isinstance(error, TraceError | ZooError):
        return text
    if isinstance(error, AttributeError) and isinstance(error.obj, type(cell)) and error.name:
        return _undeclared(error.name, cell)
    if type(error).__module__.partition(".")[0] == "numba":
        return "a compiled function cannot take part in `step`; call the plain one, written with NumPy"
    if function := _TENSOR_FUNCTION.match(text):
        return f"functions of PyTorch are not compiled; write {_numpy_name(function[1])}"
    if (names := _UNPACKED.fullmatch(text)) and names[2] != "1":  # 1: probably of the shape of a vector
        count = names[2] or f"more than {names[1]}"
        return (
            f"there are {count} values for {names[1]} names; write one name for each part, as in "
            f"`i, f, o = zoo.split(a, 3)`"
        )
    if isinstance(error, TypeError) and "operand" in text and "'list'" in text:
        return f"step raised TypeError: {text}{_IS_LIST}"
    is_about_axes = isinstance(error, IndexError) or "unpack" in text
    for name in ("SymbolicArray", "Complex"):
        text = text.replace(f"'{name}' object", "an array").replace(f"'{name}'", "an array")
    ending = _ONE_ROW if is_about_axes else _suggestion(error, cell)
    return f"step raised {type(error).__name__}: {text}{ending}"


def _suggestion(error: Exception, cell: Cell) -> str:
    """The end of an error about an unknown name: the array or the function that is probably meant."""
    name = getattr(error, "name", None)
    if name is None or "Did you mean" in str(error):  # as in errors of `zoo`
        return ""
    if isinstance(error, NameError):
        import zoo  # which imports this module

        owners = {"self": [*cell.params, *cell.buffers, *cell.options], "zoo": dir(zoo), "np": dir(np)}
        meant = [f"{owner}.{name}" for owner, names in owners.items() if name in names]
        if not meant and name in _LENGTHS:
            return f"; write {_LENGTHS[name]} for the length {name}"
    else:  # of a module, for example np.tahn
        import zoo

        known = dir(error.obj) if isinstance(error, AttributeError) and inspect.ismodule(error.obj) else ()
        meant = [f"zoo.{name}"] if known and name in dir(zoo) else near_names(name, known)
    return f"; did you mean {meant[0]}?" if meant else ""


def _numpy_name(function: str) -> str:
    """The function of NumPy or zoo with the name of a function of another library."""
    import zoo

    owners = {"np": dir(np), "zoo": dir(zoo)}
    names = [f"{owner}.{function}" for owner, names in owners.items() if function in names]
    return names[0] if names else "the function of NumPy or zoo"


_LENGTHS = {
    "H": "h.shape[-1]",
    "hidden_size": "h.shape[-1]",
    "I": "x.shape[-1]",
    "input_size": "x.shape[-1]",
}
"""The length of an array in place of a name."""


def _undeclared(name: str, cell: Cell) -> str:
    known = [*cell.params, *cell.buffers, *cell.options]
    if name in _LENGTHS:
        return f"a cell has no {name!r} while its equations are read; write {_LENGTHS[name]} for this length"
    nearest = difflib.get_close_matches(name, known, n=1)
    meant = f", did you mean {nearest[0]!r}" if nearest else ""
    return f"the class declares no {name!r}{meant}; it declares {', '.join(known)}"
