"""Doing one job, in whatever process: the one function that every engine calls."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo.comparison.jobs import Event, Job, Record, Tell
from zoo.comparison.results import evaluations, read_record, record_of, write_record
from zoo.errors import ZooError
from zoo.registry import load_plugin_file, resolve_cell, resolve_task
from zoo.registry.loader import error_text
from zoo.storage import RunDirectory
from zoo.training import Run, TaskScore, evaluate_task, train
from zoo.training.config import TEST_BATCHES

# Seconds until whoever had a run before has saved and let it go. If its machine is gone, a shared file system
# drops its locks only after a while: NFS servers of Linux wait for 90 seconds.
_HANDOVER = 150.0
_PACE = 1.0  # seconds for which steps are counted


def run_job(job: Job, root: Path, tell: Tell) -> Record:
    """Do a job; whatever goes wrong is in its record.

    Args:
        job: The job.
        root: Directory of the comparison.
        tell: Called with events meanwhile.

    Raises:
        Interrupted: after a signal, when the run has saved.
    """
    try:
        for file in job["plugins"]:
            load_plugin_file(file)
        return _KINDS[job["kind"]](job, root, tell)
    except Exception as error:  # one run never stops the others
        return failed(job, error_text(error))


def failed(job: Job, why: str) -> Record:
    """The record of a job that came to nothing."""
    return record_of(job, "failed", error=why)


def _run(job: Job, root: Path, tell: Tell) -> Record:
    """A run, begun or gone on with, to its end."""
    done = read_record(root, job)
    if done is not None:
        return done
    folder = root / job["path"]
    RunDirectory(folder).wait_for_writer(_HANDOVER)
    why = _train(job, folder, tell)
    history = Run(folder).history
    tested = _test(job, folder) if job["kind"] == "run" and evaluations(history) else None
    record = record_of(job, "diverged" if why else "finished", history, tested, why)
    write_record(folder, record)
    return record


def _train(job: Job, folder: Path, tell: Tell) -> str:
    """Train to the end; how it diverged, if it did, in a sentence."""
    try:
        train(**job["train"], out=folder, resume=True, on_event=lambda event: _pass_on(event, job, tell))
    except ZooError as error:
        if folder.exists() and Run(folder).ended == "diverged":
            return str(error)
        raise
    return ""


def _test(job: Job, folder: Path) -> TaskScore:
    """How well the model of the best validation does on examples that nothing was chosen by."""
    run = Run(folder, type(resolve_cell(job["train"]["cell"])))
    task = resolve_task(job["train"]["task"], **job["train"]["task_options"])
    return evaluate_task(task, run.model, "test", TEST_BATCHES, run.config.batch or 1)


def _pass_on(event: Event, job: Job, tell: Tell) -> None:
    """How far a run is."""
    if event["event"] in ("start", "resume", "compiled", "step"):
        tell({"event": event["event"], "path": job["path"], "step": event["step"]})


def _warm(job: Job, root: Path, tell: Tell) -> Record:  # noqa: ARG001 - every kind of job takes them
    """One step of everything, which leaves compiled kernels behind and nothing else."""
    with tempfile.TemporaryDirectory() as folder:
        for place, arguments in enumerate(job["train"]["each"]):
            train(**arguments, out=Path(folder) / f"{place}")
    return {**_about(job), "status": "finished"}


class _Enough(Exception):
    """The pace is known."""


def _pace(job: Job, root: Path, tell: Tell) -> Record:  # noqa: ARG001
    """Updates a second, on this machine as busy as it is."""
    pace = _Pace()
    with tempfile.TemporaryDirectory() as folder:
        endless = {"steps": 10**9, "eval_every": 10**9, "save_every": 10**9, "log_every": 5}
        with contextlib.suppress(_Enough):
            train(**{**job["train"], **endless}, out=Path(folder) / "run", on_event=pace)
    return {**_about(job), "status": "finished", "steps_per_s": pace.steps / pace.seconds}


def _about(job: Job) -> Record:
    return {"task": job["task"], "cell": job["cell"]}


class _Pace:
    """Counts updates until it knows how many there are in a second."""

    def __init__(self) -> None:
        self.steps, self.seconds = 0, 0.0

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Note a line of progress."""
        if event["event"] == "step":
            self.steps, self.seconds = event["step"], self.seconds + event["seconds"]
            if self.seconds >= _PACE:
                raise _Enough


_KINDS: dict[str, Callable[[Job, Path, Tell], Record]] = {
    "run": _run,
    "sweep": _run,
    "warm": _warm,
    "pace": _pace,
}
