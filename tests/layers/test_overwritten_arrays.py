"""Arrays that are overwritten between the forward pass and the backward pass give no wrong gradient."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import zoo
from zoo.errors import UsageError
from zoo.kernels import pure_python
from zoo.layers.fingerprint import digest

T, I, H = 3, 2, 2  # noqa: E741 - the letters of the documents
CHANGED = (
    "cell 'cfc': the parameters have changed since the forward pass.*"
    "call (backward|vjp) before you change them, or (forward|apply) again"
)


@pytest.fixture(autouse=True)
def plain_python():
    """Run kernels as plain Python: the tape is the same."""
    with pure_python():
        yield


def trial(batch, tokens=False, lengths=False, **more):
    """A layer, and everything that its forward pass may be given."""
    rnn, rng = zoo.Recurrent("cfc", I, H, dtype="float64", threads=1, **more), np.random.default_rng(0)
    given = {
        "x": rng.integers(I, size=(T, batch)).astype(np.int32) if tokens else rng.normal(size=(T, batch, I)),
        "state": {name: rng.normal(size=(batch, *s)) for name, s in rnn.stack.state_shapes.items()},
        "dt": rng.uniform(0.5, 1.5, size=(T, batch, *rnn.stack.input_shapes["dt"])),
    }
    if lengths:
        given["lengths"] = rng.integers(1, T + 1, size=batch)
    return rnn, given


def arrays_of(given):
    """All arrays that a call is given."""
    return [
        value for each in given.values() for value in (each.values() if isinstance(each, dict) else [each])
    ]


def gradients(rnn, given, overwrite=lambda: None, pure=False):
    """All gradients, with something done between the passes."""
    y, last, tape = rnn.apply(rnn.theta, **given) if pure else (*rnn.forward(**given), None)
    dy, dlast = np.ones_like(y), {name: np.ones_like(value) for name, value in last.items()}
    overwrite()
    for result in (y, *last.values()):
        result[:] = 7
    computed = (
        rnn.vjp(tape, dy, dlast) if pure else (*rnn.backward(dy, dlast, trace_grads=True), rnn.grad.copy())
    )
    dx, dfirst, dtheta = computed
    return [dtheta, *dfirst.values(), *([] if dx is None else [dx]), *rnn.trace_grads.values()]


CASES = [
    {"batch": batch, "recompute": recompute, **more}
    for batch, recompute, more in itertools.product(
        (2, 9),
        (None, 2),
        ({}, {"bidirectional": True}, {"lengths": True}, {"tokens": True}, {"num_layers": 2}),
    )
]


@pytest.mark.parametrize(("case", "pure"), [*((case, False) for case in CASES), (CASES[0], True)], ids=str)
def test_arguments_of_call_can_be_overwritten(case, pure):
    rnn, given = trial(**case)
    expected = gradients(rnn, given, pure=pure)

    def overwrite():
        for array in arrays_of(given):
            array[:] = 1

    for actual, wanted in zip(gradients(rnn, given, overwrite, pure), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)


CHANGES = {
    "one bit": lambda theta: np.bitwise_xor(theta[:1].view("i8"), 1, out=theta[:1].view("i8")),
    "the last": lambda theta: np.copyto(theta[-1:], 0.5),
    "signs": lambda theta: np.negative(theta, out=theta),
    "places": lambda theta: np.copyto(theta, theta[::-1].copy()),
    "two that changed places": lambda theta: np.copyto(theta[:2], theta[1::-1].copy()),
    "an update": lambda theta: np.subtract(theta, 0.1, out=theta),
    "not a number": lambda theta: np.copyto(theta, np.nan),
}


@pytest.mark.parametrize("pure", [False, True])
@pytest.mark.parametrize("change", CHANGES)
def test_changed_parameters_raise(change, pure):
    rnn, given = trial(2)
    with pytest.raises(UsageError, match=CHANGED):
        gradients(rnn, given, lambda: CHANGES[change](rnn.theta), pure)


def test_changed_parameter_view_raises():
    rnn, given = trial(2)
    name = next(iter(rnn.params))

    def overwrite():
        rnn.params[name] = 0

    with pytest.raises(UsageError, match=CHANGED):
        gradients(rnn, given, overwrite)


def test_update_loop_and_reused_tape_do_not_raise():
    rnn, given = trial(2)
    for _ in range(3):
        y, _ = rnn.forward(**given)
        rnn.backward(y)
        rnn.theta -= 0.1 * rnn.grad
    y, _, tape = rnn.apply(rnn.theta, **given)
    first, second = rnn.vjp(tape, y)[2], rnn.vjp(tape, y)[2]
    np.testing.assert_array_equal(first, second)


def test_apply_checks_given_parameters_only():
    rnn, given = trial(2)
    theta = rnn.theta.copy()
    y, _, tape = rnn.apply(theta, **given)
    rnn.theta[:] = 0
    rnn.vjp(tape, y)
    theta[3] += 1e-9
    with pytest.raises(UsageError, match=CHANGED):
        rnn.vjp(tape, y)


@pytest.mark.parametrize("size", [0, 1, 2, 7, 64, 1001])
def test_digest_is_the_same_compiled(size):
    words = np.random.default_rng(size).integers(2**32, size=size, dtype=np.uint32)
    plain = digest(words)
    assert plain == digest.dispatcher(words)
    for place in range(size):
        words[place] ^= 1
        assert digest.dispatcher(words) != plain
        words[place] ^= 1


def test_message_names_calls():
    rnn, given = trial(2)
    for pure, words in (
        (False, "call backward before you change them, or forward again"),
        (True, "call vjp before you change them, or apply again"),
    ):
        with pytest.raises(UsageError, match=words):
            gradients(rnn, given, lambda: np.add(rnn.theta, 1, out=rnn.theta), pure=pure)
