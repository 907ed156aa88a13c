"""Exported C compiles without a warning, and makes what the equations make; texts too, draw by draw."""

from __future__ import annotations

import ctypes
import re
import subprocess

import numpy as np
import pytest
from export_asserts import Mixed, case, drawn_operands, largest_difference
from export_machine import Machine, build, flat, needs_compiler, pointer
from new_operations import Products

import zoo
from zoo.compiler.ir.op_table import OPS, elementwise_rows
from zoo.errors import UsageError
from zoo.export import c_source as table
from zoo.export.c_model import c_program
from zoo.export.c_source import identifier_prefix, number_literal, string_literal
from zoo.export.exported_model import exported_model
from zoo.export.syntax import BraceWriter

SINGLE, DOUBLE = 5e-6, 1e-13
CARD = zoo.Card(title="None", authors="The tests", year=2026, url="https://example.org")


# What it makes


@needs_compiler
@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [
        *((name, "float32", SINGLE) for name in ("vanilla", "gru", "fastgrnn", "lstm", "ctrnn", "slstm")),
        ("lstm", "float64", DOUBLE),
        ("lstm+zoneout", "float32", SINGLE),
        ("griffin(gru)", "float32", SINGLE),
        (Mixed, "float32", SINGLE),
        (Mixed, "float64", DOUBLE),
        (Products, "float64", DOUBLE),
    ],
)
def test_layer_matches_reference(name, dtype, tolerance, tmp_path):
    numbers = case(zoo.Recurrent(name, 3, 8, dtype=dtype, seed=1), 5, 1)
    machine = Machine(numbers.rnn, tmp_path)
    inputs = {key: value[:, 0] for key, value in numbers.inputs.items()}
    y, *last = numbers.expected()
    outputs = machine.run(numbers.x[:, 0], flat(numbers.state.values()), inputs)
    assert largest_difference(list(outputs), [y[:, 0], flat(last)]) < tolerance


@needs_compiler
@pytest.mark.parametrize("name", ["vanilla", "gru", "fastgrnn", "lstm"])
def test_language_model_matches_python(name, tmp_path):
    model = zoo.LanguageModel("helo wrd", cell=name, hidden_size=8, num_layers=2, seed=3)
    tokens = np.array([0, 3, 1, 1, 7, 2])
    with zoo.kernels.pure_python():
        logits, last = model.logits(tokens[:, None])
    machine = Machine(model, tmp_path)
    outputs = machine.run(tokens, machine.start())
    assert largest_difference(list(outputs), [logits[:, 0], flat(last.values())]) < SINGLE


@needs_compiler
@pytest.mark.parametrize("tokens", [False, True], ids=["features", "tokens"])
def test_residual_layers_with_learned_initial_states(tokens, tmp_path):
    rnn = zoo.Recurrent(["gru", "t_gru", "mgu"], 8, 8, residual=True, learned_state=True, seed=1)
    rnn.theta = np.random.default_rng(0).normal(0, 0.3, rnn.theta.shape)
    x = np.arange(5)[:, None] if tokens else case(rnn, 5, 1).x
    with zoo.kernels.pure_python():
        y, last = rnn.forward(x)
    machine = Machine(rnn, tmp_path, tokens)
    assert (
        largest_difference(list(machine.run(x[:, 0], machine.start())), [y[:, 0], flat(last.values())])
        < SINGLE
    )


@needs_compiler
def test_aux_input_reaches_declaring_cells_only(tmp_path):
    rnn = zoo.Recurrent(["gru", "ctrnn", "mgu"], 3, 4, seed=1)
    numbers = case(rnn, 5, 1)
    with zoo.kernels.pure_python():
        y, last = rnn.forward(numbers.x, numbers.state, **numbers.inputs)
    inputs = {name: value[:, 0] for name, value in numbers.inputs.items()}
    outputs = Machine(rnn, tmp_path).run(numbers.x[:, 0], flat(numbers.state.values()), inputs)
    assert largest_difference(list(outputs), [y[:, 0], flat(last.values())]) < SINGLE


@needs_compiler
def test_sequence_model_of_numbers(tmp_path):
    model = zoo.SequenceModel("t_gru", 3, 2, hidden_size=4, loss="squared_error", seed=1)
    x = np.random.default_rng(0).normal(size=(5, 1, 3)).astype(np.float32)
    with zoo.kernels.pure_python():
        outputs, last = model.outputs(x)
    machine = Machine(model, tmp_path)
    made = machine.run(x[:, 0], machine.start())
    assert largest_difference(list(made), [outputs[:, 0], flat(last.values())]) < SINGLE
    assert "const float x[MODEL_INPUTS], float y[MODEL_OUTPUTS]" in machine.files.header.read_text()


class Cued(zoo.Cell):
    """A cell with a scalar and a vector as auxiliary inputs."""

    W = zoo.Param("I", "H", init="glorot_uniform")
    V = zoo.Param(2, "H", init="glorot_uniform")
    h = zoo.State("H")
    dt = zoo.Input(default=1.0)
    cue = zoo.Input(2)

    def step(self, x, h, dt, cue):
        return np.tanh(x @ self.W + cue @ self.V + np.exp(-dt) * h)


@needs_compiler
@pytest.mark.parametrize("cells", ["cfc", "phased_lstm", Cued, ["gru", Cued, "ctrnn"]])
@pytest.mark.parametrize("embedding", [None, 4])
def test_aux_inputs_of_sequence_model(cells, embedding, tmp_path):
    model = zoo.SequenceModel(cells, 3, 2, hidden_size=4, loss="squared_error", embedding=embedding, seed=1)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 1, 3)).astype(np.float32) if embedding is None else rng.integers(0, 3, (5, 1))
    shapes = model.stack.input_shapes
    inputs = {name: rng.uniform(0, 3, (5, 1, *shape)).astype(np.float32) for name, shape in shapes.items()}
    with zoo.kernels.pure_python():
        outputs, last = model.outputs(x, **inputs)
    machine = Machine(model, tmp_path)
    made = machine.run(x[:, 0], machine.start(), {name: value[:, 0] for name, value in inputs.items()})
    assert largest_difference(list(made), [outputs[:, 0], flat(last.values())]) < SINGLE


# Strings that a program could stumble over
SYMBOLS = [
    "\0",
    "\n",
    '"',
    "\\",
    "??/",
    "*/",
    "//",
    "%s",
    "é",
    "é!",
    "\x7f",
    "0",
    "\0" + "0",
    "#include <x>",
    "ä" * 3000,
]
MAIN = r"""
#include <stdio.h>
#include "model.h"

int main(void)
{
    model_state state;
    model_random random = {11, 0};
    float logits[MODEL_OUTPUTS];
    int token = model_token("\303\251x", 3);
    model_init(&state);
    printf("%u %d %d\n", (unsigned)sizeof state, model_token("\303\251!?", 4), model_token("z", 1));
    for (int n = 0; n < 40; n++) {
        fwrite(model_symbols[token].text, 1, model_symbols[token].length, stdout);
        model_step(&state, token, logits);
        token = model_sample(logits, 0.7, &random);
    }
    return 0;
}
"""


@needs_compiler
def test_c_program_samples_text_of_python(tmp_path):
    model = zoo.LanguageModel(SYMBOLS, cell="gru", hidden_size=8, seed=3)
    model.theta = np.random.default_rng(0).normal(0, 1, model.theta.shape)
    actual = zoo.export.to_c(model, tmp_path / "model.c")
    (tmp_path / "main.c").write_text(MAIN)
    build(tmp_path, "-o", tmp_path / "main")
    written = subprocess.run([tmp_path / "main"], capture_output=True, check=True).stdout
    first, _, text = written.partition(b"\n")
    with zoo.kernels.pure_python():
        expected = model.sample("é", 39, zoo.get_sampler("temperature", temperature=0.7), seed=11)
    assert first.decode() == f"{actual.sizes['states']} {SYMBOLS.index('é!')} -1"
    assert text.decode() == expected


@needs_compiler
def test_draws_are_those_of_python(tmp_path):
    model = zoo.LanguageModel("abcdefgh", hidden_size=4)
    library = Machine(model, tmp_path).library
    library.model_sample.argtypes = [ctypes.c_void_p, ctypes.c_double, ctypes.c_void_p]
    chain = zoo.Chain((zoo.get_sampler("temperature", temperature=0.5),))
    rng, random = np.random.default_rng(0), np.array([7, 0], np.uint64)
    for draw in range(200):
        logits = rng.normal(0, 2, 8).astype(np.float32)
        expected = chain(logits, zoo.kernels.uniform(7, draw))
        assert library.model_sample(logits.ctypes.data, 0.5, random.ctypes.data) == expected
        assert (
            library.model_sample(logits.ctypes.data, 0.0, np.zeros(2, np.uint64).ctypes.data)
            == logits.argmax()
        )
    assert random.tolist() == [7, 200]
    for wrong in (np.nan, np.inf):
        logits[3] = wrong
        assert library.model_sample(logits.ctypes.data, 1.0, random.ctypes.data) == -1
        assert library.model_sample(logits.ctypes.data, 0.0, random.ctypes.data) == -1
    logits[:] = -np.inf
    assert library.model_sample(logits.ctypes.data, 1.0, random.ctypes.data) == -1
    logits[5] = 0
    assert library.model_sample(logits.ctypes.data, 1.0, random.ctypes.data) == 5


class Awkward(zoo.Cell):
    """Names that mean something in C."""

    card = CARD
    double = zoo.Param("I", "H", init="glorot_uniform")
    sigmoid = zoo.Param("H", init="ones")
    float = zoo.State("H")
    token = zoo.State("H")
    register = zoo.Input("H", default=1.0)

    def step(self, x, float, token, register):
        copy = zoo.tanh(x @ self.double + float)
        int = zoo.sigmoid(copy) * self.sigmoid * copy
        at = np.cumsum(int)
        expf = np.max(at) + register
        return expf * int, zoo.softplus(at + token)


@needs_compiler
def test_reserved_names_of_c_are_renamed(tmp_path):
    numbers = case(zoo.Recurrent(Awkward, 3, 4, num_layers=1, seed=1), 4, 1)
    machine = Machine(numbers.rnn, tmp_path)
    y, *last = numbers.expected()
    outputs = machine.run(
        numbers.x[:, 0],
        flat(numbers.state.values()),
        {name: value[:, 0] for name, value in numbers.inputs.items()},
    )
    assert largest_difference(list(outputs), [y[:, 0], flat(last)]) < SINGLE


# The table of operations


ROWS = {name: op for name, op in elementwise_rows().items() if op.exact_gradient}
CALLED = {name for op in ROWS.values() for name in re.findall(r"\$(\w+)", op.export)}


def test_unknown_operation_raises(monkeypatch):
    monkeypatch.setitem(OPS["tanh"].__dict__, "export", "")
    with pytest.raises(UsageError, match="cell 'vanilla': its step uses tanh, which has no `export`"):
        c_program(exported_model(zoo.Recurrent("vanilla", 3, 4)), "model", "model.h")


@needs_compiler
def test_every_operation_matches_numpy(tmp_path):
    """A function for each, in float64."""
    lines = ["#include <stddef.h>", "#include <math.h>"]
    lines += [text.replace("real", "double") for name, text in table.HELPERS.items() if name in CALLED]
    for name, row in ROWS.items():
        operands = "abc"[: len(row.domain)]
        code = table.CSyntax("").operation(row, np.dtype("float64"), set()).format(*operands)
        given = ", ".join(f"double {operand}" for operand in operands)
        lines.append(f"double op_{name}({given}) {{ return {code}; }}")
    (tmp_path / "table.c").write_text("\n".join(lines) + "\n")
    build(tmp_path, "-shared", "-fPIC", "-o", tmp_path / "table.so", "-Wno-missing-prototypes")
    library = ctypes.CDLL(str(tmp_path / "table.so"))
    for name in ROWS:
        operation, function = OPS[name], getattr(library, f"op_{name}")
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * len(operation.domain)
        operands = drawn_operands(operation, "float64")
        with np.errstate(all="ignore"):
            expected = np.asarray(operation.numpy(*operands), np.float64)
        actual = [function(*map(float, values)) for values in zip(*operands, strict=True)]
        np.testing.assert_allclose(actual, expected, rtol=1e-14, atol=1e-15, err_msg=name)


# What is written


def test_source_contains_no_user_string():
    model = zoo.LanguageModel(SYMBOLS, hidden_size=4)
    program = c_program(exported_model(model), "model", "model.h")
    assert program.source.isascii()
    assert program.header.isascii()
    assert "??/" not in program.source
    assert "#include <x>" in program.source  # between quotes, where it is a symbol
    assert '{"\\000", 1},' in program.source
    assert '{"\\0000", 2},' in program.source
    assert "{(const char[]){-61, -92, -61," in program.source


@pytest.mark.parametrize(
    ("text", "prefix"),
    [
        ("hello", "hello"),
        ("vanilla-pydoc-1", "vanilla_pydoc_1"),
        ("1st", "model_1st"),
        ("__x__", "x"),
        ("é", "model"),
        ("", "model"),
        ("l0", "model_l0"),
        ("a" * 99, "a" * 48),
    ],
)
def test_names_are_c_identifiers(text, prefix, tmp_path):
    assert identifier_prefix(text) == prefix
    rnn = zoo.Recurrent("vanilla", 2, 3)
    made = zoo.export.to_c(rnn, tmp_path / "m.c", name=prefix)
    assert f"void {prefix}_init(" in made.header.read_text()
    if text != prefix:
        with pytest.raises(UsageError, match=f"export: name is .*, such as {prefix!r}"):
            zoo.export.to_c(rnn, tmp_path / "other.c", name=text)


def test_string_literals_round_trip():
    assert string_literal(b'a"\\?\0' + "é".encode()) == '"a\\042\\134\\077\\000\\303\\251"'


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_number_literals_round_trip(dtype):
    digits = np.random.default_rng(0).normal(size=300)
    powers = np.linspace(-40, 38, 300) if dtype is np.float32 else np.linspace(-300, 300, 300)
    values = [*(digits * 10.0**powers).astype(dtype), *map(dtype, (0, 1, -2, 1e20))]
    for value in values:
        text = number_literal(value, np.dtype(dtype))
        assert dtype(text.removesuffix("f")) == value
        assert set("e.") & set(text)
    assert [number_literal(value, np.dtype(dtype)) for value in (np.nan, np.inf, -np.inf)] == [
        "NAN",
        "INFINITY",
        "-INFINITY",
    ]


@pytest.mark.parametrize("value", [3.5e38, -1e39, 1e300])
def test_number_beyond_float32_is_infinite(value):
    expected = "INFINITY" if value > 0 else "-INFINITY"
    assert number_literal(value, np.dtype(np.float32)) == expected
    assert float(number_literal(value, np.dtype(np.float64))) == value


def test_block_has_braces():
    writer = BraceWriter()
    with writer.block("for (;;)"):
        writer.line("x++;")
    assert writer.lines == ["    for (;;) {", "        x++;", "    }"]


def test_sizes_are_those_of_the_model():
    rnn = zoo.Recurrent("lstm", 3, 4)
    program = c_program(exported_model(rnn), "model", "model.h")
    assert program.sizes == {"weights": 4 * rnn.theta.size, "states": 4 * 8, "scratch": 4 * (4 + 4 + 16)}
    for name, size in program.sizes.items():
        assert f" *     {name:7} {size}" in program.header


@pytest.mark.usefixtures("any_processor")
def test_products_in_bfloat16_are_exported_in_float32():
    sources = [
        c_program(
            exported_model(zoo.SequenceModel("vanilla", 3, 2, 4, precision=precision)), "m", "m.h"
        ).source
        for precision in (None, "bf16")
    ]
    assert sources[0] == sources[1]


@needs_compiler
@pytest.mark.parametrize("tokens", [False, True], ids=["features", "tokens"])
def test_bidirectional_layers_read_whole_sequences(tokens, tmp_path):
    switches = {"bidirectional": True, "residual": True, "learned_state": True, "dtype": "float64"}
    rnn = zoo.Recurrent(["lstm", "gru"], 8, 4, **switches)
    rnn.theta = np.random.default_rng(0).normal(0, 0.3, rnn.theta.shape)
    x = np.arange(5)[:, None] if tokens else case(rnn, 5, 1).x
    with zoo.kernels.pure_python():
        expected, _ = rnn.forward(x)
    machine = Machine(rnn, tmp_path, tokens)
    y, work = np.empty((5, 8)), np.full(5 * machine.files.sizes["work"] // 8 + 1, np.nan)
    given = x[:, 0].astype(np.int32) if tokens else x[:, 0].copy()
    machine.library.model_sequence(pointer(given), ctypes.c_size_t(5), pointer(work), pointer(y))
    np.testing.assert_allclose(y, expected[:, 0], atol=1e-12)
    assert np.isnan(work[-1])  # nothing is written after the end
    assert not hasattr(machine.library, "model_step")


class Between(Cued):
    """A cell with inputs that belong to the time between steps."""

    dt = zoo.Input(default=1.5, between_steps=True, help="time\nbetween */ steps??/")
    cue = zoo.Input(2, default=0.25, between_steps=True)


@needs_compiler
@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("cells", ["cfc", "gru+episodes", [Between, Cued], ["gru", Between]])
def test_aux_inputs_of_bidirectional_layers(cells, tmp_path):
    rnn = zoo.Recurrent(cells, 3, 2, bidirectional=True, dtype="float64", seed=2)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(5, 1, 3))
    shapes = rnn.stack.input_shapes
    inputs = {name: rng.integers(0, 2, (5, 1, *shape)).astype(float) for name, shape in shapes.items()}
    expected, _ = rnn.forward(x, **inputs)
    machine = Machine(rnn, tmp_path)
    if cells == "gru+episodes":
        assert " * episode_start: whether an episode starts, 0 or 1" in machine.files.header.read_text()
    elif cells == ["gru", Between]:
        assert " * dt: time between * / steps? ? /" in machine.files.header.read_text()
    y, work = np.empty((5, 4)), np.empty(5 * machine.files.sizes["work"] // 8 + 1)
    aux = [pointer(value[:, 0].copy()) for value in inputs.values()]
    machine.library.model_sequence(
        pointer(x[:, 0].copy()), *aux, ctypes.c_size_t(5), pointer(work), pointer(y)
    )
    np.testing.assert_allclose(y, expected[:, 0], atol=1e-12)


@needs_compiler
@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("switches", [{}, {"block": "prenorm"}, {"residual": True, "embedding": 4}])
def test_embedding_of_tokens(switches, tmp_path):
    sizes = {"hidden_size": 4, "num_layers": 2, "embedding": 3, "dtype": "float64", "seed": 1}
    x = np.array([5, 0, 2, 6, 1])
    model = zoo.SequenceModel("gru", 7, 2, **{**sizes, **switches})
    machine = Machine(model, tmp_path)
    y, _ = machine.run(x, machine.start())
    np.testing.assert_allclose(y, model.outputs(x[:, None])[0][:, 0], atol=1e-12)
    both = zoo.SequenceModel("gru", 7, 2, bidirectional=True, **{**sizes, **switches})
    (tmp_path / "both").mkdir()
    machine = Machine(both, tmp_path / "both")
    y, work = np.empty((5, 2)), np.full(5 * machine.files.sizes["work"] // 8 + 1, np.nan)
    tokens = x.astype(np.int32)
    machine.library.model_sequence(pointer(tokens), ctypes.c_size_t(5), pointer(work), pointer(y))
    np.testing.assert_allclose(y, both.outputs(x[:, None])[0][:, 0], atol=1e-12)
    assert np.isnan(work[-1])


@pytest.mark.parametrize("name", ["model", "model.h", 'a"b.c', "a b.c", "é.c"])
def test_invalid_file_name_raises(name, tmp_path):
    with pytest.raises(UsageError, match="since the source contains it"):
        zoo.export.to_c(zoo.Recurrent("gru", 3, 4), tmp_path / name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["model.c", "model.h"])
def test_neither_file_is_written_over(name, tmp_path):
    rnn = zoo.Recurrent("gru", 3, 4)
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"{name} is there already"):
        zoo.export.to_c(rnn, tmp_path / "model.c")
    assert [each.name for each in tmp_path.iterdir()] == [name]
    exported = zoo.export.to_c(rnn, tmp_path / "model.c", name="other", force=True)
    assert "void other_step(" in exported.header.read_text()
