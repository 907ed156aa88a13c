"""The laws themselves: each catches the cell that breaks it, and none blames a correct one."""

from __future__ import annotations

import unittest

import broken_cells as cells
import kitchen_sink_cell as rich
import numpy as np
import pytest

import zoo
from zoo.errors import UsageError
from zoo.kernels import pure_python
from zoo.registry import PluginRecord
from zoo.testing import CELL_CHECKS, check_cell, run_checks
from zoo.testing.assertions import assert_close, assert_same
from zoo.testing.laws import check_learns, declarations
from zoo.testing.report import law_of, name_of
from zoo.testing.settings import example_count
from zoo.testing.trials import DENSE32, Case, astype, for_all, make_trial, run, suitable_sizes

COMPILED = ("check_jit_equals_python", "check_compiles_once")
PLAIN = dict.fromkeys(COMPILED, "plain NumPy, nothing to compile")


CHECKS = {name_of(check): check for check in CELL_CHECKS}


def test_every_law_has_a_broken_cell_and_a_statement():
    assert list(cells.BROKEN) == list(CHECKS)
    assert all(law_of(check).endswith(".") and "``" not in law_of(check) for check in CELL_CHECKS)
    assert len({law_of(check) for check in CELL_CHECKS}) == len(CELL_CHECKS)


@pytest.mark.parametrize("name", cells.BROKEN)
def test_law_catches_broken_cell(name):
    cell = cells.BROKEN[name]()
    if name in COMPILED and not cell.kernel("forward").signatures and numba_is_off():
        pytest.skip("Numba is switched off")
    (outcome,) = run_checks(cell, [CHECKS[name]], on_fail="collect").failures
    assert outcome.check == name
    assert outcome.message.startswith(f"{cell.label()}: ")
    assert "found " in outcome.message
    assert ", expected " in outcome.message


def numba_is_off():
    import numba

    return bool(numba.config.DISABLE_JIT)


@pytest.mark.skipif(numba_is_off(), reason="Numba is switched off")
def test_calls_without_an_optional_argument_are_no_recompilation():
    from zoo_cells.classic.vanilla import Vanilla

    rng = np.random.default_rng(0)
    for dtype in ("float32", "float64"):
        shapes = (3, 2, 4), (2, 5), (4, 5), (5, 5), (5,)
        dense, state, *params = (rng.normal(size=shape).astype(dtype) for shape in shapes)
        for x in (dense, rng.integers(0, 4, (3, 2), np.int32)):
            y, last, tape = Vanilla.forward(tuple(params), x, (state,))
            for needs_dx in ((), (False,)):
                Vanilla.backward(tuple(params), x, (state,), tape, y, last, *needs_dx)
    assert run_checks(Vanilla(), [CHECKS["check_compiles_once"]]).ok


def test_correct_cell_in_plain_numpy_obeys_every_law():
    report = check_cell(cells.Tiny, on_fail="collect", expected_failures=PLAIN)
    assert report.ok, str(report)


@pytest.mark.parametrize("what", cells.LARGE)
def test_kernels_wrong_only_at_large_sizes_are_caught(what):
    wrong = type("Wrong", (cells.Stated,), {"__doc__": "Wrong somewhere.", **cells.LARGE[what]})()
    checks = [CHECKS["check_well_formed"], CHECKS["check_step_agrees"], CHECKS["check_large_sizes"]]
    (outcome,) = run_checks(wrong, checks, on_fail="collect").failures
    assert outcome.check == "check_large_sizes"


def test_correct_cell_with_its_step_obeys_the_large_law():
    CHECKS["check_large_sizes"](cells.Stated())


class Leaky(zoo.Cell):
    """``c' = leak c + relu(x W + h U)``, ``h' = tanh(c')``: two states, a kink, options, divided sizes."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    leak = zoo.Option(0.5, help="what c keeps", low=0.0, high=1.0)
    heads = zoo.Option(2, help="H must be a multiple of it", low=1)
    W = zoo.Param("I", "heads*(H/heads)", init="glorot_uniform", help="input to hidden")
    U = zoo.Param("H", "H", init="orthogonal", help="hidden to hidden")
    h = zoo.State("H", help="the output")
    c = zoo.State("heads", "H/heads", help="what leaks")

    @staticmethod
    def forward(params, x, state, leak, heads):
        W, U = params
        h, c = state
        y, slope = (np.empty((*x.shape[:2], len(U)), W.dtype) for _ in range(2))
        c = c.reshape(h.shape)
        for t in range(len(x)):
            a = (W[x[t]] if x.ndim == 2 else x[t] @ W) + h @ U
            c = W.dtype.type(leak) * c + np.where(a < 0, 0, a)  # NaN passes
            y[t] = h = np.tanh(c)
            slope[t] = a >= 0
        return y, (h.copy(), c.reshape(state[1].shape).copy()), (y.copy(), slope)

    @staticmethod
    def backward(params, x, state, tape, dy, dlast, leak, heads):
        (W, U), (y, slope), (dh, dc) = params, tape, dlast
        dx = np.zeros((0, 0, 0) if x.ndim == 2 else x.shape, W.dtype)
        dW, dU, dc = np.zeros_like(W), np.zeros_like(U), dc.reshape(dh.shape)
        for t in range(len(x) - 1, -1, -1):
            dc = dc + (dh + dy[t]) * (1 - y[t] ** 2)
            da = dc * slope[t]
            dh, dc = da @ U.T, W.dtype.type(leak) * dc
            dU += (y[t - 1] if t else state[0]).T @ da
            if x.ndim == 2:
                np.add.at(dW, x[t], da)
            else:
                dW += x[t].T @ da
                dx[t] = da @ W.T
        return dx, (dh.copy(), dc.reshape(state[1].shape).copy()), (dW, dU)


def test_learning_law_skips_cell_with_constant_output():
    # No unit of this cell spikes within the five steps of the law.
    with pure_python(), pytest.raises(unittest.SkipTest, match="outputs are the same"):
        check_learns(zoo.get_cell("brf"), kinds=(DENSE32,))


@pytest.mark.parametrize("heads", [1, 3])
def test_states_options_kinks_and_divided_sizes_are_no_offence(heads):
    report = check_cell(Leaky(heads=heads), on_fail="collect", expected_failures=PLAIN)
    assert report.ok, str(report)


class Shut(zoo.Cell):
    """``h' = relu(-1 - (x W + h U)²)``: rectifiers that are always shut, through which no gradient comes."""

    card = Leaky.card
    W = zoo.Param("I", "H", init="glorot_uniform", help="input to hidden")
    U = zoo.Param("H", "H", init="orthogonal", help="hidden to hidden")
    h = zoo.State("H", help="hidden units")

    def step(self, x, h):
        return zoo.relu(-1 - (x @ self.W + h @ self.U) ** 2)


def test_inactive_relu_hides_no_nan():
    with pure_python():
        CHECKS["check_nan"](Shut())


def test_laws_accept_buffers_aux_inputs_complex_and_discrete_arrays():
    report = check_cell(rich.Rich, on_fail="collect", expected_failures=PLAIN)
    assert report.ok, str(report)
    (step,) = (outcome for outcome in report.outcomes if outcome.check == "check_step_agrees")
    assert step.status == "passed"


def test_agreement_law_needs_step():
    (outcome,) = run_checks(cells.Tiny(), [CHECKS["check_step_agrees"]]).outcomes
    assert (outcome.status, outcome.message) == ("skipped", "it has kernels and no step to compare with")


def with_gradient_of_steps(params, x, state, inputs, tape, dy, dlast, radius):
    dx, (dh, dz, dn), dparams = rich.Rich.backward(params, x, state, inputs, tape, dy, dlast, radius)
    return dx, (dh, dz, dn + dy.sum()), dparams


class Differentiating(rich.Rich):
    """Hands back a gradient of its count of steps."""

    backward = with_gradient_of_steps


def ignoring_time(params, x, state, inputs, radius):
    return rich.Rich.forward(params, x, state, (np.ones_like(inputs[0]),), radius)


class Timeless(rich.Rich):
    """Its kernels ignore the time since the last step."""

    forward = ignoring_time


def advancing_the_buffer(params, x, state, inputs, radius):
    results = rich.Rich.forward(params, x, state, inputs, radius)
    params[2][...] += 1
    return results


class Learning(rich.Rich):
    """Writes into its buffer."""

    forward = advancing_the_buffer


def advancing_time(params, x, state, inputs, radius):
    results = rich.Rich.forward(params, x, state, inputs, radius)
    inputs[0][...] += 1
    return results


class Hasty(rich.Rich):
    """Writes into its input."""

    forward = advancing_time


def unseeded(rng, shape):
    return np.random.default_rng().normal(size=shape)


class Unseeded(rich.Rich):
    """Draws its buffer from a generator of its own."""

    A = zoo.Buffer("H", "H", init=unseeded, help="hidden to hidden, fixed")


class Unexplained(rich.Rich):
    """Does not say what its input is."""

    card = rich.Rich.card
    dt = zoo.Input(default=1.0)


@pytest.mark.parametrize(
    ("cell", "name", "what"),
    [
        (Differentiating, "check_state_gradient", "gradient of the initial state l0.n"),
        (Timeless, "check_step_agrees", "last state l0.z"),
        (Learning, "check_inputs_unchanged", "the buffer l0.A"),
        (Hasty, "check_inputs_unchanged", "the input dt"),
        (Unseeded, "check_initialisation", ".A at ["),
        (Unexplained, "check_help", "dt: found no help text"),
    ],
)
def test_laws_of_buffers_and_aux_inputs(cell, name, what):
    (outcome,) = run_checks(cell(), [CHECKS[name]], on_fail="collect").failures
    assert what in outcome.message, outcome.message


def test_cases_have_small_discrete_states_and_positive_inputs():
    trials = [make_trial(Case(rich.Rich(), 4, 9, (3, 4, 2), "float32", False, seed)) for seed in range(5)]
    counts = np.concatenate([trial.state[name] for trial in trials for name in ("l0.n", "l1.n")])
    assert set(np.unique(counts)) == set(range(8))
    for trial in trials:
        assert trial.discrete == ("l0.n", "l1.n")
        assert not any(trial.dlast[name].any() for name in trial.discrete)
        assert all(trial.dlast[name].all() for name in ("l0.h", "l0.z"))
        assert trial.inputs["dt"].shape == (4, 9)
        assert trial.inputs["dt"].dtype == np.float32
        assert trial.inputs["dt"].min() >= 0.5
        assert trial.inputs["dt"].max() < 1.5
    assert not np.array_equal(trials[0].inputs["dt"], trials[1].inputs["dt"])


def test_buffers_are_equal_across_dtypes():
    single = make_trial(Case(rich.Rich(), 2, 3, (3, 4, 2), "float32", False, 7))
    double = astype(single, "float64")
    for name, value in single.rnn.buffers.items():
        np.testing.assert_array_equal(double.rnn.buffers[name], value)
    np.testing.assert_array_equal(double.inputs["dt"], single.inputs["dt"])


def test_sizes_start_at_one_and_suit_the_cell():
    assert suitable_sizes(cells.Tiny())[0] == (1, 1, 1)
    assert {hidden for _, hidden, _ in suitable_sizes(Leaky(heads=3))} == {3}
    assert {hidden for _, hidden, _ in suitable_sizes(Leaky(heads=8))} == {8, 16}
    with pytest.raises(
        AssertionError, match=r"cell 'leaky': found no I up to 48 and H up to 64 .* expected some"
    ):
        suitable_sizes(Leaky(heads=100))


def test_case_arrays_are_reproducible_and_nonzero():
    case = Case(cells.Tiny(), 2, 3, (2, 4, 2), "float32", False, seed=5)
    first, second = make_trial(case), make_trial(case)
    assert run(first).keys() == run(second).keys()
    for name, value in run(first).items():
        np.testing.assert_array_equal(value, run(second)[name], err_msg=name)
        assert value.dtype == np.float32, name
    assert all(np.all(value != 0) for value in (*first.state.values(), *first.dlast.values(), first.theta))


def test_every_kind_and_size_is_tried(monkeypatch):
    monkeypatch.setenv("ZOO_TEST_EXAMPLES", "30")
    seen: list[Case] = []
    for_all(cells.Tiny(), seen.append)
    assert {(case.dtype, case.tokens) for case in seen} == {
        (dtype, tokens) for dtype in ("float32", "float64") for tokens in (False, True)
    }
    assert {case.steps for case in seen} == {1, 2, 3, 4}
    assert {case.batch for case in seen} == {1, 2, 3}
    assert {case.sizes[2] for case in seen} == {1, 2}


def test_smallest_failure_is_reported_with_its_case():
    def law(case):
        if case.steps >= 3:
            raise AssertionError(f"{case.steps} steps")

    with pytest.raises(AssertionError, match=r"^3 steps \[T=3 B=1 I=1 H=1 layers=1 float64 dense seed=0\]"):
        for_all(cells.Tiny(), law)


def test_flaky_failure_is_failure():
    calls: list[Case] = []

    def law(case):
        calls.append(case)
        if len(calls) == 2:
            raise AssertionError("cell 'x': found 1, expected 2.")

    with pytest.raises(AssertionError, match=r"^cell 'x': found 1, expected 2. .* came and went"):
        for_all(cells.Tiny(), law)


@pytest.mark.parametrize("text", ["0", "-3", "many", ""])
def test_number_of_examples_is_a_positive_integer(monkeypatch, text):
    monkeypatch.setenv("ZOO_TEST_EXAMPLES", text)
    with pytest.raises(UsageError, match="ZOO_TEST_EXAMPLES is"):
        example_count()


def test_difference_message_has_index_and_both_values():
    actual, expected = np.array([[1.0, 2.0], [3.0, 4.5]]), np.array([[1.0, 2.0], [3.0, 4.0]])
    with pytest.raises(
        AssertionError, match=r"'tiny': y at \[1, 1\]: found 4.5, expected 4 \(to the bit\). Why."
    ):
        assert_same(cells.Tiny(), {"x": expected, "y": actual}, {"x": expected, "y": expected}, "Why.")
    assert_close(cells.Tiny(), {"y": actual}, {"y": expected}, 0.13, "0.5 is within 0.13 times 4")
    with pytest.raises(AssertionError, match=r"found 4.5, expected 4 \(within 4.8e-01\)"):
        assert_close(cells.Tiny(), {"y": actual}, {"y": expected}, 0.12, "0.5 is not within 0.12 times 4")


@pytest.mark.parametrize(
    ("actual", "expected", "same"),
    [
        ([np.nan, np.inf], [np.nan, np.inf], True),
        ([np.nan, 1.0], [0.0, 1.0], False),
        ([0.0, 1.0], [np.nan, 1.0], False),
        ([np.inf], [-np.inf], False),
        ([], [], True),
        ([1.0], [1.0, 1.0], False),
    ],
)
def test_nan_infinities_and_shapes_are_compared(actual, expected, same):
    arguments = cells.Tiny(), {"y": np.array(actual)}, {"y": np.array(expected)}, 1e-3, "Why."
    if same:
        assert_close(*arguments)
    else:
        with pytest.raises(AssertionError, match=r"found .*, expected "):
            assert_close(*arguments)


# ---- the card -----------------------------------------------------------------------------------------


def carded(module: str) -> type[zoo.Cell]:
    """A cell without a card, as if it stood in a module."""
    body = {"W": zoo.Param("I", "H"), "h": zoo.State("H"), "step": lambda self, x, h: x @ self.W + h}
    return type("Bare", (zoo.Cell,), {"__doc__": "W, h.", "__module__": module, **body})


@pytest.mark.parametrize("module", ["__main__", "zoo_file_mine_0", "bare_cells_too", "file_cells"])
def test_local_cell_needs_no_card(module, monkeypatch):
    monkeypatch.setattr(declarations, "plugins", lambda: PUBLISHED)
    declarations.check_well_formed(carded(module)())


def test_gate_that_step_does_not_have():
    body = {**vars(carded("mine")), "gates": zoo.Gates(forget_gate="zz"), "__module__": "mine"}
    with pytest.raises(
        AssertionError, match="gates declares forget_gate as 'zz', but step has no 'zz'; it has h"
    ):
        declarations.check_well_formed(type("Misspelt", (zoo.Cell,), body)())


def test_help_law_applies_to_published_cells_only(monkeypatch):
    bare = type("Bare", (zoo.Cell,), {**vars(carded("mine")), "__doc__": "One matrix.", "__module__": "mine"})
    checks = [CHECKS["check_well_formed"], CHECKS["check_help"], CHECKS["check_parameter_count"]]
    assert run_checks(bare(), checks, on_fail="collect").ok
    for published in (type("Carded", (bare,), {"__doc__": "One matrix.", "card": Leaky.card}), bare):
        monkeypatch.setattr(declarations, "_is_in_plugin", lambda cls: cls is bare)
        with pytest.raises(AssertionError, match="W, h: found no help text, expected help="):
            declarations.check_help(published())
    carded_ = type("Carded", (bare,), {"__doc__": "One matrix.", "card": Leaky.card})
    statuses = [each.status for each in run_checks(carded_(), checks, on_fail="collect").outcomes]
    assert statuses == ["passed", "failed", "passed"]


@pytest.mark.parametrize("module", ["bare_cells", "bare_cells.more"])
def test_cell_in_the_module_of_an_installed_plugin_needs_one(module, monkeypatch):
    monkeypatch.setattr(declarations, "plugins", lambda: PUBLISHED)
    with pytest.raises(AssertionError, match="card: found no authors, year and url, expected all three"):
        declarations.check_well_formed(carded(module)())


PUBLISHED = (
    PluginRecord("bare", "bare-cells", "1.0", "bare_cells", "failed"),
    PluginRecord("file_cells.py", "", "", "file_cells", "loaded"),
)
