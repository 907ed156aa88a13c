"""The forms of a state: mappings with full and short names, tuples and arrays."""

from __future__ import annotations

import numpy as np
import pytest

import zoo
from zoo.errors import UnknownNameError, UsageError

T, B, I, H = 4, 3, 5, 6  # noqa: E741 - the letters of the documents


def layer(cell="lstm", **options):
    return zoo.Recurrent(cell, I, H, dtype="float64", threads=1, **options)


def arrays(*shape):
    return np.random.default_rng(len(shape)).normal(size=shape)


X = arrays(T, B, I)


def test_short_names_of_one_layer():
    rnn = layer()
    y, state = rnn(X, trace=["h"])
    assert list(state) == ["l0.h", "l0.c"]
    assert state["h"] is state["l0.h"]
    assert "c" in state
    assert state.get("c") is state["l0.c"]
    assert state.get("z", 3) == 3
    assert rnn.params["Wx"] is rnn.params["l0.Wx"]
    assert rnn.trace["h"] is rnn.trace["l0.h"]
    _, dstate = rnn.backward(np.ones_like(y))
    assert dstate["h"] is dstate["l0.h"]
    rnn.params["b"] = 1
    assert (rnn.params["l0.b"] == 1).all()
    with pytest.raises(UnknownNameError, match=r"unknown state 'z'; there are l0\.h, l0\.c"):
        state["z"]


@pytest.mark.parametrize("options", [{"num_layers": 2}, {"bidirectional": True}])
def test_no_short_names_of_several_layers(options):
    rnn = layer(**options)
    _, state = rnn(X)
    assert "h" not in state
    assert "Wx" not in rnn.params
    with pytest.raises(UnknownNameError, match="unknown state 'h'"):
        state["h"]
    with pytest.raises(UsageError, match=r"unknown state 'h', 'c'; missing state 'l0\.h', 'l0\.c'"):
        rnn(X, {"h": 0, "c": 0})


def test_mapping_with_short_names():
    rnn, h, c = layer(), arrays(B, H), arrays(B, H) + 1
    expected, _ = rnn(X, {"l0.h": h, "l0.c": c})
    np.testing.assert_array_equal(rnn(X, {"c": c, "h": h})[0], expected)


@pytest.mark.parametrize("wrap", [np.asarray, lambda array: array[np.newaxis], lambda array: array.tolist()])
def test_tuple_and_array_of_one_layer(wrap):
    h, c = arrays(B, H), arrays(B, H) + 1
    rnn = layer()
    expected, last = rnn(X, {"l0.h": h, "l0.c": c})
    y, state = rnn(X, (wrap(h), wrap(c)))
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(state["c"], last["c"])
    gru = layer("gru")
    expected, _ = gru(X, {"l0.h": h})
    for given in (wrap(h), (wrap(h),)):
        np.testing.assert_array_equal(gru(X, given)[0], expected)


def test_tuple_of_several_layers_and_directions():
    rnn = layer(num_layers=2, bidirectional=True)
    h, c = arrays(4, B, H), arrays(4, B, H) + 1
    prefixes = ["l0", "l0.reverse", "l1", "l1.reverse"]
    named = {f"{p}.{name}": array[n] for n, p in enumerate(prefixes) for name, array in (("h", h), ("c", c))}
    y, _ = rnn(X, (h, c))
    by_tuple = rnn.backward(np.ones_like(y), (c, h))[1]
    expected, _ = rnn(X, named)
    np.testing.assert_array_equal(y, expected)
    swapped = {
        f"{p}.{name}": array[n] for n, p in enumerate(prefixes) for name, array in (("h", c), ("c", h))
    }
    by_name = rnn.backward(np.ones_like(y), swapped)[1]
    for name, value in by_name.items():
        np.testing.assert_array_equal(by_tuple[name], value)


@pytest.mark.parametrize(
    ("cell", "options", "state", "words"),
    [
        ("lstm", {}, np.zeros((B, H)), r"the state is 1 array; expected a tuple \(h, c\), or a mapping"),
        ("lstm", {}, (0, 0, 0), r"the state is 3 arrays; expected a tuple \(h, c\)"),
        ("lstm", {}, (np.zeros((B, H)), 0), r"state 'c' is 0; expected \(3, 6\) or \(1, 3, 6\)"),
        ("gru", {"num_layers": 2}, np.zeros((B, H)), r"is float64\(3, 6\); expected \(2, 3, 6\)"),
        ("gru", {"num_layers": 2}, np.zeros((1, B, H)), r"expected \(2, 3, 6\)"),
        (["gru", "lstm"], {}, (0, 0), "a tuple, but the layers have different states; expected a mapping"),
    ],
)
def test_states_that_do_not_fit(cell, options, state, words):
    with pytest.raises(UsageError, match=words):
        layer(cell, **options)(X, state)


def test_models_take_and_return_the_same_forms():
    model = zoo.LanguageModel("abc", "lstm", hidden_size=H, dtype="float64")
    tokens = np.zeros((T, B), int)
    loss, state = model.loss_and_grad(tokens, tokens)
    assert state["h"] is state["l0.h"]
    continued = model.loss_and_grad(tokens, tokens, state=(state["h"], state["c"]))[0]
    assert continued == model.loss(tokens, tokens, state=state)[0] != loss
    assert model.logits(tokens)[1]["c"].shape == (B, H)


def test_text_of_states_has_names_and_shapes():
    _, state = zoo.Recurrent("lstm", I, H)(X)
    assert repr(state) == f"{{l0.h: ({B}, {H}), l0.c: ({B}, {H})}}"


def test_short_names_in_the_order_of_declaration():
    words = "unknown state 'hh'; missing state 'h'; the names are h, c"
    with pytest.raises(UsageError, match=words):
        zoo.Recurrent("lstm", I, H)(X, {"hh": 0, "c": 0})
