"""Learning rates for another hidden size: ``base_hidden`` and ``zoo.width_groups``."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.errors import UsageError
from zoo.kernels.jit import pure_python

CELLS = [
    "vanilla",
    "lstm",
    "gru",
    "mamba",
    "delta_net",
    "clockwork",
    "low_rank_rnn",
    "dendritic_plrnn",
    "exp_rnn",
    "ltc",
    "s4d",
    "s5",
    "urnn",
    "kalman_delta",
    "rwkv7",
    "intersection_rnn",
    "peephole_lstm",
]
"""Products with computed matrices, stacks, heads, vectors, complex numbers, and none."""


def factors(model: Any, base_hidden: int) -> dict[str, float]:
    """The factors of the learning rate by parameter."""
    return {name: group["lr_factor"] for name, group in zoo.width_groups(model, base_hidden).items()}


@pytest.mark.parametrize("cell", CELLS)
def test_cell_scales_matrices_of_hidden_units_alone(cell: str) -> None:
    layers = [zoo.Recurrent(cell, input_size=6, hidden_size=hidden, num_layers=2) for hidden in (64, 16)]
    large, small = (layer.params for layer in layers)
    scaled = factors(layers[0], 16)
    assert factors(layers[1], 16) == {}
    for name, factor in scaled.items():
        ratios = {b / a for a, b in zip(large[name].shape, small[name].shape, strict=True)}
        assert factor in ratios - {1.0}, (name, large[name].shape, small[name].shape)
    for name, array in large.items():
        grows = [a != b for a, b in zip(array.shape, small[name].shape, strict=True)]
        assert name in scaled or sum(grows) < 2, f"{name} is a matrix of hidden units and has no factor"
    assert not any(name.endswith((".b", ".initial")) for name in scaled)


class Bottleneck(zoo.Cell):
    """Matrices with few inputs or few outputs, on both sides of products."""

    width = zoo.Option(3, help="size of the bottleneck", low=1)
    W = zoo.Param("I", "H", init="glorot_uniform", help="input")
    narrow = zoo.Param("H", "width", init="glorot_uniform", help="H inputs")
    wide = zoo.Param("width", "H", init="glorot_uniform", help="few inputs")
    left_narrow = zoo.Param("width", "H", init="glorot_uniform", help="H inputs, on the left")
    left_wide = zoo.Param("2H", "width", init="glorot_uniform", help="few inputs, on the left")
    half = zoo.Param("2H", "H", init="glorot_uniform", help="2H inputs")
    table = zoo.Param("H", "width", init="zeros", help="no product reads it")
    h = zoo.State("H")

    def step(self, x, h):
        few = h @ self.narrow + self.left_narrow @ h
        many = self.left_wide @ few
        return np.tanh(x @ self.W + few @ self.wide + many @ self.half + self.table.sum(axis=1))


def test_factor_belongs_to_the_inputs_of_a_product() -> None:
    layer = zoo.Recurrent(Bottleneck, input_size=5, hidden_size=32)
    expected = dict.fromkeys(["l0.narrow", "l0.left_narrow", "l0.half"], 0.25)
    assert factors(layer, 8) == expected


@pytest.mark.parametrize("block", zoo.list_blocks())
def test_every_block_scales_its_matrices(block: str) -> None:
    layer = zoo.Recurrent("gru", input_size=64, hidden_size=64, num_layers=2, block=block)
    scaled = factors(layer, 16)
    assert scaled["l1.Wh" if "l1.Wh" in layer.params else "l1.cell.Wh"] == 0.25
    assert all(0 < factor < 1 for factor in scaled.values())


@given(
    hidden=st.sampled_from([8, 16, 48]),
    base=st.integers(1, 64),
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    inputs=st.integers(1, 40),
)
@settings(max_examples=25, deadline=None)
def test_factor_is_the_ratio_of_the_numbers_of_inputs(
    hidden: int, base: int, layers: int, bidirectional: bool, inputs: int
) -> None:
    model = zoo.SequenceModel(
        "vanilla", input_size=inputs, output_size=3, hidden_size=hidden, num_layers=layers,
        bidirectional=bidirectional,
    )  # fmt: skip
    expected = {}
    for layer, reverse in itertools.product(range(layers), ("", "reverse.")[: 1 + bidirectional]):
        matrices = ["Whh"] if layer == 0 else ["Wxh", "Whh"]
        expected |= {f"l{layer}.{reverse}{name}": base / hidden for name in matrices}
    expected["Why"] = base / hidden
    assert factors(model, base) == ({} if base == hidden else pytest.approx(expected))


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({}, {"l0.Wh", "Why"}),
        ({"embedding": 5}, {"l0.Wh", "Why"}),
        ({"embedding": 64, "tie": True}, {"l0.Wh", "embedding"}),
    ],
    ids=["one-hot", "embedding", "tied"],
)
def test_readout_has_a_factor_and_the_embedding_only_if_it_is_the_readout(
    options: dict[str, Any], names: set[str]
) -> None:
    model = zoo.LanguageModel("abcd", "gru", hidden_size=64, **options)
    assert factors(model, 16) == dict.fromkeys(names, 0.25)


def change_of_outputs(cell: str, hidden: int, base_hidden: int | None) -> float:
    """Root mean square of the change of the outputs after three updates of Adam."""
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(5, 8, 4)), rng.normal(size=(5, 8, 2))
    model = zoo.SequenceModel(
        cell, input_size=4, output_size=2, hidden_size=hidden, loss="squared_error", dtype="float64"
    )
    groups = None if base_hidden is None else zoo.width_groups(model, base_hidden)
    optimizer = zoo.get_optimizer("adam", lr=1e-4).bind(model, param_groups=groups)
    before = model.outputs(x)[0]
    for _ in range(3):
        model.loss_and_grad(x, targets)
        optimizer.step()
    return float(np.sqrt(np.mean((model.outputs(x)[0] - before) ** 2)))


@pytest.mark.parametrize("cell", ["vanilla", "gru", "lstm"])
def test_updates_change_outputs_of_all_sizes_alike(cell: str) -> None:
    """The coordinate check of G. Yang et al. 2022, section D.1, on the outputs."""
    with pure_python():
        small, large, scaled = (
            change_of_outputs(cell, *sizes) for sizes in ((16, None), (256, None), (256, 16))
        )
    assert large > 4 * small
    assert small / 2.5 < scaled < 2.5 * small


def texts(run: zoo.Run) -> Mapping[str, Any]:
    return {name: array.tobytes() for name, array in run.model.params.items()}


@pytest.fixture
def train(tmp_path: Path) -> Callable[..., zoo.Run]:
    """Train for six updates, or with other settings, in a new directory."""
    text = tmp_path / "text.txt"
    text.write_text("abcab cabba" * 20)
    settings = {"cell": "vanilla", "hidden": 8, "batch": 2, "seq": 5, "steps": 6, "eval_every": 3, "lr": 0.02}
    numbers = itertools.count()

    def run(**others: Any) -> zoo.Run:
        return zoo.train(str(text), **{**settings, "out": tmp_path / f"run{next(numbers)}", **others})

    return run


def test_base_hidden_of_a_run_is_the_groups(train: Callable[..., zoo.Run]) -> None:
    plain, same, scaled = train(), train(base_hidden=8), train(base_hidden=2)
    groups = train(param_groups=zoo.width_groups(plain.model, 2))
    assert texts(plain) == texts(same) != texts(scaled) == texts(groups)
    assert scaled.config.base_hidden == 2


def test_base_hidden_multiplies_the_factor_of_a_group(train: Callable[..., zoo.Run]) -> None:
    both = train(base_hidden=2, param_groups={"Why": {"lr_factor": 0.5}})
    expected = {"l0.Whh": {"lr_factor": 0.25}, "Why": {"lr_factor": 0.125}}
    assert texts(both) == texts(train(param_groups=expected))


def test_resumed_run_has_the_same_base(train: Callable[..., zoo.Run]) -> None:
    whole, part = train(base_hidden=2), train(base_hidden=2, steps=3)
    assert texts(train(base_hidden=2, resume=True, out=part.path)) == texts(whole)


def test_fit_takes_base_hidden() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(4, 6, 2)), rng.normal(size=(4, 6, 1))

    def fitted(**options: Any) -> bytes:
        model = zoo.SequenceModel(
            "vanilla", input_size=2, output_size=1, hidden_size=8, loss="squared_error", dtype="float64"
        )
        if "groups" in options:
            options = {"param_groups": zoo.width_groups(model, options["groups"])}
        model.fit(x, y, epochs=2, batch_size=3, **options)
        return bytes(model.theta.tobytes())

    assert fitted(base_hidden=2) == fitted(groups=2) != fitted()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"base_hidden": 2, "optimizer": "sgd"},
            "base_hidden is 2 and the updates of optimizer 'sgd' depend",
        ),
        ({"base_hidden": 0}, "base_hidden is 0; expected an integer of at least 1"),
        ({"base_hidden": "32"}, "base_hidden is '32'"),
        (
            {"base_hidden": 10_000_000},
            "base_hidden is 10,000,000 and the model has 8 hidden units; expected at most 8,000.",
        ),
        (
            {"base_hidden": 6, "cell": "delta_net", "cell_options": {"heads": 4}},
            "base_hidden is 6: cell 'delta_net': size 'H/heads': H=6 is not divisible by heads=4",
        ),
    ],
    ids=["sgd", "zero", "text", "absurd", "heads"],
)
def test_invalid_base_is_one_sentence(
    train: Callable[..., zoo.Run], tmp_path: Path, settings: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError) as caught:
        train(out=tmp_path / "run", **settings)
    assert words in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("hidden", [1, 3, 8])
def test_base_is_at_most_1000_times_the_hidden_units(hidden: int) -> None:
    rnn = zoo.Recurrent("vanilla", input_size=1, hidden_size=hidden)
    assert factors(rnn, 1000 * hidden) == {"l0.Whh": 1000}
    with pytest.raises(UsageError, match=rf"expected at most {1000 * hidden:,}\."):
        zoo.width_groups(rnn, 1000 * hidden + 1)


def test_groups_need_a_layer_or_a_model() -> None:
    with pytest.raises(UsageError, match="width_groups: model is 'gru'; expected a layer or a model of zoo"):
        zoo.width_groups("gru", 8)  # type: ignore[arg-type]
