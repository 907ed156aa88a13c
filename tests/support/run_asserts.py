"""Helpers of tests of runs: commands, damaged files, and events without times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from zoo.cli.app import cli


def zoo_command(*words: object) -> Result:
    """Run ``zoo`` in this process, without the plugins of other distributions."""
    runner = CliRunner(env={"ZOO_PLUGINS": ""})
    return runner.invoke(cli, [str(word) for word in words], prog_name="zoo", catch_exceptions=False)


def damage(path: Path) -> None:
    """Change the last byte of a file."""
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def without_clock(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Events without compilation, times and directories."""
    return [
        {name: value for name, value in event.items() if name not in ("symbols_per_s", "seconds", "out")}
        for event in events
        if event["event"] not in ("compiling", "compiled")
    ]
