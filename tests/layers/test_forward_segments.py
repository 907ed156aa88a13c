"""Forward passes without a tape: the same bits as with one, and memory for the results only."""

import subprocess
import sys

import numpy as np
import pytest
from law_options import law_cell
from representative_cells import REPRESENTATIVE_CELLS

import zoo
from zoo.errors import UsageError
from zoo.kernels import pure_python
from zoo.kernels.memory_chunk import CHUNK
from zoo.layers import time_chunks
from zoo.layers.sharding import shards
from zoo.layers.time_chunks import forward_segments

T, B, F, H = 2 * CHUNK + 5, 3, 5, 12  # three short segments


def shorten(monkeypatch):
    monkeypatch.setattr(time_chunks, "_FORWARD_ELEMENTS", 1)
    monkeypatch.setattr(time_chunks, "_FORWARD_STEPS", CHUNK)


@pytest.fixture
def short_segments(monkeypatch):
    shorten(monkeypatch)


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def arguments(rnn, lengths=None, noise=None):
    rng = np.random.default_rng(2)
    shapes = rnn.stack.input_shapes.items()
    inputs = {name: rng.uniform(0.5, 2, (T, B, *shape)).astype(rnn.dtype) for name, shape in shapes}
    x = rng.normal(size=(T, B, F)).astype(rnn.dtype)
    return (x,), {"lengths": lengths, "noise": noise, **inputs}


def results(rnn, args, options, tape):
    y, last = rnn.forward(*args, tape=tape, **options)
    return {"y": y, **last, **rnn.trace}


# ---- layers -------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize(("turn", "cell"), list(enumerate(REPRESENTATIVE_CELLS)))
def test_every_kind_of_cell_computes_the_same(turn, cell):
    """Every second cell runs in both directions, with sequences that end within a segment.

    Chunks of a memory and segments both begin where such a sequence ends.
    Products of NumPy round differently for another number of rows on some processors (AMD EPYC, Zen 3).
    """
    lengths = [T, 3, CHUNK + 5] if turn % 2 else None
    rnn = zoo.Recurrent(law_cell(cell), F, H, bidirectional=turn % 2 == 1, threads=1)
    args, options = arguments(rnn, lengths)
    assert len(rnn.stack.segments(T, B, has_backward=False)) == 3
    with pure_python():
        actual, expected = (results(rnn, args, options, tape) for tape in (False, True))
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-5, atol=2e-6, err_msg=name)


@pytest.mark.usefixtures("short_segments")
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [T, 3, CHUNK]])
@pytest.mark.parametrize("noise", [None, (1, 2)])
@pytest.mark.parametrize("trace", [None, True])
def test_options_have_the_same_bits(bidirectional, lengths, noise, trace):
    rnn = zoo.Recurrent(
        "lstm", F, H, num_layers=2, bidirectional=bidirectional, dropout=0.5, residual=True, threads=2
    )
    args, options = arguments(rnn, lengths, noise)
    options["trace"] = trace
    assert_equal(results(rnn, args, options, False), results(rnn, args, options, True))


@pytest.mark.usefixtures("short_segments")
def test_recompute_does_not_divide_them():
    rnn = zoo.Recurrent("vanilla", F, H, recompute=1)
    assert len(rnn.stack.segments(T, B, has_backward=True)) == T
    assert len(rnn.stack.segments(T, B, has_backward=False)) == 3


def test_backward_needs_a_tape():
    rnn = zoo.Recurrent("vanilla", F, H)
    (x,), _ = arguments(rnn)
    y, _ = rnn.forward(x)
    rnn.forward(x, tape=False)
    with pytest.raises(
        UsageError, match=r"needs the tape of a forward pass; call forward\(x\) first, without"
    ):
        rnn.backward(y)


@pytest.mark.parametrize("wrong", [None, 1, "no"])
def test_tape_is_a_boolean(wrong):
    rnn = zoo.Recurrent("vanilla", F, H)
    (x,), _ = arguments(rnn)
    with pytest.raises(UsageError, match=r"zoo\.Recurrent: tape is"):
        rnn.forward(x, tape=wrong)


# ---- models -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [T, 3, CHUNK]])
@pytest.mark.parametrize("embedding", [None, 4])
def test_model_has_the_same_bits(bidirectional, lengths, embedding, monkeypatch):
    model = zoo.SequenceModel(
        "lstm", F, H, 4, num_layers=2, bidirectional=bidirectional, embedding=embedding, dropout=0.5
    )
    rng = np.random.default_rng(3)
    x = rng.integers(0, F, (T, B)) if embedding else rng.normal(size=(T, B, F)).astype(model.dtype)
    targets, weights = rng.integers(0, 4, (T, B)), rng.uniform(-1, 1, (T, B)).clip(0)
    options = {"weights": weights, "lengths": lengths, "noise": (1, 2)}

    def computed():
        (loss, last), (mean, outputs, _) = (
            each(x, targets, **options) for each in (model.loss, model.evaluate_batch)
        )
        return {"loss": loss, "mean": mean, "outputs": outputs, "y": model.outputs(x, **options)[0], **last}

    whole = computed()
    shorten(monkeypatch)
    assert_equal(computed(), whole)


# ---- sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 64, 65, 1000, 100_000])
@pytest.mark.parametrize("batch", [1, 7, 8, 500])
@pytest.mark.parametrize("width", [0, 1, 16, 128, 4096])
def test_segments_divide_time_at_chunks_of_memories(steps, batch, width):
    segments = forward_segments(steps, batch, width)
    assert segments[0].start == 0
    assert segments[-1].stop == steps
    assert [each.stop for each in segments[:-1]] == [each.start for each in segments[1:]]
    assert all(each.start % CHUNK == 0 for each in segments)
    longest = max(each.stop - each.start for each in segments)
    rows = shards(batch)[0].stop
    assert (longest - time_chunks._FORWARD_STEPS) * rows * width <= time_chunks._FORWARD_ELEMENTS


_PEAK = """
import resource, sys
import numpy as np, zoo
rnn = zoo.Recurrent("lstm", 3, 64, threads=1)
x = np.zeros((50_000, 2, 3), np.float32)
rnn.forward(x[:1_000], tape=False)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
y, _ = rnn.forward(x, tape=False)
more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(more * (1 if sys.platform == "darwin" else 1024) / y.nbytes)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_memory_is_that_of_the_outputs():
    completed = subprocess.run([sys.executable, "-c", _PEAK], check=True, capture_output=True, text=True)
    assert float(completed.stdout) < 1.5  # 8 with a tape
