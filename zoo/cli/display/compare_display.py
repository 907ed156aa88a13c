"""The displays of a comparison: plain lines, or a progress bar on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import TYPE_CHECKING, Any

from zoo.cli.display.display import print_json
from zoo.cli.display.eta import ComparisonProgress
from zoo.cli.errors import echo_err
from zoo.cli.format import clock, duration
from zoo.cli.terminal import echo, is_terminal, make_console, rich_text

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Event = dict[str, Any]
EventHandler = Callable[[Event], None]

_STAGES = {
    "warm": "compiling kernels",
    "pace": "measuring the pace",
    "sweep": "choosing learning rates",
    "runs": "training",
}
_WIDTH = 36


def open_compare_display(quiet: bool, as_json: bool) -> AbstractContextManager[EventHandler]:
    """Open the display of a comparison: a context that returns the handler of its events.

    Args:
        quiet: Print problems only, on stderr.
        as_json: Print each event as one line of JSON.
    """
    if as_json:
        return nullcontext(print_json)
    if quiet:
        return nullcontext(_print_problem)
    return LiveCompareDisplay(make_console()) if is_terminal() else nullcontext(PlainCompareDisplay(echo))


class PlainCompareDisplay:
    """Plain lines of the events. Their form is stable: people grep them.

    Args:
        write: Called with each line.
        progress: The progress of the comparison.
    """

    def __init__(self, write: Callable[[str], None], progress: ComparisonProgress | None = None) -> None:
        self.write, self.progress = write, progress or ComparisonProgress()

    def __call__(self, event: Event) -> None:
        """Write the lines of an event."""
        self.progress.update(event)
        if event["event"] in _EVENT_LINES:
            for line in _EVENT_LINES[event["event"]](event, self.progress):
                self.write(line)


class LiveCompareDisplay:
    """Lines of past events above; a progress bar and a line for each running job below.

    Args:
        console: The terminal.
        now: A clock, in seconds; the console's own if None.
    """

    def __init__(self, console: Console, now: Callable[[], float] | None = None) -> None:
        from rich.live import Live as RichLive

        self.console = console
        self.progress = ComparisonProgress(now or console.get_time)
        self.stage = ""
        self.live = RichLive(
            console=console, get_renderable=self._render, refresh_per_second=4, transient=True
        )

    def __enter__(self) -> LiveCompareDisplay:
        self.live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.live.stop()

    def __call__(self, event: Event) -> None:
        """Show an event."""
        self.progress.update(event)
        if event["event"] == "stage":
            self.stage = _STAGES[event["stage"]]
        elif event["event"] in _EVENT_LINES:
            style = "" if event["event"] in ("started", "cluster", "job_done") else "yellow"
            for line in _EVENT_LINES[event["event"]](event, self.progress):
                self.console.print(rich_text(line, style))

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        if not self.stage:
            return rich_text("")
        left = self.progress.eta()
        row = Table.grid(padding=(0, 2, 0, 0))
        bar = ProgressBar(
            1.0, self.progress.fraction, width=_WIDTH, complete_style="cyan", finished_style="cyan"
        )
        text = f"{self.stage}  {self.progress.done} / {self.progress.jobs}"
        row.add_row(bar, rich_text(text), rich_text("" if left is None else f"{clock(left)} left", "dim"))
        running = [
            rich_text(f"  {path.removeprefix('runs/')}  {steps:,} / {self.progress.total(path):,}", "dim")
            for path, steps in self.progress.running()
        ]
        return Group(row, *running)


def _begin(event: Event, progress: ComparisonProgress) -> Iterator[str]:  # noqa: ARG001 - every row of the table takes both
    plan = event["plan"]
    for heading in ("cells", "tasks"):
        yield f"{heading:<6} {', '.join(member['label'] for member in plan[heading])}"
    ((size, number),), ((length, amount),) = plan["size"].items(), plan["length"].items()
    yield f"runs   {plan['seeds']} of each, {number:,} {size}, {amount:,} {length}, {_rates(plan['rates'])}"
    yield f"out    {event['out']}"


def _rates(rates: list[float]) -> str:
    text = ", ".join(f"{rate:g}" for rate in rates)
    return f"lr {text}" if len(rates) == 1 else f"lr chosen among {text}"


def _stage(event: Event, progress: ComparisonProgress) -> Iterator[str]:
    if event["missing"]:
        before = f", {progress.done} done before" if progress.done else ""
        yield f"{_STAGES[event['stage']]}: {progress.jobs} job{'s' * (progress.jobs > 1)}{before}"


def _done(event: Event, progress: ComparisonProgress) -> Iterator[str]:
    # The result of a run; of other jobs only a failure.
    record = event["record"]
    if event["stage"] in ("sweep", "runs") or record["status"] == "failed":
        left = progress.eta()
        rest = "" if left is None else f"  left {clock(left)}"
        path = event["path"].removeprefix("runs/")
        yield f"{progress.done}/{progress.jobs}  {path}  {_outcome(record)}{rest}"


def _outcome(record: Event) -> str:
    if record["status"] == "failed":
        return f"failed: {record['error']}"
    solved = ", solved" if record["solved"] else ""
    score = f"{record['metric']} {record['score']:.4g}{solved}, {duration(record['seconds'])}"
    return f"{score}, diverged: {record['error']}" if record["status"] == "diverged" else score


def _cluster(event: Event, progress: ComparisonProgress) -> Iterator[str]:  # noqa: ARG001
    workers, machines, slots = event["workers"], event["machines"], event["slots"]
    there = f"{workers}, on {machines} machines, for {slots} jobs at a time" if workers else "none yet"
    yield f"workers: {there}"


def _died(event: Event, progress: ComparisonProgress) -> Iterator[str]:  # noqa: ARG001
    yield f"a worker process died in {event['path']} of {event['text']}"


_EVENT_LINES: dict[str, Callable[[Event, ComparisonProgress], Iterator[str]]] = {
    "started": _begin,
    "cluster": _cluster,
    "stage": _stage,
    "job_done": _done,
    "worker_died": _died,
}


def _print_problem(event: Event) -> None:
    if event["event"] == "worker_died":
        for line in _died(event, ComparisonProgress()):
            echo_err(f"Warning: {line}")
    elif event["event"] == "job_done" and event["record"]["status"] != "finished":
        echo_err(f"Warning: {event['path']}  {_outcome(event['record'])}")
