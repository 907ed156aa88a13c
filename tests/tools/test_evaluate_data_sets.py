"""Results on data sets: runs that exist are skipped, the rule of the learning rate, and the tables."""

from __future__ import annotations

from pathlib import Path

import evaluate_data_sets
import numpy as np
import pytest
from evaluate_data_sets import DataSet, Results, Row

from zoo.data import LabelledSequences
from zoo.storage.document_marker import END


def forecast_set() -> tuple[dict[str, np.ndarray], None]:
    return {"y": np.sin(np.arange(200) / 2)}, None


def label_set() -> tuple[LabelledSequences, LabelledSequences]:
    parts = np.random.default_rng(0).normal(size=(40, 5, 1))
    labels = ["up" if part[0, 0] > 0 else "down" for part in parts]
    train, test = (
        LabelledSequences.from_arrays(parts[half], labels[half]) for half in (slice(20), slice(20, 40))
    )
    return train, test


def run_of(lr: float | None, seed: int, validation: float | None, score: float = 1.0, **more: float) -> Row:
    return Row("a", "gru", lr, seed, validation, "mase", score, None, None, **more)


def test_runs_are_stored_skipped_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = (
        DataSet("waves", "none", forecast_set, "y", {"horizon": 2, "context": 8}),
        DataSet("signs", "none", label_set),
    )
    for name, value in {
        "DATA_SETS": sets,
        "CELLS": ("vanilla",),
        "METHODS": ("vanilla", "vanilla correction"),
        "RATES": (0.01, 0.03),
        "SEEDS": (0, 1),
        "SETTINGS": {"hidden": 4, "steps": 2, "threads": 1},
    }.items():
        monkeypatch.setattr(evaluate_data_sets, name, value)
    results, page = tmp_path / "results.csv", tmp_path / "page.md"
    markers = (f"<!-- {name}, made by: x -->\n{END}\n" for name in ("forecasts", "labels"))
    page.write_text("".join(markers))
    assert evaluate_data_sets.main([str(results), "--data-sets", "waves"]) == 0
    assert evaluate_data_sets.main([str(results), "--page", str(page)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["waves"] * 6 + ["signs"] * 3
    stored = results.read_text()
    assert evaluate_data_sets.main([str(results)]) == 0
    assert (capsys.readouterr().out, results.read_text()) == ("", stored)
    shown = page.read_text()
    assert "| method | waves |" in shown
    assert "| logistic regression | " in shown
    assert "| `vanilla` | " in shown
    assert "| `vanilla` correction | " in shown


def test_learning_rate_has_the_lowest_validation_loss_of_the_first_seed(tmp_path: Path) -> None:
    rows = [run_of(0.1, 0, 3.0), run_of(0.2, 0, 2.0), run_of(0.3, 1, 1.0), run_of(0.2, 1, 5.0)]
    assert evaluate_data_sets.best_rate(rows) == 0.2
    assert evaluate_data_sets.best_rate([run_of(None, 0, None)]) is None
    results = Results(tmp_path / "r.csv")
    results.add(rows)
    results.add(rows)
    stored = Results(tmp_path / "r.csv")
    assert stored.rows == results.rows == rows
    assert [(row.lr, row.seed) for row in stored.of("a", "gru")] == [(0.2, 0), (0.2, 1)]


@pytest.mark.parametrize(
    ("gain", "verdict", "interval"),
    [
        ((0.1, None, None), "uncertain: too few windows", "none"),
        ((0.1, 0.05, 0.2), "is better", "+5.0 to +20.0"),
        ((-0.1, -0.2, -0.05), "is worse", "-20.0 to -5.0"),
        ((0.1, -0.05, 0.2), "is not clearly better or worse", "-5.0 to +20.0"),
    ],
)
def test_verdict_is_that_of_the_median_seed(
    tmp_path: Path, gain: tuple[float, ...], verdict: str, interval: str
) -> None:
    named = dict(zip(("gain", "gain_low", "gain_high"), gain, strict=True))
    results = Results(tmp_path / "r.csv")
    results.add(
        [run_of(0.1, 0, 1.0, 0.5, **named), run_of(0.1, 1, 1.0, gain=0.9), run_of(0.1, 2, 1.0, gain=-0.9)]
    )
    ((*_, shown, given),) = evaluate_data_sets.verdict_table(results, "mase").rows
    assert (shown, given) == (interval, verdict)
    assert evaluate_data_sets.score_table(results, "mase").rows == (("`gru`", "0.83 (0.50–1.00)"),)
