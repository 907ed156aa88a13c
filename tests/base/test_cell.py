"""Cells: requirements of cell classes, instances, and the behaviour that all components share."""

from __future__ import annotations

import copy
import functools
import hashlib
import importlib.util
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.base import Component
from zoo.compiler import kernels_of
from zoo.errors import DefinitionError, UsageError

CARD = zoo.Card(title="T", authors="A", year=2000, url="https://example.org")


def forward(params, x, state):
    pass


def backward(params, x, state, tape, dy, dlast):
    pass


def define(class_name: str = "Some", base: type = zoo.Cell, drop: str = "", **changes: Any) -> type[Any]:
    """A small correct cell class, with changes and without the parts named in ``drop``."""
    body: dict[str, Any] = {
        "__doc__": "A cell.",
        "__module__": "somewhere",
        "card": CARD,
        "W": zoo.Param("I", "H"),
        "h": zoo.State("H"),
        "forward": forward,
        "backward": backward,
    } | changes
    return type(class_name, (base,), {key: value for key, value in body.items() if key not in drop.split()})


TAKING = {
    2: lambda params, x: None,
    3: lambda params, x, state: None,
    4: lambda params, x, state, one: None,
    5: lambda params, x, state, one, two: None,
    7: lambda params, x, state, tape, dy, dlast, one: None,
    8: lambda params, x, state, tape, dy, dlast, one, two: None,
}
"""Functions of so many arguments."""


# --- Classes that are not well formed ---

BROKEN = [
    ({"name": "Bad Name"}, "the name 'Bad Name' cannot be registered; a name is lower case"),
    ({"name": "new\nline"}, r"the name 'new\nline' cannot be registered"),
    ({"name": None}, "the name None cannot be registered"),
    (
        {"card": "Elman 1990"},
        "card is 'Elman 1990'; give zoo.Card(title=..., authors=..., year=..., url=...)",
    ),
    ({"card": zoo.Card}, "give zoo.Card(title=..., authors=..., year=..., url=...), or no card if it is not"),
    ({"drop": "__doc__"}, "the docstring is missing; add one line that describes the class"),
    ({"__doc__": "  \n "}, "the docstring is missing"),
    ({"drop": "h"}, "no state is declared; add `h = zoo.State('H')`"),
    ({"drop": "W"}, "no parameter is declared; add `Wh = zoo.Param('H', 'H')`"),
    ({"h": zoo.State("H", "H")}, "the first state 'h' is the output and must be a real vector; found State("),
    ({"h": zoo.State()}, "the first state 'h' is the output and must be a real vector; found State()"),
    ({"h": zoo.State("H", complex=True)}, "is the output and must be a real vector; found State(H)"),
    (
        {"drop": "forward"},
        "forward is missing; a cell has `def step(self, x, ...)`, the equations of one step, or",
    ),
    (
        {"drop": "backward"},
        "backward is missing; a cell has `def step(self, x, ...)`, the equations of one step",
    ),
    (
        {"step": lambda self, x: None},
        "step(self, x) does not take what the class declares; expected step(self, x, h): x, then the states",
    ),
    (
        {"step": lambda self, x, c: None, "drop": "forward"},
        "step(self, x, c) does not take what the class declares; expected step(self, x, h)",
    ),
    (
        {"step": lambda self, x, h, dt: None, "drop": "forward"},
        "in the order of declaration. Declare 'dt': `dt = zoo.Input()` is an auxiliary input",
    ),
    (
        {"step": staticmethod(lambda self, x, h: None)},
        "step is a staticmethod; remove the decorator @staticmethod, since step(self, x, h) reads parameters",
    ),
    (
        {"step": classmethod(lambda self, x, h: None), "drop": "forward backward"},
        "step is a classmethod; remove the decorator @classmethod, since step(self, x, h) reads parameters",
    ),
    (
        {"step": property(lambda self: None), "drop": "forward backward"},
        "step is a property; expected a method, `def step(self, x, h)`",
    ),
    (
        {"step": functools.cached_property(lambda self: None)},
        "step is a cached_property; expected a method, `def step(self, x, h)`",
    ),
    (
        {"step": "h + x", "drop": "forward backward"},
        "step is a str; expected a method, `def step(self, x, h)`",
    ),
    ({"step": None}, "step is a NoneType; expected a method, `def step(self, x, h)`"),
    ({"step": lambda self, x, h: None, "drop": "backward"}, "backward is missing"),
    ({"step": lambda self, x, h: None, "drop": "forward"}, "forward is missing"),
    ({"B": zoo.Buffer("N")}, "buffer 'B' has size 'N', and 'N' is neither"),
    ({"dt": zoo.Input("N")}, "input 'dt' has size 'N', and 'N' is neither"),
    ({"x": zoo.Input()}, "input 'x' has the name of an argument of layers and models (theta, x"),
    ({"state": zoo.Input()}, "input 'state' has the name of an argument of layers and models"),
    ({"theta": zoo.Input()}, "input 'theta' has the name of an argument of layers and models"),
    (
        {"dt": zoo.Input()},
        "forward(params, x, state) takes 3 arguments; expected forward(params, x, state, inputs), with one",
    ),
    (
        {"dt": zoo.Input(), "forward": TAKING[4]},
        "expected backward(params, x, state, inputs, tape, dy, dlast), with one",
    ),
    (
        {"V": zoo.Param("N", "H")},
        "parameter 'V' has size 'N', and 'N' is neither I (input features), H (hidden units) nor",
    ),
    ({"c": zoo.State("H/heads")}, "state 'c' has size 'H/heads', and 'heads' is neither"),
    (
        {"k": zoo.Option(2.0), "c": zoo.State("k"), "forward": TAKING[4], "backward": TAKING[7]},
        "and 'k' is neither",
    ),
    (
        {"k": zoo.Option(True), "c": zoo.State("k"), "forward": TAKING[4], "backward": TAKING[7]},
        "and 'k' is neither",
    ),
    (
        {"x": zoo.State("H"), "step": lambda self, x, h: None},
        "state 'x' has the name of the argument x of step, the input; rename it",
    ),
    ({"H": zoo.Option(3)}, "H is a size and cannot name an option; rename it"),
    ({"I": zoo.Option(3)}, "I is a size and cannot name an option; rename it"),
    (
        {"forward": TAKING[2]},
        "forward(params, x) takes 2 arguments; expected forward(params, x, state), with one argument for",
    ),
    (
        {"backward": TAKING[3]},
        "backward(params, x, state) takes 3 arguments; expected backward(params, x, state, tape, dy, dlast)",
    ),
    (
        {"gain": zoo.Option(1.0)},
        "forward(params, x, state) takes 3 arguments; expected forward(params, x, state, gain)",
    ),
    ({"forward": zoo.njit(TAKING[4])}, "takes 4 arguments; expected forward(params, x, state)"),
    ({"forward": 3}, "forward is 3; expected a function decorated with @zoo.njit"),
    (
        {"mode": zoo.Option("fast"), "forward": TAKING[4], "backward": TAKING[7]},
        "option 'mode' is a string; kernels take numbers and booleans only",
    ),
    ({"_W": zoo.Param("H")}, "'_W' cannot name a parameter, state, option or slot"),
    ({"W\u00e4": zoo.Param("H")}, "'W\u00e4' cannot name a parameter"),
    ({"a b": zoo.Param("H")}, "'a b' cannot name a parameter"),
    ({"lambda": zoo.Option(1.0)}, "'lambda' cannot name a parameter, state, option or slot"),
    ({"options": zoo.Option(1.0)}, "'options' is the name of an attribute or function of a cell"),
    ({"kernel": zoo.Param("H")}, "'kernel' is the name of an attribute or function of a cell"),
    ({"param_shapes": zoo.Param("H")}, "'param_shapes' is the name of an attribute or function of a cell"),
    ({"params": zoo.Param("H")}, "'params' is the name of an attribute or function of a cell"),
    ({"family": zoo.Option(1)}, "'family' is the name of an attribute or function of a cell"),
]


@pytest.mark.parametrize(("change", "words"), BROKEN, ids=[words[:40] for _, words in BROKEN])
def test_malformed_class_raises(change: dict[str, Any], words: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        define(**change)
    message = str(caught.value)
    assert message.startswith("cell class Some (somewhere): "), message
    assert words in message, message
    assert message.endswith("."), "a sentence"


@pytest.mark.parametrize(
    "declare", [zoo.Param, zoo.Buffer, zoo.State, zoo.Input, lambda size: zoo.Option(1.0)]
)
@pytest.mark.parametrize("name", ["step", "forward", "backward", "name", "card", "gates", "state_shapes"])
def test_declaration_with_the_name_of_a_function_raises(name: str, declare: Any) -> None:
    with pytest.raises(
        DefinitionError, match=f"'{name}' is the name of an attribute or function of a cell and"
    ):
        define(**{name: declare("H")})


@pytest.mark.parametrize(("base", "name"), [(zoo.Optimizer, "update"), (zoo.Sampler, "transform")])
def test_option_with_the_name_of_a_kernel_raises(base: Any, name: str) -> None:
    with pytest.raises(DefinitionError, match=f"{name!r} is the name of an attribute or function of "):
        type("Some", (base,), {"__doc__": "Some.", "lr": zoo.Option(1e-3), name: zoo.Option(1.0)})


def test_class_name_without_derivable_name_raises() -> None:
    with pytest.raises(DefinitionError, match=r"cell class _Hidden \(somewhere\): the name '_hidden' cannot"):
        define("_Hidden")


def test_one_declaration_has_one_name() -> None:
    shared = zoo.Param("H")
    with pytest.raises(DefinitionError, match="'b' is the declaration 'a' again; write another"):
        define(a=shared, b=shared)


def test_definition_error_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        define(drop="__doc__")


# --- Classes that are ---


def test_names_and_order_of_declaration() -> None:
    cell = define("PeepholeLSTM", b=zoo.Param("4H"), c=zoo.State("H"))
    assert cell.name == "peephole_lstm"
    assert (list(cell.params), list(cell.states)) == (["W", "b"], ["h", "c"])
    assert cell.label() == "cell 'peephole_lstm'"
    assert cell.error_name() == "cell class PeepholeLSTM (somewhere)"


def test_stated_name_is_not_inherited() -> None:
    stated = type("Stated", (define(),), {"__doc__": "D.", "name": "mine"})
    assert stated.name == "mine"
    assert type("Derived", (stated,), {"__doc__": "D."}).name == "derived"


def test_subclasses_add_to_and_replace_declarations() -> None:
    base = define(b=zoo.Param("H"))
    derived = type("Derived", (base,), {"__doc__": "D.", "b": zoo.Param("H", "H"), "z": zoo.Param("I")})
    assert list(derived.params) == ["W", "b", "z"], "what is replaced keeps its place"
    assert repr(derived.params["b"]) == "Param(H, H)"
    bare = type("Bare", (base,), {"__doc__": "D.", "b": None})
    assert list(bare.params) == ["W"], "what is replaced by something else is no parameter any more"
    assert list(base.params) == ["W", "b"]


def test_abstract_class_is_checked_when_subclassed() -> None:
    class Base(zoo.Cell, abstract=True):
        gain = zoo.Option(1.0)
        h = zoo.State("H")

    assert not hasattr(Base, "card")
    with pytest.raises(DefinitionError, match="no parameter is declared"):
        type("Derived", (Base,), {"__doc__": "D."})
    derived = define("Derived", Base, forward=TAKING[4], backward=TAKING[7])
    assert list(derived.declared_options) == ["gain"]


def test_summary_is_the_first_paragraph_in_one_line() -> None:
    assert (
        define(__doc__="\n  Two lines,\n    one sentence.\n  \n  More.").summary()
        == "Two lines, one sentence."
    )


def test_class_without_a_card_gets_one_with_its_name() -> None:
    cell = define("Mine", drop="card")
    assert cell.card == zoo.Card("Mine")
    assert type("Other", (cell,), {"__doc__": "O."}).card == zoo.Card("Other")
    named = define("Named", card=zoo.Card("An idea", scope="mixer"))
    assert named.card.title == "An idea"


def test_kernels_may_be_static_methods_or_jitted() -> None:
    jitted = zoo.njit(forward)
    cell = define(forward=jitted, backward=staticmethod(backward))
    assert cell.kernel("forward") is jitted
    assert cell.kernel("backward") is backward


def test_docstrings_are_optional_under_optimized_python() -> None:
    code = (
        "import zoo\n"
        "class Some(zoo.Cell):\n"
        "    '''A cell.'''\n"
        "    card = zoo.Card(title='T', authors='A', year=2000, url='https://example.org')\n"
        "    W, h = zoo.Param('H'), zoo.State('H')\n"
        "    forward = lambda params, x, state: None\n"
        "    backward = lambda params, x, state, tape, dy, dlast: None\n"
        "print(Some.name, Some.__doc__)\n"
    )
    run = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "some None\n"


# --- Shapes ---


def test_shapes_and_counts() -> None:
    cell = define(
        heads=zoo.Option(2, low=1),
        V=zoo.Param("H / heads", 3),
        s=zoo.Param(),
        c=zoo.State("heads", "I+H"),
        forward=TAKING[4],
        backward=TAKING[7],
    )(heads=4)
    assert cell.param_shapes(5, 8) == {"W": (5, 8), "V": (2, 3), "s": ()}
    assert cell.state_shapes(5, 8) == {"h": (8,), "c": (4, 13)}
    assert cell.parameter_count(5, 8) == 5 * 8 + 2 * 3 + 1
    assert kernels_of(cell).output_size(5, 8) == 8
    assert type(cell).parameter_formula() == "I·H + (H/heads)·3 + 1"


def test_buffers_inputs_and_complex_arrays_have_shapes_too() -> None:
    cell = define(
        A=zoo.Buffer("H", "H", complex=True),
        D=zoo.Param("2H", complex=True),
        z=zoo.State("I", complex=True),
        n=zoo.State(1, discrete=True),
        dt=zoo.Input(),
        m=zoo.Input("I", 2, default=0.5),
        forward=TAKING[4],
        backward=TAKING[7],
    )()
    assert (list(cell.params), list(cell.buffers), list(cell.inputs)) == (["W", "D"], ["A"], ["dt", "m"])
    assert cell.param_shapes(3, 4) == {"W": (3, 4), "D": (2, 8)}
    assert cell.buffer_shapes(3, 4) == {"A": (2, 4, 4)}
    assert cell.state_shapes(3, 4) == {"h": (4,), "z": (2, 3), "n": (1,)}
    assert cell.input_shapes(3, 4) == {"dt": (), "m": (3, 2)}
    assert cell.parameter_count(3, 4) == 3 * 4 + 2 * 8, "buffers are not trained"
    assert type(cell).parameter_formula() == "I·H + 2·2H"
    assert [state.discrete for state in cell.states.values()] == [False, False, True]


def test_step_replaces_or_accompanies_kernels() -> None:
    def step(self, x, h, dt):
        return h

    derived = define(step=step, dt=zoo.Input(), mode=zoo.Option("fast"), drop="forward backward")
    assert derived.has_step()
    assert derived.is_derived()
    own = define(step=lambda self, x, h: h)
    assert own.has_step()
    assert not own.is_derived()
    assert not define().has_step()


def test_bound_arrays_stand_in_for_declarations() -> None:
    cell = define(step=lambda self, x, h: x @ self.W, gain=zoo.Option(2.0), drop="forward backward")
    bound = cell(gain=3.0).with_arrays({"W": 7.0})
    assert (bound.W, bound.gain) == (7.0, 3.0)
    assert isinstance(cell().W, zoo.Param)


def test_copy_with_arrays_has_attributes_and_code_version_of_the_cell(monkeypatch) -> None:
    def set_double(self, **options):
        super(cls, self).__init__(**options)
        self.double = 2 * self.gain

    def step(self, x, h):
        return h

    half = functools.cached_property(lambda self: self.gain / 2)
    half.__set_name__(None, "half")
    cls = define(__init__=set_double, gain=zoo.Option(2.0), half=half, step=step, drop="forward backward")
    cell = cls(gain=3.0)
    assert cell.half == 1.5
    monkeypatch.setattr(cls, "code_version", lambda: pytest.fail("the code of the class is read"))
    bound = cell.with_arrays({"W": 7.0})
    assert bound == cell
    assert {name: value for name, value in vars(bound).items() if not name.startswith("_")} == {
        "options": {"gain": 3.0},
        "double": 6.0,
        "W": 7.0,
    }


def test_invalid_sizes_name_cell() -> None:
    cell = define(c=zoo.State("H/3"))()
    with pytest.raises(
        UsageError, match=r"^cell 'some': size 'H/3': H=8 is not divisible by 3; choose sizes"
    ):
        cell.state_shapes(5, 8)


# --- Instances ---

Gained = define(
    "Gained", gain=zoo.Option(1.0, low=0.0), heads=zoo.Option(2), forward=TAKING[5], backward=TAKING[8]
)


def test_options_of_an_instance() -> None:
    cell = Gained(gain=2)
    assert (cell.gain, cell.heads) == (2.0, 2)
    assert dict(cell.options) == {"gain": 2.0, "heads": 2}
    assert isinstance(Gained.gain, zoo.Option), "on the class, the declaration"
    assert repr(cell) == "Gained(gain=2.0, heads=2)"
    assert repr(define()()) == "Some()"


def test_options_are_chosen_once() -> None:
    cell = Gained()
    with pytest.raises(
        UsageError, match=r"option 'gain' of a Gained is chosen once; make another, Gained\(gain=3\)"
    ):
        cell.gain = 3
    with pytest.raises(TypeError):
        cell.options["gain"] = 3
    assert cell.gain == 1.0


def test_equality_and_hash() -> None:
    assert Gained() == Gained(gain=1) == Gained(heads=2)
    assert hash(Gained(gain=3)) == hash(Gained(gain=3.0))
    assert Gained(gain=3) != Gained()
    assert len({Gained(), Gained(gain=1.0), Gained(heads=4)}) == 2
    assert (
        Gained()
        != define(
            "Gained", gain=zoo.Option(1.0), heads=zoo.Option(2), forward=TAKING[5], backward=TAKING[8]
        )()
    )
    assert Gained() != "gained"


def test_copies_are_equal() -> None:
    cell = Gained(gain=0.5)
    assert copy.copy(cell) == cell
    assert copy.deepcopy(cell) == cell
    from zoo_cells.classic.vanilla import Vanilla

    assert pickle.loads(pickle.dumps(Vanilla())) == Vanilla(), "a pool of processes sends cells so"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gian": 1.0}, "cell 'gained' has no option 'gian'; it has: gain, heads. Did you mean 'gain'?"),
        ({"zzz": 1.0}, "cell 'gained' has no option 'zzz'; it has: gain, heads."),
        ({"gain": -1.0}, "cell 'gained': option 'gain' is -1.0; expected a finite number at least 0."),
        ({"heads": 2.5}, "cell 'gained': option 'heads' is 2.5; expected an integer."),
        ({"gain": "1"}, "cell 'gained': option 'gain' is '1'; expected a finite number at least 0."),
    ],
)
def test_invalid_options_raise(options: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        Gained(**options)
    assert str(caught.value) == words


def test_option_of_cell_without_options_raises() -> None:
    with pytest.raises(UsageError, match=r"cell 'some' has no option 'x'; it has: none\.$"):
        define()(x=1)


# --- Sources ---


def test_summary_is_the_first_line() -> None:
    assert define(__doc__="\n    One line.\n\n    More.\n    ").summary() == "One line."


_SOURCE = '''
"""One cell."""

import zoo


class One(zoo.Cell):
    """One cell: h' = 2 h + a x."""

    card = zoo.Card(title="One", authors="A. Bee", year=2000, url="https://example.org")
    a = zoo.Param("I", help="input weights")
    h = zoo.State("I", help="the sum")

    def step(self, x, h):
        return 2.0 * h + self.a * x  # twice
'''


def digest_of(source: str, folder: Path) -> str:
    file = folder / f"cell_{len(list(folder.iterdir()))}.py"
    file.write_text(source, encoding="utf-8")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        return module.One.source_digest()
    finally:
        del sys.modules[file.stem]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""One cell."""', '"""One cell, described anew."""'),
        ("One cell: h' = 2 h + a x.", "One cell, described anew."),
        ('title="One"', 'title="Two", history="It is old.", also=(zoo.Card(title="More"),)'),
        ("    card = zoo.Card(", "    card = zoo.Card(  # its source\n"),
        ('help="the sum"', 'help="the weighted sum"'),
        ("  # twice", ""),
        ("2.0 * h + self.a * x", "(2.0 *  h) + self.a * x"),
        ("    def step(self, x, h):\n", '    def step(self, x, h):\n        """One step."""\n'),
    ],
)
def test_text_for_readers_keeps_the_source_digest(old: str, new: str, tmp_path: Path) -> None:
    assert old in _SOURCE
    assert digest_of(_SOURCE.replace(old, new), tmp_path) == digest_of(_SOURCE, tmp_path)


def test_customary_value_keeps_the_source_digest(tmp_path: Path) -> None:
    declared = _SOURCE.replace("    def step", "    bias = zoo.Option(0.0)\n\n    def step")
    customary = declared.replace("Option(0.0)", "Option(0.0, customary=1.0)")
    assert declared != customary
    assert digest_of(customary, tmp_path) == digest_of(declared, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("2.0 * h", "3.0 * h"),
        ("2.0 * h", "2 * h"),
        ("2.0 * h + self.a * x", "2.0 * (h + self.a * x)"),
        ('zoo.State("I"', 'zoo.State("I", complex=True'),
        ("import zoo\n", "import zoo\n\nLIMIT = 3\n"),
    ],
)
def test_code_changes_the_source_digest(old: str, new: str, tmp_path: Path) -> None:
    assert old in _SOURCE
    assert digest_of(_SOURCE.replace(old, new), tmp_path) != digest_of(_SOURCE, tmp_path)


def test_source_digest_is_the_same_in_every_version_of_python(tmp_path: Path) -> None:
    assert digest_of(_SOURCE, tmp_path) == (
        "6293e0c3242fba88c17dc0ad40fa8382a1b25737bd3350c4067e518599a5c63a"
    )


def test_source_digest_of_a_file_that_was_broken_after_its_import(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.base.source_digest._source", lambda _: "def (:")
    assert define().source_digest() == hashlib.sha256(repr("def (:").encode()).hexdigest()


def test_source_digest_without_source_is_empty() -> None:
    assert define().source_digest() == ""


def test_member_is_the_base_of_all() -> None:
    assert all(issubclass(kind, Component) for kind in (zoo.Cell, zoo.Optimizer, zoo.Sampler))


def test_fixed_size_options_belong_to_terms_without_hidden_or_input_size() -> None:
    class Sized(zoo.Cell):
        """Sizes."""

        Wx = zoo.Param("I", "2*expand*H+2*order+heads")
        C = zoo.Param("heads", "H/heads", "width-1")
        h = zoo.State("H")
        s = zoo.State("order/2")
        expand = zoo.Option(2, low=1)
        order = zoo.Option(16, low=1)
        heads = zoo.Option(4, low=1)
        width = zoo.Option(3, low=1)
        scale = zoo.Option(1, low=1)

        def step(self, x, h, s):
            return h, s

    assert Sized(order=8).fixed_size_options() == {"order": 8, "width": 3}
