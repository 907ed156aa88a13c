"""Blocks: each around several kinds of cells, compared with equations written out and with derivatives."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from click.testing import CliRunner

import zoo
from zoo.base import Cell
from zoo.cli.app import cli
from zoo.kernels import pure_python
from zoo.modifiers import block_cell, modified_cell
from zoo.registry import registry_of
from zoo.testing.blocks import CELLS_OF_EVERY_KIND, check_around
from zoo.testing.laws import check_help, check_parameter_count, check_well_formed

T, B, INPUTS, D = 5, 3, 3, 4
BLOCKS = [name for name in zoo.list_blocks() if name != "bare"]


@pytest.fixture(autouse=True)
def plain_python():
    """Kernels as the Python they are: to compile each of these cells would take minutes."""
    with pure_python():
        yield


def layer(cell, *, inputs=INPUTS, layers=1, **options):
    """Layers with parameters of which none is zero or one."""
    rnn = zoo.Recurrent(cell, inputs, D, num_layers=layers, dtype="float64", seed=2, threads=1, **options)
    rnn.theta += np.random.default_rng(5).normal(size=rnn.theta.size) / 5
    return rnn


def sequence(rnn, steps=T):
    rng = np.random.default_rng(3)
    return rng.normal(size=(steps, B, rnn.stack.input_size))


def rms_norm(x, eps=1e-5):
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + eps)


@pytest.mark.parametrize("cell", CELLS_OF_EVERY_KIND)
@pytest.mark.parametrize("block", BLOCKS)
def test_gradients_around_every_kind_of_cell_are_derivatives(block, cell):
    check_around(zoo.get_block(block), cell)


@pytest.mark.parametrize("block", BLOCKS)
def test_declarations_are_complete(block):
    composed = zoo.get_cell(f"{block}(vanilla)")
    for law in (check_well_formed, check_help, check_parameter_count):
        law(composed)


def test_prenorm_is_its_equations():
    rnn = layer("prenorm(lstm)", layers=2)
    p, x = rnn.params, sequence(rnn)
    inner = [zoo.Recurrent("lstm", D, D, dtype="float64") for _ in range(2)]
    h = x @ p["l0.block_Wi"] + p["l0.block_bi"]
    for index, cell in enumerate(inner):
        cell.fill({f"l0.{name}": p[f"l{index}.{name}"] for name in ("Wx", "Wh", "b")})
        y, _ = cell(rms_norm(h) * p[f"l{index}.block_gain"])
        h = h + y @ p[f"l{index}.block_Wo"]
    np.testing.assert_allclose(rnn(x)[0], rms_norm(h) * p["l1.block_final_gain"], rtol=1e-12)


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def convolution(x, taps):
    """A causal convolution along time, from the equations of the sum."""
    padded = np.concatenate([np.zeros((len(taps) - 1, *x.shape[1:])), x])
    return sum(taps[k] * padded[k : k + len(x)] for k in range(len(taps)))


def glu_block(x, p, cell):
    normalised = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
    v = gelu(cell(normalised * p["gain"] + p["shift"]))
    return x + (v @ p["Wv"] + p["bv"]) / (1 + np.exp(-(v @ p["Wg"] + p["bg"])))


def mamba_block(x, p, cell):
    n = rms_norm(x) * p["gain"]
    u = silu(convolution(n @ p["Wu"], p["taps"]) + p["b"])
    y = x + (cell(u) * silu(n @ p["Wz"])) @ p["Wo"]
    return rms_norm(y) * p["final_gain"]


def griffin_block(x, p, cell):
    n = rms_norm(x, 1e-6) * p["gain"]
    u = convolution(n @ p["Wu"] + p["bu"], p["taps"]) + p["b"]
    x = x + (cell(u) * gelu(n @ p["Wz"] + p["bz"])) @ p["Wo"] + p["bo"]
    m = rms_norm(x, 1e-6) * p["mlp_gain"]
    y = x + (gelu(m @ p["Wg"] + p["bg"]) * (m @ p["Wv"] + p["bv"])) @ p["Wd"] + p["bd"]
    return rms_norm(y, 1e-6) * p["final_gain"]


@pytest.mark.parametrize("block", [glu_block, mamba_block, griffin_block])
def test_block_is_its_equations(block):
    rnn = layer(f"{block.__name__.removesuffix('_block')}(gru)")
    inputs, hidden = rnn.params["l0.Wx"].shape[0], rnn.params["l0.Wh"].shape[0]
    gru, x = zoo.Recurrent("gru", inputs, hidden, dtype="float64"), sequence(rnn)
    gru.fill({name: rnn.params[name] for name in gru.params})
    own = {name.removeprefix("l0.block_"): value for name, value in rnn.params.items()}
    expected = block(x @ own["Wi"] + own["bi"], own, lambda u: gru(u)[0])
    np.testing.assert_allclose(rnn(x)[0], expected, rtol=1e-10)


def test_only_first_layer_projects_and_only_last_has_final_norm():
    rnn = layer(["prenorm(lstm)", "prenorm(gru+zoneout)", "prenorm(lstm)"])
    own = [{name for name in rnn.params if name.startswith(f"l{k}.block_")} for k in range(3)]
    common = {"gain", "Wo"}
    expected = [common | {"Wi", "bi"}, common, common | {"final_gain"}]
    assert own == [{f"l{k}.block_{name}" for name in names} for k, names in enumerate(expected)]


def test_layer_projects_what_a_layer_without_block_or_two_directions_give():
    mixed = layer(["vanilla", "prenorm(vanilla)"])
    assert mixed.params["l1.block_Wi"].shape == (D, D)
    both = layer("prenorm(vanilla)", layers=2, bidirectional=True)
    assert both.params["l1.reverse.block_Wi"].shape == (2 * D, D)


def test_residual_branch_starts_smaller_in_deeper_stack():
    shallow, deep = (
        zoo.Recurrent("prenorm(vanilla)", 3, 64, num_layers=layers).params["l0.block_Wo"].std()
        for layers in (1, 16)
    )
    assert shallow / deep == pytest.approx(4, rel=0.1)


def test_blocks_of_cards_fit_around_their_cells():
    for cell in zoo.list_cells():
        if block := registry_of(Cell).cls(cell).card.block:
            assert {*zoo.get_cell(cell).params} < {*zoo.get_cell(f"{block}({cell})").params}


def test_block_argument_is_notation():
    named, given = (
        zoo.Recurrent(cell, INPUTS, D, num_layers=2, block=block)
        for cell, block in (("prenorm(gru)", None), ("gru", "prenorm"))
    )
    np.testing.assert_array_equal(named.theta, given.theta)
    assert named.config == given.config
    instance = zoo.Recurrent("gru", INPUTS, D, block=zoo.get_block("prenorm", eps=0.1))
    assert instance.stack.cell.options["prenorm_eps"] == 0.1


@pytest.mark.parametrize("module", [block_cell, modified_cell])
def test_same_two_always_give_same_class(module):
    assert module._make_class.cache_parameters()["maxsize"] is None  # there are over a thousand pairs


def test_bare_block_is_cell():
    assert zoo.get_cell("bare(lstm)") == zoo.get_cell("lstm")
    assert zoo.Recurrent("lstm", INPUTS, D, block="bare").stack.cell == zoo.get_cell("lstm")


def test_embedding_of_width_needs_no_projection():
    with_projection, without = (
        zoo.LanguageModel(["a", "b"], "prenorm(gru)", 8, embedding=size) for size in (4, 8)
    )
    assert "l0.block_Wi" in with_projection.params
    assert "l0.block_Wi" not in without.params
    loaded = zoo.LanguageModel.from_config(without.vocab, without.config, embedding=8)
    assert list(loaded.params) == list(without.params)


def test_tokens_are_one_hot_rows():
    rnn = layer("prenorm(gru)")
    tokens = np.random.default_rng(0).integers(0, INPUTS, (T, B))
    np.testing.assert_allclose(rnn(tokens)[0], rnn(np.eye(INPUTS)[tokens])[0], rtol=1e-12)


def test_copy_and_pickle_keep_class_and_options():
    cell = zoo.get_cell("prenorm(lstm+zoneout)", zoneout_p=0.3, prenorm_eps=0.2)
    for copied in (copy.copy(cell), copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        assert type(copied) is type(cell)
        assert copied == cell
        assert list(copied.params) == list(cell.params)


def test_layers_round_trip(tmp_path):
    model = zoo.SequenceModel("gru", INPUTS, D, 2, 2, block="prenorm")
    model.save(tmp_path / "model.safetensors")
    loaded = zoo.load(tmp_path / "model.safetensors")
    assert [cell.name for cell in loaded.cells] == ["prenorm(gru)"] * 2
    np.testing.assert_array_equal(loaded.theta, model.theta)


class Twice(zoo.Block):
    """Call the cell twice."""

    def step(self, x, cell):
        return cell(x) + cell(x)


class Never(zoo.Block):
    """Do not call the cell."""

    W = zoo.Param("D", "D")

    def step(self, x, cell):
        return x @ self.W


class Wide(zoo.Block):
    """Give the cell an input of another size."""

    def step(self, x, cell):
        return cell(np.concatenate([x, x]))


class Unprojected(zoo.Block):
    """Return the output of the cell, whose size is not D."""

    cell_hidden = "2D"

    def step(self, x, cell):
        return cell(x)


class TwoResults(zoo.Block):
    """Return a state that is not declared."""

    def step(self, x, cell):
        return cell(x), x


class Kernel(zoo.Cell):
    """Kernels without a step."""

    W = zoo.Param("I", "H")
    h = zoo.State("H")

    def forward(params, x, state): ...

    def backward(params, x, state, tape, dy, dlast): ...


@pytest.mark.parametrize(
    ("cell", "block", "message"),
    [
        ("vanilla", "prenrm", "unknown block 'prenrm'. Did you mean 'prenorm'?"),
        ("vanilla", Twice, "test_blocks.py:.*calls the cell twice; call it once"),
        ("vanilla", Never, "does not call the cell"),
        ("vanilla", Wide, r"the input of the cell has shape \(2D,\); expected \(D,\)"),
        ("vanilla", Unprojected, r"has shape \(2D,\); expected \(D,\)"),
        ("vanilla", TwoResults, "returns 2 values; expected `y`"),
        (Kernel, "prenorm", "block 'prenorm' does not suit cell 'kernel': it has kernels and no step"),
        ("prenorm(vanilla)", "prenorm", "has a block already"),
        ("griffin(prenorm(lstm))", None, r"'griffin\(prenorm\(lstm\)\)': a cell has one block"),
        ("griffin(prenorm(lstm)+zoneout)", None, "a cell has one block"),
        ("prenorm(vanilla", None, r"'prenorm\(vanilla' lacks a closing parenthesis"),
        ("vanilla+prenorm", None, r"'prenorm' is a block and no modifier; write prenorm\(vanilla\)"),
        ("()", None, "is not a block and a cell"),
        ("prenorm(vanilla)+zoneout", None, "modifiers are written within the block"),
        ("prenorm(gla)", None, "size"),
    ],
)
def test_invalid_block_is_an_error_of_one_sentence(cell, block, message):
    with pytest.raises(zoo.ZooError, match=message):
        zoo.Recurrent(cell, INPUTS, 3, block=block)


def test_residual_with_block_is_an_error():
    with pytest.raises(zoo.UsageError, match="residual is True and the block adds its input already"):
        zoo.Recurrent("vanilla", INPUTS, D, block="prenorm", residual=True)


def test_unknown_option_of_block_is_an_error():
    with pytest.raises(zoo.UsageError, match="prenorm_epsilon"):
        zoo.get_cell("prenorm(lstm)", prenorm_epsilon=1.0)


def test_size_of_block_must_be_known():
    with pytest.raises(zoo.DefinitionError, match="'H' is neither D, I, Y nor an integer option"):

        class Other(zoo.Block):
            """A block with a size in H."""

            W = zoo.Param("H", "D")

            def step(self, x, cell):
                return cell(x)


def test_step_of_block_takes_what_is_declared():
    with pytest.raises(zoo.DefinitionError, match=r"expected step\(self, x, past, cell\)"):

        class Other(zoo.Block):
            """A block whose step leaves out its state."""

            past = zoo.State("D")

            def step(self, x, cell):
                return cell(x)


def test_short_convolution_step_by_step_is_a_convolution():
    rng = np.random.default_rng(0)
    x, taps, past = rng.normal(size=(6, 2)), rng.normal(size=(3, 2)), np.zeros((2, 2))
    for t in range(6):
        y, past = zoo.short_convolution(x[t], past, taps)
        expected = [np.convolve(x[:, k], taps[::-1, k])[t] for k in range(2)]
        np.testing.assert_allclose(y, expected)


@pytest.mark.parametrize("block", ["mamba", "griffin"])
def test_block_of_mixer_leaves_out_what_the_mixer_has(block):
    cell = zoo.get_cell(f"{block}(mamba)")
    assert not {"block_Wo", "block_Wu", "block_taps", "block_past"} & {*cell.params, *cell.states}
    assert cell.param_shapes(INPUTS, D)["Wo"] == (2 * D, D)


def test_sizes_of_cell_follow_block():
    rnn = layer("mamba(irnn)")
    assert rnn.params["l0.Wx"].shape == (2 * D, 2 * D)
    assert rnn.params["l0.block_Wz"].shape == (D, 2 * D)
    assert rnn.stack.state_shapes == {"l0.h": (2 * D,), "l0.block_past": (3, 2 * D)}


def test_values_of_block_and_cell_have_different_names():
    rnn = layer("mamba(gru)")
    rnn.forward(sequence(rnn), trace=["block_u", "update_gate"])
    assert rnn.trace["l0.block_u"].shape == rnn.trace["l0.update_gate"].shape == (T, B, 2 * D)


def test_citation_of_cell_in_block_holds_both_once():
    keys = [line for line in zoo.get_cell("mamba(mamba)").bibtex().splitlines() if line.startswith("@")]
    assert keys == ["@misc{gu2023mamba,"]
    assert zoo.get_cell("griffin(mamba)").bibtex().count("@misc") == 2


TEXT = "".join(f"{n} times {n} is {n * n}; " for n in range(11))
SETTINGS = {
    "hidden": 6,
    "layers": 2,
    "batch": 3,
    "seq": 8,
    "split": "80,20",
    "embedding": 6,
    "eval_every": 4,
    "save_every": 3,
    "log_every": 2,
    "cell_options": {"mamba_width": 2},
}


def test_resumed_run_is_the_same_bit_for_bit(tmp_path):
    data = tmp_path / "text.txt"
    data.write_text(TEXT, encoding="utf-8")
    whole = zoo.train(data, "gru", block="mamba", steps=8, out=tmp_path / "whole", **SETTINGS)
    zoo.train(data, "gru", block="mamba", steps=4, out=tmp_path / "two", **SETTINGS)
    two = zoo.train(data, "mamba(gru)", steps=8, out=tmp_path / "two", resume=True, **SETTINGS)
    assert [cell.name for cell in two.model.cells] == ["mamba(gru)"] * 2
    assert two.model.cells[0].options["mamba_width"] == 2
    assert "l0.block_Wi" not in two.model.params  # the embedding has the width of the model
    np.testing.assert_array_equal(two.model.theta, whole.model.theta)


def test_torch_and_sklearn_take_blocks():
    torch = pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    module = zoo.torch.Recurrent("gru", 3, 4, num_layers=2, block="prenorm")
    y, _ = module(torch.ones(5, 2, 3))
    y.sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())
    x = np.random.default_rng(0).normal(size=(12, 5, 1))
    labels = np.arange(12) % 2
    estimator = zoo.sklearn.SequenceClassifier("glu(vanilla)", hidden_size=4, steps=3, batch_size=4)
    assert estimator.fit(list(x), labels).predict(list(x)).shape == (12,)


def test_command_line_lists_blocks_and_trains_in_one(tmp_path):
    run = CliRunner().invoke
    assert all(name in run(cli, ["blocks"]).output for name in BLOCKS)
    assert run(cli, ["show", "mamba"]).output.startswith("mamba  cell")
    assert run(cli, ["show", "block:mamba"]).output.startswith("mamba  block")
    (tmp_path / "mine.py").write_text(FILE, encoding="utf-8")
    block = ["--block", f"{tmp_path}/mine.py:Skip"]
    train = ["train", "--out", f"{tmp_path}/run"]
    task = ["--task", "parity", "--set", "longest=4", "--set", "tested=8"]
    result = run(cli, [*train, *task, "--cell", "vanilla", *block, "--hidden", "4", "--steps", "2"])
    assert result.exit_code == 0, result.stderr
    evaluation = f"zoo eval {tmp_path}/run --cell '{tmp_path}/mine.py:Skip(vanilla)'"
    assert evaluation in result.output
    for flags in (["--cell", "vanilla", *block], block):
        resumed = run(cli, [*train, *flags, "--resume", "--steps", "3"])
        assert resumed.exit_code == 0, resumed.stderr
        assert evaluation in resumed.output
    other = run(cli, [*train, "--block", "bare", "--resume"])
    assert "cell: 'skip(vanilla)' -> 'vanilla'" in other.stderr


FILE = '''
import zoo


class Skip(zoo.Block):
    """y = x + cell(x)."""

    def step(self, x, cell):
        return x + cell(x)
'''
