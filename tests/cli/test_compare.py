"""``zoo compare`` on the command line: invalid arguments, output, files and exit codes."""

from __future__ import annotations

import io
import json
import shutil
import signal
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import zoo
from zoo.cli import errors
from zoo.cli.app import cli
from zoo.cli.compare_display import (
    ComparisonProgress,
    LiveCompareDisplay,
    PlainCompareDisplay,
    open_compare_display,
)
from zoo.storage.document_marker import BEGINNING, END
from zoo.training import Interrupted

SIZES = ["--params", 150, "--steps", 4, "--batch", 4, "--set", "copying.delay=2", "--set", "copying.length=2"]


def run(*args):
    return CliRunner(env={"ZOO_PLUGINS": ""}).invoke(
        cli, ["compare", *map(str, args)], prog_name="zoo", catch_exceptions=False
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The directory and output of a whole command."""
    out = tmp_path_factory.mktemp("compare") / "found"
    said = run("--cells", "vanilla", "--tasks", "copying", "--seeds", 1, *SIZES, "--jobs", 0, "--out", out)
    assert said.exit_code == 0, said.output
    return out, said.stderr + said.stdout


@pytest.fixture
def comparison(made, tmp_path):
    return shutil.copytree(made[0], tmp_path / "found")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ("--cells vanila --tasks copying", 2, "unknown cell 'vanila'. Did you mean 'vanilla'"),
        ("--cells vanilla --tasks copyng", 2, "unknown task 'copyng'. Did you mean 'copying'"),
        ("--cells nothere.py:Cell --tasks copying", 2, "nothere.py: no such file or directory"),
        ("--cells , --tasks copying", 2, "there is nothing to compare"),
        ("--tasks copying", 2, "there is nothing to compare; name a cell (--cells)."),
        ("--cells gru", 2, "there is nothing to compare; name a task (--tasks) or a data set (--data)."),
        ("--cells vanilla --tasks copying --seeds none", 2, "--seeds is 'none'; expected an integer."),
        (
            "--cells vanilla --tasks copying --lr-grid 0.1,x",
            2,
            "--lr-grid '0.1,x'; expected numbers with commas",
        ),
        (
            "--cells gru,lru,gru --tasks copying",
            2,
            "two cells are called 'gru'; give one of them a label of its",
        ),
        (
            "--cells gru --tasks copying,copying",
            2,
            "two tasks are called 'copying'; give one of them a label",
        ),
        (
            "--cells gru --block glu,glu --tasks copying",
            2,
            "--cells and --block give the cell 'glu(gru)' twice",
        ),
        (
            "--cells gru --data no.csv --data no.csv --target y",
            2,
            "two data sets are called 'no'; leave out one",
        ),
        ("--cells vanilla --tasks copying --lr 0.1 --lr-grid 0.1", 2, "--lr and --lr-grid are both given"),
        ("--cells vanilla --tasks copying --params 9 --hidden 9", 2, "--params and --hidden are both given"),
        ("--cells lru --tasks copying --set lru.rmin=1", 2, "unknown option 'rmin': cell 'lru' has"),
        (
            "--cells lru --tasks copying --set lstm.r_min=1",
            2,
            "unknown prefix 'lstm'; expected lru or copying or optimizer or sch",
        ),
        ("--cells vanilla --tasks copying --optimizer adm", 2, "unknown optimizer 'adm'"),
        ("--cells vanilla --tasks copying --schedule x", 2, "unknown schedule 'x'"),
        (
            "--cells vanilla --tasks copying --markdown no/such/page.md",
            2,
            "no/such: no such file or directory",
        ),
        ("--cells vanilla --tasks copying --plugin no.py", 2, "no.py: no such file or directory"),
        ("--cells vanilla --data no.csv --target y", 2, "no.csv: no such file or directory"),
        (
            "--cells gru --tasks copying --params 1000,abc",
            2,
            "--params is '1000,abc'; expected an integer, or several with commas, as in 1000,4000.",
        ),
        (
            "--cells gru --tasks copying --hidden x",
            2,
            "--hidden is 'x'; expected an integer, or several with",
        ),
        ("--cells gru --tasks copying --hidden 16,", 2, "--hidden is '16,'; expected an integer, or several"),
        (
            "--cells gru --tasks copying --params 1000,1000",
            2,
            "--params has 1,000 twice; give each size once.",
        ),
        (
            "--cells gru --tasks copying --hidden 32,16",
            2,
            "--hidden has 32 before 16; give the sizes in ascending order.",
        ),
        (
            "--cells gru --tasks copying --params 1000,4000 --hidden 16,32",
            2,
            "--params and --hidden are both given; give one of them.",
        ),
        (
            "--cells gru --tasks copying --params 20,4000",
            2,
            "more than the 20 of --params; give --params ",
        ),
        (
            "--out no --set text.data=x",
            2,
            "--out no holds no comparison; name the directory of one, or begin",
        ),
        ("--out no --steps 2 --set lr=x", 2, "--out no holds no comparison; name the directory of one, or"),
        ("--out no --cells gru --set text.data=x", 2, "unknown prefix 'text'; expected gru or"),
        ("--cells vanilla --target y", 2, "--target is given without data; give the file, --data"),
    ],
)
def test_invalid_arguments_are_errors(args, code, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*args.split())
    assert words in " ".join(result.stderr.split())
    assert result.exit_code == code
    assert list(tmp_path.iterdir()) == []


def test_output(made):
    out, said = made
    lines = said.splitlines()
    assert lines[:4] == [
        "cells  vanilla",
        "tasks  copying",
        "runs   1 of each, 150 params, 4 steps, "
        "lr chosen among 0.0003, 0.001, 0.003 (then others or longer runs, in up to 8 rounds)",
        f"out    {out}",
    ]
    assert "choosing learning rates: 3 jobs" in lines
    assert "training: 1 job" in lines
    assert any(line.startswith("3/3  copying/vanilla/sweep-lr0.003-s1000000  accuracy 0.") for line in lines)
    table = lines.index("copying (delay=2, length=2)")
    assert lines[table + 1].split()[:6] == ["cell", "scope", "H", "parameters", "lr", "accuracy"]
    assert lines[table + 2].split()[0] == "vanilla"
    assert lines[-2:] == [
        f"{out / 'results.json'} and results.csv hold every run.",
        f"see it with: zoo report {out}",
    ]


def test_continue_with_more_seeds(comparison):
    rerun = run("--out", comparison, "--jobs", 0)
    assert rerun.exit_code == 0
    assert "training" not in rerun.stderr
    more = run("--out", comparison, "--seeds", 2, "--jobs", 0)
    assert "training: 2 jobs, 1 done before" in more.stderr
    assert len(zoo.Comparison(comparison).runs) == 2


def test_other_plan_is_an_error(comparison):
    result = run("--out", comparison, "--steps", 9)
    assert result.exit_code == 1
    assert result.stderr.startswith(
        f"Error: {comparison} holds another comparison (length: steps 4 -> steps 9); restore"
    )


def test_arguments_from_flags(monkeypatch):
    calls = []

    def compare(**given):
        calls.append(given)
        raise Interrupted(signal.SIGINT, Path("x"))

    monkeypatch.setattr(zoo, "compare", compare, raising=False)
    words = (
        "--cells slow=leaky_rnn,lru --tasks copying --hidden 4,16 --seconds 2.5 --seeds 2 --lr-grid 0.1,0.01"
    )
    words += " --block bare,glu --set slow.leak=0.5 --set beta1=0.8 --set copying.delay=2 --optimizer adamw"
    words += " --layers 2 --data a.csv --data b.csv --target load --horizon 3 --set loss.low=0.2"
    words += " --reference lru"
    run(*words.split())
    (given,) = calls
    del given["on_event"]
    assert {name: value for name, value in given.items() if value is not None} == {
        "cells": ["slow=leaky_rnn", "lru"],
        "block": ["bare", "glu"],
        "tasks": ["copying"],
        "options": {"slow": {"leak": 0.5}, "copying": {"delay": 2}},
        "hidden": [4, 16],
        "seconds": 2.5,
        "seeds": 2,
        "lr_grid": [0.1, 0.01],
        "optimizer": "adamw",
        "optimizer_options": {"beta1": 0.8},
        "layers": 2,
        "data": ("a.csv", "b.csv"),
        "target": "load",
        "horizon": 3,
        "loss_options": {"low": 0.2},
        "reference": "lru",
    }


def test_json_lines(comparison):
    result = run("--out", comparison, "--seeds", 2, "--jobs", 0, "--json")
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert [event["event"] for event in (events[0], events[-1])] == ["started", "ended"]
    records = [
        event["record"] for event in events if event["event"] == "job_done" and event["stage"] == "runs"
    ]
    assert [record["seed"] for record in records] == [1]


def test_quiet(comparison):
    result = run("--out", comparison, "--seeds", 2, "--jobs", 0, "--quiet")
    assert (result.stdout, result.stderr, result.exit_code) == ("", "", 0)


def test_markdown(comparison, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n{BEGINNING}older -->\nold\n{END}\nbelow\n", encoding="utf-8")
    assert run("--out", comparison, "--markdown", page, "--quiet").exit_code == 0
    text = page.read_text(encoding="utf-8")
    assert text.startswith(
        f"above\n{BEGINNING}zoo compare --cells vanilla --tasks copying --seeds 1 --params 150"
    )
    assert text.endswith(f"{END}\nbelow\n")
    assert "| vanilla | " in text
    assert "### copying (delay=2, length=2)" in text
    assert "Bare layers, 4 steps: 1 seed, about 150 parameters each, the learning rate of each cell" in text
    page.write_text("mine\n", encoding="utf-8")
    refused = run("--out", comparison, "--markdown", page)
    assert "compare: page.md has no place" in refused.stderr.replace(f"{tmp_path}/", "")
    assert page.read_text(encoding="utf-8") == "mine\n"


def test_latex(comparison, tmp_path):
    table = tmp_path / "table.tex"
    for _ in range(2):
        assert run("--out", comparison, "--latex", table, "--quiet").exit_code == 0
    lines = table.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("% made by: zoo compare --cells vanilla --tasks copying --seeds 1")
    assert r"cell & scope & parameters & lr & accuracy & 95 \% & solved \\" in lines
    table.write_text("mine\n", encoding="utf-8")
    refused = run("--out", comparison, "--latex", table)
    assert "table.tex was not written by --latex, and would be overwritten" in refused.stderr
    assert table.read_text(encoding="utf-8") == "mine\n"
    assert "create it first" in run("--out", comparison, "--latex", tmp_path / "no" / "table.tex").stderr


def test_strict(tmp_path):
    args = [
        "--cells",
        "vanilla",
        "--tasks",
        "copying",
        "--seeds",
        1,
        *SIZES,
        "--jobs",
        0,
        "--out",
        tmp_path / "x",
    ]
    args += ["--lr", 1e300, "--optimizer", "sgd"]
    lenient, strict = run(*args), run(*args, "--strict", "--quiet")
    assert (lenient.exit_code, strict.exit_code) == (0, 1)
    assert "s, diverged  left " in lenient.output
    assert lenient.output.count("vanilla on copying diverged (runs/copying/vanilla/lr1e+300-s0): after ") == 1
    assert "training diverged" not in lenient.output


def test_ctrl_c_prints_the_resume_command(tmp_path, monkeypatch):
    def compare(*args, **given):
        raise Interrupted(signal.SIGINT, tmp_path / "x")

    monkeypatch.setattr(zoo, "compare", compare, raising=False)
    result = run("--cells", "vanilla", "--tasks", "copying")
    assert result.exit_code == 130
    assert result.stderr == (
        f"Interrupted by SIGINT; all is saved. Resume with: zoo compare --out {tmp_path / 'x'}\n"
    )


def test_only_rank_0_prints_the_resume_command(tmp_path, monkeypatch, capsys):
    for rank, printed in ((0, "zoo compare --out 'a b'"), (1, "")):
        monkeypatch.setattr(errors, "rank_of_launch", lambda rank=rank: rank)
        with pytest.raises(click.exceptions.Exit) as ended:
            errors.exit_interrupted(Interrupted(signal.SIGTERM, tmp_path), ["zoo", "compare", "--out", "a b"])
        assert ended.value.exit_code == 143
        err = capsys.readouterr().err
        assert err == (f"Interrupted by SIGTERM; all is saved. Resume with: {printed}\n" if printed else "")


# ---- the displays -------------------------------------------------------------------------------------


class Now:
    """A clock that is set by hand."""

    def __init__(self):
        self.seconds = 0.0

    def __call__(self):
        return self.seconds


def stage(name, missing, later=(), jobs=None):
    listed = [
        {"path": f"runs/{path}", "task": "t", "cell": path[0], "size": len(path), "steps": 10}
        for path in (*missing, *later)
    ]
    first = len(missing)
    return {
        "event": "stage",
        "stage": name,
        "jobs": jobs or first,
        "missing": listed[:first],
        "upcoming": listed[first:],
    }


def at(kind, path, step):
    return {"event": kind, "path": f"runs/{path}", "step": step}


def record(**changes):
    usual = {"status": "finished", "error": "", "metric": "accuracy", "score": 0.5, "solved": False}
    return {**usual, "seconds": 3.0, **changes}


def done(path, stage="runs", **changes):
    return {"event": "job_done", "stage": stage, "path": f"runs/{path}", "record": record(**changes)}


def test_eta_follows_from_step_times():
    now, plan = Now(), {"event": "started", "jobs": 2}
    progress = ComparisonProgress(now)
    for event in (plan, stage("sweep", ["a1", "b1"], ["a2", "b2"])):
        progress.update(event)
    assert progress.eta() is None
    progress.update(at("compiled", "a1", 0))
    now.seconds = 4.0
    progress.update(at("step", "a1", 2))  # two seconds a step
    assert progress.eta() == (8 + 10 + 10 + 10) * 2 / 2
    progress.update(at("compiled", "b1", 0))
    now.seconds = 5.0
    progress.update(at("step", "b1", 1))  # one second a step
    assert progress.eta() == (8 * 2 + 10 * 2 + 9 * 1 + 10 * 1) / 2
    assert progress.fraction == pytest.approx((0.2 + 0.1) / 2)
    for path in ("a1", "b1"):
        progress.update(done(path, "sweep"))
    assert (progress.done, progress.jobs, progress.eta()) == (2, 2, (20 + 10) / 2)
    progress.update(stage("runs", ["a2"], jobs=3))
    assert (progress.done, progress.eta(), progress.fraction) == (2, 20.0, pytest.approx(2 / 3))


def test_step_times_are_of_one_size():
    """The name of a run that has two characters is of another size than one with three."""
    now = Now()
    progress = ComparisonProgress(now)
    for event in ({"event": "started", "jobs": 1}, stage("runs", ["a1", "a23", "a24"])):
        progress.update(event)
    for path, steps in (("a1", 10), ("a23", 5)):
        progress.update(at("compiled", path, 0))
        now.seconds += 10.0
        progress.update(at("step", path, steps))  # one second a step, then two
    assert progress.eta() == 0 * 1 + 5 * 2 + 10 * 2


def test_eta_of_a_resumed_run():
    now = Now()
    progress = ComparisonProgress(now)
    for event in ({"event": "started", "jobs": 1}, stage("runs", ["a1"]), at("resume", "a1", 6)):
        progress.update(event)
    now.seconds = 3.0
    progress.update(at("step", "a1", 7))
    assert progress.eta() == 9.0
    progress.update({"event": "worker_died", "path": "runs/a1", "text": "x"})
    assert progress.eta() == 30.0


EVENTS = [
    {
        "event": "started",
        "jobs": 2,
        "out": "runs/x",
        "data": {
            "t": {
                "table": {
                    "name": "load.csv",
                    "rows": 100,
                    "series": 1,
                    "sha256": "0123456789abcdef",
                    "parts": [80, 10, 10],
                    "step": "1 hour",
                    "uneven": 0.0,
                    "left_out": ["note, a text"],
                    "spec": {
                        "roles": {"target": ["load"], "input": ["day"], "known_future": []},
                        "season": 24,
                        "horizon": 3,
                        "context": 6,
                    },
                }
            }
        },
        "plan": {
            "cells": [{"label": "a"}, {"label": "b"}],
            "tasks": [{"label": "t"}],
            "seeds": 3,
            "size": {"hidden": 16},
            "settled": {},
            "length": {"seconds": 2.5},
            "rates": [0.01],
            "settings": {"layers": 2, "residual": True},
        },
    },
    stage("compile", ["a0"]),
    done("a0", "compile"),
    stage("speed", ["p"]),
    done("p", "speed", status="failed", error="ValueError: no"),
    stage("runs", ["a1", "b1"], jobs=3),
    at("start", "a1", 0),
    at("step", "a1", 5),
    {"event": "worker_died", "path": "runs/b1", "text": "signal 9 (Killed)"},
    done("a1", solved=True, score=0.99987),
    done("b1", status="diverged", score=0.125, seconds=90.0),
    {"event": "worker_started", "pid": 3},
    {"event": "ended", "seconds": 4.0},
]


def test_plain_lines():
    lines = []
    show = PlainCompareDisplay(lines.append, ComparisonProgress(Now()))
    for event in EVENTS:
        show(event)
    assert lines == [
        "cells  a, b",
        "tasks  t",
        "table  load.csv: 100 rows, sha256 0123456789ab",
        "reads  load, day; left out: note, a text",
        "target load, 3 steps ahead from 6, a season of 24",
        "split  80 rows to train, 10 to validate, 10 to test",
        "runs   3 of each, 2 layers with residual connections, 16 hidden, 2.5 seconds, lr 0.01",
        "out    runs/x",
        "compiling kernels: 1 job",
        "measuring the speed: 1 job",
        "1/1  p  failed: ValueError: no",
        "training: 3 jobs, 1 done before",
        "a worker process died in runs/b1 of signal 9 (Killed)",
        "2/3  a1  accuracy 0.9999, solved, 3.0 s  left 0:00",
        "3/3  b1  accuracy 0.125, 1:30 min, diverged  left 0:00",
    ]


@pytest.mark.parametrize(
    ("rates", "rounds", "expected"),
    [
        ([0.01], 4, "lr 0.01"),
        ([0.01, 0.03], 0, "lr chosen among 0.01, 0.03"),
        ([0.01, 0.03], 1, "lr chosen among 0.01, 0.03 (then others or longer runs, in up to 1 round)"),
        ([0.01, 0.03], 4, "lr chosen among 0.01, 0.03 (then others or longer runs, in up to 4 rounds)"),
    ],
)
def test_setup_line_announces_rounds_of_the_sweep(capsys, rates, rounds, expected):
    begin = EVENTS[0]
    with open_compare_display(quiet=False, as_json=False) as watch:
        watch({**begin, "plan": {**begin["plan"], "rates": rates, "sweep_rounds": rounds}})
    runs = [line for line in capsys.readouterr().err.splitlines() if line.startswith("runs ")]
    assert [line.endswith(f", {expected}") for line in runs] == [True]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ({"params": 1500}, "1,500 params"),
        ({"params": [1000, 16_000, 4000]}, "1,000, 4,000 and 16,000 params"),
        ({"hidden": [16, 32]}, "16 and 32 hidden"),
    ],
)
def test_setup_line_has_all_sizes(size, expected):
    lines, begin = [], EVENTS[0]
    PlainCompareDisplay(lines.append)(
        {**begin, "plan": {**begin["plan"], "size": size, "settings": {"layers": 1}}}
    )
    assert f"runs   3 of each, {expected}, 2.5 seconds, lr 0.01" in lines


def test_setup_lines_name_equal_models_before_the_training():
    lines, begin = [], EVENTS[0]
    by_size = {"1000": {"hidden": 9}, "1050": {"hidden": 9}, "4000": {"hidden": 20}}
    run_sizes = {"t": {"a": by_size, "b": {**by_size, "1050": {"hidden": 10}}}}
    PlainCompareDisplay(lines.append)({**begin, "plan": {**begin["plan"], "settled": run_sizes}})
    assert [line for line in lines if line.startswith("note ")] == [
        "note   a on t has 9 hidden units at each of the budgets 1,000 and 1,050, so it is the same model "
        "there; give budgets that differ by more."
    ]


def test_quiet_prints_problems_only(capsys):
    with open_compare_display(quiet=True, as_json=False) as watch:
        for event in EVENTS:
            watch(event)
    assert capsys.readouterr().err.splitlines() == [
        "Warning: runs/p  failed: ValueError: no",
        "Warning: a worker process died in runs/b1 of signal 9 (Killed)",
        "Warning: runs/b1  accuracy 0.125, 1:30 min, diverged",
    ]


def test_live_display():
    from rich.console import Console

    console = Console(force_terminal=True, width=80, record=True, file=io.StringIO())
    with LiveCompareDisplay(console, Now()) as show:
        for event in EVENTS[:8]:
            show(event)
        console.print(show._render())
        for event in EVENTS[8:]:
            show(event)
    text = console.export_text()
    assert "training  1 / 3" in text
    assert "  a1  5 / 10" in text
    assert "a worker process died in runs/b1" in text
    assert "2/3  a1  accuracy 0.9999, solved" in text
