"""Plain lines, one an event, for files, pipes and patient readers. Their form is stable: people grep them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from zoo.cli import format
from zoo.cli.display.eta import Eta
from zoo.cli.format import clock

Event = dict[str, Any]


class PlainDisplay:
    """Writes the lines of each event; a table says which.

    Args:
        write: Called with each line.
        extra_flags: Words to repeat in later commands on this run, such as ``--cell FILE.py:Class``.
    """

    def __init__(self, write: Callable[[str], None], extra_flags: Sequence[str] = ()) -> None:
        self.write, self.extra_flags = write, extra_flags
        self.start: Event = {}
        self.eta = Eta()

    def __call__(self, event: Event) -> None:
        """Write what an event says, if it is for people."""
        if event["event"] in ("start", "resume"):
            self.start = event
        if event["event"] in _HANDLERS:
            for line in _HANDLERS[event["event"]](self, event):
                self.write(line)

    def begin(self, event: Event) -> Iterator[str]:
        """The header of a run."""
        yield from (f"{heading:<6} {text}" for heading, text in format.header(event).items())

    def resume(self, event: Event) -> Iterator[str]:
        """The header, and where the run goes on."""
        yield from self.begin(event)
        yield f"resumed at step {event['step']}"

    def compiling(self, event: Event) -> Iterator[str]:  # noqa: ARG002  # every row of the table takes it
        """What the silence means."""
        yield "compiling kernels (first run only)"

    def compiled(self, event: Event) -> Iterator[str]:
        """What it cost; the clock for the time left starts here."""
        self.eta.start(event["step"])
        yield from filter(None, [format.compiled(event)])

    def step(self, event: Event) -> Iterator[str]:
        """A line of progress."""
        left = clock(self.eta.seconds_left(event["step"], self._steps()))
        yield (
            f"{self._place(event)}  {format.loss(event, self.start)}  {format.speed(event, self.start)}  "
            f"grad {event['grad_norm']:.3g}  clip {event['clip_rate']:.0%}  lr {event['lr']:.3g}  left {left}"
        )

    def evaluated(self, event: Event) -> Iterator[str]:
        """A validation."""
        mark = "  best" if event["best"] else ""
        yield f"{self._place(event)}  {event['part']}: {format.loss(event, self.start)}{mark}"

    def sample(self, event: Event) -> Iterator[str]:
        """A sample, each line marked."""
        yield f"{self._place(event)}  sample:"
        yield from (f"  | {line}" for line in event["text"].splitlines())

    def warning(self, event: Event) -> Iterator[str]:
        """Something that did not stop the run."""
        yield f"warning: {event['text']}"

    def end(self, event: Event) -> Iterator[str]:
        """The last lines."""
        yield f"{format.end_summary(event, self.start)}; best: {format.best_loss(event, self.start)}"
        verb, command = format.next_command(self.start, self.extra_flags)
        yield f"{'evaluate' if verb == 'eval' else verb} with: {command}"

    def _place(self, event: Event) -> str:
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
