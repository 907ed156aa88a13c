"""Comparisons on a Dask cluster: a real one, of two worker processes on this machine, that are killed."""

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
from zoo.comparison import Stopped, backends
from zoo.errors import CheckpointError, UsageError, ZooError
from zoo.storage import RunDirectory

distributed = pytest.importorskip("distributed")

from zoo.comparison.dask_backend import executor, worker  # noqa: E402 - it needs Dask
from zoo.comparison.dask_backend.executor import Handed  # noqa: E402 - as above
from zoo.comparison.dask_backend.worker import make_errand, objection  # noqa: E402 - as above

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")

WHAT = {"options": {"copying": {"delay": 5, "length": 5}}, "params": 1500, "steps": 1200, "batch": 16}
LABELS = ["plain=vanilla", "again=vanilla"]  # one cell under two labels: kernels are compiled once
FLAGS = "--cells plain=vanilla,again=vanilla --tasks copying --set copying.delay=5 --set copying.length=5"
FLAGS += " --params 1500 --steps 1200 --batch 16 --seeds 1 --lr 0.003 --json"


@pytest.fixture(scope="module")
def cluster():
    given = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0", "host": "127.0.0.1"}
    with distributed.LocalCluster(**given, silence_logs="CRITICAL") as made:
        yield made


def address(cluster):
    return cluster.scheduler_address.replace("tcp", "dask")


def go(out, watch=None, **where):
    return zoo.compare(LABELS, "copying", out=out, seeds=1, lr=0.003, on_event=watch, **WHAT, **where)


def log(folder):
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def is_free(folder):
    """Whether nobody is at work in a run directory, if it is there."""
    if not folder.exists():
        return True
    try:
        with RunDirectory(folder).lock():
            return True
    except CheckpointError:
        return False


def lead_and_die(cluster, out):
    """Lead a comparison from a process of its own, until it is killed after the first steps."""
    command = [sys.executable, "-m", "zoo", "compare", *FLAGS.split(), "--on", address(cluster), "--out", out]
    with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, encoding="utf-8") as leader:
        for line in leader.stdout:
            if json.loads(line)["event"] == "step":
                leader.kill()


def kill_its_worker(cluster, times, told):
    """What watches a comparison, and kills the worker of a run that has begun, so many times."""
    workers, killed = {}, []

    def watch(event):
        told.append(event)
        if event["event"] == "taken":
            workers[event["path"]] = event["worker"]
        if event["event"] == "step" and event["step"] < 1200 and len(killed) < times:
            nannies = [nanny for nanny in cluster.workers.values() if nanny.pid not in killed]
            victims = [nanny.pid for nanny in nannies if nanny.worker_address == workers[event["path"]]]
            for pid in victims:
                os.kill(pid, signal.SIGKILL)
            killed.extend(victims)

    return watch


def test_whoever_is_killed_nothing_is_lost_and_nothing_is_twice(cluster, tmp_path):
    whole, out = go(tmp_path / "whole", jobs=0), tmp_path / "killed"
    runs = [out / record["path"] for record in whole.runs]

    lead_and_die(cluster, out)
    due = time.monotonic() + 30
    while not all(map(is_free, runs)):
        assert time.monotonic() < due, "the workers go on for a leader that is dead"
        time.sleep(0.05)
    assert not any((run / "result.json").exists() for run in runs), "it was killed in the middle"

    def press_ctrl_c(event):
        if event["event"] == "step":
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Stopped):
        go(out, press_ctrl_c, on=address(cluster))
    assert all(map(is_free, runs)), "everybody has saved and stopped"

    told = []
    found = go(out, kill_its_worker(cluster, 2, told), on=address(cluster))
    assert sum(event["event"] == "died" for event in told) >= 1, "a worker was killed in the middle"
    assert max(event["slots"] for event in told if event["event"] == "cluster") == 2
    assert found.failures == []
    compare_comparisons(whole.path, out)
    assert resumptions(out) >= 2
    for run in runs:
        events = log(run)
        assert sum(event["event"] == "start" for event in events) == 1
        steps = [event["step"] for event in events if event["event"] == "step"]
        assert steps == list(range(60, 1201, 60)), "every step once"


def test_a_killed_scheduler_changes_nothing(tmp_path):
    scenario, out = DaskComparison(workers=1), tmp_path / "killed"
    scenario.prepare(tmp_path)
    try:
        command = scenario.begin(out)
        assert command.wait_until(lambda: any(event["event"] == "step" for event in command.events()))
        assert scenario.kill(command, "scheduler")  # which waits for the end of the others
    finally:
        scenario.close()
    assert command.tail().endswith("everything is kept, and the same command goes on.\n")
    assert len(list(out.rglob("result.json"))) < len(list(scenario.whole.rglob("result.json")))
    undisturbed(out, LONG)
    scenario.compare(out)


def test_workers_of_another_version_are_refused(cluster, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.comparison.dask_backend.worker.zoo.__version__", "9.9")
    with pytest.raises(ZooError, match=r"tcp://.* cannot take part: it has zoo 0\..*, and here is 9\.9"):
        go(tmp_path / "out", on=address(cluster))


def test_a_scheduler_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "_CONNECT_TIMEOUT_S", 0.3)
    with pytest.raises(ZooError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1 "):
        go(tmp_path / "out", on="dask://127.0.0.1:1")


def test_a_scheduler_without_workers(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "_CONNECT_TIMEOUT_S", 0.3)
    given = {"n_workers": 0, "processes": False, "dashboard_address": ":0", "host": "127.0.0.1"}
    with (
        distributed.LocalCluster(**given, protocol="tcp") as empty,
        pytest.raises(ZooError, match="has no workers; start some, `dask worker tcp://127"),
    ):
        go(tmp_path / "out", on=address(empty))


def test_something_else_that_listens(tmp_path, monkeypatch):
    monkeypatch.setattr(executor, "_CONNECT_TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(ZooError, match="what listens there does not speak as Dask does"):
            go(tmp_path / "out", on=f"dask://127.0.0.1:{port}")


def test_a_job_that_slurm_does_not_take(tmp_path, monkeypatch):
    program = tmp_path / "sbatch"
    program.write_text("#!/bin/sh\necho 'sbatch: error: invalid partition: x' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ZooError, match=r"SLURM takes no such job \(sbatch: error: invalid partition: x\)"):
        executor._check_accepted("#!/bin/sh\n")


# ---- what needs no cluster ----------------------------------------------------------------------------


NOWHERE = " here dask:// dask://x dask://x:y dask://x:99999 dask://a@b:1 tcp://x:1 dask://x:1/y dask://[::1:1"


@pytest.mark.parametrize("on", NOWHERE.split(" "))
def test_a_place_that_is_none(on, tmp_path):
    with pytest.raises(UsageError, match=r"on is .*; expected local, dask\+slurm, or dask://HOST:PORT"):
        go(tmp_path / "out", on=on)
    assert not (tmp_path / "out").exists()


def test_places():
    assert backends.find_place(None) == backends.find_place("local") == backends.Place()
    assert backends.find_place("dask://[::1]:8786").address == "tcp://[::1]:8786"
    assert backends.find_place("dask+tls://host:8786").address == "tls://host:8786"


@pytest.mark.parametrize(("on", "extra"), [("dask://x:1", "dask"), ("dask+slurm", "slurm")])
def test_an_extra_that_is_missing(on, extra, tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    said = CliRunner().invoke(cli, ["compare", *FLAGS.split(), "--on", on, "--out", str(tmp_path / "out")])
    assert said.exit_code == 1
    assert f"{on} needs d" in said.stderr
    assert f"; pip install 'recurrent-zoo[{extra}]' brings it." in said.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("kind", "jobs", "words"),
    [("dask", 2, "leave jobs out"), ("dask", 0, "leave jobs out"), ("slurm", None, "give jobs"),
     ("slurm", 0, "give jobs"), ("local", -1, "expected a number of processes")],
)  # fmt: skip
def test_numbers_of_jobs_that_cannot_be_meant(kind, jobs, words):
    with pytest.raises(UsageError, match=words):
        backends.check_jobs(backends.Place(kind), jobs)


def test_a_directory_that_is_not_shared(tmp_path):
    made = go(tmp_path / "made", jobs=0, engine=Idle()).path
    errand = make_errand(made, "topic")
    assert objection(errand, 0.0) == ""
    other = zoo.compare("vanilla", "copying", out=tmp_path / "other", steps=9, engine=Idle()).path
    assert "holds another comparison there" in objection({**errand, "root": str(other)}, 0.0)
    nowhere = {**errand, "root": str(tmp_path / "nowhere")}
    assert "nowhere holds no comparison there; the directory must be one that all" in objection(nowhere, 0.0)


class Idle:
    """An engine that does nothing."""

    def map(self, jobs, tell):
        return iter(())


@pytest.fixture
def handed():
    """Jobs "a" and "b", handed out as futures that are numbers, and how often they were."""
    out = Handed(lambda jobs: [object() for _ in jobs])
    out.out([job("a"), job("b")])
    return out


def job(path):
    return {"path": path, "task": "t", "cell": "c", "kind": "run", "parameters": 1, "goal": GOAL, "train": {}}


GOAL = {"metric": "m", "higher_is_better": True, "threshold": None, "baseline": 0.0}


class Gone:
    address = "tcp://gone:1"


def killed():
    return distributed.KilledWorker("key", Gone, 3)


def test_a_job_that_comes_further_is_handed_out_again_however_many_workers_die(handed):
    for step in (10, 20, 30):
        assert list(handed.note({"event": "step", "path": "a", "step": step}))
        assert handed.done(next(iter(handed.jobs)), killed()) is None
        handed.jobs = dict(sorted(handed.jobs.items(), key=lambda item: item[1]["path"]))
    given_up, record = handed.done(next(iter(handed.jobs)), killed())
    assert (given_up["path"], record["status"]) == ("a", "failed")
    assert record["error"] == "4 workers died while they did it, at last tcp://gone:1"
    assert [left["path"] for left in handed.jobs.values()] == ["b"]


def test_events_of_a_job_that_is_done_are_late(handed):
    event = {"event": "step", "path": "a", "step": 1}
    assert list(handed.note(dict(event))) == [event]
    handed.done(next(iter(handed.jobs)), {"status": "finished"})
    assert list(handed.note(dict(event))) == []


def test_a_job_that_is_taken_twice_had_a_worker_that_died(handed):
    first, second = ({"event": "taken", "path": "a", "worker": name} for name in ("one", "two"))
    assert list(handed.note(first)) == [first]
    died, again = handed.note(second)
    assert (died["event"], again) == ("died", second)
    assert died["text"] == "an unknown cause at one; two goes on with it"
    assert handed.running() == ["a"]


def test_a_job_that_was_left_had_a_worker_that_lives(handed):
    taken = {"event": "taken", "path": "a", "worker": "one"}
    assert list(handed.note(taken)) == [taken]
    assert list(handed.note({"event": "left", "path": "a"})) == []
    assert handed.running() == []
    assert list(handed.note({**taken, "worker": "two"})) == [{**taken, "worker": "two"}]


def test_a_scheduler_that_is_gone_ends_it(handed):
    with pytest.raises(ZooError, match="the Dask scheduler is gone"):
        handed.done(next(iter(handed.jobs)), CancelledError())
    with pytest.raises(ZeroDivisionError):
        handed.done(next(iter(handed.jobs)), ZeroDivisionError())


class FakeSeat:
    made: list[FakeSeat]

    def __init__(self, root):
        self.did, self.is_ended = [], False
        self.made.append(self)

    def run(self, job, tell):
        self.did.append(job["path"])
        return {"status": "finished"}

    def close(self):
        pass

    def vacate(self):
        self.is_ended = True


def test_a_process_is_kept_for_the_next_job_of_its_comparison_and_not_for_long(tmp_path, monkeypatch):
    FakeSeat.made = []
    monkeypatch.setattr(worker, "Seat", FakeSeat)
    monkeypatch.setattr(worker, "_REST", 0.05)
    shelf, warm = worker.Slots(), {"path": "warm", "cell": "c"}
    for topic in ("x", "x", "y"):
        with shelf.one(tmp_path, topic) as slot:
            slot.run(job("a"), warm, tmp_path, print)
    assert [seat.did for seat in FakeSeat.made] == [["warm", "a", "a"], ["warm", "a"]]
    due = time.monotonic() + 10
    while not all(seat.is_ended for seat in FakeSeat.made):
        assert time.monotonic() < due
        time.sleep(0.01)


def test_a_process_that_was_called_back_is_not_kept(tmp_path, monkeypatch):
    FakeSeat.made = []
    monkeypatch.setattr(worker, "Seat", FakeSeat)
    shelf = worker.Slots()
    with shelf.one(tmp_path, "x") as slot:
        slot.close()
    assert [seat.is_ended for seat in FakeSeat.made] == [True]


def test_only_who_asks_for_it_imports_dask():
    code = "import sys, zoo.comparison, zoo.cli.commands.compare; sys.exit('distributed' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
