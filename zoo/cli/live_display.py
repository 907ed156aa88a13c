"""The live display of a run on a terminal: past events above, a progress bar and numbers below."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from zoo.base.tracker import Event
from zoo.cli import format
from zoo.cli.eta import Eta
from zoo.cli.format import clock
from zoo.cli.terminal import escape_controls, rich_text

WIDTH = 100
_REFRESHES_PER_SECOND = 8


class WaitingSpinner:
    """A spinner with a text and the time since its start.

    Args:
        text: The text.
        now: A clock, in seconds.
    """

    def __init__(self, text: str, now: Callable[[], float]) -> None:
        self.text, self.now, self.since = text, now, now()
        self.spinner = Spinner("dots", style="cyan")

    def __rich__(self) -> RenderableType:
        """The spinner with the time so far."""
        self.spinner.update(text=rich_text(f"{self.text}   {clock(self.now() - self.since)}", "dim"))
        return self.spinner


class LiveDisplay:
    """A live display, to use in a ``with`` statement; ``_HANDLERS`` maps events to methods.

    Args:
        console: The terminal.
        write_result: Called with each line of the result.
        extra_flags: Words to repeat in later commands on this run, such as ``--cell FILE.py:Class``.
        now: A clock, in seconds; the console's own if None.
    """

    def __init__(
        self,
        console: Console,
        write_result: Callable[[str], None],
        extra_flags: Sequence[str] = (),
        now: Callable[[], float] | None = None,
    ) -> None:
        self.console, self.write_result, self.extra_flags = console, write_result, extra_flags
        self.start: Event = {}
        self.numbers = Text()
        self.now = now or console.get_time
        self.eta = Eta(self.now)
        self.below: RenderableType = WaitingSpinner("reading the text", self.now)
        self.live = Live(
            console=console,
            get_renderable=lambda: self.below,
            refresh_per_second=_REFRESHES_PER_SECOND,
            transient=True,
        )

    def __enter__(self) -> LiveDisplay:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.live.stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        if event["event"] in _HANDLERS:
            _HANDLERS[event["event"]](self, event)

    def begin(self, event: Event) -> None:
        """Print the header of a run."""
        self.start = event
        table = Table.grid(padding=(0, 2, 0, 0))
        for heading, text in format.header(event).items():
            table.add_row(rich_text(heading, "dim"), rich_text(text))
        self.console.print(table)
        self.console.print()

    def trials(self, event: Event) -> None:  # noqa: ARG002  # all handlers share this signature
        """Show a spinner during the trials of an automatic run."""
        self.below = WaitingSpinner("trying learning rates (the first run compiles kernels)", self.now)

    def resume(self, event: Event) -> None:
        """Print the header and the step from which the run resumes."""
        self.begin(event)
        self.console.print(rich_text(f"resumed at step {event['step']:,}", "cyan"))

    def compiling(self, event: Event) -> None:  # noqa: ARG002  # all handlers share this signature
        """Show a spinner while the kernels are loaded or compiled."""
        self.below = WaitingSpinner("loading kernels (the first run compiles them)", self.now)

    def compiled(self, event: Event) -> None:
        """Print the compile time; start the bar and the clock for the time left."""
        if event["fresh"]:
            self.console.print(rich_text(format.compiled(event), "dim"))
        self.eta.start(event["step"])
        self._update_bar(event)

    def step(self, event: Event) -> None:
        """Update the bar and the numbers below it."""
        self.numbers = self._numbers(event)
        self._update_bar(event)

    def evaluated(self, event: Event) -> None:
        """Print a validation, and mark the best so far."""
        self._update_bar(event)
        style = "bold" if event["best"] else ""
        line = Text.assemble(
            (f"step {event['step']:>7,}", "dim"),
            (f"   {event['part']}   ", "dim"),
            (escape_controls(format.loss(event, self.start)), style),
            (f"   {format.best_mark(self.start)}" if event["best"] else "", "green"),
        )
        self.console.print(line)

    def sample(self, event: Event) -> None:
        """Print a sample in a frame."""
        title = rich_text(f"step {event['step']:,}", "dim")
        width = min(WIDTH, self.console.width)
        self.console.print(
            Panel(
                rich_text(event["text"]),
                title=title,
                title_align="left",
                border_style="dim",
                width=width,
            )
        )

    def warning(self, event: Event) -> None:
        """Print a warning."""
        self.console.print(rich_text(f"Warning: {format.with_flags(event['text'])}", "yellow"))

    def end(self, event: Event) -> None:
        """Print the warning of a bad score, if there is one, and the result."""
        if "warning" in event:
            self.warning({"text": event["warning"]})
        self.below = Text()
        self.live.stop()
        for line in format.result(event, self.start, self.extra_flags):
            self.write_result(line)

    def _update_bar(self, event: Event) -> None:
        step, total = event["step"], self.start["config"]["steps"]
        left = f"{clock(self.eta.seconds_left(step, total))} left" if step > self.eta.start_step else ""
        self.below = Group(self._bar(step, total, left), self.numbers)

    def _bar(self, step: int, total: int, left: str) -> RenderableType:
        row = Table.grid(padding=(0, 2, 0, 0), expand=False)
        bar = ProgressBar(
            total, step, width=min(36, self.console.width // 3), complete_style="cyan", finished_style="cyan"
        )
        row.add_row(
            bar, rich_text(f"{step:,} / {total:,}"), rich_text(f"{step / total:.0%}"), rich_text(left, "dim")
        )
        return row

    def _numbers(self, event: Event) -> Text:
        texts = [
            format.loss(event, self.start).replace("  ", "   "),
            format.speed(event, self.start),
            f"grad {event['grad_norm']:.3g}",
            f"clip {event['clip_rate']:.0%}",
            f"lr {event['lr']:.3g}",
        ]
        return rich_text("   ".join(texts), no_wrap=True, overflow="ellipsis")


_HANDLERS: dict[str, Callable[[LiveDisplay, Event], None]] = {
    "trials": LiveDisplay.trials,
    "start": LiveDisplay.begin,
    "resume": LiveDisplay.resume,
    "compiling": LiveDisplay.compiling,
    "compiled": LiveDisplay.compiled,
    "step": LiveDisplay.step,
    "eval": LiveDisplay.evaluated,
    "sample": LiveDisplay.sample,
    "warning": LiveDisplay.warning,
    "end": LiveDisplay.end,
}
