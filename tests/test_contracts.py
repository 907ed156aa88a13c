"""Contracts: sizes, names, cards, options, and what a class must be to be a member."""

from __future__ import annotations

import contextlib
import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.contracts.names import check_member_name, check_part_name, did_you_mean, snake_case
from zoo.contracts.sizes import Size

CARD = zoo.Card(title="A title", authors="A. Author", year=2000, url="https://example.org")


@zoo.njit
def forward(params, x, state):
    return x, state, ()


@zoo.njit
def backward(params, x, state, tape, dy, dlast):
    return dy, dlast, params


@zoo.njit
def forward_alpha(params, x, state, alpha):
    return x, state, ()


def define(**attributes):
    """A cell class of these attributes, in front of sensible ones; None leaves one out."""
    whole = {
        "__doc__": "A cell for a test.",
        "__module__": __name__,
        "card": CARD,
        "W": zoo.Param("I", "H"),
        "h": zoo.State("H"),
        "forward": forward,
        "backward": backward,
        **attributes,
    }
    return type("Sample", (zoo.Cell,), {name: value for name, value in whole.items() if value is not None})


# -- sizes ---------------------------------------------------------------------------------------------------

ENV = {"I": 6, "H": 12, "heads": 3}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("5", 5),
        ("H", 12),
        ("4H", 48),
        ("4 H", 48),
        ("H/heads", 4),
        ("I+H", 18),
        ("2(I+H)", 36),
        ("H-I", 6),
        ("H*H/I", 24),
        ("(I + 1) (H - 1)", 77),
        ("3H+1", 37),
    ],
)
def test_size(text, value):
    assert Size(text).evaluate(ENV) == value
    assert str(Size(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", " ", "4*", "+H", "-H", "(H", "H)", "H**2", "H//2", "1.5H", "H;import os", "H\n", "ħ", "*", "()"],
)
def test_malformed_size(text):
    if text == "H\n":  # trailing white space is no harm
        assert Size(text).evaluate(ENV) == 12
        return
    with pytest.raises(
        zoo.DefinitionError, match="is not a size; a size is a positive integer or an expression"
    ):
        Size(text)


@st.composite
def expressions(draw, depth=3):
    """A size as text, and what it is worth by rational arithmetic."""
    if depth == 0 or draw(st.booleans()):
        return draw(
            st.sampled_from(
                [("I", Fraction(6)), ("H", Fraction(12)), ("heads", Fraction(3)), ("2", Fraction(2))]
            )
        )
    (left, a), (right, b) = draw(expressions(depth=depth - 1)), draw(expressions(depth=depth - 1))
    sign = draw(st.sampled_from("+-*"))
    return f"({left}{sign}{right})", {"+": a + b, "-": a - b, "*": a * b}[sign]


@given(expressions())
def test_sizes_follow_arithmetic(case):
    text, value = case
    if value < 1:
        with pytest.raises(zoo.UsageError, match="every dimension must be at least 1"):
            Size(text).evaluate(ENV)
    else:
        assert Size(text).evaluate(ENV) == value


def test_division_must_come_out_even():
    with pytest.raises(zoo.UsageError, match=r"'H/heads': 10 is not divisible by 3"):
        Size("H/heads").evaluate({"H": 10, "heads": 3})


@given(st.text(max_size=8))
def test_any_text_is_a_size_or_a_sentence(text):
    with contextlib.suppress(zoo.DefinitionError):  # and any other error fails the test
        Size(text)


# -- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["lstm", "a", "mgu1", "peephole_lstm", "a" * 64])
def test_good_member_names(name):
    check_member_name(name, "cell")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "LSTM",
        "1a",
        "_a",
        "a-b",
        "a b",
        "a\n",
        "x;import os",
        "é",
        "а",
        "class",
        "a" * 65,
        None,
        3,
        "a'",
        'a"',
    ],
)
def test_bad_member_names(name):
    with pytest.raises(zoo.DefinitionError, match="cannot be registered; a name is lower case"):
        check_member_name(name, "cell")


@pytest.mark.parametrize("name", ["", "1W", "W x", "Wхh", "lambda", "_W", "W\n"])
def test_bad_part_names(name):
    with pytest.raises(zoo.DefinitionError, match="cannot name a parameter"):
        check_part_name(name, "cell")


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("LSTM", "lstm"),
        ("PeepholeLSTM", "peephole_lstm"),
        ("Vanilla", "vanilla"),
        ("MGU1", "mgu1"),
        ("LSTMCell", "lstm_cell"),
        ("MinGRU", "min_gru"),
    ],
)
def test_snake_case(class_name, name):
    assert snake_case(class_name) == name


def test_did_you_mean():
    assert did_you_mean("vanila", ["vanilla", "gru"]) == " Did you mean 'vanilla'?"
    assert did_you_mean("zzz", ["vanilla"]) == ""


# -- cards ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("title", "", "title is ''; give a non-empty string"),
        ("authors", None, "authors is None"),
        ("year", "1997", "year is '1997'; give it as an integer"),
        ("year", True, "year is True"),
        ("year", 3, "year is 3"),
        ("url", "example.org", "url is 'example.org'; give one that starts with https://"),
    ],
)
def test_incomplete_card(field, value, words):
    facts = {"title": "T", "authors": "A", "year": 2000, "url": "https://example.org", field: value}
    with pytest.raises(zoo.DefinitionError, match=re.escape(words)):
        zoo.Card(**facts)


# -- options -------------------------------------------------------------------------------------------------


class Optioned(zoo.Optimizer):
    """An optimizer for its options."""

    card = CARD
    lr = zoo.Option(0.1, help="step", low=0.0)
    count = zoo.Option(3, help="count", low=1, high=5)
    fancy = zoo.Option(False, help="fancy")

    @zoo.njit
    def update(theta, grad, slots, step, lr, count, fancy):
        return theta - lr * grad, ()


def test_options_have_defaults_and_can_be_chosen():
    member = Optioned(count=4, lr=1)
    assert (member.lr, member.count, member.fancy) == (1.0, 4, False)
    assert type(member.lr) is float, "an integer is welcome where a float is expected"
    assert repr(member) == "Optioned(lr=1.0, count=4, fancy=False)"
    assert member == Optioned(count=4, lr=1.0)
    assert hash(member) == hash(Optioned(count=4, lr=1.0))
    assert member != Optioned()
    assert member != 3


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"cuont": 3}, "has no option 'cuont'; it has: lr, count, fancy. Did you mean 'count'?"),
        ({"count": 0}, "option 'count' is 0; expected an integer at least 1 and at most 5"),
        ({"count": 6}, "option 'count' is 6"),
        ({"count": 2.0}, "option 'count' is 2.0"),
        ({"count": True}, "option 'count' is True"),
        ({"lr": float("nan")}, "option 'lr' is nan; expected a finite number"),
        ({"lr": -1.0}, "option 'lr' is -1.0"),
        ({"lr": "fast"}, "option 'lr' is 'fast'"),
        ({"fancy": 1}, "option 'fancy' is 1; expected true or false"),
    ],
)
def test_refused_options(given_, words):
    with pytest.raises(zoo.UsageError, match=re.escape(words)) as caught:
        Optioned(**given_)
    assert "optimizer 'optioned'" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("count", "4", 4), ("lr", "1e-3", 0.001), ("fancy", "yes", True), ("fancy", "False", False)],
)
def test_options_are_read_from_text(name, text, value):
    assert Optioned.declared_options[name].parse(text, "who") == value


@pytest.mark.parametrize(
    ("name", "text"), [("count", "4.5"), ("count", "9"), ("lr", "inf"), ("lr", "x"), ("fancy", "maybe")]
)
def test_options_refuse_text(name, text):
    with pytest.raises(zoo.UsageError, match=f"who: option '{name}' is"):
        Optioned.declared_options[name].parse(text, "who")


def test_choices():
    option = zoo.Option("tanh", choices=["tanh", "relu"])
    assert option.check("relu", "who") == "relu"
    with pytest.raises(zoo.UsageError, match="expected one of 'tanh', 'relu'"):
        option.check("gelu", "who")


@pytest.mark.parametrize("default", [None, [1], 3j])
def test_option_default_must_be_a_plain_value(default):
    with pytest.raises(zoo.DefinitionError, match="an option is a bool, int, float or str"):
        zoo.Option(default)


def test_option_default_must_be_allowed():
    with pytest.raises(zoo.DefinitionError, match="the default must be an allowed value"):
        zoo.Option(3, low=5)


# -- members -------------------------------------------------------------------------------------------------


def test_a_well_formed_cell():
    cell = define()()
    assert cell.name == "sample"
    assert cell.summary() == "A cell for a test."
    assert cell.param_shapes(3, 5) == {"W": (3, 5)}
    assert cell.state_shapes(3, 5) == {"h": (5,)}
    assert (cell.output_size(3, 5), cell.parameter_count(3, 5)) == (5, 15)
    assert re.fullmatch("[0-9a-f]{64}", cell.source_digest())


def test_formula_puts_sums_in_parentheses():
    cell = define(W=zoo.Param("I+H", "4H"), b=zoo.Param("H"))
    assert cell.parameter_formula() == "(I+H)·4H + H"


def test_sizes_may_use_integer_options():
    cell = define(
        heads=zoo.Option(2, help="heads", low=1),
        W=zoo.Param("heads", "H/heads"),
        forward=forward_alpha,
        backward=zoo.njit(lambda params, x, state, tape, dy, dlast, heads: (dy, dlast, params)),
    )
    assert cell(heads=3).param_shapes(4, 6) == {"W": (3, 2)}
    with pytest.raises(zoo.UsageError, match=r"cell 'sample': size 'H/heads': 7 is not divisible by 2"):
        cell().param_shapes(4, 7)


@pytest.mark.parametrize(
    ("attributes", "words"),
    [
        ({"card": None}, "the card is missing; add `card = zoo.Card("),
        ({"card": "a paper"}, "the card is missing"),
        ({"__doc__": None}, "the docstring is missing"),
        ({"__doc__": "  "}, "the docstring is missing"),
        ({"name": "Not A Name"}, "the name 'Not A Name' cannot be registered"),
        ({"h": None}, "no state is declared; add `h = zoo.State('H')`"),
        ({"W": None}, "no parameter is declared"),
        ({"W": zoo.Param("I", "Q")}, "parameter 'W' has size 'Q', and 'Q' is neither I (input features), H"),
        ({"h": zoo.State("K")}, "state 'h' has size 'K'"),
        ({"h": zoo.State("H", "H")}, "the first state 'h' is the output and must be a vector"),
        ({"forward": None}, "forward missing; a cell brings two @zoo.njit functions"),
        ({"forward": None, "backward": None}, "forward and backward missing"),
        (
            {"backward": forward},
            "backward(params, x, state) takes 3 arguments; expected backward(params, x, state, tape",
        ),
        ({"forward": forward_alpha}, "takes 4 arguments; expected forward(params, x, state)"),
        ({"forward": 3}, "forward is 3; expected a function decorated with @zoo.njit"),
        (
            {
                "mode": zoo.Option("fast"),
                "forward": forward_alpha,
                "backward": lambda p, x, s, t, dy, dl, o: None,
            },
            "option 'mode' is a string; kernels take numbers and booleans only",
        ),
    ],
)
def test_malformed_cells(attributes, words):
    with pytest.raises(zoo.DefinitionError, match=re.escape(words)) as caught:
        define(**attributes)
    assert "cell class Sample" in str(caught.value), "the sentence says who"


def test_an_abstract_class_is_not_checked():
    class Base(zoo.Cell, abstract=True):
        """Only others derive from it."""

    assert Base.states == {}


def test_subclass_has_its_own_name_and_inherits_declarations():
    class Child(define()):
        """A child."""

        b = zoo.Param("H")

    assert Child.name == "child"
    assert list(Child.params) == ["W", "b"], "base classes first, then in the order of declaration"
