"""The displays of a comparison: plain lines, or a progress bar on a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from zoo.arguments import counted
from zoo.base.metric import metric_text
from zoo.base.tracker import Event
from zoo.cli.errors import echo_err
from zoo.cli.format import clock, data_header, duration
from zoo.cli.terminal import echo, is_terminal, make_console, rich_text
from zoo.cli.train_display import print_json
from zoo.comparison.plan import read_sizes
from zoo.comparison.records import RunGroup
from zoo.comparison.result_warnings import equal_size_sentences

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EventHandler = Callable[[Event], None]

_STAGES = {
    "compile": "compiling kernels",
    "speed": "measuring the speed",
    "sweep": "choosing learning rates",
    "runs": "training",
}
_WIDTH = 36


def open_compare_display(quiet: bool, as_json: bool) -> AbstractContextManager[EventHandler]:
    """Open the display of a comparison on stderr: a context that returns the handler of its events.

    Args:
        quiet: Print problems only, on stderr.
        as_json: Print each event as one line of JSON.
    """
    if as_json:
        return nullcontext(print_json)
    if quiet:
        return nullcontext(_print_problem)
    if is_terminal(sys.stderr):
        return LiveCompareDisplay(make_console(sys.stderr))
    return nullcontext(PlainCompareDisplay(partial(echo, err=True)))


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


def _begin(event: Event, progress: ComparisonProgress) -> Iterator[str]:  # noqa: ARG001 - all handlers share this signature
    plan = event["plan"]
    for heading in ("cells", "tasks"):
        yield f"{heading:<6} {', '.join(entry['label'] for entry in plan[heading])}"
    for description in event["data"].values():
        yield from (f"{heading:<6} {text}" for heading, text in data_header(description).items())
    ((length, amount),) = plan["length"].items()
    parts = (
        f"{plan['seeds']} of each",
        *_layers(plan["settings"]),
        str(read_sizes(plan["size"])),
        f"{amount:,} {length}",
    )
    yield f"runs   {', '.join(parts)}, {_rates(plan)}"
    yield f"out    {event['out']}"
    hidden_sizes = {
        RunGroup(task, cell, int(size)): run_size["hidden"]
        for task, by_cell in plan["settled"].items()
        for cell, by_size in by_cell.items()
        for size, run_size in by_size.items()
    }
    yield from (f"note   {sentence}" for sentence in equal_size_sentences(hidden_sizes))


def _layers(settings: Mapping[str, Any]) -> Iterator[str]:
    """The layers, unless there is one without a residual connection, which is the default."""
    count, residual = settings["layers"], settings.get("residual", False)
    if count > 1 or residual:
        yield counted(count, "layer") + " with residual connections" * residual


def _rates(plan: Mapping[str, Any]) -> str:
    text = ", ".join(f"{rate:g}" for rate in plan["rates"])
    if len(plan["rates"]) == 1:
        return f"lr {text}"
    rounds = plan.get("sweep_rounds", 0)
    return (
        f"lr chosen among {text}"
        + f" (then others or longer runs, in up to {counted(rounds, 'round')})" * bool(rounds)
    )


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
    value = record["score"]
    shown = "no score" if value is None else f"{metric_text(record['metric'])} {value:.4g}"
    score = f"{shown}{solved}, {duration(record['seconds'])}"
    return f"{score}, diverged" if record["status"] == "diverged" else score  # notes give the reason


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


class ComparisonProgress:
    """Progress of a comparison, from its events.

    Step times are measured for each task, cell and size; the others are assumed to take their mean.

    Args:
        now: A clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.workers = 1
        self.jobs = self.done = 0
        self.steps: dict[str, int] = {}
        """Steps of each running job so far."""
        self._jobs: dict[str, Event] = {}
        self._later: list[Event] = []
        self._since: dict[str, tuple[float, int]] = {}
        self._step_seconds: dict[RunGroup, float] = {}

    def update(self, event: Event) -> None:
        """Update the progress from an event."""
        kind = event["event"]
        if kind == "started":
            self.workers = max(1, event["jobs"])
        elif kind == "cluster":
            self.workers = max(1, event["slots"])
        elif kind == "stage":
            self._start_stage(event)
        elif kind in ("start", "resume", "compiled"):
            self._since[event["path"]] = self.now(), event["step"]
            self.steps[event["path"]] = event["step"]
        elif kind == "step":
            self._update_steps(event)
        elif kind in ("job_done", "worker_died"):
            self.steps.pop(event["path"], None)
            self.done += kind == "job_done"
            if kind == "job_done":
                self._jobs.pop(event["path"], None)

    def eta(self) -> float | None:
        """Seconds until all jobs are done; None if unknown."""
        if not self._step_seconds:
            return None
        mean = sum(self._step_seconds.values()) / len(self._step_seconds)
        jobs = [*self._jobs.values(), *self._later]
        left = [(_group(job), (job["steps"] or 0) - self.steps.get(job["path"], 0)) for job in jobs]
        total = sum(self._step_seconds.get(group, mean) * steps for group, steps in left)
        return total / min(self.workers, max(1, len(jobs)))

    @property
    def fraction(self) -> float:
        """Fraction of the jobs of this stage that is done, including parts of running jobs."""
        parts = [steps / (self._jobs[path]["steps"] or 1) for path, steps in self.running()]
        return (self.done + sum(parts)) / max(1, self.jobs)

    def running(self) -> Iterator[tuple[str, int]]:
        """Path and steps so far of the running jobs."""
        return ((path, steps) for path, steps in self.steps.items() if path in self._jobs)

    def total(self, path: str) -> int:
        """All steps of a job."""
        return int(self._jobs[path]["steps"] or 0)

    def _start_stage(self, event: Event) -> None:
        self._jobs = {job["path"]: job for job in event["missing"]}
        self._later = event["upcoming"]
        self.jobs, self.done = event["jobs"], event["jobs"] - len(self._jobs)
        self.steps.clear()

    def _update_steps(self, event: Event) -> None:
        path, step = event["path"], event["step"]
        self.steps[path] = step
        since, first = self._since.get(path, (self.now(), step))
        if step > first and path in self._jobs:
            self._step_seconds[_group(self._jobs[path])] = (self.now() - since) / (step - first)


def _group(job: Event) -> RunGroup:
    return RunGroup(job["task"], job["cell"], job["size"])
