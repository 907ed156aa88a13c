"""Names in a kernel that do not exist.

Numba raises exceptions of several types for them, and some have no line of the kernel. A misspelt variable
is a global name for Python.
"""

from __future__ import annotations

import builtins
import dis
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from zoo.base.code_version import is_shipped
from zoo.base.names import did_you_mean
from zoo.errors import DefinitionError

_MISSING = object()


def check_names(function: Callable[..., Any], error: Exception) -> None:
    """Raise a better error if Numba failed for a global name that a foreign function reads, or an attribute.

    Numba ignores unknown names in branches that a constant rules out, so the names are looked up only after
    it has failed, and only names that its error quotes.

    Args:
        function: The function that was compiled.
        error: Numba's error.

    Raises:
        DefinitionError: for a name that does not exist, with the file and the line.
    """
    module = function.__module__ or "<string>"  # code that `exec` runs may have none
    if is_shipped(module) or module.startswith("_zoo_generated_"):
        return
    code, text = function.__code__, str(error)
    file = Path(code.co_filename).name
    for line, name, known in unknown_names(code, function.__globals__):
        last = name.rpartition(".")[2]
        if f"'{last}'" in text:
            raise DefinitionError(
                f"{file} cannot be compiled: the kernel {function.__name__!r} uses the unknown name {name!r} "
                f"({file}, line {line}).{did_you_mean(last, known)}"
            ) from error


def unknown_names(code: CodeType, namespace: dict[str, Any]) -> Iterator[tuple[int, str, list[str]]]:
    """The line of each unknown name, the name, and the names that exist there."""
    lines = dict(dis.findlinestarts(code))
    line, path, value = code.co_firstlineno, "", _MISSING
    for instruction in dis.get_instructions(code):
        line = lines.get(instruction.offset) or line
        name = instruction.argval
        if instruction.opname == "LOAD_GLOBAL":
            path, value = name, namespace.get(name, getattr(builtins, name, _MISSING))
            if value is _MISSING:
                yield line, path, [*code.co_varnames, *code.co_freevars, *namespace]
        elif instruction.opname in ("LOAD_ATTR", "LOAD_METHOD") and isinstance(value, ModuleType):
            module, path, value = value, f"{path}.{name}", getattr(value, name, _MISSING)
            if value is _MISSING:
                yield line, path, dir(module)
        elif instruction.opname != "EXTENDED_ARG":
            value = _MISSING
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from unknown_names(constant, namespace)
