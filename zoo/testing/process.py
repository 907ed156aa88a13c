"""Checking in a child process: whatever a kernel does to it, this process and the verdicts so far survive."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
from typing import IO, Any

from zoo.errors import UsageError
from zoo.processes import python_command, python_environment
from zoo.testing.report import Outcome, Report

# What the child writes, one JSON object a line, each with one key: first `member`, with its name and laws, or
# `refused`, with the reason; then an `outcome` for each law; in the end `done`.
Events = list[dict[str, Any]]

# Every index is checked (such kernels are cached apart), and crashes are traced.
_CHECKED = {"NUMBA_BOUNDSCHECK": "1", "PYTHONFAULTHANDLER": "1"}
LOADING = ("loading", "The file or plugin can be loaded.")
LAST_WORDS = 600  # characters of what the child wrote to standard error
MEANING = (
    "Usually an index far outside an array, in code that Numba's bounds check does not see, or a loop that "
    "never ends; a first compilation, too, takes its time."
)


def check_in_child(spec: str, *, timeout: float, plugin: str | None = None) -> Report:
    """Check a member in a process of its own, with bounds checks and a time limit.

    A segmentation fault, an abort or an endless loop is then a broken law, the one that was being tried, and
    what held before it is in the report.

    Args:
        spec: A cell's name, ``"FILE.py:Class"``, ``"optimizer:NAME"``, ``"sampler:NAME"`` or
            ``"task:NAME"``.
        timeout: Seconds that all laws together may take.
        plugin: A plugin file to load first.

    Raises:
        UsageError: if there is no such member, its file cannot be imported, or the testing extra is not
            installed.
    """
    words = [spec, "--json", *(["--plugin", plugin] if plugin else [])]
    command = python_command("from zoo.testing.__main__ import main\nsys.exit(main())", *words)
    # Files, not pipes: a grandchild that holds a pipe open would keep us waiting for ever.
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        end = _run(command, timeout, out, err)
        return _report(spec, _events(out), end, _text(err))


def _run(command: list[str], timeout: float, out: IO[bytes], err: IO[bytes]) -> str:
    """How the process ended, in words."""
    try:
        code = subprocess.run(
            command,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=python_environment() | _CHECKED,
        ).returncode
    except subprocess.TimeoutExpired:
        return f"the process still busy after {timeout:g} s, and ended it"
    if code < 0:
        return f"the process dead of signal {-code} ({signal.strsignal(-code)})"
    return f"the process gone with exit code {code}"


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode("utf-8", "replace")


def _events(file: IO[bytes]) -> Events:
    """The child's lines; the last may be cut short."""
    return [json.loads(line) for line in _text(file).splitlines(keepends=True) if line.endswith("\n")]


def _report(spec: str, events: Events, end: str, words: str) -> Report:
    said = {key: value for event in events for key, value in event.items()}
    if "refused" in said:
        raise UsageError(said["refused"])
    member, laws = said.get("member", (spec, [LOADING]))
    outcomes = [Outcome(**event["outcome"]) for event in events if "outcome" in event]
    if "done" not in said:
        outcomes += _unfinished(member, laws[len(outcomes) :], end, words)
    return Report(member, tuple(outcomes))


def _unfinished(member: str, laws: list[tuple[str, str]], end: str, words: str) -> list[Outcome]:
    """The law during which the process ended, broken, and those that were not tried."""
    (check, law), *rest = laws or [LOADING]
    message = f"{member}: found {end}, expected an answer. {MEANING}{_last_words(words)}"
    skipped = f"not tried, since the process ended during {check}"
    return [
        Outcome(check, law, "failed", message),
        *(Outcome(name, text, "skipped", skipped) for name, text in rest),
    ]


def _last_words(words: str) -> str:
    """The start of a crash's traceback, or the end of whatever was written."""
    _, crash, after = words.rpartition("Fatal Python error")
    shown = f"{crash}{after[:LAST_WORDS]}" if crash else words[-LAST_WORDS:]
    return f" It last wrote:\n{shown.strip()}" if shown.strip() else ""
