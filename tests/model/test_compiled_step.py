"""The compiled step of a model, which must equal the interpreted step to the bit."""

from __future__ import annotations

import math
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from zoo_cells.classic import vanilla

import zoo
from zoo.compiler import compiler_process
from zoo.compiler.background import PROCESS
from zoo.errors import DefinitionError
from zoo.model import compiled_step

H, V = 6, 5
SIZES = [(1, 3), (17, 4)]  # one shard; three, in two threads


@zoo.njit
def forward(params, x, state, odd, scale):
    """Drop a step of a sequence of ``odd`` steps; raise an error for ``odd + 1``."""
    if x.shape[0] == odd + 1:
        raise ValueError("too long by one")
    y, last, tape = vanilla.forward(params, x, state)
    return (y[1:] if x.shape[0] == odd else y), last, tape


@zoo.njit
def backward(params, x, state, tape, dy, dlast, odd, scale):
    return vanilla.backward(params, x, state, tape, dy, dlast)


class Odd(zoo.Cell):
    """A cell with its own kernels and options whose results are wrong at one length."""

    card = vanilla.Vanilla.card
    odd = zoo.Option(1000, help="the length")
    scale = zoo.Option(1.0, help="unused")
    Wxh, Whh, bh, h = (getattr(vanilla.Vanilla, name) for name in ("Wxh", "Whh", "bh", "h"))
    forward = forward
    backward = backward


def step(model, kind, *batch, **arguments):
    """Loss, gradient and final states of the interpreted step, or of the compiled one if there is one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(model._compiled_step.shards, "interpreted", math.inf if kind == "interpreted" else 0)
        model.grad = np.full_like(model.grad, 7)
        loss, last = model.loss_and_grad(*batch, **arguments)
    return [np.float64(loss), model.grad.copy(), *last.values()]


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def compiled_steps(model):
    return [each for each in model._compiled_step._steps.values() if each]


def tokens(batch, steps, seed=0):
    rng = np.random.default_rng(seed)
    sequence = rng.integers(V, size=(steps + 1, batch))
    return sequence[:-1], sequence[1:]


# A modified cell with the noise of two states in float32 only, and of one in float64.
@pytest.mark.parametrize(
    ("cell", "layers", "dtype"),
    [
        ("vanilla", 1, "float32"),
        ("vanilla", 1, "float64"),
        ("lstm", 2, "float32"),
        (Odd, 2, "float64"),
        ("lstm+zoneout", 1, "float32"),
        ("vanilla+zoneout", 1, "float64"),
    ],
)
def test_compiled_step_equals_interpreted_step(cell, layers, dtype):
    model = zoo.LanguageModel("abcde", cell, H, layers, dtype=dtype, threads=2)
    for batch, steps in SIZES:
        inputs, targets = tokens(batch, steps)
        _, _, *last = step(model, "interpreted", inputs, targets)
        state = dict(zip(model.stack.state_shapes, last, strict=True))
        counts = np.random.default_rng(1).uniform(0.1, 1, inputs.shape)
        for given in ({}, {"state": state}, {"weights": counts}):
            expected = step(model, "interpreted", inputs, targets, **given)
            assert not compiled_steps(model) or given or batch > 1
            assert same(expected, step(model, "compiled", inputs, targets, **given))
    assert len(compiled_steps(model)) == 1


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error", "binary"])
def test_float_inputs_compile_for_every_loss(loss):
    model = zoo.SequenceModel("vanilla", 3, V, H, 2, loss=loss)
    rng = np.random.default_rng(0)
    x, numbers = rng.normal(size=(4, 9, 3)), rng.random((4, 9, V))
    batch = x, numbers.argmax(axis=2) if loss == "cross_entropy" else numbers
    assert same(step(model, "interpreted", *batch), step(model, "compiled", *batch))
    assert compiled_steps(model)


def test_each_input_type_has_its_own_step():
    model = zoo.SequenceModel("vanilla", V, V, H)
    inputs, targets = tokens(2, 4)
    for x in (inputs, np.eye(V)[inputs]):
        assert same(step(model, "interpreted", x, targets), step(model, "compiled", x, targets))
    assert len(compiled_steps(model)) == 2


def test_dropout_and_segments_use_the_interpreted_step():
    batch = tokens(2, 6)
    for options, given in (
        ({"dropout": 0.5}, {"noise": (0, 1)}),
        ({"recompute": 2}, {}),
    ):
        model = zoo.LanguageModel("abcde", "vanilla", H, 2, **options)
        assert same(step(model, "interpreted", *batch, **given), step(model, "compiled", *batch, **given))
        assert not compiled_steps(model)


# Every pair of two of the three settings: each combination takes a second to compile. `Odd` has the kernels
# of vanilla, and options.
@pytest.mark.parametrize(
    ("cell", "dtype", "hidden"),
    [("lstm", "float64", H), (Odd, "float32", V)],  # with the other dtypes, they are above
)
def test_residual_layers_compile(cell, hidden, dtype):
    model = zoo.LanguageModel("abcde", cell, hidden, 3, dtype=dtype, residual=True, threads=2)
    assert [layer.is_residual for layer in model.stack.layers] == [hidden == V, True, True]
    for batch, steps in SIZES:
        given = tokens(batch, steps)
        assert same(step(model, "interpreted", *given), step(model, "compiled", *given))
    assert compiled_steps(model)


def test_layers_of_different_cells_compile():
    model = zoo.LanguageModel("abcde", ["vanilla", "lstm"], H)
    for batch, steps in SIZES:
        given = tokens(batch, steps)
        assert same(step(model, "interpreted", *given), step(model, "compiled", *given))
    assert compiled_steps(model)


def test_residual_layers_of_numbers_compile():
    model = zoo.SequenceModel("vanilla", H, V, H, 2, loss="squared_error", residual=True)
    rng = np.random.default_rng(0)
    batch = rng.normal(size=(4, 9, H)), rng.random((4, 9, V))
    assert same(step(model, "interpreted", *batch), step(model, "compiled", *batch))
    assert compiled_steps(model)


@pytest.mark.parametrize("loss", ["cross_entropy", "squared_error"])
def test_steps_without_loss_compile(loss):
    model = zoo.SequenceModel("vanilla", 3, V, H, 1, loss=loss)
    rng = np.random.default_rng(0)
    x, numbers = rng.normal(size=(6, 17, 3)), rng.random((6, 17, V))
    targets = numbers.argmax(axis=2) if loss == "cross_entropy" else numbers
    weights = rng.random((6, 17)) * np.array([0, 1, 1, 0, 1, 0])[:, None]
    for batch in ((x, targets, weights), (x, targets[-1]), (x, targets)):
        assert same(step(model, "interpreted", *batch), step(model, "compiled", *batch))
    assert len(compiled_steps(model)) == 2


def test_dropout_without_noise_compiles():
    model = zoo.LanguageModel("abcde", "vanilla", H, 2, dropout=0.5)
    batch = tokens(2, 6)
    assert same(step(model, "interpreted", *batch), step(model, "compiled", *batch))
    assert compiled_steps(model)


def test_noise_compiles_and_depends_on_the_step():
    model = zoo.LanguageModel("abcde", "lstm+zoneout", H)
    batch = tokens(9, 6)
    for number in (1, 2):
        noise = {"noise": (3, number)}
        assert same(step(model, "interpreted", *batch, **noise), step(model, "compiled", *batch, **noise))
    assert not same(step(model, "compiled", *batch, noise=(3, 1)), step(model, "compiled", *batch))
    assert compiled_steps(model)


def test_few_steps_do_not_compile():
    model = zoo.LanguageModel("abcde", "vanilla", H)
    batch = tokens(1, 4)
    for _ in range(compiled_step.INTERPRETED_SHARDS):
        model.loss_and_grad(*batch)
    assert not compiled_steps(model)
    model.loss_and_grad(*batch)
    assert compiled_steps(model)


def test_compile_training_step_skips_the_interpreted_shards():
    model = zoo.LanguageModel("abcde", "vanilla", H)
    batch = tokens(1, 4)
    model.compile_training_step()
    model.loss_and_grad(*batch)
    assert not compiled_steps(model)
    model.loss_and_grad(*batch)
    assert compiled_steps(model)


def check_interpreted_step_while_another_process_compiles(factor):
    """For a cell that no process has compiled, since ``factor`` is in its equations."""
    compiler_process.available_processors = lambda: 2

    class Waiting(zoo.Cell):
        """A cell with its own equations."""

        W, a = zoo.Param("I", "H", init="glorot_uniform"), zoo.Param("H", init="ones")
        h = zoo.State("H")

        def step(self, x, h):
            return np.tanh(self.a * h + x @ self.W) * factor

    model = zoo.SequenceModel(Waiting, H, V, H, threads=2)
    rng = np.random.default_rng(0)
    batches = [(rng.normal(size=(4, 9, H)), rng.integers(V, size=(4, 9))) for _ in range(3)]
    expected = [step(model, "interpreted", *batch) for batch in batches]
    PROCESS.stop()  # it has compiled kernels of the interpreted step
    model.compile_training_step(wait=False)
    for batch, results in zip(batches, expected, strict=True):
        assert same(step(model, "compiled", *batch), results)
    (compiled,) = compiled_steps(model)
    assert compiled.compilation.function() is None  # the interpreted step has computed these
    assert compiled.compilation._has_process
    kernel = compiled.compilation._calls[-1].kernel
    model.compile_training_step()  # and wait
    assert same(step(model, "compiled", *batches[1]), expected[1])
    assert compiled.compilation.function() is not None
    assert kernel.dispatcher.stats.cache_hits
    assert not kernel.dispatcher.stats.cache_misses


def test_interpreted_step_computes_while_another_process_compiles():
    # In a new process: late in a run of all tests, the other one had stored no training step, twice.
    check, factor = check_interpreted_step_while_another_process_compiles.__name__, random.uniform(0.5, 0.9)
    program = f"import {__name__} as tests; tests.{check}({factor})"
    paths = [str(Path(__file__).parent), *filter(None, sys.path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "ZOO_COMPILE_PROCESSES": "2"}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


@pytest.mark.parametrize(("steps", "compiled"), [(7, 0), (8, 1), (200, 1)])
def test_run_of_eight_shards_compiles_before_its_first_step(tmp_path, steps, compiled):
    seen = []

    def look(event):
        if event["event"] == "compiled":
            raise StopTest

    class StopTest(Exception):
        pass

    from zoo.training.trainer import Trainer

    with pytest.MonkeyPatch.context() as patch:
        run_once = Trainer._run_once
        patch.setattr(
            Trainer, "_run_once", lambda self, wait: (run_once(self, wait), seen.append(self.model))
        )
        settings = {"task": "copying", "cell": "vanilla", "hidden": 4, "batch": 2, "steps": steps}
        with pytest.raises(StopTest):
            zoo.train(**settings, out=tmp_path / "run", on_event=look)
    assert len(compiled_steps(seen[0])) == compiled


def test_each_input_type_has_its_own_interpreted_shards():
    model = zoo.SequenceModel("vanilla", V, V, H)
    inputs, targets = tokens(1, 4)
    for number, x in enumerate((inputs, np.eye(V)[inputs])):
        for _ in range(compiled_step.INTERPRETED_SHARDS + 1):
            assert len(compiled_steps(model)) == number
            model.loss_and_grad(x, targets)
    assert len(compiled_steps(model)) == 2


def test_kernel_errors_equal_those_of_the_interpreted_step():
    model = zoo.LanguageModel("abcde", Odd(odd=7), H)
    step(model, "interpreted", *tokens(2, 4))
    assert same(step(model, "interpreted", *tokens(2, 4)), step(model, "compiled", *tokens(2, 4)))
    assert compiled_steps(model)
    with pytest.raises(DefinitionError, match=r"forward is float32\(6, 2, 6\); expected float32\(7, 2, 6\)"):
        step(model, "compiled", *tokens(2, 7))
    with pytest.raises(ValueError, match="too long by one"):
        step(model, "compiled", *tokens(2, 8))
    assert same(step(model, "interpreted", *tokens(2, 4)), step(model, "compiled", *tokens(2, 4)))


def test_deep_copy_has_its_own_step():
    import copy

    model = zoo.LanguageModel("abcde", "vanilla", H)
    batch = tokens(2, 4)
    step(model, "compiled", *batch)
    copied = copy.deepcopy(model)
    copied.theta += 0.1
    before = model.grad.copy()
    assert same(step(copied, "interpreted", *batch), step(copied, "compiled", *batch))
    np.testing.assert_array_equal(model.grad, before)


def test_compiled_step_does_not_leak():
    from numba.core.runtime import _nrt_python, rtsys

    model = zoo.LanguageModel("abcde", "lstm", H, 2, threads=1)
    batch = tokens(2, 4)
    step(model, "interpreted", *batch)
    step(model, "compiled", *batch)
    assert compiled_steps(model)
    was_counted = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    try:
        before = rtsys.get_allocation_stats()
        for _ in range(50):
            step(model, "compiled", *batch)
        after = rtsys.get_allocation_stats()
    finally:
        if not was_counted:
            _nrt_python.memsys_disable_stats()
    assert after.mi_alloc - before.mi_alloc > 50
    assert after.mi_alloc - before.mi_alloc == after.mi_free - before.mi_free
    assert after.alloc - before.alloc == after.free - before.free
