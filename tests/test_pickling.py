"""Pickles and copies: the same bits, training that goes on, and nothing in them but classes and numbers."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import pickle
import pickletools
import signal
import tempfile
from pathlib import Path

import numpy as np
import pytest
from pickled_cells import Own, outcome

import zoo
from zoo.errors import DivergenceError
from zoo.kernels import pure_python
from zoo.kernels.losses import huber_loss
from zoo.training import Interrupted

LAYERS = {
    "derived": lambda: zoo.Recurrent("gru", 3, 4),
    "kernels of its own": lambda: zoo.Recurrent("vanilla", 3, 4, dtype="float64"),
    "modifiers": lambda: zoo.Recurrent("lstm+zoneout", 3, 4),
    "several cells": lambda: zoo.Recurrent(["gru", Own(gain=0.5)], 3, 4),
    "every choice": lambda: zoo.Recurrent(
        Own,
        3,
        4,
        num_layers=2,
        bidirectional=True,
        dropout=0.5,
        residual=True,
        learned_state=True,
        recompute=2,
    ),
}
MODELS = {
    "compiled": lambda: zoo.LanguageModel("abc", "vanilla", 4),
    "language": lambda: zoo.LanguageModel(["a ", "b", "c"], Own, 4, 2, dropout=0.5, residual=True),
    "sequence": lambda: zoo.SequenceModel("gru", 3, 2, 4, loss="squared_error", recompute=2),
}
COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "oldest pickle": lambda value: pickle.loads(pickle.dumps(value, 2)),
    "deepcopy": copy.deepcopy,
    "copy": copy.copy,
}


def computation_of(model: str) -> contextlib.AbstractContextManager[None]:
    """Plain Python, but for the model whose whole step is compiled."""
    return contextlib.nullcontext() if model == "compiled" else pure_python()


def learn(model, optimizer, slots, steps: range) -> list[float]:
    """The losses of some steps; parameters and slots are changed in place."""
    rng, losses = np.random.default_rng(1), []
    x = rng.integers(3, size=(6, 2))
    targets = x if isinstance(model, zoo.LanguageModel) else rng.normal(size=(6, 2, 2))
    for step in steps:
        losses.append(model.loss_and_grad(x, targets, noise=(0, step))[0])
        model.theta[:], changed_slots = optimizer.apply(model.theta, model.grad, slots, step + 1)
        slots.update(changed_slots)
    return losses


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("layer", LAYERS)
def test_copied_layer_computes_same_bits(layer, kind):
    rnn = LAYERS[layer]()
    rnn.theta *= 1.5
    expected = outcome(rnn)
    copied = COPIES[kind](rnn)
    assert np.array_equal(copied.grad, rnn.grad), "what was computed is there"
    assert repr(copied) == repr(rnn)
    for actual, wanted in zip(outcome(copied), expected, strict=True):
        np.testing.assert_array_equal(actual, wanted)
    assert np.shares_memory(copied.theta, rnn.theta) == (kind == "copy")
    for views, vector in ((copied.params, copied.theta), (copied.grads, copied.grad)):
        assert all(np.shares_memory(view, vector) for view in views.values())
    assert not any(view.flags.writeable for view in copied.buffers.values())


@pytest.mark.parametrize("kind", ["pickle", "deepcopy"])
@pytest.mark.parametrize("model", MODELS)
def test_copy_continues_training_bit_exactly(model, kind):
    first, optimizer = MODELS[model](), zoo.get_optimizer("adam")
    slots = optimizer.init(first.theta)
    with computation_of(model):
        learn(first, optimizer, slots, range(2))
        second, other, others = COPIES[kind]((first, optimizer, slots))
        steps = range(2, 14)  # beyond those that go from kernel to kernel in Python
        assert learn(first, optimizer, slots, steps) == learn(second, other, others, steps)
    np.testing.assert_array_equal(first.theta, second.theta)


def test_pickle_keeps_trace_without_forward_pass():
    rnn = zoo.Recurrent("gru", 3, 4)
    with pure_python():
        y, _ = rnn.forward(np.ones((2, 1, 3)), trace=["z"])
    loaded = pickle.loads(pickle.dumps(rnn))
    np.testing.assert_array_equal(loaded.trace["l0.z"], rnn.trace["l0.z"])
    with pytest.raises(zoo.UsageError, match="backward needs the tape of a forward pass"):
        loaded.backward(y)


def test_tape_is_pickled_with_its_layer():
    rnn = zoo.Recurrent("gru", 3, 4)
    with pure_python():
        y, _, tape = rnn.apply(rnn.theta, np.ones((2, 1, 3)))
        loaded, loaded_tape = pickle.loads(pickle.dumps((rnn, tape)))
        for actual, expected in zip(loaded.vjp(loaded_tape, y)[::2], rnn.vjp(tape, y)[::2], strict=True):
            np.testing.assert_array_equal(actual, expected)


def test_pickled_model_drops_process_group():
    model = MODELS["sequence"]()
    model.process_group = multiprocessing.Lock()  # as what MPI gives: no pickle
    assert pickle.loads(pickle.dumps(model)).process_group is type(model).process_group


def components():
    """Every registered component, with its own options."""
    for kind in ("cell", "modifier", "optimizer", "sampler", "task", "tracker"):
        for name in getattr(zoo, f"list_{kind}s")():
            yield getattr(zoo, f"get_{kind}")(name)


def test_every_component_equals_its_pickle():
    for component in components():
        assert pickle.loads(pickle.dumps(component)) == component
    chain = zoo.get_sampler("top_k") | zoo.get_sampler("temperature")
    assert pickle.loads(pickle.dumps(chain)) == chain


def _directory_of_a_run() -> Path:
    path = Path(tempfile.mkdtemp())
    (path / "config.json").touch()
    return path


OTHERS = {
    "vocabulary": lambda: zoo.data.Vocabulary("abc"),
    "run": lambda: zoo.Run(_directory_of_a_run()),
    "card": lambda: zoo.get_cell("lstm").card,
    "interrupted": lambda: Interrupted(signal.SIGINT, Path("somewhere")),
    **{
        error: lambda error=error: getattr(zoo, error)("a sentence")
        for error in zoo.__all__
        if error.endswith(("Error", "Warning"))
    },
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_objects_equal_their_pickle(name):
    value = OTHERS[name]()
    loaded = pickle.loads(pickle.dumps(value))
    assert (loaded == value) or (type(loaded), str(loaded)) == (type(value), str(value))


def test_kernel_is_stored_by_its_name():
    assert pickle.loads(pickle.dumps(huber_loss)) is huber_loss
    assert copy.deepcopy(huber_loss) is huber_loss


def test_recomputable_tables_are_not_pickled():
    vocabulary = zoo.data.Vocabulary("abc")
    vocabulary.encode("abc")
    assert len(pickle.dumps(vocabulary)) < 200


def test_pickle_names_no_generated_code():
    named = set()
    for make in (*LAYERS.values(), *MODELS.values()):
        value = make()
        if isinstance(value, zoo.Recurrent):
            outcome(value)
        named |= names_in(pickle.dumps(value, 2))
    ours = {(module, name) for module, name in named if module.startswith("zoo")}
    functions = {name for _, name in ours if not name[0].isupper()}
    assert functions == {"_rebuild", "_restore", "modified_class"}
    others = {module.partition(".")[0] for module, _ in named - ours}
    assert others <= {"__builtin__", "_codecs", "copy_reg", "functools", "numpy", "pickled_cells"}


def names_in(data: bytes) -> set[tuple[str, ...]]:
    """The modules and attributes that a pickle of protocol 2 names: all that it can call."""
    return {tuple(arg.split(" ")) for code, arg, _ in pickletools.genops(data) if code.name == "GLOBAL"}


def test_pickle_with_read_only_arrays_can_train():
    model = MODELS["language"]()
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(model, 5, buffer_callback=buffers.append)
    read_only = [bytes(buffer.raw()) for buffer in buffers]
    loaded = pickle.loads(data, buffers=read_only)
    with pure_python():
        expected = model.loss_and_grad([[0], [1]], [[1], [2]])[0]
        assert loaded.loss_and_grad([[0], [1]], [[1], [2]])[0] == expected
    loaded.theta -= loaded.grad


def test_memory_mapped_joblib_model_can_train(tmp_path):
    joblib = pytest.importorskip("joblib")
    model = MODELS["sequence"]()
    joblib.dump(model, tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    loaded.theta += 1
    np.testing.assert_array_equal(loaded.theta, model.theta + np.float32(1))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_pickled_layer_in_other_process_computes_same_bits(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    rnn = LAYERS["several cells"]()
    with multiprocessing.get_context(method).Pool(1) as pool:
        arrays = pool.apply_async(outcome, [rnn]).get(timeout=120)
    for one, other in zip(arrays, outcome(rnn), strict=True):
        np.testing.assert_array_equal(one, other)


# ---- classes of a file given by its path --------------------------------------------------------------

FILE = """
import zoo

class Orth(zoo.Cell):
    \"\"\"A cell of a file.\"\"\"

    W = zoo.Param("I", "H", init="glorot_uniform")
    h = zoo.State("H")

    def step(self, x, h):
        return zoo.tanh(x @ self.W + h)
"""


@pytest.mark.parametrize("name", ["Orth", "Orth+zoneout"])
def test_cell_of_file_can_be_copied_but_not_pickled(tmp_path, name):
    (tmp_path / "orth.py").write_text(FILE)
    rnn = zoo.Recurrent(f"{tmp_path / 'orth.py'}:{name}", 2, 3)
    for value in (rnn, rnn.cell):
        with pytest.raises(zoo.UsageError, match=r"cell class Orth \(orth\.py\) cannot be pickled, since"):
            pickle.dumps(value)
        assert type(copy.deepcopy(value)) is type(copy.copy(value)) is type(value)
    assert copy.deepcopy(rnn).cell == rnn.cell


@pytest.mark.parametrize("saved", ["", " runs/a keeps what was saved before."])
def test_error_of_divergence_is_pickled(saved):
    error = pickle.loads(pickle.dumps(DivergenceError("after 3 steps the loss is nan; lower `lr`", saved)))
    assert str(error) == f"training diverged: after 3 steps the loss is nan; lower `lr`.{saved}"
    assert error.reason.startswith("after 3 steps")
