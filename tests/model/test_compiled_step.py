"""The compiled step of a model, which must do what the kernels do one by one, to the bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from zoo_cells.classic import vanilla

import zoo
from zoo.errors import DefinitionError
from zoo.model import compiled_step

H, V = 6, 5
SIZES = [(1, 3), (17, 4)]  # one shard; three, in two threads


@zoo.njit
def forward(params, x, state, odd, scale):
    """Of a sequence of ``odd`` steps one is lost; one of ``odd + 1`` is refused."""
    if x.shape[0] == odd + 1:
        raise ValueError("too long by one")
    y, last, tape = vanilla.forward(params, x, state)
    return (y[1:] if x.shape[0] == odd else y), last, tape


@zoo.njit
def backward(params, x, state, tape, dy, dlast, odd, scale):
    return vanilla.backward(params, x, state, tape, dy, dlast)


class Odd(zoo.Cell):
    """A cell with kernels and options of its own that goes wrong at one length."""

    card = vanilla.Vanilla.card
    odd = zoo.Option(1000, help="the length")
    scale = zoo.Option(1.0, help="unused")
    Wxh, Whh, bh, h = (getattr(vanilla.Vanilla, name) for name in ("Wxh", "Whh", "bh", "h"))
    forward = forward
    backward = backward


def outcome(model, way, *batch, **given):
    """Loss, gradient and last states, in the long way or, where there is one, the short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model._compiled_step, "warmup_shards", math.inf if way == "long" else 0)
        model.grad = np.full_like(model.grad, 7)
        loss, last = model.loss_and_grad(*batch, **given)
    return [np.float64(loss), model.grad.copy(), *last.values()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def routes(model):
    """The short ways that were found."""
    return [each for each in model._compiled_step._steps.values() if each]


def tokens(batch, steps, seed=0):
    rng = np.random.default_rng(seed)
    found = rng.integers(V, size=(steps + 1, batch))
    return found[:-1], found[1:]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("cell", "layers"), [("vanilla", 1), ("lstm", 2), (Odd, 2), ("lstm+zoneout", 1)])
def test_the_short_way_gives_the_bits_of_the_long(cell, layers, dtype):
    model = zoo.LanguageModel("abcde", cell, H, layers, dtype, threads=2)
    for batch, steps in SIZES:
        inputs, targets = tokens(batch, steps)
        _, _, *last = outcome(model, "long", inputs, targets)
        state = dict(zip(model.stack.state_shapes, last, strict=True))
        counts = np.random.default_rng(1).uniform(0.1, 1, inputs.shape)
        for given in ({}, {"state": state}, {"weights": counts}):
            long = outcome(model, "long", inputs, targets, **given)
            assert not routes(model) or given or batch > 1
            assert same(long, outcome(model, "short", inputs, targets, **given))
    assert len(routes(model)) == 1


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error", "binary"])
def test_numbers_have_a_short_way_for_every_loss(loss):
    model = zoo.SequenceModel("vanilla", 3, V, H, 2, loss)
    rng = np.random.default_rng(0)
    x, numbers = rng.normal(size=(4, 9, 3)), rng.random((4, 9, V))
    batch = x, numbers.argmax(axis=2) if loss == "cross_entropy" else numbers
    assert same(outcome(model, "long", *batch), outcome(model, "short", *batch))
    assert routes(model)


def test_inputs_of_another_type_have_a_way_of_their_own():
    model = zoo.SequenceModel("vanilla", V, V, H)
    inputs, targets = tokens(2, 4)
    for x in (inputs, np.eye(V)[inputs]):
        assert same(outcome(model, "long", x, targets), outcome(model, "short", x, targets))
    assert len(routes(model)) == 2


def test_what_lies_between_kernels_goes_the_long_way():
    batch = tokens(2, 6)
    for options, given in (
        ({"residual": True}, {}),
        ({"dropout": 0.5}, {"noise": (0, 1)}),
        ({"recompute": 2}, {}),
    ):
        model = zoo.LanguageModel("abcde", "vanilla", H, 2, **options)
        assert same(outcome(model, "long", *batch, **given), outcome(model, "short", *batch, **given))
        assert not routes(model)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_steps_that_are_not_read_have_a_short_way(loss):
    model = zoo.SequenceModel("lstm", 3, V, H, 1, loss)
    rng = np.random.default_rng(0)
    x, numbers = rng.normal(size=(6, 17, 3)), rng.random((6, 17, V))
    targets = numbers.argmax(axis=2) if loss == "cross_entropy" else numbers
    weights = rng.random((6, 17)) * np.array([0, 1, 1, 0, 1, 0])[:, None]
    for batch in ((x, targets, weights), (x, targets[-1]), (x, targets)):
        assert same(outcome(model, "long", *batch), outcome(model, "short", *batch))
    assert len(routes(model)) == 2


def test_dropout_has_a_short_way_where_there_is_no_noise():
    model = zoo.LanguageModel("abcde", "vanilla", H, 2, dropout=0.5)
    batch = tokens(2, 6)
    assert same(outcome(model, "long", *batch), outcome(model, "short", *batch))
    assert routes(model)


def test_noise_goes_the_short_way_and_stays_that_of_its_step():
    model = zoo.LanguageModel("abcde", "lstm+zoneout", H)
    batch = tokens(9, 6)
    for step in (1, 2):
        noise = {"noise": (3, step)}
        assert same(outcome(model, "long", *batch, **noise), outcome(model, "short", *batch, **noise))
    assert not same(outcome(model, "short", *batch, noise=(3, 1)), outcome(model, "short", *batch))
    assert routes(model)


def test_a_few_steps_are_not_worth_compiling():
    model = zoo.LanguageModel("abcde", "vanilla", H)
    batch = tokens(1, 4)
    for _ in range(compiled_step.WARMUP_SHARDS):
        model.loss_and_grad(*batch)
    assert not routes(model)
    model.loss_and_grad(*batch)
    assert routes(model)


def test_who_takes_many_steps_need_not_wait():
    model = zoo.LanguageModel("abcde", "vanilla", H)
    batch = tokens(1, 4)
    model.compile_training_step()
    model.loss_and_grad(*batch)
    assert not routes(model)
    model.loss_and_grad(*batch)
    assert routes(model)


@pytest.mark.parametrize(("steps", "found"), [(20, 0), (200, 1)])
def test_a_long_run_compiles_before_its_first_step(tmp_path, steps, found):
    seen = []

    def look(event):
        if event["event"] == "compiled":
            raise Found

    class Found(Exception):
        pass

    from zoo.training.trainer import Trainer

    with pytest.MonkeyPatch.context() as patch:
        run_once = Trainer._run_once
        patch.setattr(Trainer, "_run_once", lambda self: (run_once(self), seen.append(self.model)))
        settings = {"task": "copying", "cell": "vanilla", "hidden": 4, "batch": 2, "steps": steps}
        with pytest.raises(Found):
            zoo.train(**settings, out=tmp_path / "run", on_event=look)
    assert len(routes(seen[0])) == found


def test_each_kind_of_inputs_has_time_to_be_compiled():
    model = zoo.SequenceModel("vanilla", V, V, H)
    inputs, targets = tokens(1, 4)
    for number, x in enumerate((inputs, np.eye(V)[inputs])):
        for _ in range(compiled_step.WARMUP_SHARDS + 1):
            assert len(routes(model)) == number
            model.loss_and_grad(x, targets)
    assert len(routes(model)) == 2


def test_what_does_not_fit_is_an_error_as_on_the_long_way():
    model = zoo.LanguageModel("abcde", Odd(odd=7), H)
    outcome(model, "long", *tokens(2, 4))
    assert same(outcome(model, "long", *tokens(2, 4)), outcome(model, "short", *tokens(2, 4)))
    assert routes(model)
    with pytest.raises(DefinitionError, match=r"forward is float32\(6, 2, 6\); expected float32\(7, 2, 6\)"):
        outcome(model, "short", *tokens(2, 7))
    with pytest.raises(ValueError, match="too long by one"):
        outcome(model, "short", *tokens(2, 8))
    assert same(outcome(model, "long", *tokens(2, 4)), outcome(model, "short", *tokens(2, 4)))


def test_a_twin_has_a_way_of_its_own():
    import copy

    model = zoo.LanguageModel("abcde", "vanilla", H)
    batch = tokens(2, 4)
    outcome(model, "short", *batch)
    twin = copy.deepcopy(model)
    twin.theta += 0.1
    before = model.grad.copy()
    assert same(outcome(twin, "long", *batch), outcome(twin, "short", *batch))
    np.testing.assert_array_equal(model.grad, before)


def test_no_memory_is_left_behind():
    from numba.core.runtime import _nrt_python, rtsys

    model = zoo.LanguageModel("abcde", "lstm", H, 2, threads=1)
    batch = tokens(2, 4)
    outcome(model, "long", *batch)
    outcome(model, "short", *batch)
    assert routes(model)
    was_counted = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        for _ in range(50):
            outcome(model, "short", *batch)
        after = rtsys.get_allocation_stats()
    finally:
        if not was_counted:
            _nrt_python.memsys_disable_stats()
    assert after.mi_alloc - before.mi_alloc > 50
    assert after.mi_alloc - before.mi_alloc == after.mi_free - before.mi_free
    assert after.alloc - before.alloc == after.free - before.free
