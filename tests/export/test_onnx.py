"""Exported ONNX graphs run in onnxruntime, and make what the equations make."""

from __future__ import annotations

import importlib.util
import json

import numpy as np
import pytest
from export_asserts import Mixed, case, drawn_operands, largest_difference
from new_operations import Products

import zoo
from zoo.compiler.ir.op_table import OPS, elementwise_rows
from zoo.errors import UsageError

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")

from zoo.export import onnx_graph as table  # noqa: E402
from zoo.export.exported_model import exported_model  # noqa: E402
from zoo.export.onnx_graph import GraphBuilder  # noqa: E402
from zoo.export.onnx_model import IR_VERSION, OPSET, onnx_model, used_operators  # noqa: E402

SINGLE, DOUBLE = 5e-6, 1e-13
STANDARD = {"vanilla": "RNN", "lstm": "LSTM", "gru": "GRU", "gru_reset_before": "GRU"}


def session(model):
    """An ONNX model, ready to run."""
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what it cannot run it says in an exception
    return runtime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def run(loaded, is_step, x, state, inputs=()):
    """The output of every step and the last states, from a graph of either kind."""
    name = loaded.get_inputs()[0].name
    aux = dict(inputs)
    if not is_step:
        return loaded.run(None, {name: x, **aux, **state})
    outputs, now = [], dict(state)
    for t in range(len(x)):
        y, *after = loaded.run(None, {name: x[t], **{key: value[t] for key, value in aux.items()}, **now})
        outputs.append(y)
        now = dict(zip(state, after, strict=True))
    return [np.stack(outputs), *now.values()]


def worst(rnn, shapes=((5, 3), (2, 1), (1, 4))):
    """The largest difference to the equations, in both graphs, each for several numbers of steps and rows."""
    subject = exported_model(rnn)
    results = []
    for is_step in (False, True):
        loaded = session(onnx_model(subject, is_step))
        for steps, batch in shapes:
            numbers = case(rnn, steps, batch)
            made = run(loaded, is_step, numbers.x, numbers.state, numbers.inputs)
            results.append(largest_difference(made, numbers.expected()))
    return max(results)


# Every cell


@pytest.mark.parametrize("name", zoo.list_cells())
def test_cell_matches_reference(name):
    assert worst(zoo.Recurrent(name, 3, 8, seed=1)) < SINGLE


@pytest.mark.parametrize("name", ["lstm", "s4d", "slstm", "lif", "rg_lru", "clockwork"])
def test_cell_of_float64(name):
    assert worst(zoo.Recurrent(name, 3, 8, dtype="float64", seed=1), shapes=[(4, 2)]) < DOUBLE


@pytest.mark.parametrize(
    "name", ["lstm+zoneout", "gru+layer_norm", "vanilla+recurrent_dropout", "mamba(gru)"]
)
def test_composite_cell_with_its_noise_at_the_expectation(name):
    assert worst(zoo.Recurrent(name, 3, 8, seed=1), shapes=[(4, 2)]) < SINGLE


def test_aux_inputs_are_graph_inputs():
    rnn = zoo.Recurrent("ctrnn", 3, 4, seed=1)
    names = [each.name for each in onnx_model(exported_model(rnn), False).graph.input]
    assert names == ["x", "dt", "l0.h"]


def test_cell_of_slices_scans_and_matrices():
    assert worst(zoo.Recurrent(Mixed, 3, 8, seed=1)) < SINGLE


def test_new_operations_need_no_code_here():
    assert worst(zoo.Recurrent(Products, 3, 8, dtype="float64", seed=1)) < DOUBLE


# ONNX's own operators


@pytest.mark.parametrize(("name", "operator"), STANDARD.items(), ids=STANDARD)
def test_standard_cell_is_an_operator_of_onnx(name, operator):
    rnn = zoo.Recurrent(name, 3, 4)
    assert {*STANDARD.values(), "Scan"} & set(used_operators(onnx_model(exported_model(rnn), False))) == {
        operator
    }
    double = zoo.Recurrent(name, 3, 4, dtype="float64")  # for which onnxruntime has no such operators
    assert {*STANDARD.values(), "Scan"} & set(used_operators(onnx_model(exported_model(double), False))) == {
        "Scan"
    }


def test_forget_bias_is_added_to_bias():
    assert worst(zoo.Recurrent(zoo.get_cell("lstm", forget_bias=1.5), 3, 4), shapes=[(4, 2)]) < SINGLE


class LSTM(zoo.Cell):
    """h' = tanh(x W) + h / 2, which is no LSTM."""

    card = zoo.Card(title="None", authors="The tests", year=2026, url="https://example.org")
    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x, h):
        return zoo.tanh(x @ self.W) + h / 2


def test_renamed_cell_is_exported_as_graph():
    rnn = zoo.Recurrent(LSTM, 3, 4)
    assert LSTM.name == "lstm"
    assert worst(rnn, shapes=[(4, 2)]) < SINGLE
    assert "Scan" in used_operators(onnx_model(exported_model(rnn), False))


# What layers make of cells


OPTIONS = {
    "bidirectional": {"bidirectional": True},
    "residual": {"residual": True},
    "all": {"bidirectional": True, "residual": True, "dropout": 0.2, "learned_state": True},
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
@pytest.mark.parametrize("tokens", [False, True], ids=["features", "tokens"])
def test_layers(options, tokens):
    rnn = zoo.Recurrent(["gru", "mgu"], 8, 8, seed=1, **options)
    numbers = case(rnn, 5, 3)
    x = np.random.default_rng(0).integers(0, 8, (5, 3)) if tokens else numbers.x
    with zoo.kernels.pure_python():
        y, last = rnn.forward(x, numbers.state)
    subject = exported_model(rnn, tokens)
    for is_step in (False, True)[: 1 if rnn.stack.bidirectional else 2]:
        outputs = run(session(onnx_model(subject, is_step)), is_step, x, numbers.state)
        assert largest_difference(outputs, [y, *last.values()]) < SINGLE


def test_learned_initial_states_are_exported():
    rnn = zoo.Recurrent("gru", 3, 2, learned_state=True)
    rnn.params["l0.h.initial"] = [0.5, -1.0]
    metadata = {each.key: each.value for each in onnx_model(exported_model(rnn), False).metadata_props}
    assert json.loads(metadata["zoo.initial"]) == {"l0.h": [0.5, -1.0]}


def test_bidirectional_layer_has_no_graph_of_one_step():
    rnn = zoo.Recurrent("gru", 3, 2, bidirectional=True)
    with pytest.raises(UsageError, match="read a sequence from its end"):
        onnx_model(exported_model(rnn), True)


# Models


@pytest.fixture(scope="module")
def language_model():
    return zoo.LanguageModel("helo wrd", cell="mgu", hidden_size=8, num_layers=2, seed=3)


def test_language_model(language_model):
    tokens = np.random.default_rng(0).integers(0, 8, (6, 3))
    with zoo.kernels.pure_python():
        logits, last = language_model.logits(tokens)
    zeros = {name: np.zeros_like(value) for name, value in last.items()}
    for is_step in (False, True):
        outputs = run(session(onnx_model(exported_model(language_model), is_step)), is_step, tokens, zeros)
        assert largest_difference(outputs, [logits, *last.values()]) < SINGLE


def test_sequence_model():
    model = zoo.SequenceModel("lstm", input_size=3, output_size=2, hidden_size=4, seed=3)
    x = np.random.default_rng(0).normal(size=(5, 2, 3)).astype(np.float32)
    with zoo.kernels.pure_python():
        outputs, last = model.outputs(x)
    zeros = {name: np.zeros_like(value) for name, value in last.items()}
    loaded = session(onnx_model(exported_model(model), False))
    assert largest_difference(run(loaded, False, x, zeros), [outputs, *last.values()]) < SINGLE
    assert [each.name for each in loaded.get_outputs()] == ["logits", "l0.h.next", "l0.c.next"]


@pytest.mark.parametrize("bidirectional", [False, True])
def test_sequence_model_with_stack_options(bidirectional):
    model = zoo.SequenceModel(
        ["gru", "lstm"], 3, 4, 5, bidirectional=bidirectional, learned_state=True, dtype="float64"
    )
    rng = np.random.default_rng(0)
    model.theta = rng.normal(0, 0.5, model.theta.size)
    x = rng.normal(size=(6, 2, 3))
    expected, state = model.outputs(x)
    loaded = session(onnx_model(exported_model(model), False))
    made = run(loaded, False, x, model.stack.initial_states(None, model.params, 2, x.dtype))
    assert largest_difference(made, [expected, *state.values()]) < DOUBLE
    if bidirectional:
        with pytest.raises(UsageError, match="bidirectional layers read a sequence from its end too"):
            onnx_model(exported_model(model), True)


def test_model_metadata(language_model, tmp_path):
    exported = zoo.export.to_onnx(language_model, tmp_path / "model.onnx", step=True)
    model = onnx.load(exported.path)
    metadata = {each.key: each.value for each in model.metadata_props}
    assert zoo.data.Vocabulary.from_json(json.loads(metadata["zoo.vocabulary"])) == language_model.vocab
    assert (metadata["zoo.cell"], json.loads(metadata["zoo.options"])) == ("mgu", {})
    assert json.loads(metadata["zoo.states"]) == {"l0.h": "l0.h.next", "l1.h": "l1.h.next"}
    assert (metadata["zoo.graph"], metadata["zoo.version"]) == ("step", zoo.__version__)
    assert exported.path.stat().st_size == exported.bytes
    assert (exported.inputs, exported.outputs) == (
        ("tokens", "l0.h", "l1.h"),
        ("logits", "l0.h.next", "l1.h.next"),
    )
    assert model.opset_import[0].version == exported.opset


# The table of operations


def model_of(nodes, fed, output, boolean=False):
    """Nodes as a model."""
    helper = onnx.helper
    kinds = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in fed.items()}
    inputs = [helper.make_tensor_value_info(name, kind, ["n"]) for name, kind in kinds.items()]
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(bool) if boolean else nodes.dtype)
    outputs = [helper.make_tensor_value_info(output, kind, ["n"])]
    graph = helper.make_graph(nodes.nodes, "table", inputs, outputs, nodes.constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)


# For these onnxruntime 1.32 has no kernels of float64; older ones have none for Cos either.
LACKING = {"arctan", "cos", "cosh", "erf", "sinh"}


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 4e-7), ("float64", 1e-15)])
@pytest.mark.parametrize("name", [name for name, op in elementwise_rows().items() if op.exact_gradient])
def test_operation_matches_numpy(name, dtype, tolerance):
    operation, nodes = OPS[name], GraphBuilder(np.dtype(dtype))
    operands = drawn_operands(operation, dtype)
    fed = {f"x{place}": operand for place, operand in enumerate(operands)}
    model = model_of(nodes, fed, table.emit_elementwise(nodes, operation, *fed), operation.is_bool)
    onnx.checker.check_model(model, full_check=True)
    try:
        (actual,) = session(model).run(None, fed)
    except runtime.capi.onnxruntime_pybind11_state.NotImplemented:
        assert (dtype, name in LACKING) == ("float64", True)
        return
    with np.errstate(all="ignore"):
        expected = operation.numpy(*operands)
    np.testing.assert_allclose(actual, expected, rtol=8 * tolerance, atol=tolerance)


EXTREMES = [-np.inf, -200.0, -1.0, -1e-30, 0.0, 1e-30, 1e-4, 1.0, 50.0, 200.0, 1e30, np.inf, np.nan]


@pytest.mark.parametrize("name", ["expm1", "log1p"])
def test_composed_operations_at_extremes(name):
    nodes, fed = GraphBuilder(np.dtype(np.float64)), {"x": np.array(EXTREMES)}
    loaded = session(model_of(nodes, fed, table.COMPOSED[name](nodes, "x")))
    with np.errstate(all="ignore"):
        expected = OPS[name].numpy(fed["x"])
    np.testing.assert_allclose(loaded.run(None, fed)[0], expected, rtol=1e-14)


# What cannot be exported


@zoo.njit
def forward(params, x, state):
    return x, state, ()


@zoo.njit
def backward(params, x, state, tape, dy, dlast):
    return dy, dlast, params


class Kernels(zoo.Cell):
    """A cell without equations."""

    card = zoo.Card(title="None", authors="The tests", year=2026, url="https://example.org")
    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")
    forward = forward
    backward = backward


def test_cell_without_step_raises():
    with pytest.raises(UsageError, match="cell 'kernels': it has its own kernels and no `step`"):
        exported_model(zoo.Recurrent(Kernels, 3, 3))


def test_invalid_model_raises():
    with pytest.raises(UsageError, match=r"found a str; expected a zoo\.LanguageModel"):
        exported_model("vanilla")


def test_unknown_operation_raises(monkeypatch):
    monkeypatch.setitem(OPS["tanh"].__dict__, "onnx", "")
    rnn = zoo.Recurrent("vanilla", 3, 4, dtype="float64")
    with pytest.raises(UsageError, match="cell 'vanilla': its step uses tanh, which has no ONNX operator"):
        onnx_model(exported_model(rnn), False)


@pytest.mark.parametrize(
    "vocabulary", [zoo.data.WordVocabulary(["<unk>", "The", " cat"]), zoo.data.TokenVocabulary(5)], ids=repr
)
def test_vocabulary_of_words_or_tokens_is_in_the_metadata(vocabulary):
    proto = onnx_model(exported_model(zoo.LanguageModel(vocabulary, hidden_size=2)), False)
    metadata = {each.key: each.value for each in proto.metadata_props}
    assert zoo.data.vocabulary_from_json(json.loads(metadata["zoo.vocabulary"])) == vocabulary


def test_missing_onnx_raises_with_install_command(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"pip install 'recurrent-zoo\[onnx\]'"):
        zoo.export.to_onnx(zoo.Recurrent("gru", 3, 4), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_model_too_large_for_one_file_raises(monkeypatch):
    monkeypatch.setattr("zoo.export.onnx_model.MAX_BYTES", 2**24 + 100)
    with pytest.raises(UsageError, match="an ONNX file holds no more than 16,777,316"):
        onnx_model(exported_model(zoo.Recurrent("gru", 3, 4)), False)


def test_existing_file_is_not_overwritten(tmp_path):
    rnn, path = zoo.Recurrent("gru", 3, 4), tmp_path / "model.onnx"
    path.write_text("mine")
    with pytest.raises(UsageError, match="is there already"):
        zoo.export.to_onnx(rnn, path)
    assert path.read_text() == "mine"
    zoo.export.to_onnx(rnn, path, force=True)
    assert onnx.load(path).graph.output[0].name == "y"
    with pytest.raises(UsageError, match="no such file or directory; create it first"):
        zoo.export.to_onnx(rnn, tmp_path / "none" / "model.onnx")
    with pytest.raises(UsageError, match="is a directory"):
        zoo.export.to_onnx(rnn, tmp_path)
    assert [each.name for each in tmp_path.iterdir()] == ["model.onnx"]


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("cells", ["cfc", "gru+episodes", ["gru", "cfc", "ctrnn"]])
def test_aux_inputs_of_model_are_graph_inputs(cells, bidirectional):
    model = zoo.SequenceModel(cells, 2, 3, 6, loss="squared_error", bidirectional=bidirectional, seed=1)
    rng = np.random.default_rng(0)
    x, aux = rng.normal(size=(5, 2, 2)).astype(np.float32), "dt"
    values = rng.uniform(0, 3, (5, 2)).astype(np.float32)
    if cells == "gru+episodes":
        aux, values = "episode_start", (values > 2).astype(np.float32)
    loaded = session(onnx_model(exported_model(model), False))
    names = [each.name for each in loaded.get_inputs()]
    assert names[:2] == ["x", aux]
    states = {name: np.zeros((2, 6), np.float32) for name in names[2:]}
    outputs, _ = model.outputs(x, **{aux: values})
    assert largest_difference([loaded.run(None, {"x": x, aux: values, **states})[0]], [outputs]) < SINGLE


def test_language_model_is_exported_with_default_aux_inputs():
    model = zoo.LanguageModel("ab", cell="cfc", hidden_size=6, seed=1)
    assert [each.name for each in onnx_model(exported_model(model), False).graph.input] == ["tokens", "l0.h"]
