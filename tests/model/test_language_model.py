"""The language model: loss, gradient, text."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import zoo
from zoo import LanguageModel
from zoo.errors import DataError, UnknownNameError, UsageError
from zoo.model import generate

V, H = 5, 4
VOCAB = "abcde"
TOLERANCE = {"float32": 2e-6, "float64": 1e-13}


def trial(batch=3, steps=6, layers=1, dtype="float64", threads=1, seed=0):
    """A model that is no longer at its start, tokens, targets and a carried state."""
    model = LanguageModel(VOCAB, "vanilla", H, layers, dtype=dtype, seed=seed, threads=threads)
    rng = np.random.default_rng(seed)
    model.theta += rng.normal(size=model.theta.size).astype(dtype) / 3
    tokens = rng.integers(V, size=(steps + 1, batch))
    state = {f"l{k}.h": rng.normal(size=(batch, H)).astype(dtype) for k in range(layers)}
    return model, tokens[:-1], tokens[1:], state


def reference(params, layers, inputs, targets, state):
    """The loss in plain NumPy: one-hot rows, tanh layers, softmax, cross-entropy; and the last states."""
    x, last = np.eye(V)[inputs], {}
    for k in range(layers):
        Wxh, Whh, bh = (params[f"l{k}.{name}"].astype(np.float64) for name in ("Wxh", "Whh", "bh"))
        h, hs = state[f"l{k}.h"].astype(np.float64), []
        for t in range(len(x)):
            h = np.tanh(x[t] @ Wxh + h @ Whh + bh)
            hs.append(h)
        x, last[f"l{k}.h"] = np.array(hs), h
    logits = x @ params["Why"].astype(np.float64) + params["by"]
    p = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    return -np.log(np.take_along_axis(p, targets[..., None], axis=-1)).mean(), last


# ---- loss and gradient --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("batch", [1, 3, 17])
def test_loss_equals_the_equations(dtype, layers, batch):
    model, inputs, targets, state = trial(batch, layers=layers, dtype=dtype)
    expected, expected_last = reference(model.params, layers, inputs, targets, state)
    for actual, last in (
        model.loss(inputs, targets, state=state),
        model.loss_and_grad(inputs, targets, state=state),
    ):
        assert type(actual) is float
        assert actual == pytest.approx(expected, rel=TOLERANCE[dtype] * 10)
        for name, value in expected_last.items():
            np.testing.assert_allclose(last[name], value, rtol=0, atol=TOLERANCE[dtype] * 50, err_msg=name)


@pytest.mark.parametrize("layers", [1, 2])
def test_gradients_equal_finite_differences(layers):
    model, inputs, targets, state = trial(layers=layers)
    model.loss_and_grad(inputs, targets, state=state)
    params = {name: value.copy() for name, value in model.params.items()}
    step = 1e-6
    for name, array in params.items():
        numeric = np.zeros_like(array)
        for place in np.ndindex(array.shape):
            middle, sides = array[place], []
            for shift in (step, -step):
                array[place] = middle + shift
                sides.append(reference(params, layers, inputs, targets, state)[0])
            array[place] = middle
            numeric[place] = (sides[0] - sides[1]) / (2 * step)
        np.testing.assert_allclose(model.grads[name], numeric, rtol=0, atol=1e-9, err_msg=name)


def test_float32_gradients_round_float64():
    double, *text, state = trial(17, layers=2)
    single, *_ = trial(17, layers=2, dtype="float32")
    single.theta = double.theta
    double.loss_and_grad(*text, state=state)
    single.loss_and_grad(*text, state=state)
    np.testing.assert_allclose(single.grad, double.grad, rtol=0, atol=2e-6)


def test_loss_equals_loss_and_grad_without_gradient():
    model, *text, state = trial(9)
    result, last = model.loss(*text, state=state)
    assert not model.grad.any()
    training_loss, training_last = model.loss_and_grad(*text, state=state)
    assert result == pytest.approx(training_loss, rel=1e-13)
    np.testing.assert_array_equal(last["l0.h"], training_last["l0.h"])
    first = model.grad.copy()
    model.loss_and_grad(*text, state=state)
    np.testing.assert_array_equal(model.grad, first)  # filled anew, not added to
    assert all(np.shares_memory(value, model.grad) for value in model.grads.values())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("batch", [9, 33, 200])
def test_threads_change_no_bit(batch, dtype):
    def results(threads):
        model, *text, state = trial(batch, layers=2, dtype=dtype, threads=threads)
        loss, last = model.loss_and_grad(*text, state=state)
        return loss, model.loss(*text, state=state)[0], model.grad.copy(), *last.values()

    expected = results(1)
    for threads in (2, 5):
        for actual, value in zip(results(threads), expected, strict=True):
            np.testing.assert_array_equal(actual, value)


def test_carried_state_continues_a_sequence():
    model, inputs, targets, state = trial(steps=8)
    whole, last = model.loss(inputs, targets, state=state)
    first, middle = model.loss(inputs[:3], targets[:3], state=state)
    second, end = model.loss(inputs[3:], targets[3:], state=middle)
    assert (3 * first + 5 * second) / 8 == pytest.approx(whole, rel=1e-14)
    np.testing.assert_array_equal(end["l0.h"], last["l0.h"])


def test_logits():
    model, inputs, targets, state = trial()
    logits, last = model.logits(inputs, state)
    assert (logits.shape, logits.dtype) == ((6, 3, V), np.float64)
    log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
    loss = -np.take_along_axis(log_p, targets[..., None], axis=-1).mean()
    assert loss == pytest.approx(model.loss(inputs, targets, state=state)[0], rel=1e-13)
    assert last["l0.h"].shape == (3, H)


@pytest.mark.parametrize("symbols", [2, 40, 256])
def test_new_model_predicts_uniformly(symbols):
    model = LanguageModel(range(symbols), hidden_size=32)
    tokens = np.random.default_rng(0).integers(symbols, size=(30, 4))
    loss, _ = model.loss(tokens[:-1], tokens[1:])
    assert loss == pytest.approx(math.log(symbols), abs=0.1)


def test_huge_logits_do_not_overflow():
    model, inputs, targets, state = trial(dtype="float32")
    model.params["Why"] *= np.float32(1e8)
    loss, _ = model.loss_and_grad(inputs, targets, state=state)
    assert math.isfinite(loss)
    assert np.isfinite(model.grad).all()


def test_names_shapes_and_initial_values():
    model = LanguageModel("helo", hidden_size=6, num_layers=2, seed=4)
    shapes = {name: value.shape for name, value in model.params.items()}
    assert list(shapes.items())[-2:] == [("Why", (6, 4)), ("by", (4,))]
    assert not model.params["by"].any()
    assert abs(model.params["Why"]).max() <= 1 / math.sqrt(6)
    np.testing.assert_array_equal(
        model.theta, LanguageModel("helo", hidden_size=6, num_layers=2, seed=4).theta
    )
    assert not np.array_equal(model.theta, LanguageModel("helo", hidden_size=6, num_layers=2).theta)
    size = 4 * 6 + 36 + 6 + 36 + 36 + 6 + 6 * 4 + 4
    assert repr(model) == (
        f"LanguageModel(Vanilla(), V=4, hidden_size=6, num_layers=2, dtype='float32', P={size})"
    )


def test_deep_copy_is_independent():
    model, *text, state = trial()
    copied = copy.deepcopy(model)
    before, _ = model.loss_and_grad(*text, state=state)
    copied.theta -= 0.1 * model.grad
    assert copied.loss_and_grad(*text, state=state)[0] < before
    assert model.loss_and_grad(*text, state=state)[0] == before


# ---- what it refuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("inputs", "targets", "words"),
    [
        (np.zeros((3, 2), int), np.zeros((2, 2), int), r"inputs \(3, 2\) and targets \(2, 2\); expected two"),
        (np.zeros((0, 2), int), np.zeros((0, 2), int), "with at least one step"),
        (np.zeros((3, 2)), np.zeros((3, 2), int), r"inputs are float64\(3, 2\); expected integer tokens"),
        (np.zeros((3, 2), int), np.zeros((3, 2)), r"targets are float64\(3, 2\)"),
        (np.zeros(3, int), np.zeros(3, int), r"inputs are int64\(3,\)"),
        (np.zeros((3, 0), int), np.zeros((3, 0), int), "at least one sequence in the batch"),
        (np.full((3, 2), V), np.zeros((3, 2), int), "inputs hold 5; expected tokens from 0 to 4."),
        (np.zeros((3, 2), int), np.full((3, 2), -1), "targets hold -1"),
        ("hello", "ello ", "inputs are 'hello'"),
        ([[1], [2, 3]], [[1], [2]], "inputs cannot be made an array"),
    ],
)
def test_wrong_tokens(inputs, targets, words):
    model, *_ = trial()
    for method in (model.loss, model.loss_and_grad):
        with pytest.raises(UsageError, match=f"^language model: .*{words}"):
            method(inputs, targets)


def test_wrong_states():
    model, inputs, targets, _ = trial()
    with pytest.raises(UsageError, match=r"language model: state 'l0.h' is 0; expected"):
        model.loss(inputs, targets, state={"h": 0})
    with pytest.raises(UsageError, match=r"state 'l0.h' has the shape \(3, 5\); expected \(3, 4\)"):
        model.logits(inputs, {"l0.h": np.zeros((3, 5))})


@pytest.mark.parametrize(
    ("changed", "error", "words"),
    [
        ({"vocab": "a"}, DataError, "from 2 to"),
        ({"vocab": "abca"}, DataError, r"found twice: 'a'; write sorted\(set\(text\)\)"),
        ({"vocab": 26}, UsageError, "vocabulary is 26; expected the symbols"),
        ({"vocab": None}, UsageError, "vocabulary is None"),
        ({"vocab": ["a", 1]}, DataError, "found int, str"),
        ({"cell": "vanila"}, UnknownNameError, "Did you mean 'vanilla'"),
        ({"hidden_size": 0}, UsageError, "hidden_size is 0"),
        ({"num_layers": 1.0}, UsageError, "num_layers is 1.0"),
        ({"dtype": "int8"}, UsageError, "dtype is 'int8'"),
        ({"seed": None}, UsageError, "seed is None"),
        ({"threads": -1}, UsageError, "threads is -1"),
        ({"hidden_size": 10**12}, UsageError, "choose smaller sizes"),
    ],
)
def test_invalid_constructor_arguments(changed, error, words):
    with pytest.raises(error, match=words):
        LanguageModel(**{"vocab": VOCAB, "hidden_size": H, **changed})


# ---- text ---------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain_python")
def test_seed_determines_text():
    model, *_ = trial()
    text = model.sample("ab", 30, seed=3)
    assert text == model.sample("ab", 30, seed=3)
    assert text.startswith("ab")
    assert len(text) == 32
    assert set(text) <= set(VOCAB)
    assert len({model.sample("ab", 30, seed=seed) for seed in range(8)}) == 8
    assert text.startswith(model.sample("ab", 20, seed=3))  # a shorter one is its beginning


def test_float32_and_threads_sample():
    model, *_ = trial(dtype="float32", threads=2)
    assert model.sample("a", 5, seed=1) == LanguageModel.sample(model, "a", 5, seed=1)


@pytest.mark.usefixtures("plain_python")
def test_empty_prompt_draws_first_symbol():
    model, *_ = trial()
    assert len(model.sample(length=12)) == 12
    assert {model.sample("", 1, seed=seed) for seed in range(60)} == set(VOCAB)
    assert model.sample("", 0) == ""
    assert model.sample("abc", 0) == "abc"


def test_samples_follow_the_softmax():
    model, *_ = trial()
    logits, _ = model.logits([[0]])
    expected = np.exp(logits[0, 0]) / np.exp(logits[0, 0]).sum()
    drawn = [model.sample("a", 1, seed=seed)[1] for seed in range(600)]
    counts = np.array([drawn.count(symbol) for symbol in VOCAB])
    chi2 = ((counts - 600 * expected) ** 2 / (600 * expected)).sum()
    assert chi2 < 18.5  # the 0.999 quantile with four degrees of freedom


@pytest.mark.usefixtures("plain_python")
def test_samplers_by_name_instance_and_chain():
    model, *_ = trial()
    greedy = model.sample("a", 10, "greedy")
    logits, state = model.logits([[0]])
    text = "a"
    for _ in range(10):
        text += VOCAB[int(logits[-1, 0].argmax())]
        logits, state = model.logits([[VOCAB.index(text[-1])]], state)
    assert greedy == text
    assert greedy == model.sample("a", 10, zoo.get_sampler("greedy"), seed=5)
    chain = zoo.get_sampler("temperature", temperature=2.0) | zoo.get_sampler("top_k", k=1)
    assert greedy == model.sample("a", 10, chain, seed=5)
    assert model.sample("a", 10, "temperature", seed=5) == model.sample("a", 10, None, seed=5)


def test_generated_chunks_join_to_same_text():
    model, *_ = trial()
    pieces = generate(model, "abc", 9, None, seed=2)
    assert [next(pieces) for _ in range(3)] == ["a", "b", "c"]
    rest = list(pieces)
    assert "abc" + "".join(rest) == model.sample("abc", 9, seed=2)
    assert [len(piece) for piece in rest] == [1] * 9 + [0]


def test_generate_holds_incomplete_bytes():
    model = LanguageModel(range(256), hidden_size=H, seed=2)
    pieces = list(generate(model, "né", 40, None, seed=1))
    assert pieces[:3] == ["n", "", "é"]
    assert "".join(pieces) == model.sample("né".encode(), 40, seed=1)
    assert model.sample(b"\xff\xfe", 0) == "\N{REPLACEMENT CHARACTER}" * 2


def test_symbols_longer_than_a_character():
    model = LanguageModel(["the ", "cat ", "sat "], hidden_size=H)
    text = model.sample("", 6, seed=3)
    assert text.count(" ") == 6
    assert len(text) == 24


def test_unknown_characters_in_prompt():
    model, *_ = trial()
    with pytest.raises(DataError, match=r"not among the 5 symbols of the vocabulary: 'x', 'ü'"):
        model.sample("axü", 3)
    assert model.sample("axüb", 3, on_unknown="skip") == model.sample("ab", 3)
    assert len(model.sample("xyz", 3, on_unknown="skip")) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"length": -1}, UsageError, "length is -1; expected an integer from 0 to"),
        ({"length": 2.0}, UsageError, "length is 2.0"),
        ({"length": True}, UsageError, "length is True"),
        ({"prompt": 5}, UsageError, "prompt is 5; expected a string, bytes, symbols, or tokens."),
        ({"prompt": None}, UsageError, "prompt is None"),
        ({"prompt": b"ab"}, DataError, "found bytes; decode them first"),
        ({"sampler": "gredy"}, UnknownNameError, "Did you mean 'greedy'"),
        ({"sampler": 3}, UsageError, "sampler is 3; expected a sampler, its name with options as in"),
        ({"sampler": zoo.get_sampler}, UsageError, "'temperature:0.5', or samplers chained with |."),
        ({"sampler": "temperature:0"}, UsageError, "option 'temperature' is '?0"),
        (
            {"sampler": "temperature:hot"},
            UsageError,
            "option 'temperature' is 'hot'; expected a finite number",
        ),
        (
            {"sampler": "temperature:"},
            UsageError,
            "sampler 'temperature:' has no value behind the colon; expected a value of temperature, as in",
        ),
        ({"sampler": "top_k:p=3"}, UsageError, "sampler 'top_k' has no option 'p'"),
        (
            {"sampler": "greedy:1"},
            UsageError,
            "sampler 'greedy:1': greedy has no option, so leave out '1'; write",
        ),
        (
            {"sampler": "top_k:2,temperature:0.5"},
            UsageError,
            r"between samplers, 'top_k:2 \| temperature:0.5'",
        ),
        ({"sampler": "temperature=0.5"}, UsageError, "write options behind a colon, 'temperature:0.5'"),
        ({"sampler": "top_k:3|"}, UnknownNameError, "sampler ''"),
        ({"seed": -1}, UsageError, "seed is -1"),
        ({"seed": None}, UsageError, "seed is None"),
        ({"on_unknown": "guess"}, UsageError, "on_unknown is 'guess'; expected one of 'error', 'skip'."),
    ],
)
def test_invalid_sample_arguments_raise_at_once(arguments, error, words):
    model, *_ = trial()
    chosen = {"prompt": "a", "length": 3, **arguments}
    with pytest.raises(error, match=words):
        model.sample(**chosen)
    with pytest.raises(error, match=words):
        generate(model, **chosen)


def test_diverged_model_raises():
    model, *_ = trial()
    model.theta[:] = np.nan
    with pytest.raises(UsageError, match="A model that has diverged gives such logits"):
        model.sample("a", 3)
