"""Preparation of parameters: packed matrices and other values, computed once for all shards of a batch."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo.compiler.cell_kernels import derive_kernels
from zoo.compiler.compile import plan_kernels
from zoo.kernels.jit import observe_calls, pure_python
from zoo.testing.trials import suitable_sizes

no_files = checks.no_files

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
T, B, I, H = 3, 24, 4, 8  # noqa: E741
SHARDS = 4


class Squashed(zoo.Cell):
    """A recurrent matrix computed from a parameter, and a gate that is a view of another one."""

    card = CARD
    W = zoo.Param("I", "H")
    A = zoo.Param("H", "H")
    U = zoo.Param("2H", "H")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> Any:
        return np.tanh(x @ self.W + h @ np.tanh(self.A)) * zoo.sigmoid(h @ self.U[: self.U.shape[1]])


class Flat(zoo.Cell):
    """No parameter has an axis that determines H alone, and a matrix is a view of one."""

    card = CARD
    v = zoo.Param("I", 1)
    w = zoo.Param("H*H")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> Any:
        return np.tanh(x @ self.v + h @ self.w.reshape(h.shape[0], h.shape[0]))


class Joined(zoo.Cell):
    """A matrix for the input and the state together: its shape determines I after H."""

    card = CARD
    W = zoo.Param("I + H", "H")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> Any:
        return np.tanh(np.concatenate([x, h]) @ self.W)


class Averaged(zoo.Cell):
    """A value of parameters alone that needs the length of a state."""

    card = CARD
    U = zoo.Param("I", 1)
    w = zoo.Param(3)
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> Any:
        return np.tanh(h + np.sum(self.w) / h.shape[0] + x @ self.U)


class Scanned(zoo.Cell):
    """Sums over an axis of a parameter and of a state, whose loops have an index."""

    card = CARD
    W = zoo.Param("I", "H")
    prepared = zoo.Param("H")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> Any:
        return np.tanh(x @ self.W + np.cumsum(h) * np.cumsum(self.prepared))


def calls(cell: Any, tokens: bool = False, lengths: Any = None, **options: Any) -> Counter[str]:
    """The number of calls of each kernel in both passes of a layer."""
    layer = zoo.Recurrent(cell, I, H, threads=1, **options)
    rng = np.random.default_rng(0)
    x = rng.integers(0, I, (T, B)) if tokens else rng.normal(size=(T, B, I))
    counts: Counter[str] = Counter()

    def count(kernel: Any, _arguments: tuple[Any, ...]) -> None:
        counts[kernel.__name__] += 1

    with pure_python(), observe_calls(count):
        y, _ = layer.forward(x, lengths=lengths)
        counts.pop("digest")
        layer.backward(y)
        counts.pop("digest")
    return counts


@pytest.mark.parametrize("tokens", [False, True], ids=["floats", "tokens"])
@pytest.mark.parametrize("cell", ["lstm", "delta_net", "exp_rnn", Squashed(), Joined()], ids=str)
def test_parameters_are_prepared_once_for_all_shards(cell: Any, tokens: bool) -> None:
    expected = {"prepare_forward": 1, "prepare_backward": 1, "forward": SHARDS, "backward": SHARDS}
    assert calls(cell, tokens) == expected


def test_parameters_are_prepared_once_for_all_time_chunks() -> None:
    counts = calls("gru", lengths=np.arange(B) % T + 1)
    assert counts["forward"] > SHARDS
    assert (counts["prepare_forward"], counts["prepare_backward"]) == (1, 1)


def test_parameters_are_prepared_once_more_for_recomputation() -> None:
    counts = calls("gru", recompute=1)
    assert counts["forward"] == 2 * T * SHARDS
    assert (counts["prepare_forward"], counts["prepare_backward"]) == (2, 1)


@pytest.mark.parametrize("recompute", [None, 1])
def test_layers_and_directions_are_prepared_separately(recompute: int | None) -> None:
    counts = calls("gru", num_layers=2, bidirectional=True, recompute=recompute)
    forward = 4 if recompute is None else 8  # again for the backward pass
    assert (counts["prepare_forward"], counts["prepare_backward"]) == (forward, 4)


def test_sizes_that_determine_each_other_raise() -> None:
    class Circular(zoo.Cell):
        """I is known from H, and H from I."""

        card = CARD
        U = zoo.Param("I + H", 3)
        h = zoo.State(3)

        def step(self, x: Any, h: Any) -> Any:
            return np.tanh(h + x @ self.U[: x.shape[0]])

    with pytest.raises(zoo.DefinitionError, match="has a size that determines it"):
        plan_kernels(Circular())


def test_traces_prepare_parameters_once() -> None:
    layer = zoo.Recurrent("exp_rnn", I, H, num_layers=2, bidirectional=True, recompute=1, threads=1)
    counts = Counter[str]()
    with pure_python(), observe_calls(lambda kernel, _: counts.update([kernel.__name__])):
        layer.forward(np.ones((T, B, I)), trace=True)
    assert counts["prepare_forward"] == 4


def test_models_prepare_parameters_once_for_all_shards() -> None:
    model = zoo.SequenceModel(Squashed(), I, 3, hidden_size=H, threads=1)
    rng, counts = np.random.default_rng(0), Counter[str]()
    x, targets = rng.normal(size=(T, B, I)), rng.integers(0, 3, (T, B))
    with pure_python(), observe_calls(lambda kernel, _: counts.update([kernel.__name__])):
        model.loss_and_grad(x, targets)
    assert (counts["prepare_forward"], counts["prepare_backward"], counts["backward"]) == (1, 1, SHARDS)
    counts.clear()
    with pure_python(), observe_calls(lambda kernel, _: counts.update([kernel.__name__])):
        model.loss(x, targets)
        model.outputs(x)
    assert (counts["prepare_forward"], counts["prepare_backward"]) == (2, 0)


def test_both_passes_agree_with_the_step() -> None:
    for cell in (Squashed(), Flat(), Joined(), Averaged(), Scanned()):
        checks.check(checks.trial(cell, sizes=(I, H)))


def test_matrices_computed_from_parameters_are_packed_before() -> None:
    kernels = derive_kernels(Squashed())
    rng = np.random.default_rng(0)
    params = tuple(rng.normal(size=shape) for shape in Squashed().param_shapes(I, H).values())
    with pure_python():
        _, A, _, *prepared = kernels.forward_params(params, is_dense=True)
    assert any(each.shape == (1, H, H) and np.allclose(each[0], np.tanh(A)) for each in prepared)


def test_prepared_values_are_arrays() -> None:
    kernels = derive_kernels(Scanned())
    params = tuple(np.ones(shape) for shape in Scanned().param_shapes(I, H).values())
    with pure_python():
        for prepared in (kernels.forward_params(params, True), kernels.backward_params(params, True)):
            assert all(isinstance(each, np.ndarray) for each in prepared)


def test_no_pass_writes_to_prepared_parameters() -> None:
    """Threads share them."""
    for name in zoo.list_cells():
        cell = zoo.get_cell(name)
        if not cell.is_derived():
            continue
        inputs, hidden, *_ = next(each for each in suitable_sizes(cell) if min(each) > 1)
        layer = zoo.Recurrent(cell, inputs, hidden, threads=1, dtype="float64")
        stack, (direction,) = layer.stack, layer.stack.directions
        plain = stack.params_by_direction(layer.arrays)
        with pure_python():
            (params,) = stack.prepare(plain, True, forward=True, backward=True, needs_dx=True)
            for array in (*params.forward_params, *params.backward_params):
                array.flags.writeable = False
            state = {key: np.zeros((1, *shape)) for key, shape in direction.states.items()}
            aux = tuple(np.ones((2, 1, *shape)) for shape in direction.inputs.values())
            y, final, tape = direction.forward(params, np.ones((2, 1, inputs)), state, aux)
            direction.backward(params, tape, y, final)


def test_kernels_prepare_parameters_that_do_not_determine_the_sizes() -> None:
    kernels = derive_kernels(Flat())
    assert kernels.prepare_forward is None
    assert "def prepare_" not in plan_kernels(Flat()).source
    assert calls(Flat()) == {"forward": SHARDS, "backward": SHARDS}


def test_the_transpose_that_only_dx_needs_is_empty_without_dx() -> None:
    kernels = derive_kernels(zoo.get_cell("gru"))
    layer = zoo.Recurrent("gru", I, H)
    for is_dense, needs_dx, rows in ((True, True, 3 * H), (True, False, 0), (False, True, 0)):
        *_, panels = kernels.backward_params(tuple(layer.params.values()), is_dense, needs_dx)
        assert panels.shape[0] * panels.shape[2] == 0 if rows == 0 else panels.shape[1] == rows


def test_the_compiled_step_prepares_as_the_interpreted_one() -> None:
    rng = np.random.default_rng(0)
    x, targets = rng.normal(size=(T, B, I)).astype(np.float32), rng.integers(0, 3, (T, B))
    cells = ["gru", "vanilla", "lstm"]  # vanilla has kernels of its own
    model = zoo.SequenceModel(cells, I, 3, hidden_size=H, num_layers=3, threads=2)
    loss, _ = model.loss_and_grad(x, targets)
    gradient = model.grad.copy()
    model.compile_training_step()
    for _ in range(3):
        assert model.loss_and_grad(x, targets)[0] == loss
        np.testing.assert_array_equal(model.grad, gradient)
    assert all(step is not None for step in model._compiled_step._steps.values())
    assert model._compiled_step._steps
