"""``zoo.compare`` with an online gradient: equal runs, resuming, and requests without such a gradient."""

from __future__ import annotations

import json

import numpy as np
import pytest

import zoo
from zoo.comparison.plan import DEFAULTS
from zoo.comparison.setup_description import describe_setup
from zoo.errors import CheckpointError, UsageError
from zoo.online.gradients import GRADIENTS
from zoo.report.paper import methods_text
from zoo.storage import PLAN_FILE


class Copied(zoo.Task):
    """The input of the step before; every sequence continues the one of the batch before."""

    loss = metric = "squared_error"
    input_size = output_size = 1

    def draw_examples(self, rng, size, part):
        x = rng.uniform(3, size, 1)
        return zoo.Batch(x, np.concatenate([x[:1], x[:-1]]), np.ones((3, size)), continues=True)

    def baseline(self):
        return 1 / 12


SETTINGS = {"hidden": 2, "steps": 4, "lr": 0.01, "batch": 2, "eval_batches": 1}


def compare(out, cells=("vanilla", "gru"), tasks=(Copied,), **settings):
    with zoo.kernels.pure_python():
        return zoo.compare(
            list(cells), list(tasks), **{**SETTINGS, "seeds": 1, "jobs": 0, **settings}, out=out
        )


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_runs_equal_single_runs_with_the_gradient_and_can_be_extended(gradient, tmp_path):
    result = compare(tmp_path / "all", gradient=gradient)
    given = {**SETTINGS, **{name: DEFAULTS[name] for name in ("schedule", "schedule_options")}}
    for run in result.runs:
        stored = zoo.Run(result.path / run.path)
        with zoo.kernels.pure_python():
            single, other = (
                zoo.train(
                    task=Copied,
                    cell=run.cell,
                    **given,
                    gradient=name,
                    threads=1,
                    out=tmp_path / name / run.cell,
                )
                for name in (gradient, "bptt")
            )
        assert stored.config.gradient == gradient
        np.testing.assert_array_equal(stored.model.theta, single.model.theta)
        assert not np.array_equal(stored.model.theta, other.model.theta)
    assert f"--gradient {gradient}" in result.metadata["command"]
    assert any(f"gradients by {gradient}" in line for line in describe_setup(result))
    assert f"gradients across batches by {gradient.upper()}" in methods_text(result)
    more = compare(tmp_path / "all", seeds=2)
    assert [zoo.Run(more.path / run.path).config.gradient for run in more.runs] == [gradient] * 4
    with pytest.raises(CheckpointError, match=rf"gradient: '{gradient}' -> 'bptt'"):
        compare(tmp_path / "all", gradient="bptt")


def test_a_plan_without_a_gradient_has_bptt(tmp_path):
    result = compare(tmp_path / "all", cells=["vanilla"])
    plan = json.loads((result.path / PLAN_FILE).read_text())
    assert plan["settings"].pop("gradient") == "bptt"  # as in older plans
    (result.path / PLAN_FILE).write_text(json.dumps(plan))
    assert compare(result.path, cells=["vanilla"]).plan == result.plan
    assert not any("gradients by" in line for line in describe_setup(result))
    assert "gradients across" not in methods_text(result)


def write_series(folder):
    path = folder / "load.csv"
    path.write_text("load\n" + "".join(f"{n % 7}\n" for n in range(60)))
    return {"data": path, "tasks": (), "target": "load", "horizon": 1, "context": 3}


INVALID = {
    "separate batches": (
        {"tasks": ["adding"]},
        "the batches of task 'adding' do not continue the ones before, so that BPTT is exact",
    ),
    "one of two tasks": ({"tasks": [Copied, "parity"]}, "the batches of task 'parity' do not continue"),
    "a data set": (
        write_series,
        r"compare: `gradient` is '\w+', and a data set such as load.csv has BPTT alone",
    ),
    "backwards": ({"bidirectional": True}, "bidirectional is given with the task 'copied'"),
}


@pytest.mark.parametrize("gradient", GRADIENTS)
@pytest.mark.parametrize("case", INVALID)
def test_a_request_without_online_gradients_is_one_sentence(case, gradient, tmp_path):
    settings, sentence = INVALID[case]
    given = settings(tmp_path) if callable(settings) else settings
    with pytest.raises(UsageError, match=sentence):
        compare(tmp_path / "all", gradient=gradient, **given)
    assert not (tmp_path / "all").exists()


def test_the_memory_of_rtrl_is_checked_before_a_run(tmp_path):
    with pytest.raises(UsageError, match=r"cell 'vanilla': the influence of RTRL takes .* GiB"):
        compare(tmp_path / "all", gradient="rtrl", hidden=1500)
    assert not (tmp_path / "all").exists()


@pytest.mark.parametrize("gradient", GRADIENTS)
def test_an_embedding_has_no_online_gradient(gradient, tmp_path):
    (tmp_path / "text.txt").write_text("monday tuesday " * 30)
    options = {"text": {"data": str(tmp_path / "text.txt"), "seq": 2}}
    with pytest.raises(UsageError, match="of vanilla on text: the influence of an embedding is not computed"):
        compare(tmp_path / "all", ["vanilla"], ["text"], gradient=gradient, embedding=2, options=options)
    assert not (tmp_path / "all").exists()
