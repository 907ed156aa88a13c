"""Weights in the layouts of other libraries: what they compute is compared, since names mislead."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import zoo
from zoo import convert
from zoo.errors import UsageError
from zoo.kernels import pure_python

I, H, T, B = 3, 4, 5, 2  # noqa: E741 - the letters of the documents
KERAS = dict(np.load(Path(__file__).parents[1] / "golden" / "keras.npz"))
FORGETFUL = {"lstm": {"forget_bias": 0.75}, "lstm_projected": {"forget_bias": 0.75, "proj": 2}}
TORCH = ("vanilla", "lstm", "lstm_projected", "gru")
FLAX = ("vanilla", "lstm", "gru")


def cell_of(name):
    """The cell, with a forget bias where it can have one: that has to be in the other library's bias."""
    return zoo.get_cell(name, **FORGETFUL.get(name, {}))


def drawn(cell, layers, seed=0):
    """Random parameters of so many layers, biases too; a layer's input has I or H features, as it says."""
    rng = np.random.default_rng(seed)
    return {
        f"{layer}.{name}": rng.normal(size=shape) / 2
        for layer, size in layers.items()
        for name, shape in cell.param_shapes(size, H).items()
    }


def stack(cell):
    """Parameters of two layers."""
    return drawn(cell, {"l0": I, "l1": cell.options.get("proj", H)})


def inputs(dtype="float64"):
    return np.random.default_rng(1).normal(size=(T, B, I)).astype(dtype)


def run(cell, params, x):
    """Compute the outputs ``(T, B, ·)`` with zoo."""
    rnn = zoo.Recurrent(cell, I, H, num_layers=len({name[:2] for name in params}), dtype=x.dtype)
    rnn.fill(params)
    with pure_python():
        return rnn.forward(x)[0]


def run_both_ways(cell, params, x):
    """Compute the outputs of one bidirectional layer with zoo."""
    forwards = {name: value for name, value in params.items() if ".reverse" not in name}
    backwards = {name.replace(".reverse", ""): params[name] for name in params.keys() - forwards}
    return np.concatenate([run(cell, forwards, x), run(cell, backwards, x[::-1])[::-1]], axis=-1)


def assert_equal(actual, expected):
    assert list(actual) == list(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(actual[name], value, err_msg=name)


# ---- PyTorch ------------------------------------------------------------------------------------------


def torch_layer(cell, layers, **more):
    torch = pytest.importorskip("torch", reason="needs the extra `torch`")
    kind = {"vanilla": torch.nn.RNN, "gru": torch.nn.GRU}.get(cell.name, torch.nn.LSTM)
    more |= {"proj_size": cell.proj} if "proj" in cell.options else {}
    torch.manual_seed(2)
    return kind(I, H, layers, dtype=torch.float64, **more)


def by_torch(layer, x):
    import torch

    with torch.no_grad():
        return layer(torch.from_numpy(x))[0].numpy()


def load_into(layer, arrays):
    import torch

    layer.load_state_dict({name: torch.from_numpy(value) for name, value in arrays.items()})


@pytest.mark.parametrize("name", TORCH)
def test_torch_both_ways(name):
    cell, x = cell_of(name), inputs()
    layer = torch_layer(cell, 2)
    params = convert.from_torch(cell, layer.state_dict())
    np.testing.assert_allclose(run(cell, params, x), by_torch(layer, x), rtol=0, atol=1e-14)
    params = stack(cell)
    load_into(layer, convert.to_torch(cell, params))
    np.testing.assert_allclose(run(cell, params, x), by_torch(layer, x), rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", TORCH)
def test_torch_in_two_directions(name):
    cell, x = cell_of(name), inputs()
    layer = torch_layer(cell, 1, bidirectional=True)
    params = convert.from_torch(cell, layer.state_dict())
    np.testing.assert_allclose(run_both_ways(cell, params, x), by_torch(layer, x), rtol=0, atol=1e-14)
    params = drawn(cell, {"l0": I, "l0.reverse": I})
    load_into(layer, convert.to_torch(cell, params))
    np.testing.assert_allclose(run_both_ways(cell, params, x), by_torch(layer, x), rtol=0, atol=1e-14)


def test_torch_without_biases():
    cell, x = cell_of("gru"), inputs()
    layer = torch_layer(cell, 1, bias=False)
    params = convert.from_torch(cell, layer.state_dict())
    np.testing.assert_allclose(run(cell, params, x), by_torch(layer, x), rtol=0, atol=1e-14)


def test_parameters_requiring_grad_are_read():
    cell = cell_of("lstm")
    layer = torch_layer(cell, 1)
    expected = convert.from_torch(cell, layer.state_dict())
    assert_equal(convert.from_torch(cell, dict(layer.named_parameters())), expected)


def test_tensor_unknown_to_numpy_raises():
    torch = pytest.importorskip("torch", reason="needs the extra `torch`")
    weights = {name: value.to(torch.bfloat16) for name, value in torch.nn.RNN(I, H).state_dict().items()}
    with pytest.raises(UsageError, match=r"^from_torch: weight_ih_l0 cannot be read as an array .*BFloat16"):
        convert.from_torch("vanilla", weights)


# ---- Keras --------------------------------------------------------------------------------------------


def keras_weights(name, model):
    numbers = sorted(
        int(key.rpartition(".")[2]) for key in KERAS if re.fullmatch(rf"{name}\.{model}\.\d+", key)
    )
    return [KERAS[f"{name}.{model}.{number}"] for number in numbers]


@pytest.mark.parametrize(("model", "compute"), [("stack", run), ("bidirectional", run_both_ways)])
@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru", "gru_reset_before"])
def test_keras_as_keras_computed_it(name, model, compute):
    cell, weights = cell_of(name), keras_weights(name, model)
    params = convert.from_keras(cell, weights, bidirectional=model == "bidirectional")
    y = compute(cell, params, KERAS["x"].swapaxes(0, 1)).swapaxes(0, 1)
    np.testing.assert_allclose(y, KERAS[f"{name}.{model}.y"], rtol=0, atol=1e-6)
    back = convert.to_keras(cell, params)
    assert [value.shape for value in back] == [value.shape for value in weights]
    round_trip = convert.from_keras(cell, back, bidirectional=model == "bidirectional")
    assert round_trip.keys() == params.keys()
    for key, value in params.items():
        np.testing.assert_allclose(round_trip[key], value, rtol=0, atol=1e-7, err_msg=key)
    for actual, expected in zip(back, weights, strict=True):
        # The sum of the two biases of a gate is kept, and of the GRU's candidate both are.
        kept = (lambda bias: bias[:, -H:]) if actual.shape == (2, 3 * H) else lambda bias: bias
        np.testing.assert_allclose(kept(actual), kept(expected), rtol=0, atol=1e-7)
        if actual.shape == (2, 3 * H):
            np.testing.assert_allclose(actual.sum(0), expected.sum(0), rtol=0, atol=1e-6)


# ---- Flax ---------------------------------------------------------------------------------------------


def by_linen(cell, tree, x):
    pytest.importorskip("flax", reason="needs Flax")
    import flax.linen as nn

    kind = {"vanilla": nn.SimpleCell, "lstm": nn.OptimizedLSTMCell, "gru": nn.GRUCell}[cell.name]
    variables = {"params": {"cell": tree}}
    return np.asarray(nn.RNN(kind(H), time_major=True).apply(variables, x))


def by_nnx(kind, tree, x):
    """An nnx cell with these parameters; without any, with its own."""
    pytest.importorskip("flax", reason="needs Flax")
    from flax import nnx

    cell = kind(I, H, rngs=nnx.Rngs(0))
    if tree is not None:
        assert shapes(nnx.to_pure_dict(nnx.state(cell, nnx.Param))) == shapes(tree)
        nnx.update(cell, tree)
    y = nnx.RNN(cell, time_major=True)(x, rngs=nnx.Rngs(0))
    return np.asarray(y), nnx.state(cell, nnx.Param)


def shapes(tree):
    return {name: {key: value.shape for key, value in layer.items()} for name, layer in tree.items()}


@pytest.mark.parametrize("name", FLAX)
def test_linen_both_ways(name):
    cell, x = cell_of(name), inputs("float32")
    params = {name: value.astype("float32") for name, value in drawn(cell, {"l0": I}).items()}
    (tree,) = convert.to_flax(cell, params)
    np.testing.assert_allclose(by_linen(cell, tree, x), run(cell, params, x), rtol=0, atol=1e-6)
    round_trip = convert.from_flax(cell, tree)
    for key, value in params.items():
        np.testing.assert_allclose(round_trip[key], value, rtol=0, atol=1e-6, err_msg=key)


def test_linen_names_of_dense_layers():
    flax = pytest.importorskip("flax.linen", reason="needs Flax")
    import jax

    kinds = {"vanilla": flax.SimpleCell, "lstm": flax.LSTMCell, "gru": flax.GRUCell}
    for name, kind in kinds.items():
        cell = zoo.get_cell(name)
        carry = kind(H).initialize_carry(jax.random.key(0), (B, I))
        theirs = kind(H).init(jax.random.key(0), carry, np.zeros((B, I), "float32"))["params"]
        (ours,) = convert.to_flax(cell, drawn(cell, {"l0": I}))
        assert shapes(ours) == shapes(theirs)


@pytest.mark.parametrize("name", FLAX)
def test_nnx_both_ways(name):
    nnx = pytest.importorskip("flax.nnx", reason="needs Flax")
    kind = {"vanilla": nnx.SimpleCell, "lstm": nnx.OptimizedLSTMCell, "gru": nnx.GRUCell}[name]
    cell, x = cell_of(name), inputs("float32")
    params = {name: value.astype("float32") for name, value in drawn(cell, {"l0": I}).items()}
    params |= {"l0.bn": np.zeros(H, "float32")} if name == "gru" else {}
    (tree,) = convert.to_flax(cell, params, style="nnx")
    y, state = by_nnx(kind, tree, x)
    np.testing.assert_allclose(y, run(cell, params, x), rtol=0, atol=1e-6)
    round_trip = convert.from_flax(cell, state)
    for key, value in params.items():
        np.testing.assert_allclose(round_trip[key], value, rtol=0, atol=1e-6, err_msg=key)


def test_gates_of_nnx_lstm_are_converted():
    nnx = pytest.importorskip("flax.nnx", reason="needs Flax")
    cell, x = cell_of("lstm"), inputs("float32")
    y, state = by_nnx(nnx.LSTMCell, None, x)
    np.testing.assert_allclose(run(cell, convert.from_flax(cell, state), x), y, rtol=0, atol=1e-6)


def test_two_directions_are_pairs():
    cell = cell_of("gru")
    params = drawn(cell, {"l0": I, "l0.reverse": I, "l1": 2 * H, "l1.reverse": 2 * H})
    trees = convert.to_flax(cell, params)
    assert_equal(convert.from_flax(cell, trees, bidirectional=True), params)
    weights = convert.to_keras(cell, params)
    assert_equal(convert.from_keras(cell, weights, bidirectional=True), params)


# ---- what all share -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["vanilla", "lstm", "gru"])
def test_round_trip_is_bit_exact(name):
    cell = zoo.get_cell(name)
    params = stack(cell)
    assert_equal(convert.from_torch(cell, convert.to_torch(cell, params)), params)
    assert_equal(convert.from_keras(cell, convert.to_keras(cell, params)), params)
    assert_equal(convert.from_flax(cell, convert.to_flax(cell, params)), params)


def test_converted_arrays_are_copies():
    cell = zoo.get_cell("gru")
    params = drawn(cell, {"l0": I})
    results = [
        *convert.to_torch(cell, params).values(),
        *convert.to_keras(cell, params),
        *(
            value
            for tree in convert.to_flax(cell, params)
            for each in tree.values()
            for value in each.values()
        ),
        *convert.from_torch(cell, convert.to_torch(cell, params)).values(),
    ]
    assert all(value.flags.carray for value in results)
    for value in results:
        value[...] = 7
    assert_equal(params, drawn(cell, {"l0": I}))


class Other(zoo.get_cell("lstm").__class__):
    """Somebody else's cell of the same name: its gates may stand in any order."""

    name = "lstm"


GRU = {
    "l0.Wx": np.ones((I, 3 * H)),
    "l0.Wh": np.ones((H, 3 * H)),
    "l0.b": np.ones(3 * H),
    "l0.bn": np.ones(H),
}
LSTM = {"weight_ih_l0": np.ones((4 * H, I)), "weight_hh_l0": np.ones((4 * H, H))}


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (
            lambda: convert.from_torch("mgu", {}),
            "from_torch: PyTorch has no layer with the equations of cell 'mgu'; it has layers for vanilla, ",
        ),
        (
            lambda: convert.to_torch("gru_reset_before", {}),
            "to_torch: PyTorch has no layer with the equations of cell 'gru_reset_before'; ",
        ),
        (
            lambda: convert.to_torch(Other, {}),
            "to_torch: PyTorch has no layer with the equations of cell 'lstm'",
        ),
        (
            lambda: convert.to_flax("lstm_projected", {}),
            "to_flax: Flax has no layer with the equations of cell 'lstm_projected'; ",
        ),
        (lambda: convert.from_torch("lstm", {}), "from_torch: weight_ih_l0 is missing."),
        (
            lambda: convert.from_torch("lstm", {"weight_ih_l0": np.ones((4 * H, I))}),
            "from_torch: weight_hh_l0 is missing.",
        ),
        (
            lambda: convert.from_torch("lstm", LSTM | {"weight_ih_l2": np.ones((4 * H, H))}),
            "from_torch: weight_hh_l2 is missing.",
        ),
        (
            lambda: convert.from_torch("lstm", LSTM | {"weight_ih_l1_reverse": np.ones((4 * H, H))}),
            "from_torch: weight_hh_l1_reverse is missing.",
        ),
        (
            lambda: convert.from_torch("lstm", {"lstm.weight_ih_l0": 1}),
            "from_torch: 'lstm.weight_ih_l0' is not an array of nn.RNN, nn.LSTM or nn.GRU; give the",
        ),
        (
            lambda: convert.from_torch("gru", LSTM),
            "from_torch: l0: weight_ih (16, 3), weight_hh (16, 4) are not the arrays of one layer",
        ),
        (
            lambda: convert.from_torch("lstm", LSTM | {"weight_hr_l0": np.ones((2, H))}),
            "from_torch: the LSTM has a projection to 2 units (proj_size); give the cell zoo.get_cell(",
        ),
        (
            lambda: convert.from_torch(
                "lstm_projected", {**LSTM, "weight_hh_l0": np.ones((16, 2)), "weight_hr_l0": np.ones((2, H))}
            ),
            "from_torch: the LSTM has a projection to 2 units (proj_size); give the cell "
            "zoo.get_cell('lstm_projected', proj=2).",
        ),
        (lambda: convert.to_torch("gru", {}), "to_torch: found the layers (none); some are missing."),
        (
            lambda: convert.to_torch("gru", {name.replace("l0", "l1"): GRU[name] for name in GRU}),
            "to_torch: found the layers l1; some are missing.",
        ),
        (
            lambda: convert.to_torch("gru", {name: GRU[name] for name in GRU if name != "l0.bn"}),
            "to_torch: l0.bn is missing; give all parameters of a layer.",
        ),
        (
            lambda: convert.to_torch("gru", GRU | {"l0.h.initial": 1}),
            "to_torch: cell 'gru' has no parameter 'l0.h.initial'; expected l0.Wx, l0.Wh, l0.b, l0.bn and so",
        ),
        (
            lambda: convert.from_keras("lstm", [np.ones((3, 16)), np.ones((4, 16))]),
            "from_keras: 2 arrays; expected 3 a layer, kernel, recurrent_kernel, bias. Give zeros",
        ),
        (
            lambda: convert.from_keras("lstm", [np.ones((3, 16))] * 3, bidirectional=True),
            "from_keras: 3 arrays; expected 6 a layer, kernel, recurrent_kernel, bias in both directions.",
        ),
        (
            lambda: convert.from_keras("gru", [np.ones((3, 12)), np.ones((4, 12)), np.ones(12)]),
            "from_keras: l0: the bias is (12,), and cell 'gru' has one of (2, 3H); a GRU is 'gru'",
        ),
        (
            lambda: convert.from_keras(
                "gru_reset_before", [np.ones((3, 12)), np.ones((4, 12)), np.ones((2, 12))]
            ),
            "from_keras: l0: the bias is (2, 12), and cell 'gru_reset_before' has one of (3H,); a GRU is",
        ),
        (
            lambda: convert.from_keras("lstm", [np.ones((3, 16)), np.ones((4, 12)), np.ones(16)]),
            "from_keras: l0: kernel (3, 16), recurrent_kernel (4, 12), bias (16,) are not the arrays of one",
        ),
        (
            lambda: convert.from_flax("gru", []),
            "from_flax: the parameters of 0 cells; expected one a layer.",
        ),
        (
            lambda: convert.from_flax("gru", [{}], bidirectional=True),
            "from_flax: the parameters of 1 cells; expected an even number, forwards and backwards.",
        ),
        (
            lambda: convert.from_flax("gru", {"hi": {}, "ii": {}}),
            "from_flax: l0: the dense layers are hi, ii, and cell 'gru' has others.",
        ),
        (
            lambda: convert.from_flax("gru", {"dense_i": {"kernel": np.ones((3, 12))}, "dense_h": {}}),
            "from_flax: l0: dense_h has no kernel; it has nothing.",
        ),
        (
            lambda: convert.to_flax("gru", GRU, style="haiku"),
            "to_flax: style is 'haiku'; expected one of 'linen', 'nnx'.",
        ),
        (
            lambda: convert.to_flax("gru", GRU, style="nnx"),
            "to_flax: l0: nnx.GRUCell has no bias inside the reset, and bn is not zero; linen's GRUCell has",
        ),
    ],
)
def test_mismatched_input_raises(call, sentence):
    with pytest.raises(UsageError, match=f"^{re.escape(sentence)}"):
        call()
