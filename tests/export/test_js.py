"""Exported JavaScript computes the values of the equations, and samples the text of Python."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from export_asserts import Mixed, case, drawn_operands, largest_difference
from export_machine import flat
from hypothesis import given
from hypothesis import strategies as st
from js_modules import JsError
from new_operations import Products
from random_trials import examples

import zoo
from zoo.compiler.ir.op_table import OPS, elementwise_rows
from zoo.data import WordVocabulary
from zoo.data.words import split_words
from zoo.errors import UsageError
from zoo.export.js_source import FUNCTIONS, HELPERS, JsSyntax, js_comment, js_value

# The tolerances of C: about a hundred roundings of a dtype, for sums of at most 24 products and a few
# functions in each of five steps. JavaScript rounds to float32 less often than C.
SINGLE, DOUBLE = 5e-6, 1e-13

pytestmark = pytest.mark.usefixtures("plain_python")


def difference(node, rnn, tokens=None):
    """The largest difference between the steps of a module and the equations."""
    numbers = case(rnn, 4, 1)
    y, *last = numbers.expected()
    aux = [value[:, 0] for value in numbers.inputs.values()]
    state = {name: value[0] for name, value in numbers.state.items()}
    actual = node.steps(node.module(rnn, tokens), numbers.x[:, 0], aux, state)
    expected = [y[:, 0], flat(last)]
    return largest_difference(actual, [each.astype(np.float64) for each in expected])


# Layers


@pytest.mark.parametrize("name", zoo.list_cells())
def test_every_cell_matches_reference(name, node):
    assert difference(node, zoo.Recurrent(name, 3, 8, seed=1)) < SINGLE


@pytest.mark.parametrize("cell", ["lstm", "slstm", "lstm+zoneout", "griffin(gru)", Mixed, Products])
def test_layer_of_float64(cell, node):
    assert difference(node, zoo.Recurrent(cell, 3, 8, dtype="float64", seed=1)) < DOUBLE


def check_steps(node, model, x, tolerance, int8=False, **inputs):
    """Check one sequence against the pass in Python from the initial states on."""
    expected_model = zoo.export.int8_weights(model) if int8 else model
    forward = model.forward if isinstance(model, zoo.Recurrent) else expected_model.outputs
    tokens = x.ndim == 2 or None
    y, last = forward(x, **inputs)
    aux = [value[:, 0] for value in inputs.values()]
    actual = node.steps(node.module(model, tokens, int8), x[:, 0], aux)
    expected = [y[:, 0].astype(float), flat(last.values()).astype(float)]
    assert largest_difference(actual, expected) < tolerance


@pytest.mark.parametrize("tokens", [False, True], ids=["features", "tokens"])
def test_residual_layers_with_learned_initial_states(tokens, node):
    rnn = zoo.Recurrent(["gru", "t_gru", "mgu"], 8, 8, residual=True, learned_state=True, seed=1)
    rnn.theta = np.random.default_rng(0).normal(0, 0.3, rnn.theta.shape)
    check_steps(node, rnn, np.arange(5)[:, None] if tokens else case(rnn, 5, 1).x, SINGLE)


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    "settings", [{"num_layers": 2}, {"embedding": 8, "tie": True}, {"embedding": 3, "block": "prenorm"}]
)
def test_language_model_matches_python(settings, dtype, int8, node):
    model = zoo.LanguageModel("helo wrd", cell="gru", hidden_size=8, dtype=dtype, seed=3, **settings)
    tokens = np.array([0, 3, 1, 1, 7, 2])
    expected = zoo.export.int8_weights(model) if int8 else model
    logits, last = expected.logits(tokens[:, None])
    actual = node.steps(node.module(model, int8=int8), tokens)
    tolerance = SINGLE if dtype == "float32" else DOUBLE
    expected = [logits[:, 0].astype(float), flat(last.values()).astype(float)]
    assert largest_difference(actual, expected) < tolerance


@pytest.mark.parametrize("cells", ["cfc", "phased_lstm", ["gru", "ctrnn"]])
@pytest.mark.parametrize("embedding", [None, 4])
def test_aux_inputs_of_sequence_model(cells, embedding, node):
    model = zoo.SequenceModel(cells, 3, 2, hidden_size=4, loss="squared_error", embedding=embedding, seed=1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 1, 3)).astype(np.float32) if embedding is None else rng.integers(0, 3, (5, 1))
    shapes = model.stack.input_shapes
    inputs = {name: rng.uniform(0, 3, (5, 1, *shape)).astype(np.float32) for name, shape in shapes.items()}
    check_steps(node, model, x, SINGLE, **inputs)


SEQUENCE = "return new module.Model().sequence(given.x, ...given.aux);"


@pytest.mark.parametrize("tokens", [False, True], ids=["features", "tokens"])
def test_bidirectional_layers_read_whole_sequences(tokens, node):
    switches = {"bidirectional": True, "residual": True, "learned_state": True, "dtype": "float64"}
    rnn = zoo.Recurrent(["lstm", "gru"], 8, 4, **switches)
    rnn.theta = np.random.default_rng(0).normal(0, 0.3, rnn.theta.shape)
    x = np.arange(5)[:, None] if tokens else case(rnn, 5, 1).x
    y = node.call(node.module(rnn, tokens), SEQUENCE, {"x": x[:, 0], "aux": []})
    np.testing.assert_allclose(y, rnn.forward(x)[0][:, 0], atol=1e-12)
    assert node.call(node.module(rnn, tokens), SEQUENCE, {"x": [], "aux": []}) == []


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sequence()", "TypeError: x is undefined; expected an array with an element for each step."),
        ("sequence('abc')", 'TypeError: x is "abc"; expected an array with an element for each step.'),
        ("sequence([[1, 2, 3], 4])", "RangeError: x[1] is 4; expected an array of 3 numbers."),
        ("sequence([[1, 2, 3]])", "RangeError: dt is undefined; expected 1 rows, one for each step."),
    ],
)
def test_invalid_sequences_throw(code, message, node):
    path = node.module(zoo.Recurrent("cfc", 3, 2, bidirectional=True, dtype="float64", seed=2))
    with pytest.raises(JsError, match=re.escape(message)):
        node.call(path, f"return new module.Model().{code};")


@pytest.mark.parametrize("cells", ["cfc", "gru+episodes"])
def test_aux_inputs_of_bidirectional_layers(cells, node):
    rnn = zoo.Recurrent(cells, 3, 2, bidirectional=True, dtype="float64", seed=2)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 1, 3))
    inputs = {name: rng.integers(0, 2, (5, 1)).astype(float) for name in rnn.stack.input_shapes}
    aux = [value[:, 0] for value in inputs.values()]
    y = node.call(node.module(rnn), SEQUENCE, {"x": x[:, 0], "aux": aux})
    np.testing.assert_allclose(y, rnn.forward(x, **inputs)[0][:, 0], atol=1e-12)


def test_bidirectional_model_with_an_embedding(node):
    model = zoo.SequenceModel("gru", 7, 2, 4, bidirectional=True, embedding=3, dtype="float64", seed=1)
    x = np.array([5, 0, 2, 6, 1])
    y = node.call(node.module(model), SEQUENCE, {"x": x, "aux": []})
    np.testing.assert_allclose(y, model.outputs(x[:, None])[0][:, 0], atol=1e-12)


class Awkward(zoo.Cell):
    """Names that mean something in JavaScript."""

    function = zoo.Param("I", "H", init="glorot_uniform")
    sigmoid = zoo.Param("H", init="ones")
    new = zoo.State("H")
    token = zoo.State("H")
    let = zoo.Input("H", default=1.0)

    def step(self, x, new, token, let):
        copy = zoo.tanh(x @ self.function + new)
        var = zoo.sigmoid(copy) * self.sigmoid * copy
        at = np.cumsum(var)
        Math = np.max(at) + let
        return Math * var, zoo.softplus(at + token)


def test_reserved_names_are_renamed(node):
    assert difference(node, zoo.Recurrent(Awkward, 3, 4, seed=1)) < SINGLE


class GlobalNames(zoo.Cell):
    """Auxiliary inputs that are named after objects of JavaScript, which the code of a sequence uses."""

    w = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")
    Array = zoo.Input("H", default=1.0)
    RangeError = zoo.Input("H", default=1.0)
    state_of = zoo.Input("H", default=1.0)

    def step(self, x, h, Array, RangeError, state_of):
        return zoo.tanh(x @ self.w + h * Array + RangeError * state_of)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_global_names_are_renamed(bidirectional, node):
    rnn = zoo.Recurrent(GlobalNames, 3, 4, bidirectional=bidirectional, dtype="float64", seed=1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 1, 3))
    inputs = {name: rng.normal(size=(5, 1, *shape)) for name, shape in rnn.stack.input_shapes.items()}
    expected = rnn.forward(x, **inputs)[0][:, 0]
    aux = [value[:, 0] for value in inputs.values()]
    if bidirectional:
        actual = node.call(node.module(rnn), SEQUENCE, {"x": x[:, 0], "aux": aux})
    else:
        actual = node.steps(node.module(rnn), x[:, 0], aux)[0]
    np.testing.assert_allclose(actual, expected, atol=1e-12)


# Text

symbols = st.one_of(
    st.lists(st.characters(exclude_categories=["Cs"]), min_size=2, max_size=12, unique=True),
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=4),
        min_size=2,
        max_size=12,
        unique=True,
    ),
    st.lists(
        st.sampled_from(
            ["</script>", "<!--", "*/", "`${x}`", "__proto__", "\u2028", "\\", '"', "\0", "\ufeff", "é"]
        ),
        min_size=2,
        unique=True,
    ),
    st.lists(st.integers(0, 255), min_size=2, max_size=12, unique=True),
)
TEXT = """
return { tokens: module.tokens(given.text), text: module.text(given.sequence), symbols: module.symbols,
    sample: new module.Model().sample(given.start, 9, { temperature: 0.7, seed: given.seed }) };
"""


@examples(25)
@given(symbols=symbols, numbers=st.lists(st.integers(0, 11), max_size=9), seed=st.integers(0, 2**53 - 1))
def test_texts_of_any_vocabulary(symbols, numbers, seed, node):
    model = zoo.LanguageModel(symbols, cell="vanilla", hidden_size=2, dtype="float64", seed=1)
    model.theta = np.random.default_rng(0).normal(0, 1, model.theta.shape)
    vocabulary = model.vocab
    sequence = [number % len(vocabulary) for number in numbers]
    path, text = node.module(model), vocabulary.decode(sequence)
    is_text = vocabulary.level != "byte" or "\ufffd" not in text
    text = text if is_text else ""
    start = sequence[:3]
    sampler = zoo.get_sampler("temperature", temperature=0.7)
    assert node.call(path, TEXT, {"text": text, "sequence": sequence, "start": start, "seed": seed}) == {
        "tokens": vocabulary.encode(text).tolist(),
        "text": vocabulary.decode(sequence),
        "symbols": [vocabulary.decode([token]) for token in range(len(vocabulary))],
        "sample": model.sample(np.array(start, int) if start else "", 9, sampler, seed=seed),
    }
    source = path.read_text()
    assert "</script" not in source
    assert "<!--" not in source


def test_texts_of_special_vocabularies(node):
    """A byte order mark is text, and the longest of several symbols is taken."""
    path = node.module(zoo.LanguageModel([0xEF, 0xBB, 0xBF, 0x41], hidden_size=2))
    assert node.call(path, "return module.text([0, 1, 2, 3]);") == "\ufeffA"
    assert node.call(path, "return module.tokens(given);", "\ufeffA") == [0, 1, 2, 3]
    vocabulary = zoo.data.Vocabulary(["a", "ab", "abc", "\U0001f600"])
    path = node.module(zoo.LanguageModel(vocabulary, hidden_size=2))
    text = "abcaba\U0001f600ab"
    assert node.call(path, "return module.tokens(given);", text) == vocabulary.encode(text).tolist()


@examples(60)
@given(
    text=st.text(
        st.one_of(
            st.sampled_from(
                " \t\n\r\x1c\x85\xa0\u2003\u3000.,;-_'\"09aZéßñ中\u0301\u0930\u094d\u200d\U0001f600\ufeff"
            ),
            st.characters(max_codepoint=0x2FFF, exclude_categories=["Cs", "Cn"]),
        ),
        max_size=30,
    )
)
def test_words_are_those_of_python(text, node):
    words = list(dict.fromkeys(["a", *split_words(text)]))
    vocabulary = WordVocabulary(["<unk>", *words])
    path = node.module(zoo.LanguageModel(vocabulary, hidden_size=2))
    for whole in (text, f"{text} unknown", f"unknown {text}"):
        assert node.call(path, "return module.tokens(given);", whole) == vocabulary.encode(whole).tolist()


def test_token_numbers(node):
    vocabulary = zoo.data.TokenVocabulary(12)
    path = node.module(zoo.LanguageModel(vocabulary, hidden_size=2))
    assert node.call(path, "return module.tokens(' 3 11\\n0');") == [3, 11, 0]
    assert node.call(path, "return module.text([3, 11]);") == "3 11 "
    for text in ("12", "-1", "a", "1.5"):
        with pytest.raises(JsError, match=r"RangeError: a token is .*; expected an integer from 0 to 11"):
            node.call(path, "return module.tokens(given);", text)


DRAWS = """
const random = new module.Random(7);
return given.map((logits) => [module.draw(logits, 0.5, random), module.draw(logits, 0, new module.Random())]);
"""


def test_draws_are_those_of_python(node):
    path = node.module(zoo.LanguageModel("abcdefgh", hidden_size=4))
    chain = zoo.Chain((zoo.get_sampler("temperature", temperature=0.5),))
    logits = np.random.default_rng(0).normal(0, 2, (200, 8)).astype(np.float32)
    expected = [
        [chain(each, zoo.kernels.uniform(7, draw)), int(each.argmax())] for draw, each in enumerate(logits)
    ]
    assert node.call(path, DRAWS, logits) == expected
    certain = np.full(8, -np.inf)
    certain[5] = 0
    assert node.call(path, DRAWS, certain[None]) == [[5, 5]]
    with pytest.raises(JsError, match="RangeError: all scores are minus infinity"):
        node.call(path, DRAWS, np.full((1, 8), -np.inf))
    for wrong in (np.nan, np.inf):
        with pytest.raises(
            JsError, match=r"RangeError: the score of token 3 is .*; expected a finite number"
        ):
            node.call(path, DRAWS, np.where(np.arange(8) == 3, wrong, logits[:1]))


def test_probabilities_are_the_softmax(node):
    path = node.module(zoo.LanguageModel("abcd", hidden_size=4))
    logits = np.array([0.5, -1.0, 800.0, 799.0])
    weights = np.exp((logits - 800) / 2)
    actual = node.call(path, "return module.probabilities(given, 2);", logits)
    np.testing.assert_allclose(actual, weights / weights.sum(), rtol=1e-14)
    assert node.call(path, "return module.probabilities(given, 0);", logits) == [0, 0, 1, 0]


# Invalid arguments


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("model.step(4)", "RangeError: token is 4; expected an integer from 0 to 3."),
        ("model.step(0.5)", "RangeError: token is 0.5; expected an integer from 0 to 3."),
        ("model.step('a')", 'RangeError: token is "a"; expected an integer from 0 to 3.'),
        ("model.step()", "RangeError: token is undefined; expected an integer from 0 to 3."),
        (
            "model.sample('axb')",
            'RangeError: not among the 4 symbols of the vocabulary: "x"; leave them out.',
        ),
        ("model.sample('a', -1)", "RangeError: length is -1; expected an integer from 0 on."),
        ("model.sample('a', 1, { seed: -1 })", "RangeError: seed is -1; expected an integer from 0 on, from"),
        (
            "model.sample('a', 1, { seed: -1n })",
            "RangeError: seed is -1; expected an integer from 0 on, from",
        ),
        ("model.sample('a', 1, { seed: 2 ** 53 })", "RangeError: seed is 9007199254740992; expected an"),
        ("model.sample('a', 1, { seed: '1' })", 'RangeError: seed is "1"; expected an integer'),
        ("new module.Random(0, -3)", "RangeError: draws is -3; expected an integer from 0 on."),
        ("new module.Random(0, 1.5)", "RangeError: draws is 1.5; expected an integer from 0 on."),
        ("model.sample(5, 5)", "TypeError: prompt is 5; expected a string or an array of tokens."),
        ("model.sample({}, 5)", "TypeError: prompt is an object; expected a string or"),
        ("model.sample(Symbol('a'), 2)", "TypeError: prompt is Symbol(a); expected a string or"),
        ("model.sample(null)", "TypeError: prompt is null; expected a string or"),
        ("model.sample([0, , 1], 2)", "RangeError: prompt[1] is undefined; expected an integer from 0 to 3."),
        ("model.sample('a', '5')", 'RangeError: length is "5"; expected an integer from 0 on.'),
        ("model.sample('a', 5, null)", "TypeError: options is null; expected an object."),
        (
            "model.sample('a', 5, { temprature: 0 })",
            'RangeError: "temprature" is not an option; expected temperature or seed.',
        ),
        ("model.sample('a', 0, { temperature: null })", "RangeError: temperature is null; expected a number"),
        ("model.sample('a', 1, { temperature: [] })", "RangeError: temperature is an array of 0; expected a"),
        ("model.sample('a', 1, { temperature: '0.5' })", 'RangeError: temperature is "0.5"; expected a'),
        ("module.probabilities([])", "RangeError: logits is an array of 0; expected an array of 4 scores."),
        ("module.probabilities()", "RangeError: logits is undefined; expected an array of 4 scores."),
        (
            "module.probabilities([0, 0, '1', 0])",
            'RangeError: the score of token 2 is "1"; expected a finite',
        ),
        ("module.draw([1, 2, 3, 4], 1)", "TypeError: random is undefined; expected a Random."),
        ("module.text()", "TypeError: tokens is undefined; expected an array of tokens."),
        ("module.text(3)", "TypeError: tokens is 3; expected an array of tokens."),
        ("module.text('0')", 'TypeError: tokens is "0"; expected an array of tokens.'),
        (
            "model.state = undefined; model.step(0)",
            "TypeError: state.l0_h is undefined; expected a Float32Array",
        ),
        (
            "model.state.l0_h = [1]; model.step(0)",
            "TypeError: state.l0_h is an array of 1; expected a Float32Array",
        ),
        ("model.state.l0_h = [1, 2]; model.step(0)", "TypeError: state.l0_h is an array of 2; expected a"),
        (
            "model.sample('a', 1, { temperature: NaN })",
            "RangeError: temperature is NaN; expected a number from",
        ),
        ("module.text([9])", "RangeError: a token is 9; expected an integer from 0 to 3."),
    ],
)
def test_invalid_arguments_of_a_language_model_throw(code, message, node):
    path = node.module(zoo.LanguageModel("abcd", hidden_size=2))
    with pytest.raises(JsError, match=re.escape(message)):
        node.call(path, f"const model = new module.Model(); {code};")


VOCABULARIES = {
    "characters": zoo.data.Vocabulary(["a", "b"]),
    "words": WordVocabulary(["<unk>", "a"]),
    "numbers": zoo.data.TokenVocabulary(3),
}


@pytest.mark.parametrize("value", ["undefined", "3", "['a']"])
@pytest.mark.parametrize("kind", VOCABULARIES)
def test_tokens_read_strings_alone(kind, value, node):
    path = node.module(zoo.LanguageModel(VOCABULARIES[kind], hidden_size=2))
    with pytest.raises(JsError, match=r"TypeError: text is .*; expected a string\."):
        node.call(path, f"return module.tokens({value});")


def test_unknown_bytes_are_in_hex(node):
    path = node.module(zoo.LanguageModel([0x41, 0x42, 10], hidden_size=2))
    with pytest.raises(
        JsError, match="not among the 3 symbols of the vocabulary: 0xd0, 0x96; leave them out"
    ):
        node.call(path, "return module.tokens(given);", "A\u0416")


def test_any_seed_of_zoo_is_a_seed(node):
    """Also those that are larger than the integers of a number."""
    path = node.module(zoo.LanguageModel("abcd", hidden_size=2))
    drawn = node.call(path, "return new module.Random(2n ** 63n - 1n).uniform();")
    assert drawn == zoo.kernels.uniform(2**63 - 1, 0)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("step([1, 2], 1)", "RangeError: x is an array of 2; expected an array of 3 numbers."),
        ("step(7, 1)", "RangeError: x is 7; expected an array of 3 numbers."),
        ("step([1, null, 3], 1)", "TypeError: x[1] is null; expected a number."),
        ("step([1, 2, '3'], 1)", 'TypeError: x[2] is "3"; expected a number.'),
        ("step([1, 2, 3])", "RangeError: dt is undefined; expected a number."),
    ],
)
def test_invalid_arguments_of_layers_throw(code, message, node):
    path = node.module(zoo.Recurrent("cfc", 3, 2, seed=1))
    with pytest.raises(JsError, match=re.escape(message)):
        node.call(path, f"return new module.Model().{code};")


# The table of operations

ROWS = {name: op for name, op in elementwise_rows().items() if op.exact_gradient}


def test_every_function_of_the_table_has_code():
    called = {name for op in OPS.values() for name in re.findall(r"\$(\w+)", op.export)}
    assert called <= {*FUNCTIONS, *HELPERS}


def test_every_operation_matches_numpy(node):
    lines = [*HELPERS.values(), "const results = {};"]
    operands = {name: drawn_operands(op, "float64") for name, op in ROWS.items()}
    for name, op in ROWS.items():
        code = JsSyntax().operation(op, np.dtype("float64"), set()).format(*"abc"[: len(op.domain)])
        names = ", ".join("abc"[: len(op.domain)])
        lines.append(f"results.{name} = given.{name}.map(([{names}]) => Number({code}));")
    given = {name: np.array(values, np.float64).T for name, values in operands.items()}
    results = node.call(None, "\n".join([*lines, "return results;"]), given)
    for name, op in ROWS.items():
        with np.errstate(all="ignore"):
            expected = np.asarray(op.numpy(*operands[name]), np.float64)
        actual = [float(value) for value in results[name]]
        np.testing.assert_allclose(actual, expected, rtol=1e-14, atol=1e-15, err_msg=name)


def test_powers_are_those_of_numpy(node):
    """At the ends, where Math.pow differs from C and NumPy."""
    ends = [-np.inf, -2.0, -1.0, -0.0, 0.0, 0.5, 1.0, 2.0, 3.0, np.inf, np.nan]
    pairs = np.array([(a, b) for a in ends for b in ends])
    code = f"{HELPERS['pow']} return given.map(([a, b]) => pow(a, b));"
    with np.errstate(all="ignore"):
        expected = np.power(*pairs.T)
    np.testing.assert_allclose([float(each) for each in node.call(None, code, pairs)], expected, rtol=1e-15)


# Source


@examples(60)
@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_literals_are_ascii_that_cannot_end_a_script(text, node):
    literal = js_value(text)
    assert literal.isascii()
    assert not {"<", ">", "&"} & set(literal)
    assert node.call(None, f"return {literal};") == text
    assert json.loads(literal) == text
    assert node.call(None, f"return {js_value([np.inf, -np.inf, 0.1])};") == ["Infinity", "-Infinity", 0.1]
    assert node.call(None, f"/** {js_comment(text)} */ return 1;") == 1


@pytest.mark.parametrize("weights", ["float", "int8"])
def test_file_and_its_description(weights, tmp_path, node):
    model = zoo.LanguageModel("abcd", cell="lstm", hidden_size=4, num_layers=2, seed=1)
    made = zoo.export.to_js(model, tmp_path / "m.js", weights=weights)
    assert made.bytes == (tmp_path / "m.js").stat().st_size
    assert made.sizes == {"weights": made.sizes["weights"], "states": 4 * 16}
    c_files = zoo.export.to_c(model, tmp_path / "m.c", weights=weights)
    assert made.sizes["weights"] == c_files.sizes["weights"]
    (tmp_path / "m.js").rename(tmp_path / "m.mjs")
    names, info = node.call(tmp_path / "m.mjs", "return [Object.keys(module), module.info];")
    assert sorted(names) == sorted(made.names)
    assert info["states"] == {name: [4] for name in ("l0_h", "l0_c", "l1_h", "l1_c")}
    assert (info["cell"], info["weights"], info["parameters"]) == ("lstm", weights, model.theta.size)


@pytest.mark.parametrize("name", ["model", "model.c", "model.json"])
def test_other_endings_raise(name, tmp_path):
    with pytest.raises(UsageError, match=r"expected a name that ends with .js or .mjs"):
        zoo.export.to_js(zoo.Recurrent("gru", 3, 4), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_existing_file_is_kept(tmp_path):
    rnn = zoo.Recurrent("gru", 3, 4)
    (tmp_path / "model.js").write_text("mine")
    with pytest.raises(UsageError, match=r"model\.js is there already"):
        zoo.export.to_js(rnn, tmp_path / "model.js")
    assert (tmp_path / "model.js").read_text() == "mine"
    assert zoo.export.to_js(rnn, tmp_path / "model.js", force=True).bytes > 1000
