"""``zoo.jax.recurrent``: what the layer of zoo computes, under the transformations of JAX."""

from __future__ import annotations

import copy
import importlib
import importlib.util
import pickle
import subprocess
import sys

import numpy as np
import pytest
from vjp_requests import record_needs_dx

import zoo
import zoo.jax
from zoo.errors import UsageError
from zoo.kernels import pure_python

jax = pytest.importorskip("jax", reason="needs the extra `jax`")
jnp = jax.numpy

T, B, I, H = 4, 2, 3, 4  # noqa: E741 - the letters of the documents


@pytest.fixture(autouse=True)
def plain_python():
    """Run kernels as plain Python, since they have tests of their own, and switch float64 on."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    with pure_python():
        yield
    jax.config.update("jax_enable_x64", before)


def function(cell="lstm", layers=1, dtype="float64", **more):
    return zoo.jax.recurrent(cell, I, H, layers, dtype=dtype, threads=1, **more)


def inputs(seed=0, dtype="float64"):
    return jnp.array(np.random.default_rng(seed).normal(size=(T, B, I)).astype(dtype))


def loss(rnn, params, x, state=None, **more):
    """A number that all results have a part in, each another."""
    y, last = rnn(params, x, state, **more)
    leaves = [y, *last.values()]
    return sum(jnp.sum(jnp.sin(each + jnp.arange(each.size).reshape(each.shape))) for each in leaves)


def assert_close(actual, expected, atol=1e-12):
    assert jax.tree.structure(actual) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_module_matches_zoo_layer(dtype):
    more = {"bidirectional": True, "learned_state": True, "recompute": 2}
    rnn, x = function("gru", 2, dtype, **more), inputs(dtype=dtype)
    layer = zoo.Recurrent("gru", I, H, num_layers=2, dtype=dtype, threads=1, **more)
    (y, last), pull = jax.vjp(rnn, rnn.params, x)
    expected, states = layer.forward(np.asarray(x))
    assert_close((y, last), (expected, dict(states)), atol=0)
    dy = np.cos(expected)
    dx, _ = layer.backward(dy)
    actual, actual_dx = pull((jnp.array(dy), jax.tree.map(jnp.zeros_like, last)))
    assert (actual_dx.dtype, actual.keys()) == (dtype, layer.grads.keys())
    assert_close((actual, actual_dx), (dict(layer.grads), dx), atol=0)


def test_block_around_a_cell_matches_zoo_layer():
    rnn, x = function("lstm", 2, block="griffin"), inputs()
    layer = zoo.Recurrent("griffin(lstm)", I, H, num_layers=2, dtype="float64", threads=1)
    y, pull = jax.vjp(lambda params: rnn(params, x)[0], rnn.params)
    expected, _ = layer.forward(np.asarray(x))
    layer.backward(np.ones_like(expected))
    assert_close((y, pull(jnp.ones_like(y))), (expected, (dict(layer.grads),)), atol=0)
    assert "l0.block_Wi" in rnn.params


def test_products_in_bfloat16(any_processor):
    rnn, x = function("gru", 1, "float32", precision="bf16"), inputs(dtype="float32")
    layer = zoo.Recurrent("gru", I, H, precision="bf16", threads=1)
    y, pull = jax.vjp(lambda params: rnn(params, x)[0], rnn.params)
    expected, _ = layer.forward(np.asarray(x))
    layer.backward(np.ones_like(expected))
    assert_close((y, pull(jnp.ones_like(y))), (expected, (dict(layer.grads),)), atol=0)
    assert "precision='bf16'" in repr(rnn)
    with pytest.raises(UsageError, match=r"precision is 'bf16' and dtype is 'float64'"):
        function(precision="bf16")


@pytest.mark.parametrize("cell", ["vanilla", "esn", "t_gru", "mamba(gru)"])
def test_gradients_are_those_of_finite_differences(cell):
    rnn, x = function(cell, 2), inputs()
    _, state = rnn(rnn.params, x)
    check = importlib.import_module("jax.test_util").check_grads
    check(lambda *given: loss(rnn, *given), (rnn.params, x, state), 1, modes=["rev"])


def test_jit_grad_and_vmap_compose():
    rnn, x = function("lstm", 2), inputs()
    _, state = rnn(rnn.params, x)
    step = jax.value_and_grad(lambda *given: loss(rnn, *given), argnums=(0, 1, 2))
    expected = step(rnn.params, x, state)
    assert_close(jax.jit(step)(rnn.params, x, state), expected)
    many = jnp.stack([x, 2 * x])
    mapped = jax.jit(jax.vmap(step, in_axes=(None, 0, None)))(rnn.params, many, state)
    assert_close(jax.tree.map(lambda leaf: leaf[0], mapped), expected)
    assert_close(jax.tree.map(lambda leaf: leaf[1], mapped), step(rnn.params, 2 * x, state))


def test_one_forward_pass_serves_many_backward_passes():
    """A tape is for one of them, and made again for the others; so are those that were too many to keep."""
    rnn = function("gru")
    ways = [jax.vjp(lambda x: rnn(rnn.params, x)[0], inputs(seed)) for seed in range(12)]
    for y, pull in ways:
        assert_close(pull(jnp.ones_like(y)), pull(jnp.ones_like(y)), atol=0)
    calls = rnn._kernels
    assert len(calls._tapes) == 0, "every one was taken"
    jax.vjp(lambda x: rnn(rnn.params, x)[0], inputs())
    assert len(calls._tapes) == 1
    rnn(rnn.params, inputs())
    assert len(calls._tapes) == 1, "a way forward alone leaves none"


@pytest.mark.parametrize("is_jitted", [False, True])
def test_gradient_of_inputs_is_computed_on_request(is_jitted, monkeypatch):
    needs = record_needs_dx(monkeypatch)
    rnn = zoo.jax.recurrent("lstm", 3, 4)
    x = jnp.ones((5, 2, 3), "float32")
    state = rnn(rnn.params, x)[1]

    def total(params, x, state):
        y, last = rnn(params, x, state)
        return (y**2).sum() + last["l0.c"].sum()

    gradients = []
    for varied in ((0, 1, 2), (0,), (2,), (1,)):
        gradient = jax.grad(total, varied)
        gradients.append((jax.jit(gradient) if is_jitted else gradient)(rnn.params, x, state))
    assert needs == [True, False, False, True]
    every, params, states, inputs = gradients
    jax.tree.map(np.testing.assert_array_equal, every, (params[0], inputs[0], states[0]))


def test_tokens_equal_one_hot_vectors():
    rnn = function("gru")
    tokens = jnp.array(np.random.default_rng(0).integers(0, I, (T, B)))
    step = jax.value_and_grad(lambda params, x: loss(rnn, params, x))
    assert_close(step(rnn.params, tokens), step(rnn.params, jax.nn.one_hot(tokens, I, dtype="float64")))


def test_lengths_inputs_and_noise():
    x, lengths = inputs(), jnp.array([2, 4])
    rnn, layer = function("cfc"), zoo.Recurrent("cfc", I, H, dtype="float64")
    dt = jnp.linspace(0.5, 1.5, T * B).reshape(T, B)
    y, _ = jax.jit(lambda x, dt: rnn(rnn.params, x, lengths=lengths, dt=dt))(x, dt)
    expected, _ = layer.forward(np.asarray(x), lengths=np.asarray(lengths), dt=np.asarray(dt))
    assert_close(y, expected, atol=0)
    noisy = function("gru+zoneout", 2, dropout=0.5)
    step = jax.jit(jax.value_and_grad(lambda params, key: loss(noisy, params, x, key=key)))
    one, other = (step(noisy.params, jax.random.key(seed)) for seed in (0, 1))
    assert_close(step(noisy.params, jax.random.key(0)), one, atol=0)
    assert one[0] != other[0]
    assert loss(noisy, noisy.params, x) == loss(noisy, noisy.params, x)


def test_auxiliary_input_with_the_name_of_an_argument_raises():
    class Clash(zoo.Cell):
        """A cell whose auxiliary input has the name of the key of noise."""

        W = zoo.Param("I", "H")
        h = zoo.State("H")
        key = zoo.Input()

        def step(self, x, h, key):
            return x @ self.W + h + key

    words = r"zoo.jax.*: input 'key' has the name of an argument of `rnn\(params, x, state, key, lengths\)`; "
    with pytest.raises(UsageError, match=f"{words}rename it"):
        function(Clash)


@pytest.mark.parametrize("wrap", [lambda f: f, jax.jit, jax.checkpoint], ids=["eager", "jit", "checkpoint"])
@pytest.mark.parametrize("is_outer", [False, True], ids=["inside", "outside"])
def test_auxiliary_inputs_have_no_gradient(wrap, is_outer):
    rnn, x, dt = function("cfc"), inputs(), jnp.linspace(0.5, 1.5, T * B).reshape(T, B)

    def total(params, dt):
        return loss(rnn, params, x, dt=dt)

    def gradient(function, varied):
        if is_outer:
            return wrap(jax.grad(function, varied))(rnn.params, dt)
        return jax.grad(wrap(function), varied)(rnn.params, dt)

    of_params = gradient(total, 0)
    for varied in (1, (0, 1)):
        with pytest.raises(
            UsageError, match=r"input 'dt' is differentiated.* pass jax.lax.stop_gradient\(dt\)"
        ):
            gradient(total, varied)
        fixed = gradient(lambda params, dt: total(params, jax.lax.stop_gradient(dt)), varied)
        assert not (fixed if varied == 1 else fixed[1]).any()
    assert_close(fixed[0], of_params)


def test_padding_of_tokens_may_hold_anything():
    rnn, lengths = function("gru"), jnp.array([2, 4])
    tokens = np.random.default_rng(0).integers(0, I, (T, B))
    expected = rnn(rnn.params, tokens, lengths=lengths)
    tokens[2:, 0] = [-1, 99][: T - 2]
    assert_close(rnn(rnn.params, tokens, lengths=lengths), expected, atol=0)
    with pytest.raises(UsageError, match="inputs run from -1 to 99; expected tokens"):
        rnn(rnn.params, tokens)


SECOND = {
    "gru": {"cell": "gru"},
    "both directions": {"cell": "lstm", "layers": 2, "bidirectional": True},
    "learned states": {"cell": "lem", "layers": 2, "learned_state": True},
    "a counter": {"cell": zoo.get_cell("clockwork", groups=2)},
    "complex states": {"cell": "lru"},
}


@pytest.mark.parametrize("name", SECOND)
def test_second_derivatives(name):
    rnn, x = function(**SECOND[name]), inputs()
    check_grads = importlib.import_module("jax.test_util").check_grads
    check_grads(lambda params, x: loss(rnn, params, x), (rnn.params, x), 2, modes=["rev"])
    state = {name: each + 0.1 for name, each in rnn(rnn.params, x)[1].items()}
    if name != "a counter":  # whose state holds integers
        check_grads(lambda x, state: loss(rnn, rnn.params, x, state), (x, state), 2, modes=["rev"])


def test_transformations_of_second_derivatives():
    rnn, x = function("gru", 2), inputs()

    def penalty(params, x):
        return sum(jnp.sum(each**2) for each in jax.grad(loss, 1)(rnn, params, x).values())

    expected = jax.grad(penalty)(rnn.params, x)
    assert_close(jax.jit(jax.grad(penalty))(rnn.params, x), expected)
    both = jax.vmap(jax.grad(penalty), (None, 0))(rnn.params, jnp.stack([x, 2 * x]))
    assert_close({name: each[0] for name, each in both.items()}, expected)
    rows = jax.jacrev(jax.grad(lambda x: loss(rnn, rnn.params, x)))(x).reshape(x.size, x.size)
    assert_close(rows, rows.T)
    tokens = jnp.zeros((T, B), jnp.int32)
    dense = jax.nn.one_hot(tokens, I)
    assert_close(jax.grad(penalty)(rnn.params, tokens), jax.grad(penalty)(rnn.params, dense))


def test_second_derivatives_of_auxiliary_inputs_and_dropout_raise():
    x = inputs()
    rnn = function("ctrnn")
    (name,) = rnn._kernels.stack.inputs
    value = jnp.ones((T, B, *rnn._kernels.stack.input_shapes[name]))

    def penalty(value):
        gradients = jax.grad(lambda params: loss(rnn, params, x, **{name: value}))(rnn.params)
        return sum(jnp.sum(each**2) for each in gradients.values())

    with pytest.raises(UsageError, match=f"input '{name}' is differentiated"):
        jax.grad(penalty)(value)
    dropping, key = function("gru", 2, dropout=0.5), jax.random.key(0)
    for run in (jax.grad, lambda function: jax.jit(jax.grad(function))):
        with pytest.raises(UsageError, match="not available for `dropout` between layers"):
            run(lambda x: jnp.sum(jax.grad(lambda x: loss(dropping, dropping.params, x, key=key))(x)))(x)


def test_third_derivatives_and_forward_mode_raise():
    rnn, x = function("gru"), inputs()

    def gradient_sum(x):
        return jnp.sum(jax.grad(lambda x: loss(rnn, rnn.params, x))(x))

    with pytest.raises(
        UsageError, match=r"^zoo.jax.recurrent can be differentiated twice; the gradient of a"
    ):
        jax.grad(lambda x: jnp.sum(jax.grad(gradient_sum)(x)))(x)
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda x: loss(rnn, rnn.params, x), (x,), (x,))


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda rnn, x: rnn(rnn.params, x[0]), r"x is float64\(2, 3\); expected float64 \(T, B, 3\)"),
        (lambda rnn, x: rnn(rnn.params, x[..., 1:]), r"x is float64\(4, 2, 2\); expected"),
        (lambda rnn, x: rnn(rnn.params, x.astype("float32")), r"x is float32\(4, 2, 3\); expected float64"),
        (lambda rnn, x: rnn(rnn.params, x[:, :0]), r"x is float64\(4, 0, 3\); .* at least one sequence"),
        (lambda rnn, _: rnn(rnn.params, "x"), "x cannot be converted to an array"),
        (lambda rnn, _: rnn(rnn.params, np.ma.zeros((4, 2, 3))), "x cannot be converted .*masked arrays"),
        (lambda rnn, x: rnn(None, x), "params is None; expected a mapping from names"),
        (lambda rnn, x: rnn(rnn.params, x, "h"), "state is 'h'; expected a mapping from names"),
        (lambda rnn, x: rnn(rnn.params, x, lengths="ab"), "lengths cannot be converted to an array"),
        (lambda rnn, x: rnn({}, x), r"params: 'l0.Wh' is missing; the names are l0.Wx, l0.Wh, l0.b, l0.bn"),
        (lambda rnn, x: rnn({**rnn.params, "l0.b": x}, x), r"params 'l0.b' is float64\(4, 2, 3\); expected"),
        (lambda rnn, x: rnn(rnn.params, x, {"h": x[0]}), "state: 'h' is unknown; the names are l0.h"),
        (lambda rnn, x: rnn(rnn.params, x, {"l0.h": x[0]}), r"state 'l0.h' is float64\(2, 3\); expected"),
        (lambda rnn, x: rnn(rnn.params, x, lengths=x[0, :, 0]), "lengths are float64.*expected integers"),
        (lambda rnn, x: rnn(rnn.params, x, lengths=[4]), r"lengths are int64\(1,\); expected integers"),
        (lambda rnn, x: rnn(rnn.params, x, dt=x), r"has no input 'dt'; inputs besides x are none"),
        (lambda rnn, x: function("cfc")(function("cfc").params, x, dt=x), r"input 'dt' is float64"),
    ],
)  # fmt: skip
def test_mismatched_input_raises(call, sentence):
    rnn = function("gru")
    with pytest.raises(UsageError, match=f"^zoo.jax.recurrent:? {sentence}"):
        jax.jit(lambda x: call(rnn, x))(inputs())


@pytest.mark.parametrize(
    ("tokens", "lengths", "sentence"),
    [
        (0, [5, 1], "lengths run from 1 to 5; expected 0 to 4"),
        (0, [-1, 1], "lengths run from -1 to 1; expected 0 to 4"),
        (3, None, "inputs hold 3; expected tokens from 0 to 2"),
        (-1, [4, 1], "inputs hold -1; expected tokens from 0 to 2"),
    ],
)
def test_invalid_values_raise_outside_of_jit(tokens, lengths, sentence):
    rnn, x = function("gru"), np.full((T, B), tokens)
    with pytest.raises(UsageError, match=f"^zoo.jax.recurrent: {sentence}"):
        rnn(rnn.params, x, lengths=lengths)
    with pytest.raises(UsageError, match=f"^zoo.jax.recurrent: {sentence}"):
        jax.grad(lambda params: rnn(params, x, lengths=lengths)[0].sum())(rnn.params)


def test_tracing_allocates_no_inputs():
    rnn, steps = function("gru"), 10**9
    x, lengths = jax.ShapeDtypeStruct((steps, B, I), float), jax.ShapeDtypeStruct((B,), int)
    y, _ = jax.eval_shape(lambda x, lengths: rnn(rnn.params, x, lengths=lengths), x, lengths)
    assert y.shape == (steps, B, H)


def test_float64_has_to_be_switched_on():
    jax.config.update("jax_enable_x64", False)
    with pytest.raises(UsageError, match=r"dtype is float64, which JAX has disabled; call jax.config.update"):
        function()


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda rnn: pickle.loads(pickle.dumps(rnn))])
def test_copies_and_pickles_compute_the_same(copied):
    rnn, x = function("lstm+zoneout"), inputs()
    gradient = jax.grad(lambda params: rnn(params, x)[0].sum())(rnn.params)
    duplicate = copied(rnn)
    result = jax.grad(lambda params: duplicate(params, x)[0].sum())(duplicate.params)
    assert all(np.array_equal(result[name], value) for name, value in gradient.items())


def test_repr():
    text = "zoo.jax.recurrent(GRU(), input_size=3, hidden_size=4, num_layers=2, dtype='float64')"
    assert repr(function("gru", 2)) == text


def test_importing_zoo_jax_imports_no_jax():
    code = "import sys, zoo, zoo.jax; print(dir(zoo.jax), 'jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['recurrent'] False\n"


def test_missing_jax_raises_with_install_command(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"^zoo.jax needs JAX; pip install 'recurrent-zoo\[jax\]' brings it"):
        zoo.jax.recurrent  # noqa: B018
    with pytest.raises(AttributeError, match=r"module 'zoo.jax' has no attribute 'LSTM'"):
        zoo.jax.LSTM  # noqa: B018


@pytest.mark.parametrize("dtype", [bool, np.float64])
def test_episodes_in_a_row(dtype):
    rnn, x = function("gru+episodes"), inputs()
    starts = np.random.default_rng(3).random(x.shape[:2]) < 0.4
    y, _ = jax.jit(lambda x, s: rnn(rnn.params, x, episode_start=s))(x, starts.astype(dtype))
    with pytest.raises(UsageError, match=r"input 'episode_start' is 0.5 at step .*; expected 0 or 1"):
        rnn(rnn.params, x, episode_start=starts / 2)
    layer = zoo.Recurrent("gru+episodes", *np.shape(x)[2:], y.shape[2], dtype="float64")
    layer.fill({name: np.asarray(value) for name, value in rnn.params.items()})
    np.testing.assert_allclose(y, layer.forward(np.asarray(x), episode_start=starts)[0], rtol=1e-12)
