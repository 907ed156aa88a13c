"""Splitting a text, and reading it as a batch of contiguous streams."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data import BpttBatches, fit_batch_shape, parse_split, read_text, split
from zoo.errors import DataError, UsageError


@st.composite
def streams(draw):
    """Streams over 0, 1, 2, ...: every token says where it stands. From one window to several."""
    batch, seq = draw(st.integers(1, 6)), draw(st.integers(1, 6))
    n_tokens = batch * seq + 1 + draw(st.integers(0, 4 * batch * seq))
    return BpttBatches(np.arange(n_tokens, dtype=np.int32), batch, seq)


def epoch(reading: BpttBatches, number: int = 0):
    first = number * reading.windows_per_epoch
    return [reading.window(index) for index in range(first, first + reading.windows_per_epoch)]


@given(streams(), st.integers(1, 6))
def test_max_windows_reads_the_beginnings_of_the_same_streams(reading, count):
    shortened = BpttBatches(reading.tokens, reading.batch, reading.seq, max_windows=count)
    kept = min(count, reading.windows_per_epoch)
    assert shortened.windows_per_epoch == kept
    assert shortened.is_shortened == (kept < reading.windows_per_epoch)
    targets = []
    for before, after in zip(epoch(reading)[:kept], epoch(shortened), strict=True):
        np.testing.assert_array_equal(before.inputs, after.inputs)
        np.testing.assert_array_equal(before.targets, after.targets)
        targets.append(after.targets)
    assert shortened.mean_target(reading.tokens) == np.mean(targets)
    rest, other = ([w.targets.tolist() for w in each.remainder()] for each in (reading, shortened))
    assert rest == other
    assert shortened.mean_target(reading.tokens, True) == reading.mean_target(reading.tokens, True)


# -- splitting -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "fractions"),
    [
        ("90,5,5", (0.9, 0.05, 0.05)),
        ("0.9,0.05,0.05", (0.9, 0.05, 0.05)),
        (".9,.05,.05", (0.9, 0.05, 0.05)),
        ("90,10", (0.9, 0.1, 0.0)),
        (" 90 , 10 , 0 ", (0.9, 0.1, 0.0)),
        ("90,0,10", (0.9, 0.0, 0.1)),
        ("33.4,33.3,33.3", (0.334, 0.333, 0.333)),
        ("100", (1.0, 0.0, 0.0)),
        ("1", (1.0, 0.0, 0.0)),
        ("1,0,0", (1.0, 0.0, 0.0)),
    ],
)
def test_parse_split(text, fractions):
    assert parse_split(text) == fractions


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "split is ''; expected one to three numbers"),
        ("a,b", "one to three numbers"),
        ("90,5,4,1", "one to three numbers"),
        ("90,", "one to three numbers"),
        ("110,-10", "one to three numbers"),
        ("nan,1", "one to three numbers"),
        ("inf", "one to three numbers"),
        ("1e2", "one to three numbers"),
        ("1/2,1/2", "one to three numbers"),
        ("9" * 5000, "one to three numbers"),
        ("90,5", "split is '90,5', with the sum 95; expected 100 or 1"),
        ("0.9,0.2", "with the sum 1.1"),
        ("0,0,0", "with the sum 0"),
        ("0,100", "a first share above zero, to train on"),
        ("0,0.5,0.5", "a first share above zero, to train on"),
    ],
)
def test_parse_split_rejects(text, words):
    with pytest.raises(UsageError, match=words):
        parse_split(text)


def test_split_cuts_at_rounded_down_running_sum():
    train, valid, test = split(np.arange(1115, dtype=np.int32), (0.9, 0.05, 0.05))
    assert (len(train), len(valid), len(test)) == (1003, 56, 56)  # cuts at 1003.5 and 1059.25
    assert (train[0], valid[0], test[0]) == (0, 1003, 1059)


def test_split_uses_exact_fractions():
    parts = split(np.zeros(100, np.int32), (0.29, 0.57, 0.14))  # floats: 28.999999999999996, 86.0 - 1e-14
    assert [len(part) for part in parts] == [29, 57, 14]
    third = (1 / 3, 1 / 3, 1 / 3)  # their decimals sum to just under 1
    assert [len(part) for part in split(np.zeros(9, np.int32), third)] == [3, 3, 3]
    assert [len(part) for part in split(np.zeros(5, np.int32), tuple(np.array([0.8, 0.2, 0.0])))] == [4, 1, 0]


@given(st.integers(0, 2000), st.integers(1, 100), st.data())
def test_split_is_a_partition_in_order(n_tokens, train, data):
    valid = data.draw(st.integers(0, 100 - train))
    fractions = parse_split(f"{train},{valid},{100 - train - valid}")
    tokens = np.arange(n_tokens, dtype=np.int32)
    parts = split(tokens, fractions)
    assert np.concatenate(parts).tolist() == tokens.tolist()  # so no token is in two parts
    assert len(parts.train) == n_tokens * train // 100
    assert len(parts.train) + len(parts.valid) == n_tokens * (train + valid) // 100
    assert all(len(part) == 0 for part, share in zip(parts, fractions, strict=True) if share == 0)
    assert all(np.shares_memory(part, tokens) for part in parts if len(part))


@pytest.mark.parametrize(
    "fractions", [(0.9, 0.2, 0.1), (1.1, -0.1, 0), (0.9, 0.1), (np.nan, 0, 1), (0, 0, 0)]
)
def test_invalid_split_raises(fractions):
    with pytest.raises(
        UsageError, match=r"^fractions are .*; expected three numbers from 0 to 1 that sum to 1\."
    ):
        split(np.arange(10, dtype=np.int32), fractions)


def test_training_and_validation_do_not_overlap():
    parts = split(np.arange(1000, dtype=np.int32), parse_split("90,10"))
    seen = [
        {
            int(token)
            for window in epoch(BpttBatches(part, 3, 7))
            for token in np.append(window.inputs, window.targets)
        }
        for part in (parts.train, parts.valid)
    ]
    assert max(seen[0]) < 900 <= min(seen[1])


# -- streams -------------------------------------------------------------------------------------------------


@given(streams(), st.integers(0, 100))
def test_windows_are_time_major_copies(reading, index):
    inputs, targets, _ = reading.window(index)
    for array in (inputs, targets):
        assert array.shape == (reading.seq, reading.batch)
        assert array.dtype == np.int32
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert not np.shares_memory(array, reading.tokens)


@given(streams(), st.integers(0, 100))
def test_every_target_is_the_successor_of_its_input(reading, index):
    inputs, targets, _ = reading.window(index)
    assert (targets == inputs + 1).all()
    assert (inputs[1:] == targets[:-1]).all()  # time runs down the first axis


@given(streams())
def test_windows_continue_each_other_within_a_row(reading):
    for before, after in zip(epoch(reading), epoch(reading)[1:], strict=False):
        assert (after.inputs[0] == before.targets[-1]).all()


@given(streams())
def test_rows_follow_the_documented_rule(reading):
    length = reading.windows_per_epoch * reading.seq
    inputs = np.concatenate([window.inputs for window in epoch(reading)])
    for row in range(reading.batch):
        assert inputs[:, row].tolist() == list(range(row * length, (row + 1) * length))


@given(streams())
def test_epoch_predicts_each_token_once(reading):
    predicted = np.concatenate([window.targets.ravel() for window in epoch(reading)])
    assert sorted(predicted.tolist()) == list(range(1, len(predicted) + 1))
    assert 0 <= len(reading.tokens) - 1 - len(predicted) < reading.batch * reading.seq


@given(streams())
def test_rest_continues_the_last_row_to_the_end(reading):
    predicted = sum(window.targets.size for window in epoch(reading))
    rest = list(reading.remainder())
    inputs = [token for window in rest for token in window.inputs[:, 0].tolist()]
    assert inputs == list(range(predicted, len(reading.tokens) - 1))
    for window in rest:
        assert (window.targets == window.inputs + 1).all()
        assert window.inputs.shape[0] <= reading.seq
    assert not rest or rest[0].inputs[0] == epoch(reading)[-1].targets[-1, -1]


@given(streams(), st.integers(0, 10**12))
def test_window_depends_on_step_alone(reading, step):
    other = BpttBatches(reading.tokens, reading.batch, reading.seq)
    expected = epoch(reading)[step % reading.windows_per_epoch]
    window = other.window(step)
    assert window.inputs.tolist() == expected.inputs.tolist()
    assert window.targets.tolist() == expected.targets.tolist()
    assert window.is_first_of_epoch == (step % reading.windows_per_epoch == 0)


def test_worked_example():
    reading = BpttBatches(
        np.arange(15, dtype=np.int32), batch=2, seq=3
    )  # 14 // 6 = 2 windows, tokens 13 and 14 unread
    assert reading.windows_per_epoch == 2
    assert reading.window(1).inputs.tolist() == [[3, 9], [4, 10], [5, 11]]
    assert reading.window(1).targets.tolist() == [[4, 10], [5, 11], [6, 12]]
    assert [reading.window(index).is_first_of_epoch for index in range(5)] == [True, False, True, False, True]


def test_windows_are_copies():
    reading = BpttBatches(np.arange(9, dtype=np.int32), batch=1, seq=4)
    reading.window(0).inputs[:] = -1
    assert reading.window(0).inputs[:, 0].tolist() == [0, 1, 2, 3]


def test_strided_and_small_typed_tokens():
    reading = BpttBatches(np.arange(20, dtype=np.uint8)[::2], batch=2, seq=2)
    inputs = reading.window(0).inputs
    assert inputs.dtype == np.int32
    assert inputs.tolist() == [[0, 8], [2, 10]]


@pytest.mark.parametrize(
    ("batch", "seq", "fitting"), [(32, 64, "`batch=1` `seq=4`"), (4, 2, "`batch=2` `seq=2`")]
)
def test_too_short_text(batch, seq, fitting):
    tokens = read_text("builtin:hello").tokens
    words = rf"found 5 tokens, needed {batch * seq + 1} \(batch {batch} x seq {seq} \+ 1\); .*{fitting} fits"
    with pytest.raises(DataError, match=words):
        BpttBatches(tokens, batch, seq)


@pytest.mark.parametrize("n_tokens", [0, 1])
def test_text_of_one_token(n_tokens):
    with pytest.raises(DataError, match=rf"found {n_tokens} tokens, needed 2 .*longer text"):
        BpttBatches(np.zeros(n_tokens, np.int32), 1, 1)
    with pytest.raises(DataError, match=rf"found {n_tokens} tokens, needed at least 2"):
        fit_batch_shape(n_tokens, 1, 1)


@pytest.mark.parametrize("wrong", [0, -1, 1.0, True, "3", None])
def test_sizes_are_positive_integers(wrong):
    tokens = np.arange(10, dtype=np.int32)
    for call in (BpttBatches, lambda tokens, batch, seq: fit_batch_shape(len(tokens), batch, seq)):
        with pytest.raises(UsageError, match=f"batch is {wrong!r}; expected an integer of at least 1"):
            call(tokens, wrong, 1)
        with pytest.raises(UsageError, match=f"seq is {wrong!r}; expected an integer of at least 1"):
            call(tokens, 1, wrong)


def test_invalid_tokens_and_index():
    with pytest.raises(UsageError, match=r"tokens are an array float64\(9,\)"):
        BpttBatches(np.zeros(9), 1, 1)
    with pytest.raises(UsageError, match=r"tokens are an array int32\(3, 3\)"):
        BpttBatches(np.zeros((3, 3), np.int32), 1, 1)
    with pytest.raises(UsageError, match="index is -1; expected an integer of at least 0"):
        BpttBatches(np.arange(9, dtype=np.int32), 1, 1).window(-1)


# -- fitting -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("requested", "fitting"),
    [
        ((5, 32, 64), (1, 4)),
        ((2, 32, 64), (1, 1)),
        ((65, 32, 64), (1, 64)),
        ((64, 32, 64), (1, 63)),
        ((2048, 32, 64), (31, 64)),
        ((2049, 32, 64), (32, 64)),
        ((10**9, 32, 64), (32, 64)),
    ],
)
def test_fit_batch_shape(requested, fitting):
    assert fit_batch_shape(*requested) == fitting


@given(st.integers(2, 500), st.integers(1, 40), st.integers(1, 40))
def test_fit_gives_largest_batch_with_a_window(n_tokens, batch, seq):
    fitted_batch, fitted_seq = fit_batch_shape(n_tokens, batch, seq)
    assert 1 <= fitted_batch <= batch
    assert 1 <= fitted_seq <= seq
    assert BpttBatches(np.zeros(n_tokens, np.int32), fitted_batch, fitted_seq).windows_per_epoch >= 1
    assert fitted_batch == batch or (fitted_batch + 1) * seq + 1 > n_tokens
    assert fitted_seq == seq or (fitted_batch == 1 and fitted_seq + 2 > n_tokens)
