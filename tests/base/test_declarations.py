"""Names, cards, arrays and options: what is taken, and in which words the rest is refused."""

from __future__ import annotations

import copy
import functools
import inspect
import keyword
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.arguments import counted, dtype_and_shape, short_repr
from zoo.base.names import check_component_name, check_declaration_name, did_you_mean, snake_case
from zoo.errors import DefinitionError, UsageError

# --- Names ---

HOSTILE = [
    "",
    " ",
    "a b",
    "a\n",
    "\na",
    "a\x00",
    "a'b",
    'a"b',
    "a;b",
    "a-b",
    "a.b",
    "a/b",
    "../a",
    "a\\b",
    "a:b",
    "$a",
    "1a",
    "_a",
    "__class__",
    "\u0430bc",  # CYRILLIC SMALL LETTER A
    "lstm\u200b",  # zero width space
    "caf\u00e9",
    "\uff41bc",  # FULLWIDTH a, which Python itself reads as a plain one
    "a\u0301",
    "n\u2080",
    "class",
    "lambda",
    "a" * 65,
]


@pytest.mark.parametrize("name", [*HOSTILE, "Abc", "aB", None, 3, b"a", ["a"]], ids=repr)
def test_hostile_name_is_not_registered(name: object) -> None:
    with pytest.raises(DefinitionError) as caught:
        check_component_name(name, "cell class X (m)")
    assert str(caught.value).startswith(
        f"cell class X (m): the name {name!r} cannot be registered; a name is lower"
    )
    assert "as in 'my_cell'" in str(caught.value)


@pytest.mark.parametrize("name", [*HOSTILE, "None", "True"], ids=repr)
def test_hostile_part_name_raises(name: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        check_declaration_name(name, "cell class X (m)")
    assert str(caught.value).startswith(
        f"cell class X (m): {name!r} cannot name a parameter, state, option or slot;"
    )
    assert "as in 'Wxh'" in str(caught.value)


@pytest.mark.parametrize("name", ["a", "lstm", "co_rnn2", "a_", "match", "a" * 64])
def test_plain_names_are_taken(name: str) -> None:
    check_component_name(name, "who")
    check_declaration_name(name, "who")


@given(st.text(max_size=66))
def test_only_ascii_identifiers_pass(name: str) -> None:
    try:
        check_declaration_name(name, "who")
    except DefinitionError:
        return
    assert name.isascii()
    assert name.isidentifier()
    assert not keyword.iskeyword(name)
    assert len(name) <= 64
    assert name[0] != "_"


@pytest.mark.parametrize(
    ("class_name", "name"),
    [
        ("LSTM", "lstm"),
        ("Vanilla", "vanilla"),
        ("PeepholeLSTM", "peephole_lstm"),
        ("LSTMCell", "lstm_cell"),
        ("AdamW", "adam_w"),
        ("TopK", "top_k"),
        ("coRNN", "co_rnn"),
        ("GRU2", "gru2"),
        ("A", "a"),
        ("already_snake", "already_snake"),
    ],
)
def test_snake_case(class_name: str, name: str) -> None:
    assert snake_case(class_name) == name
    check_component_name(name, "who")


def test_nearest_name_is_offered() -> None:
    assert did_you_mean("vanila", ["gru", "vanilla"]) == " Did you mean 'vanilla'?"
    assert did_you_mean("tmep", ["time", "temp"]) == " Did you mean 'temp'?"
    assert did_you_mean("k", ["heads", "K"]) == " Did you mean 'K'?"
    assert did_you_mean("learning_rate", ["learned_state", "lr"]) == " Did you mean 'lr'?"
    assert did_you_mean("--batch-size", ["--batch"]) == " Did you mean '--batch'?"
    assert did_you_mean("bfloat16", ["float32", "bf16"]) == " Did you mean 'bf16'?"
    assert did_you_mean("xyz", ["gru", "vanilla"]) == ""
    assert did_you_mean("gru", []) == ""


# --- Cards ---

CARD = {
    "title": "Long Short-Term Memory",
    "authors": "Hochreiter, Schmidhuber",
    "year": 1997,
    "url": "https://x.org",
}


def test_card_is_a_value() -> None:
    card = zoo.Card(**CARD)
    assert card == zoo.Card(**CARD, variant="", deviations="", history="", when_to_use="", trainability="")
    assert hash(card) == hash(zoo.Card(**CARD))
    with pytest.raises(AttributeError):
        card.year = 1998


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"title": ""}, "zoo.Card: title is ''; give a non-empty string"),
        ({"title": None}, "zoo.Card: title is None; give a non-empty string"),
        ({"authors": "  "}, "'Long Short-Term Memory': authors is '  '; give a non-empty string"),
        ({"authors": ["A", "B"]}, "authors is ['A', 'B']; give a non-empty string"),
        ({"url": ""}, "url is ''; give a non-empty string, or leave out authors, year and url"),
        ({"authors": "", "url": ""}, "authors is ''; give a non-empty string, or leave out"),
        ({"year": None}, "year is None; give it as an integer"),
        ({"scope": "block"}, "scope is 'block'; give one of recurrence, mixer"),
        ({"scope": None}, "scope is None; give one of recurrence, mixer"),
        ({"scope": []}, "scope is []; give one of recurrence, mixer"),
        (
            {"url": "doi:10.1"},
            "'Long Short-Term Memory': url is 'doi:10.1'; give one that starts with https://",
        ),
        ({"url": "javascript:x"}, "url is 'javascript:x'; give one that starts with https://"),
        ({"year": "1997"}, "'Long Short-Term Memory': year is '1997'; give it as an integer, as in 1997"),
        ({"year": 1997.0}, "year is 1997.0; give it as an integer"),
        ({"year": True}, "year is True; give it as an integer"),
        ({"year": 97}, "year is 97; give it as an integer"),
        ({"variant": None}, "'Long Short-Term Memory': variant is None; say it in words"),
        ({"deviations": 3}, "'Long Short-Term Memory': deviations is 3; say it in words"),
        ({"history": ["Old."]}, "'Long Short-Term Memory': history is ['Old.']; say it in words"),
        ({"when_to_use": None}, "'Long Short-Term Memory': when_to_use is None; say it in words"),
        ({"trainability": True}, "'Long Short-Term Memory': trainability is True; say it in words"),
    ],
)
def test_invalid_card_field_raises(change: dict[str, object], words: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        zoo.Card(**(CARD | change))
    assert words in str(caught.value)


@pytest.mark.parametrize("field", CARD)
def test_card_without_a_field(field: str) -> None:
    with pytest.raises(TypeError, match=field):  # a DefinitionError is one
        zoo.Card(**{name: value for name, value in CARD.items() if name != field})


def test_card_without_a_reference_is_unpublished() -> None:
    card = zoo.Card("An idea", deviations="It has no paper.", scope="mixer")
    assert not card.published
    assert card.citation() == "An idea, unpublished."
    assert zoo.Card(**CARD).published
    assert zoo.Card(**CARD).citation() == "Hochreiter, Schmidhuber (1997). Long Short-Term Memory."


# --- Arrays ---


def test_arrays_keep_declaration() -> None:
    weight = zoo.Param("I", "4H", 3, init="ones", help="a weight")
    assert [str(size) for size in weight.shape] == ["I", "4H", "3"]
    assert (weight.kind, weight.init, weight.help) == ("parameter", "ones", "a weight")
    assert repr(weight) == "Param(I, 4H, 3)"
    assert (zoo.State("H").kind, zoo.State("H").init) == ("state", "zeros")


def test_other_declarations() -> None:
    buffer, moment = zoo.Buffer("H", "H", init="orthogonal"), zoo.Input("I", default=2, help="when")
    assert (buffer.kind, buffer.init, buffer.complex) == ("buffer", "orthogonal", False)
    assert (moment.kind, moment.default, moment.help, zoo.Input().default) == ("input", 2, "when", 0.0)
    assert zoo.Param("H", complex=True).complex
    assert zoo.State("H", complex=True, discrete=True).discrete
    assert not zoo.State("H").discrete


@pytest.mark.parametrize("default", [math.nan, math.inf, "1", True, [1.0]])
def test_default_of_an_input_is_a_finite_number(default: object) -> None:
    with pytest.raises(DefinitionError, match=r"zoo.Input: the default is .*; expected a finite number\."):
        zoo.Input(default=default)


DECLARATIONS = [zoo.Param, zoo.Buffer, zoo.State, zoo.Input, zoo.Noise, zoo.StateSlot, zoo.Option]


@pytest.mark.parametrize("declaration", DECLARATIONS)
@given(name=st.from_regex(r"[a-z_]{1,12}", fullmatch=True))
def test_unknown_argument_is_named(declaration: Any, name: str) -> None:
    known = [each for each in inspect.signature(declaration.__init__).parameters if each != "self"]
    given_values = () if declaration is zoo.Option else ("H",)
    if name in (*known, "self"):
        return
    with pytest.raises(
        DefinitionError, match=f"zoo.{declaration.__name__}: unknown argument {name!r}; "
    ) as raised:
        declaration(*given_values, **{name: 1})
    assert all(each in str(raised.value) for each in known if each != "shape")


class Scaled(zoo.Param):
    """A declaration with an argument of its own, which passes the others on."""

    def __init__(self, *shape: Any, scale: float = 1.0, **others: Any) -> None:
        super().__init__(*shape, **others)
        self.scale = scale


def decorated(function: Any) -> Any:
    @functools.wraps(function)
    def call(*arguments: Any, **options: Any) -> Any:
        return function(*arguments, **options)

    return call


class Decorated(zoo.Param):
    """A declaration with a decorated constructor."""

    __init__ = decorated(zoo.Param.__init__)


class Bounded(zoo.Option[float]):
    """An option whose constructor takes anything."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"low": 0.0, **options})


@pytest.mark.parametrize("declaration", [*DECLARATIONS, Scaled, Decorated, Bounded])
def test_signature_has_arguments_of_constructor(declaration: Any) -> None:
    """Help and editors show it."""
    of_constructor = inspect.signature(declaration.__init__).parameters
    kept = {name: each for name, each in of_constructor.items() if name != "self"}
    assert dict(inspect.signature(declaration).parameters) == kept


def test_declarations_can_be_derived() -> None:
    assert Scaled("H", init="ones", scale=2.0).init == "ones"
    assert Decorated("H", init="ones").init == "ones"
    assert Bounded(1.0, help="x").low == 0.0
    assert copy.deepcopy(Scaled("H", scale=3.0)).scale == 3.0
    with pytest.raises(DefinitionError, match=r"^Decorated: unknown argument 'initial'; expected one of"):
        Decorated("H", initial="ones")


def test_nearest_argument_is_offered() -> None:
    with pytest.raises(DefinitionError, match=r"init, help, complex\. Did you mean 'init'\?"):
        zoo.Param("H", initial="zeros")


def test_slot_defaults_to_vector_over_parameters() -> None:
    assert repr(zoo.StateSlot()) == "StateSlot(P)"
    assert repr(zoo.StateSlot(1)) == "StateSlot(1)"


# --- Options ---


@pytest.mark.parametrize(
    ("arguments", "noun"),
    [
        ({"default": -1.0, "low": 0.0}, "default is -1.0"),
        ({"default": 0.0, "low": 0.0, "customary": -1.0}, "customary value is -1.0"),
        ({"default": 0.0, "customary": 1}, "customary value is 1"),
    ],
)
def test_default_and_customary_value_of_an_option_are_allowed(arguments: dict[str, Any], noun: str) -> None:
    with pytest.raises(DefinitionError, match=rf"zoo.Option: the {noun}; expected a finite number"):
        zoo.Option(**arguments)


@pytest.mark.parametrize(
    ("option", "good", "bad"),
    [
        (
            zoo.Option(1.0),
            [0.5, -2.0, 3, np.float32(0.5), np.float64(2), np.int8(3), Fraction(1, 4)],
            ["1", None],
        ),
        (zoo.Option(1.0), [1e308], [math.inf, -math.inf, math.nan, True, np.bool_(True), 10**400, 1j, [1.0]]),
        (
            zoo.Option(1),
            [5, -5, np.int64(7), np.uint8(7), 2**63 - 1],
            [1.0, 1.5, "1", True, None, np.float64(1)],
        ),
        (zoo.Option(1), [-(2**62)], [2**63, 10**400]),
        (zoo.Option(True), [False, True], [1, 0, "true", None, np.bool_(True)]),
        (zoo.Option("a"), ["", "x y"], [1, None, b"a"]),
        (zoo.Option(0.9, low=0.0, below=1.0), [0.0, 0.5, 0], [-0.1, 1.0, 1, 2.0]),
        (zoo.Option(2, low=1, high=3), [1, 2, 3], [0, 4]),
        (zoo.Option("relu", choices=("relu", "tanh")), ["tanh"], ["Tanh", "", 1]),
        (zoo.Option(2, choices=(2, 4)), [4, np.int16(2)], [3, 2.0, True]),
    ],
)
def test_options_take_their_type_within_their_bounds(option, good, bad) -> None:
    for value in good:
        result = option.check(value, "cell 'x'")
        assert result == value
        assert type(result) is type(option.default), "NumPy's numbers become Python's"
    for value in bad:
        with pytest.raises(UsageError) as caught:
            option.check(value, "cell 'x'")
        assert str(caught.value) == f"cell 'x': option '' is {short_repr(value)}; {option.expects()}."


def test_int_beyond_float_range_raises() -> None:
    with pytest.raises(UsageError, match="expected a finite number"):
        zoo.Option(1.0).check(10**400, "cell 'x'")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (zoo.Option(1.0), "expected a finite number"),
        (zoo.Option(1.0, low=0.0), "expected a finite number at least 0"),
        (zoo.Option(0.5, low=0.0, high=1.0), "expected a finite number at least 0 and at most 1"),
        (zoo.Option(0.5, low=0.0, below=1.0), "expected a finite number at least 0 and below 1"),
        (zoo.Option(3), "expected an integer"),
        (zoo.Option(True), "expected true or false"),
        (zoo.Option(""), "expected a string"),
        (zoo.Option("a", choices=["a", "b"]), "expected one of 'a', 'b'"),
    ],
)
def test_option_describes_allowed_values(option, words: str) -> None:
    assert option.expects() == words


@pytest.mark.parametrize(
    ("option", "text", "value"),
    [
        (zoo.Option(1.0), "2", 2.0),
        (zoo.Option(1.0), "-1e-3", -0.001),
        (zoo.Option(1), "12", 12),
        (zoo.Option(True), "False", False),
        (zoo.Option(False), "yes", True),
        (zoo.Option(False), "0", False),
        (zoo.Option("a"), "b c", "b c"),
    ],
)
def test_options_read_text(option, text: str, value: object) -> None:
    result = option.parse(text, "cell 'x'")
    assert (result, type(result)) == (value, type(value))


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (zoo.Option(1.0), "one"),
        (zoo.Option(1.0), "inf"),
        (zoo.Option(1.0), ""),
        (zoo.Option(1), "1.0"),
        (zoo.Option(1), "9" * 5000),
        (zoo.Option(True), "maybe"),
        (zoo.Option("a", choices=["a"]), "b"),
        (zoo.Option(1, low=0), "-1"),
    ],
)
def test_invalid_option_text_raises(option, text: str) -> None:
    with pytest.raises(UsageError, match=r"^cell 'x': option '' is .*; expected "):
        option.parse(text, "cell 'x'")


@given(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**63 - 1) | st.booleans())
def test_option_value_round_trips_as_text(value) -> None:
    assert zoo.Option(value).parse(str(value), "who") == value


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: zoo.Option(None), "the default is None; an option is a bool, int, float or str"),
        (lambda: zoo.Option((1, 2)), "the default is (1, 2); an option is a bool, int, float or str"),
        (lambda: zoo.Option(np.float64(1)), "an option is a bool, int, float or str"),
        (lambda: zoo.Option(math.nan), "the default is nan; expected a finite number"),
        (lambda: zoo.Option(-1.0, low=0.0), "the default is -1.0; expected a finite number at least 0"),
        (lambda: zoo.Option(1.0, below=1.0), "the default is 1.0; expected a finite number below 1"),
        (lambda: zoo.Option("c", choices=["a", "b"]), "the default is 'c'; expected one of 'a', 'b'"),
        (lambda: zoo.Option(1, choices=[]), "the default is 1; expected one of"),
    ],
)
def test_default_must_be_allowed(make, words: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        make()
    assert str(caught.value).startswith("zoo.Option: ")
    assert words in str(caught.value)


def test_array_like_class_is_shown_as_class() -> None:
    assert short_repr(np.float64) == "<class 'numpy.float64'>"
    assert short_repr(np.zeros((2, 3))) == "an array float64(2, 3)"
    assert short_repr(counted) == "the function counted"
    assert short_repr([counted]) == "[the function counted]"
    assert dtype_and_shape(np.array("hello")) == "'hello'"
    assert dtype_and_shape(np.array(["a", "b"])) == "texts(2,)"
    assert dtype_and_shape(np.array(3)) == "3"


@pytest.mark.parametrize("value", [1, None, "yes"])
def test_between_steps_is_a_boolean(value: object) -> None:
    with pytest.raises(DefinitionError, match=r"zoo.Input: between_steps is .*; expected True or False\."):
        zoo.Input(between_steps=value)


@pytest.mark.parametrize("name", ["low", "high"])
@pytest.mark.parametrize("value", ["0", True, math.nan, math.inf, [0]])
def test_bound_of_an_input_is_a_finite_number(name: str, value: object) -> None:
    with pytest.raises(DefinitionError, match=rf"zoo.Input: {name} is .*; expected a finite number, or None"):
        zoo.Input(**{name: value})


@pytest.mark.parametrize(
    ("bounds", "text"),
    [
        ({"low": 0, "high": 1}, "from 0 to 1"),
        ({"low": -0.5}, "of at least -0.5"),
        ({"high": 2}, "of at most 2"),
        ({"choices": (0, 1)}, "0 or 1"),
        ({"choices": [0, 0.25, -2]}, "0, 0.25 or -2"),
        ({"choices": (0, 1, 2, 3)}, "0, 1, 2 or 3"),
        ({}, ""),
    ],
)
def test_bounds_of_an_input_are_described(bounds: dict[str, Any], text: str) -> None:
    declared = zoo.Input(**bounds, help="strength")
    assert declared.bounds_text() == text
    assert declared.description == (f"strength, {text}" if text else "strength")
    assert zoo.Input(**bounds).description == text
    for name, bound in bounds.items():
        number = "" if name == "choices" else "a number "
        outside = 9 if name == "choices" else bound - 1 if name == "low" else bound + 1
        with pytest.raises(DefinitionError, match=f"the default is {outside}; expected {number}{text} "):
            zoo.Input(default=outside, **bounds)


@pytest.mark.parametrize(("low", "high"), [(1, 0), (0.5, -2.0), (3, 2)])
@pytest.mark.parametrize("default", [{}, {"default": 1}])
def test_bounds_of_an_input_are_in_order(low: float, high: float, default: dict[str, Any]) -> None:
    with pytest.raises(
        DefinitionError, match=rf"^zoo.Input: low is {low} and high is {high}; expected low <= high\.$"
    ):
        zoo.Input(low=low, high=high, **default)


@pytest.mark.parametrize(
    "choices", [(), [], "01", 1, {0: 1}, range(3), (0, "1"), (0, True), (0, math.nan), (0, None)]
)
def test_choices_of_an_input_are_finite_numbers(choices: Any) -> None:
    with pytest.raises(
        DefinitionError, match=r"zoo.Input: choices are .*; expected a tuple or list of finite numb"
    ):
        zoo.Input(choices=choices)
    with pytest.raises(DefinitionError, match=r"zoo.Input: choices are given with a bound, low or high"):
        zoo.Input(choices=(0, 1), low=0)


@pytest.mark.parametrize("choices", [(0, 0, 1), [1, 0, 1.0], (0, -0.0)])
def test_choices_of_an_input_differ(choices: Any) -> None:
    with pytest.raises(DefinitionError, match=r"which contain (0|1.0|-0.0) twice; give each value once\.$"):
        zoo.Input(choices=choices)


@pytest.mark.parametrize("bounds", [{"low": 1, "high": 2}, {"low": 0.5}, {"high": -1}])
def test_zero_is_in_the_bounds_of_an_input_without_a_default(bounds: dict[str, Any]) -> None:
    with pytest.raises(DefinitionError) as error:
        zoo.Input(**bounds)
    text = zoo.Input(**bounds, default=next(iter(bounds.values()))).bounds_text()
    expected = f"has no default, so it is 0 where it is left out; expected a number {text}. Give `default`."
    assert str(error.value).startswith(f"zoo.Input: it {expected}")


@pytest.mark.parametrize("first", [(None, None), (0, None), (None, 5), (1, 4)])
@pytest.mark.parametrize("second", [(None, None), (2, None), (None, 3), (0, 3)])
def test_values_for_two_cells_have_the_bounds_of_both(first: Any, second: Any) -> None:
    one, two = (zoo.Input(low=low, high=high, default=2, help="h") for low, high in (first, second))
    both = one.narrowed(two)
    for value in np.arange(-1, 7):
        allowed = [
            (each.low is None or value >= each.low) and (each.high is None or value <= each.high)
            for each in (one, two, both)
        ]
        assert allowed[2] == (allowed[0] and allowed[1])
    assert one.narrowed(None) is one
    assert (one.low, one.high) == first
