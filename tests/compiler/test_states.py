"""Outputs and new states that are old states or products of them, and states that the step does not read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo.analysis import jacobian
from zoo.compiler.cell_kernels import decode_step
from zoo.compiler.compile import plan_kernels
from zoo.compiler.explain import explain
from zoo.errors import UsageError
from zoo.kernels import pure_python
from zoo.testing import CELL_CHECKS, run_checks

no_files = checks.no_files

SIZES = {"W": ("I", "H"), "U": ("H", "H"), "b": ("H",), "a": ("H",), "V": ("H", "I"), "c": ("I",)}
Step = Callable[..., Any]
CELLS: dict[str, zoo.Cell] = {}


def add(params: str, states: str = "h") -> Callable[[Step], Step]:
    """Make a cell of a step that has these parameters and states; ``n`` counts in whole numbers."""

    def made(step: Step) -> Step:
        names = [*params, *states]
        namespace = {
            "__doc__": f"The names are {', '.join(names)}.",
            "card": zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org"),
            **{name: zoo.Param(*SIZES[name]) for name in params},
            **{name: zoo.State(1, discrete=True) if name == "n" else zoo.State("H") for name in states},
            "step": step,
        }
        CELLS[step.__name__.strip("_")] = type("Stated", (zoo.Cell,), namespace)()
        return step

    return made


# ---- outputs and states that are products of old states -------------------------------------------------


@add("WU")
def _a_product_of_the_state_and_a_decay(self, x, h):
    return zoo.Output(h @ self.U, 0.9 * h + x @ self.W)


@add("WU")
def _a_product_of_the_state_and_a_sum(self, x, h):
    return zoo.Output(h @ self.U, h + x @ self.W)


@add("Wab")
def _a_scaled_state_and_another(self, x, h):
    return zoo.Output(h * self.b, self.a * h + x @ self.W)


@add("WU")
def _a_product_of_the_state_and_nothing_carried(self, x, h):
    return zoo.Output(h @ self.U, x @ self.W)


@add("WUb")
def _a_state_that_is_a_product(self, x, h):
    return zoo.Output(np.tanh(h) + x @ self.W, h @ self.U + self.b)


@add("WU", "hg")
def _a_second_state_that_is_a_product(self, x, h, g):
    return np.tanh(h + x @ self.W), h @ self.U


@add("WV")
def _an_output_of_the_size_of_x(self, x, h):
    return zoo.Output(h @ self.V, h + np.tanh(x @ self.W))


@add("WU")
def _products_of_heads(self, x, h):
    return zoo.Output(h @ self.U, (h.reshape(2, -1) * (x @ self.W).reshape(2, -1)).reshape(-1))


@add("WU", "hg")
def _products_of_two_states_side_by_side(self, x, h, g):
    return zoo.Output(np.concatenate([h @ self.U, g]), x @ self.W + (h * g).sum(), (h @ self.U)[:1] + g)


# ---- outputs and states that are old states, or made of parameters --------------------------------------


@add("W")
def _the_state_before_as_output(self, x, h):
    return zoo.Output(h, x @ self.W)


@add("W", "hg")
def _a_copy_of_a_state_that_is_not_read(self, x, h, g):
    return np.tanh(h + x @ self.W), h


@add("W", "hg")
def _states_that_change_places(self, x, h, g):
    return zoo.Output(np.tanh(x @ self.W), g, h)


@add("W", "hg")
def _states_that_are_one(self, x, h, g):
    return zoo.Output(h * x[0] + x @ self.W, h, h)


@add("W", "hg")
def _a_line_of_delays(self, x, h, g):
    return zoo.Output(g, x @ self.W, h)


@add("W", "hg")
def _parts_of_states(self, x, h, g):
    return zoo.Output(x @ self.W, np.concatenate([g[1:], h[:1]]), np.concatenate([h[:2], h[2:]]))


@add("Wb")
def _a_state_that_is_a_parameter(self, x, h):
    return zoo.Output(h * (x @ self.W), self.b)


@add("Wb")
def _an_output_that_is_a_parameter(self, x, h):
    return zoo.Output(self.b, h + x @ self.W)


@add("Wb")
def _results_of_parameters_alone(self, x, h):
    return zoo.Output(np.tanh(self.b) + self.W.sum(), np.exp(self.b) * 0.1)


# ---- states that are not read ---------------------------------------------------------------------------


@add("W")
def _no_recurrence(self, x, h):
    return np.tanh(x @ self.W)


@add("W")
def _no_recurrence_and_no_function(self, x, h):
    return x @ self.W


@add("W", "n")
def _a_counter_that_stands(self, x, n):
    return zoo.Output(x @ self.W, n)


@add("W", "n")
def _a_counter_alone(self, x, n):
    return zoo.Output(x @ self.W, n + 1)


@add("W", "n")
def _a_counter_and_a_function(self, x, n):
    return zoo.Output(np.tanh(x @ self.W), n + 1)


@add("W", "hgn")
def _a_counter_that_scales(self, x, h, g, n):
    return zoo.Output(x @ self.W + n[0] * h, g, g, np.where(n > 3, 0, n + 1))


every_cell = pytest.mark.parametrize("name", CELLS)


@every_cell
def test_both_passes_of_floats_and_tokens(name: str) -> None:
    checks.check(checks.trial(CELLS[name]))


@every_cell
@pytest.mark.parametrize("tokens", [False, True], ids=["floats", "tokens"])
def test_two_layers_and_gradient_checkpointing(name: str, tokens: bool) -> None:
    rng, runs = np.random.default_rng(0), []
    x = rng.integers(0, 3, (7, 2)) if tokens else rng.normal(size=(7, 2, 3))
    with pure_python():
        for recompute in (None, 3):
            rnn = zoo.Recurrent(CELLS[name], 3, 4, num_layers=2, dtype="float64", seed=1, recompute=recompute)
            state = {key: np.ones((2, *shape)) for key, shape in rnn.stack.state_shapes.items()}
            y, last = rnn.forward(x, state)
            dx, dstate = rnn.backward(np.ones_like(y), last)
            runs.append([y, *last.values(), *([] if tokens else [dx]), *dstate.values(), rnn.grad])
    for one, other in zip(*runs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-11, atol=1e-13)


@every_cell
def test_decode_step_equals_the_forward_pass(name: str) -> None:
    case = checks.trial(CELLS[name], batch=1)
    expected, _ = case.reference(case.x)
    params, _, state = case._arguments(case.x, "float64")
    x = np.zeros((1, 1, 3))
    with pure_python():
        y, kept = decode_step(case.cell).prepare(params, x, state)
        for t in range(3):
            x[:] = case.x[t]
            decode_step(case.cell).advance(kept)
            np.testing.assert_allclose(y[0], expected[t], rtol=1e-12)


@every_cell
def test_explanation_names_the_carried_gradients(name: str) -> None:
    cell, explanation = CELLS[name], explain(CELLS[name])
    carried = {f"d{state}" for state in cell.states if state != "n"}
    equations = [
        each for section in explanation.backward for work in section.items for each in _equations(work)
    ]
    assert carried <= {each.name for each in equations}


def _equations(work: Any) -> tuple[Any, ...]:
    return work.equations if hasattr(work, "equations") else (work.equation,)


def test_compiled_passes_equal_interpreted_passes() -> None:
    case = checks.trial(CELLS["a_product_of_the_state_and_a_sum"])
    results = case.both_passes(case.x, "float32")
    with checks.interpreted(case):
        checks.assert_same(results, case.both_passes(case.x), "compiled", 1e-5)


def test_step_without_gradient_of_its_state() -> None:
    cell = _stopped()
    rnn = zoo.Recurrent(cell, 3, 4, dtype="float64")
    with pure_python():
        y, _ = rnn.forward(np.ones((5, 2, 3)))
        dx, _ = rnn.backward(np.ones_like(y))
    assert not dx.any()
    assert not rnn.grad.any()
    assert "for last in" not in plan_kernels(cell).source


def _stopped() -> zoo.Cell:
    @add("W", "n")
    def _stopped(self, x, n):
        return zoo.Output(zoo.stop_gradient(x @ self.W), n)

    return CELLS.pop("stopped")


@pytest.mark.parametrize(
    "name", ["no_recurrence", "a_copy_of_a_state_that_is_not_read", "states_that_are_one"]
)
def test_nan_law_skips_states_that_are_not_read(name: str) -> None:
    (law,) = (check for check in CELL_CHECKS if check.__name__ == "check_nan")
    with pure_python():
        run_checks(CELLS[name], [law])


def test_new_state_of_parameters_is_traced() -> None:
    rnn = zoo.Recurrent(CELLS["a_state_that_is_a_parameter"], 3, 4, dtype="float64")
    with pure_python():
        rnn.forward(np.ones((5, 2, 3)), trace=["h"])
    np.testing.assert_array_equal(rnn.trace["l0.h"], np.broadcast_to(rnn.params["l0.b"], (5, 2, 4)))


def test_discrete_states_have_no_jacobian() -> None:
    rnn = zoo.Recurrent(CELLS["a_counter_alone"], 3, 4)
    with pure_python(), pytest.raises(UsageError, match="has discrete states only"):
        jacobian(rnn, np.ones((5, 2, 3)))
