"""Stacks: two directions, dropout, residuals, learned initial states, mixed cells."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from kitchen_sink_cell import Rich

import zoo
from zoo.errors import UsageError
from zoo.kernels import pure_python
from zoo.layers import Recurrent, StackConfig
from zoo.layers.aux_inputs import draw_dropout

T, B, I, H = 6, 9, 3, 4  # noqa: E741 - the letters of the documents
EVERYTHING = {"bidirectional": True, "dropout": 0.3, "residual": True, "learned_state": True}


def layers(cell="vanilla", num_layers=2, input_size=I, seed=0, **chosen):
    rnn = Recurrent(
        cell, input_size, H, num_layers=num_layers, dtype="float64", seed=2, **{"threads": 1, **chosen}
    )
    rnn.theta += np.random.default_rng(seed).normal(size=rnn.theta.size) / 5
    return rnn


def dense(size=I, batch=B, seed=1):
    return np.random.default_rng(seed).normal(size=(T, batch, size))


def tokens(symbols=I, batch=B, seed=1):
    return np.random.default_rng(seed).integers(symbols, size=(T, batch))


def both_ways(rnn, x, dy, **called):
    """All results of one pass forward and back, by name."""
    y, last = rnn.forward(x, **called)
    dx, dfirst = rnn.backward(dy)
    results = {"y": y, "dx": dx, **last} | {f"d{name}": value for name, value in dfirst.items()}
    return results | {f"gradient of {name}": value.copy() for name, value in rnn.grads.items()}


def assert_same(actual, expected, gradients=True):
    for name, value in expected.items():
        if gradients or not name.startswith("gradient of"):
            np.testing.assert_array_equal(actual[name], value, err_msg=name)


def gradient_like(rnn, batch=B, seed=5):
    return np.random.default_rng(seed).normal(size=(T, batch, rnn.output_size))


def alone(rnn, layer):
    """One layer of a stack as a layer of its own."""
    result = Recurrent(layer.cell, layer.input_size, layer.hidden_size, dtype="float64", threads=1)
    arrays = {**rnn.params, **rnn.buffers}
    result.fill({f"l0.{name.removeprefix(layer.prefix)}": arrays[name] for name in layer.arrays})
    return result


# ---- both directions ----------------------------------------------------------------------------------


def test_names_shapes_and_the_order_of_the_vector():
    rnn = Recurrent("vanilla", I, H, num_layers=2, bidirectional=True)
    assert [(name, value.shape) for name, value in rnn.params.items()] == [
        ("l0.Wxh", (I, H)),
        ("l0.Whh", (H, H)),
        ("l0.bh", (H,)),
        ("l0.reverse.Wxh", (I, H)),
        ("l0.reverse.Whh", (H, H)),
        ("l0.reverse.bh", (H,)),
        ("l1.Wxh", (2 * H, H)),
        ("l1.Whh", (H, H)),
        ("l1.bh", (H,)),
        ("l1.reverse.Wxh", (2 * H, H)),
        ("l1.reverse.Whh", (H, H)),
        ("l1.reverse.bh", (H,)),
    ]
    assert rnn.output_size == 2 * H
    y, state = rnn.forward(dense())
    assert y.shape == (T, B, 2 * H)
    assert {name: value.shape for name, value in state.items()} == dict.fromkeys(
        ("l0.h", "l0.reverse.h", "l1.h", "l1.reverse.h"), (B, H)
    )
    sizes = f"input_size={I}, hidden_size={H}, num_layers=2, bidirectional=True, dtype='float32'"
    assert repr(rnn) == f"Recurrent(Vanilla(), {sizes}, P={rnn.theta.size})"


def test_first_direction_is_initialised_as_without_second():
    one, both = Recurrent("lstm", I, H, seed=4), Recurrent("lstm", I, H, seed=4, bidirectional=True)
    for name, value in one.params.items():
        np.testing.assert_array_equal(both.params[name], value)
    assert not np.array_equal(both.params["l0.reverse.Wx"], both.params["l0.Wx"])
    other = Recurrent("lstm", I, H, seed=5, bidirectional=True)
    assert not np.array_equal(both.params["l0.reverse.Wx"], other.params["l0.reverse.Wx"])


def test_bidirectional_stack_equals_single_layers():
    rnn = layers(Rich, num_layers=2, bidirectional=True)
    x, dt = dense(), np.random.default_rng(3).uniform(0.5, 1.5, (T, B))
    y, last = rnn.forward(x, dt=dt)
    below = x
    for forwards, backwards in (floor.directions for floor in rnn.stack.layers):
        y_forwards, after = alone(rnn, forwards).forward(below, dt=dt)
        y_backwards, before = alone(rnn, backwards).forward(below[::-1], dt=dt[::-1])
        below = np.concatenate([y_forwards, y_backwards[::-1]], axis=2)
        for layer, state in ((forwards, after), (backwards, before)):
            for name, value in state.items():
                expected = last[layer.prefix + name.removeprefix("l0.")]
                np.testing.assert_allclose(value, expected, rtol=0, atol=1e-14)
    np.testing.assert_allclose(y, below, rtol=0, atol=1e-14)


def test_directions_have_separate_noise():
    rnn = layers("vanilla+recurrent_dropout", num_layers=1, bidirectional=True)
    for name in ("Wxh", "Whh", "bh"):
        rnn.fill({f"l0.reverse.{name}": rnn.params[f"l0.{name}"]})
    x = np.repeat(dense()[:1], T, axis=0)  # the same from either end
    with pure_python():
        expected, _ = rnn.forward(x)
        np.testing.assert_allclose(expected[::-1, :, H:], expected[:, :, :H], rtol=0, atol=1e-14)
        y, _ = rnn.forward(x, noise=(0, 1))
        assert not np.allclose(y[::-1, :, H:], y[:, :, :H])
        np.testing.assert_array_equal(rnn.forward(x, noise=(0, 1))[0], y)


@pytest.mark.parametrize("recompute", [1, 4, "sqrt"])
@pytest.mark.parametrize("x", [dense(), tokens()], ids=["dense", "tokens"])
def test_recompute_changes_gradients_by_rounding_only(x, recompute):
    kept, recomputed = layers(**EVERYTHING), layers(**EVERYTHING, recompute=recompute)
    dy = gradient_like(kept)
    actual, expected = both_ways(recomputed, x, dy, noise=(1, 2)), both_ways(kept, x, dy, noise=(1, 2))
    assert_same(actual, expected, gradients=False)
    for name, value in expected.items():
        if value is not None:
            np.testing.assert_allclose(actual[name], value, rtol=1e-12, atol=1e-13, err_msg=name)


def test_recompute_saves_only_needed_values():
    rnn = layers("lstm", bidirectional=True, recompute=2)
    _, _, tape = rnn.apply(rnn.theta, dense())
    layer_tapes = [layer for shard in tape.segments_by_shard for segment in shard for layer in segment.tape]
    directions = [chunks for layer in layer_tapes for chunks in layer.directions]
    assert len(directions) == 2 * 2 * 2  # shards, layers, directions
    assert all(chunk.saved is None for chunks in directions for chunk in chunks)
    assert all(chunk.x.base is chunks[0].x.base is not None for chunks in directions for chunk in chunks)
    assert {len(chunks) for chunks in directions} == {3}


@pytest.mark.parametrize("batch", [B, 33])
def test_threads_change_no_bit(batch):
    x, expected = dense(batch=batch), None
    for threads in (1, 2, 5):
        rnn = layers(**EVERYTHING, threads=threads)
        actual = both_ways(rnn, x, gradient_like(rnn, batch), noise=(1, 2))
        expected = expected or actual
        assert_same(actual, expected)


# ---- dropout ------------------------------------------------------------------------------------------


def test_dropout_is_between_layers_and_in_calls_with_noise_alone():
    rnn, plain = layers(num_layers=3, dropout=0.4), layers(num_layers=3)
    x = dense()
    np.testing.assert_array_equal(rnn.forward(x)[0], plain.forward(x)[0])
    y, _ = rnn.forward(x, noise=(7, 8))
    below = x
    for layer in rnn.stack.directions:
        if layer.index:
            part = slice(0, T), slice(0, B)
            below = below * draw_dropout(0.4, (7, 8), layer.index, part, H, rnn.dtype)
        below, _ = alone(rnn, layer).forward(below)
    np.testing.assert_array_equal(y, below)
    with pytest.warns(zoo.ZooWarning, match="no effect"):
        one = layers(num_layers=1, dropout=0.4)
    np.testing.assert_array_equal(one.forward(x, noise=(7, 8))[0], one.forward(x)[0])


def test_dropout_preserves_mean():
    part = slice(0, 50), slice(0, 40)
    mask = draw_dropout(0.2, (1, 2), 1, part, 6, np.dtype(np.float32))
    assert mask.dtype == np.float32
    assert set(np.unique(mask)) == {0, np.float32(1.25)}
    assert abs((mask == 0).mean() - 0.2) < 4 * np.sqrt(0.2 * 0.8 / mask.size)
    assert not np.array_equal(mask, draw_dropout(0.2, (1, 2), 2, part, 6, mask.dtype))
    assert not np.array_equal(mask, draw_dropout(0.2, (1, 3), 1, part, 6, mask.dtype))


@pytest.mark.parametrize("chosen", [{"threads": 3}, {"recompute": 2}])
def test_dropout_mask_depends_on_position_only(chosen):
    rnn, other = layers(dropout=0.5), layers(dropout=0.5, **chosen)
    x = dense(batch=20)
    y, _ = rnn.forward(x, noise=(1, 2))
    np.testing.assert_array_equal(other.forward(x, noise=(1, 2))[0], y)
    np.testing.assert_array_equal(rnn.forward(x[:, :5], noise=(1, 2))[0], y[:, :5])
    np.testing.assert_array_equal(rnn.forward(x[:3], noise=(1, 2))[0], y[:3])
    assert not np.array_equal(rnn.forward(x, noise=(1, 3))[0], y)


# ---- residuals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("bidirectional", [False, True])
def test_residual_layer_adds_input_of_equal_size(bidirectional):
    width = H * (1 + bidirectional)
    for size, is_first in ((I, False), (width, True)):
        rnn = layers(num_layers=3, input_size=size, residual=True, bidirectional=bidirectional)
        assert [floor.is_residual for floor in rnn.stack.layers] == [is_first, True, True]
        below = dense(size)
        y, _ = rnn.forward(below)
        for floor in rnn.stack.layers:
            outputs = [
                alone(rnn, layer).forward(below[:: -1 if layer.reverse else 1])[0]
                for layer in floor.directions
            ]
            outputs[1:] = [each[::-1] for each in outputs[1:]]
            above = np.concatenate(outputs, axis=2)
            below = below + above if floor.is_residual else above
        np.testing.assert_allclose(y, below, rtol=0, atol=1e-13)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [None, [3, 0, 6, 5, 2, 1, 6, 4, 4]])
def test_tokens_equal_one_hot_vectors_in_residual_layer(bidirectional, lengths):
    rnn = layers(input_size=H * (1 + bidirectional), residual=True, bidirectional=bidirectional)
    x, dy = tokens(rnn.stack.input_size), gradient_like(rnn)
    actual = both_ways(rnn, x, dy, lengths=lengths)
    expected = both_ways(rnn, np.eye(rnn.stack.input_size)[x], dy, lengths=lengths)
    assert actual.pop("dx") is None
    assert expected.pop("dx") is not None
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, rtol=0, atol=1e-13, err_msg=name)


# ---- learned first states -----------------------------------------------------------------------------


def test_learned_initial_states_are_last_parameters_and_zero():
    rnn, plain = (Recurrent("lstm", I, H, num_layers=2, learned_state=learned) for learned in (True, False))
    assert list(rnn.params) == [*plain.params, "l0.h.initial", "l0.c.initial", "l1.h.initial", "l1.c.initial"]
    np.testing.assert_array_equal(rnn.theta[: plain.theta.size], plain.theta)
    assert not rnn.theta[plain.theta.size :].any()
    assert rnn.params["l1.c.initial"].shape == (H,)
    assert list(Recurrent("vanilla", I, H, bidirectional=True, learned_state=True).params)[-2:] == [
        "l0.h.initial",
        "l0.reverse.h.initial",
    ]


def test_integer_states_are_not_learned():
    rnn = layers(Rich, num_layers=1, learned_state=True)
    shapes = {name: value.shape for name, value in rnn.params.items() if name.endswith("initial")}
    assert shapes == {"l0.h.initial": (H,), "l0.z.initial": (2, H)}
    assert rnn.stack.discrete_states == ("l0.n",)


def test_learned_states_are_initial_states():
    rnn, x = layers(learned_state=True), dense()
    dy = gradient_like(rnn)
    given = {name: np.tile(rnn.params[f"{name}.initial"], (B, 1)) for name in rnn.stack.state_shapes}
    actual, expected = both_ways(rnn, x, dy), both_ways(rnn, x, dy, state=given)
    for name in given:
        total = actual.pop(f"gradient of {name}.initial")
        np.testing.assert_allclose(total, expected[f"d{name}"].sum(axis=0), rtol=0, atol=1e-13)
        assert not expected.pop(f"gradient of {name}.initial").any()
    assert_same(actual, expected)


# ---- a cell for each layer ----------------------------------------------------------------------------


def test_cell_for_each_layer():
    cells = ["gru", zoo.get_cell("lstm", forget_bias=1.0), Rich]
    rnn = layers(cells, num_layers=1)
    assert [cell.name for cell in rnn.cells] == ["gru", "lstm", "rich"]
    assert rnn.cell is rnn.cells[0]
    assert list(rnn.stack.state_shapes) == ["l0.h", "l1.h", "l1.c", "l2.h", "l2.z", "l2.n"]
    assert list(rnn.buffers) == ["l2.A"]
    x, dt = dense(), np.random.default_rng(3).uniform(0.5, 1.5, (T, B))
    with pure_python():
        y, _ = rnn.forward(x, dt=dt)
        below = x
        for layer in rnn.stack.directions:  # only cells that declare the auxiliary input receive it
            below, _ = alone(rnn, layer).forward(below, **({"dt": dt} if layer.index == 2 else {}))
        np.testing.assert_array_equal(y, below)
        with pytest.raises(UsageError, match=r"cells 'gru', 'lstm', 'rich': unknown argument 'x2'"):
            rnn.forward(x, x2=dt)
    assert repr(rnn).startswith(
        "Recurrent([GRU(), LSTM(forget_bias=1.0, t_max=2.0), Rich(radius=0.5)], input_size=3"
    )


def test_same_cell_for_each_layer_is_one_cell_for_all():
    one, each = (
        Recurrent("vanilla", I, H, num_layers=2),
        Recurrent(("vanilla", "vanilla"), I, H, num_layers=2),
    )
    np.testing.assert_array_equal(one.theta, each.theta)
    assert repr(one) == repr(each)


class Slow(Rich):
    """Its input has two numbers."""

    dt = zoo.Input(2, default=1.0, help="time since the last step")


@pytest.mark.parametrize(
    ("cells", "num_layers", "words"),
    [
        (["gru", "lstm"], 3, "num_layers is 3 and there are 2 cells; expected a cell for each layer"),
        ([], 1, "there are 0 cells"),
        (
            [Rich, Slow],
            2,
            r"every layer gets the same inputs, but 'dt' is \(\) in layer 0 and \(2,\) in layer 1",
        ),
        (["gru", "lstm"], 0, "cells 'gru', 'lstm': num_layers is 0; expected an integer from 1 to 1000"),
    ],
)
def test_mismatched_cells_raise(cells, num_layers, words):
    with pytest.raises(UsageError, match=words):
        Recurrent(cells, I, H, num_layers=num_layers)


# ---- all of it ----------------------------------------------------------------------------------------

LENGTHS = np.array([3, 6, 0, 5, 5, 1, 6, 2, 4])


@pytest.mark.parametrize("x", [dense(), tokens()], ids=["dense", "tokens"])
def test_gradient_of_all_options_matches_central_differences(x):
    rnn = layers(["gru", "lstm", "vanilla", "vanilla"], num_layers=1, **EVERYTHING)
    called = {"noise": (1, 2), "lengths": LENGTHS}
    dy, rng, step = gradient_like(rnn), np.random.default_rng(6), 1e-6
    with pure_python():
        actual = both_ways(rnn, x, dy, **called)
        gradient = np.concatenate([actual[f"gradient of {name}"].ravel() for name in rnn.params])
        for _ in range(3):
            move, shift = rng.normal(size=rnn.theta.size), rng.normal(size=x.shape) * (x.ndim == 3)
            sides = [
                rnn.apply(rnn.theta + sign * move, x + sign * shift if x.ndim == 3 else x, **called)[0]
                for sign in (step, -step)
            ]
            slope = ((sides[0] - sides[1]) * dy).sum() / (2 * step)
            expected = gradient @ move + (0 if x.ndim == 2 else (actual["dx"] * shift).sum())
            assert slope == pytest.approx(expected, rel=1e-7)


def test_deep_copy_computes_the_same():
    rnn = layers(**EVERYTHING)
    x, dy = dense(), gradient_like(rnn)
    expected = both_ways(rnn, x, dy, noise=(1, 2))
    copied = copy.deepcopy(rnn)
    rnn.theta[:] = 0
    assert_same(both_ways(copied, x, dy, noise=(1, 2)), expected)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        (
            {"dropout": 1.0},
            "cell 'vanilla': dropout is 1.0; expected a number from 0 up to, not including, 1",
        ),
        ({"dropout": -0.1}, "dropout is -0.1"),
        ({"dropout": "half"}, "dropout is 'half'"),
        ({"dropout": True}, "dropout is True"),
        ({"dropout": float("nan")}, "dropout is nan"),
        ({"bidirectional": "no"}, "cell 'vanilla': bidirectional is 'no'; expected True or False"),
        ({"residual": 1}, "residual is 1; expected True or False"),
        ({"learned_state": None}, "learned_state is None; expected True or False"),
    ],
)
def test_mismatched_arrays_raise(chosen, words):
    with pytest.raises(UsageError, match=words):
        Recurrent("vanilla", I, H, num_layers=2, **chosen)
    with pytest.raises(UsageError, match=words):
        StackConfig("vanilla", I, H, 2, **chosen)
