"""Probe a plugin in its own process, so that a plugin that crashes or hangs is named."""

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

_DONE = b"done"  # what the process writes, since a plugin may end it with exit code 0
_REMEDY = (
    "Every command ends like that. Uninstall it, or leave it out: ZOO_PLUGINS= lets in zoo's own plugins "
    "alone, ZOO_PLUGINS=a,b those named as well."
)
_PROGRAM = "from zoo.registry.probe import load_alone; load_alone(*sys.argv[1:])"


def probe_plugins() -> tuple[EntryPoint, ...]:
    """The doors of all plugins; a foreign one that crashes or hangs has that as its fault.

    Each foreign plugin that ``ZOO_PLUGINS`` lets in is loaded once, in a process of its own.
    """
    selection = selected_plugins(os.environ)
    return tuple(
        _with_error(door) if door.is_selected(selection) and not (door.shipped or door.error) else door
        for door in installed_entry_points()
    )


def load_alone(plugin: str, distribution: str) -> None:
    """Load one foreign plugin after zoo's own; the process ends with 0 unless it crashes."""
    from zoo.registry import loader

    doors = [
        door for door in installed_entry_points() if door.shipped or _identity(door) == (plugin, distribution)
    ]
    loader.LOADER = loader.Loader(discover=lambda: tuple(doors), environ={})
    loader.LOADER.plugins()
    sys.stdout.buffer.write(_DONE)


def _with_error(door: EntryPoint) -> EntryPoint:
    fault = _probe(door)
    return replace(door, error=f"{fault}. {_REMEDY}") if fault else door


def _probe(door: EntryPoint) -> str:
    """Load a plugin in its own process, and return the fault; empty if there is none."""
    with tempfile.TemporaryFile() as out:  # and no pipe, which a grandchild may hold open for ever
        process = subprocess.Popen(
            python_command(_PROGRAM, *_identity(door)),
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


def _identity(door: EntryPoint) -> tuple[str, str]:
    return door.source.plugin, door.source.distribution
