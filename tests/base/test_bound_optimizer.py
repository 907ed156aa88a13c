"""Bound optimizers: the same updates as the pure functions, in place, and their state."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import zoo
from zoo.errors import UsageError
from zoo.training.clipping import Clip


def layer(seed=0, hidden_size=4):
    return zoo.Recurrent("vanilla", 2, hidden_size, seed=seed, threads=1)


def draw_gradient(target, seed):
    target.grad = np.random.default_rng(seed).normal(size=target.grad.size)


@pytest.mark.parametrize("is_large", [False, True])
@pytest.mark.parametrize("name", zoo.list_optimizers())
def test_steps_equal_the_pure_functions(name, is_large, monkeypatch):
    if is_large:  # blocks that neither divide the vector nor are multiples of a SIMD register
        monkeypatch.setattr("zoo.base.optimizer.MAX_WHOLE_BYTES", 0)
        monkeypatch.setattr("zoo.base.optimizer.BLOCK_SIZE", 11)
    rnn, optimizer = layer(), zoo.get_optimizer(name, lr=0.01)
    theta, slots = rnn.theta.copy(), optimizer.init(rnn.theta)
    opt = optimizer.bind(rnn)
    for step in range(1, 5):
        draw_gradient(rnn, step)
        rate = opt.lr = 0.01 / step
        theta, slots = optimizer.apply(theta, rnn.grad, slots, step, rate)
        opt.step()
        np.testing.assert_array_equal(rnn.theta, theta)
    np.testing.assert_array_equal(rnn.params["Wxh"].ravel(), theta[:8])
    assert opt.state["step"] == 4
    for slot, value in slots.items():
        np.testing.assert_array_equal(opt.state[slot], value)


def test_several_targets_are_one_vector():
    first, second, model = layer(), layer(1), zoo.LanguageModel("ab", hidden_size=3)
    weight, weight_grad = np.ones((3, 2), np.float32), np.full((3, 2), 0.5, np.float32)
    targets = first, second, model
    opt = zoo.get_optimizer("sgd", lr=0.1, momentum=0.9).bind(*targets, (weight, weight_grad), clip_norm=0.5)
    theta = np.concatenate([*(target.theta for target in targets), weight.ravel()])
    slots = opt.optimizer.init(theta)
    for step in range(1, 4):
        for target in targets:
            draw_gradient(target, step)
        grad = np.concatenate([*(target.grad for target in targets), weight_grad.ravel()])
        clipped = Clip(norm=0.5).apply(grad).grad
        theta, slots = opt.optimizer.apply(theta, clipped, slots, step)
        opt.step()
    actual = np.concatenate([*(target.theta for target in targets), weight.ravel()])
    np.testing.assert_allclose(actual, theta, rtol=1e-6)


def test_only_longer_gradients_are_clipped():
    theta, grad = np.zeros(2), np.array([3.0, 4.0])
    opt = zoo.get_optimizer("sgd", lr=1.0).bind((theta, grad), clip_norm=1.0)
    opt.step()
    np.testing.assert_allclose(theta, [-0.6, -0.8])
    np.testing.assert_array_equal(grad, [3.0, 4.0])
    grad[:], theta[:] = 0.5, 0
    opt.step()
    np.testing.assert_array_equal(theta, [-0.5, -0.5])
    opt.clip_norm, grad[:] = None, 5.0
    opt.step()
    np.testing.assert_array_equal(theta, [-5.5, -5.5])


@pytest.mark.parametrize("wrap", [copy.deepcopy, lambda opt: pickle.loads(pickle.dumps(opt))])
def test_copies_continue_on_their_own(wrap):
    rnn = layer()
    opt = zoo.get_optimizer("adam", lr=0.1).bind(rnn)
    draw_gradient(rnn, 0)
    opt.step()
    before, other = rnn.theta.copy(), wrap(opt)
    other.step()
    np.testing.assert_array_equal(rnn.theta, before)
    assert (opt.state["step"], other.state["step"]) == (1, 2)


def test_state_is_saved_and_restored(tmp_path):
    whole, start = layer(), layer()
    opt = zoo.get_optimizer("adam", lr=0.1).bind(whole)
    for step in range(3):
        draw_gradient(whole, step)
        opt.step()
    np.savez(tmp_path / "optimizer.npz", **opt.state)
    start.theta = whole.theta
    resumed = zoo.get_optimizer("adam").bind(start)
    with np.load(tmp_path / "optimizer.npz") as state:
        resumed.state = dict(state)
    assert resumed.lr == 0.1
    for target, optimizer in ((whole, opt), (start, resumed)):
        draw_gradient(target, 3)
        optimizer.step()
    np.testing.assert_array_equal(start.theta, whole.theta)
    assert "4 steps done" in repr(resumed)


@pytest.mark.parametrize(
    ("targets", "options", "words"),
    [
        ((), {}, "bind was given nothing"),
        ((3,), {}, "bind was given 3; expected a layer, a model, or a pair of arrays"),
        (
            ((np.zeros(2), np.zeros(3)),),
            {},
            r"given \(an array float64\(2,\), an array float64\(3,\)\); .* of one shape and dtype",
        ),
        (((np.zeros(2), np.zeros(2, np.float32)),), {}, "of one shape and dtype"),
        (
            ((np.zeros(2), np.zeros(2)), (np.zeros(1, "f4"), np.zeros(1, "f4"))),
            {},
            "argument 2 of bind is float32, and argument 1 is float64; .* dtype=rnn.dtype",
        ),
        (((np.zeros(2, int), np.zeros(2, int)),), {}, "expected a flat vector, float32 or float64"),
        (((np.zeros(2), np.zeros(2)),), {"clip_norm": 0}, "clip_norm is 0; expected a positive number"),
        (((np.zeros(2), np.zeros(2)),), {"clip_norm": "1"}, "clip_norm is '1'; expected a finite number"),
    ],
)
def test_invalid_arguments(targets, options, words):
    with pytest.raises(UsageError, match=f"optimizer 'adam': .*{words}"):
        zoo.get_optimizer("adam").bind(*targets, **options)


def test_invalid_states():
    opt = zoo.get_optimizer("adam").bind(layer())
    good = opt.state
    for changed, words in (
        ({"m": np.zeros(3)}, r"state has the shapes .*'m': \(3,\)"),
        ({"z": 0}, "state has the shapes"),
        ({"step": -1}, "state: step is -1"),
        ({"step": 1.5}, "state: step is 1.5"),
        ({"lr": -1.0}, "lr is -1; expected zero or more"),
    ):
        with pytest.raises(UsageError, match=words):
            opt.state = good | changed
    with pytest.raises(UsageError, match="expected a mapping"):
        opt.state = None
    with pytest.raises(UsageError, match="lr is 'fast'"):
        opt.lr = "fast"
    assert opt.state["step"] == 0
