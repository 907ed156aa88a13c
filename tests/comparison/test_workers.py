"""The pool of workers: who dies is replaced, what failed twice is told, and all ends when it shall."""

from __future__ import annotations

import io
import json
import signal
import threading
import time

import pytest

from zoo.comparison import worker_main
from zoo.comparison import workers as workers_module
from zoo.comparison.workers import Pool, Process, WorkerDied
from zoo.errors import ZooError


def job(path):
    return {"path": path, "task": "t", "cell": "c", "kind": "run", "parameters": 1, "goal": {}, "train": {}}


class Fake:
    """A worker process that does what its script says."""

    made: list[Fake]
    script: dict[str, list[str]]

    def __init__(self, root):
        self.pid, self.is_dismissed, self.is_closed = 100 + len(self.made), False, False
        self.done = []
        self.made.append(self)
        if "start" in self.script.get("", []):
            raise ZooError("compare: a worker process does not start")

    def run(self, job, tell):
        deeds = self.script.get(job["path"], [])
        deed = deeds.pop(0) if deeds else "finish"
        if deed == "die":
            raise WorkerDied("signal 9 (Killed)")
        if deed == "hang":
            while not self.is_dismissed:
                time.sleep(0.001)
            raise WorkerDied("exit code 0")
        if deed == "break":
            raise RuntimeError("a fault of the pool")
        tell({"event": "step", "path": job["path"], "step": 1})
        self.done.append(job["path"])
        return {"status": "finished", "pid": self.pid}

    def dismiss(self):
        self.is_dismissed = True

    def end(self, patience):
        assert self.is_dismissed

    def close(self):
        self.is_closed = True


@pytest.fixture
def script(monkeypatch):
    """What happens to each job, by its path; without a word it is finished."""
    Fake.made, Fake.script = [], {}
    monkeypatch.setattr(workers_module, "Process", Fake)
    monkeypatch.setattr(workers_module, "_TICK", 0.01)
    monkeypatch.setattr(workers_module, "failed", lambda job, why: {"status": "failed", "error": why})
    yield Fake.script
    assert all(process.is_closed for process in Fake.made), "no process is left behind"
    assert not any(
        thread.name.startswith("Thread") and "_serve" in thread.name for thread in threading.enumerate()
    )


def results(told, jobs, count=2, **given):
    with Pool(None, count, **given) as workers:
        return {job["path"]: record for job, record in workers.map(jobs, told.append)}


def test_every_job_is_done_once(script):
    told = []
    found = results(told, [job(f"{n}") for n in range(20)], count=3)
    assert {record["status"] for record in found.values()} == {"finished"}
    assert sorted(path for process in Fake.made for path in process.done) == sorted(found)
    assert len(Fake.made) <= 3
    assert sum(event["event"] == "step" for event in told) == 20


def test_no_more_processes_than_jobs_and_they_are_kept(script):
    with Pool(None, 4) as workers:
        assert list(workers.map([], print)) == []
        assert Fake.made == []
        for _ in range(3):
            assert len(list(workers.map([job("a")], lambda event: None))) == 1
        assert len(Fake.made) == 1


def test_a_dead_worker_is_replaced_and_its_job_tried_again(script):
    script["b"] = ["die"]
    told = []
    found = results(told, [job("a"), job("b"), job("c")], count=1)
    assert {record["status"] for record in found.values()} == {"finished"}
    assert len(Fake.made) == 2
    assert [event for event in told if event["event"] == "died"] == [
        {"event": "died", "path": "b", "text": "signal 9 (Killed)"}
    ]
    assert [event["pid"] for event in told if event["event"] == "worker"] == [100, 101]


def test_a_job_that_kills_two_workers_is_given_up(script):
    script["b"] = ["die", "die"]
    found = results([], [job("a"), job("b"), job("c")], count=1)
    assert found["b"] == {
        "status": "failed",
        "error": "its worker process died 2 times, at last of signal 9 (Killed)",
    }
    assert [found[path]["status"] for path in "ac"] == ["finished"] * 2


def test_a_worker_that_does_not_start_ends_it_all(script):
    script[""] = ["start"]
    with pytest.raises(ZooError, match="a worker process does not start"):
        results([], [job("a"), job("b")])
    for process in Fake.made:
        process.is_closed = True  # as the process itself would have seen to


def test_a_fault_of_the_pool_is_not_hidden(script):
    script["a"] = ["break"]
    with pytest.raises(RuntimeError, match="a fault of the pool"):
        results([], [job("a"), job("b")])


def test_who_asks_to_stop_is_heard_while_everybody_works(script):
    script["a"] = script["b"] = ["hang", "hang"]
    asked = []

    def check():
        asked.append(1)
        if len(asked) > 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        results([], [job("a"), job("b"), job("c")], check=check)
    assert [process.done for process in Fake.made] == [[], []]
    assert len(Fake.made) == 2, "nobody is replaced when all shall end"


def test_to_leave_early_ends_what_is_running(script):
    script["b"] = ["hang", "hang"]
    with Pool(None, 2) as workers:
        for first, _ in workers.map([job("a"), job("b"), job("c"), job("d")], lambda event: None):
            assert first["path"] in "acd"
            break


# ---- the worker's side --------------------------------------------------------------------------------


def served(lines, monkeypatch, run_job):
    monkeypatch.setattr(worker_main, "run_job", run_job)
    answers = io.StringIO()
    worker_main.serve(None, lines, answers)
    return [json.loads(line) for line in answers.getvalue().splitlines()]


def test_a_worker_answers_with_events_and_a_record(monkeypatch):
    def run_job(job, root, tell):
        tell({"event": "step", "step": 3})
        return {"status": "finished", "path": job["path"]}

    ready, *rest = served([json.dumps({"path": "a"}) + "\n"], monkeypatch, run_job)
    assert set(ready) == {"ready"}
    assert rest == [
        {"event": {"event": "step", "step": 3}},
        {"record": {"status": "finished", "path": "a"}},
    ]


def test_a_worker_that_nobody_leads_any_more_stops_in_the_middle_of_a_run(monkeypatch):
    raised, began = threading.Event(), threading.Event()
    monkeypatch.setattr(signal, "raise_signal", lambda number: number == signal.SIGTERM and raised.set())

    def lines():
        yield json.dumps({"path": "a"}) + "\n"
        assert began.wait(10)  # then whoever wrote this is gone

    def run_job(job, root, tell):
        began.set()
        assert raised.wait(10), "the signal that ends a run"
        return {"status": "finished"}

    assert served(lines(), monkeypatch, run_job)[1:] == [{"record": {"status": "finished"}}]


def test_a_process_that_cannot_start_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    (tmp_path / "python").write_text("#!/bin/sh\necho 'no such machine' >&2\nexit 3\n")
    (tmp_path / "python").chmod(0o755)
    with pytest.raises(ZooError, match=r"a worker process does not start: exit code 3: no such machine"):
        Process(tmp_path)
