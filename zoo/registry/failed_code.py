"""Find the plugin or the Python file whose code raised an exception."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.foreign_errors import error_text
from zoo.registry import loader
from zoo.run_module import FILE_MODULE, module_label

_NUMBA_ERROR = re.compile(
    r"(?:Failed in nopython[^\n]*\n)*(?P<reason>.*?)\s*(?:There are \d+ candidate.*?)?(?:During: .*?)?"
    r'File "(?P<file>[^"\n]+)", line (?P<line>\d+)',
    re.DOTALL,
)
"""The beginning of an error of compilation: the reason, candidates of Numba, and the line of the kernel."""


def foreign_failure(error: Exception) -> str:
    """A sentence on an exception that the code of a plugin, or of a file given by its path, raised.

    An error of compilation counts as raised by the kernel.

    Returns:
        The sentence; empty if other code raised the exception.
    """
    numba = _NUMBA_ERROR.match(str(error)) if type(error).__module__.startswith("numba.") else None
    if numba is None:
        failure = f"raised {error_text(error)}"
        files = [Path(frame.f_code.co_filename) for frame, _ in traceback.walk_tb(error.__traceback__)]
    else:
        file, line = Path(numba["file"]).resolve(), int(numba["line"])
        reason = " ".join(numba["reason"].split())
        if (called := _called_function(file, line)) is not None:
            file, line = Path(called.py_func.__code__.co_filename), called.py_func.__code__.co_firstlineno
            results = {
                str(each.signature.return_type)
                for each in getattr(called, "inlined", called).overloads.values()
            }
            reason += "".join(f"; `{called.__name__}` returns {each}" for each in sorted(results))
        files, failure = [file], f"cannot be compiled: {reason} ({file.name}, line {line})"
    origins = dict(_origins())
    raised = (origins[path] for file in files for path in (file, *file.parents) if path in origins)
    return next((f"{origin} {failure}." for origin in raised), "")


def _called_function(file: Path, line: int) -> Any:
    """The kernel of a plugin or a file, such as a loss, that a line of generated code calls, if it calls one.

    Numba reports the line of the call if the result has the wrong type. A kernel that always raises an
    exception returns none.
    """
    from zoo.compiler.codegen.source_module import source_of  # most commands need no compiler

    if (source := source_of(file.stem)) is None:
        return None
    text = source.text.splitlines()[line - 1]
    return next((kernel for name, kernel in source.functions.items() if f"{name}(" in text), None)


def _origins() -> Iterator[tuple[Path, str]]:
    """File or package of every plugin and of every file given by its path, with its name in the sentence."""
    names = {name: module_label(name) for name in [*sys.modules] if name.startswith(FILE_MODULE)}
    records = loader.LOADER.loaded_plugins()
    names |= {record.module.partition(".")[0]: f"plugin {record}" for record in records}
    for name, origin in names.items():
        file = getattr(sys.modules.get(name), "__file__", None)
        if file is not None:
            path = Path(file)
            yield (path.parent if path.name == "__init__.py" else path), origin
