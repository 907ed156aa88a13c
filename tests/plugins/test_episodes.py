"""Rows of a batch that hold several episodes: each has the outputs and gradients that it has alone."""

from __future__ import annotations

import contextlib
import itertools

import numpy as np
import pytest
from law_options import law_cell

import zoo
from zoo.testing.trials import nearest_size

T, B, I, H = 37, 3, 4, 8  # noqa: E741 - the letters of the documents
# Cells of each kind of kernel: own kernels, gates, integer states, complex states, chunks of time steps.
CELLS = ("vanilla", "lstm", "clockwork", "urnn", "delta_net", "retnet", "gla", "mamba", "rwkv7")


def random_starts(rng):
    """A sequence that is one episode, one that starts often, and one that starts twice in a row."""
    starts = np.zeros((T, B))
    starts[:, 1] = rng.random(T) < 0.3
    starts[[0, 20, 21], 2] = 1
    return starts


def episodes(starts, row):
    """The slice of each episode of a row."""
    cuts = [0, *(t for t in range(1, T) if starts[t, row]), T]
    return [slice(*pair) for pair in itertools.pairwise(cuts)]


def compare_with_separate_episodes(cell, *, bidirectional=False, **options):
    rng = np.random.default_rng(0)
    sizes = {"num_layers": 2, "bidirectional": bidirectional, "dtype": "float64", "seed": 1}
    together = zoo.Recurrent(f"{cell}+episodes", I, H, **sizes, **options)
    alone = zoo.Recurrent(cell, I, H, **sizes, **options)
    alone.theta = together.theta = rng.normal(0, 0.3, alone.theta.shape)
    alone.fill(together.buffers)
    x, starts = rng.normal(size=(T, B, I)), random_starts(rng)
    y, last = together.forward(x, episode_start=starts)
    dy = rng.normal(size=y.shape)
    dx, _ = together.backward(dy)
    expected_gradient = np.zeros_like(alone.theta)
    for row in range(B):
        for part in episodes(starts, row):
            expected, end = alone.forward(x[part, row : row + 1])
            np.testing.assert_allclose(y[part, row], expected[:, 0], rtol=1e-9, atol=1e-11)
            expected_dx, _ = alone.backward(dy[part, row : row + 1])
            np.testing.assert_allclose(dx[part, row], expected_dx[:, 0], rtol=1e-8, atol=1e-10)
            expected_gradient += alone.grad
        if not bidirectional:
            for name, value in end.items():
                np.testing.assert_allclose(last[name][row], value[0], rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(together.grad, expected_gradient, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("cell", CELLS)
def test_episodes_are_independent(cell):
    with contextlib.nullcontext() if cell == "vanilla" else zoo.kernels.pure_python():  # delta_net: 10 s more
        compare_with_separate_episodes(cell)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("name", zoo.list_cells()[::3])
def test_outputs_of_other_cells_are_independent(name):
    cell = law_cell(name)
    inputs, units, _ = nearest_size(cell, I, 6)
    together = zoo.Recurrent(zoo.modify(cell, "episodes"), inputs, units, dtype="float64")
    alone = zoo.Recurrent(cell, inputs, units, dtype="float64")
    alone.theta = together.theta
    alone.fill(together.buffers)
    x, starts = np.random.default_rng(0).normal(size=(21, 1, inputs)), np.zeros((21, 1))
    starts[[0, 7, 8, 18]] = 1
    y, _ = together.forward(x, episode_start=starts)
    for first, end in itertools.pairwise([0, 7, 8, 18, 21]):
        expected, _ = alone.forward(x[first:end])
        np.testing.assert_allclose(y[first:end], expected, rtol=1e-9, atol=1e-9 * np.abs(expected).max())


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("cell", ["vanilla", "lstm", "clockwork"])
def test_episodes_are_independent_in_both_directions(cell):
    compare_with_separate_episodes(cell, bidirectional=True)


@pytest.mark.usefixtures("plain_python")
def test_learned_states_start_episodes_in_both_directions():
    cell = zoo.modify("gru", "episodes", learned=True)
    rnn = zoo.Recurrent(cell, I, H, bidirectional=True, dtype="float64")
    rnn.theta = np.random.default_rng(0).normal(0, 0.5, rnn.theta.shape)
    episode, starts = np.random.default_rng(1).normal(size=(3, 1, I)), np.zeros((6, 1))
    starts[[0, 3]] = 1
    y, _ = rnn.forward(np.concatenate([episode, episode]), episode_start=starts)
    np.testing.assert_allclose(y[:3], y[3:], rtol=1e-12)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("block", ["mamba", "rwkv", "deltanet"])
def test_states_of_a_block_restart(block):
    compare_with_separate_episodes("gru", block=block)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("modifier", [name for name in zoo.list_modifiers() if name != "episodes"])
def test_other_modifiers_are_covered_in_any_order(modifier):
    """Some modifiers have states of their own, or read states before the step."""
    cell = zoo.get_cell(f"gru+episodes+{modifier}")
    assert cell.name == f"gru+{modifier}+episodes"
    assert cell == zoo.get_cell(cell.name) == zoo.modify(zoo.modify("gru", "episodes"), modifier)
    rnn = zoo.Recurrent(cell, I, H, dtype="float64")
    x, starts = np.repeat(np.random.default_rng(0).normal(size=(1, B, I)), 4, axis=0), np.ones((4, B))
    y, _ = rnn.forward(x, episode_start=starts)
    np.testing.assert_allclose(y, y[:1].repeat(4, axis=0), rtol=1e-12)


def test_fast_slow_rejects_inputs_between_steps():
    with pytest.raises(zoo.UsageError, match="its input 'dt' is a value between steps, and each copy would"):
        zoo.modify("ctrnn", "fast_slow")


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("start", [True, 1, 1.0])
def test_undefined_numbers_end_with_their_episode(bad, start):
    rnn = zoo.Recurrent("lstm+episodes", 1, 4, dtype="float64")
    x, starts = np.ones((4, 1, 1)), np.array([[0], [0], [start], [0]])
    expected, _ = rnn.forward(x[2:])
    x[0] = bad
    y, _ = rnn.forward(x, episode_start=starts)
    np.testing.assert_array_equal(y[2:], expected)
    dy = np.zeros_like(y)
    dy[2:] = 1
    dx, _ = rnn.backward(dy)
    assert np.isfinite(dx[2:]).all()


@pytest.mark.parametrize("start", [0.5, -1, 2.0, 255, np.nan, np.inf])
@pytest.mark.parametrize("form", ["forward", "stepper", "model", "rtrl"])
def test_other_numbers_than_0_and_1_are_an_error(form, start):
    """No kernel is compiled: each call checks its arguments first."""
    rnn = zoo.Recurrent("gru+episodes", I, H)
    model = zoo.SequenceModel("gru+episodes", I, 1, H, loss="squared_error")
    x, starts = np.zeros((T, B, I), np.float32), np.zeros((T, B))
    starts[5, 1] = start
    calls = {
        "forward": lambda: rnn.forward(x, episode_start=starts),
        "stepper": lambda: rnn.stepper(B)(x[5], episode_start=starts[5]),
        "model": lambda: model.loss(x, np.zeros((T, B, 1)), episode_start=starts),
        "rtrl": lambda: zoo.RTRL(rnn).forward(x, episode_start=starts),
    }
    position = "sequence 1" if form == "stepper" else "step 5 of sequence 1"
    sentence = rf"input 'episode_start' is {start:g} at {position}; expected 0 or 1\.$"
    with pytest.raises(zoo.UsageError, match=sentence):
        calls[form]()


def test_learned_states_of_layers_are_an_error():
    for cell in ("gru+episodes", "prenorm(gru+episodes)", ["gru", "gru+zoneout+episodes"]):
        with pytest.raises(
            zoo.UsageError, match=r"learned_state is True, .* and set the option episodes_learned of the cell"
        ):
            zoo.Recurrent(cell, I, H, learned_state=True)


def test_block_has_no_state_that_it_does_not_use():
    states = [list(zoo.get_cell(name).states) for name in ("mamba(mamba)", "mamba(mamba+episodes)")]
    assert states[0] == states[1]


@pytest.mark.usefixtures("plain_python")
def test_without_starts_nothing_changes():
    together, alone = (zoo.Recurrent(name, I, H, dtype="float64") for name in ("gru+episodes", "gru"))
    x = np.random.default_rng(0).normal(size=(T, B, I))
    np.testing.assert_array_equal(together.forward(x)[0], alone.forward(x)[0])


@pytest.mark.usefixtures("plain_python")
def test_state_before_the_first_step_is_read_unless_an_episode_starts_there():
    rnn = zoo.Recurrent("lstm+episodes", I, H, dtype="float64")
    rng = np.random.default_rng(0)
    x, state = rng.normal(size=(T, B, I)), {name: rng.normal(size=(B, H)) for name in rnn.stack.state_shapes}
    starts = np.zeros((T, B))
    starts[0, 1] = 1
    y, _ = rnn.forward(x, state, episode_start=starts)
    carried, _ = rnn.forward(x, state)
    fresh, _ = rnn.forward(x)
    np.testing.assert_array_equal(y[:, [0, 2]], carried[:, [0, 2]])
    np.testing.assert_array_equal(y[:, 1], fresh[:, 1])


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("cell", ["vanilla", "clockwork", "urnn"])
def test_learned_initial_states(cell):
    learned = zoo.Recurrent(zoo.modify(cell, "episodes", learned=True), I, H, dtype="float64")
    plain = zoo.Recurrent(zoo.modify(cell, "episodes"), I, H, dtype="float64")
    rng = np.random.default_rng(0)
    initial = [name for name in learned.params if ".initial_" in name]
    assert initial == (["l0.initial_h"] if cell != "urnn" else initial)
    assert initial
    for name, value in learned.params.items():
        if name not in initial:
            plain.params[name][...] = value
    plain.fill(learned.buffers)
    x, starts = rng.normal(size=(T, B, I)), random_starts(rng)
    starts[0] = 1
    np.testing.assert_array_equal(
        learned.forward(x, episode_start=starts)[0], plain.forward(x, episode_start=starts)[0]
    )
    for name in initial:
        learned.params[name][...] = rng.normal(size=learned.params[name].shape)
    y, _ = learned.forward(x, episode_start=starts)
    row = 2
    for part in episodes(starts, row):
        alone = np.zeros((part.stop - part.start, 1))
        alone[0] = 1
        expected, _ = learned.forward(x[part, row : row + 1], episode_start=alone)
        np.testing.assert_allclose(y[part, row], expected[:, 0], rtol=1e-12, atol=1e-14)
    assert not np.allclose(y[:1], plain.forward(x[:1], episode_start=starts[:1])[0])


def test_stepper_starts_episodes():
    rng = np.random.default_rng(0)
    model = zoo.SequenceModel("gru+episodes", I, 2, hidden_size=H, seed=3)
    x, starts = rng.normal(size=(T, B, I)).astype(np.float32), random_starts(rng)
    expected, _ = model.outputs(x, episode_start=starts)
    agents = model.stepper(batch_size=B)
    for t in range(T):
        np.testing.assert_allclose(agents(x[t], episode_start=starts[t]), expected[t], rtol=1e-5, atol=1e-6)
