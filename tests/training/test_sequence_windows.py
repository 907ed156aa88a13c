"""Windows of sequences in streams: each step is read once in an epoch, and states continue in a sequence."""

from __future__ import annotations

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from zoo.training.sequence_windows import SequenceWindows


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=12),
    st.integers(1, 50),
    st.integers(1, 9),
    st.integers(0, 3),
)
@example([100], 7, 4, 0)
@settings(max_examples=40)
def test_every_epoch_reads_each_step_of_the_chosen_sequences_once(lengths, size, batch, seed):
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    numbers = np.arange(len(lengths))[:: 1 + seed % 2]
    windows = SequenceWindows(offsets, numbers, size, batch, seed)
    chosen = np.concatenate([np.arange(offsets[n], offsets[n + 1]) for n in numbers])
    first_steps = set(offsets[numbers].tolist())
    assert windows.streams <= batch
    for epoch in range(2):
        rows, ends = list[int](), np.full(windows.streams, -1)
        for index in range(windows.updates):
            starts, sizes, continues = windows.batch(epoch * windows.updates + index)
            assert starts.shape == sizes.shape == continues.shape == (windows.streams,)
            assert (sizes <= size).all()
            assert sizes.any()
            # A window is the continuation of the one before in its stream, or begins with another state.
            expected = (starts == ends) & (sizes > 0) & ~np.isin(starts, list(first_steps))
            assert continues.tolist() == (expected & (index > 0)).tolist()
            ends = starts + sizes
            rows += [
                row
                for start, length in zip(starts, sizes, strict=True)
                for row in range(start, start + length)
            ]
        assert sorted(rows) == chosen.tolist()


@settings(max_examples=40)
@given(st.integers(1, 500), st.integers(1, 30), st.integers(1, 9))
def test_one_sequence_becomes_streams_of_equal_length(length, size, batch):
    windows = SequenceWindows(np.array([0, length]), np.array([0]), size, batch, 0)
    count = -(-length // size)
    streams = max(1, count**2 // (8 * (count - 1))) if count > 1 else 1
    assert windows.updates == -(-count // min(batch, streams))
    assert 0 <= windows.streams * windows.updates - count < windows.updates
    assert windows.may_continue == (count > 1)


@settings(max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=40), st.integers(1, 12), st.integers(1, 64))
def test_few_windows_begin_within_a_sequence_without_its_state(lengths, size, batch):
    offsets, numbers = np.concatenate([[0], np.cumsum(lengths)]), np.arange(len(lengths))
    counts = -(-np.array(lengths) // size)
    total = int(counts.sum())
    windows = SequenceWindows(offsets, numbers, size, batch, 0)
    # A stream begins within a sequence for the share of windows that continue one.
    within = windows.streams * (total - len(lengths)) / total
    assert windows.streams == 1 or within <= total / 8
    if (counts == 1).all():
        assert windows.updates == -(-total // batch)
    plain = SequenceWindows(offsets, numbers, size, batch, 0, carries=False)
    assert plain.updates == -(-total // batch)


@settings(max_examples=40)
@given(st.lists(st.lists(st.booleans(), min_size=1, max_size=30), min_size=1, max_size=8), st.integers(1, 9))
def test_windows_after_the_last_label_are_left_out(labels, size):
    offsets = np.concatenate([[0], np.cumsum([len(each) for each in labels])])
    has_label = np.concatenate(labels)
    if not has_label.any():
        return
    windows = SequenceWindows(offsets, np.arange(len(labels)), size, 3, 0, has_label=has_label)
    rows = list[int]()
    for step in range(windows.updates):
        starts, sizes, _ = windows.batch(step)
        rows += [
            row for start, count in zip(starts, sizes, strict=True) for row in range(start, start + count)
        ]
    expected = [
        int(offset) + step
        for offset, each in zip(offsets, labels, strict=False)
        for step in range(len(each))
        if any(each[step // size * size :])
    ]
    assert sorted(rows) == expected


def test_a_step_of_training_depends_on_its_number_alone():
    offsets = np.concatenate([[0], np.cumsum([5, 9, 3, 8])])
    in_order, anew = (SequenceWindows(offsets, np.arange(4), 4, 2, 7) for _ in range(2))
    batches = [in_order.batch(step) for step in range(12)]
    for step in (11, 0, 7):
        for one, other in zip(anew.batch(step), batches[step], strict=True):
            np.testing.assert_array_equal(one, other)
