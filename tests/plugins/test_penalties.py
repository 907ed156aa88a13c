"""Penalties and constraints: values, signs, and laws that find faults."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import zoo
from zoo.errors import DefinitionError, UsageError
from zoo.kernels import pure_python

RNG = np.random.default_rng(0)
LENGTHS = np.array([4, 0, 2])
VALID = np.arange(4)[:, None] < LENGTHS
Y = RNG.normal(size=(4, 3, 5)) * VALID[..., None]


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
def test_signs_after_a_projection(name):
    initial, moved = RNG.normal(size=(2, 10, 4))
    initial[3, 2] = 0
    zoo.get_constraint(name).project(moved, initial)
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


@pytest.mark.parametrize(
    ("base", "method", "arguments"),
    [
        (zoo.Penalty, "value_and_grad", "values, weights"),
        (zoo.Constraint, "project", "values, initial"),
        (zoo.Constraint, "start", "values"),
        (zoo.Constraint, "check", "name, shape"),
    ],
)
@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (staticmethod(lambda *given: None), "is a static method"),
        (lambda self: None, "(self); expected"),
        (lambda self, a, b, c: None, "(self, a, b, c); expected"),
    ],
)
def test_methods_with_other_parameters(base, method, arguments, function, problem):
    body = {"__doc__": "Wrong.", "project": lambda self, values, initial: None, method: function}
    with pytest.raises(DefinitionError) as raised:
        type("Wrong", (base,), body)
    assert problem in str(raised.value)
    assert str(raised.value).endswith(f"expected a method, `def {method}(self, {arguments})`.")


@pytest.mark.parametrize("extra", [0, 1])
def test_partial_method_has_the_parameters_that_it_leaves_open(extra):
    def scaled(self, scale, values, weights, *more):
        return 0.0, scale * values

    method = functools.partialmethod(scaled, *[2.0] * (1 + 2 * extra))
    body = {"__doc__": "Partial.", "value_and_grad": method}
    type("Partial", (zoo.Penalty,), body)
    missing = functools.partialmethod(lambda self, scale, values: None, 2.0)
    with pytest.raises(DefinitionError, match=r"found value_and_grad\(self, values\); expected a method"):
        type("Wrong", (zoo.Penalty,), {**body, "value_and_grad": missing})


def test_a_penalty_that_returns_something_else():
    class Wrong(zoo.Penalty):
        "No gradient."

        def value_and_grad(self, values, weights):
            return 1.0

    with pytest.raises(
        DefinitionError, match=r"returned something else than a number and a gradient of shape"
    ):
        Wrong().of_activity(Y)


class Halved(zoo.Penalty):
    "A gradient without its factor 2."

    def value_and_grad(self, values, weights):
        return (weights * values**2).sum(), weights * values


class Padded(zoo.Penalty):
    "A mean over the padding too."

    def value_and_grad(self, values, weights):
        return (values**2).mean(), 2 * values / values.size


class Returned(zoo.Constraint):
    "A new array."

    def project(self, values, initial):
        return np.clip(values, -1, 1)


class Shrinking(zoo.Constraint):
    "Another result each time."

    def project(self, values, initial):
        values *= 0.5


@pytest.mark.parametrize(
    ("component", "broken"),
    [
        (Halved, {"check_gradient_of_activity", "check_gradient_of_parameter"}),
        (Padded, {"check_padding"}),
        (Returned, {"check_in_place"}),
        (Shrinking, {"check_project_twice", "check_start"}),
    ],
)
def test_laws_find_faults(component, broken):
    check = zoo.testing.check_penalty if issubclass(component, zoo.Penalty) else zoo.testing.check_constraint
    report = check(component, on_fail="collect")
    assert {outcome.check for outcome in report.outcomes if outcome.status == "failed"} == broken


def test_training_rejects_a_constraint_that_returns_an_array():
    model = zoo.SequenceModel("vanilla", 1, 1, 2, loss="squared_error", threads=1)
    with pure_python(), pytest.raises(DefinitionError, match="project returned an array"):
        model.fit(np.zeros((2, 3, 1)), np.zeros((2, 3, 1)), steps=1, constraints={"Whh": Returned})
