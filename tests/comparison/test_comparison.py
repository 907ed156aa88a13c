"""``zoo.compare``: plans, jobs, stored files, errors and events."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo.comparison import api, command_line, execute
from zoo.comparison.jobs import SWEEP_SEED
from zoo.comparison.plan import DEFAULTS, SETTINGS
from zoo.comparison.records import OverallRow, RunRecord, SummaryRow, TargetRow, schema_of
from zoo.comparison.resolve import GRID
from zoo.comparison.result_warnings import list_warnings
from zoo.comparison.results import RECORD_FILE as RESULT
from zoo.comparison.results import make_record, with_worst_scores
from zoo.comparison.setup_description import describe_setup
from zoo.comparison.statistics import summarize
from zoo.comparison.tables import make_tables
from zoo.comparison.workers import SerialExecutor
from zoo.errors import CheckpointError, UnknownNameError, UsageError
from zoo.layers.config import StackConfig
from zoo.layers.stack import Stack
from zoo.registry import resolve_cell
from zoo.storage import PLAN_FILE
from zoo.training import Interrupted, TaskScore, evaluate_task

TINY = {"delay": 2, "length": 2}
SIZES = {"params": 150, "steps": 6, "batch": 4, "eval_batches": 1}
RATES = {"lr_grid": (0.001, 0.01)}


class Idle:
    """An executor that expects no job."""

    def map(self, jobs, on_event):
        assert list(jobs) == []
        return iter(())


class Recording(SerialExecutor):
    """The serial executor; records the paths of its jobs."""

    def __init__(self, root):
        super().__init__(root)
        self.received = []

    def map(self, jobs, on_event):
        listed = list(jobs)
        self.received += [job["path"] for job in listed]
        assert json.loads(json.dumps(listed)) == listed, "jobs are plain JSON"
        return super().map(listed, on_event)


class Dreaming:
    """An executor whose jobs all diverge at once."""

    def __init__(self):
        self.received = []

    def map(self, jobs, on_event):
        self.received.append(list(jobs))
        for job in self.received[-1]:
            yield job, vars(make_record(job, "diverged", error="not done"))


@pytest.fixture
def go(tmp_path):
    """A function that compares in this process, in a temporary directory."""

    def compare(cells=(), tasks=(), name="comparison", engine=None, **changes):
        given = {"jobs": 0, "engine": engine, "out": tmp_path / name, **changes}
        return zoo.compare(cells, tasks, **given)

    return compare


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One cell under two labels, on one task, with two seeds."""
    given = {"options": {"copying": TINY}, "seeds": 2, **SIZES, **RATES}
    return zoo.compare(
        ["a=vanilla", "b=vanilla"], "copying", out=tmp_path_factory.mktemp("x"), jobs=0, **given
    )


@pytest.fixture
def two(made, tmp_path):
    """A copy of ``made``."""
    return zoo.Comparison(shutil.copytree(made.path, tmp_path / "comparison"))


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("result.json")
    }


# ---- results ------------------------------------------------------------------------------------------


def test_every_run_has_a_directory_and_a_record(two):
    folders = {path.rpartition("/")[0] for path in files(two.path)}
    assert {record.path for record in (*two.sweep, *two.runs)} == folders
    assert len(two.runs) == 4
    assert len(two.sweep) == 4
    for record in two.runs:
        assert (record.task, record.steps, record.status, record.error) == (
            "copying",
            6,
            "finished",
            "",
        )
        assert record.path == f"runs/copying/{record.cell}/lr{record.lr!r}-s{record.seed}"
        run = zoo.Run(two.path / record.path)
        assert (run.config.hidden, run.config.lr, run.config.seed) == (
            record.hidden,
            record.lr,
            record.seed,
        )
        assert (run.config.threads, run.config.task, run.ended) == (1, "copying", "finished")
        assert run.model.layout.size == record.parameters
    assert {record.seed for record in two.sweep} == {SWEEP_SEED}
    assert two.failures == []


def test_scores_are_of_best_model_on_test_split(two):
    record = two.runs[0]
    run = zoo.Run(two.path / record.path)
    task = zoo.get_task("copying", **TINY)
    score = evaluate_task(task, run.model, "test", 64, 4)
    assert (record.score, record.loss, record.solved) == (score.score, score.loss, score.solved)
    evals = [event for event in run.history if event["event"] == "eval"]
    assert record.valid_score == [event["score"] for event in evals if event["best"]][-1]
    assert (record.metric, record.higher_is_better) == ("accuracy", True)
    assert (record.threshold, record.baseline) == (0.99, 0.125)


def test_times_come_from_log(two):
    record = two.runs[0]
    lines = [event for event in zoo.Run(two.path / record.path).history if event["event"] == "step"]
    assert [line["step"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert record.seconds == pytest.approx(sum(line["seconds"] for line in lines))
    symbols = 6 * 4 * (TINY["delay"] + 2 * TINY["length"])
    assert record.symbols_per_s == pytest.approx(symbols / record.seconds)


def test_runs_use_best_rate_of_sweep(two):
    for cell in ("a", "b"):
        swept = [record for record in two.sweep if record.cell == cell]
        assert [record.lr for record in swept] == [0.001, 0.01]
        assert [record.steps for record in swept] == [2, 2]
        best = min(swept, key=lambda record: record.loss)
        assert {record.lr for record in two.runs if record.cell == cell} == {best.lr}


def test_equal_cells_have_equal_results(two):
    timeless = ("seed", "lr", "score", "loss", "valid_score", "hidden", "parameters")
    a, b = (
        [[getattr(record, name) for name in timeless] for record in two.runs if record.cell == cell]
        for cell in "ab"
    )
    assert a == b
    assert [row.rank for row in two.summary] == [1.5, 1.5]


def test_result_files(two):
    results = json.loads((two.path / "results.json").read_text(encoding="utf-8"))
    assert results["format"] == 1
    assert [member["label"] for member in results["plan"]["cells"]] == ["a", "b"]
    assert results["plan"]["settled"]["copying"]["a"]["150"]["hidden"] == two.runs[0].hidden
    stored = (results["runs"], results["summary"])
    assert stored == (list(map(vars, two.runs)), list(map(vars, two.summary)))
    assert set(results["versions"]) >= {"zoo", "numpy", "numba"}
    rows = list(csv.DictReader(io.StringIO((two.path / "results.csv").read_text(encoding="utf-8"))))
    assert [(row["cell"], row["seed"], float(row["score"])) for row in rows] == [
        (record.cell, str(record.seed), record.score) for record in two.runs
    ]
    assert rows[0]["steps_to_threshold"] == ""


def test_reproducing_command(two):
    assert two.metadata["command"] == (
        "zoo compare --cells a=vanilla,b=vanilla --tasks copying --seeds 2 --params 150 --steps 6 "
        "--lr-grid 0.001,0.01 --batch 4 --eval-batches 1 --set copying.delay=2 --set copying.length=2"
    )


def test_results_table(two):
    text = two.table()
    assert two._repr_html_().count("<table>") == text.count("\n\n") + 1
    assert text.startswith("copying (delay=2, length=2)\ncell")
    assert "without memory 0.125; solved at 0.99 (" in text


# ---- second calls, additions --------------------------------------------------------------------------


def test_second_call_runs_no_job(two, go):
    before = files(two.path)
    second = go(engine=Idle())
    assert files(two.path) == before
    assert (second.runs, second.sweep) == (two.runs, two.sweep)


def test_only_missing_jobs_run(two, go):
    (lost,) = (two.path / two.runs[2].path).glob(RESULT)
    lost.unlink()
    before = files(two.path)
    engine = Recording(two.path)
    second = go(engine=engine)
    assert engine.received == ["compile/copying/b", two.runs[2].path]
    assert second.runs == two.runs, "the run itself was there; nothing is trained twice"
    assert before.items() <= files(two.path).items()


def test_cells_tasks_and_seeds_can_be_added(two, go):
    engine = Dreaming()
    short = {"short": {"delay": 1, "length": 2}}
    more = go("c=vanilla", "short=copying", options=short, seeds=3, engine=engine)
    first, others, sweep, runs = ([job["path"] for job in jobs] for jobs in engine.received)
    assert [*first, *others] == ["compile/copying/a", "compile/copying/b", "compile/copying/c"]
    assert [path for path in sweep if "/copying/" in path] == [
        f"runs/copying/c/sweep-lr{rate}-s1000000" for rate in (0.001, 0.01)
    ]
    assert len(sweep) == 2 + 3 * 2
    assert len(runs) == 3 * 2 * 3 - 4, "four were there"
    assert [record for record in more.runs if record in two.runs] == two.runs
    assert [member["label"] for member in more.plan["cells"]] == ["a", "b", "c"]
    assert [row.tasks for row in more.overall] == [2, 2, 2]


@pytest.mark.parametrize("lost", [[], [1], [0, 2, 3]], ids=str)
def test_estimate_of_the_time_counts_no_run_with_a_record(lost, two, go):
    """The sweep of a new cell runs before the lost runs of the others, and lists them for the estimate."""
    paths, events = [two.runs[number].path for number in lost], []
    for path in paths:
        (two.path / path / RESULT).unlink()
    go("c=vanilla", engine=Dreaming(), on_event=events.append)
    stages = {event["stage"]: event for event in events if event["event"] == "stage"}
    assert list(stages) == ["compile", "sweep", "runs"]
    upcoming = stages["sweep"]["upcoming"]
    assert [job["path"] for job in upcoming if job["cell"] != "c"] == paths
    assert len(upcoming) == len(paths) + 2, "the new cell has two seeds"
    assert len(stages["runs"]["missing"]) == len(upcoming)


def test_one_cell_under_two_labels_is_named(two):
    warnings = [line for line in list_warnings(two) if "the same" in line]
    assert warnings == [
        "a and b are the same cell with the same options, so their results are equal, and mean ranks count "
        "them several times."
    ]


def test_reference_changes_tables_and_no_run(two, go):
    """It stays until it is replaced. Other readers of the directory see it too."""
    before = files(two.path)
    compared = go(engine=Idle(), reference="b")
    assert files(two.path) == before
    assert compared.reference == zoo.Comparison(two.path).reference == go(engine=Idle()).reference == "b"
    assert "--lr-grid 0.001,0.01 --reference b --batch 4" in compared.metadata["command"]
    assert [(row.cell, row.difference) for row in compared.summary] == [("a", 0.0), ("b", None)]
    assert (compared.runs, compared.sweep) == (two.runs, two.sweep)
    assert go(engine=Idle(), reference="a").reference == "a"
    assert go(engine=Idle(), reference="best").reference is None
    assert zoo.Comparison(two.path).table() == two.table()


@pytest.mark.parametrize(
    ("reference", "label"),
    [
        ("gru", "gru"),
        ("{path}:Full", "full"),
        ("full", "full"),
        ("{path}:Other", "mine"),
        ("prenorm({path}:Full)", "prenorm(full)"),
        ("lstm", "plain"),
    ],
)
def test_reference_may_be_a_label_or_a_specification(go, tmp_path, reference, label):
    classes = "".join(f"class {name}(Elman):\n    'An Elman network.'\n\n" for name in ("Full", "Other"))
    path = tmp_path / "variants.py"
    path.write_text(f"from zoo_cells.classic.vanilla import Vanilla as Elman\n\n{classes}", encoding="utf-8")
    cells = ["gru", f"{path}:Full", f"mine={path}:Other", f"prenorm({path}:Full)", "plain=lstm"]
    plan = plan_of(go, cells, "copying", hidden=4, reference=reference.format(path=path), name="reference")
    assert plan["reference"] == label


def test_plan_without_a_reference_compares_with_the_best_cell(two, go):
    plan = json.loads((two.path / PLAN_FILE).read_text(encoding="utf-8"))
    del plan["reference"]  # as in older plans
    (two.path / PLAN_FILE).write_text(json.dumps(plan), encoding="utf-8")
    assert go(engine=Idle()).reference is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hidden": 9}, "size: params 150 -> hidden 9"),
        ({"steps": 7}, "length: steps 6 -> steps 7"),
        ({"seconds": 1.5}, "length: steps 6 -> seconds 1.5"),
        ({"lr": 0.1}, "rates: (0.001, 0.01) -> (0.1,)"),
        ({"sweep_steps": 3}, "sweep_steps: default -> 3"),
        ({"batch": 8, "layers": 2}, "batch: 4 -> 8; layers: 1 -> 2"),
        ({"options": {"copying": {"delay": 3}}}, "copying.delay: 2 -> 3"),
        ({"cells": "a=gru"}, "cell 'a': vanilla -> gru"),
    ],
)
def test_changed_settings_raise(two, go, changes, words):
    before = (two.path / "compare.json").read_bytes()
    with pytest.raises(CheckpointError) as refusal:
        go(engine=Idle(), **changes)
    assert f"holds another comparison ({words}); restore its settings and files" in str(refusal.value)
    assert (two.path / "compare.json").read_bytes() == before


@pytest.mark.usefixtures("plain_python")
def test_changed_cell_source_raises_after_its_first_run(tmp_path, go):
    source = '''
import zoo


class Mine(zoo.Cell):
    """Mine."""

    card = zoo.Card(title="t", authors="a", year=2026, url="https://example.org")
    W = zoo.Param("I", "H")
    h = zoo.State("H")

    def step(self, x, h):
        return 0.5 * h + x @ self.W
'''
    file = tmp_path / "mine.py"
    file.write_text(source, encoding="utf-8")
    stopped = Raising(tmp_path)
    given = {"options": {"copying": TINY}, "engine": stopped, **SIZES, "lr": 0.1}
    with pytest.raises(RuntimeError):
        go(f"{file}:Mine", "copying", **given)
    assert stopped.jobs[0]["cell"] == "mine"
    assert stopped.jobs[0]["train"]["each"][0]["cell"] == f"{file}:Mine"
    with pytest.raises(
        UnknownNameError, match=r"the comparison has the cell 'mine', which is not registered"
    ):
        go(engine=stopped)
    file.write_text(source.replace('"H")', '"2H")').replace("x @ self.W", "x @ self.W[:, : h.shape[-1]]"))
    hidden = stopped.jobs[0]["train"]["each"][0]["hidden"]
    comparison = go(f"{file}:Mine")
    assert {run.status for run in comparison.runs} == {"finished"}, "a cell without a run may change"
    assert comparison.runs[0].hidden != hidden
    file.write_text(source.replace("0.5", "0.25"), encoding="utf-8")
    with pytest.raises(CheckpointError, match="the cell 'mine' itself has changed since"):
        go(f"{file}:Mine", engine=stopped)


OPTIMIZER_AND_LOSS = '''
import numpy as np
import zoo
from zoo_optimizers.sgd import SGD


class Descent(SGD):
    """The same under another name."""

    rate_scale = 0.5


@zoo.njit
def distance(row, target):
    return np.abs(row - target).sum() / row.size


@zoo.njit
def distance_and_grad(row, target, scale):
    row[:] = np.sign(row - target) * scale / row.size
    return 0.0


class Far(zoo.get_task("adding").__class__):
    """Adding with another loss."""

    loss = zoo.Loss("distance", distance, distance_and_grad)
'''


@pytest.mark.parametrize(
    ("task", "optimizer", "words"),
    [
        ("copying", "{0}:Descent", "the optimizer 'descent' itself has changed since"),
        ("{0}:Far", "sgd", "the loss 'distance' itself has changed since"),
    ],
)
def test_changed_optimizer_or_loss_raises(tmp_path, go, task, optimizer, words):
    file, stopped = tmp_path / "mine.py", Raising(tmp_path)
    task, optimizer = task.format(file), optimizer.format(file)
    file.write_text(OPTIMIZER_AND_LOSS, encoding="utf-8")
    given = {"engine": stopped, "optimizer": optimizer, **SIZES, "lr": 0.1}
    for comment in ("", "# comments do not count\n"):
        file.write_text(OPTIMIZER_AND_LOSS + comment, encoding="utf-8")
        with pytest.raises(RuntimeError):
            go("vanilla", task, **given)
    file.write_text(OPTIMIZER_AND_LOSS.replace("0.5", "1.0").replace("0.0", "1.0"), encoding="utf-8")
    with pytest.raises(CheckpointError, match=words):
        go("vanilla", task, **given)
    path = tmp_path / "comparison" / "compare.json"
    plan = json.loads(path.read_text(encoding="utf-8"))
    del plan["sources"]  # as in plans of older versions
    path.write_text(json.dumps(plan), encoding="utf-8")
    with pytest.raises(RuntimeError):
        go("vanilla", task, **given)


class Raising:
    """An executor that raises."""

    def __init__(self, root):
        self.jobs = []

    def map(self, jobs, on_event):
        self.jobs = list(jobs)
        raise RuntimeError("no executor")


def test_results_are_written_after_error(tmp_path, go):
    with pytest.raises(RuntimeError):
        go("vanilla", "copying", engine=Raising(tmp_path))
    assert json.loads((tmp_path / "comparison" / "results.json").read_text(encoding="utf-8"))["runs"] == []
    assert (tmp_path / "comparison" / "results.csv").read_text(encoding="utf-8") == "\n"


def test_first_cell_compiles_before_others(go):
    engine = Dreaming()
    cells, tasks = ["a=vanilla", "b=vanilla", "c=vanilla"], ["copying", "adding", "long=copying"]
    go(cells, tasks, seeds=3, sweep_rounds=0, engine=engine)
    first, others, sweep, runs = engine.received
    assert [(job["kind"], job["cell"]) for job in (*first, *others)] == [("compile", cell) for cell in "abc"]
    for job in (*first, *others):
        assert [each["task"] for each in job["train"]["each"]] == ["copying", "adding"], "tokens, and numbers"
        assert {each["steps"] for each in job["train"]["each"]} == {1}
    assert len(sweep) == 3 * 3 * 3
    assert len(runs) == 3 * 3 * 3
    assert [job["train"]["seed"] for job in runs[:9]] == [0] * 9, "one seed of everything first"


# ---- failures -----------------------------------------------------------------------------------------


def test_failed_run_stops_no_other_run(go, monkeypatch):
    train = execute.train

    def sometimes(**given):
        if given.get("seed") == 1:
            raise ValueError("out of paper")
        return train(**given)

    monkeypatch.setattr(execute, "train", sometimes)
    given = {"options": {"copying": TINY}, "seeds": 3, "lr": 0.01, **SIZES}
    comparison = go("vanilla", "copying", **given)
    assert [record.status for record in comparison.runs] == ["finished", "failed", "finished"]
    assert comparison.runs[1].error.startswith("ValueError: out of paper")
    assert (comparison.runs[1].score, comparison.runs[1].seconds) == (None, 0.0)
    (row,) = comparison.summary
    assert (row.seeds, row.unscored) == (3, 1)
    warning = next(iter(list_warnings(comparison)))
    assert re.fullmatch(
        r"vanilla on copying failed \(runs/.*-s1\): ValueError: out of paper .*keeps .*", warning
    )
    assert row.mean == (comparison.runs[0].score + comparison.runs[2].score) / 2
    monkeypatch.setattr(execute, "train", train)
    assert [record.status for record in go().runs] == ["finished"] * 3, "what failed is tried again"


@pytest.mark.usefixtures("plain_python")
def test_runs_do_not_start_if_all_runs_of_their_sweep_failed(go, monkeypatch):
    train = execute.train

    def without_gru(**given):
        if given["cell"] == "gru" and given["steps"] > 1:  # its kernels compile
            raise ValueError("out of paper")
        return train(**given)

    monkeypatch.setattr(execute, "train", without_gru)
    given = {"options": {"copying": TINY}, "seeds": 2, "sweep_rounds": 0, **SIZES}
    comparison = go(["vanilla", "gru"], "copying", **given)
    swept = [("vanilla", "finished")] * 3 + [("gru", "failed")] * 3
    assert [(run.cell, run.status) for run in comparison.sweep] == swept
    assert [(run.cell, run.seed, run.status) for run in comparison.runs] == [
        ("vanilla", 0, "finished"),
        ("vanilla", 1, "finished"),
        ("gru", 0, "failed"),
        ("gru", 1, "failed"),
    ]
    reason = "not started, because all runs of its learning rate sweep failed. ValueError: out of paper"
    assert all(run.error.startswith(reason) for run in comparison.runs[2:])
    monkeypatch.setattr(execute, "train", train)
    assert {run.status for run in go().runs} == {"finished"}, "what failed is tried again"


def test_diverged_run_is_recorded_as_done(go):
    given = {"options": {"copying": TINY}, "seeds": 1, "lr": 1e300, "optimizer": "sgd", **SIZES}
    comparison = go("vanilla", "copying", **given)
    (record,) = comparison.failures
    assert record.status == "diverged"
    assert record.error.startswith("after ")
    assert record.score == (0.125 if record.valid_score is None else record.score)
    assert go(engine=Idle()).runs == comparison.runs, "it would diverge again"


UNDEFINED = '''
import numpy as np
import zoo


class Undefined(zoo.Cell):
    """The logarithm of a negative number."""

    W, h = zoo.Param("I", "H", init="ones"), zoo.State("H")

    def step(self, x, h):
        return np.log(-1 - (x @ self.W) ** 2) + h
'''


@pytest.mark.usefixtures("plain_python")
def test_cell_that_computes_nan_diverges_in_its_runs_and_ranks_last(go, tmp_path):
    events, file = [], tmp_path / "undefined.py"
    file.write_text(UNDEFINED)
    given = {"options": {"copying": TINY}, "seeds": 2, "lr": 0.01, "on_event": events.append, **SIZES}
    comparison = go(["vanilla", f"{file}:Undefined"], "copying", **given)
    records = [event["record"] for event in events if "record" in event]
    assert {record["status"] for record in records} == {"finished", "diverged"}  # also of the compilation
    assert {(run.cell, run.status) for run in comparison.runs} == {
        ("vanilla", "finished"),
        ("undefined", "diverged"),
    }
    assert [row.rank for row in comparison.summary][1] >= 1.5
    (note,) = [line for line in list_warnings(comparison) if "diverged" in line]
    assert note.startswith("undefined on copying diverged (runs/")
    assert " and 1 other run): after 0 steps the loss is nan" in note


def test_missing_or_nan_score_is_none_in_the_record_of_a_run():
    metric = {"metric": "squared_error", "higher_is_better": False, "threshold": 0.01, "baseline": 0.5}
    arguments = {"seed": 0, "lr": 0.1, "hidden": 4, "steps": 2}
    job = {"task": "t", "cell": "c", "metric": metric, "train": arguments, "parameters": 9, "path": "runs/x"}
    job["size"] = 9
    evaluation = {"event": "eval", "step": 1, "score": 0.2, "loss": 0.3, "best": True, "solved": False}
    exploded = TaskScore(float("nan"), float("inf"), solved=False, examples=1)
    known = ("score", "loss", "valid_score")
    for status, history, tested, expected in [
        ("finished", [evaluation], TaskScore(0.4, 0.25, False, 1), (0.25, 0.4, 0.2)),
        ("finished", [evaluation], exploded, (None, None, 0.2)),
        ("finished", [evaluation], None, (0.2, 0.3, 0.2)),
        ("diverged", [evaluation], TaskScore(0.4, 0.25, False, 1), (0.25, 0.4, 0.2)),
        ("diverged", [], None, (None, None, None)),
        ("failed", [], None, (None, None, None)),
    ]:
        record = make_record(job, status, history, tested)
        assert tuple(getattr(record, name) for name in known) == expected
        json.dumps(vars(record), allow_nan=False)


@pytest.mark.parametrize("higher", [False, True])
@pytest.mark.parametrize("baseline", [0.5, None])
@pytest.mark.parametrize("status", ["finished", "diverged"])
@pytest.mark.parametrize("seed", range(10))
def test_cell_without_a_finite_score_is_never_better_than_another(higher, baseline, status, seed):
    """Its baseline score was the best of all if the other cells had learned nothing."""
    rng = np.random.default_rng(seed)
    metric = {"metric": "x", "higher_is_better": higher, "threshold": None, "baseline": baseline}
    records = []
    for task, cell, run in itertools.product("st", "abcd", range(3)):
        arguments = {"seed": run, "lr": 0.1, "hidden": 4, "steps": 2}
        job = {"task": task, "cell": cell, "metric": metric, "train": arguments, "parameters": 9, "path": "x"}
        job["size"] = 9
        score = math.nan if cell == "d" else rng.normal(0.5, 0.4)
        has_diverged = cell == "d" and status == "diverged"
        evaluation = {"event": "eval", "step": 1, "score": 0.1, "loss": 1.0, "best": True}
        history = [] if has_diverged else [evaluation]
        tested = None if has_diverged else TaskScore(1.0, score, False, 1)
        records.append(make_record(job, "diverged" if has_diverged else "finished", history, tested))
    adjusted = with_worst_scores(records)
    assert [record for record in adjusted if record.cell != "d"] == [r for r in records if r.cell != "d"]
    sign = -1 if higher else 1
    for task in "st":
        means = {row.cell: sign * row.mean for row in summarize(adjusted) if row.task == task}
        assert means["d"] >= max(means.values()) - 1e-12
        own = [record.score for record in adjusted if (record.task, record.cell) == (task, "d")]
        assert baseline is None or all(sign * score >= sign * baseline for score in own)
    assert with_worst_scores(adjusted) == adjusted
    alone = with_worst_scores([record for record in records if record.cell == "d"])
    assert {record.score for record in alone} == {baseline}


def test_diverged_rate_is_not_chosen(go):
    rates = {"lr_grid": (0.01, 1e300), "optimizer": "sgd"}
    comparison = go("vanilla", "copying", options={"copying": TINY}, seeds=1, **SIZES, **rates)
    assert [record.status for record in comparison.sweep] == ["finished", "diverged"]
    assert [record.lr for record in comparison.runs] == [0.01]


def test_temporary_files_of_killed_processes_are_removed(tmp_path, two, go):
    """A temporary file of the plan may be the only file of a directory."""
    left = [tmp_path / name / f".{PLAN_FILE}.{'0' * 16}.zoo-tmp" for name in ("comparison", "new")]
    for path in left:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"{")
    go(engine=Idle())
    go("vanilla", "copying", name="new", engine=Dreaming())
    assert not any(path.exists() for path in left)


def test_foreign_directory_raises(tmp_path, go):
    (tmp_path / "comparison").mkdir()
    (tmp_path / "comparison" / "letter.txt").write_text("dear")
    with pytest.raises(
        CheckpointError, match=r"is not empty and holds no comparison \(1 entries, such as 'letter"
    ):
        go("vanilla", "copying")


def test_concurrent_comparison_raises(tmp_path, go):
    with (
        api._lock_directory(tmp_path / "comparison"),
        pytest.raises(CheckpointError, match="is in use by another process"),
    ):
        go("vanilla", "copying")


@pytest.mark.parametrize("text", ["{}", "[]", '{"format": 2}', '{"format": 1, "size": {}}'])
def test_damaged_plan_raises(tmp_path, go, text):
    (tmp_path / "comparison").mkdir()
    (tmp_path / "comparison" / "compare.json").write_text(text)
    with pytest.raises(CheckpointError, match=r"compare\.json"):
        go("vanilla", "copying")


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("cells", {"label": "../../elsewhere"}),
        ("cells", {"label": ".hidden"}),
        ("cells", {"name": "{file}:Mine"}),
        ("cells", {"name": "vanilla/../gru"}),
        ("tasks", {"label": "/elsewhere/x"}),
    ],
)
def test_stored_plan_cannot_name_paths_or_files(two, go, tmp_path, kind, change):
    file = tmp_path / "mine.py"
    file.write_text("raise SystemExit('imported')", encoding="utf-8")
    path = two.path / "compare.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored[kind][0] |= {name: value.format(file=file) for name, value in change.items()}
    path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(CheckpointError, match="is not the plan of a comparison of this version of zoo"):
        go(engine=Idle())


def test_result_of_another_run_raises(two, go):
    path = two.path / two.runs[0].path / RESULT
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["record"]["lr"] = 0.5
    path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"is of another run: lr is 0\.5, expected"):
        go(engine=Idle())


@pytest.mark.parametrize("stage", ["sweep", "run"])
@pytest.mark.parametrize("change", [{"steps": 3}, {"parameters": 9}, {"lr": 0.5}])
def test_copied_result_of_another_run_changes_no_plan(two, go, stage, change):
    """The plan had the new cell already, so every later command failed, too."""
    before = files(two.path), (two.path / PLAN_FILE).read_bytes()
    folder = (two.path / two.runs[0].path).parent.parent
    shutil.copytree(folder / "a", folder / "c")
    name = next(
        record.path for record in (two.sweep if stage == "sweep" else two.runs) if record.cell == "a"
    ).replace("/a/", "/c/")
    for path in (folder / "c").rglob(RESULT):
        stored = json.loads(path.read_text(encoding="utf-8"))
        stored["record"] |= {"cell": "c", "path": stored["record"]["path"].replace("/a/", "/c/")}
        stored["record"] |= change if stored["record"]["path"] == name else {}
        path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(CheckpointError, match="is of another run: ") as error:
        go(["c=vanilla"], engine=Idle())
    assert f"Remove the run, {two.path / name}, or all runs" in str(error.value)
    assert (two.path / PLAN_FILE).read_bytes() == before[1]
    go(engine=Idle())
    shutil.rmtree(re.search("this task, (.*); zoo", str(error.value))[1])
    assert files(two.path) == before[0]
    engine = Dreaming()
    go(["c=vanilla"], engine=engine)
    assert {job["cell"] for jobs in engine.received for job in jobs} == {"c"}


def test_constraints_penalties_and_groups_are_settings_of_every_run(go):
    texts = {
        "constraints": ["Whh=nonnegative"],
        "penalties": ["activity=l2:0.001", "Whh=l1:1e-5"],
        "param_groups": ["Why:lr_factor=0.1"],
    }
    engine = Dreaming()
    result = go("vanilla", "copying", engine=engine, seeds=1, lr=0.01, **SIZES, **texts)
    for job in (job for jobs in engine.received for job in jobs if job["kind"] == "run"):
        assert {name: job["train"][name] for name in texts} == texts
    flags = "--param-group Why:lr_factor=0.1 --constraint Whh=nonnegative --penalty activity=l2:0.001 "
    assert f"{flags}--penalty Whh=l1:1e-5" in result.metadata["command"]
    assert any("penalties activity=l2:0.001, Whh=l1:1e-5" in line for line in describe_setup(result))
    assert go(engine=Dreaming(), penalties=tuple(texts["penalties"])).plan == result.plan
    with pytest.raises(CheckpointError, match="penalties: "):
        go(engine=Dreaming(), penalties="activity=l2:0.001")
    message = "compare: gru on copying: constraints has the pattern 'Whh', which matches no parameter"
    with pytest.raises(UsageError, match=message):
        go(["vanilla", "gru"], "copying", name="other", **SIZES, **texts)
    with pytest.raises(UnknownNameError, match="unknown constraint 'nonnegativ'"):
        go("vanilla", "copying", name="other", **SIZES, constraints="Whh=nonnegativ")


def test_products_in_bfloat16(go, any_processor):
    settings = {"options": {"copying": TINY}, "seeds": 1, "lr": 0.01, **SIZES}
    result = go("vanilla", "copying", precision="bf16", **settings)
    single = go("vanilla", "copying", name="single", **settings)
    (one,), (other,) = result.runs, single.runs
    assert one.loss != other.loss
    given = {"task": "copying", "task_options": TINY, "hidden": one.hidden, "steps": 6, "lr": 0.01}
    given |= {name: DEFAULTS[name] for name in ("schedule", "schedule_options")}
    run = zoo.train(
        **given, batch=4, eval_batches=1, precision="bf16", threads=1, out=result.path.parent / "run"
    )
    stored = zoo.Run(result.path / one.path).model
    np.testing.assert_array_equal(stored.theta, run.model.theta)
    assert "--precision bf16" in result.metadata["command"]
    assert any("float32 with bf16 products" in line for line in describe_setup(result))
    assert go(engine=Idle()).plan == result.plan
    with pytest.raises(CheckpointError, match="precision: 'bf16' -> 'float32'"):
        go(precision="float32")
    plan = json.loads((single.path / PLAN_FILE).read_text())
    del plan["settings"]["precision"]  # as in older plans
    (single.path / PLAN_FILE).write_text(json.dumps(plan))
    assert go(name="single", engine=Idle()).plan == single.plan
    with pytest.raises(
        UsageError, match=r"^compare: precision is 'bf16' and dtype is 'float64'; .* use `dty"
    ):
        go("vanilla", "copying", name="other", precision="bf16", dtype="float64", **settings)


# ---- arguments ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seeds": 0}, "compare: seeds is 0; expected an integer from 1 to 65536."),
        ({"params": 2.5}, "compare: params is 2.5; expected an integer"),
        ({"params": 10, "hidden": 10}, "compare: `params` and `hidden` are both given; give one of them."),
        ({"steps": 10, "seconds": 10}, "compare: `steps` and `seconds` are both given"),
        ({"lr": 0.1, "lr_grid": [0.1]}, "compare: `lr` and `lr_grid` are both given"),
        ({"seconds": float("inf")}, "compare: seconds is inf; expected a finite number above zero."),
        ({"lr_grid": []}, "compare: lr_grid is empty"),
        ({"lr_grid": [0.1, -1]}, "a rate of lr_grid is -1; expected a finite number above zero."),
        ({"jobs": -1}, "compare: jobs is -1; expected a number of processes, or 0 for none."),
        ({"cells": ()}, "there is nothing to compare; name a cell (`cells`)."),
        ({"tasks": ()}, "there is nothing to compare; name a task (`tasks`) or a data set (`data`)."),
        ({"cells": "vanila"}, "unknown cell 'vanila'. Did you mean 'vanilla'?"),
        ({"tasks": "copyng"}, "unknown task 'copyng'. Did you mean 'copying'?"),
        ({"cells": "a/b=vanilla"}, "compare: 'a/b' cannot name a cell; use letters, digits and _ . + -"),
        ({"cells": ["a=vanilla", "a=gru"]}, "two cells are called 'a'; give one of them a label of its own"),
        ({"cells": ["gru", "gru"]}, "two cells are called 'gru'; give one of them a label of its own, as in"),
        (
            {"cells": ["2*gru", "(gru,gru)"]},
            "two cells are called '2xgru'; give one of them a label of its own",
        ),
        (
            {"cells": ["gru", "lstm"], "block": ["glu", "bare", "glu"]},
            "compare: `cells` and `block` give the cell 'glu(gru)' twice; leave out one of them, or give a",
        ),
        (
            {"cells": ["gru", "glu(gru)"], "block": ["bare", "glu"]},
            "give the cell 'glu(gru)' twice; leave out",
        ),
        ({"tasks": ["copying"] * 2}, "two tasks are called 'copying'; give one of them a label of its own"),
        (
            {"cells": [3]},
            "compare: 3 is not a cell; give a name, a class derived from zoo.Cell, or an instance of one.",
        ),
        ({"cells": "copying=vanilla"}, "compare: 'copying' is a cell and a task"),
        ({"options": {"vanila": {}}}, "given for 'vanila', which is none of vanilla, copying. Did you mean"),
        ({"options": {"copying": {"lag": 1}}}, "task 'copying' has no option 'lag'"),
        (
            {"cells": ["vanilla", "gru"], "reference": "gruu"},
            "compare: reference is 'gruu'; expected one of the cells vanilla, gru, or 'best' for the best "
            "cell of each table. Did you mean 'gru'?",
        ),
        (
            {"block": "prenorm", "reference": "vanilla"},
            "expected one of the cells prenorm(vanilla), or 'best'",
        ),
        (
            {"cells": ["a=gru", "b=gru"], "reference": "gru"},
            "compare: reference is 'gru', which has the labels a, b; give one of them.",
        ),
        *(
            ({"reference": text}, f"compare: reference is {text!r}; expected one of the cells vanilla, or")
            for text in ("gru(", "2*", "))", "other.py:Cell", ":", "=", "\0.py:X")
        ),
        (
            {"reference": ["vanilla"]},
            "compare: reference is ['vanilla']; expected the name or label of a cell.",
        ),
        ({"epochs": 3}, "compare: unknown setting 'epochs'; expected one of layers, "),
        ({"nsteps": 3}, "Did you mean 'steps'?"),
        ({"layers": 0}, "layers is 0; expected an integer of at least 1."),
        ({"bidirectional": 1}, "bidirectional is 1; expected true or false."),
        (
            {"tasks": "text", "bidirectional": True},
            "compare: bidirectional is given with the task 'text', which predicts the next symbol, so no",
        ),
        (
            {"cells": ["vanilla", "prenorm(gru)"], "residual": True},
            "compare: residual is given with the cell 'prenorm(gru)', and the block of the cell adds its "
            "input already; leave out `residual`, and use the modifier residual for cells without a block",
        ),
        ({"optimizer": "adm"}, "unknown optimizer 'adm'"),
        (
            {"cells": "clockwork", "hidden": 7},
            "H=7 is not divisible by groups=4; choose sizes that divide",
        ),
        (
            {"cells": ["vanilla", "clockwork"], "hidden": 8, "base_hidden": 6},
            "base_hidden is 6: cell 'clockwork': ",
        ),
        (
            {"hidden": 8, "base_hidden": 8001},
            "base_hidden is 8,001 and the model has 8 hidden units; expected at most 8,000. Give the hidden "
            "units for which the learning rate was chosen.",
        ),
        (
            {"base_hidden": 4, "optimizer": "sgd"},
            "base_hidden is 4 and the updates of optimizer 'sgd' depend on the scale of the gradient; leave",
        ),
        ({"params": 5}, "vanilla on copying has at least 28 parameters, more than the 5 of `params`"),
        ({"params": 5}, "give `params=28` or more, or leave out the cell."),
        (
            {"params": 5, "embedding": 90},
            "give `params=1008` or more, a smaller `embedding`, or leave out the cell.",
        ),
        ({"params": 10**15}, "vanilla on copying: no hidden size up to 32,768 has 1,000,000,000,000,000"),
    ],
)
def test_invalid_arguments_create_no_directory(tmp_path, go, changes, words):
    given = {"cells": "vanilla", "tasks": "copying", **changes}
    with pytest.raises((UsageError, UnknownNameError)) as refusal:
        go(**given)
    assert words in str(refusal.value)
    assert list(tmp_path.iterdir()) == []


def plan_of(go, cells, tasks, **given):
    """The plan, without running a job."""
    stages = []
    with pytest.raises(RuntimeError):
        go(cells, tasks, engine=Raising(None), on_event=stages.append, **given)
    return stages[0]["plan"]


def test_forms_of_cells_and_tasks(go):
    lstm = zoo.get_cell("lstm", forget_bias=2.0)
    task = zoo.get_task("copying", delay=3)
    plan = plan_of(go, {"plain": "vanilla", "biased": lstm, "mod": "lstm+zoneout"}, [task, "long=copying"])
    cells = {member["label"]: member for member in plan["cells"]}
    assert {label: member["name"] for label, member in cells.items()} == {
        "plain": "vanilla",
        "biased": "lstm",
        "mod": "lstm+zoneout",
    }
    assert cells["biased"]["options"] == dict(lstm.options)
    assert [(member["label"], member["options"]["delay"]) for member in plan["tasks"]] == [
        ("copying", 3),
        ("long", 10),
    ]
    assert plan_of(go, type(lstm), "copying", name="class")["cells"][0]["name"] == "lstm"


def test_options_have_customary_values_unless_they_are_set(go):
    """A given value and an instance keep theirs, and so does a stored plan."""
    instance = zoo.get_cell("lstm")
    cells = {"a": "lstm+zoneout", "b": "prenorm(lstm)", "zero": "lstm", "own": instance, "c": "elstm"}
    given = {"hidden": 2, "options": {"zero": {"forget_bias": 0}}}
    plan = plan_of(go, cells, "copying", **given)
    biases = {cell["label"]: cell["options"]["forget_bias"] for cell in plan["cells"]}
    assert biases == {"a": 1.0, "b": 1.0, "zero": 0.0, "own": 0.0, "c": 0.0}
    stored = plan_of(go, cells={"d": "lstm"}, tasks=())
    assert {cell["label"]: cell["options"]["forget_bias"] for cell in stored["cells"]} == biases | {"d": 1.0}
    repeated = plan_of(go, cells={"zero": "lstm"}, tasks=())
    assert repeated["cells"] == stored["cells"]


def test_customary_values_reach_a_subclass_of_a_cell_that_ships(go, tmp_path):
    """A variant that inherits from LSTM has the options, the customary values and the weights of lstm."""
    (tmp_path / "variant.py").write_text(
        "import zoo\nfrom zoo_cells.lstm.lstm import LSTM\n\n"
        "class LinearOutput(LSTM):\n"
        "    'The LSTM without the tanh of its output.'\n"
        "    def step(self, x, h, c):\n"
        "        i, f, g, o = zoo.split(x @ self.Wx + h @ self.Wh + self.b, 4)\n"
        "        c = zoo.sigmoid(f + self.forget_bias) * c + zoo.sigmoid(i) * zoo.tanh(g)\n"
        "        return zoo.sigmoid(o) * c, c\n",
        encoding="utf-8",
    )
    spec = f"{tmp_path / 'variant.py'}:LinearOutput"
    plan = plan_of(go, [spec, "lstm"], "copying", hidden=2, name="variant")
    variant, lstm = (cell["options"] for cell in plan["cells"])
    assert variant == lstm
    assert lstm["forget_bias"] == 1.0
    weights = [
        Stack(StackConfig(cell, 3, 4)).initial_values(1)
        for cell in (resolve_cell(spec), resolve_cell("lstm"))
    ]
    np.testing.assert_equal(*weights)


@pytest.mark.usefixtures("plain_python")
def test_customary_values_are_stated_in_results_and_command(go):
    cells, sizes = {"a": "lstm", "zero": "lstm"}, {"seeds": 1, **SIZES, "params": 400, "lr": 0.01}
    options = {"copying": TINY, "zero": {"forget_bias": 0.0}}
    comparison = go(cells, "copying", options=options, **sizes)
    assert comparison.stated_options("a") == comparison.customary_options("zero") == {"forget_bias": 1.0}
    assert comparison.stated_options("zero") == {"forget_bias": 0.0}
    for flag in ("--set a.forget_bias=1.0", "--set zero.forget_bias=0.0"):
        assert flag in comparison.metadata["command"]
    runs = {run.cell: zoo.Run(comparison.path / run.path).config.cell_options for run in comparison.runs}
    assert {label: each["forget_bias"] for label, each in runs.items()} == {"a": 1.0, "zero": 0.0}


def test_default_plan(go):
    plan = plan_of(go, "vanilla", "copying")
    assert (plan["seeds"], plan["size"], plan["length"]) == (5, {"params": 20_000}, {"steps": 2_000})
    assert plan["rates"] == [0.0003, 0.001, 0.003] == [pytest.approx(0.001 * part) for part in GRID]
    assert set(plan["settings"]) == set(SETTINGS)
    assert plan["settled"]["copying"]["vanilla"]["20000"]["parameters"] == pytest.approx(20_000, rel=0.02)


def test_equal_hidden_units(go):
    plan = plan_of(go, ["vanilla", "lstm"], "copying", hidden=8, layers=2)
    sizes = plan["settled"]["copying"]
    assert sizes["vanilla"]["8"] == {
        "hidden": 8,
        "parameters": (10 * 8 + 64 + 8) + (64 + 64 + 8) + 72,
        "steps": 2000,
    }
    assert sizes["lstm"]["8"]["hidden"] == 8


def test_bidirectional_layers_and_learned_states(go):
    """Both count as parameters, and the runs and the command line have them."""
    both = {"bidirectional": True, "learned_state": True}
    comparison = go("vanilla", "copying", options={"copying": TINY}, seeds=1, **SIZES, lr=0.01, **both)
    (run,) = comparison.runs
    model = zoo.Run(comparison.path / run.path).model
    assert model.layout.size == run.parameters
    assert {"l0.reverse.Wxh", "l0.h.initial"} <= set(model.params)
    assert " --bidirectional --learned-state " in comparison.metadata["command"] + " "


def test_residual_connections_reach_models_and_texts(go):
    sizes = {**SIZES, "layers": 2, "residual": True}
    comparison = go("vanilla", "copying", options={"copying": TINY}, seeds=1, **sizes, lr=0.01)
    (run,) = comparison.runs
    model = zoo.Run(comparison.path / run.path).model
    assert [layer.is_residual for layer in model.stack.layers] == [False, True]
    assert model.layout.size == run.parameters
    assert " --residual " in comparison.metadata["command"] + " "
    assert "2 layers with residual connections, without an embedding" in " ".join(describe_setup(comparison))
    assert go(engine=Idle(), residual=True).plan["settings"]["residual"] is True


@pytest.mark.usefixtures("plain_python")
def test_embedding_of_tokens(go):
    comparison = go("vanilla", "copying", options={"copying": TINY}, seeds=1, embedding=3, lr=0.01, **SIZES)
    (run,) = comparison.runs
    model = zoo.Run(comparison.path / run.path).model
    assert model.params["embedding"].shape == (model.input_size, 3)
    assert model.layout.size == run.parameters
    assert " --embedding 3 " in comparison.metadata["command"] + " "
    assert " with an embedding of 3, without a norm or a residual" in " ".join(describe_setup(comparison))
    with pytest.raises(UsageError, match="embedding is 3, and the inputs of the task 'adding' are features"):
        go("vanilla", "adding", embedding=3)


@pytest.mark.usefixtures("plain_python")
def test_parameters_by_part_add_up_to_all(go):
    cells = ["prenorm(vanilla)", "vanilla"]
    comparison = go(cells, "copying", options={"copying": TINY}, seeds=1, embedding=3, lr=0.01, **SIZES)
    (table,) = make_tables(comparison)
    headings = [column.label for column in table.columns]
    names = ("parameters", "of cells", "of blocks", "of readout", "of embedding")
    for row in table.rows:
        whole, *parts = (row[headings.index(name)].value for name in names)
        assert whole == sum(parts)
        assert parts[3] == 3 * zoo.get_task("copying", **TINY).input_size


def test_residual_without_effect_is_an_error(go):
    """One layer reads inputs of another size than its output."""
    with pytest.raises(UsageError) as caught:
        go("vanilla", "copying", options={"copying": TINY}, **SIZES, residual=True)
    assert str(caught.value) == (
        "compare: vanilla on copying: `residual` is given and has no effect, since no layer has an output of "
        "the size of its input; leave out `residual`, or give more `layers`."
    )


@pytest.mark.parametrize("name", ["bidirectional", "residual"])
def test_plan_without_later_settings_has_their_defaults(two, go, name):
    path = two.path / "compare.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert stored["settings"].pop(name) is False
    path.write_text(json.dumps(stored), encoding="utf-8")
    assert go(engine=Idle()).plan["settings"][name] is False
    with pytest.raises(CheckpointError, match=rf"{name}: False -> True"):
        go(**{name: True})


def test_equal_time(go, monkeypatch):
    monkeypatch.setattr(execute, "_TIMED_S", 0.02)
    given = {"options": {"copying": TINY}, "seconds": 0.05, "seeds": 1, "lr": 0.01, "batch": 4}
    comparison = go("vanilla", "copying", params=[150, 300], **given)
    run_sizes = comparison.plan["settled"]["copying"]["vanilla"]
    steps = [run_sizes[size]["steps"] for size in ("150", "300")]
    assert min(steps) > 1
    assert [record.steps for record in comparison.runs] == steps, "each size has its own speed"
    assert go(engine=Idle()).runs == comparison.runs, "the speed is measured once"


def test_failed_speed_measurement_affects_only_its_cell(go, monkeypatch):
    train = execute.train

    def sometimes(**given):
        if given["cell"] == "gru":
            raise ValueError("out of paper")
        return train(**given)

    monkeypatch.setattr(execute, "_TIMED_S", 0.02)
    monkeypatch.setattr(execute, "train", sometimes)
    given = {"options": {"copying": TINY}, "params": 150, "seconds": 0.05, "seeds": 1, "lr": 0.01, "batch": 4}
    comparison = go(["vanilla", "gru"], "copying", **given)
    assert [(record.cell, record.status) for record in comparison.runs] == [
        ("vanilla", "finished"),
        ("gru", "failed"),
    ]
    assert comparison.plan["settled"]["copying"]["gru"]["150"]["steps"] is None, "the next call tries again"
    last = comparison.table().splitlines()[3].split()
    assert (last[0], last[4]) == ("gru", "–"), "it has no learning rate"


@pytest.mark.parametrize("is_registered", [False, True])
def test_cell_of_this_program_runs_only_in_this_process(own_registry, go, is_registered):
    cell = only_here()
    if is_registered:
        zoo.register_cell(cell)
    with pytest.raises(UsageError, match=r"cell 'only_here' exists in this program alone.*jobs=0, or put it"):
        go(cell, "copying", jobs=1)
    comparison = go(cell, "copying", options={"copying": TINY}, seeds=1, lr=0.01, **SIZES)
    assert [record.status for record in comparison.runs] == ["finished"]
    assert zoo.Comparison(comparison.path).runs == comparison.runs
    assert ("only_here" in zoo.list_cells()) is is_registered, "the registry is as before"


GIVEN_CLASSES = {
    "class": (lambda own: [own, "gru"], {"only_here": [""], "gru": []}),
    "instance": (lambda own: own(), {"only_here": [""]}),
    "labels": (lambda own: {"a": own, "b": own()}, {"a": [""], "b": [""]}),
    "modified": (lambda own: {"a": zoo.modify(own, "residual")}, {"a": ["+residual"]}),
    "stack": (lambda own: [[own, "gru"]], {"only_here-gru": [""]}),
    "stacks": (lambda own: {"a": [own(), type(zoo.modify(own, "residual"))]}, {"a": ["", "+residual"]}),
}


@pytest.mark.parametrize("form", GIVEN_CLASSES)
def test_cells_and_tasks_may_be_classes_that_are_not_registered(own_registry, go, form):
    """Jobs name the cell, and in this process the name denotes the class that was given."""
    own, old = only_here(), zoo.register_cell(only_here())  # as if a notebook defined it again
    task = type("OwnCopying", (type(zoo.get_task("copying")),), {"__doc__": "Own.", "__module__": __name__})
    make, suffixes = GIVEN_CLASSES[form]
    denoted = {}

    class Resolving(Dreaming):
        def map(self, jobs, on_event):
            for job, record in super().map(jobs, on_event):
                if job["kind"] == "run":
                    assert type(zoo.registry.resolve_task(job["train"]["task"])) is task
                    names = job["train"]["cell"]
                    cells = map(zoo.registry.cell_class, [names] if isinstance(names, str) else names)
                    modified = type(zoo.modify(own, "residual"))
                    known = {own: "", modified: "+residual"}
                    denoted[job["cell"]] = [known[cell] for cell in cells if cell in known]
                yield job, record

    go(make(own), [task], seeds=1, engine=Resolving(), **SIZES, lr=0.1)
    assert denoted == suffixes
    assert type(zoo.get_cell("only_here")) is old
    assert "own_copying" not in zoo.list_tasks()


def test_names_of_given_classes_are_unambiguous(go):
    gru = type("OtherGRU", (type(zoo.get_cell("gru")),), {"__doc__": "Own.", "name": "gru"})
    with pytest.raises(
        UsageError, match=r"has the name 'gru', and recurrent-zoo .* has another cell of this"
    ):
        go(gru, "copying")
    with pytest.raises(UsageError, match=r"two cell classes have the name 'only_here'; give one"):
        go({"a": only_here(), "b": only_here()}, "copying")
    with pytest.raises(
        UsageError, match=r"Adding'> is not a cell; give a name, a class derived from zoo.Cell"
    ):
        go(type(zoo.get_task("adding")), "copying")


def test_workers_cannot_import_an_optimizer_of_this_program(own_registry, go):
    members = {"__doc__": "Own.", "__module__": __name__}
    zoo.register_optimizer(type("OwnSGD", (type(zoo.get_optimizer("sgd")),), members))
    with pytest.raises(UsageError, match="optimizer 'own_sgd' exists in this program alone"):
        go("vanilla", "copying", optimizer="own_sgd", jobs=1)


def only_here():
    """A cell that no other process can import."""
    vanilla = type(zoo.get_cell("vanilla"))
    members = {"__doc__": "Here.", "name": "only_here", "card": vanilla.card, "__module__": __name__}
    return type("OnlyHere", (vanilla,), members)


# ---- events, interruption -------------------------------------------------------------------------------


def test_events_list_missing_and_finished_jobs(go):
    events = []
    given = {"options": {"copying": TINY}, "seeds": 1, "on_event": events.append, **SIZES, **RATES}
    go("vanilla", "copying", **given)
    assert [event["event"] for event in (events[0], events[-1])] == ["started", "ended"]
    stages = {event["stage"]: event for event in events if event["event"] == "stage"}
    assert [len(stage["missing"]) for stage in stages.values()] == [1, 2, 1]
    assert list(stages) == ["compile", "sweep", "runs"]
    assert [job["steps"] for job in stages["sweep"]["upcoming"]] == [6]
    done = [event["path"] for event in events if event["event"] == "job_done"]
    assert len(done) == 4
    steps = [event["step"] for event in events if event["event"] == "step" and event["path"] == done[-1]]
    assert steps == [1, 2, 3, 4, 5, 6]


@pytest.mark.usefixtures("plain_python")
def test_kernels_of_all_cells_are_one_stage(go):
    events = []
    given = {"options": {"copying": TINY}, "seeds": 1, "on_event": events.append, **SIZES, "lr": 0.01}
    go(["vanilla", "minimal_rnn", "ugrnn"], "copying", **given)
    (stage,) = [event for event in events if event["event"] == "stage" and event["stage"] == "compile"]
    done = [event for event in events if event["event"] == "job_done" and event["stage"] == "compile"]
    assert (stage["jobs"], len(stage["missing"]), len(done)) == (3, 3, 3)


def test_signal_stops_and_next_call_resumes(go, two):
    def stop(event):
        if event["event"] == "step" and event["path"].startswith("runs/copying/c/lr") and event["step"] == 3:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(Interrupted) as stopped:
        go("c=vanilla", on_event=stop)
    assert (stopped.value.signal, stopped.value.path) == (signal.SIGINT, two.path)
    assert zoo.Comparison(two.path).runs == two.runs, "what is done was written"
    comparison = go()
    assert zoo.Run(two.path / "runs/copying/c" / Path(comparison.runs[-2].path).name).history[-1]["step"] == 6
    c = [record.score for record in comparison.runs if record.cell == "c"]
    assert c == [record.score for record in two.runs if record.cell == "a"]


@pytest.mark.parametrize("after", [1, 2, 3])
def test_repetition_that_stops_early_keeps_the_results(go, two, after):
    """For example because its output is piped to a program that has ended."""
    seen = []

    def stop(event):
        seen.append(event)
        if len(seen) == after:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        go(on_event=stop)
    kept = zoo.Comparison(two.path)
    assert (kept.runs, kept.sweep, kept.overall) == (two.runs, two.sweep, two.overall)


def test_damaged_record_of_a_run_keeps_the_others(go, two):
    damaged, *others = sorted((two.path / "runs").glob("*/*/*/result.json"))
    damaged.write_text("{", encoding="utf-8")
    with pytest.raises(CheckpointError, match=re.escape(str(damaged))):
        go()
    kept = zoo.Comparison(two.path)
    assert len(kept.runs) + len(kept.sweep) == len(others)


# ---- hostile files ------------------------------------------------------------------------------------

HOSTILE_PLANS = {
    "a setting of zoo.train": {"settings": {"trackers": ["jsonl"]}},
    "no settings": {"settings": {}},
    "an optimizer that is no text": {"settings": {"optimizer": 3}},
    "a thousand million seeds": {"seeds": 10**9},
    "no seeds": {"seeds": None},
    "seeds in words": {"seeds": "three"},
    "another size": {"size": {"cells": 3}},
    "no size": {"size": {"params": None}},
    "two sizes": {"size": {"params": 3, "hidden": 3}},
    "no rates": {"rates": None},
    "a rate in words": {"rates": ["fast"]},
    "a rate that is no number": {"rates": [True]},
    "a reference that is no cell": {"reference": "c"},
    "a reference that is no text": {"reference": ["a"]},
}


@pytest.mark.parametrize("hostile", HOSTILE_PLANS)
def test_hostile_plan_raises(hostile, two, go):
    path = two.path / "compare.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    for name, value in HOSTILE_PLANS[hostile].items():
        keeps = name == "settings" and value
        stored[name] = {**stored[name], **value} if keeps else value
    path.write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(CheckpointError, match="is not the plan of a comparison of this version of zoo"):
        go(engine=Idle())


def test_too_many_runs_raise(go):
    words = "compare: 65,539 runs; expected at most 30,000; give fewer `seeds`, `cells`, `tasks` or sizes."
    with pytest.raises(UsageError, match=re.escape(words)):
        go("vanilla", "copying", seeds=2**16, engine=Idle())


def test_lone_surrogate_in_result_is_escaped(two, go):
    path = two.path / two.runs[0].path / RESULT
    stored = json.loads(path.read_text(encoding="utf-8"))
    stored["record"]["error"] = "\ud800"
    path.write_text(json.dumps(stored), encoding="utf-8")
    go(engine=Idle())
    assert "\\ud800" in (two.path / "results.csv").read_text(encoding="utf-8")


HOSTILE_ROWS = [
    ("summary", {"mean": "high"}, "mean is 'high'; expected a number"),
    ("summary", {"hidden": None}, "hidden is None; expected an integer"),
    ("summary", {"rank": 1e200}, "rank is 1e[+]200; expected a number up to 1e[+]100"),
    ("summary", {"task": "elsewhere"}, "tasks lacks 'elsewhere', which a record names"),
    ("runs", {"task": "elsewhere"}, "tasks lacks 'elsewhere', which a record names"),
    ("overall", {"tasks": []}, r"tasks is \[\]; expected an integer"),
    ("runs", {"status": None}, "status is None; expected a text"),
    ("sweep", {"lr": {}}, "lr is {}; expected a number"),
]


@pytest.mark.parametrize(("name", "change", "words"), HOSTILE_ROWS)
def test_hostile_results_raise(name, change, words, two, tmp_path):
    stored = json.loads((two.path / "results.json").read_text(encoding="utf-8"))
    stored[name] = [{**(stored[name] or stored["runs"])[0], **change}]
    (tmp_path / "results.json").write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(CheckpointError, match=words):
        zoo.Comparison(tmp_path).table()


def test_results_of_another_version_raise(two, tmp_path):
    """Each field that may not be None is needed; a file of another version lacks some."""
    text = (two.path / "results.json").read_text(encoding="utf-8")
    stored = json.loads(text)
    kinds = {"runs": RunRecord, "summary": SummaryRow, "overall": OverallRow, "targets": TargetRow}
    for name, kind in kinds.items():
        for field, of_kind in schema_of(kind).items():
            rows = [{key: value for key, value in row.items() if key != field} for row in stored[name]]
            (tmp_path / "results.json").write_text(json.dumps({**stored, name: rows}), encoding="utf-8")
            if of_kind.endswith(" | None") or not rows:
                zoo.Comparison(tmp_path)
                continue
            words = (
                rf"{name}\[0\] lacks '{field}'; another version of zoo wrote the file, or it is damaged\. Run"
            )
            with pytest.raises(CheckpointError, match=words):
                zoo.Comparison(tmp_path)


@pytest.mark.parametrize("name", ["runs", "sweep", "summary", "overall", "tasks", "plan"])
@pytest.mark.parametrize("value", [None, 3, "text", [None]])
def test_results_of_wrong_type_raise(name, value, two, tmp_path):
    stored = json.loads((two.path / "results.json").read_text(encoding="utf-8"))
    (tmp_path / "results.json").write_text(json.dumps({**stored, name: value}), encoding="utf-8")
    with pytest.raises(CheckpointError):
        zoo.Comparison(tmp_path).table()


@pytest.mark.usefixtures("plain_python")
def test_command_names_the_file_of_a_cell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        'import zoo\n\n\nclass Mine(zoo.Cell):\n    """Mine."""\n\n'
        "    W = zoo.Param('I', 'H')\n    h = zoo.State('H')\n\n"
        "    def step(self, x, h):\n        return zoo.tanh(x @ self.W + h)\n",
        encoding="utf-8",
    )
    compared = {"tasks": ["copying"], "options": {"copying": {"delay": 5, "length": 2}}, "seeds": 1}
    compared |= {"params": 150, "steps": 2, "batch": 2, "eval_batches": 1, "lr": 0.1, "jobs": 0}
    comparison = zoo.compare(["mine.py:Mine", "other=mine.py:Mine"], out=tmp_path / "out", **compared)
    command = comparison.metadata["command"]
    assert command.startswith("zoo compare --cells mine.py:Mine,other=mine.py:Mine --tasks copying ")


@pytest.mark.parametrize(
    ("schedule", "options", "flags"),
    [
        ("cosine", {"warmup": 0.05}, []),
        ("cosine", {}, ["--schedule", "cosine"]),
        ("cosine", {"warmup": 0.1}, ["--schedule", "cosine", "--set", "schedule.warmup=0.1"]),
        ("constant", {}, ["--schedule", "constant"]),
    ],
)
def test_command_repeats_the_schedule(schedule, options, flags):
    settings = {**DEFAULTS, "schedule": schedule, "schedule_options": options}
    assert [*command_line._setting_flags(settings), *command_line._set_flags(settings, {})] == flags
