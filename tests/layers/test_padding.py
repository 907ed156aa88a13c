"""Rows of different lengths in one batch: each as it is alone, whatever stands behind its end."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from kitchen_sink_cell import Rich

import zoo
from zoo.errors import UsageError
from zoo.kernels import pure_python
from zoo.layers import Recurrent
from zoo.layers.time_chunks import Chunk, plan_chunks

T, B, I, H = 7, 6, 3, 4  # noqa: E741 - the letters of the documents
LENGTHS = np.array([3, 7, 0, 5, 5, 1])


def layers(cell="vanilla", num_layers=1, seed=0, **chosen):
    rnn = Recurrent(cell, I, H, num_layers=num_layers, dtype="float64", **{"threads": 1, **chosen})
    rnn.theta += np.random.default_rng(seed).normal(size=rnn.theta.size) / 5
    return rnn


def arguments(rnn, batch=B, steps=T, tokens=False, seed=1):
    """x, states and inputs; gradients of the outputs and last states."""
    rng = np.random.default_rng(seed)
    x = rng.integers(I, size=(steps, batch)) if tokens else rng.normal(size=(steps, batch, I))
    dy = rng.normal(size=(steps, batch, rnn.output_size))
    state, dstate = (
        {name: rng.normal(size=(batch, *shape)) for name, shape in rnn.stack.state_shapes.items()}
        for _ in range(2)
    )
    inputs = {
        name: rng.uniform(0.5, 1.5, (steps, batch, *shape)) for name, shape in rnn.stack.input_shapes.items()
    }
    return x, state, inputs, dy, dstate


def both_ways(rnn, x, state, inputs, dy, dstate, **called):
    """Results that have time in front; states and their gradients; the gradient of theta."""
    y, last = rnn.forward(x, state, **inputs, **called)
    dx, dfirst = rnn.backward(dy, dstate)
    timed = {"y": y} | ({} if dx is None else {"dx": dx})
    return timed, last | {f"d{name}": value for name, value in dfirst.items()}, rnn.grad.copy()


def one_by_one(rnn, lengths, x, state, inputs, dy, dstate, **called):
    """The same of every row alone, with zeros behind its end."""
    results = []
    for b, n in enumerate(lengths):
        part = {name: value[:n, [b]] for name, value in inputs.items()}
        states = [{name: value[[b]] for name, value in each.items()} for each in (state, dstate)]
        results.append(both_ways(rnn, x[:n, [b]], states[0], part, dy[:n, [b]], states[1], **called))
    timed = {
        name: np.concatenate(
            [np.pad(row[name], ((0, len(x) - len(row[name])), (0, 0), (0, 0))) for row, _, _ in results],
            axis=1,
        )
        for name in results[0][0]
    }
    states = {name: np.concatenate([row[name] for _, row, _ in results]) for name in results[0][1]}
    return timed, states, sum(gradient for _, _, gradient in results)


def spoilt(lengths, x, inputs, dy):
    """Replace the padding of each sequence by invalid values."""
    behind = np.arange(len(x))[:, None] >= lengths
    x, dy = x.copy(), dy.copy()
    inputs = {name: value.copy() for name, value in inputs.items()}
    x[behind] = 99 if x.ndim == 2 else np.nan
    for each in (*inputs.values(), dy):
        each[behind] = np.nan
    return x, inputs, dy


def assert_equal(actual, expected):
    for one, other in zip(actual[:2], expected[:2], strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            np.testing.assert_array_equal(one[name], value, err_msg=name)


def assert_close(actual, expected):
    for one, other in zip(actual[:2], expected[:2], strict=True):
        assert one.keys() == other.keys()
        for name, value in other.items():
            np.testing.assert_allclose(one[name], value, rtol=0, atol=1e-13, err_msg=name)
    np.testing.assert_allclose(actual[2], expected[2], rtol=0, atol=1e-12)


# ---- what comes out -----------------------------------------------------------------------------------


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("recompute", [None, 2])
@pytest.mark.parametrize("cell", ["lstm", Rich, ["gru", "vanilla", "lstm"]])
def test_padded_sequence_equals_unpadded_one(cell, recompute, bidirectional, tokens):
    rnn = layers(cell, 3, bidirectional=bidirectional, recompute=recompute, residual=True)
    x, state, inputs, dy, dstate = arguments(rnn, tokens=tokens)
    bad, bad_inputs, bad_dy = spoilt(LENGTHS, x, inputs, dy)
    with pure_python():
        expected = one_by_one(rnn, LENGTHS, x, state, inputs, dy, dstate)
        actual = both_ways(rnn, bad, state, bad_inputs, bad_dy, dstate, lengths=LENGTHS)
    assert ("dx" in actual[0]) != tokens
    assert_close(actual, expected)


@pytest.mark.parametrize(("bidirectional", "tokens"), [(False, False), (True, False), (True, True)])
def test_compiled_padding_is_bit_exact(bidirectional, tokens):
    lengths = np.random.default_rng(3).integers(0, T + 1, 21)
    rnn = layers(num_layers=2, bidirectional=bidirectional)
    given = arguments(rnn, batch=21, tokens=tokens)
    actual = both_ways(rnn, *given, lengths=lengths)
    expected = one_by_one(rnn, lengths, *given)
    assert_equal(actual, expected)
    np.testing.assert_allclose(actual[2], expected[2], rtol=0, atol=1e-12)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_full_lengths_equal_no_lengths(bidirectional):
    rnn = layers(num_layers=2, bidirectional=bidirectional)
    given = arguments(rnn, batch=21)
    actual, expected = both_ways(rnn, *given, lengths=[T] * 21), both_ways(rnn, *given)
    assert_equal(actual, expected)
    np.testing.assert_array_equal(actual[2], expected[2])


@pytest.mark.parametrize(("bidirectional", "recompute"), [(False, None), (True, None), (True, 3)])
def test_threads_change_no_bit(bidirectional, recompute):
    lengths = np.random.default_rng(3).integers(0, T + 1, 150)  # shards of 16 rows
    chosen = {"num_layers": 2, "bidirectional": bidirectional, "recompute": recompute, "learned_state": True}
    one = layers(**chosen)
    given = arguments(one, batch=150)
    expected = both_ways(one, *given, lengths=lengths)
    for threads in (2, 5):
        actual = both_ways(layers(**chosen, threads=threads), *given, lengths=lengths)
        assert_equal(actual, expected)
        np.testing.assert_array_equal(actual[2], expected[2])


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("steps", [0, T])
def test_rows_without_any_step(bidirectional, steps):
    rnn = layers(num_layers=2, bidirectional=bidirectional)
    x, state, inputs, dy, dstate = arguments(rnn, steps=steps)
    timed, states, gradient = both_ways(rnn, x, state, inputs, dy, dstate, lengths=np.zeros(B, int))
    assert not any(value.any() for value in timed.values())
    assert not gradient.any()
    for name in state:
        np.testing.assert_array_equal(states[name], state[name])
        np.testing.assert_array_equal(states[f"d{name}"], dstate[name])


def test_padded_batch_can_continue():
    rnn, lengths, more = layers(num_layers=2), np.array([2, 4, 0]), np.array([3, 0, 1])
    x = arguments(rnn, batch=3)[0]
    rows = [
        np.concatenate([x[:n, [b]], x[:m, [b]]]) for b, (n, m) in enumerate(zip(lengths, more, strict=True))
    ]
    _, state = rnn.forward(x, lengths=lengths)
    _, actual = rnn.forward(x, state, lengths=more)
    for b, row in enumerate(rows):
        _, expected = rnn.forward(row)
        for name, value in expected.items():
            np.testing.assert_array_equal(actual[name][[b]], value)


def test_noise_and_dropout_depend_on_batch_index():
    chosen = {"num_layers": 2, "bidirectional": True, "dropout": 0.5}
    rnn = layers("vanilla+recurrent_dropout", **chosen)
    x = arguments(rnn)[0]
    with pure_python():
        y, last = rnn.forward(x, noise=(3, 4), lengths=LENGTHS)
        first_two, _ = rnn.forward(x[:, :2], noise=(3, 4), lengths=LENGTHS[:2])
        assert_close(({"y": first_two}, {}, 0), ({"y": y[:, :2]}, {}, 0))
        full, full_last = rnn.forward(x, noise=(3, 4))
        for b in np.flatnonzero(LENGTHS == T):
            np.testing.assert_allclose(y[:, b], full[:, b], rtol=0, atol=1e-13)
            np.testing.assert_allclose(last["l1.reverse.h"][b], full_last["l1.reverse.h"][b], atol=1e-13)


def test_tapes_of_other_lengths_are_alive_side_by_side():
    rnn = layers(num_layers=2, bidirectional=True)
    x, state, _, dy, dstate = arguments(rnn)
    ways = [rnn.apply(rnn.theta, x, state, lengths=lengths)[2] for lengths in (LENGTHS, LENGTHS[::-1], None)]
    actual = [rnn.vjp(tape, dy, dstate)[2] for tape in reversed(ways)][::-1]
    for lengths, gradient in zip((LENGTHS, LENGTHS[::-1], None), actual, strict=True):
        expected = both_ways(rnn, x, state, {}, dy, dstate, lengths=lengths)[2]
        np.testing.assert_array_equal(gradient, expected)


# ---- how time is cut ----------------------------------------------------------------------------------


def chunks(lengths, *starts):
    segments = [slice(*each) for each in itertools.pairwise((*starts, T))]
    return [
        (each.time_slice.start, each.time_slice.stop, each.row_count)
        for each in plan_chunks(segments, len(lengths), lengths).chunks
    ]


def test_segments_begin_at_row_ends():
    assert chunks(np.array([5, 5, 3]), 0) == [(0, 3, 3), (3, 5, 2)]
    assert chunks(np.array([5, 5, 3]), 0, 2, 4, 6) == [(0, 2, 3), (2, 3, 3), (3, 5, 2)]
    assert chunks(np.array([7, 3, 3]), 0, 2, 4, 6) == [(0, 2, 3), (2, 3, 3), (3, 5, 1), (5, 7, 1)]
    assert chunks(np.array([7, 2, 0]), 0) == [(0, 2, 2), (2, 7, 1)]
    assert chunks(np.array([0, 0]), 0, 3) == [(0, 0, 2)]
    assert plan_chunks([slice(0, 4), slice(4, 7)], 3).chunks == [Chunk(slice(0, 4), 3), Chunk(slice(4, 7), 3)]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_kernels_see_only_unpadded_steps(bidirectional):
    seen = []

    class Spy(Rich):
        """Remembers how much its kernels are given."""

        @staticmethod
        def forward(params, x, state, inputs, radius):
            seen.append(x.shape[0] * x.shape[1])
            return Rich.forward(params, x, state, inputs, radius)

    rnn = Recurrent(Spy, I, H, dtype="float64", threads=1, bidirectional=bidirectional)
    lengths = np.random.default_rng(3).integers(0, 60, 40)
    rnn.forward(np.ones((60, 40, I)), lengths=lengths)
    assert sum(seen) == lengths.sum() * (1 + bidirectional)
    # Rows of about the same length share a shard: a call for each different length, and for a few in two.
    assert len(seen) <= (len(set(lengths.tolist())) + 5) * (1 + bidirectional)


# ---- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lengths", "words"),
    [
        (
            [3, 7, 0],
            r"cell 'vanilla': lengths are int64\(3,\); expected integers \(6,\), the steps of each sequence",
        ),
        (3, r"lengths are int64\(\)"),
        (LENGTHS / 1.0, r"lengths are float64\(6,\)"),
        (LENGTHS == 3, r"lengths are bool\(6,\)"),
        ([3, 7, 0, 5, 8, 1], "lengths run from 0 to 8; expected 0 to 7, the number of steps"),
        ([3, 7, 0, 5, -1, 1], "lengths run from -1 to 7"),
        (
            [[3], [7, 0]],
            "lengths cannot be made an array: parts of the list have different lengths; pad them",
        ),
        ("all", "lengths are"),
        (
            [5] * T,
            rf"for {B} sequences of {T} steps. If the {T} rows of the first axis are sequences, exchange",
        ),
    ],
)
def test_invalid_lengths_raise(lengths, words):
    rnn = layers()
    with pytest.raises(UsageError, match=words):
        rnn.forward(np.zeros((T, B, I)), lengths=lengths)


def test_inputs_are_checked_before_lengths():
    rnn = layers()
    for x in (np.zeros((T, B, I + 1)), np.zeros(T), np.zeros((T, 0, I)), np.full((T, B), I)):
        with pytest.raises(UsageError, match="inputs"):
            rnn.forward(x, lengths=LENGTHS)


def test_lengths_of_any_integers():
    rnn = layers()
    x = arguments(rnn)[0]
    expected = rnn.forward(x, lengths=LENGTHS)[0]
    for kind in ("u1", "i2", "u8", ">i4"):
        np.testing.assert_array_equal(rnn.forward(x, lengths=LENGTHS.astype(kind))[0], expected)
    np.testing.assert_array_equal(rnn.forward(x, lengths=tuple(LENGTHS.tolist()))[0], expected)


def test_input_named_lengths_raises():
    with pytest.raises(zoo.DefinitionError, match="input 'lengths' has the name of an argument of"):

        class Wrong(Rich):
            """Has such an input."""

            lengths = zoo.Input(default=1.0)
