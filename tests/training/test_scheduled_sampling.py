"""Scheduled sampling: which inputs become samples of the model, exact resume, and invalid settings."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.errors import UsageError
from zoo.kernels import pure_python
from zoo.training.config_conversion import make_config
from zoo.training.text_dataset import prepare_text

SETTINGS = {"hidden": 4, "batch": 4, "seq": 8, "threads": 1, "split": "80,20", "eval_every": 2, "steps": 4}


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("the cat sat on the mat. the dog sat on the log.\n" * 60, newline="")
    return path


def prepared(text, **settings):
    config, dataset = prepare_text(make_config({"data": (str(text),), **SETTINGS, **settings}))
    return config, dataset, dataset.make_model(zoo.get_cell("vanilla"), config)


def test_inputs_become_samples_with_a_probability_that_grows(text):
    _, dataset, model = prepared(text, scheduled_sampling=0.5, sampling_steps=10, seq=200)
    model.theta = np.zeros_like(model.theta)
    model.params["by"][[3, 5]] = 50.0, 50.0 + np.log(3)  # one quarter and three quarters
    inputs = np.zeros((200, 40), np.int32)
    with pure_python():
        shares = []
        for step in (0, 5, 10, 20):
            mixed = dataset._mixed_inputs(model, step, inputs, None, (0, step))
            assert not mixed[0].any()
            assert set(np.unique(mixed)) <= {0, 3, 5}
            shares.append((mixed[1:] > 0).mean())
    np.testing.assert_allclose(shares, [0, 0.25, 0.5, 0.5], atol=0.02)
    assert (mixed == 5).sum() / (mixed > 0).sum() == pytest.approx(0.75, abs=0.02)
    assert not inputs.any()


def test_sample_depends_on_the_token_before_it_and_the_states(text):
    """A model that repeats its input gives the token before."""
    _, dataset, model = prepared(text, scheduled_sampling=0.9, sampling_steps=1, hidden=16)
    size = model.output_size
    model.theta = np.zeros_like(model.theta)
    model.params["l0.Wxh"][:, :16] = np.eye(size, 16) * 9
    model.params["Why"][:] = np.eye(16, size) * 99
    inputs = np.random.default_rng(0).integers(0, size, (8, 4)).astype(np.int32)
    with pure_python():
        mixed = dataset._mixed_inputs(model, 1, inputs, None, (0, 1))
    assert (mixed != inputs).any()
    assert ((mixed[1:] == inputs[1:]) | (mixed[1:] == inputs[:-1])).all()


def test_resumed_run_is_the_same_to_the_bit(text, tmp_path):
    def train(name, **settings):
        return zoo.train(text, out=tmp_path / name, **{**SETTINGS, "scheduled_sampling": 0.5, **settings})

    with pure_python():
        whole, plain = train("whole"), train("plain", scheduled_sampling=0.0)
        train("parts", steps=2, sampling_steps=4)
        resumed = train("parts", resume=True)
        np.testing.assert_array_equal(resumed.model.theta, whole.model.theta)
        longer = train("parts", resume=True, steps=5)
        with pytest.raises(zoo.CheckpointError, match=r"\(scheduled_sampling: 0.5 -> 0.0; "):
            train("parts", resume=True, steps=6, scheduled_sampling=0.0)
    assert (longer.config.steps, longer.config.sampling_steps) == (5, 4)
    assert (whole.config.sampling_steps, plain.config.sampling_steps) == (4, None)
    assert not np.array_equal(plain.model.theta, whole.model.theta)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"scheduled_sampling": 1},
            "scheduled_sampling is 1; expected a number from 0 up to, not including, 1",
        ),
        ({"sampling_steps": 5}, "`sampling_steps` is given without `scheduled_sampling`; give both"),
    ],
)
def test_invalid_settings(settings, sentence, text):
    with pytest.raises(UsageError, match=sentence):
        prepared(text, **{"data": (str(text),), **settings})
