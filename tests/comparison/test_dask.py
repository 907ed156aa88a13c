"""Comparisons on a Dask cluster of two worker processes on this machine, which are killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import CancelledError

import pytest
from click.testing import CliRunner
from crash_tests.comparisons import LONG, DaskComparison, undisturbed
from crash_tests.equality import compare_comparisons, resumptions

import zoo
from zoo.cli.app import cli
from zoo.comparison import workers as backends
from zoo.errors import CheckpointError, UsageError, ZooError
from zoo.storage import RunDirectory
from zoo.training import Interrupted

distributed = pytest.importorskip("distributed")

from zoo.comparison import dask_executor as executor  # noqa: E402 - it needs Dask
from zoo.comparison import dask_worker as worker  # noqa: E402
from zoo.comparison.dask_executor import SubmittedJobs  # noqa: E402 - as above
from zoo.comparison.dask_worker import incompatibility, make_context  # noqa: E402 - as above

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

# One cell at two sizes: kernels are compiled once.
WHAT = {"options": {"copying": {"delay": 5, "length": 5}}, "params": [1100, 1500], "steps": 1200, "batch": 16}
SETTINGS = {**LONG, "seeds": 1}
FLAGS = "--cells vanilla --tasks copying --set copying.delay=5 --set copying.length=5"
FLAGS += " --params 1100,1500 --steps 1200 --batch 16 --seeds 1 --lr 0.003 --json"


@pytest.fixture(scope="module")
def cluster():
    given = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "host": "127.0.0.1"}
    with distributed.LocalCluster(**given, silence_logs="CRITICAL") as made:
        yield made


def address(cluster):
    return cluster.scheduler_address.replace("tcp", "dask")


def go(out, watch=None, **where):
    return zoo.compare("vanilla", "copying", out=out, seeds=1, lr=0.003, on_event=watch, **WHAT, **where)


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def is_free(folder):
    """Whether a run directory is missing or not locked."""
    if not folder.exists():
        return True
    try:
        with RunDirectory(folder).lock():
            return True
    except CheckpointError:
        return False


def lead_and_die(cluster, out):
    """Lead a comparison from another process, and kill that process after the first steps."""
    command = [sys.executable, "-m", "zoo", "compare", *FLAGS.split(), "--on", address(cluster), "--out", out]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, encoding="utf-8") as leader:
        for line in leader.stdout:
            if json.loads(line)["event"] == "step":
                leader.kill()


def kill_its_worker(cluster, events):
    """Make a callback that kills the worker of a running job, once."""
    workers, killed = {}, []

    def watch(event):
        events.append(event)
        if event["event"] == "job_started":
            workers[event["path"]] = event["worker"]
        if event["event"] == "step" and event["step"] < 1200 and not killed:
            nannies = cluster.workers.values()
            victims = [nanny.pid for nanny in nannies if nanny.worker_address == workers[event["path"]]]
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            killed.extend(victims)

    return watch


def test_killed_processes_lose_and_repeat_nothing(cluster, tmp_path):
    whole, out = go(tmp_path / "whole", jobs=0), tmp_path / "killed"
    runs = [out / record.path for record in whole.runs]

    lead_and_die(cluster, out)
    due = time.monotonic() + 30
    while not all(map(is_free, runs)):
        assert time.monotonic() < due, "the workers continue without their leader"
        time.sleep(0.05)
    assert not any((run / "result.json").exists() for run in runs), "it was killed in the middle"

    def press_ctrl_c(event):
        if event["event"] == "step":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted):
        go(out, press_ctrl_c, on=address(cluster))
    assert all(map(is_free, runs)), "every run has saved and stopped"

    received = []
    comparison = go(out, kill_its_worker(cluster, received), on=address(cluster))
    assert sum(event["event"] == "worker_died" for event in received) >= 1, (
        "a worker was killed in the middle"
    )
    assert max(event["slots"] for event in received if event["event"] == "cluster") == 2
    assert comparison.failures == []
    compare_comparisons(whole.path, out)
    assert resumptions(out) >= 2
    for run in runs:
        events = log(run)
        assert sum(event["event"] == "start" for event in events) == 1
        steps = [event["step"] for event in events if event["event"] == "step"]
        assert steps == list(range(60, 1201, 60)), "every step once"


def test_killed_scheduler_changes_no_result(tmp_path):
    scenario, out = DaskComparison(workers=1, settings=SETTINGS), tmp_path / "killed"
    scenario.prepare(tmp_path)
    try:
        command = scenario.start(out)
        assert command.wait_until(lambda: any(event["event"] == "step" for event in command.events()))
        assert scenario.kill(command, "scheduler")  # which waits for the end of the others
    finally:
        scenario.close()
    assert command.tail().endswith("everything is saved, and the same command resumes it.\n")
    assert len(list(out.rglob("result.json"))) < len(list(scenario.whole.rglob("result.json")))
    undisturbed(out, SETTINGS)
    scenario.compare(out)


def test_workers_of_another_version_raise(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.comparison.dask_worker.zoo.__version__", "9.9")
    with pytest.raises(ZooError, match=r"tcp://.* cannot take part: it has zoo 0\..*, and here is 9\.9"):
        go(tmp_path / "out", on=address(cluster))


def test_missing_scheduler_raises(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "_CONNECT_TIMEOUT_S", 0.3)
    with pytest.raises(ZooError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 "):
        go(tmp_path / "out", on="dask://127.0.0.1:1")


def test_scheduler_without_workers_raises(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "_CONNECT_TIMEOUT_S", 0.3)
    given = {"n_workers": 0, "processes": False, "dashboard_address": ":0", "host": "127.0.0.1"}
    with (
        distributed.LocalCluster(**given, protocol="tcp") as empty,
        pytest.raises(ZooError, match="has no workers; start some, `dask worker tcp://127"),
    ):
        go(tmp_path / "out", on=address(empty))


def test_mute_server_raises(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "_CONNECT_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(ZooError, match="the peer at this address does not speak the protocol of Dask"):
            go(tmp_path / "out", on=f"dask://127.0.0.1:{port}")


def test_job_rejected_by_slurm_raises(tmp_path, monkeypatch):
    program = tmp_path / "sbatch"
    program.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition: x' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZooError, match=r"SLURM rejects the job \(sbatch: error: invalid partition: x\)"):
        executor._check_accepted("#!/bin/sh\n")


# ---- without a cluster --------------------------------------------------------------------------------


INVALID_BACKENDS = (
    " here dask:// dask://x dask://x:y dask://x:99999 dask://a@b:1 tcp://x:1 dask://x:1/y dask://[::1:1"
)


@pytest.mark.parametrize("on", INVALID_BACKENDS.split(" "))
def test_invalid_backend_raises(on, tmp_path):
    with pytest.raises(UsageError, match=r"on is .*; expected local, dask\+slurm, or dask://HOST:PORT"):
        go(tmp_path / "out", on=on)
    assert not (tmp_path / "out").exists()


def test_parse_backend():
    assert backends.parse_backend(None) == backends.parse_backend("local") == backends.Backend()
    assert backends.parse_backend("dask://[::1]:8786").address == "tcp://[::1]:8786"
    assert backends.parse_backend("dask+tls://host:8786").address == "tls://host:8786"


@pytest.mark.parametrize(("on", "extra"), [("dask://x:1", "dask"), ("dask+slurm", "slurm")])
def test_missing_extra_raises(on, extra, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = CliRunner().invoke(cli, ["compare", *FLAGS.split(), "--on", on, "--out", str(tmp_path / "out")])
    assert said.exit_code == 2
    assert f"{on} needs d" in said.stderr
    assert f"; pip install 'recurrent-zoo[{extra}]' brings it." in said.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "jobs", "words"),
    [("dask", 2, "leave jobs out"), ("dask", 0, "leave jobs out"), ("slurm", None, "give `jobs`"),
     ("slurm", 0, "give `jobs`"), ("local", -1, "expected a number of processes")],
)  # fmt: skip
def test_invalid_number_of_jobs_raises(kind, jobs, words):
    with pytest.raises(UsageError, match=words):
        backends.check_jobs(backends.Backend(kind), jobs)


def test_unshared_directory_is_incompatible(tmp_path):
    made = go(tmp_path / "made", jobs=0, engine=Idle()).path
    context = make_context(made, "topic")
    assert incompatibility(context, 0.0) == ""
    other = zoo.compare("vanilla", "copying", out=tmp_path / "other", steps=9, engine=Idle()).path
    assert "holds another comparison there" in incompatibility({**context, "root": str(other)}, 0.0)
    nowhere = {**context, "root": str(tmp_path / "nowhere")}
    assert "nowhere holds no comparison there; the directory must be one that all" in incompatibility(
        nowhere, 0.0
    )


class Idle:
    """An executor that runs no job."""

    def map(self, jobs, on_event):
        return iter(())


@pytest.fixture
def submitted():
    """Submitted jobs "a" and "b"."""
    jobs = SubmittedJobs(lambda jobs: [object() for _ in jobs])
    jobs.submit_jobs([job("a"), job("b")])
    return jobs


def job(path):
    return {
        "path": path,
        "task": "t",
        "cell": "c",
        "kind": "run",
        "parameters": 1,
        "size": 1,
        "metric": GOAL,
        "train": {},
    }


GOAL = {"metric": "m", "higher_is_better": True, "threshold": None, "baseline": 0.0}


class LostWorker:
    address = "tcp://gone:1"


def killed():
    return distributed.KilledWorker("key", LostWorker, 3)


def test_job_with_progress_is_resubmitted_after_deaths(submitted):
    for step in (10, 20, 30):
        assert list(submitted.handle_event({"event": "step", "path": "a", "step": step}))
        assert submitted.handle_result(next(iter(submitted.jobs)), killed()) is None
        submitted.jobs = dict(sorted(submitted.jobs.items(), key=lambda item: item[1]["path"]))
    given_up, record = submitted.handle_result(next(iter(submitted.jobs)), killed())
    assert (given_up["path"], record["status"]) == ("a", "failed")
    assert record["error"] == "4 workers died while they ran it, the last one tcp://gone:1"
    assert [left["path"] for left in submitted.jobs.values()] == ["b"]


def test_events_after_job_done_are_dropped(submitted):
    event = {"event": "step", "path": "a", "step": 1}
    assert list(submitted.handle_event(dict(event))) == [event]
    submitted.handle_result(next(iter(submitted.jobs)), {"status": "finished"})
    assert list(submitted.handle_event(dict(event))) == []


def test_second_job_started_implies_worker_died(submitted):
    first, second = ({"event": "job_started", "path": "a", "worker": name} for name in ("one", "two"))
    assert list(submitted.handle_event(first)) == [first]
    died, started = submitted.handle_event(second)
    assert (died["event"], started) == ("worker_died", second)
    assert died["text"] == "an unknown cause at one; two resumes it"
    assert submitted.running() == ["a"]


def test_job_released_implies_worker_lives(submitted):
    taken = {"event": "job_started", "path": "a", "worker": "one"}
    assert list(submitted.handle_event(taken)) == [taken]
    assert list(submitted.handle_event({"event": "job_released", "path": "a"})) == []
    assert submitted.running() == []
    assert list(submitted.handle_event({**taken, "worker": "two"})) == [{**taken, "worker": "two"}]


def test_lost_scheduler_raises(submitted):
    with pytest.raises(ZooError, match="the Dask scheduler is gone"):
        submitted.handle_result(next(iter(submitted.jobs)), CancelledError())
    with pytest.raises(ZeroDivisionError):
        submitted.handle_result(next(iter(submitted.jobs)), ZeroDivisionError())


class FakeSlot:
    made: list[FakeSlot]

    def __init__(self, root):
        self.did, self.is_ended = [], False
        self.made.append(self)

    def run(self, job, on_event):
        self.did.append(job["path"])
        return {"status": "finished"}

    def close(self):
        pass

    def terminate(self):
        self.is_ended = True


def test_idle_worker_is_reused_then_expires(tmp_path, monkeypatch):
    FakeSlot.made = []
    monkeypatch.setattr(worker, "WorkerSlot", FakeSlot)
    monkeypatch.setattr(worker, "_IDLE_TIMEOUT_S", 0.05)
    cache, compile_job = worker.WorkerCache(), {"path": "compile", "cell": "c"}
    for topic in ("x", "x", "y"):
        with cache.acquire(tmp_path, topic) as reusable:
            reusable.run(job("a"), compile_job, tmp_path, print)
    assert [slot.did for slot in FakeSlot.made] == [["compile", "a", "a"], ["compile", "a"]]
    due = time.monotonic() + 10
    while not all(slot.is_ended for slot in FakeSlot.made):
        assert time.monotonic() < due
        time.sleep(0.01)


def test_cancelled_worker_is_not_reused(tmp_path, monkeypatch):
    FakeSlot.made = []
    monkeypatch.setattr(worker, "WorkerSlot", FakeSlot)
    cache = worker.WorkerCache()
    with cache.acquire(tmp_path, "x") as reusable:
        reusable.close()
    assert [slot.is_ended for slot in FakeSlot.made] == [True]


def test_dask_is_imported_only_when_requested():
    code = "import sys, zoo.comparison, zoo.cli.commands.compare; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
