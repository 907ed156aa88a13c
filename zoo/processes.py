"""Starting Python: other processes find modules where this one does, never in the working directory.

``python -m`` and ``python -c`` put the working directory first on the path, where a file ``numpy.py`` would
be imported instead of NumPy. ``PYTHONSAFEPATH`` forbids that from Python 3.11 on only, and ``-I`` ignores the
environment, user site packages included.
"""

from __future__ import annotations

import os
import signal
import sys

_HEAD = "import sys\nsys.path[:] = filter(None, sys.path)\n"


def python_command(program: str, *arguments: str, python: str | None = None) -> list[str]:
    """The command that runs a program in a new process.

    Args:
        program: The text of the program, such as ``from zoo.bench.worker import main; main()``. It may use
            ``sys``, which is already imported.
        *arguments: Its ``sys.argv[1:]``.
        python: The interpreter; this one if None.
    """
    return [python or sys.executable, "-c", _HEAD + program, *arguments]


def python_environment() -> dict[str, str]:
    """This process's environment, in which another one of this interpreter finds the same modules."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def describe_exit(code: int) -> str:
    """The end of a process in words: ``exit code 1``, or ``signal 9 (Killed)`` for a negative code."""
    return f"signal {-code} ({signal.strsignal(-code)})" if code < 0 else f"exit code {code}"
