"""``zoo report`` on the command line."""

from __future__ import annotations

import pytest
import report_fixtures as examples
from click.testing import CliRunner

import zoo
from zoo.cli.app import cli
from zoo.report import figures


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return examples.train(tmp_path_factory.mktemp("cli"), steps=2)


def report(*arguments: object):
    with zoo.kernels.pure_python():
        return CliRunner().invoke(cli, ["report", *map(str, arguments)])


def test_page_is_written_to_directory_or_out(run, tmp_path):
    done = report(run, "--symbols", 30)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"{run / 'report.html'}  ")
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    done = report(run, "--symbols", 0, "--out", tmp_path / "page.html")
    assert (tmp_path / "page.html").exists()
    assert "hidden-units" not in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_run_with_a_report_can_be_resumed(run):
    assert report(run, "--symbols", 0).exit_code == 0
    with zoo.kernels.pure_python():
        resumed = zoo.train(run.parent / "text.txt", out=run, resume=True, hidden=8, clip=0.5, steps=3)
    assert resumed.ended == "finished"


def test_data_that_were_moved_are_named_by_a_flag(tmp_path):
    run = examples.train(tmp_path, steps=1)
    moved = (tmp_path / "text.txt").rename(tmp_path / "moved.txt")
    done = report(run, "--symbols", 30)
    assert done.exit_code == 0, done.output
    assert (
        "is missing: no such file or directory. Restore it, or name the file with --data FILE." in done.stderr
    )
    done = report(run, "--symbols", 30, "--data", moved)
    assert (done.exit_code, done.stderr) == (0, "Open it in a browser; it needs no network.\n")
    done = report(run, "--data", "nothing.txt")
    assert (done.exit_code, "nothing.txt, is missing" in done.stderr) == (2, True)


def test_text_of_standard_input_is_named_by_a_flag(tmp_path):
    text = tmp_path / "text.txt"
    text.write_text(examples.TEXT, encoding="utf-8")
    with zoo.kernels.pure_python():
        words = ["train", "--data", "-", "--hidden", 4, "--steps", 1, "--out", tmp_path / "run", "--quiet"]
        trained = CliRunner().invoke(cli, [str(word) for word in words], input=examples.TEXT)
    assert trained.exit_code == 0, trained.output
    done = report(tmp_path / "run", "--symbols", 30)
    assert "standard input, which is not read again; name its file with --data FILE." in done.stderr
    done = report(tmp_path / "run", "--symbols", 30, "--data", text)
    assert (done.exit_code, done.stderr) == (0, "Open it in a browser; it needs no network.\n")


def test_figures(run, tmp_path):
    pytest.importorskip("matplotlib")
    done = report(
        run, "--symbols", 0, "--out", tmp_path / "page.html", "--figures", "svg", tmp_path / "figures"
    )
    assert done.exit_code == 0, done.output
    assert (tmp_path / "figures" / "loss.svg").exists()
    assert str(tmp_path / "figures" / "loss.svg") in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing"], 2, "nothing: no such file or directory; `zoo runs` lists the runs."),
        (["{run}", "--out", "no/page.html"], 2, "no: no such file or directory; create it first"),
        (
            ["{run}", "--figures", "gif", "x"],
            2,
            "--figures is 'gif x'; expected one of 'pdf', 'png', 'svg' and a",
        ),
        (["{run}", "--symbols", "-1"], 2, "--symbols is -1; expected an integer from 0 to 100,000."),
        (["{run}", "--cell", "lstm"], 2, "the run stores the names of its cells"),
        ([], 2, "Error: RUN|COMPARISON is missing; expected `"),
    ],
)
def test_invalid_arguments_are_errors(run, arguments, code, message):
    done = report(*(argument.format(run=run) for argument in arguments))
    assert (done.exit_code, "Traceback" in done.output) == (code, False)
    assert message in done.output


def test_nothing_is_written_without_matplotlib(run, tmp_path, monkeypatch):
    monkeypatch.setattr(figures.importlib.util, "find_spec", lambda name: None)
    done = report(run, "--out", tmp_path / "page.html", "--figures", "svg", tmp_path / "figures")
    assert done.exit_code == 2
    assert "pip install 'recurrent-zoo[report]'" in done.output
    assert list(tmp_path.iterdir()) == []
