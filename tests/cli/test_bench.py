"""``zoo bench`` on the command line: invalid arguments, output, files and exit codes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import asdict

import pytest
from bench_results import made, slower
from click.testing import CliRunner

from zoo.bench import bench
from zoo.cli.app import cli
from zoo.storage.document_marker import BEGINNING


def run(*args):
    return CliRunner(env={"ZOO_PLUGINS": ""}).invoke(
        cli, ["bench", *map(str, args)], prog_name="zoo", catch_exceptions=False
    )


@pytest.fixture
def measured(monkeypatch):
    """Store the calls instead of measuring, and return fixed results."""
    calls = []

    def measure(settings, tell):
        calls.append(settings)
        tell("lstm 1x1x1")
        return made()

    monkeypatch.setattr(bench, "measure", measure)
    return calls


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        ("--cells lstn", 2, "unknown cell 'lstn'. Did you mean 'lstm'"),
        ("--cells nothere.py:Cell", 2, "nothere.py: no such file or directory"),
        (
            "--cells clockwork --shapes 2x2x7",
            2,
            "H=7 is not divisible by groups=4; choose sizes that divide",
        ),
        ("--cells ,", 2, "there is nothing to measure"),
        ("--shapes 64x32", 2, "'64x32' is not a shape; expected time steps, batch and hidden units"),
        ("--shapes ,", 2, "there is nothing to measure"),
        ("--peers tensorflow", 2, "unknown peer 'tensorflow'"),
        ("--python pytensor=nothere", 2, "expected a peer and the interpreter that has it"),
        ("--threads 0", 2, "threads is 0; expected 1 to"),
        ("--threads two", 2, "--threads is 'two'; expected an integer."),
        ("--dtype float16", 2, "--dtype is 'float16'; expected one of 'float32', 'float64'."),
        ("--seconds 0", 2, "seconds is 0.0; expected a finite number above zero."),
        ("--seconds nan", 2, "seconds is nan"),
        ("--chart chart.pdf", 2, "expected a name that ends with .png or .svg"),
        ("--chart no/such/place.svg", 2, "no/such: no such file or directory"),
        ("--compare nothere.json", 2, "nothere.json: no such file or directory"),
    ],
)
def test_invalid_arguments_are_errors(args, code, words, tmp_path, monkeypatch, measured):
    monkeypatch.chdir(tmp_path)
    result = run(*args.split())
    assert words in " ".join(result.stderr.split())
    assert (result.exit_code, measured) == (code, [])
    assert list(tmp_path.iterdir()) == []


def test_chart_without_matplotlib_names_the_package(measured, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = run("--chart", "chart.png")
    assert result.stderr == (
        "Error: bench: charts need matplotlib; pip install 'recurrent-zoo[bench]' brings it.\n"
    )
    assert (result.exit_code, measured) == (2, [])


def test_flags_select_the_measurements(measured):
    sizes = ["--cells", "vanilla,mgu", "--shapes", "8x4x16", "--peers", "none", "--threads", 1]
    result = run(*sizes, "--no-compile", "--growth", "--inputs", "dense")
    assert result.exit_code == 0
    (settings,) = measured
    assert (settings.cells, [str(shape) for shape in settings.shapes]) == (("vanilla", "mgu"), ["8x4x16"])
    assert (settings.peers, settings.threads, settings.dtype) == ((), 1, "float32")
    assert settings.inputs == "dense"
    assert (settings.starts, settings.sampling, settings.growth) == (False, False, True)


def test_tables_go_to_stdout_and_progress_to_stderr(measured):
    result = run()
    assert result.stderr == "lstm 1x1x1\n"
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["lstm", "1×1×1", "torch", "2", "4", "2.00", "4.00"] in lines
    assert "rejected: its loss is 1, that of zoo 2" in result.stdout
    assert "torch has no gru." in result.stdout
    assert len(measured[0].shapes) == 5


def test_json_csv_and_markdown(measured, tmp_path):
    page = tmp_path / "page.md"
    result = run("--json", "--markdown", page)
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads(json.dumps({"format": 1, **asdict(made())}))
    rows = list(csv.DictReader(run("--csv").stdout.splitlines()))
    steps = [step for timing in made().races for step in timing.steps]
    assert [(row["contender"], row["least_s"]) for row in rows] == [
        (step.contender, "" if step.least_s is None else str(step.least_s)) for step in steps
    ]
    assert page.read_text(encoding="utf-8").startswith(BEGINNING)


def test_missing_marker_is_an_error_before_the_run(measured, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("mine\n", encoding="utf-8")
    result = run("--markdown", page)
    assert "has no place for the tables" in result.stderr
    assert (result.exit_code, measured, page.read_text(encoding="utf-8")) == (2, [], "mine\n")


def test_compare_exits_with_1_on_regression(measured, tmp_path, monkeypatch):
    old = tmp_path / "old.json"
    old.write_text(json.dumps(asdict(made())), encoding="utf-8")
    assert json.loads(run("--compare", old, "--threads", 1, "--json").stdout)["format"] == 1
    equal = run("--compare", old, "--threads", 1)
    assert equal.exit_code == 0
    assert equal.stdout.endswith(f"Compared with {old}: 0 of 4 ratios to peers fell by more than 15 %.\n")
    monkeypatch.setattr(bench, "measure", lambda *_: slower(made(), 1.5))
    fallen = run("--compare", old, "--threads", 1)
    assert fallen.exit_code == 1
    assert "2 of 4 ratios to peers fell by more than 15 %:\n  lstm 1x1x1, torch: 2.00" in fallen.stdout


def test_compare_with_other_settings_is_an_error(measured, tmp_path):
    old = tmp_path / "old.json"
    old.write_text(json.dumps(asdict(made())), encoding="utf-8")
    result = run("--compare", old, "--threads", 1, "--dtype", "float64")
    assert "has dtype float32, this run has float64" in " ".join(result.stderr.split())
    assert (result.exit_code, measured) == (2, [])


def test_real_run(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_DISABLE_JIT", "1")  # slow kernels, and nothing to compile
    sizes = ["--cells", "vanilla", "--shapes", "6x3x8", "--peers", "none", "--threads", 1]
    result = run(*sizes, "--seconds", 0.05, "--json")
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    (race,), (start,) = data["races"], data["starts"]
    (step,) = race["steps"]
    assert 0 < step["least_s"] <= step["median_s"]
    assert 0 < step["efficiency"] < 1
    assert min(start["compile_s"], start["load_s"]) > 0


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom zoo.cli.app import cli\n"
        "try:\n    cli(['bench', '--help'], prog_name='zoo')\nexcept SystemExit:\n    pass\n"
        "sys.stderr.write(' '.join({'numba', 'numpy', 'rich', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stderr, done.stdout.startswith("Usage: zoo bench")) == ("", True)
