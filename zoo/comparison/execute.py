"""Execute jobs: one in the current process, or all that a parent process sends.

Every executor calls `run_job`. `zoo.comparison.workers` starts processes that call `main`, with the directory
of the comparison as their argument. When the parent closes stdin or dies, a run in progress finishes its
step, saves and stops, as after SIGTERM.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import queue
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from zoo.base import Cell, Optimizer
from zoo.call_stack import with_large_stack
from zoo.child_process import Message, connect_to_parent
from zoo.classification import Predictor
from zoo.comparison.data_sets import Facts, check_unchanged, score_fields
from zoo.comparison.jobs import Event, Job, OnEvent, Record
from zoo.comparison.results import evaluations, make_record, read_record, write_record
from zoo.errors import DivergenceError
from zoo.forecasting import Forecaster
from zoo.foreign_errors import error_text
from zoo.garbage_collection import reduce_collections
from zoo.registry import load_class_file, load_plugin_file, resolve_cell, resolve_task
from zoo.registry.plugin_files import is_file_spec
from zoo.storage import RunDirectory
from zoo.training import Interrupted, Run, TaskScore, evaluate_task, train
from zoo.training.config import TEST_BATCHES

# A run directory stays locked until its previous process has saved. If that machine is gone, a shared file
# system releases the lock only after a while: NFS servers of Linux wait for 90 seconds.
_LOCK_TIMEOUT_S = 150.0
_TIMED_S = 1.0  # training time over which the speed is measured


def run_job(job: Job, root: Path, on_event: OnEvent) -> Record:
    """Execute a job. An error becomes a record with the status ``"failed"``.

    Args:
        job: The job.
        root: Directory of the comparison.
        on_event: Called with events of the run.

    Raises:
        Interrupted: after a signal, when the run has saved.
    """
    try:
        for file in job["plugins"]:
            load_plugin_file(file)
        return _FUNCTIONS[job["kind"]](job, root, on_event)
    except Exception as error:  # one run never stops the others
        return failed_record(job, error_text(error))


def failed_record(job: Job, reason: str) -> Record:
    """Record of a job that failed."""
    return vars(make_record(job, "failed", error=reason))


def _run(job: Job, root: Path, on_event: OnEvent) -> Record:
    """Start or resume a run, train it to its end, and test it."""
    stored = read_record(root, job)
    if stored is not None:
        return vars(stored)
    folder = root / job["path"]
    RunDirectory(folder).wait_for_writer(_LOCK_TIMEOUT_S)
    divergence = _train(job["train"], folder, lambda event: _forward_event(event, job, on_event))
    history = Run(folder).history
    status, is_tested = (
        "diverged" if divergence else "finished",
        job["kind"] == "run" and evaluations(history),
    )
    if "data" in job["train"]:
        record = make_record(job, status, history, None, divergence)
        fields = score_fields(_test_facts(job, folder, history)) if is_tested else {}
        record = dataclasses.replace(record, **fields)
    else:
        score = _test(job, folder) if is_tested else None
        record = make_record(job, status, history, score, divergence)
    write_record(folder, record)
    return vars(record)


def _train(arguments: Mapping[str, Any], folder: Path, on_event: OnEvent | None = None) -> str:
    """Train to the end. Returns the reason if training diverged, otherwise an empty text."""
    try:
        train(**_train_arguments(arguments), out=folder, resume=True, on_event=on_event)
    except DivergenceError as error:
        return error.reason
    return ""


def _train_arguments(stored: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a job with the class of an optimizer in a file, which ``train`` never loads itself."""
    optimizer = stored["optimizer"]
    is_file = is_file_spec(optimizer)
    return {**stored, "optimizer": load_class_file(optimizer, Optimizer) if is_file else optimizer}


def _cell_classes(job: Job) -> list[type[Cell]]:
    """The cell of all layers, or the different cells of a stack."""
    cell = job["train"]["cell"]
    return [type(resolve_cell(name)) for name in ([cell] if isinstance(cell, str) else dict.fromkeys(cell))]


def _test(job: Job, folder: Path) -> TaskScore:
    """Score of the model with the best validation on the test split."""
    run = Run(folder, _cell_classes(job))
    task = resolve_task(job["train"]["task"], **job["train"]["task_options"])
    return evaluate_task(task, run.model, "test", TEST_BATCHES, run.config.batch or 1)


def _test_facts(job: Job, folder: Path, history: list[Event]) -> Facts:
    """Scores of the model with the best validation, and of the baselines, on the test part of a data set."""
    facts: Facts | None = history[-1].get("test")
    if facts is not None:
        return facts
    run = Run(folder, _cell_classes(job))  # diverged
    if run.config.data_kind == "sequences":
        return Predictor.load(run).evaluate()
    return Forecaster.load(run).backtest(stride=1).scores


def _forward_event(event: Event, job: Job, on_event: OnEvent) -> None:
    if job["digest"] and event["event"] in ("start", "resume"):
        facts = event.get("table") or event["sequences"]
        check_unchanged(facts["name"], job["digest"], facts["sha256"])
    if event["event"] in ("start", "resume", "compiled", "step"):
        on_event({"event": event["event"], "path": job["path"], "step": event["step"]})


def _compile(job: Job, root: Path, on_event: OnEvent) -> Record:  # noqa: ARG001 - signature of _FUNCTIONS
    """Train one step of each configuration, which leaves only compiled kernels behind.

    If it diverges, the runs report it.
    """
    with tempfile.TemporaryDirectory() as folder:
        for index, arguments in enumerate(job["train"]["each"]):
            _train(arguments, Path(folder) / f"{index}")
    return {**_group(job), "status": "finished"}


class _SpeedMeasured(Exception):
    """Stops training when enough steps were timed."""


def _measure_speed(job: Job, root: Path, on_event: OnEvent) -> Record:  # noqa: ARG001
    """Measure updates per second under the current load of this machine."""
    meter = _SpeedMeter()
    with tempfile.TemporaryDirectory() as folder:
        endless = {"steps": 10**9, "eval_every": 10**9, "save_every": 10**9, "log_every": 5}
        with contextlib.suppress(_SpeedMeasured):
            train(**{**_train_arguments(job["train"]), **endless}, out=Path(folder) / "run", on_event=meter)
    return {**_group(job), "status": "finished", "steps_per_s": meter.steps / meter.seconds}


def _group(job: Job) -> Record:
    return {"task": job["task"], "cell": job["cell"], "size": job["size"]}


class _SpeedMeter:
    """Counts updates and their time; raises `_SpeedMeasured` after `_TIMED_S`."""

    def __init__(self) -> None:
        self.steps, self.seconds = 0, 0.0

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Add a ``step`` event."""
        if event["event"] == "step":
            self.steps, self.seconds = event["step"], self.seconds + event["seconds"]
            if self.seconds >= _TIMED_S:
                raise _SpeedMeasured


_FUNCTIONS: dict[str, Callable[[Job, Path, OnEvent], Record]] = {
    "run": _run,
    "sweep": _run,
    "compile": _compile,
    "speed": _measure_speed,
}


class JobQueue:
    """Jobs of the parent, read by a thread, which interrupts the current job at the end of the input."""

    def __init__(self, jobs: Iterable[Message]) -> None:
        self.jobs: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.is_busy = False
        threading.Thread(target=self._read, args=(jobs,), daemon=True).start()

    def _read(self, jobs: Iterable[Message]) -> None:
        for job in jobs:
            self.jobs.put(job)
        self.jobs.put(None)
        if self.is_busy:
            signal.raise_signal(signal.SIGTERM)


def serve(root: Path, jobs: Iterable[Message], send: Callable[[Message], None]) -> None:
    """Run every job that is received."""
    received = JobQueue(jobs)
    send({"ready": os.getpid()})
    while (job := received.jobs.get()) is not None:
        received.is_busy = True
        record = run_job(cast(Job, job), root, lambda event: send({"event": event}))
        received.is_busy = False
        send({"record": record})


@with_large_stack
def main() -> None:
    """Serve until the parent closes stdin."""
    reduce_collections()
    try:
        serve(Path(sys.argv[1]), *connect_to_parent())
    except Interrupted as interrupted:
        sys.exit(str(interrupted))
