"""Models with dropout and residuals: their gradients, texts, files and runs."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from zoo.cli.app import cli
from zoo.errors import CheckpointError, UsageError
from zoo.kernels import pure_python
from zoo.training import Config

VOCAB, T, B = "abcdef", 7, 9


def model(hidden=5, layers=3, dtype="float64", **chosen):
    made = zoo.LanguageModel(
        VOCAB, "vanilla", hidden, layers, dtype=dtype, seed=1, **{"threads": 1, **chosen}
    )
    made.theta += np.random.default_rng(0).normal(size=made.theta.size) / 3
    return made


@pytest.fixture(scope="module")
def text():
    return np.random.default_rng(0).integers(0, len(VOCAB), (2, T, B))


def test_dropout_is_active_in_training_only(text):
    plain, one = model(), model(dropout=0.5)
    np.testing.assert_array_equal(one.theta, plain.theta)
    assert one.loss(*text)[0] == plain.loss(*text)[0] == one.loss_and_grad(*text)[0]
    assert one.loss_and_grad(*text, noise=(0, 1))[0] != plain.loss_and_grad(*text, noise=(0, 1))[0]
    with pure_python():
        assert one.sample("a", 20) == plain.sample("a", 20)


@pytest.mark.parametrize("chosen", [{"threads": 3}, {"recompute": 2}])
def test_loss_does_not_depend_on_threads_and_segments(text, chosen):
    one, other = (model(dropout=0.5, residual=True, **each) for each in ({}, chosen))
    assert other.loss_and_grad(*text, noise=(1, 2))[0] == one.loss_and_grad(*text, noise=(1, 2))[0]
    np.testing.assert_allclose(other.grad, one.grad, rtol=1e-11, atol=1e-14)


@pytest.mark.parametrize("hidden", [5, len(VOCAB)])
def test_gradient_equals_finite_differences(text, hidden):
    one = model(hidden, dropout=0.3, residual=True)
    one.loss_and_grad(*text, noise=(1, 2))
    gradient, start, step = one.grad.copy(), one.theta.copy(), 1e-6
    direction, losses = np.random.default_rng(2).normal(size=start.size), []
    for sign in (1, -1):
        one.theta = start + sign * step * direction
        losses.append(one.loss_and_grad(*text, noise=(1, 2))[0])
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(gradient @ direction, rel=1e-6)


def assert_greedy(model):
    """Check that each sampled token is the most probable one."""
    text = model.sample("ab", 12, sampler="greedy")
    tokens = model.vocab.encode(text)
    logits, _ = model.logits(tokens[:-1, None])
    np.testing.assert_array_equal(logits[1:, 0].argmax(axis=1), tokens[2:])


@pytest.mark.parametrize("hidden", [5, len(VOCAB)])  # with the latter, the first layer adds its input too
def test_text_follows_the_logits(hidden):
    one = model(hidden, residual=True)
    assert [floor.is_residual for floor in one.stack.layers] == [hidden == len(VOCAB), True, True]
    with pure_python():
        assert_greedy(one)


def test_compiled_text_follows_the_logits():
    assert_greedy(model(len(VOCAB), 2, residual=True))


def test_metadata_holds_options_and_older_files_load(tmp_path, text):
    assert not {"dropout", "residual"} & model().metadata().keys()
    one = model(dropout=0.25, residual=True)
    one.save(tmp_path / "one.safetensors")
    loaded = zoo.load(tmp_path / "one.safetensors", threads=1)
    assert loaded.metadata() == one.metadata()
    assert (loaded.stack.dropout, loaded.config.residual) == (0.25, True)
    assert loaded.loss_and_grad(*text, noise=(1, 2))[0] == one.loss_and_grad(*text, noise=(1, 2))[0]
    model().save(tmp_path / "plain.safetensors")
    plain = zoo.load(tmp_path / "plain.safetensors")
    assert (plain.stack.dropout, plain.config.residual) == (0.0, False)


def test_models_of_a_config_are_those_of_its_keywords(text):
    options = {"dtype": "float64", "dropout": 0.5, "residual": True, "learned_state": True, "recompute": 3}
    config = zoo.layers.StackConfig("vanilla", len(VOCAB), 5, 2, **options)
    given = {"seed": 3, "threads": 1}
    language = zoo.LanguageModel(VOCAB, "vanilla", 5, 2, **options, **given)
    sequence = zoo.SequenceModel("vanilla", len(VOCAB), len(VOCAB), 5, 2, **options, **given)
    for one, other in (
        (language, zoo.LanguageModel.from_config(language.vocab, config, **given)),
        (sequence, zoo.SequenceModel.from_config(config, len(VOCAB), **given)),
    ):
        assert one.config == other.config == config
        losses = [each.loss_and_grad(*text, noise=(0, 1))[0] for each in (one, other)]
        assert losses[0] == losses[1]
        np.testing.assert_array_equal(one.grad, other.grad)


@pytest.mark.parametrize("facts", [{"dropout": 2}, {"dropout": "half"}, {"residual": 1}])
def test_invalid_metadata_raises(tmp_path, facts):
    from zoo.model import model_from
    from zoo.storage import Checkpoint

    one = model()
    meta = {"kind": "language model", "model": one.metadata() | facts}
    with pytest.raises(CheckpointError, match="its description of the model is not one zoo wrote"):
        model_from(Checkpoint(one.to_checkpoint().arrays, meta), "here")


def test_sequence_model_with_dropout_and_residual():
    one = zoo.SequenceModel("vanilla", 3, 2, 4, 2, dtype="float64", dropout=0.5, residual=True, threads=1)
    x = np.random.default_rng(0).normal(size=(T, B, 3))
    targets = np.zeros(B, int)
    assert one.loss_and_grad(x, targets, noise=(0, 1))[0] != one.loss_and_grad(x, targets, noise=(0, 2))[0]
    assert one.loss_and_grad(x, targets)[0] == one.loss(x, targets)[0]


# ---- runs ---------------------------------------------------------------------------------------------

SETTINGS = {"hidden": 6, "layers": 2, "seq": 3, "batch": 1, "save_every": 2, "dropout": 0.5, "residual": True}


def test_resumed_run_ends_in_the_same_bits(tmp_path):
    whole = zoo.train("builtin:hello", out=tmp_path / "whole", steps=6, **SETTINGS)
    zoo.train("builtin:hello", out=tmp_path / "parts", steps=4, **SETTINGS)
    parts = zoo.train("builtin:hello", out=tmp_path / "parts", steps=6, resume=True, **SETTINGS)
    np.testing.assert_array_equal(parts.model.theta, whole.model.theta)
    assert (whole.model.stack.dropout, whole.model.config.residual) == (0.5, True)
    with pytest.raises(CheckpointError, match=r"dropout: 0\.5 -> 0\.25"):
        zoo.train(
            "builtin:hello", out=tmp_path / "parts", steps=8, resume=True, **{**SETTINGS, "dropout": 0.25}
        )


def test_on_the_command_line(tmp_path):
    sizes = "--hidden 6 --layers 2 --seq 3 --batch 1 --steps 2 --quiet"
    command = f"train --data builtin:hello {sizes} --dropout 0.5 --residual --out {tmp_path / 'run'}"
    assert CliRunner().invoke(cli, command.split(), catch_exceptions=False).exit_code == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["dropout"], config["residual"]) == (0.5, True)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"dropout": 0.5}, "dropout is 0.5 and there is one layer"),
        ({"dropout": 1, "layers": 2}, "dropout is 1; expected a number from 0 up to, not including, 1"),
        ({"dropout": "half", "layers": 2}, "dropout is 'half'"),
        ({"residual": "yes"}, "residual is 'yes'; expected true or false"),
    ],
)
def test_invalid_settings(settings, words):
    with pytest.raises(UsageError, match=words):
        Config(**settings)
