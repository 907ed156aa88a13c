"""The table of what each cell learns: a few cells and steps of it, stopped, resumed and judged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import train_all_cells

import zoo
from zoo.data import BpttBatches

TEXT = "abcab" * 40 + "acb" * 300
WHY = "It sees no symbol but the last."


def run(tmp_path: Path, *more: str) -> int:
    text = tmp_path / "text.txt"
    text.write_text(TEXT * 3, encoding="utf-8")
    where = ["--out", str(tmp_path / "runs"), "--data", str(text), "--page", str(tmp_path / "table.md")]
    return train_all_cells.main([*where, "--hidden", "8", *more])


def result_of(nats: float | None, trainability: str = "") -> train_all_cells.Trained:
    return train_all_cells.Trained("x", "tests", "recurrence", 10, nats, 2.0, trainability)


def test_reference_line_is_bigram_entropy() -> None:
    assert train_all_cells.entropy(np.array([1, 1, 2])) == pytest.approx(1.5 * np.log(2))
    sure = BpttBatches(np.tile(np.arange(3, dtype=np.int32), 50), batch=2, seq=8)
    assert train_all_cells.pair_entropy(sure) == pytest.approx(0)
    # After 0 comes 0 or 1, equally often, and after 1 always 0: a coin for two symbols of three.
    half = BpttBatches(np.tile(np.array([0, 0, 1], np.int32), 100)[:257], batch=1, seq=256)
    assert train_all_cells.pair_entropy(half) == pytest.approx(np.log(2) * 2 / 3, rel=0.01)


@pytest.mark.parametrize(
    ("nats", "trainability", "verdict", "is_expected"),
    [
        (1.9, "", "below the line", True),
        (2.0, "", "not below: and its card does not say why", False),
        (None, "", "diverged: and its card does not say why", False),
        (2.1, WHY, f"not below: {WHY}", True),
        (None, WHY, f"diverged: {WHY}", True),
        (1.9, WHY, "below the line, though its card says otherwise", False),
    ],
)
def test_verdicts(nats: float | None, trainability: str, verdict: str, is_expected: bool) -> None:
    result = result_of(nats, trainability)
    assert (result.verdict, result.is_as_expected) == (verdict, is_expected)


def test_table_is_sorted_with_legend() -> None:
    text = train_all_cells.page([result_of(None, WHY), result_of(1.5)], "builtin:hello", 10, 8)
    rows = [line for line in text.splitlines() if line.startswith("| [")]
    assert rows == [
        "| [x](tests/x.md) | recurrence | 1.500 | 2.164 |",
        "| [x](tests/x.md) | recurrence | - | - |",
    ]
    between = text.index(rows[0]), text.index("| *entropy given the previous symbol* |  | 2.000 | 2.885 |")
    assert between[0] < between[1] < text.index(rows[1])
    assert f"| x | {WHY} |" in text.splitlines()
    assert "a bare layer of 8 units" in " ".join(text.split())
    assert "after 10 steps on `builtin:hello`" in " ".join(text.split())
    assert "2.000 nats or 2.885 bits" in " ".join(text.split())


def test_second_call_trains_nothing_and_prints_same_table(tmp_path: Path, capsys) -> None:
    assert run(tmp_path, "--cells", "vanilla", "--steps", "3") == 1  # three steps are not enough
    times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert times
    table = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert "| [vanilla](classic/vanilla.md) | recurrence | " in table
    assert run(tmp_path, "--cells", "vanilla,lif", "--steps", "3") == 1
    assert {path: path.stat().st_mtime_ns for path in times} == times
    both = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert next(line for line in table.splitlines() if "[vanilla]" in line) in both
    assert "[lif](spiking/lif.md)" in both
    assert len(capsys.readouterr().out.splitlines()) == 3


def test_other_cells_keep_their_rows(tmp_path: Path, capsys) -> None:
    assert run(tmp_path, "--cells", "vanilla", "--steps", "3") == 1
    table = tmp_path / "table.md"
    row = next(line for line in table.read_text(encoding="utf-8").splitlines() if "[vanilla]" in line)
    assert run(tmp_path, "--cells", "lif", "--steps", "3") == 0  # its card gives a reason
    both = table.read_text(encoding="utf-8")
    assert row in both.splitlines()
    assert "[lif](spiking/lif.md)" in both
    table.write_text(both.replace("|  | 0.", "|  | 1."), encoding="utf-8")
    assert run(tmp_path, "--cells", "lif", "--steps", "3") == 1
    assert "Error: the page is about another text" in capsys.readouterr().err


def test_stopped_run_resumes(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    text = tmp_path / "text.txt"
    text.write_text(TEXT * 3, encoding="utf-8")
    expected = train_all_cells.train_cell("vanilla", whole, str(text), 20, 8)

    def stop(event: dict) -> None:
        if event["event"] == "step":
            raise RuntimeError

    settings = {"steps": 20, "hidden": 8, "eval_every": 20, "save_every": 4, "log_every": 9}
    with pytest.raises(RuntimeError):
        zoo.train(str(text), "vanilla", out=parts, on_event=stop, **settings)
    assert train_all_cells.train_cell("vanilla", parts, str(text), 20, 8) == expected


def test_untrainable_cell_is_one_message(tmp_path: Path, capsys) -> None:
    assert run(tmp_path, "--cells", "vanila", "--steps", "3") == 1
    assert "Did you mean 'vanilla'?" in capsys.readouterr().err
    assert not (tmp_path / "table.md").exists()
