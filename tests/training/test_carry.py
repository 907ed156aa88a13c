"""Carried states: a cell whose states grow diverges with them and trains without, and evaluation agrees."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from text_loss import mean_loss

import zoo
from zoo.cli.app import cli
from zoo.data import BpttBatches
from zoo.errors import UsageError, ZooError

TEXT = "the cat sat on the mat. the dog sat on the log.\n" * 60
SETTINGS = {"hidden": 8, "batch": 4, "seq": 8, "threads": 1, "eval_every": 10, "split": "80,20", "lr": 0.01}


class Growing(zoo.Cell):
    """A state that grows by half at each step."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x, h):
        return 1.5 * h + x @ self.W


@pytest.fixture
def text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text(TEXT, newline="")
    return path


def test_growing_states_diverge_only_if_they_are_carried(text, tmp_path):
    with pytest.raises(ZooError, match="training diverged"):
        zoo.train(text, Growing, **SETTINGS, steps=60, out=tmp_path / "carried")
    run = zoo.train(text, Growing, **SETTINGS, steps=60, carry=False, out=tmp_path / "reset")
    losses = [event["loss"] for event in run.history if event["event"] == "eval"]
    assert losses[-1] < losses[0] < 3


def test_default_is_to_carry(text, tmp_path):
    runs = [
        zoo.train(text, **SETTINGS, steps=10, out=tmp_path / str(n), **carry)
        for n, carry in enumerate(({}, {"carry": True}, {"carry": False}))
    ]
    default, carried, reset = (run.model.theta.tobytes() for run in runs)
    assert default == carried != reset


def test_run_without_carried_states_resumes_and_is_evaluated(text, tmp_path):
    whole = zoo.train(text, **SETTINGS, steps=20, carry=False, out=tmp_path / "whole")
    zoo.train(text, **SETTINGS, steps=10, carry=False, out=tmp_path / "run")
    arguments = ["train", "--resume", "--out", str(tmp_path / "run"), "--steps", "20", "--quiet"]
    assert CliRunner().invoke(cli, arguments).exit_code == 0
    assert zoo.load(tmp_path / "run").theta.tobytes() == whole.model.theta.tobytes()
    result = CliRunner().invoke(cli, ["eval", str(tmp_path / "run"), "--part", "valid", "--json"])
    valid = TEXT[len(TEXT) * 8 // 10 :]
    model = zoo.load(tmp_path / "run")
    expected = model.evaluate(valid, seq=8, batch_size=4, carry=False)["loss"]
    assert json.loads(result.stdout)["loss"] == expected
    tokens, count = model.vocab.encode(valid), (len(valid) - 1) // 32 * 32 + 1
    for loss, part in ((expected, tokens), (whole.best_loss, tokens[:count])):
        assert loss == pytest.approx(mean_loss(model, part, batch=4, seq=8, carry=False), rel=1e-6)


def test_flag(text, tmp_path):
    flags = ["--data", str(text), "--hidden", "8", "--batch", "4", "--seq", "8", "--steps", "2", "--quiet"]
    for flag, carry in (("--reset", False), ("--carry", True)):
        out = tmp_path / flag
        assert CliRunner().invoke(cli, ["train", *flags, flag, "--out", str(out)]).exit_code == 0
        assert zoo.Run(out).config.carry is carry


def test_model_is_fitted_and_evaluated_without_carried_states():
    model = zoo.LanguageModel("abc", hidden_size=4, seed=1, threads=1)
    model.fit("abcabc" * 20, epochs=1, batch_size=2, seq=4, carry=False)
    loss = model.evaluate("abcabcabc", batch_size=1, seq=4, carry=False)["loss"]
    streams = BpttBatches(model.vocab.encode("abcabcabc"), 1, 4)
    windows = [streams.window(n) for n in range(2)]
    assert loss == pytest.approx(np.mean([model.loss(w.inputs, w.targets)[0] for w in windows]), rel=1e-6)
    assert loss != model.evaluate("abcabcabc", batch_size=1, seq=4)["loss"]


def test_invalid_values():
    with pytest.raises(UsageError, match="carry is 'no'; expected True or False"):
        zoo.LanguageModel("abc").fit("abc", carry="no")
    with pytest.raises(UsageError, match="carry is 1; expected true or false"):
        zoo.train("builtin:hello", carry=1)
    with pytest.raises(UsageError, match=r"^`carry=False` is given with the task 'adding'; it applies"):
        zoo.train(task="adding", carry=False)
