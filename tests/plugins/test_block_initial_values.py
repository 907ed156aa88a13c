"""Initial values and defaults of every shipped block are the official ones, or its card declares others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
from block_initial_values import EXPECTED_BLOCKS, EXPECTED_INNER, ExpectedBlock
from initial_distributions import Array, truncated_normal

import zoo
from zoo.errors import DefinitionError, UsageError
from zoo.kernels import pure_python

INPUTS, WIDTH, LAYERS, DRAWS = 48, 128, 3, 3
BLOCKS = [name for name in zoo.list_blocks() if name != "bare"]
LABELS = [f"{expected.block}, {expected.source.partition('@')[0] or 'zoo'}" for expected in EXPECTED_BLOCKS]
every_block = pytest.mark.parametrize("expected", EXPECTED_BLOCKS, ids=LABELS)


@pytest.fixture(scope="module")
def draws() -> dict[str, dict[str, Array]]:
    """Draws of all parameters of each block, from all seeds and layers."""
    return {block: draws_of(block) for block in BLOCKS}


def draws_of(block: str) -> dict[str, Array]:
    """Draws of the parameters of a block around the tanh network."""
    drawn: dict[str, list[Array]] = {}
    for seed in range(DRAWS):
        with pure_python():
            rnn = zoo.Recurrent(
                f"{block}(vanilla)", INPUTS, WIDTH, num_layers=LAYERS, dtype="float64", seed=seed
            )
        for name, value in rnn.params.items():
            _, is_own, own = name.partition(".block_")
            if is_own:
                drawn.setdefault(own, []).append(value)
    return {name: np.stack(values) for name, values in drawn.items()}


def sizes_of(expected: ExpectedBlock) -> Any:
    """Sizes of the arrays that are drawn, and the options of the block."""
    options = zoo.get_block(expected.block).options
    outputs = options.get("expand", 1) * WIDTH
    return SimpleNamespace(I=INPUTS, D=WIDTH, Y=outputs, layers=LAYERS, **options)


def holds(distribution: Any, values: Array) -> bool:
    try:
        distribution(values)
    except AssertionError:
        return False
    return True


def test_every_shipped_block_has_expected_values(draws: dict[str, dict[str, Array]]) -> None:
    assert sorted({expected.block for expected in EXPECTED_BLOCKS}) == BLOCKS
    for expected in EXPECTED_BLOCKS:
        assert set(expected.arrays) == set(draws[expected.block]), expected.block


@every_block
def test_option_defaults_are_official_or_declared(expected: ExpectedBlock) -> None:
    block = zoo.get_block(expected.block)
    assert dict(block.options) == {name: each.zoo for name, each in expected.options.items()}
    for name, default in expected.options.items():
        assert (default.official is None) == (default.declared == ""), name
        assert default.declared in block.card.deviations, name


@every_block
def test_initial_values_follow_the_official_distribution(
    expected: ExpectedBlock, draws: dict[str, dict[str, Array]]
) -> None:
    """An official distribution that zoo replaces does not hold, and the card declares the difference."""
    sizes, card = sizes_of(expected), type(zoo.get_block(expected.block)).card
    for name, start in expected.arrays.items():
        values = draws[expected.block][name]
        try:
            (start.zoo or start.official)(sizes)(values)
        except AssertionError as error:
            raise AssertionError(f"{expected.block}, {name}: {error}") from error
        assert start.declared in card.deviations, name
        if start.zoo and start.official:
            assert start.declared, name
            assert not holds(start.official(sizes), values), name


@every_block
def test_distributions_reject_a_scale_that_is_wrong_by_a_tenth(
    expected: ExpectedBlock, draws: dict[str, dict[str, Array]]
) -> None:
    sizes = sizes_of(expected)
    for name, start in expected.arrays.items():
        values = draws[expected.block][name]
        if values.any():
            distribution = (start.zoo or start.official)(sizes)
            assert not holds(distribution, 1.1 * values), name
            assert not holds(distribution, 0.9 * values), name


@pytest.mark.parametrize("name", EXPECTED_INNER)
def test_cells_in_blocks_start_as_declared(name: str) -> None:
    with pure_python():
        rnn = zoo.Recurrent(name, INPUTS, WIDTH, num_layers=LAYERS, dtype="float64")
        alone = zoo.Recurrent(name.partition("(")[2][:-1], INPUTS, WIDTH, dtype="float64")
    block, _, cell = name.removesuffix(")").partition("(")
    deviations = zoo.get_block(block).card.deviations + zoo.get_cell(cell).card.deviations
    sizes = SimpleNamespace(D=WIDTH, layers=LAYERS)
    for array, start in EXPECTED_INNER[name].items():
        values = np.stack([rnn.params[f"l{layer}.{array}"] for layer in range(LAYERS)])
        assert holds((start.zoo or start.official)(sizes), values), array
        assert not holds(start.official(sizes), alone.params[f"l0.{array}"][None]), (
            "a distribution of the block"
        )
        if start.zoo:
            assert not holds(start.official(sizes), values), array
            assert start.declared in deviations, array


def test_initial_values_of_inner_cells_name_parameters() -> None:
    """With modifiers too; other cells keep their own."""
    for block in BLOCKS:
        for name in zoo.get_block(block).cell_init:
            cell, _, array = name.partition(".")
            assert array in zoo.get_cell(cell).params
    with pure_python():
        plain, modified = (
            zoo.Recurrent(f"mamba({cell})", 3, 16, num_layers=4) for cell in ("mamba2", "mamba2+zoneout")
        )
        other = zoo.Recurrent("mamba(gla)", 3, 16, num_layers=4), zoo.Recurrent("gla", 16, 16)
    np.testing.assert_array_equal(plain.params["l1.Wo"], modified.params["l1.Wo"])
    assert [abs(rnn.params["l0.Wo"]).max() > 0.5 / 4 for rnn in other] == [True, True]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (None, "cell_init is None; expected a mapping"),
        ([("gru.Wh", len)], "cell_init is .*; expected a mapping"),
        ({"gru.Wh": 1.0}, "cell_init has 'gru.Wh': 1.0; expected the name of a cell and a parameter"),
        ({"Wh": len}, "cell_init has 'Wh': .*; expected the name of a cell and a parameter"),
        ({3: len}, "cell_init has 3: .*; expected the name of a cell and a parameter"),
    ],
)
def test_invalid_initial_values_of_cells_raise(values: object, words: str) -> None:
    with pytest.raises(DefinitionError, match=words):
        type("Wrong", (zoo.Block,), {"cell_init": values, "__module__": __name__, "__doc__": "A block."})


def test_initial_values_of_a_missing_parameter_raise() -> None:
    class Misspelt(zoo.Block):
        """A block that names a parameter that the GRU does not have."""

        cell_init: ClassVar = {"gru.Whh": lambda _rng, shape, _block: np.ones(shape)}

        def step(self, x: Array, cell: Any) -> Array:
            return x + cell(x)

    with pytest.raises(UsageError, match=r"cell_init has 'gru.Whh', and the parameters of the cell are Wx, "):
        zoo.Recurrent("gru", 3, 4, block=Misspelt)
    assert zoo.Recurrent("lstm", 3, 4, block=Misspelt)


def test_names_of_initializers_are_looked_up() -> None:
    class Named(zoo.Block):
        """A block that names initializers."""

        cell_init: ClassVar = {"gru.Wh": "ones", "lstm.Wh": "onse"}

        def step(self, x: Array, cell: Any) -> Array:
            return x + cell(x)

    assert (zoo.Recurrent("gru", 3, 4, block=Named).params["l0.Wh"] == 1).all()
    with pytest.raises(zoo.ZooError, match=r"the initializer 'onse'; known are .* Did you mean 'ones'\?"):
        zoo.Recurrent("lstm", 3, 4, block=Named)


def test_distribution_of_truncated_draws_rejects_whole_ones() -> None:
    rng = np.random.default_rng(0)
    whole = rng.normal(size=20_000)
    truncated = whole[abs(whole) < 2] / 0.8796256610342398
    truncated_normal(0.5)(0.5 * truncated)
    assert not holds(truncated_normal(0.5), 0.5 * whole)
    assert not holds(truncated_normal(0.5), 0.52 * truncated)
