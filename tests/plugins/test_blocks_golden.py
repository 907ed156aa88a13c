"""Every block around several cells, against values of the official code where it runs."""

from __future__ import annotations

import pytest
from golden_values import BLOCK_CASES, HIDDEN, INPUTS, Golden, assert_close, assert_kernels_give

import zoo
from zoo.kernels import pure_python
from zoo.testing import reference

BLOCKS = [name for name in zoo.list_blocks() if name != "bare"]


@pytest.fixture(params=BLOCK_CASES)
def golden(request: pytest.FixtureRequest) -> Golden:
    return Golden(request.param)


PAIRS = [case.removesuffix("_empty").removesuffix(")").split("(") for case in BLOCK_CASES]
CARDS = {name: type(zoo.get_cell(name)).card for name in zoo.list_cells()}


@pytest.mark.parametrize("block", BLOCKS)
def test_every_block_has_golden_values(block: str) -> None:
    """Around the tanh network, around a cell of its paper, and around a mixer if it has other equations."""
    cards = [CARDS[cell.partition("+")[0]] for name, cell in PAIRS if name == block]
    assert CARDS["vanilla"] in cards
    assert any(card.block == block for card in cards) or block == "prenorm"
    assert any(card.scope == "mixer" for card in cards) or block == "glu"


def test_step_has_golden_values(golden: Golden) -> None:
    params, state = golden.group("params"), golden.group("state")
    assert {name: value.shape for name, value in params.items()} == golden.cell.param_shapes(INPUTS, HIDDEN)
    arrays = params | golden.group("buffers")
    y, last = reference.run_sequence(golden.cell, arrays, golden.arrays["x"], state, {})
    assert_close(y, golden.arrays["y"], "y")
    for name, expected in golden.group("last").items():
        assert_close(last[name], expected, name)


def test_kernels_give_the_golden_values_and_gradients(golden: Golden) -> None:
    with pure_python():  # one compiled case is in test_blocks.py
        assert_kernels_give(golden)


def test_blocks_of_cards_are_registered() -> None:
    named = {name: card.block for name, card in CARDS.items()}
    blocks = {block for block in named.values() if block}
    assert blocks <= set(BLOCKS)
    assert blocks >= {"deltanet", "glu", "griffin", "mamba", "mlstm", "retnet", "rwkv", "slstm"}
    for name in ("mamba", "lru", "slstm"):
        assert zoo.get_cell(f"{named[name]}({name})").is_in_block()


@pytest.mark.parametrize("block", BLOCKS)
def test_declarations_have_help_and_are_in_the_docstring(block: str) -> None:
    cls = type(zoo.get_block(block))
    declared = [cls.params, cls.states, cls.declared_options]
    assert all(each.help for group in declared for each in group.values())
    assert cls.card.published
    assert all(f"``{name}" in (cls.__doc__ or "") for name in cls.states)
