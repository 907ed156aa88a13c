"""Analyses in training: what the events hold, and that they change no number."""

from __future__ import annotations

import inspect
import itertools
import sys
from pathlib import Path

import numpy as np
import pytest
import report_fixtures as examples

import zoo
from zoo.analysis import gate_saturation, gradient_by_lag
from zoo.analysis.loss_gradients import norms_by_lag
from zoo.base.cell import _RESERVED

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "zoo-leaky" / "zoo_leaky.py"


def analyses(run: Path) -> list[dict]:
    return [event for event in zoo.Run(run).history if event["event"] == "analysis"]


def test_analysis_event_every_n_steps(tmp_path):
    run = examples.train(tmp_path, cell="gru", lr=0.3, analyse_every=4, steps=8, eval_every=8)
    logged = analyses(run)
    assert [event["step"] for event in logged] == [4, 8]
    assert set(logged[-1]["saturation"]) == {"l0.reset_gate", "l0.forget_gate", "l0.candidate"}
    assert set(logged[-1]["gradient_by_lag"]) == {"l0.h"}
    assert all(0 <= share <= 1 for shares in logged[-1]["saturation"].values() for share in shares)
    _, text = zoo.training.prepare_text(zoo.Run(run).config)
    inputs = text.valid.window(0).inputs
    with zoo.kernels.pure_python():
        saturation = gate_saturation(zoo.load(run), inputs)
        lags = gradient_by_lag(zoo.load(run), inputs)
    assert any(share > 0 for shares in saturation.values() for share in shares)
    for name, shares in saturation.items():
        assert logged[-1]["saturation"][name] == pytest.approx(shares, rel=1e-5)
    assert logged[-1]["gradient_by_lag"]["l0.h"] == pytest.approx(lags["l0.h"], rel=1e-5)


@pytest.mark.parametrize("task", ["adding", "copying"])
def test_task_is_analysed_at_its_last_target(tmp_path, task):
    settings = {"task": task, "hidden": 6, "batch": 4, "steps": 2, "eval_batches": 1, "analyse_every": 2}
    options = {"adding": {"length": 9}, "copying": {"length": 3, "delay": 4}}[task]
    with zoo.kernels.pure_python():
        run = zoo.train(**settings, task_options=options, out=tmp_path / "run").path
    (logged,) = analyses(run)
    batch = zoo.get_task(task, **options).batch(0, 4, 0, "valid")
    last = np.flatnonzero(batch.weights.any(axis=1))[-1]
    assert len(logged["gradient_by_lag"]["l0.h"]) == last + 1
    assert logged["gradient_by_lag"]["l0.h"][0] > 0


ARGUMENTS = sorted(
    {
        name
        for function in (gate_saturation, gradient_by_lag)
        for name in [*inspect.signature(function).parameters][:-1]
        if name not in _RESERVED
    }
)


@pytest.mark.parametrize("name", ["dt", *ARGUMENTS])
def test_auxiliary_input_may_have_the_name_of_an_argument_of_an_analysis(tmp_path, name):
    class Gated(zoo.Cell):
        """A cell with an auxiliary input."""

        W = zoo.Param("I", "H", init="glorot_uniform")
        U = zoo.Param("H", "H", init="orthogonal")
        h = zoo.State("H")
        locals()[name] = zoo.Input(default=1.0)

        step = eval(f"lambda self, x, h, {name}: zoo.tanh(x @ self.W + h @ self.U) * {name}")

    class Weighted(zoo.Task):
        """The sum of two numbers."""

        input_size, output_size, loss, metric = 1, 1, "squared_error", "squared_error"

        def draw_examples(self, rng, size, part):
            x = rng.uniform(5, size, 1)
            return zoo.Batch(x, x.cumsum(axis=0), np.ones((5, size)), aux={name: x[..., 0]})

        def baseline(self):
            return 1.0

    settings = {"hidden": 3, "batch": 4, "steps": 2, "eval_batches": 1, "analyse_every": 1}
    with zoo.kernels.pure_python():
        run = zoo.train(task=Weighted, cell=Gated, **settings, out=tmp_path / name).path
        logged = analyses(run)
        model = zoo.load(run, cell=Gated)
        x = Weighted().batch(0, 4, 0, "valid")
        expected = norms_by_lag(model, x.inputs, x.targets, x.aux, lags=5)
    assert len(logged) == 2
    assert logged[-1]["gradient_by_lag"]["l0.h"] == pytest.approx(expected["l0.h"], rel=1e-5)


def test_analyses_do_not_change_results(tmp_path):
    runs = []
    for every in (0, 3):
        (tmp_path / str(every)).mkdir()
        runs.append(
            examples.train(tmp_path / str(every), cell="lstm+zoneout", hidden=4, steps=6, analyse_every=every)
        )
    plain, analysed = (zoo.load(run).theta for run in runs)
    assert plain.tobytes() == analysed.tobytes()
    assert [len(analyses(run)) for run in runs] == [0, 2]


def test_run_can_be_resumed_with_analyses(tmp_path):
    run = examples.train(tmp_path, steps=2)
    settings = {"hidden": 8, "clip": 0.5, "steps": 4, "analyse_every": 2, "resume": True, "out": run}
    with zoo.kernels.pure_python():
        zoo.train(tmp_path / "text.txt", **settings)
    assert [event["step"] for event in analyses(run)] == [4]


def test_cell_without_step_has_no_saturation(tmp_path):
    leaky = zoo.registry.load_cell_file(f"{EXAMPLE}:Leaky")
    try:
        run = examples.train(tmp_path, cell=leaky, steps=2, analyse_every=2)
    finally:
        sys.modules.pop(leaky.__module__, None)
    (logged,) = analyses(run)
    assert logged["saturation"] == {}
    assert set(logged["gradient_by_lag"]) == {"l0.h"}


@pytest.mark.parametrize("clipping", [{"clip": 0.05}, {"clip": 0.0, "clip_value": 0.001}, {"clip": 0.0}])
def test_norm_after_clipping_is_logged(tmp_path, clipping):
    run = examples.train(tmp_path, steps=4, log_every=1, **clipping)
    steps = [event for event in zoo.Run(run).history if event["event"] == "step"]
    pairs = [(event["grad_norm"], event["clipped_norm"]) for event in steps]
    if clipping["clip"]:
        assert [after for _, after in pairs] == pytest.approx([0.05] * 4, rel=1e-5)
    elif "clip_value" in clipping:
        assert all(0 < after < before for before, after in pairs)
    else:
        assert all(after == before for before, after in pairs)
    assert all(a != b for a, b in itertools.pairwise(before for before, _ in pairs))
