"""Plain lines, one an event, for files, pipes and patient readers. Their form is stable: people grep them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from zoo.cli import format
from zoo.cli.display.eta import Pace
from zoo.cli.format import clock

Event = dict[str, Any]


class Plain:
    """Writes the lines of each event; a table says which.

    Args:
        write: Called with each line.
        also: Words that belong to every command on this run, such as ``--cell FILE.py:Class``.
    """

    def __init__(self, write: Callable[[str], None], also: Sequence[str] = ()) -> None:
        self.write, self.also = write, also
        self.start: Event = {}
        self.pace = Pace()

    def __call__(self, event: Event) -> None:
        """Write what an event says, if it is for people."""
        if event["event"] in ("start", "resume"):
            self.start = event
        if event["event"] in LINES:
            for line in LINES[event["event"]](self, event):
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
        self.pace.begin(event["step"])
        yield from filter(None, [format.compiled(event)])

    def step(self, event: Event) -> Iterator[str]:
        """A line of progress."""
        left = clock(self.pace.left(event["step"], self._steps()))
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
        yield f"{format.ending(event, self.start)}; best: {format.best(event, self.start)}"
        verb, command = format.next_command(self.start, self.also)
        yield f"{'evaluate' if verb == 'eval' else verb} with: {command}"

    def _place(self, event: Event) -> str:
        return f"step {event['step']}/{self._steps()}"

    def _steps(self) -> int:
        return int(self.start["config"]["steps"])


LINES: dict[str, Callable[[Plain, Event], Iterator[str]]] = {
    "start": Plain.begin,
    "resume": Plain.resume,
    "compiling": Plain.compiling,
    "compiled": Plain.compiled,
    "step": Plain.step,
    "eval": Plain.evaluated,
    "sample": Plain.sample,
    "warning": Plain.warning,
    "end": Plain.end,
}
