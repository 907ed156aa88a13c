"""The program that trains all cells: its rows, and how it continues."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import evaluate_cells
import pytest
from csv_rows import append_rows, read_rows
from evaluate_cells import Pair, Point, Row

import zoo
from zoo.comparison.model_info import customary_options

TINY = {
    "seeds": 2,
    "layers": 2,
    "steps": 2,
    "batch": 2,
    "eval_batches": 1,
    "params": 3000,
    "lr_grid": (0.01, 0.1),
}


def test_pairs_are_all_cells_and_the_blocks_of_their_cards():
    pairs = list(evaluate_cells.all_pairs())
    bare = [pair for pair in pairs if pair.block == "bare"]
    assert {pair.cell for pair in bare} == set(zoo.list_cells())
    assert len(bare) == len(zoo.list_cells()) * len(evaluate_cells.TASKS)
    assert Pair("mamba", "mamba", "adding") in pairs
    assert Pair("lru", "glu", "text").spec == "glu(lru)"
    assert len(set(pairs)) == len(pairs)
    assert [*evaluate_cells.all_pairs(["gru", "lstm", "gru"])] == [*evaluate_cells.all_pairs(["gru", "lstm"])]


def test_rows_of_a_pair_have_every_parameter_and_the_curve():
    with zoo.kernels.pure_python():
        rows, points = evaluate_cells.measure(Pair("vanilla", "prenorm", "adding"), TINY)
    assert [row.seed for row in rows] == [0, 1]
    for row in rows:
        assert (row.status, row.metric, row.steps) == ("finished", "squared_error", 2)
        assert row.parameters == row.cell_parameters + row.block_parameters + row.readout_parameters
        assert row.block_parameters > row.hidden
        assert row.sweep in ("", "edge", "plateau")
    assert [point.step for point in points] == [1, 2]


def test_errors_do_not_name_the_folder_of_a_run(tmp_path):
    message = f"the loss is nan; lower `lr`. {tmp_path}/run/s0 keeps what was saved before."
    assert evaluate_cells.without_folder(message, tmp_path) == "the loss is nan; lower `lr`."
    assert evaluate_cells.without_folder("", tmp_path) == ""
    stored = (Path(evaluate_cells.__file__).parents[1] / "results" / "cells.csv").read_text(encoding="utf-8")
    assert "keeps what was saved" not in stored


def test_a_pair_that_cannot_be_trained_is_a_row_with_its_error():
    rows, points = evaluate_cells.measure(Pair("lstm", "bare", "adding"), {**TINY, "params": 2})
    assert [row.status for row in rows] == ["failed"]
    assert rows[0].options == "forget_bias=1.0"
    assert "parameters" in rows[0].error
    assert points == []


def test_options_of_the_results_are_those_of_comparisons():
    """Stored rows state every option that is not a default, so that a comparison repeats them."""
    for name in zoo.list_cells():
        own, customary = evaluate_cells.CELL_OPTIONS.get(name, {}), customary_options(zoo.get_cell(name))
        assert customary.items() <= own.items(), name


class Pool:
    """Runs jobs one after the other in this process."""

    def __init__(self, *_args, **_options):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def submit(self, function, *arguments):
        from concurrent.futures import Future

        future = Future()
        future.set_result(function(*arguments))
        return future


@pytest.fixture
def trained(monkeypatch):
    """The pairs that were trained, without training them."""
    pairs = []

    def measure(pair, settings):
        pairs.append((pair, settings))
        row, point = (
            Row(pair.cell, pair.block, pair.task, evaluate_cells.options_of(pair.cell), seed=0),
            Point(pair.cell, pair.block, pair.task, 1, 0.5, None),
        )
        return [row, row], [point]

    monkeypatch.setattr(evaluate_cells, "measure", measure)
    monkeypatch.setattr(evaluate_cells, "ProcessPoolExecutor", Pool)
    return pairs


def test_finished_pairs_are_skipped(tmp_path, trained, capsys):
    chosen = ["--cells", "lstm,mamba", "--tasks", "adding,parity"]
    assert evaluate_cells.main([str(tmp_path), *chosen, "--blocks", "bare"]) == 0
    assert len(trained) == 4
    assert all(settings["params"] == 10_000 for _, settings in trained)
    assert evaluate_cells.main([str(tmp_path), *chosen]) == 0
    assert [pair for pair, _ in trained[4:]] == [
        Pair("mamba", "mamba", "adding"),
        Pair("mamba", "mamba", "parity"),
    ]
    assert "4 of 6 pairs are done" in capsys.readouterr().out
    with (tmp_path / "cells.csv").open(newline="") as lines:
        assert len(list(csv.DictReader(lines))) == 12
    assert evaluate_cells.main([str(tmp_path), *chosen, "--list"]) == 0
    assert len(trained) == 6


def test_results_with_other_options_or_columns_are_an_error(tmp_path, trained):
    file, chosen = tmp_path / "cells.csv", [str(tmp_path), "--cells", "lstm", "--tasks", "adding"]
    append_rows(file, [Row("lstm", "bare", "adding", "forget_bias=2.0", seed=0)], Row)
    with pytest.raises(ValueError, match=r"lstm was measured with the options 'forget_bias=2.0', and .* has"):
        evaluate_cells.main(chosen)
    file.write_text(file.read_text(encoding="utf-8").replace(",options,", ",", 1), encoding="utf-8")
    with pytest.raises(
        ValueError, match=r"has the columns cell, block, task, seed, .*; expected cell, block"
    ):
        evaluate_cells.main(chosen)
    assert trained == []


def test_validations_of_a_stopped_pair_are_replaced(tmp_path, trained):
    pair = Pair("lstm", "bare", "adding")
    append_rows(tmp_path / "curves.csv", [Point("lstm", "bare", "adding", 9, 0.1, None)], Point)
    append_rows(tmp_path / "curves.csv", [Point("gru", "bare", "adding", 9, 0.1, None)], Point)
    assert evaluate_cells.main([str(tmp_path), "--cells", "lstm", "--tasks", "adding", "--jobs", "1"]) == 0
    assert [each for each, _ in trained] == [pair]
    with (tmp_path / "curves.csv").open(newline="") as lines:
        assert [(line["cell"], line["step"]) for line in csv.DictReader(lines)] == [
            ("gru", "9"),
            ("lstm", "1"),
        ]


def test_no_pair_begins_after_the_given_time(tmp_path, trained):
    assert evaluate_cells.main([str(tmp_path), "--tasks", "adding", "--minutes", "0", "--jobs", "3"]) == 0
    assert len(trained) == 3


PARENT = """
import multiprocessing, time
from evaluate_cells import end_with_parent

def sleep():
    end_with_parent()
    print("ready", flush=True)
    time.sleep(60)

if __name__ == "__main__":
    process = multiprocessing.get_context("spawn").Process(target=sleep)
    process.start()
    process.join()
"""


def test_workers_end_when_the_command_is_killed(tmp_path):
    (program := tmp_path / "parent.py").write_text(PARENT)
    paths = os.pathsep.join(sys.path)
    command = [sys.executable, str(program)]
    with subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == "ready\n"
        start = time.monotonic()
        parent.kill()
        assert parent.stdout.read() == ""  # the worker has closed the pipe, too
        assert time.monotonic() - start < 30  # it would sleep for 60 s


@pytest.mark.parametrize(
    ("text", "message"),
    [("adding,no,1.5\n", "line 2: a value has another type"), ("adding,True\n", "line 2: expected 3 values")],
)
def test_invalid_lines_raise_with_the_line(tmp_path: Path, text: str, message: str) -> None:
    @dataclass
    class Line:
        task: str
        solved: bool
        score: float

    (tmp_path / "lines.csv").write_text(f"task,solved,score\n{text}", encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        read_rows(tmp_path / "lines.csv", Line)
