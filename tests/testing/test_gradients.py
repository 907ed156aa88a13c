"""Gradients that are on purpose no derivative: reports name them, and other laws check them."""

from __future__ import annotations

import json
import warnings
from unittest import SkipTest

import broken_cells as cells
import numpy as np
import pytest

import zoo
from zoo.compiler.passes.gradient_cuts import GradientCuts
from zoo.kernels import pure_python
from zoo.testing import CELL_CHECKS, GradientWarning, run_checks
from zoo.testing.laws import gradients
from zoo.testing.laws.gradients import gradient_cuts
from zoo.testing.report import name_of

CHECKS = {name_of(check): check for check in CELL_CHECKS}
DIFFERENCES = (
    "check_parameter_gradients",
    "check_input_gradient",
    "check_state_gradient",
    "check_directional_derivative",
    "check_layers",
)
CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")


class Spiking(zoo.Cell):
    """``v' = v / 2 + x W - s``, ``s' = v' > 0``, derived from its step, with a surrogate."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform", help="input to potential")
    s = zoo.State("H", help="spikes")
    v = zoo.State("H", help="potential")

    def step(self, x, s, v):
        v = v / 2 + x @ self.W - s
        return zoo.heaviside(v), v


class Reading(zoo.Cell):
    """A tanh layer, and a memory of it through which no gradient flows."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform", help="input to hidden")
    U = zoo.Param("H", "H", init="orthogonal", help="hidden to hidden")
    V = zoo.Param("H", "H", init="orthogonal", help="hidden to memory")
    h = zoo.State("H", help="hidden units")
    m = zoo.State("H", help="memory")
    n = zoo.State(1, discrete=True, help="steps so far")

    def step(self, x, h, m, n):
        h = zoo.tanh(x @ self.W + h @ self.U)
        return zoo.Output(h + m, h, zoo.tanh(m + zoo.stop_gradient(h) @ self.V), n + 1)


class Deaf(zoo.Cell):
    """No gradient reaches its bias, nor its own past."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform", help="input to hidden")
    b = zoo.Param("H", help="bias")
    h = zoo.State("H", help="hidden units")

    def step(self, x, h):
        return zoo.tanh(x @ self.W + zoo.stop_gradient(h + self.b))


class Attending(zoo.Cell):
    """A softmax, which subtracts its largest operand: no gradient has to flow through that."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform", help="input to hidden")
    h = zoo.State("H", help="hidden units")

    def step(self, x, h):
        return zoo.softmax(x @ self.W + h)


class Masking(zoo.Cell):
    """Compares what is cut off: there is no derivative to cut."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform", help="input to hidden")
    h = zoo.State("H", help="hidden units")

    def step(self, x, h):
        return np.where(zoo.stop_gradient(h) > 0, x @ self.W, 0.5 * h)


def outcomes(cell, *names):
    with pure_python():
        return run_checks(cell, [CHECKS[name] for name in names], on_fail="collect")


@pytest.mark.parametrize(
    ("cell", "stopped", "surrogate", "without_gradient", "operands"),
    [
        (Spiking, (), ("x", "s", "v", "W"), (), ()),
        (Reading, ("x", "h", "W", "U"), (), (), ("h",)),
        (Deaf, ("x", "h", "W", "b"), (), ("h", "b"), ()),
        (Attending, (), (), (), ()),
        (Masking, (), (), (), ("h",)),
        (cells.Tiny, (), (), (), ()),
    ],
)
def test_gradient_cuts_name_values(cell, stopped, surrogate, without_gradient, operands):
    assert gradient_cuts(cell()) == GradientCuts(stopped, surrogate, without_gradient, operands)


def test_replaced_gradients_skip_differences_with_warning():
    report = outcomes(Spiking(), *DIFFERENCES, "check_vjp_linear", "check_large_sizes")
    assert [outcome.status for outcome in report.outcomes] == ["skipped"] * 4 + ["passed"] * 3
    (warning,) = report.warnings
    assert warning.startswith(
        "cell 'spiking': a surrogate derivative changes the gradient of the input x and states s, v and "
        "parameter W. "
    )
    assert "warning cell 'spiking': a surrogate" in str(report)
    assert report.summary().startswith("cell 'spiking': 7 laws, 3 hold, 4 skipped, 1 warning (")
    assert json.loads(report.to_json())["warnings"] == [warning]


def test_warning_names_cuts_and_untrained_parameters():
    (warning,) = outcomes(Deaf(), "check_parameter_gradients").warnings
    assert "zoo.stop_gradient cuts the gradient of the input x and state h and parameters W, b" in warning
    assert "no gradient at all reaches state h and parameter b." in warning
    (warning,) = outcomes(Reading(), "check_parameter_gradients").warnings
    assert "zoo.stop_gradient(h) cuts the gradient of the input x and state h and parameters W, U." in warning


def test_uncut_gradients_are_compared_with_differences(monkeypatch):
    compared = set()

    def recorded(trial, what, slopes, places, moves, meaning):
        compared.update(name for move in moves for name in move)
        original(trial, what, slopes, places, moves, meaning)

    original = gradients._assert_slopes
    monkeypatch.setattr(gradients, "_assert_slopes", recorded)
    report = outcomes(Reading(), *DIFFERENCES)
    assert [outcome.status for outcome in report.outcomes] == [
        "passed",
        "skipped",
        "passed",
        "passed",
        "passed",
    ]
    assert len(report.warnings) == 1
    assert {"V", "m"} <= {name.rpartition(".")[2] for name in compared}
    assert not {"x", "h", "W", "U", "gradient of the input x"} & {
        name.rpartition(".")[2] for name in compared if "l2." not in name
    }


@pytest.mark.parametrize("cell", [Attending, Masking])
def test_softmax_and_mask_skip_no_check(cell):
    report = outcomes(cell(), *DIFFERENCES)
    assert {outcome.status for outcome in report.outcomes} == {"passed"}
    assert not report.warnings


class Honest(cells.Tiny):
    """Its step cuts the past off, and its kernels do."""

    def step(self, x, h):
        return np.tanh(x @ self.W + zoo.stop_gradient(h @ self.U) + self.b)

    @staticmethod
    def backward(params, x, state, tape, dy, dlast):
        zeros = [np.zeros_like(dlast[0])]
        W, U, b = params
        dx, _, (dW, _, db) = cells.backward((W, 0 * U, b), x, state, tape, dy, dlast)
        return dx, tuple(zeros), (dW, np.zeros_like(U), db)


class Dishonest(cells.Tiny):
    """Its step cuts the past off, and its kernels do not."""

    step = Honest.step


def test_kernels_must_cut_gradients_like_step():
    assert outcomes(Honest(), *DIFFERENCES, "check_large_sizes").ok
    (failure,) = outcomes(Dishonest(), *DIFFERENCES, "check_large_sizes").failures
    assert failure.check == "check_large_sizes"
    assert "gradient of" in failure.message


def test_report_collects_only_gradient_warnings():
    with pytest.warns(GradientWarning, match="cell 'deaf': zoo.stop_gradient cuts"), pytest.raises(SkipTest):
        CHECKS["check_parameter_gradients"](Deaf())

    def check_loud(member):
        """Something else is worth a word."""
        warnings.warn("mind the gap", UserWarning, stacklevel=1)

    with pytest.warns(UserWarning, match="mind the gap"):
        report = run_checks(Deaf(), [check_loud])
    assert report.ok
    assert not report.warnings
