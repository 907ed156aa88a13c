"""The notation of stacks of layers, and labels for them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.comparison.plan import is_label
from zoo.registry.stack_names import (
    MAX_LAYERS,
    is_stack,
    layer_names,
    split_at_commas,
    stack_label,
    stack_name,
)

NAMES = st.sampled_from(
    [
        "lstm",
        "gru+zoneout",
        "griffin(rg_lru)",
        "prenorm(lstm+zoneout)",
        "a-b/c.py:Cell",
        "x(./y+z/c.py:A+d.py:B)",
    ]
)


@pytest.mark.parametrize(
    ("text", "layers"),
    [
        ("lstm", "lstm"),
        ("lstm,gru", "lstm gru"),
        (" lstm , gru ", "lstm gru"),
        ("2*lstm", "lstm lstm"),
        ("(lstm,gru)", "lstm gru"),
        ("2*griffin(rg_lru),prenorm(lstm+zoneout)", "griffin(rg_lru) griffin(rg_lru) prenorm(lstm+zoneout)"),
        ("2*(2*a,b)", "a a b a a b"),
        ("(2*(a,b),c)", "a b a b c"),
        ("2*my-cell.py:A,./a,b", "my-cell.py:A my-cell.py:A ./a b"),
        ("(x)/y.py:A", "(x)/y.py:A"),
        ("x(y.py:A,b", "x(y.py:A b"),
        ("x)y.py:A,b", "x)y.py:A b"),
    ],
)
def test_layers_of_a_stack(text, layers):
    assert layer_names(text) == layers.split()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the name of a cell is empty"),
        ("lstm,", "the name of a cell is empty"),
        ("lstm,(gru,)", "the name of a cell is empty"),
        ("2*", "the name of a cell is empty"),
        ("()", "the name of a cell is empty"),
        ("lstm*2", "'lstm*2' is not a layer; expected CELL, BLOCK(CELL), or a number in front of a layer"),
        ("(lstm,gru)*2", "'(lstm,gru)*2' is not a layer"),
        ("prenorm(lstm,gru)", "'prenorm(lstm,gru)' is not a layer"),
        ("2*3*lstm", "'3*lstm' is not a layer"),
        ("0*lstm", "'0*lstm' repeats a layer; expected 1 to 1,000 times"),
        (f"{5000 * '9'}*lstm", "repeats a layer; expected 1 to 1,000 times"),
        ("1000*(lstm,gru)", "has more than 1,000 layers; give fewer"),
        ("(((lstm)))", "has parentheses within a repeated pattern; write out its layers"),
        (3000 * "(" + "lstm" + 3000 * ")", "has parentheses within a repeated pattern"),
    ],
)
def test_every_mistake_is_one_sentence(text, words):
    with pytest.raises(zoo.UsageError) as caught:
        layer_names(text)
    assert words in str(caught.value)


@given(st.lists(NAMES, min_size=1, max_size=4), st.integers(1, 5), st.integers(1, 3))
def test_name_of_a_stack_has_its_layers_and_a_label(pattern, repeats, run):
    layers = [name for name in pattern for _ in range(run)] * repeats
    name = stack_name(layers)
    assert is_stack(name)
    assert layer_names(name) == layers
    assert split_at_commas(f"lstm,{name},gru") == ["lstm", name, "gru"]
    assert stack_name(layer_names(name)) == name
    label = stack_label(name)
    assert is_label(label) == ("/" not in label and ":" not in label and len(label) <= 128)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("(lstm,gru)", "lstm-gru"),
        ("1*lstm", "1xlstm"),
        ("4*(2*griffin(rg_lru),griffin(lstm))", "4x(2xgriffin(rg_lru)-griffin(lstm))"),
        ("(a(b),c(d))", "a(b)-c(d)"),
    ],
)
def test_label_of_a_stack(name, label):
    assert stack_name(layer_names(name)) == name
    assert stack_label(name) == label


def test_names_that_are_no_stacks():
    assert not any(
        map(is_stack, ["lstm", "griffin(rg_lru)", "a,b", "(a)/b.py:C", "(a),(b)", "lstm*2", "x2*y.py:A"])
    )


def test_path_that_cannot_be_part_of_a_stack():
    with pytest.raises(
        zoo.UsageError, match="is not a stack, since the path of a file has commas or parentheses"
    ):
        stack_name(["a(b.py:C", "lstm"])


def test_layers_are_as_many_as_models_have():
    assert len(layer_names(f"{MAX_LAYERS}*lstm")) == MAX_LAYERS
