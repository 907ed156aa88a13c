"""Load each plugin in its own process, to find plugins that crash or hang."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import replace

from zoo.processes import describe_exit, python_command, python_environment, wait_or_kill
from zoo.registry.entry_points import EntryPoint, installed_entry_points, selected_plugins

TIME_LIMIT = 30.0
"""Seconds for one plugin, which may import a library that takes ten seconds."""

_DONE = b"done"  # written at the end, since a plugin may end the process with exit code 0
_REMEDY = (
    "Every command ends like that. Uninstall it, or leave it out: ZOO_PLUGINS= lets in zoo's own plugins "
    "alone, ZOO_PLUGINS=a,b those named as well."
)
_PROGRAM = "from zoo.registry.probe import load_alone; load_alone(*sys.argv[1:])"


def probe_plugins() -> tuple[EntryPoint, ...]:
    """The entry points of all plugins; a foreign one that crashes or hangs has that as its error.

    Each foreign plugin that ``ZOO_PLUGINS`` selects is loaded once, in its own process.
    """
    selected = selected_plugins(os.environ)
    return tuple(
        _with_error(point) if point.is_selected(selected) and not (point.shipped or point.error) else point
        for point in installed_entry_points()
    )


def load_alone(plugin: str, distribution: str) -> None:
    """Load one foreign plugin after those of zoo; the exit code is 0 unless it crashes."""
    from zoo.registry import loader

    points = [
        point
        for point in installed_entry_points()
        if point.shipped or _identity(point) == (plugin, distribution)
    ]
    loader.LOADER = loader.Loader(discover=lambda: tuple(points), environ={})
    loader.LOADER.plugins()
    sys.stdout.buffer.write(_DONE)


def _with_error(point: EntryPoint) -> EntryPoint:
    error = _probe(point)
    return replace(point, error=f"{error}. {_REMEDY}") if error else point


def _probe(point: EntryPoint) -> str:
    """Load a plugin in its own process and return the error, empty if there is none."""
    with tempfile.TemporaryFile() as out:  # not a pipe, which a grandchild may hold open for ever
        process = subprocess.Popen(
            python_command(_PROGRAM, *_identity(point)),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
            env=python_environment(),
        )
        if not wait_or_kill(process, TIME_LIMIT):
            return f"a process that loads it is still busy after {TIME_LIMIT:g} s"
        code = process.returncode
        out.seek(0)
        done = out.read(len(_DONE) + 1) == _DONE
    return "" if done and code == 0 else f"a process that loads it ends with {describe_exit(code)}"


def _identity(point: EntryPoint) -> tuple[str, str]:
    return point.source.plugin, point.source.distribution
