"""The display of a training run, chosen from the flags and the terminal."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from zoo.cli.display.plain import PlainDisplay
from zoo.cli.errors import echo_err
from zoo.cli.terminal import echo, is_terminal, make_console

Event = dict[str, Any]
EventHandler = Callable[[Event], None]


def open_display(
    quiet: bool, as_json: bool, extra_flags: Sequence[str] = ()
) -> AbstractContextManager[EventHandler]:
    """Open the display of a training run: a context that returns the handler of its events.

    Args:
        quiet: Print warnings only, on stderr.
        as_json: Print each event as one line of JSON.
        extra_flags: Words to repeat in later commands on this run, such as ``--cell FILE.py:Class``.
    """
    if as_json:
        return nullcontext(print_json)
    if quiet:
        return nullcontext(_print_warning)
    if is_terminal():
        from zoo.cli.display.live import LiveDisplay

        return LiveDisplay(make_console(), extra_flags)
    return nullcontext(PlainDisplay(_print_line, extra_flags))


def print_json(event: Event) -> None:
    """Print an event as in ``log.jsonl``: NaN and infinity become strings that ``float()`` reads."""
    _print_line(json.dumps({name: _finite(value) for name, value in event.items()}))


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _print_warning(event: Event) -> None:
    if event["event"] == "warning":
        echo_err(f"Warning: {event['text']}")


def _print_line(line: str) -> None:
    echo(line)
    sys.stdout.flush()
