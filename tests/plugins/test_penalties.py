"""Penalties and constraints: values, gradients by finite differences, and what holds after a projection."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.errors import DefinitionError, UsageError

RNG = np.random.default_rng(0)
LENGTHS = np.array([4, 0, 2])
VALID = np.arange(4)[:, None] < LENGTHS
Y = RNG.normal(size=(4, 3, 5)) * VALID[..., None]


def numeric_gradient(value, x, eps=1e-6):
    """Central differences of ``value(x)``."""
    gradient = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = eps
        gradient[index] = (value(x + step) - value(x - step)) / (2 * eps)
    return gradient


@pytest.mark.parametrize("name", zoo.list_penalties())
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
def test_gradient_with_respect_to_the_activity(name, lengths):
    penalty = zoo.get_penalty(name, factor=0.7)
    value, gradient = penalty.of_activity(Y, lengths)
    expected = numeric_gradient(lambda y: penalty.of_activity(y, lengths)[0], Y)
    if lengths is not None:
        assert not gradient[~VALID].any()
    read = np.ones_like(Y, bool) if lengths is not None else Y != 0  # l1 has no derivative at zero
    np.testing.assert_allclose(gradient[read], expected[read], atol=1e-8)
    assert value == pytest.approx(0.7 * zoo.get_penalty(name, factor=1).of_activity(Y, lengths)[0])
    single, single_gradient = penalty.of_activity(Y.astype(np.float32), lengths)
    assert single == pytest.approx(value, rel=1e-5)
    assert single_gradient.dtype == np.float32


@pytest.mark.parametrize("name", [n for n in zoo.list_penalties() if not zoo.get_penalty(n).activity_only])
def test_gradient_with_respect_to_a_parameter(name):
    penalty, w = zoo.get_penalty(name, factor=0.3), RNG.normal(size=(3, 2))
    expected = numeric_gradient(lambda values: penalty.of_parameter(values)[0], w)
    np.testing.assert_allclose(penalty.of_parameter(w)[1], expected, atol=1e-8)


def test_values():
    kept = Y[VALID]  # (6, 5)
    values = {name: zoo.get_penalty(name, factor=1).of_activity(Y, LENGTHS)[0] for name in ("l1", "l2")}
    assert values == pytest.approx({"l1": np.abs(kept).mean(), "l2": (kept**2).mean()})
    rates = zoo.get_penalty("firing_rate", factor=2, target=0.1).of_activity(Y, LENGTHS)[0]
    assert rates == pytest.approx(2 * ((kept.mean(axis=0) - 0.1) ** 2).mean())
    assert zoo.get_penalty("l1", factor=2).of_parameter(kept)[0] == pytest.approx(2 * np.abs(kept).sum())


def test_nothing_is_divided_by_zero_in_an_empty_batch():
    value, gradient = zoo.get_penalty("l2").of_activity(Y, np.zeros(3, int))
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("name", zoo.list_constraints())
def test_a_projection_is_allowed_and_stays(name):
    constraint = zoo.get_constraint(name)
    initial = RNG.normal(size=(10, 4)).astype(np.float32)
    initial[3, 2] = 0
    started = initial.copy()
    constraint.start(started)
    once = started.copy()
    constraint.project(once, initial)
    np.testing.assert_array_equal(once, started)  # the start is allowed
    moved = started + RNG.normal(size=started.shape).astype(np.float32)
    constraint.project(moved, initial)
    twice = moved.copy()
    constraint.project(twice, initial)
    np.testing.assert_array_equal(twice, moved)
    signs = {
        "nonnegative": moved >= 0,
        "fixed_sign": (np.sign(moved) == np.sign(initial)) | (moved == 0),
        "dale": np.concatenate([moved[:8] >= 0, moved[8:] <= 0]),
    }
    assert signs[name].all()
    assert (moved != 0).sum() > 10


def test_dale_balances_excitation_and_inhibition_at_the_start():
    values = np.full((10, 3), -0.5)
    zoo.get_constraint("dale", excitatory=0.8).start(values)
    np.testing.assert_allclose(values.sum(axis=0), 0, atol=1e-12)
    np.testing.assert_array_equal(values[8:], -0.5)
    with pytest.raises(
        UsageError, match=r"constraint 'dale': parameter b has the shape \(4,\); expected a matrix"
    ):
        zoo.get_constraint("dale").check("b", (4,))


def test_classes_without_their_method():
    with pytest.raises(DefinitionError, match="value_and_grad is missing"):
        type("Empty", (zoo.Penalty,), {"__doc__": "No method."})
    with pytest.raises(DefinitionError, match="project is missing"):
        type("Nothing", (zoo.Constraint,), {"__doc__": "No method."})


def test_a_penalty_that_returns_something_else():
    class Wrong(zoo.Penalty):
        "No gradient."

        def value_and_grad(self, values, weights):
            return 1.0

    with pytest.raises(
        DefinitionError, match=r"returned something else than a number and a gradient of shape"
    ):
        Wrong().of_activity(Y)
