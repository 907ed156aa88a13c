"""Models as files: bit for bit there and back, and one CheckpointError for whatever else a file holds."""

from __future__ import annotations

import copy
import json
import time
import tracemalloc
import warnings
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo import LanguageModel
from zoo.errors import CheckpointError, UsageError, ZooWarning
from zoo.model import model_from
from zoo.storage import Checkpoint, RunDirectory, save
from zoo.storage import load as load_file


class Scaled(zoo.Cell):
    """``h' = scale tanh(x W + h U)`` in plain NumPy, registered nowhere; scale is an option."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    scale = zoo.Option(0.1, low=0.0)
    sign = zoo.Option(True)
    power = zoo.Option(1, low=1)
    W = zoo.Param("I", "H", init="glorot_uniform")
    U = zoo.Param("H", "H", init="orthogonal")
    h = zoo.State("H")

    @staticmethod
    def forward(params, x, state, scale, sign, power):
        (W, U), (h,) = params, state
        y = np.empty((*x.shape[:2], len(U)), W.dtype)
        for t in range(len(x)):
            y[t] = h = W.dtype.type(scale if sign else -scale) * np.tanh(W[x[t]] + h @ U) ** power
        return y, (h.copy(),), ()

    @staticmethod
    def backward(params, x, state, tape, dy, dlast, scale, sign, power):
        raise NotImplementedError


def make_model(seed=1, **changes):
    model = LanguageModel(**{"vocab": "ab\né\N{GRINNING FACE}", "hidden_size": 4, "num_layers": 2, **changes})
    model.theta += np.random.default_rng(seed).normal(size=model.theta.size)
    return model


MODEL = make_model()
NAMES = list(MODEL.to_checkpoint().arrays)
META = {"kind": LanguageModel.kind, "model": MODEL.metadata()}
TOKENS = np.array([[0, 1], [2, 3], [4, 0]])


def checkpoint(meta=None, **arrays):
    changed = {**MODEL.to_checkpoint().arrays, **arrays}
    return Checkpoint({k: v for k, v in changed.items() if v is not None}, META if meta is None else meta)


def changed(*path_and_value):
    """The meta of the model with one value changed, or, for `...`, left out."""
    *path, value = path_and_value
    meta: Any = copy.deepcopy(META)
    place = meta
    for key in path[:-1]:
        place = place[key]
    if value is ...:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return meta


def same(loaded, expected=MODEL):
    assert loaded.theta.tobytes() == expected.theta.tobytes()
    assert loaded.metadata() == expected.metadata()
    assert repr(loaded) == repr(expected)


# ---- there and back -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"dtype": "float64"},
        {"num_layers": 1, "hidden_size": 1},
        {"vocab": range(256)},
        {"vocab": ["the ", "cat "]},
    ],
)
def test_model_round_trip_is_exact(changes, tmp_path):
    model = make_model(**changes)
    model.save(tmp_path / "model.safetensors")
    for path in (tmp_path / "model.safetensors", str(tmp_path / "model.safetensors")):
        loaded = zoo.load(path)
        same(loaded, model)
        assert loaded.vocab == model.vocab
        assert loaded.sample("", 20, seed=3) == model.sample("", 20, seed=3)
    expected, _ = model.loss_and_grad(TOKENS % len(model.vocab), TOKENS % 2)
    assert loaded.loss_and_grad(TOKENS % len(model.vocab), TOKENS % 2)[0] == expected
    np.testing.assert_array_equal(loaded.grad, model.grad)


def test_loaded_model_owns_its_arrays(tmp_path):
    MODEL.save(tmp_path / "model.safetensors")
    loaded = zoo.load(tmp_path / "model.safetensors", threads=3)
    assert loaded.threads == 3
    loaded.theta += 1
    same(zoo.load(tmp_path / "model.safetensors"))
    loaded.save(tmp_path / "model.safetensors")  # over the old one
    assert zoo.load(tmp_path / "model.safetensors").theta.tobytes() == loaded.theta.tobytes()


def test_options_round_trip(tmp_path):
    model = make_model(cell=Scaled(scale=0.3, sign=False, power=3), num_layers=1)
    model.save(tmp_path / "model.safetensors")
    loaded = zoo.load(tmp_path / "model.safetensors", cell=Scaled)
    same(loaded, model)
    assert dict(loaded.cell.options) == {"scale": 0.3, "sign": False, "power": 3}
    np.testing.assert_array_equal(loaded.logits(TOKENS)[0], model.logits(TOKENS)[0])


def test_equal_models_save_equal_bytes(tmp_path):
    MODEL.save(tmp_path / "a")
    make_model().save(tmp_path / "b")
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_unwritable_path_is_reported(tmp_path):
    with pytest.raises(CheckpointError, match="nowhere: no such file or directory; create it first"):
        MODEL.save(tmp_path / "nowhere" / "model.safetensors")


# ---- run directories ----------------------------------------------------------------------------------


def fill(path, best):
    """A run directory with three checkpoints, their parameters filled with 1, 2, 3."""
    run = RunDirectory(path)
    run.create()
    with run.lock():
        for step in (1, 2, 3):
            arrays = {name: np.full_like(value, step) for name, value in MODEL.to_checkpoint().arrays.items()}
            run.save(step, Checkpoint(arrays, META), best=step == best)
    return run


def test_run_directory_loads_the_best_model(tmp_path):
    fill(tmp_path, best=2)
    assert (zoo.load(tmp_path).theta == 2).all()
    assert (zoo.load(tmp_path / "checkpoints" / "step-00000003.safetensors").theta == 3).all()


def test_damaged_best_falls_back_to_last_with_warning(tmp_path):
    fill(tmp_path, best=2)
    (tmp_path / "checkpoints" / "step-00000002.safetensors").write_bytes(b"nothing")
    with pytest.warns(ZooWarning, match="The last checkpoint, of step 3, is used instead of the best"):
        assert (zoo.load(tmp_path).theta == 3).all()


def test_directories_without_model(tmp_path):
    with pytest.raises(CheckpointError, match="holds no checkpoint; give a run directory of `zoo train`"):
        zoo.load(tmp_path)
    with pytest.raises(CheckpointError, match="no such file or directory"):
        zoo.load(tmp_path / "nowhere")


# ---- cells --------------------------------------------------------------------------------------------


def test_unknown_cell():
    with pytest.raises(CheckpointError, match="made with the cell 'peephole', which is not registered here"):
        model_from(checkpoint(changed("model", "cell", "name", "peephole")), "x")


def test_cell_name_is_never_imported():
    for name in ("os", "zoo_cells.classic.vanilla:Vanilla", "evil.py:Evil", "../vanilla"):
        with pytest.raises(CheckpointError, match="is not registered here"):
            model_from(checkpoint(changed("model", "cell", "name", name)), "x")


def test_changed_cell_warns():
    with pytest.warns(ZooWarning, match="x: cell 'vanilla' has changed since this model was made"):
        same(model_from(checkpoint(changed("model", "cell", "source", "0" * 64)), "x"))


def test_other_cell_raises():
    sentence = (
        r"^x: made with the cell 'vanilla'; found cell class Scaled \(.*\), which is cell 'scaled'\. .* give"
    )
    with pytest.raises(CheckpointError, match=sentence):
        model_from(checkpoint(), "x", Scaled)


def _step_raises(self, x, h):
    raise RuntimeError("broken")


def _step_without_result(self, x, h):
    pass


def _step_that_branches(self, x, h):
    return h if h[0] > 0 else x @ self.W + h


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [partial(zoo.SequenceModel, output_size=2), zoo.Recurrent])
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({"step": _step_raises}, "step raised RuntimeError: broken"),
        ({"step": _step_without_result}, "step returns None; .*"),
        ({"step": _step_that_branches}, "np.where.*np.maximum in place of `min` or `max`"),
        (
            {"V": zoo.Param("I", "H"), "step": lambda self, x, h: x @ self.V + x @ self.W + h},
            r"array '.*V': found no such array, expected float32 \(\d, \d\)",
        ),
    ],
    ids=["raises", "none", "branches", "parameters"],
)
def test_class_that_does_not_fit_its_file_is_named(make, body, problem, tmp_path):
    def cell_class(**members):
        members = {"W": zoo.Param("I", "H"), "h": zoo.State("H"), **members}
        return type("Remembers", (zoo.Cell,), {"__doc__": "h' = x W + h.", "__module__": __name__, **members})

    path = tmp_path / "file.safetensors"
    make(cell_class(step=lambda self, x, h: x @ self.W + h), input_size=3, hidden_size=4).save(path)
    broken = cell_class(**body)
    advice = r"Correct the class, or give the class of training with `cell`"
    sentence = rf"file\.safetensors\b.* cell class Remembers .*{problem}\. {advice}"
    with pytest.raises(CheckpointError, match=sentence):
        zoo.load(path, cell=broken)


@pytest.mark.parametrize(
    ("cell", "sentence"),
    [
        (int, "cell is <class 'int'>; expected a class derived from zoo.Cell. Leave the argument out"),
        ("gru", "cell is 'gru'; expected a class derived from zoo.Cell. Leave the argument out"),
        (Scaled(), r"cell is Scaled\(.*\); expected a class .* Give the class, `cell=Scaled`, or leave"),
    ],
)
def test_cell_that_is_not_a_class_is_named(cell, sentence):
    with pytest.raises(UsageError, match=f"^x: {sentence}"):
        model_from(checkpoint(), "x", cell)


def test_other_options_raise():
    with pytest.raises(CheckpointError, match="made with other options than cell 'vanilla' has here"):
        model_from(checkpoint(changed("model", "cell", "options", {"leak": 0.5})), "x")


def test_invalid_threads_raise_usage_error(tmp_path):
    MODEL.save(tmp_path / "model")
    with pytest.raises(UsageError, match="threads is 0"):
        zoo.load(tmp_path / "model", threads=0)


# ---- buffers ------------------------------------------------------------------------------------------

DRAWN = []


def anything(rng, shape):
    """Other numbers at each call: what a file does not hold is lost."""
    DRAWN.append(shape)
    return np.random.default_rng().normal(size=shape)


def reservoir_forward(params, x, state):
    (W, A), (h,) = params, state
    y = np.empty((*x.shape[:2], len(A)), W.dtype)
    for t in range(len(x)):
        y[t] = h = np.tanh((W[x[t]] if x.ndim == 2 else x[t] @ W) + h @ A)
    return y, (h.copy(),), ()


def no_backward(params, x, state, tape, dy, dlast):
    raise NotImplementedError


class Reservoir(zoo.Cell):
    """``h' = tanh(x W + h A)``, with a fixed A that nobody could draw again."""

    card = Scaled.card
    W = zoo.Param("I", "H", init=anything)
    A = zoo.Buffer("H", "H", init=anything)
    h = zoo.State("H")
    forward = reservoir_forward
    backward = no_backward


RESERVOIR = LanguageModel("abcde", Reservoir, 4, 2)


def reservoir(meta=None, **arrays):
    """The checkpoint of the reservoir, changed."""
    given = {**RESERVOIR.to_checkpoint().arrays, **arrays}
    described = {"kind": LanguageModel.kind, "model": RESERVOIR.metadata()}
    return Checkpoint({k: v for k, v in given.items() if v is not None}, {**described, **(meta or {})})


def test_buffers_round_trip_without_initialisation(tmp_path):
    RESERVOIR.save(tmp_path / "model")
    before = len(DRAWN)
    loaded = zoo.load(tmp_path / "model", cell=Reservoir)
    assert len(DRAWN) == before
    assert list(loaded.buffers) == ["l0.A", "l1.A"]
    for name, value in RESERVOIR.buffers.items():
        assert loaded.buffers[name].tobytes() == value.tobytes()
    same(loaded, RESERVOIR)
    np.testing.assert_array_equal(loaded.logits(TOKENS)[0], RESERVOIR.logits(TOKENS)[0])


def test_array_names_in_file():
    assert list(RESERVOIR.to_checkpoint().arrays) == [
        *(f"params.{name}" for name in ("l0.W", "l1.W", "Why", "by")),
        "buffers.l0.A",
        "buffers.l1.A",
    ]
    assert all(name.startswith("params.") for name in MODEL.to_checkpoint().arrays), "no buffers"


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (None, "array 'buffers.l1.A': found no such array, expected float32 .4, 4."),
        (
            np.zeros((4, 5), np.float32),
            r"array 'buffers.l1.A': found float32 \(4, 5\), expected float32 \(4, 4\)",
        ),
        (np.zeros((4, 4)), "array 'buffers.l1.A': found float64"),
        (np.full((4, 4), np.nan, np.float32), "array 'buffers.l1.A': found 16 values that are NaN"),
    ],
)
def test_wrong_buffers_raise(array, words):
    for meta in ({}, {"training": {}}):
        with pytest.raises(CheckpointError, match=words):
            model_from(reservoir(meta, **{"buffers.l1.A": array}), "x", Reservoir)


def test_surplus_buffers_raise():
    with pytest.raises(CheckpointError, match=r"array 'buffers.l0.A': .* expected no such array"):
        model_from(checkpoint(None, **{"buffers.l0.A": np.zeros((4, 4), np.float32)}), "x")
    with pytest.raises(CheckpointError, match=r"array 'buffers.l2.A': .* expected no such array"):
        model_from(reservoir(**{"buffers.l2.A": np.zeros((4, 4), np.float32)}), "x", Reservoir)
    with pytest.raises(CheckpointError, match=r"array 'params.l0.A': .* expected no such array"):
        model_from(reservoir(**{"params.l0.A": np.zeros((4, 4), np.float32)}), "x", Reservoir)


# ---- hostile files ------------------------------------------------------------------------------------


def check_words(message):
    """One printable line, whatever a file holds."""
    assert message.startswith("x")
    assert message.isprintable()
    assert len(message) < 600


DESCRIPTION = "x: its description of the model is not one zoo wrote"


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({}, "x: holds None; expected a language model or a sequence model saved by zoo"),
        (changed("kind", "image model"), "x: holds 'image model'"),
        (changed("kind", "k" * 10**6), "x: holds 'kkk"),
        (changed("kind", [LanguageModel.kind]), "x: holds "),
        (changed("model", ...), DESCRIPTION),
        (changed("model", None), DESCRIPTION),
        (changed("model", []), DESCRIPTION),
        (changed("model", "vanilla"), DESCRIPTION),
        (changed("model", "cell", ...), DESCRIPTION),
        (changed("model", "cell", "vanilla"), DESCRIPTION),
        (changed("model", "cell", "name", 3), "the cell's name is 3"),
        (changed("model", "cell", "name", "a" * 10**6), "which is not registered here"),
        (changed("model", "cell", "options", None), DESCRIPTION),
        (changed("model", "cell", "options", [["self", 1]]), DESCRIPTION),
        (changed("model", "cell", "source", ...), DESCRIPTION),
        (changed("model", "hidden_size", ...), DESCRIPTION),
        (changed("model", "hidden_size", "4"), "hidden_size is '4'"),
        (changed("model", "hidden_size", 4.0), "hidden_size is 4.0"),
        (changed("model", "hidden_size", True), "hidden_size is True"),
        (changed("model", "hidden_size", None), "hidden_size is None"),
        (changed("model", "hidden_size", 0), "hidden_size is 0"),
        (changed("model", "hidden_size", -4), "hidden_size is -4"),
        (changed("model", "hidden_size", 10**4000), "hidden_size is 1000"),
        (changed("model", "hidden_size", 5), "does not fit this model: array 'params.Why'"),
        (changed("model", "num_layers", 0), "num_layers is 0"),
        (changed("model", "num_layers", [2]), "num_layers is"),
        (changed("model", "num_layers", 1), r"array 'params.l1.Whh': found .*, expected no such array"),
        (changed("model", "num_layers", 3), "array 'params.l2.Whh': found no such array"),
        (changed("model", "dtype", "float64"), "found float32"),
        (changed("model", "dtype", "float16"), "dtype is 'float16'"),
        (changed("model", "dtype", {"a": "f4"}), DESCRIPTION),
        (changed("model", "dtype", "(" * 5000), DESCRIPTION),
        (changed("model", "vocabulary", ["a", "b"]), "a stored vocabulary is an object"),
        (changed("model", "vocabulary", "symbols", "abcde"), "symbols are a list"),
        (changed("model", "vocabulary", "symbols", ["a", 1]), DESCRIPTION),
        (changed("model", "vocabulary", "symbols", list("abcdef")), "array 'params.Why'"),
        (changed("model", "vocabulary", "symbols", list("aacde")), "found twice"),
        (changed("model", "vocabulary", "level", "byte"), "says level 'byte'"),
    ],
)
def test_wrong_metadata_raises(meta, words):
    with pytest.raises(CheckpointError, match=words) as failure:
        model_from(checkpoint(meta), "x")
    check_words(str(failure.value))


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        (changed("model", "hidden_size", 10**6), "found float32"),
        (changed("model", "hidden_size", 2**40 - 1), "found float32"),
        (changed("model", "hidden_size", 2**62), "hidden_size is"),
        (changed("model", "num_layers", 10**6), "1000000 layers in 8 arrays"),
        (changed("model", "num_layers", 10**18), "num_layers is"),
        (
            changed("model", "vocabulary", "symbols", [chr(k) for k in range(0x4E00, 0x9000)]),
            "array 'params.Why'",
        ),
        (changed("model", "vocabulary", "symbols", ["a"] * 2_000_000), "from 2 to"),
    ],
)
def test_huge_sizes_raise_before_allocation(meta, words):
    given = checkpoint(meta)
    tracemalloc.start()
    started = time.perf_counter()
    try:
        with pytest.raises(CheckpointError, match=words):
            model_from(given, "x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - started < 3
    assert peak < 20e6  # of which the two million references of a vocabulary are 16


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"params.by": None}, "array 'params.by': found no such array"),
        (
            {"params.bz": np.zeros(3, np.float32)},
            "array 'params.bz': found float32 .3,., expected no such array",
        ),
        ({"optimizer.m": np.zeros(3, np.float32)}, "array 'optimizer.m': .* expected no such array"),
        ({"state.l0.h": np.zeros((2, 4), np.float32)}, "array 'state.l0.h': .* expected no such array"),
        ({"stuff": np.zeros(1, np.uint8)}, "array 'stuff': .* expected no such array"),
        ({"params.by": np.zeros(5)}, r"found float64 \(5,\), expected float32 \(5,\)"),
        ({"params.by": np.zeros(5, np.int32)}, "found int32"),
        ({"params.by": np.zeros((5, 1), np.float32)}, r"found float32 \(5, 1\), expected float32 \(5,\)"),
        ({"params.by": np.zeros((), np.float32)}, r"found float32 \(\)"),
        ({"params.Why": np.zeros((5, 4), np.float32)}, r"found float32 \(5, 4\), expected float32 \(4, 5\)"),
        ({"params.by": np.full(5, np.nan, np.float32)}, "found 5 values that are NaN or infinite"),
        ({"params.by": np.full(5, np.inf, np.float32)}, "The training had diverged"),
    ],
)
def test_wrong_arrays_raise(arrays, words):
    with pytest.raises(CheckpointError, match=words):
        model_from(checkpoint(None, **arrays), "x")


def test_training_arrays_are_ignored():
    meta = {**META, "training": {}}
    extra = {"optimizer.m": np.zeros(3, np.float32), "state.l0.h": np.full((2, 4), np.nan, np.float32)}
    same(model_from(checkpoint(meta, **extra), "x"))
    with pytest.raises(CheckpointError, match="array 'stuff'"):
        model_from(checkpoint(meta, **extra, stuff=np.zeros(1)), "x")


def test_not_a_checkpoint(tmp_path):
    for content in (b"", b"nothing", b"\x08" + bytes(15), bytes(100)):
        (tmp_path / "model").write_bytes(content)
        with pytest.raises(CheckpointError, match="cannot load"):
            zoo.load(tmp_path / "model")


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["vanilla", "float32", "float64", "char", "byte", LanguageModel.kind, 1, 2, 4]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def places(value, path=()):
    """Every path into a JSON value."""
    yield path
    children = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, child in children:
        yield from places(child, (*path, key))


PLACES = [path for path in places(META) if path]


@settings(max_examples=400)
@given(st.lists(st.tuples(st.sampled_from(PLACES), JSON | st.just(...)), min_size=1, max_size=3))
def test_fuzzed_metadata_raises_or_is_equivalent(changes):
    meta = copy.deepcopy(META)
    for path, value in changes:
        place: Any = meta
        try:
            for key in path[:-1]:
                place = place[key]
            if value is ...:
                del place[path[-1]]
            else:
                place[path[-1]] = value
        except (TypeError, KeyError, IndexError):  # an earlier change took the place away
            continue
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZooWarning)
        try:
            loaded = model_from(checkpoint(meta), "x")
        except CheckpointError as error:
            check_words(str(error))
            return
    assert loaded.theta.tobytes() == MODEL.theta.tobytes()
    assert (len(loaded.vocab), loaded.stack.hidden_size, loaded.cell) == (5, 4, MODEL.cell)


ARRAYS = st.one_of(
    st.none(),
    st.builds(
        lambda shape, dtype, value: np.full(shape, value, dtype),
        st.lists(st.integers(0, 5), max_size=3).map(tuple),
        st.sampled_from([np.float32, np.float64, np.int32, np.uint8]),
        st.sampled_from([0, 1]),
    ),
)


@settings(max_examples=150)
@given(st.dictionaries(st.sampled_from([*NAMES, "params.x", "y"]), ARRAYS, min_size=1, max_size=3))
def test_fuzzed_arrays_raise_or_load(arrays):
    given = checkpoint(None, **arrays)
    try:
        loaded = model_from(given, "x")
    except CheckpointError as error:
        check_words(str(error))
        return
    for name, value in loaded.to_checkpoint().arrays.items():
        np.testing.assert_array_equal(value, given.arrays[name])
        assert given.arrays[name].dtype == value.dtype


def test_fuzz_input_matches_files(tmp_path):
    save(tmp_path / "model", checkpoint())
    loaded = load_file(tmp_path / "model")
    assert json.loads(json.dumps(META)) == loaded.meta
    same(model_from(loaded, "x"))
