"""The laws of losses: each finds a loss that breaks it, and correct losses obey all of them."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.kernels import pure_python
from zoo.testing import LOSS_CHECKS, check_in_child, check_loss
from zoo.testing.losses import draw_problem
from zoo.testing.report import name_of


def square(row, target):
    """The squared distance."""
    total = 0.0
    for v in range(row.size):
        total += (float(row[v]) - float(target[v])) ** 2
    return total


def square_and_grad(row, target, scale):
    loss = square(row, target)
    for v in range(row.size):
        row[v] = 2 * scale * (row[v] - target[v])
    return loss


def of(row_loss=square, row_loss_and_grad=square_and_grad, **others):
    """A loss of plain functions, which run as plain Python here."""
    return zoo.Loss("mine", zoo.njit(row_loss), zoo.njit(row_loss_and_grad), **others)


def without_scale(row, target, scale):
    return square_and_grad(row, target, 1.0)


def reads_replaced_outputs(row, target, scale):
    for v in range(row.size):
        row[v] = 2 * scale * (row[0] - target[v])
    return square(row, target)


def another_loss(row, target, scale):
    return square_and_grad(row, target, scale) / 2


def writes_targets(row, target, scale):
    loss = square_and_grad(row, target, scale)
    target[:] = 0
    return loss


def wrong_in_float32(row, target, scale):
    return square_and_grad(row, target, scale) + (1.0 if row.dtype == np.float32 else 0.0)


def overflowing(row, target):
    """Too large."""
    return float(np.exp(row.dtype.type(4) * row[0])) + 0 * target[0]


def overflowing_and_grad(row, target, scale):
    loss = overflowing(row, target)
    row[1:] = 0
    row[0] = 4 * scale * loss
    return loss


def hinge(row, target):
    """Zero beyond a margin, and for NaN."""
    total = 0.0
    for v in range(row.size):
        total += max(0.0, 1.0 - float(row[v]) * target[v])
    return total


def hinge_and_grad(row, target, scale):
    loss = hinge(row, target)
    for v in range(row.size):
        row[v] = -scale * target[v] if row[v] * target[v] < 1 else 0.0
    return loss


def without_docstring(row, target):
    return square(row, target)


RANDOM = np.random.default_rng(0)


def random_loss(row, target, scale):
    return square_and_grad(row, target, scale) + RANDOM.random()


def mixes_rows(rows, targets, weights, scale, losses, options):
    for n in range(len(rows)):
        losses[n] = square_and_grad(rows[n], targets[n], scale * weights[n]) + 0.1 * n


def ignores_weights(rows, targets, weights, scale, losses, options):
    for n in range(len(rows)):
        losses[n] = square_and_grad(rows[n], targets[n], scale)


def shape_of_outputs(outputs):
    return outputs.argmax(axis=-1).astype(float)


def without_option(row, target, scale, slope):
    return square_and_grad(row, target, scale)


def with_option(row, target, slope):
    """The squared distance times a slope."""
    return slope * square(row, target)


def hidden_nan(row, target):
    """Zero for NaN, and right otherwise."""
    loss = square(row, target)
    return loss if loss >= 0 else 0.0


def large_is_infinite(row, target):
    """Infinite beyond a limit, which the kernel with a gradient lacks."""
    return float(np.inf) if abs(row[0]) > 20 else square(row, target)


def zero_target(row, target):
    """An entropy that is NaN for a target of zero."""
    total = 0.0
    for v in range(row.size):
        total += target[v] * (np.log(target[v]) if target[v] > 0 else np.nan) + 0.0 * row[v]
    return total


def zero_target_and_grad(row, target, scale):
    loss = zero_target(row, target)
    row[:] = 0.0 * scale
    return loss


def naive_softmax(row, target):
    """Cross-entropy without subtraction of the largest output."""
    return float(np.log(np.exp(row).sum())) - float(row[target])


def naive_softmax_and_grad(row, target, scale):
    loss = naive_softmax(row, target)
    row[:] = np.exp(row) / np.exp(row).sum()
    row[target] -= 1
    row *= scale
    return loss


def forgets_later_rows(rows, targets, weights, scale, losses, options):
    for n in range(len(rows)):
        losses[n] = square_and_grad(rows[n], targets[n], scale * weights[min(n, 6)])


def in_place(outputs):
    outputs *= 2
    return outputs


BROKEN = {
    "check_gradient   ": of(with_option, without_option, options={"slope": zoo.Option(1.0, "slope")}),
    "check_gradient    ": of(block=zoo.njit(forgets_later_rows)),
    "check_nan ": of(hidden_nan),
    "check_large_outputs ": of(large_is_infinite),
    "check_large_outputs  ": of(naive_softmax, naive_softmax_and_grad, target="class"),
    "check_equal_losses ": of(zero_target, zero_target_and_grad, target="probability"),
    "check_predictions   ": of(predict=lambda outputs: outputs[:, ::-1]),
    "check_predictions    ": of(predict=in_place),
    "check_gradient": of(row_loss_and_grad=without_scale),
    "check_gradient ": of(row_loss_and_grad=reads_replaced_outputs),
    "check_equal_losses": of(row_loss_and_grad=another_loss),
    "check_inputs_unchanged": of(row_loss_and_grad=writes_targets),
    "check_float32": of(row_loss_and_grad=wrong_in_float32),
    "check_large_outputs": of(overflowing, overflowing_and_grad),
    "check_nan": of(hinge, hinge_and_grad),
    "check_docs": of(without_docstring),
    "check_docs ": of(options={"slope": zoo.Option(1.0)}),
    "check_deterministic": of(row_loss_and_grad=random_loss),
    "check_rows_independent": of(block=zoo.njit(mixes_rows)),
    "check_zero_weight": of(block=zoo.njit(ignores_weights)),
    "check_predictions": of(predict=lambda outputs: outputs[0]),
    "check_predictions ": replace(zoo.get_loss("cross_entropy"), predict=shape_of_outputs),
    "check_predictions  ": replace(zoo.get_loss("binary"), predict=lambda outputs: 2 * outputs),
}
CHECKS = {name_of(check): check for check in LOSS_CHECKS}


@pytest.mark.parametrize("case", BROKEN)
def test_law_finds_a_broken_loss(case):
    with pure_python(), pytest.raises(AssertionError, match=r"loss '.*found"):
        CHECKS[case.strip()](BROKEN[case])


def test_every_law_has_a_broken_loss():
    compiling = {"check_jit_equals_python", "check_compiles_once"}
    assert CHECKS.keys() - compiling == {case.strip() for case in BROKEN}


@zoo.njit
def first_output(row, target):
    """The distance of the first output."""
    return abs(row[0] - target[0])


def twice_as_steep(row, target, scale):
    loss = abs(row[0] - target[0])
    row[1:], row[0] = 0, 2 * scale * np.sign(row[0] - target[0])
    return loss


@zoo.njit(python_fallback=twice_as_steep)
def first_output_and_grad(row, target, scale):
    loss = abs(row[0] - target[0])
    row[1:] = 0
    row[0] = scale * np.sign(row[0] - target[0])
    return loss


def test_kernels_that_differ_from_python_break_a_law():
    loss = zoo.Loss("mine", first_output, first_output_and_grad)
    CHECKS["check_gradient"](loss)
    with pytest.raises(AssertionError, match="as in plain Python"):
        CHECKS["check_jit_equals_python"](loss)


def gaussian(row, target):
    """Negative log-likelihood of a mean and a logarithm of a variance."""
    return (row[1] + (row[0] - target[0]) ** 2 * np.exp(-row[1])) / 2


def gaussian_and_grad(row, target, scale):
    error, precision, loss = row[0] - target[0], np.exp(-row[1]), gaussian(row, target)
    row[0] = scale * error * precision
    row[1] = scale * (1 - error**2 * precision) / 2
    return loss


GAUSSIAN = of(gaussian, gaussian_and_grad, outputs=2)


@pytest.mark.parametrize(
    "loss",
    [
        of(),
        GAUSSIAN,
        zoo.get_loss("huber", delta=0.3),
        zoo.get_loss("cross_entropy", class_weights=(1, 2, 0.5)),
        zoo.get_loss("cross_entropy", label_smoothing=0.2),
        zoo.get_loss("per_target", kind0=2, parameter0=0.3, kind1=1, kind2=3, parameter2=0.9),
    ],
    ids=str,
)
def test_correct_losses_obey_every_law(loss):
    with pure_python():
        report = check_loss(loss, on_fail="collect")
    assert report.ok, str(report)
    assert len(report.outcomes) == len(LOSS_CHECKS)


def test_nan_in_the_loss_and_its_gradient_is_an_error_about_finite_numbers():
    def nan(row, target):
        return np.nan

    def nan_and_grad(row, target, scale):
        row[:] = np.nan
        return np.nan

    with pure_python(), pytest.raises(AssertionError, match="found nan, expected finite numbers for outputs"):
        CHECKS["check_gradient"](of(nan, nan_and_grad))


def test_laws_use_the_number_of_outputs_that_a_loss_expects():
    """The kernels read two outputs; of more, the others would keep their values as gradients."""
    with pure_python(), pytest.raises(AssertionError, match="gradient of output"):
        CHECKS["check_gradient"](replace(GAUSSIAN, outputs=3))


@pytest.mark.parametrize("size", [1, 3])
def test_models_have_the_number_of_outputs_that_a_loss_expects(size):
    zoo.SequenceModel("vanilla", 1, 2, 3, loss=GAUSSIAN)
    with pytest.raises(UsageError, match=f"loss 'mine' needs 2 outputs; the model has {size}"):
        zoo.SequenceModel("vanilla", 1, size, 3, loss=GAUSSIAN)


def test_kernels_that_read_further_outputs_get_advice():
    with pure_python(), pytest.raises(AssertionError, match=r"1 outputs: found an index error .*outputs=2"):
        CHECKS["check_inputs_unchanged"](replace(GAUSSIAN, outputs=None))


def test_losses_that_expect_other_numbers_of_outputs_differ():
    assert replace(GAUSSIAN, outputs=None) != GAUSSIAN
    assert copy.copy(GAUSSIAN) == copy.deepcopy(GAUSSIAN) == GAUSSIAN


@pytest.mark.parametrize("outputs", [0, -1, 2.0, True, "2"])
def test_invalid_numbers_of_outputs_raise(outputs):
    with pytest.raises(DefinitionError, match=r"outputs is .*; expected an integer of at least 1, or None"):
        of(outputs=outputs)


def poisson(row, target):
    """Negative log-likelihood of counts with the rate exp(o), without log(t!)."""
    total = 0.0
    for v in range(row.size):
        total += np.exp(float(row[v])) - abs(float(target[v])) * float(row[v])
    return total


def poisson_and_grad(row, target, scale):
    loss = poisson(row, target)
    for v in range(row.size):
        row[v] = scale * (np.exp(row[v]) - target[v])
    return loss


def test_laws_draw_negative_targets_unless_a_loss_has_none():
    """The sign of the target has an effect on the gradient alone, which counts do not show."""
    with pure_python():
        advice = r"The law holds if no target is negative: .* state it, zoo\.Loss\(\.\.\., low=0\.0\)\."
        with pytest.raises(AssertionError, match=advice):
            CHECKS["check_gradient"](of(poisson, poisson_and_grad))
        assert check_loss(of(poisson, poisson_and_grad, low=0), on_fail="collect").ok


@given(
    st.none() | st.floats(-1e6, 1e6), st.none() | st.floats(1e-3, 1e6), st.integers(1, 9), st.integers(0, 99)
)
def test_drawn_targets_are_in_the_range(low, width, rows, seed):
    loss = of(low=low, high=None if width is None else (low or 0) + width)
    targets = draw_problem(loss, rows, 5, seed).targets
    least, most = loss.target_range
    assert ((targets >= least) & (targets <= most)).all()
    assert (draw_problem(of(), 20, 5, seed).targets < 0).any()


def test_unknown_losses_raise():
    with pytest.raises(UnknownNameError, match="Did you mean 'huber'"):
        check_loss("hubert")
    with pytest.raises(UsageError, match=r"expected the name of a loss or a zoo\.Loss"):
        check_loss(3)
    with pytest.raises(UsageError, match="on_fail is 'colect'; expected 'raise' or 'collect'"):
        check_loss("huber", on_fail="colect")


FILE = """
import zoo

@zoo.njit
def loss(row, target, slope):
    "The distance."
    return slope * abs(row[0] - target[0])

@zoo.njit
def grad(row, target, scale, slope):
    before = loss(row, target, slope)
    row[0] = scale * slope if row[0] > target[0] else -scale * slope
    return before

MINE = zoo.Loss("mine", loss, grad, outputs=1, options={"slope": zoo.Option(1.0, "slope", low=0.1)})
"""


def test_losses_of_files_are_checked_with_options(tmp_path):
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")
    spec = f"{tmp_path / 'mine.py'}:MINE"
    report = check_in_child(spec, timeout=300, options=["slope=2.5"])
    assert report.component == "loss 'mine' with slope=2.5"
    assert check_loss("huber:0.5", on_fail="collect").ok
    assert report.ok, str(report)
    for option, words in (
        ("slope=0", "option 'slope' is 0.0; expected"),
        ("size=1", "unknown option 'size'"),
    ):
        with pytest.raises(UsageError, match=words):
            check_in_child(spec, timeout=300, options=[option])
