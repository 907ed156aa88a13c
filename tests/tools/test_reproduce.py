"""The program that repeats published results: its rows, its verdicts and its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import reproduce
from csv_rows import read_rows
from reproduce import CLAIMS, Claim, Model, Row

import zoo
from zoo.comparison.specs import find_cell
from zoo.registry import resolve_cell

ROOT = Path(__file__).parents[2]
MODELS = [(claim, model) for claim in CLAIMS for model in claim.models]


def row(score, solved, seed=0):
    return Row(
        "parity-nonlinear",
        "gru",
        seed,
        100,
        10,
        0.01,
        "accuracy",
        score,
        solved,
        1.0,
        "finished",
        "2026-01-01",
    )


@pytest.mark.parametrize(("claim", "model"), MODELS, ids=lambda each: getattr(each, "name", ""))
def test_models_and_tasks_exist(claim, model):
    assert resolve_cell(model.spec, **model.options)
    assert zoo.get_task(claim.task, **claim.options).card
    assert claim.url.startswith("https://")


def test_labels_of_a_claim_differ():
    for claim in CLAIMS:
        labels = [reproduce.label_of(model) for model in claim.models]
        assert len(labels) == len(set(labels))


def test_a_model_is_trained_with_its_options_and_every_seed():
    short = {"longest": 3, "tested": 4}
    claim = Claim("x", "x", "x", "x", "parity", [], short, settings={"hidden": 2, "steps": 2})
    model = Model("deltanet(delta_net)", True, 0.01, reproduce.COSINE, {"negative_eigenvalues": True})
    with zoo.kernels.pure_python():
        rows = reproduce.measure(claim, model, seeds=2, batch=2, eval_batches=1)
    assert [(each.seed, each.steps, each.status) for each in rows] == [(0, 2, "finished"), (1, 2, "finished")]
    assert {each.model for each in rows} == {"deltanet(delta_net), negative_eigenvalues=True"}


@pytest.mark.parametrize(("claim", "model"), MODELS, ids=lambda each: getattr(each, "name", ""))
def test_models_have_the_options_of_their_labels(claim, model):
    """No customary value replaces a default: the rows of the file were measured with the defaults."""
    options = find_cell(model.spec, reproduce.all_options(model))[0].options
    defaults = resolve_cell(model.spec).options
    changed = {name: value for name, value in options.items() if value != defaults[name]}
    assert changed.items() <= model.options.items()
    assert model.options.items() <= options.items()


def test_chrono_initialisation_draws_the_biases_of_the_gates():
    cell = resolve_cell(reproduce.CHRONO_LSTM, t_max=50.0)
    i, f, g, o = np.split(cell.params["b"].init(np.random.default_rng(0), (4000,), cell), 4)
    assert np.array_equal(i, -f)
    assert not g.any()
    assert not o.any()
    times = np.exp(f)  # uniform between 1 and 49
    assert times.min() == pytest.approx(1, abs=0.1)
    assert times.max() == pytest.approx(49, abs=0.1)
    assert times.mean() == pytest.approx(25, abs=1.5)


@pytest.mark.parametrize(
    ("solves", "solved", "verdict"),
    [
        (True, [1, 1, 0], True),
        (True, [1, 0, 0], False),
        (False, [0, 0, 0], True),
        (False, [1, 0, 0], False),
        (None, [0, 0, 0], None),
    ],
)
def test_verdict(solves, solved, verdict):
    rows = [row(0.5, bool(each)) for each in solved]
    model = Model("gru", solves, 0.01)
    assert reproduce.is_reproduced(model, rows) is verdict
    counts = "" if sum(solved) in (0, 3) else f", {sum(solved)} of 3 seeds"
    assert reproduce.verdict(model, rows) == {True: f"yes{counts}", False: f"**no**{counts}"}.get(
        verdict, "–"
    )


@pytest.mark.parametrize(
    ("model", "cell", "block"),
    [
        (Model("lstm", True, 0.1, options={"forget_bias": 1.0}), "lstm, forget_bias=1.0", "–"),
        (Model("mamba(mamba)", True, 0.1), "mamba", "mamba"),
        (
            Model("deltanet(delta_net+zoneout)", True, 0.1, options={"x": 1}),
            "delta_net+zoneout, x=1",
            "deltanet",
        ),
        (Model(reproduce.CHRONO_LSTM, True, 0.1), "ChronoLSTM", "–"),
    ],
)
def test_block_has_a_column(model, cell, block):
    assert reproduce.cell_and_block(model) == (cell, block)


def test_published_numbers_name_their_place():
    numbers = [model.published for _, model in MODELS if model.published]
    assert numbers
    places = ("Table", "Figure", "section", "README", "notebook")
    assert all(any(place in number for place in places) for number in numbers)
    assert all(number.count('"') in (0, 2) for number in numbers)


def test_only_missing_models_are_trained_and_the_page_has_them(tmp_path, monkeypatch):
    trained = []

    def measure(claim, model):
        trained.append(model.spec)
        name = reproduce.label_of(model)
        return [
            Row(claim.name, name, seed, 9, 5, model.lr, "accuracy", 0.96, True, 0.1, "finished", "2026-01-01")
            for seed in (0, 1)
        ]

    monkeypatch.setattr(reproduce, "measure", measure)
    file, page = tmp_path / "new" / "rows.csv", tmp_path / "page.md"
    page.write_text("<!-- reproductions, made by: -->\n<!-- end of what was made -->\n")
    words = [str(file), "--only", "parity-nonlinear", "--page", str(page)]
    assert reproduce.main(words) == 0
    assert trained == ["gru", "lstm", "vanilla", "slstm(slstm)"]
    assert reproduce.main(words) == 0
    assert len(trained) == 4
    shown = "| `gru` | – | `parity` | 1 × 64, 9 parameters, 5 updates | solved"
    assert shown in page.read_text()
    assert "| 0.96 accuracy | 2/2 | yes |" in page.read_text()


def test_page_shows_the_stored_runs():
    rows = read_rows(ROOT / "results" / "reproductions.csv", reproduce.Row)
    assert rows
    text = (ROOT / "docs" / "reproductions.md").read_text(encoding="utf-8")
    assert "\n".join(reproduce.table(rows).markdown()) in text
