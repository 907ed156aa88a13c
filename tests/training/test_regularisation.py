"""Constraints, penalties and parameter groups in training: gradients, logs, resumed runs, errors."""

from __future__ import annotations

import json

import numpy as np
import pytest

import zoo
from zoo.errors import UnknownNameError, UsageError, ZooError
from zoo.kernels import pure_python
from zoo.model import vocabulary_loss
from zoo.model.two_pass_step import ActivityPenalty
from zoo.training import Run
from zoo.training.regularisation import as_assignments

T, N, I, V = 4, 9, 2, 3  # noqa: E741 - the letters of the documents
RNG = np.random.default_rng(0)
X, Y, LAST = RNG.normal(size=(T, N, I)), RNG.normal(size=(T, N, V)), RNG.normal(size=(N, V))
LENGTHS = np.array([4, 3, 0, 2, 4, 1, 4, 4, 3])
ALL = [zoo.get_penalty("l1", factor=0.2), zoo.get_penalty("firing_rate", factor=3.0, target=0.3)]

SETTINGS = {
    "task": "evidence",
    "task_options": {"length": 3},
    "hidden": 5,
    "batch": 4,
    "steps": 8,
    "threads": 1,
    "log_every": 2,
    "eval_every": 4,
    "eval_batches": 1,
    "optimizer": "adamw",
    "constraints": {"Whh": "dale:0.6", "Why": zoo.get_constraint("fixed_sign")},
    "penalties": {"activity": ["l2:1e-2", "firing_rate:factor=1,target=0.1"], "W*": "l1:1e-3"},
    "param_groups": {"bh": "frozen", "by": {"lr_factor": 0.5, "weight_decay": 0}},
}


@pytest.fixture(autouse=True)
def _interpreted():
    with pure_python():
        yield


def model(cell="vanilla", **chosen):
    return zoo.SequenceModel(
        cell, I, V, 3, **{"dtype": "float64", "threads": 1, "loss": "squared_error", **chosen}
    )


@pytest.mark.parametrize(
    ("options", "targets", "lengths"),
    [
        ({}, Y, None),
        ({"num_layers": 2}, LAST, None),
        ({"cell": "ctrnn"}, Y, None),
        ({"cell": ["gru", "vanilla"], "residual": True}, LAST, LENGTHS),
        ({"recompute": 2}, LAST, LENGTHS),
        ({"bidirectional": True}, Y, LENGTHS),
    ],
    ids=[
        *("one layer", "two layers, last step", "output is not the state", "two cells, lengths, last step"),
        *("recomputed, lengths, last step", "bidirectional, lengths"),
    ],
)
def test_gradient_of_loss_and_penalty(options, targets, lengths):
    one, arguments = model(**options), {"inputs": X, "targets": targets, "lengths": lengths}
    plain = one.loss_and_grad(**arguments)[0]
    penalty = one.activity_penalty = ActivityPenalty(ALL)
    loss, state = one.loss_and_grad(**arguments)
    assert loss == plain
    assert penalty.value > 0
    final = one.loss(**arguments)[1]
    assert all((state[name] == final[name]).all() for name in final)
    gradient, direction = one.grad.copy(), RNG.normal(size=one.theta.size)
    start, eps, totals = one.theta.copy(), 1e-6, []
    for sign in (1, -1):
        one.theta = start + sign * eps * direction
        totals.append(one.loss_and_grad(**arguments)[0] + penalty.value)
    assert (totals[0] - totals[1]) / (2 * eps) == pytest.approx(gradient @ direction, rel=1e-6)


def test_gradient_with_a_large_vocabulary(monkeypatch):
    tokens = RNG.integers(0, 6, (2, T, N))
    small = zoo.LanguageModel("abcdef", hidden_size=3, embedding=3, tie=True, dtype="float64", threads=1)
    monkeypatch.setattr(vocabulary_loss, "LARGE_VOCABULARY", 2)
    large = zoo.LanguageModel("abcdef", hidden_size=3, embedding=3, tie=True, dtype="float64", threads=1)
    for each in (small, large):
        each.activity_penalty = ActivityPenalty(ALL)
        each.loss_and_grad(*tokens)
    assert large._is_large
    assert not small._is_large
    np.testing.assert_allclose(large.grad, small.grad, rtol=1e-9, atol=1e-12)


def test_fit_adds_the_gradients_of_penalties_before_it_clips():
    one, other = model(), model()
    sgd, l1, l2 = zoo.get_optimizer("sgd", lr=0.5), zoo.get_penalty("l1"), zoo.get_penalty("l2", factor=0.3)
    events = one.fit(X, Y, steps=1, batch_size=N, optimizer=sgd, clip=0.1, penalties={"*": [l1, l2]})
    rows = np.random.default_rng([0, 0]).permutation(N)
    other.loss_and_grad(X[:, rows], Y[:, rows])
    gradient = other.grad + 1e-4 * np.sign(other.theta) + 0.6 * other.theta
    expected = other.theta - 0.5 * gradient * min(1.0, 0.1 / np.linalg.norm(gradient))
    np.testing.assert_allclose(one.theta, expected, rtol=1e-12)
    penalty = 1e-4 * np.abs(other.theta).sum() + 0.3 * (other.theta**2).sum()
    assert events[0]["penalty"] == pytest.approx(penalty)
    assert one.activity_penalty is None


def test_a_frozen_embedding_keeps_its_bits():
    one = zoo.LanguageModel("abcdef", hidden_size=3, embedding=4, threads=1)
    before, why = one.params["embedding"].copy(), one.params["Why"].copy()
    one.fit("abcdefab" * 9, epochs=2, optimizer="adamw", param_groups="embedding:frozen")
    np.testing.assert_array_equal(one.params["embedding"], before)
    assert (one.params["Why"] != why).all()


def test_fit_with_constraints_goes_on_from_allowed_values():
    one = model()
    one.fit(X, Y, steps=3, lr=0.1, constraints={"Whh": "dale"}, penalties="activity=l2:1")
    assert one.activity_penalty is None
    before = one.params["Whh"].copy()
    one.fit(X, Y, steps=1, lr=1e-300, constraints={"Whh": "dale"})
    np.testing.assert_allclose(one.params["Whh"], before, rtol=0, atol=1e-290)
    assert (before[:2] >= 0).all()
    assert (before[2:] <= 0).all()


def test_nothing_given_changes_no_bit():
    one, other = model(), model()
    one.fit(X, Y, steps=3)
    other.fit(X, Y, steps=3, constraints={}, penalties=(), param_groups=None)
    np.testing.assert_array_equal(one.theta, other.theta)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    with pure_python():
        return zoo.train(**SETTINGS, out=tmp_path_factory.mktemp("runs") / "whole")


def test_a_run_holds_constraints_and_frozen_values(run):
    params = run.model.params
    initial = zoo.SequenceModel("vanilla", 3, 2, 5).params
    assert (params["Whh"][:3] >= 0).all()
    assert (params["Whh"][3:] <= 0).all()
    np.testing.assert_array_equal(params["bh"], initial["bh"])
    assert (np.sign(params["Why"]) == np.sign(initial["Why"])).mean() > 0.5
    assert ((np.sign(params["Why"]) == np.sign(initial["Why"])) | (params["Why"] == 0)).all()
    assert params["by"].any()


def test_the_configuration_and_the_log(run):
    config = json.loads((run.path / "config.json").read_text())
    assert config["constraints"] == ["Whh=dale:excitatory=0.6", "Why=fixed_sign"]
    assert config["penalties"] == [
        "activity=l2:factor=0.01",
        "activity=firing_rate:factor=1.0,target=0.1",
        "W*=l1:factor=0.001",
    ]
    assert config["param_groups"] == ["bh:frozen", "by:lr_factor=0.5,weight_decay=0.0"]
    steps = [event for event in run.history if event["event"] == "step"]
    assert all(event["penalty"] > 0 for event in steps)
    assert not any("penalty" in event for event in run.history if event["event"] == "eval")


@pytest.mark.parametrize("is_large", [False, True], ids=["whole", "in blocks"])
def test_a_resumed_run_has_the_same_bits(run, tmp_path, monkeypatch, is_large):
    if is_large:
        monkeypatch.setattr("zoo.base.optimizer.BLOCK_SIZE", 7)
    zoo.train(**{**SETTINGS, "steps": 5}, out=tmp_path / "part")
    stored = {
        name: list(getattr(Run(tmp_path / "part").config, name))
        for name in ("constraints", "penalties", "param_groups")
    }  # as the command line gives them again
    resumed = zoo.train(**{**SETTINGS, **stored}, out=tmp_path / "part", resume=True)
    np.testing.assert_array_equal(resumed.model.theta, run.model.theta)
    last = [[event for event in each.history if event["event"] == "step"][-1] for each in (resumed, run)]
    assert last[0]["penalty"] == last[1]["penalty"]


def test_settings_of_a_file_may_be_one_text_or_a_list():
    config = zoo.training.make_config({"constraints": "Whh=dale", "penalties": ["activity=l2:1"]})
    assert (config.constraints, config.penalties) == (("Whh=dale",), ("activity=l2:1",))


def test_a_resumed_run_needs_the_same_penalties(run):
    with pytest.raises(ZooError, match=r"another configuration \(penalties: .* -> \[\]\)"):
        zoo.train(**{**SETTINGS, "penalties": None}, out=run.path, resume=True)


def test_forms_of_an_assignment():
    penalty = zoo.get_penalty("firing_rate", factor=0.5, target=0.1)
    for given in (
        "activity=firing_rate:0.5,target=0.1",
        ["activity = firing_rate:target=0.1,factor=0.5"],
        {"activity": penalty},
        {"activity": [penalty]},
    ):
        (assigned,) = as_assignments(zoo.Penalty, given, "penalties")
        assert (assigned.pattern, assigned.component) == ("activity", penalty)
        assert as_assignments(zoo.Penalty, [str(assigned)], "penalties") == (assigned,)


SLOW = """
import numpy as np
import zoo


class Slow(zoo.Penalty):
    "Squared change of the activity from step to step."

    activity_only = True

    def value_and_grad(self, values, weights):
        change, kept = np.diff(values, axis=0), weights[1:]
        gradient = np.zeros_like(values)
        gradient[1:] += 2 * kept * change
        gradient[:-1] -= 2 * kept * change
        return (kept * change**2).sum(), gradient
"""


def test_a_class_in_a_file(tmp_path):
    (tmp_path / "own.py").write_text(SLOW)
    one = model()
    one.fit(X, Y, steps=1, penalties=f"activity={tmp_path / 'own.py'}:Slow:0.1")
    with pytest.raises(UsageError, match="has no class 'Fast'; its penalties are Slow"):
        one.fit(X, Y, steps=1, penalties=f"activity={tmp_path / 'own.py'}:Fast:0.1")
    with pytest.raises(UsageError, match=r"penalties is .*; expected texts with registered names"):
        zoo.training.make_config({"penalties": ("activity=own.py:Slow",)})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"constraints": {"Whh": "dalle"}}, "unknown constraint 'dalle'. Did you mean 'dale'"),
        (
            {"constraints": {"Wh": "dale"}},
            "constraints has the pattern 'Wh', which matches no parameter; "
            "expected one of l0.Wxh, .*, by. Did you mean 'Wxh'",
        ),
        ({"constraints": {"bh": "dale"}}, r"constraint 'dale': parameter l0.bh has the shape \(3,\)"),
        ({"constraints": "Whh"}, "constraints has 'Whh'; expected PATTERN=NAME"),
        ({"constraints": "Whh=frozen"}, "belongs to a group; give `param_groups` PATTERN:frozen"),
        ({"constraints": "Whh=dale:2"}, "option 'excitatory' is 2.0; expected a finite number at least 0"),
        ({"constraints": 5}, "constraints is 5; expected a mapping"),
        ({"constraints": {5: "dale"}}, "constraints has the pattern 5; expected a text"),
        (
            {"constraints": "W*=nonnegative", "param_groups": "Whh:frozen"},
            "l0.Whh is frozen by `param_groups`",
        ),
        ({"penalties": "activity=l2:x"}, "option 'factor' is 'x'"),
        ({"penalties": "activity=l2:-1"}, "option 'factor' is -1.0"),
        ({"penalties": "activity=l2:target=1"}, "has no option 'target'; it has: factor"),
        ({"penalties": "activty=l2"}, "expected one of .*, by, activity. Did you mean 'activity'"),
        ({"penalties": "Whh=firing_rate"}, "firing_rate applies to 'activity' only"),
        ({"penalties": {"activity": zoo.Constraint}}, "is not a penalty"),
        ({"param_groups": "Whh:lr=1"}, "give lr_factor"),
    ],
)
def test_invalid_settings(settings, words):
    with pytest.raises((UsageError, UnknownNameError, ZooError), match=words):
        model().fit(X, Y, steps=1, **settings)
