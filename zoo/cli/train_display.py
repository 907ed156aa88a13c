"""The displays of a training run: plain lines, JSON, warnings, or `zoo.cli.live_display` on a terminal."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from zoo.base.tracker import Event
from zoo.cli import format
from zoo.cli.errors import echo_err
from zoo.cli.eta import Eta
from zoo.cli.format import clock
from zoo.cli.terminal import echo, is_terminal, make_console

EventHandler = Callable[[Event], None]


def open_display(
    quiet: bool, as_json: bool, extra_flags: Sequence[str] = ()
) -> AbstractContextManager[EventHandler]:
    """Open the display of a training run: a context that returns the handler of its events.

    Progress goes to stderr, and the result at the end to stdout.

    Args:
        quiet: Print warnings only, on stderr.
        as_json: Print each event as one line of JSON.
        extra_flags: Words to repeat in later commands on this run, such as ``--cell FILE.py:Class``.
    """
    if as_json:
        return nullcontext(print_json)
    if quiet:
        return nullcontext(_print_warning)
    if is_terminal(sys.stderr):
        from zoo.cli.live_display import LiveDisplay

        return LiveDisplay(make_console(sys.stderr), _print_line, extra_flags)
    return nullcontext(PlainDisplay(_print_progress, _print_line, extra_flags))


def print_json(event: Event) -> None:
    """Print an event as in ``log.jsonl``: NaN and infinity become strings that ``float()`` reads."""
    _print_line(json.dumps({name: _finite(value) for name, value in event.items()}))


def _finite(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _print_warning(event: Event) -> None:
    text = event.get("warning") if event["event"] == "end" else event.get("text")
    if event["event"] in ("warning", "end") and text:
        echo_err(f"Warning: {format.with_flags(text)}")


def _print_line(line: str) -> None:
    echo(line)
    sys.stdout.flush()


def _print_progress(line: str) -> None:
    echo(line, err=True)


class PlainDisplay:
    """A display that writes lines for each event; ``_HANDLERS`` maps events to methods.

    Args:
        write: Called with each line of progress.
        write_result: Called with each line of the result.
        extra_flags: Words to repeat in later commands on this run, such as ``--cell FILE.py:Class``.
    """

    def __init__(
        self,
        write: Callable[[str], None],
        write_result: Callable[[str], None],
        extra_flags: Sequence[str] = (),
    ) -> None:
        self.write, self.write_result, self.extra_flags = write, write_result, extra_flags
        self.start: Event = {}
        self.eta = Eta()

    def __call__(self, event: Event) -> None:
        """Write the lines of an event."""
        if event["event"] in ("start", "resume"):
            self.start = event
        if event["event"] in _HANDLERS:
            if event["event"] == "end" and "warning" in event:
                self.write(f"warning: {format.with_flags(event['warning'])}")
            write = self.write_result if event["event"] == "end" else self.write
            for line in _HANDLERS[event["event"]](self, event):
                write(line)

    def begin(self, event: Event) -> Iterator[str]:
        """The header of a run."""
        lines = format.header(event)
        width = max(6, *map(len, lines))
        yield from (f"{heading:<{width}} {text}" for heading, text in lines.items())

    def trials(self, event: Event) -> Iterator[str]:  # noqa: ARG002  # all handlers share this signature
        """A note that the trials of an automatic run begin."""
        yield "trying learning rates (the first run compiles kernels)"

    def resume(self, event: Event) -> Iterator[str]:
        """The header and the step from which the run resumes."""
        yield from self.begin(event)
        yield f"resumed at step {event['step']}"

    def compiling(self, event: Event) -> Iterator[str]:  # noqa: ARG002  # all handlers share this signature
        """A note that the kernels are loaded, or compiled if the cache lacks them."""
        yield "loading kernels (the first run compiles them)"

    def compiled(self, event: Event) -> Iterator[str]:
        """The compile time; starts the clock for the time left."""
        self.eta.start(event["step"])
        yield from filter(None, [format.compiled(event)])

    def step(self, event: Event) -> Iterator[str]:
        """A line of progress."""
        left = clock(self.eta.seconds_left(event["step"], self._steps()))
        yield (
            f"{self._position(event)}  {format.loss(event, self.start)}  {format.speed(event, self.start)}  "
            f"grad {event['grad_norm']:.3g}  clip {event['clip_rate']:.0%}  lr {event['lr']:.3g}  left {left}"
        )

    def evaluated(self, event: Event) -> Iterator[str]:
        """A validation."""
        mark = f"  {format.best_mark(self.start)}" if event["best"] else ""
        yield f"{self._position(event)}  {event['part']}: {format.loss(event, self.start)}{mark}"

    def sample(self, event: Event) -> Iterator[str]:
        """A sample, each line marked."""
        yield f"{self._position(event)}  sample:"
        yield from (f"  | {line}" for line in event["text"].splitlines())

    def warning(self, event: Event) -> Iterator[str]:
        """A warning."""
        yield f"warning: {format.with_flags(event['text'])}"

    def end(self, event: Event) -> Iterator[str]:
        """The reason for the end, the best loss, and the next command."""
        yield from format.result(event, self.start, self.extra_flags)

    def _position(self, event: Event) -> str:
        return f"step {event['step']}/{self._steps()}"

    def _steps(self) -> int:
        return int(self.start["config"]["steps"])


_HANDLERS: dict[str, Callable[[PlainDisplay, Event], Iterator[str]]] = {
    "trials": PlainDisplay.trials,
    "start": PlainDisplay.begin,
    "resume": PlainDisplay.resume,
    "compiling": PlainDisplay.compiling,
    "compiled": PlainDisplay.compiled,
    "step": PlainDisplay.step,
    "eval": PlainDisplay.evaluated,
    "sample": PlainDisplay.sample,
    "warning": PlainDisplay.warning,
    "end": PlainDisplay.end,
}
