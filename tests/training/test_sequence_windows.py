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
        assert windows.steps_per_epoch == windows.batches_per_epoch
        for index in range(windows.batches_per_epoch):
            number = epoch * windows.batches_per_epoch + index
            assert windows.step_batches(number) == range(number, number + 1)
            starts, sizes, continues = windows.batch(number)
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
    assert windows.batches_per_epoch == -(-count // min(batch, streams))
    assert 0 <= windows.streams * windows.batches_per_epoch - count < windows.batches_per_epoch
    assert windows.carries == (count > 1)


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
        assert windows.batches_per_epoch == -(-total // batch)
    plain = SequenceWindows(offsets, numbers, size, batch, 0, carries=False)
    assert plain.batches_per_epoch == -(-total // batch)


LABELS = st.lists(st.lists(st.booleans(), min_size=1, max_size=30), min_size=1, max_size=8).filter(
    lambda sequences: any(map(any, sequences))
)


def labelled_windows(labels, size, batch=3, seed=0, **options):
    """Windows of sequences of which some steps have a label, and whether each row has one."""
    offsets, has_label = np.concatenate([[0], np.cumsum([*map(len, labels)])]), np.concatenate(labels)
    numbers = np.arange(len(labels))
    return SequenceWindows(offsets, numbers, size, batch, seed, has_label=has_label, **options), has_label


def batch_rows(windows, number):
    """The rows of the windows of a batch."""
    starts, sizes, _ = windows.batch(number)
    return [row for start, size in zip(starts, sizes, strict=True) for row in range(start, start + int(size))]


@settings(max_examples=40)
@given(LABELS, st.integers(1, 9))
def test_windows_after_the_last_label_are_left_out(labels, size):
    windows, _ = labelled_windows(labels, size)
    rows = [row for number in range(windows.batches_per_epoch) for row in batch_rows(windows, number)]
    offsets = np.cumsum([0, *map(len, labels)])
    expected = [
        int(offset) + step
        for offset, each in zip(offsets, labels, strict=False)
        for step in range(len(each))
        if any(each[step // size * size :])
    ]
    assert sorted(rows) == expected


@settings(max_examples=60)
@given(LABELS, st.integers(1, 9), st.integers(1, 4), st.integers(0, 3), st.booleans())
def test_a_training_step_ends_with_its_only_batch_with_a_label(labels, size, batch, seed, carries):
    """Steps read the batches of each epoch in order, up to the last one with a label."""
    windows, has_label = labelled_windows(labels, size, batch, seed, carries=carries)
    labelled = [bool(has_label[batch_rows(windows, n)].any()) for n in range(3 * windows.batches_per_epoch)]
    steps = [windows.step_batches(step) for step in range(sum(labelled))]
    assert [numbers[-1] for numbers in steps] == np.flatnonzero(labelled).tolist()
    assert windows.steps_per_epoch == sum(labelled[: windows.batches_per_epoch])
    for number, numbers in enumerate(steps):
        assert sum(labelled[each] for each in numbers) == 1
        first = numbers[-1] // windows.batches_per_epoch * windows.batches_per_epoch
        begins_epoch = number == 0 or steps[number - 1][-1] < first
        before = first if begins_epoch else steps[number - 1][-1] + 1
        assert numbers[0] == (before if windows.carries else numbers[-1])
        if not windows.carries:
            assert not windows.batch(numbers[-1]).continues.any()


@settings(max_examples=20)
@given(LABELS, st.integers(1, 9), st.integers(1, 4))
def test_a_training_step_depends_on_its_number_alone(labels, size, batch):
    in_order, anew = (labelled_windows(labels, size, batch, 7)[0] for _ in range(2))
    numbers = [in_order.step_batches(step) for step in range(12)]
    batches = [in_order.batch(numbers[-1]) for numbers in numbers]
    for step in (11, 0, 7):
        assert anew.step_batches(step) == numbers[step]
        for one, other in zip(anew.batch(numbers[step][-1]), batches[step], strict=True):
            np.testing.assert_array_equal(one, other)
