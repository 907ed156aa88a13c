"""The worker pool: replacement of dead workers, retries, and shutdown."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from zoo.child_process import ChildDied
from zoo.comparison import execute
from zoo.comparison import workers as workers_module
from zoo.comparison.workers import WorkerPool, WorkerProcess
from zoo.errors import ZooError


def job(path):
    return {"path": path, "task": "t", "cell": "c", "kind": "run", "parameters": 1, "metric": {}, "train": {}}


class Fake:
    """A worker process whose behaviour for each job is scripted."""

    made: list[Fake]
    script: dict[str, list[str]]

    def __init__(self, root):
        self.pid, self.is_stopped, self.is_closed = 100 + len(self.made), False, False
        self.done = []
        self.made.append(self)
        if "start" in self.script.get("", []):
            raise ZooError("compare: a worker process does not start")

    def run(self, job, on_event):
        actions = self.script.get(job["path"], [])
        action = actions.pop(0) if actions else "finish"
        if action == "die":
            raise ChildDied("signal 9 (Killed)")
        if action == "hang":
            while not self.is_stopped:
                time.sleep(0.001)
            raise ChildDied("exit code 0")
        if action == "break":
            raise RuntimeError("a fault of the pool")
        on_event({"event": "step", "path": job["path"], "step": 1})
        self.done.append(job["path"])
        return {"status": "finished", "pid": self.pid}

    def close_stdin(self):
        self.is_stopped = True

    def wait(self, timeout):
        assert self.is_stopped

    def close(self):
        self.is_closed = True


@pytest.fixture
def script(monkeypatch):
    """Actions of the workers by path of the job; the default is to finish."""
    Fake.made, Fake.script = [], {}
    monkeypatch.setattr(workers_module, "WorkerProcess", Fake)
    monkeypatch.setattr(workers_module, "_POLL_S", 0.01)
    monkeypatch.setattr(workers_module, "failed_record", lambda job, why: {"status": "failed", "error": why})
    yield Fake.script
    assert all(process.is_closed for process in Fake.made), "no process is left behind"
    assert not any(
        thread.name.startswith("Thread") and "_run_jobs" in thread.name for thread in threading.enumerate()
    )


def results(events, jobs, count=2, **given):
    with WorkerPool(None, count, **given) as workers:
        return {job["path"]: record for job, record in workers.map(jobs, events.append)}


def test_every_job_is_done_once(script):
    events = []
    records = results(events, [job(f"{n}") for n in range(20)], count=3)
    assert {record["status"] for record in records.values()} == {"finished"}
    assert sorted(path for process in Fake.made for path in process.done) == sorted(records)
    assert len(Fake.made) <= 3
    assert sum(event["event"] == "step" for event in events) == 20


def test_pool_starts_at_most_one_process_per_job_and_reuses_it(script):
    with WorkerPool(None, 4) as workers:
        assert list(workers.map([], print)) == []
        assert Fake.made == []
        for _ in range(3):
            assert len(list(workers.map([job("a")], lambda event: None))) == 1
        assert len(Fake.made) == 1


def test_dead_worker_is_replaced_and_its_job_retried(script):
    script["b"] = ["die"]
    events = []
    records = results(events, [job("a"), job("b"), job("c")], count=1)
    assert {record["status"] for record in records.values()} == {"finished"}
    assert len(Fake.made) == 2
    assert [event for event in events if event["event"] == "worker_died"] == [
        {"event": "worker_died", "path": "b", "text": "signal 9 (Killed)"}
    ]
    assert [event["pid"] for event in events if event["event"] == "worker_started"] == [100, 101]


def test_job_that_kills_two_workers_fails(script):
    script["b"] = ["die", "die"]
    records = results([], [job("a"), job("b"), job("c")], count=1)
    assert records["b"] == {
        "status": "failed",
        "error": "its worker process died 2 times, the last time of signal 9 (Killed)",
    }
    assert [records[path]["status"] for path in "ac"] == ["finished"] * 2


def test_worker_that_does_not_start_raises(script):
    script[""] = ["start"]
    with pytest.raises(ZooError, match="a worker process does not start"):
        results([], [job("a"), job("b")])
    for process in Fake.made:
        process.is_closed = True  # as the process itself would have seen to


def test_error_in_pool_thread_propagates(script):
    script["a"] = ["break"]
    with pytest.raises(RuntimeError, match="a fault of the pool"):
        results([], [job("a"), job("b")])


def test_check_interrupts_busy_pool(script):
    script["a"] = script["b"] = ["hang", "hang"]
    calls = []

    def check():
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        results([], [job("a"), job("b"), job("c")], check=check)
    assert [process.done for process in Fake.made] == [[], []]
    assert len(Fake.made) == 2, "no worker is replaced during shutdown"


def test_leaving_early_ends_running_jobs(script):
    script["b"] = ["hang", "hang"]
    with WorkerPool(None, 2) as workers:
        for first, _ in workers.map([job("a"), job("b"), job("c"), job("d")], lambda event: None):
            assert first["path"] in "acd"
            break


# ---- worker process -----------------------------------------------------------------------------------


def served(jobs, monkeypatch, run_job):
    monkeypatch.setattr(execute, "run_job", run_job)
    messages = []
    execute.serve(None, jobs, messages.append)
    return messages


def test_worker_sends_events_and_record(monkeypatch):
    def run_job(job, root, on_event):
        on_event({"event": "step", "step": 3})
        return {"status": "finished", "path": job["path"]}

    ready, *rest = served([{"path": "a"}], monkeypatch, run_job)
    assert set(ready) == {"ready"}
    assert rest == [
        {"event": {"event": "step", "step": 3}},
        {"record": {"status": "finished", "path": "a"}},
    ]


def test_worker_stops_run_when_stdin_closes(monkeypatch):
    raised, began = threading.Event(), threading.Event()
    monkeypatch.setattr(signal, "raise_signal", lambda number: number == signal.SIGTERM and raised.set())

    def jobs():
        yield {"path": "a"}
        assert began.wait(10)  # then the leading process is gone

    def run_job(job, root, on_event):
        began.set()
        assert raised.wait(10), "the signal that ends a run"
        return {"status": "finished"}

    assert served(jobs(), monkeypatch, run_job)[1:] == [{"record": {"status": "finished"}}]


def test_process_that_cannot_start_raises_with_stderr(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\necho 'no such machine' >&2\nexit 3\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(ZooError, match=r"a worker process does not start: exit code 3: no such machine"):
        WorkerProcess(tmp_path)
