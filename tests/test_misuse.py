"""Calls that users of other libraries write, and misspelt names: each error says what to write instead."""

from __future__ import annotations

import copy
import functools
import inspect
import re

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
        TypeError, match=r"positional arguments \(.*num_layers\); found \d. Pass the others by name"
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


@pytest.mark.parametrize("value", [0, -1, "abc"])
@pytest.mark.parametrize(
    ("name", "option", "expected"),
    [
        (
            "temperature",
            "temperature",
            ".* at least 1e-06, or the sampler 'greedy' for the most probable symbol",
        ),
        ("top_k", "k", "an integer at least 1 and at most 1,000,000,000"),
        ("top_p", "p", "a finite number at least 1e-06 and at most 1"),
        ("typical", "mass", "a finite number at least 1e-06 and at most 1"),
    ],
)
def test_invalid_value_of_a_sampler_as_an_argument_of_sample(name, option, expected, value):
    sentence = f"ampler '{name}': option '{option}' is {value!r}; expected {expected}.$"
    with pytest.raises(UsageError, match=f"^s{sentence}"):
        zoo.get_sampler(name, **{option: value})
    with pytest.raises(
        TypeError, match=rf"Give sampler=zoo.get_sampler\('{name}', {option}=X\). S{sentence}"
    ):
        MODEL.sample("a", 3, **{name: value})


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
            with pytest.raises(UsageError, match=f"chained with '{name}'; .* zoo.get_sampler\\('{name}'\\)"):
                chain()
        with pytest.raises(UsageError, match=r"chained with 3; .* zoo.get_sampler"):
            one | 3


@pytest.mark.parametrize("name", ["check", "check_cell", "gradcheck"])
def test_names_of_checks_lead_to_the_function(name):
    with pytest.raises(
        AttributeError, match=r"has no attribute .*; zoo\.testing\.check_cell\(MyCell\) checks"
    ):
        getattr(zoo, name)


@pytest.mark.parametrize("kind", ["language model", "sequence model"])
@pytest.mark.parametrize("arguments", [(), (np.zeros((2, 1), int),)])
def test_calling_a_model_names_its_methods(kind, arguments):
    predict = r", model\.predict\(x\) for predictions" if kind == "sequence model" else ""
    expected = (
        rf"^{kind}: a model cannot be called; write model\.outputs\(x\) for the outputs{predict} or model.lo"
    )
    with pytest.raises(UsageError, match=expected):
        objects()[kind](*arguments)


@pytest.mark.parametrize("wrong", [[9], [9, 9], [-1], [-1, 9], [3, 9]])
def test_invalid_tokens_are_named(wrong):
    """One wrong token is named, and of several the range."""
    rnn, tokens = zoo.Recurrent("gru", 3, 4), np.zeros((6, 2), int)
    tokens[: len(wrong), 1] = wrong
    low, high = min(0, *wrong), max(0, *wrong)
    description = f"run from {low} to {high}" if len({*wrong}) > 1 else f"hold {wrong[0]}"
    with pytest.raises(UsageError, match=f"^cell 'gru': inputs {description}; expected tokens from 0 to 2.$"):
        rnn(tokens)


@pytest.mark.parametrize("text", [5, None, 1.5])
@pytest.mark.parametrize("call", ["fit", "evaluate"])
def test_argument_that_is_no_text_has_its_name(call, text):
    with pytest.raises(UsageError, match=f"^{call}: text is {text}; expected a string"):
        getattr(MODEL, call)(text)
    with pytest.raises(UsageError, match=f"^{call}: text: tokens hold 7; expected tokens from 0 to 2"):
        getattr(MODEL, call)([0, 7])
    with pytest.raises(UsageError, match=f"^prompt is {text}; expected a string"):
        MODEL.sample(text)


# ---- attributes ------------------------------------------------------------------------------------------


def objects():
    return {
        "layer": zoo.Recurrent("gru", 3, 4),
        "language model": zoo.LanguageModel("abc", "gru", 4),
        "sequence model": zoo.SequenceModel("gru", 3, 2, 4),
    }


@pytest.mark.parametrize("kind", objects())
def test_assignments_without_effect_are_errors(kind):
    made = objects()[kind]
    before = dict(vars(made))
    arguments = [
        name for name in inspect.signature(type(made)).parameters if name not in ("threads", "batch_first")
    ]
    own = [name for name in vars(made) if not name.startswith("_") and name not in ("threads", "batch_first")]
    for name in {*arguments, *own, "cells", "input_size", "params", "grads", "buffers", "trace"}:
        with pytest.raises(UsageError, match=f"{name}'? cannot be (replaced|changed)|no attribute '{name}'"):
            setattr(made, name, 1)
    for name in arguments:
        if len(name) > 4:
            with pytest.raises(
                UsageError, match=f"no attribute '{name[:-2]}{name[-1]}'; you may .*Did you mean"
            ):
                setattr(made, f"{name[:-2]}{name[-1]}", 1)
    assert vars(made) == before
    with pytest.raises(UsageError, match=r"params cannot be replaced. .*fill\("):
        made.params = {}
    with pytest.raises(
        UsageError, match=r"hidden_size cannot be changed. Make another .* with hidden_size=VALUE"
    ):
        made.hidden_size = 8


@pytest.mark.parametrize("kind", objects())
def test_assignments_with_effect_are_checked(kind):
    made = objects()[kind]
    made.threads = 1
    made.theta = made.theta * 2
    made.grad = made.theta
    made.theta -= 0.1 * made.grad
    made.params["l0.Wh"] = 0
    assert made.threads == 1
    assert not made.params["l0.Wh"].any()
    wrong = [("threads", -1), ("threads", 1.5), ("theta", 3), ("grad", made.theta * 1j)]
    if kind == "layer":
        wrong += [("batch_first", 3)]
        made.batch_first = True
    before = {name: np.copy(getattr(made, name)) for name, _ in wrong}
    for name, value in wrong:
        with pytest.raises(UsageError, match=name):
            setattr(made, name, value)
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(made, name), value)


@pytest.mark.parametrize("base", [zoo.Recurrent, zoo.SequenceModel])
def test_subclasses_of_users_have_attributes_of_their_own(base):
    class Mine(base):
        def __init__(self, *arguments, **more):
            super().__init__(*arguments, **more)
            self.scale, self.hidden_size, self.dropot = 1, 4, None
            self.scale = 2

    mine = Mine("gru", 3, 4)
    for each in (mine, copy.copy(mine), copy.deepcopy(mine)):
        each.scale = 3
        assert (each.scale, each.hidden_size) == (3, 4)
        for name in ("params", "grads", "config"):
            with pytest.raises(UsageError, match=f"{name} cannot be replaced"):
                setattr(each, name, {})


VALUES = {
    "lr": [-1, -1e-9, float("nan"), float("inf"), "1", None, True, 1j],
    "clip_norm": [-1, 0, float("nan"), float("inf"), "1", True, 1j],
    "state": [None, {}, {"step": 0}],
}


@pytest.mark.parametrize("name", VALUES)
def test_refused_value_of_a_bound_optimizer_is_not_stored(name):
    rnn = zoo.Recurrent("gru", 3, 4)
    opt = zoo.get_optimizer("adam", lr=0.25).bind(rnn, clip_norm=2.0)
    rnn.grad = np.ones_like(rnn.grad)
    opt.step()
    before = opt.state
    good = [{**before, each: value} for each, value in [("lr", -1), ("step", -1), ("step", 1.5)]]
    for value in VALUES[name] + (good if name == "state" else []):
        with pytest.raises(UsageError):
            setattr(opt, name, value)
        assert (opt.lr, opt.clip_norm) == (0.25, 2.0)
        np.testing.assert_equal(opt.state, before)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("learning_rate", "lr"),
        ("lrr", "lr"),
        ("max_norm", "clip_norm"),
        ("clip_nom", "clip_norm"),
        ("clip", "clip_norm"),
    ],
)
def test_unknown_attribute_of_a_bound_optimizer(name, meant):
    opt = zoo.get_optimizer("sgd").bind(zoo.Recurrent("gru", 3, 4))
    with pytest.raises(UsageError, match=f"'{name}' cannot be changed; .* Did you mean '{meant}'"):
        setattr(opt, name, 1)
    with pytest.raises(UsageError, match="'optimizer' cannot be changed"):
        opt.optimizer = None


@pytest.mark.parametrize("position", [0, 1])
def test_optimizers_bind_no_read_only_parameters(position):
    arrays = [(np.ones(3), np.ones(3)), (np.ones((2, 2)), np.ones((2, 2)))]
    arrays[position][1].flags.writeable = False  # gradients are only read
    zoo.get_optimizer("sgd").bind(*arrays).step()
    arrays[position][0].flags.writeable = False
    with pytest.raises(
        UsageError, match=rf"argument {position + 1} of bind are a read-only .*theta.copy\(\)"
    ):
        zoo.get_optimizer("sgd").bind(*arrays)


# ---- values of arrays ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "description"),
    [
        (np.ones((3, 12)) * 1j, r"complex128\(3, 12\)"),
        (np.ones((3, 12), np.complex64), r"complex64\(3, 12\)"),
        (1j, "1j"),
        (np.ones((3, 5)), r"float64\(3, 5\)"),
        (np.ones((2, 3, 12)), r"float64\(2, 3, 12\)"),
        ("a", "'a'"),
        (None, "None"),
        (np.zeros((3, 12), "M8[s]"), "datetime64"),
    ],
)
@pytest.mark.parametrize("kind", ["layer", "sequence model"])
def test_values_that_do_not_fit_an_array(kind, value, description):
    made = objects()[kind]
    before = made.theta.copy()
    expected = rf"array '.*Wx': found {description}.*; expected real numbers of the shape \(3, 12\).$"
    with pytest.raises(UsageError, match=expected):
        made.fill({"l0.Wx": value})
    with pytest.raises(UsageError, match=expected):
        made.params["l0.Wx"] = value
    np.testing.assert_array_equal(made.theta, before)


@pytest.mark.parametrize("kind", ["layer", "sequence model"])
def test_strict_fill_needs_all_arrays(kind):
    made = objects()[kind]
    values = {name: np.full(value.shape, 0.5) for name, value in {**made.params, **made.buffers}.items()}
    for missing in values:
        before, partial = made.theta.copy(), {name: values[name] for name in values if name != missing}
        with pytest.raises(
            UsageError, match=f"^fill: strict is True and there is no value for {missing}; give"
        ):
            made.fill(partial, strict=True)
        np.testing.assert_array_equal(made.theta, before)
    made.fill({name.removeprefix("l0."): value for name, value in values.items()}, strict=True)
    assert (made.theta == 0.5).all()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i8", "u1", "?"])
def test_real_values_are_converted(dtype):
    rnn = zoo.Recurrent("gru", 3, 4)
    rnn.fill({"Wx": np.ones((3, 12), dtype)})
    assert (rnn.params["Wx"] == 1).all()


# ---- settings without effect -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make",
    [
        lambda **options: zoo.Recurrent("gru", 3, 4, **options),
        lambda **options: zoo.SequenceModel("gru", 3, 2, 4, **options),
        lambda **options: zoo.LanguageModel("abc", "gru", 4, **options),
    ],
)
@pytest.mark.parametrize("option", [{"dropout": 0.5}, {"residual": True}])
def test_settings_without_effect_warn(make, option):
    (name,) = option
    with pytest.warns(zoo.ZooWarning, match=f"{name} is .* has no effect, because .*num_layers=2") as caught:
        make(**option)
    assert caught[0].filename == __file__
    made = make(**option, num_layers=2)
    copy.deepcopy(made)
    if name == "residual":
        zoo.Recurrent("gru", 4, 4, residual=True)


@pytest.mark.parametrize("steps", [1, 700])
def test_steps_and_epochs_exclude_each_other(steps):
    text, sequences = (lambda **n: MODEL.fit("abcabc", **n)), zoo.SequenceModel("gru", 3, 2, 4)
    arrays = np.zeros((2, 2, 3)), [0, 1]
    for fit in (text, functools.partial(sequences.fit, *arrays)):
        with pytest.raises(UsageError, match="`steps` and `epochs` are both given"):
            fit(steps=steps, epochs=1)
        assert fit(steps=None, epochs=1)
        assert fit(steps=1)


# ---- shapes, dtypes and files of others ------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(3,), (2, 4), (2, 2, 3), (0, 3), ()])
@pytest.mark.parametrize("dtype", ["f4", "i8", "?"])
def test_step_states_the_shapes_of_one_step(shape, dtype):
    x = np.zeros(shape, dtype)
    rnn = zoo.Recurrent("gru", 3, 4)
    if x.shape == (3,) and dtype == "i8":
        assert rnn.step(x)[0].shape == (3, 4)
        return
    description = re.escape(f"{x.dtype}{x.shape}" if shape else str(x.item()))
    with pytest.raises(
        UsageError, match=rf"step: inputs are {description}; expected floats \(B, 3\) or integer"
    ):
        rnn.step(x)


@pytest.mark.parametrize("dtype", ["i1", "i8", "u2", "?"])
@pytest.mark.parametrize("batch_first", [False, True])
def test_integer_features_name_the_conversion(dtype, batch_first):
    rnn = zoo.Recurrent("gru", 3, 4, batch_first=batch_first)
    x = np.ones((2, 2, 3), dtype)
    for call in (rnn, zoo.SequenceModel("gru", 3, 2, 4).outputs):
        with pytest.raises(UsageError, match=r"Convert features to floats, x.astype\('float32'\)"):
            call(x)
    with pytest.raises(UsageError, match=r"Convert features to floats, x.astype\('float32'\)"):
        rnn.step(x[0])


@pytest.mark.parametrize(
    ("name", "write", "words"),
    [
        ("a.npz", lambda path: np.savez(path, a=np.ones(3)), "zip archive, .*from_torch.*fill"),
        ("a.npy", lambda path: np.save(path, np.ones(3)), "array of NumPy .*np.load"),
        ("a.h5", lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "HDF5 file; .*from_keras"),
    ],
)
def test_files_of_other_libraries_are_named(tmp_path, name, write, words):
    write(tmp_path / name)
    with pytest.raises(zoo.CheckpointError, match=f"is not a checkpoint \\(.safetensors\\) but an? {words}"):
        zoo.load(tmp_path / name)


def test_weights_of_pytorch_name_the_conversion():
    class Module:
        def state_dict(self):
            return {}

    with pytest.raises(UsageError, match=r"pass module.state_dict\(\)"):
        zoo.convert.from_torch("gru", Module())
    weights = zoo.convert.to_torch("lstm_projected", zoo.Recurrent("lstm_projected", 3, 4).params)
    with pytest.raises(UsageError, match=r"give the cell zoo.get_cell\('lstm_projected', proj=32\)"):
        zoo.convert.from_torch("lstm", weights)


@pytest.mark.parametrize("word", ["forzen", "frozn", "Frozen"])
def test_misspelt_group_gives_the_nearest_word(word):
    with pytest.raises(UsageError, match=f"unknown setting '{word}'; .* Did you mean 'frozen'"):
        zoo.get_optimizer("adam").bind(zoo.Recurrent("gru", 3, 4), param_groups={"Wx": word})


def test_table_without_target_lists_its_columns():
    with pytest.raises(UsageError, match=r"the data is a table; .*Its columns are 0 \(number\)"):
        zoo.train(np.ones(30))
