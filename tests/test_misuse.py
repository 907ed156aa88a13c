"""Calls that users of other libraries write, and misspelt names: each error says what to write instead."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import zoo
from zoo.errors import UsageError
from zoo.kernels import pure_python


@pytest.fixture(autouse=True)
def plain_python():
    """Run kernels as plain Python, since they have tests of their own."""
    with pure_python():
        yield


# ---- names of the module ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cell", "optimizer", "sampler", "block", "modifier", "task"])
def test_component_as_attribute_names_its_function(kind):
    get = getattr(zoo, f"get_{kind}")
    for name in getattr(zoo, f"list_{kind}s")():
        try:
            cls = type(get(name))
        except zoo.UsageError:  # it needs an option
            continue
        for attribute in (
            name,
            name.upper(),
            *([cls.__name__] if cls.__name__.lower() == name.replace("_", "") else []),
        ):
            if not hasattr(zoo, attribute):
                with pytest.raises(AttributeError, match=r"; .* is an? \w+: zoo.get_\w+\('\w+'\)$"):
                    getattr(zoo, attribute)
    with pytest.raises(AttributeError, match=r"; GRU is a cell: zoo.get_cell\('gru'\)$"):
        zoo.GRU  # noqa: B018
    with pytest.raises(AttributeError, match=r"; Adam is an optimizer: zoo.get_optimizer\('adam'\)$"):
        zoo.Adam  # noqa: B018


def test_misspelt_name_of_a_module_gives_the_nearest():
    for package in (zoo, zoo.kernels):
        for name in package.__all__:
            misspelt = f"{name[:2]}{name[3:]}"
            if len(name) > 6 and not hasattr(package, misspelt):
                with pytest.raises(AttributeError, match=r"Did you mean '\w+'\?$|; \w+ is an? "):
                    getattr(package, misspelt)
    for name in ("_private", "__version__ ", "qqqqqqqq"):
        with pytest.raises(AttributeError, match=r"has no attribute '.*'$"):
            getattr(zoo, name)


# ---- layers and models -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "sizes"),
    [
        (zoo.Recurrent, (3, 4)),
        (zoo.SequenceModel, (3, 2, 4)),
        (functools.partial(zoo.LanguageModel, "abc"), (4,)),
    ],
)
def test_the_number_of_layers_may_come_last(make, sizes):
    one = make("gru", *sizes, 2)
    np.testing.assert_array_equal(one.theta, make("gru", *sizes, num_layers=2).theta)
    with pytest.raises(
        TypeError, match=r"arguments without a name \(.*num_layers\); found \d. Name the others"
    ):
        make("gru", *sizes, 2, True)


@pytest.mark.parametrize("cell", [None, 4, 4.5, np.ones(3), {}, zoo.get_optimizer("adam"), print])
@pytest.mark.parametrize(
    "make",
    [
        lambda cell: zoo.Recurrent(cell, 3, 4),
        lambda cell: zoo.Recurrent([cell, "gru"], 3, 4),
        lambda cell: zoo.Recurrent(cell, 3, 4, block="prenorm"),
        lambda cell: zoo.SequenceModel(cell, 3, 4),
        lambda cell: zoo.LanguageModel("abc", cell),
    ],
)
def test_what_is_no_cell_is_named(make, cell):
    with pytest.raises(UsageError, match=r"^cell is .*; expected the name of a cell, a class") as caught:
        make(cell)
    assert ("write hidden_size=4." in str(caught.value)) == (cell == 4 if isinstance(cell, int) else False)


@pytest.mark.parametrize("optimizer", [None, 4, zoo.get_cell("gru")])
def test_what_is_no_optimizer_is_named(optimizer):
    with pytest.raises(UsageError, match=r"^optimizer is .*; expected the name of an optimizer, a"):
        zoo.LanguageModel("abc", hidden_size=2).fit("abcabc", optimizer=optimizer)


@pytest.mark.parametrize("name", ["vanilla", "lstm", "prenorm(gru)"])
def test_calling_a_cell_names_the_layer(name):
    with pytest.raises(
        UsageError, match=r"make a layer, rnn = zoo.Recurrent\('.*', input_size, hidden_size\)"
    ):
        zoo.get_cell(name)(np.ones((2, 3)))


# ---- texts and samplers ----------------------------------------------------------------------------------

MODEL = zoo.LanguageModel("abc", hidden_size=2)


@pytest.mark.parametrize("name", zoo.list_samplers())
def test_sampler_as_argument_names_get_sampler(name):
    call = f"zoo.get_sampler\\('{name}'(, \\w+=1)?\\)"
    with pytest.raises(TypeError, match=f"unknown argument '{name}'. Give sampler={call}.$"):
        MODEL.sample("a", 3, **{name: 1})


@pytest.mark.parametrize(
    ("name", "meant"), [("prompts", "prompt"), ("sead", "seed"), ("samplers", "sampler")]
)
def test_misspelt_argument_of_sample(name, meant):
    with pytest.raises(TypeError, match=f"'{name}'. Did you mean '{meant}'"):
        MODEL.sample(**{name: 1})


@pytest.mark.parametrize("name", ["greedy", "top_k"])
def test_chained_name_names_get_sampler(name):
    sampler = zoo.get_sampler("temperature", temperature=0.5)
    for one in (sampler, sampler | sampler, zoo.Chain()):
        for chain in (lambda one=one: one | name, lambda one=one: name | one):
            with pytest.raises(
                UsageError, match=f"this one is '{name}'; write zoo.get_sampler\\('{name}'\\)"
            ):
                chain()
        with pytest.raises(UsageError, match=r"this one is 3; write zoo.get_sampler"):
            one | 3


@pytest.mark.parametrize("text", [5, None, 1.5])
@pytest.mark.parametrize("call", ["fit", "evaluate"])
def test_argument_that_is_no_text_has_its_name(call, text):
    with pytest.raises(UsageError, match=f"^{call}: text is {text}; expected a string"):
        getattr(MODEL, call)(text)
    with pytest.raises(
        UsageError, match=f"^{call}: text: tokens run from 0 to 7; expected tokens from 0 to 2"
    ):
        getattr(MODEL, call)([0, 7])
    with pytest.raises(UsageError, match=f"^prompt is {text}; expected a string"):
        MODEL.sample(text)
