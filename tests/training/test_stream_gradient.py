"""Online gradients of a run: exact across windows, resumed to the bit, and sentences for invalid settings."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.kernels import pure_python
from zoo.online import gradients
from zoo.training import config as settings_of_runs
from zoo.training.config_conversion import make_config
from zoo.training.text_dataset import prepare_text

SETTINGS = {"hidden": 4, "batch": 3, "seq": 4, "threads": 1, "split": "80,20", "eval_every": 2, "steps": 4}


class Echo(zoo.Task):
    """Repeat the bit of three steps before, in a stream whose batches have two steps."""

    input_size = output_size = 2

    def make_batch(self, index, size, seed, part):
        bits = np.stack([zoo.TaskRng(seed, part, row).integers(0, 2, 1000) for row in range(size)], axis=1)
        first = 3 + 2 * index
        inputs, targets = bits[first : first + 2], bits[first - 3 : first - 1]
        return zoo.Batch(inputs, targets, np.ones(targets.shape), continues=index > 0)

    def baseline(self):
        return 0.5


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat. the dog sat on the log.\n" * 60, newline="")
    return path


def test_names_of_the_setting():
    assert ("bptt", *gradients.GRADIENTS) == settings_of_runs.GRADIENTS


def test_windows_of_a_text_have_the_gradient_of_the_whole_text(text):
    """The parameters stay, so that the mean over three windows is the gradient of one long window."""
    arguments = {**SETTINGS, "data": (str(text),), "dtype": "float64", "gradient": "rtrl"}
    config, dataset = prepare_text(make_config(arguments))
    model = dataset.make_model(zoo.get_cell("lstm"), config)
    windows, carry, total = [dataset.train.window(step) for step in range(3)], None, 0.0
    with pure_python():
        for step in range(3):
            _, carry, _ = dataset.loss_and_grad(model, step, carry, (0, step))
            total = total + model.grad / 3
        inputs, targets = (
            np.concatenate([getattr(window, name) for window in windows]) for name in ("inputs", "targets")
        )
        model.loss_and_grad(inputs, targets)
    np.testing.assert_allclose(total, model.grad, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("gradient", gradients.GRADIENTS)
def test_resumed_run_is_the_same_to_the_bit(text, tmp_path, gradient):
    def train(name, **settings):
        options = {"gradient": gradient, "scheduled_sampling": 0.5, "sampling_steps": 2, **settings}
        return zoo.train(text, "gru", out=tmp_path / name, **{**SETTINGS, **options})

    with pure_python():
        whole, other = train("whole"), train("other", gradient="bptt")
        train("parts", steps=2)
        resumed = train("parts", resume=True)
        with pytest.raises(zoo.CheckpointError, match=rf"\(gradient: '{gradient}' -> 'bptt'\)"):
            train("parts", resume=True, steps=6, gradient="bptt")
    np.testing.assert_array_equal(resumed.model.theta, whole.model.theta)
    assert not np.array_equal(other.model.theta, whole.model.theta)


def test_task_with_batches_that_continue(tmp_path):
    with pure_python():
        losses = {}
        for gradient in ("bptt", "rtrl"):
            options = {"hidden": 6, "batch": 4, "lr": 0.03, "steps": 150, "threads": 1, "eval_batches": 4}
            run = zoo.train(task=Echo, cell="gru", gradient=gradient, out=tmp_path / gradient, **options)
            losses[gradient] = min(event["loss"] for event in run.history if event["event"] == "eval")
    assert losses["rtrl"] < 0.8 * losses["bptt"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"gradient": "snap"}, "gradient is 'snap'; expected 'bptt', 'rtrl' or 'uoro'"),
        ({"gradient": "rtrl", "carry": False}, "without carried states there is no gradient across windows"),
        ({"gradient": "rtrl", "embedding": 4}, "the influence of an embedding is not computed"),
        ({"gradient": "rtrl", "hidden": 1024}, "the influence of RTRL takes .* GiB, .*; use UORO"),
        ({"gradient": "uoro", "layers": 2, "dropout": 0.1}, "no derivative of `dropout` between layers"),
    ],
)
def test_invalid_settings(text, tmp_path, settings, sentence):
    with pytest.raises(zoo.UsageError, match=sentence):
        zoo.train(text, out=tmp_path / "run", **{**SETTINGS, **settings})
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("gradient", gradients.GRADIENTS)
def test_task_with_separate_batches(tmp_path, gradient):
    with pytest.raises(zoo.UsageError, match="batches of task 'copying' do not continue"):
        zoo.train(task="copying", cell="gru", hidden=4, gradient=gradient, steps=1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
