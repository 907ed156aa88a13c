"""Keyword options: the signatures of layers and models list them, and an unknown one is named."""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import zoo
from zoo.layers import StackConfig
from zoo.layers.config import StackOptions
from zoo.model.model import FIT_DEFAULTS, FitOptions


@pytest.mark.parametrize("function", [zoo.Recurrent, zoo.LanguageModel, zoo.SequenceModel])
def test_signatures_list_the_options_of_a_stack(function):
    parameters = inspect.signature(function).parameters
    assert "options" not in parameters
    for name in StackOptions.__annotations__:
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY
        assert parameters[name].default == inspect.signature(StackConfig).parameters[name].default
    assert function.__init__.__doc__ == "For the arguments, see the class."
    assert str(parameters["dropout"]) == "dropout: 'float' = 0.0"


@pytest.mark.parametrize("model", [zoo.LanguageModel, zoo.SequenceModel])
def test_signatures_of_fit_list_its_options(model):
    parameters = inspect.signature(model.fit).parameters
    assert FIT_DEFAULTS.keys() == FitOptions.__annotations__.keys()
    assert {name: parameters[name].default for name in FIT_DEFAULTS} == FIT_DEFAULTS


class Own(zoo.Cell):
    """A cell with an option."""

    b = zoo.Param("H")
    h = zoo.State("H")
    forget_bias = zoo.Option(0.0)

    def step(self, x, h):
        return h + self.b + self.forget_bias


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        ("lstm", "zoo.get_cell('lstm', "),
        ("elstm", "zoo.get_cell('elstm', "),
        (Own, "Own("),
        (zoo.get_cell("lstm"), "LSTM("),
    ],
)
@pytest.mark.parametrize(
    "make", [zoo.Recurrent, lambda cell, *sizes, **given: zoo.SequenceModel(cell, 3, 8, 2, **given)]
)
def test_options_of_a_cell_as_arguments(make, cell, shown):
    words = f"argument 'forget_bias'. It is an option of the cell: give {shown}forget_bias=1.0)."
    with pytest.raises(TypeError, match=re.escape(words)):
        make(cell, 3, 8, forget_bias=1.0)


@given(st.lists(st.sampled_from(["lstm", "gru", "lstm+zoneout", "prenorm(vanilla)"]), min_size=2, max_size=5))
@settings(max_examples=20)
def test_options_of_a_stack_as_arguments(cells):
    """The advice is a list of cells that the layer takes."""
    assume("lstm" in "".join(cells))
    for cell in (cells, tuple(cells), ",".join(cells)):
        with pytest.raises(TypeError, match=r"It is an option of 'lstm.* in the stack: give cell=") as raised:
            zoo.Recurrent(cell, 3, 8, forget_bias=2.0)
        advice = str(raised.value).rpartition("give cell=")[2].removesuffix(".")
        options = [", forget_bias=2.0" if "lstm" in name else "" for name in cells]
        calls = [f"zoo.get_cell({n!r}{o})" if o else repr(n) for n, o in zip(cells, options, strict=True)]
        assert advice == f"[{', '.join([*calls[:4], *['...'][: len(calls) > 4]])}]"
        if len(cells) < 5:
            chosen = zoo.Recurrent(eval(advice), 3, 8, len(cells)).stack.directions
            assert [d.cell.options.get("forget_bias") for d in chosen] == [
                2.0 if o else None for o in options
            ]


@pytest.mark.parametrize(
    ("cell", "name", "words"),
    [
        (
            ["lstm", Own],
            "forget_bais",
            "? Give cell=[zoo.get_cell('lstm', forget_bias=2), Own(forget_bias=2)].",
        ),
        (
            "2*gla",
            "head",
            "Did you mean the option 'heads' of 'gla' in the stack? Give cell=[zoo.get_cell('gla', ",
        ),
        ("gla", "head", " Did you mean the option 'heads' of the cell? Give zoo.get_cell('gla', heads=2)."),
        (
            "lstm",
            "forget_bia",
            " Did you mean the option 'forget_bias' of the cell? Give zoo.get_cell('lstm', ",
        ),
        (Own, "forget_bais", " Did you mean the option 'forget_bias' of the cell? Give Own(forget_bias=2)."),
        ("gla", "thread", " Did you mean 'threads'?"),
        ("gla", "drop_out", " Did you mean 'dropout'?"),
        ("gru", "head", " Did you mean 'threads'?"),
    ],
)
def test_misspelt_argument_or_option_of_the_cell(cell, name, words):
    """The nearest name is advised, whether it is an argument of the layer or an option of its cell."""
    with pytest.raises(TypeError, match=re.escape(words)):
        zoo.Recurrent(cell, 3, 8, **{name: 2})


def test_unknown_arguments():
    with pytest.raises(
        TypeError, match=r"^zoo\.Recurrent got the unknown argument 'layers'\. Did you mean 'num_layers'"
    ):
        zoo.Recurrent("lstm", 3, 8, layers=2)
    with pytest.raises(
        TypeError, match=r"'zzz'\. Its arguments are cell, input_size, .*, learned_state, precision, dtype\.$"
    ):
        zoo.Recurrent("lstm", 3, 8, zzz=2)
    for unknown in ("lstn", "lstm,lstn", 3, ["gru", "vanilla"], ["lstm", 3], [], None):
        with pytest.raises(TypeError, match=r"'forget_bias'\. Its arguments are cell, "):
            zoo.Recurrent(unknown, 3, 8, forget_bias=1.0)
    model = zoo.SequenceModel("vanilla", 2, 3, 4)
    with pytest.raises(TypeError, match=r"^zoo\.SequenceModel\.fit got .* 'epoch'\. Did you mean 'epochs'"):
        model.fit(np.ones((2, 1, 2)), [0], epoch=1)
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'hidden_size'"):
        zoo.Recurrent("lstm", 3)
