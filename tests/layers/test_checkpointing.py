"""Gradient checkpointing: saved states, recomputed values, and results equal up to rounding."""

import contextlib
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from law_options import law_cell

import zoo
from zoo.cli.app import cli
from zoo.cli.train_flags import FLAGS
from zoo.compiler.compile import plan_kernels
from zoo.errors import CheckpointError, UsageError
from zoo.kernels import pure_python
from zoo.layers.direction import tape_elements_per_token
from zoo.layers.time_chunks import check_recompute, plan_segments
from zoo.training import Config

VOCAB = "abcde"
T, B, H = 13, 11, 6
CELLS = ["vanilla", "lstm", "s5", "delta_net", "ltc"]
TOKEN_CELLS = ("vanilla", "lstm")
CUTS = [1, 4, T - 1, T, 2 * T, "sqrt", True]


# Most tests here use float64, and tokens for two cells only: each further signature takes seconds to compile.
def layer(cell, recompute, layers=1, threads=1):
    size = len(VOCAB)
    return zoo.Recurrent(
        cell, size, H, num_layers=layers, dtype="float64", seed=3, threads=threads, recompute=recompute
    )


def arguments(rnn, batch=B, steps=T, tokens=True):
    rng = np.random.default_rng(7)
    x = (
        rng.integers(0, rnn.stack.input_size, (steps, batch))
        if tokens
        else rng.normal(size=(steps, batch, rnn.stack.input_size))
    )
    state = {name: rng.normal(size=(batch, *shape)) for name, shape in rnn.stack.state_shapes.items()}
    inputs = {
        name: rng.uniform(0.5, 2, (steps, batch, *shape)) for name, shape in rnn.stack.input_shapes.items()
    }
    dy = rng.normal(size=(steps, batch, rnn.output_size))
    dstate = {name: rng.normal(size=value.shape) for name, value in state.items()}
    return x, state, inputs, dy, dstate


def both_ways(rnn, x, state, inputs, dy, dstate):
    """Outputs and last states; the gradients of x and the first states; that of theta."""
    y, last = rnn.forward(x, state, **inputs)
    dx, dbefore = rnn.backward(dy, dstate)
    return {"y": y, **last}, {"dx": dx, **dbefore}, rnn.grad.copy()


def assert_equal(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


def comparison(cell):
    """The comparison of outputs: a matrix memory computes 16 steps together, and segments divide them."""
    has_memory = cell.is_derived() and plan_kernels(cell).gradient.step_graph.memories
    return assert_close if has_memory else assert_equal


def assert_close(actual, expected):
    assert actual.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=1e-12, atol=1e-13, err_msg=name)


# ---- how time is cut ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("steps", "batch", "recompute", "lengths"),
    [
        (7, 5, None, [7]),
        (0, 5, None, [0]),
        (0, 5, 3, [0]),
        (0, 5, "sqrt", [0]),
        (1, 5, "sqrt", [1]),
        (7, 5, 1, [1] * 7),
        (7, 5, 3, [3, 3, 1]),
        (6, 5, 3, [3, 3]),
        (7, 5, 9, [7]),
        (128, 8, "sqrt", [128]),
        (257, 64, "sqrt", [128, 128, 1]),
        (1025, 1, "sqrt", [1024, 1]),
        (40_000, 8, "sqrt", [200] * 200),
        (100_000, 8, "sqrt", [317] * 315 + [145]),
        (100_000, 1, "sqrt", [1024] * 97 + [672]),
    ],
)
def test_segments_cover_sequence(steps, batch, recompute, lengths):
    segments = plan_segments(steps, batch, recompute)
    assert [part.stop - part.start for part in segments] == lengths
    assert [part.start for part in segments] == [0, *(part.stop for part in segments[:-1])]
    assert segments[-1].stop == steps


@pytest.mark.parametrize(
    ("given", "meant"), [(None, None), (1, 1), (np.int64(7), 7), ("sqrt", "sqrt"), (True, "sqrt")]
)
def test_valid_recompute(given, meant):
    assert check_recompute(given) == meant
    assert type(check_recompute(given)) is type(meant)


@pytest.mark.parametrize("wrong", [0, -3, 1.5, False, "cbrt", [2]])
def test_invalid_recompute_raises(wrong):
    with pytest.raises(UsageError, match=r"recompute is .*; expected the steps of a segment, an integer"):
        zoo.Recurrent("vanilla", 3, H, recompute=wrong)
    with pytest.raises(UsageError, match=r"recompute is .*; expected the steps of a segment, an integer"):
        zoo.LanguageModel(VOCAB, hidden_size=H, recompute=wrong)


# ---- the layer ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["vanilla", "lstm", "s4d", "delta_net", "phased_lstm"])
def test_layer_computes_the_same(cell):
    tokens = cell in TOKEN_CELLS
    cell = law_cell(cell)
    kept = layer(cell, None)
    given = arguments(kept, tokens=tokens)
    with contextlib.nullcontext() if tokens else pure_python():  # the others would compile for 20 s
        outputs, back, grad = both_ways(kept, *given)
        # Products of NumPy round differently for another number of rows on some processors (AMD EPYC, Zen 3).
        compare = comparison(cell) if tokens else assert_close
        for recompute in CUTS:
            result, result_back, result_grad = both_ways(layer(cell, recompute), *given)
            compare(result, outputs)
            compare(result_back, back)
            np.testing.assert_allclose(result_grad, grad, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("tokens", [False, True])
def test_layers_compute_the_same_in_stacks_and_of_tokens(tokens):
    kept = layer("vanilla", None, layers=3)
    given = arguments(kept, tokens=tokens)
    outputs, back, grad = both_ways(kept, *given)
    result, result_back, result_grad = both_ways(layer("vanilla", 5, layers=3), *given)
    assert (back["dx"] is None) == tokens
    assert_equal(result, outputs)
    assert_equal(result_back, back)
    np.testing.assert_allclose(result_grad, grad, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("cell", ["gru_reset_before", "fastrnn", "rhn", "slstm", "gla", "s5", "rwkv4", "ltc"])
def test_spans_of_backward_pass_match_segments(cell):
    # The backward pass of 70 steps of eight rows has spans of 32, 32 and 6; segments of 16 are one span each.
    steps = 70
    cell = law_cell(cell)
    whole, cut = layer(cell, None), layer(cell, 16)
    given = arguments(whole, 8, steps, tokens=False)
    with pure_python():
        _, before, gradient = both_ways(whole, *given)
        _, cut_before, cut_gradient = both_ways(cut, *given)
    assert before.keys() == cut_before.keys()
    for name, value in before.items():
        np.testing.assert_allclose(value, cut_before[name], rtol=1e-9, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(gradient, cut_gradient, rtol=1e-9, atol=1e-9 * np.abs(gradient).max())


def test_one_segment_equals_none():
    kept = layer("vanilla", None)
    given = arguments(kept)
    expected = both_ways(kept, *given)
    actual = both_ways(layer("vanilla", T), *given)
    for one, other in zip(actual[:2], expected[:2], strict=True):
        assert_equal(one, other)
    np.testing.assert_array_equal(actual[2], expected[2])


@pytest.mark.parametrize("recompute", [3, "sqrt"])
def test_threads_change_no_bit(recompute):
    one = layer("vanilla", recompute, layers=2)
    given = arguments(one, batch=33)
    expected = both_ways(one, *given)
    for threads in (2, 5):
        actual = both_ways(layer("vanilla", recompute, 2, threads), *given)
        for mine, other in zip(actual[:2], expected[:2], strict=True):
            assert_equal(mine, other)
        np.testing.assert_array_equal(actual[2], expected[2])


def test_empty_sequence():
    rnn = layer("vanilla", 4)
    x, state, inputs, dy, dstate = arguments(rnn, steps=0)
    outputs, back, grad = both_ways(rnn, x, state, inputs, dy, dstate)
    assert outputs["y"].shape == (0, B, H)
    np.testing.assert_array_equal(outputs["l0.h"], state["l0.h"])
    np.testing.assert_array_equal(back["l0.h"], dstate["l0.h"])
    assert not grad.any()


def test_tapes_coexist_and_are_reused():
    rnn = layer("lstm", 4)
    x, state, _, dy, dstate = arguments(rnn)
    _, _, first = rnn.apply(rnn.theta, x, state)
    _, _, second = rnn.apply(0.5 * rnn.theta, x[::-1], state)
    once = rnn.vjp(first, dy, dstate)
    between = rnn.vjp(second, dy, dstate)
    repeated = rnn.vjp(first, dy, dstate)
    assert not np.allclose(once[2], between[2])
    assert_equal(repeated[1], once[1])
    np.testing.assert_array_equal(repeated[2], once[2])


def test_tape_keeps_only_states_between_segments():
    rnn = layer("lstm", 4)
    x, state, *_ = arguments(rnn)
    _, _, tape = rnn.apply(rnn.theta, x, state)
    kept = [segment for shard in tape.segments_by_shard for segment in shard]
    assert len(kept) == 4 * 2  # segments of two shards
    assert all(segment.tape is None for segment in kept)
    numbers = sum(value.size for segment in kept for value in segment.state.values())
    assert numbers == 4 * B * 2 * H


# ---- the language model -------------------------------------------------------------------------------


def model(cell, recompute, layers=1, threads=1):
    return zoo.LanguageModel(
        VOCAB, cell, H, layers, dtype="float64", seed=3, threads=threads, recompute=recompute
    )


def tokens(batch=B, steps=T):
    return np.random.default_rng(1).integers(0, len(VOCAB), (2, steps, batch))


@pytest.mark.parametrize("cell", CELLS)
def test_language_model_computes_the_same(cell):
    with contextlib.nullcontext() if cell in TOKEN_CELLS else pure_python():
        language_model_computes_the_same(law_cell(cell))


def language_model_computes_the_same(cell):
    kept = model(cell, None)
    inputs, targets = tokens()
    _, state = kept.loss(*tokens()[::-1])  # states that are not zero
    loss, last = kept.loss_and_grad(inputs, targets, state=state)
    for recompute in CUTS:
        checkpointed = model(cell, recompute)
        result, result_last = checkpointed.loss_and_grad(inputs, targets, state=state)
        comparison(cell)({"loss": result, **result_last}, {"loss": loss, **last})
        np.testing.assert_allclose(checkpointed.grad, kept.grad, rtol=1e-12, atol=1e-14)
        alone, alone_last = checkpointed.loss(inputs, targets, state=state)
        kept_alone = kept.loss(inputs, targets, state=state)[0]
        comparison(cell)({"loss": alone, **alone_last}, {"loss": kept_alone, **last})


@pytest.mark.parametrize("recompute", [None, 3, "sqrt"])
def test_threads_change_no_bit_of_a_model(recompute):
    inputs, targets = tokens(batch=33)
    one = model("vanilla", recompute, 2)
    loss, last = one.loss_and_grad(inputs, targets)
    for threads in (2, 5):
        other = model("vanilla", recompute, 2, threads)
        result, result_last = other.loss_and_grad(inputs, targets)
        assert result == loss
        assert_equal(result_last, last)
        np.testing.assert_array_equal(other.grad, one.grad)


def test_gradient_of_model_is_derivative_of_loss():
    one = model("vanilla", 4)
    inputs, targets = tokens(batch=2)
    one.loss_and_grad(inputs, targets)
    grad, theta, step = one.grad.copy(), one.theta.copy(), 1e-6
    direction = np.random.default_rng(2).normal(size=theta.size)
    losses = []
    for sign in (-1, 1):
        one.theta = theta + sign * step * direction
        losses.append(one.loss(inputs, targets)[0])
    np.testing.assert_allclose((losses[1] - losses[0]) / (2 * step), grad @ direction, rtol=1e-7)


# ---- memory -------------------------------------------------------------------------------------------

_PEAK = """
import resource, sys
import numpy as np, zoo
model = zoo.LanguageModel("ab", hidden_size=128, recompute={recompute!r}, threads=1)
tokens = np.arange(2 * {steps}, dtype=np.int32).reshape({steps}, 2) % 2
model.loss_and_grad(tokens[:8], tokens[1:9])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
model.loss_and_grad(tokens[:-1], tokens[1:])
more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(more * (1 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no resource module")
def test_memory_of_hundred_thousand_steps_is_small():
    steps, kept = 100_000, 2 * 128 * 4  # of each step, in bytes, were nothing computed again
    command = [sys.executable, "-c", _PEAK.format(recompute="sqrt", steps=steps)]
    completed = subprocess.run(command, check=True, capture_output=True, text=True)
    assert int(completed.stdout) < 0.15 * steps * kept  # four times steps * kept without recompute


@pytest.mark.usefixtures("plain_python")
def test_saved_elements_match_tape():
    for cell in ("vanilla", "lstm", "delta_net"):
        rnn = zoo.Recurrent(cell, 5, 24)
        sizes = []
        for steps in (16, 32):
            _, _, tape = rnn.apply(rnn.theta, np.zeros((steps, 1), int))
            sizes.append(
                sum(array.size for array in tape.segments_by_shard[0][0].tape[0].directions[0][0].saved)
            )
        assert 16 * tape_elements_per_token(rnn.cell, 5, 24) == sizes[1] - sizes[0], cell


def test_card_states_saved_bytes():
    def line(name):
        output = CliRunner().invoke(cli, ["show", name], catch_exceptions=False).output
        return output.partition("\nMemory\n")[2].splitlines()[0]

    ending = "for the backward pass, per time step and sequence, at H=128, float32"
    assert line("vanilla") == f"  stores 512 bytes {ending}"
    assert line("lstm") == f"  stores 3,584 bytes {ending}"


# ---- training -----------------------------------------------------------------------------------------

TEXT = "builtin:hello"
SETTINGS = {"hidden": H, "steps": 4, "seq": 3, "batch": 1, "optimizer": "sgd"}


def test_run_trains_with_recompute_and_reports_it(tmp_path):
    kept = zoo.train(TEXT, out=tmp_path / "kept", **SETTINGS)
    run = zoo.train(TEXT, out=tmp_path / "again", recompute=2, **SETTINGS)
    assert (kept.config.recompute, run.config.recompute) == (None, 2)
    np.testing.assert_allclose(run.model.theta, kept.model.theta, rtol=1e-5, atol=1e-6)


def test_recompute_setting_of_run():
    assert Config().recompute is None
    for value in (None, 3, "sqrt", True):
        assert Config(recompute=value).recompute == value
    with pytest.raises(UsageError, match="recompute is 'cbrt'; expected the steps of a segment"):
        Config(recompute="cbrt")


@pytest.mark.parametrize(("text", "value"), [("12", 12), ("sqrt", "sqrt"), ("cbrt", "cbrt"), ("-1", "-1")])
def test_recompute_flag(text, value):
    (flag,) = [flag for flag in FLAGS if flag.name == "recompute"]
    assert flag.type_cast_value(None, text) == value


def test_other_recompute_is_another_run(tmp_path):
    zoo.train(TEXT, out=tmp_path, recompute=2, **SETTINGS)
    with pytest.raises(CheckpointError, match="recompute: 2 -> 'sqrt'"):
        zoo.train(TEXT, out=tmp_path, recompute="sqrt", resume=True, **{**SETTINGS, "steps": 8})
