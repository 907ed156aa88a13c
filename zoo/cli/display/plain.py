"""Plain lines of the events of a run, for files and pipes. Their form is stable: people grep them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from zoo.cli import format
from zoo.cli.display.eta import Eta
from zoo.cli.format import clock

Event = dict[str, Any]


class PlainDisplay:
    """A display that writes lines for each event; ``_HANDLERS`` maps events to methods.

    Args:
        write: Called with each line.
        extra_flags: Words to repeat in later commands on this run, such as ``--cell FILE.py:Class``.
    """

    def __init__(self, write: Callable[[str], None], extra_flags: Sequence[str] = ()) -> None:
        self.write, self.extra_flags = write, extra_flags
        self.start: Event = {}
        self.eta = Eta()

    def __call__(self, event: Event) -> None:
        """Write the lines of an event."""
        if event["event"] in ("start", "resume"):
            self.start = event
        if event["event"] in _HANDLERS:
            for line in _HANDLERS[event["event"]](self, event):
                self.write(line)

    def begin(self, event: Event) -> Iterator[str]:
        """The header of a run."""
        yield from (f"{heading:<6} {text}" for heading, text in format.header(event).items())

    def resume(self, event: Event) -> Iterator[str]:
        """The header and the step from which the run resumes."""
        yield from self.begin(event)
        yield f"resumed at step {event['step']}"

    def compiling(self, event: Event) -> Iterator[str]:  # noqa: ARG002  # every row of the table takes it
        """A note that the kernels are compiled."""
        yield "compiling kernels (first run only)"

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
        mark = "  best" if event["best"] else ""
        yield f"{self._position(event)}  {event['part']}: {format.loss(event, self.start)}{mark}"

    def sample(self, event: Event) -> Iterator[str]:
        """A sample, each line marked."""
        yield f"{self._position(event)}  sample:"
        yield from (f"  | {line}" for line in event["text"].splitlines())

    def warning(self, event: Event) -> Iterator[str]:
        """A warning."""
        yield f"warning: {event['text']}"

    def end(self, event: Event) -> Iterator[str]:
        """The reason for the end, the best loss, and the next command."""
        yield f"{format.end_summary(event, self.start)}; best: {format.best_loss(event, self.start)}"
        verb, command = format.next_command(self.start, self.extra_flags)
        yield f"{'evaluate' if verb == 'eval' else verb} with: {command}"

    def _position(self, event: Event) -> str:
        return f"step {event['step']}/{self._steps()}"

    def _steps(self) -> int:
        return int(self.start["config"]["steps"])


_HANDLERS: dict[str, Callable[[PlainDisplay, Event], Iterator[str]]] = {
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
