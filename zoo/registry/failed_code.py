"""Find the plugin or the Python file whose code raised an exception."""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

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
        files = [Path(numba["file"]).resolve()]
        reason = " ".join(numba["reason"].split())
        failure = f"cannot be compiled: {reason} ({files[0].name}, line {numba['line']})"
    origins = dict(_origins())
    raised = (origins[path] for file in files for path in (file, *file.parents) if path in origins)
    return next((f"{origin} {failure}." for origin in raised), "")


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
