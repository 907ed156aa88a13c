"""The gradient with respect to the input is only computed where something needs it."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np
import pytest
from zoo_cells.classic import vanilla

import zoo
from zoo.compiler import kernels_of
from zoo.kernels import pure_python

T, B, D, H = 5, 9, 3, 4
requests: list[bool] = []


def backward(params, x, state, tape, dy, dlast, gain, needs_dx):
    requests.append(needs_dx)
    dx, dstate, dparams = vanilla.backward(params, x, state, tape, dy, dlast, needs_dx)
    return dx, dstate, tuple(gain * each for each in dparams)


def forward(params, x, state, _gain):
    return vanilla.forward(params, x, state)


class Recorder(zoo.Cell):
    """The vanilla cell, which records whether the gradient of the input was requested."""

    card = zoo.Card(title="None", authors="The tests", year=2026, url="https://example.org")
    W = zoo.Param("I", "H")
    U = zoo.Param("H", "H")
    b = zoo.Param("H")
    h = zoo.State("H")
    gain = zoo.Option(1.0)
    forward = forward
    backward = backward


@pytest.fixture(autouse=True)
def _clear() -> None:
    requests.clear()


def values(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=shape)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    "options",
    [{}, {"residual": True}, {"bidirectional": True}, {"dropout": 0.5}],
    ids=["plain", "residual", "bidirectional", "dropout"],
)
@pytest.mark.parametrize("cell", ["lstm", "vanilla", "mamba", "prenorm(lstm)"])
def test_other_gradients_keep_their_bits(cell: str, options: dict[str, Any], layers: int) -> None:
    if ("dropout" in options and layers == 1) or ("residual" in options and "(" in cell):
        pytest.skip("dropout is between two layers, and a block adds its input itself")
    rnn = zoo.Recurrent(cell, H, H, num_layers=layers, dtype="float64", **options)
    x, lengths = values(T, B, H), np.arange(B) % T + 1
    # Only two cells compile: the others would take 14 s.
    with contextlib.nullcontext() if cell in ("vanilla", "lstm") else pure_python():
        for given in ({}, {"lengths": lengths}):
            y, _, tape = rnn.apply(rnn.theta, x, noise=(1, 2), **given)
            dx, dstate, dtheta = rnn.vjp(tape, np.cos(y))
            none, other_dstate, other_dtheta = rnn.vjp(tape, np.cos(y), needs_dx=False)
            assert dx.shape == x.shape
            assert none is None
            np.testing.assert_array_equal(dtheta, other_dtheta)
            for name, gradient in dstate.items():
                np.testing.assert_array_equal(gradient, other_dstate[name])


@pytest.mark.parametrize("recompute", [None, "sqrt", 2])
def test_backward_of_a_layer(recompute: Any) -> None:
    rnn = zoo.Recurrent("gru", D, H, recompute=recompute)
    y, _ = rnn.forward(values(T, B, D))
    rnn.backward(y)
    gradient = rnn.grad.copy()
    assert rnn.backward(y, needs_dx=False)[0] is None
    np.testing.assert_array_equal(rnn.grad, gradient)


@pytest.mark.usefixtures("plain_python")
@pytest.mark.parametrize("cell", ["lstm", "gru", "vanilla", "delta_net"])
def test_kernels_do_not_compute_dx(cell: str) -> None:
    layer, kernels = zoo.Recurrent(cell, D, H, dtype="float64"), kernels_of(zoo.get_cell(cell))
    state = tuple(np.zeros((B, *shape)) for shape in layer.cell.state_shapes(D, H).values())
    params, x = tuple(layer.params.values()), values(T, B, D)
    y, last, tape = kernels.forward(kernels.forward_params(params, True), x, state)
    for needs_dx, shape in ((True, (T, B, D)), (False, (0, 0, 0))):
        prepared = kernels.backward_params(params, True, needs_dx)
        options = kernels.last_backward_arguments(needs_dx)
        assert kernels.backward(prepared, x, state, tape, y, last, *options)[0].shape == shape


def test_layers_request_dx_of_all_but_the_first() -> None:
    rnn = zoo.Recurrent(Recorder(), D, H, num_layers=3)
    y, _ = rnn.forward(values(T, 2, D))
    rnn.backward(y)
    assert requests == [True, True, True]
    requests.clear()
    rnn.backward(y, needs_dx=False)
    assert requests == [True, True, False]


def test_models_request_dx_for_an_embedding_only() -> None:
    x, targets = values(T, 2, D), np.zeros((T, 2), int)
    zoo.SequenceModel(Recorder(), D, H, 2, num_layers=2).loss_and_grad(x, targets)
    assert requests == [True, False]
    requests.clear()
    for embedding, expected in ((None, False), (3, True)):
        model = zoo.LanguageModel("ab", Recorder(), H, embedding=embedding)
        model.loss_and_grad(targets, targets)
        assert requests == [expected]
        requests.clear()


@pytest.mark.parametrize("cell", ["lstm", "vanilla"])
@pytest.mark.parametrize("layers", [1, 2])
def test_compiled_step_equals_the_layer(cell: str, layers: int) -> None:
    model = zoo.SequenceModel(cell, D, H, 2, num_layers=layers, threads=1, seed=1)
    x, targets = values(T, B, D), np.arange(T * B).reshape(T, B) % 2
    gradients = []
    for _ in range(12):  # the first steps are interpreted
        model.loss_and_grad(x, targets)
        gradients.append(model.grad.copy())
    np.testing.assert_array_equal(gradients[0], gradients[-1])


def test_another_last_parameter_is_an_error() -> None:
    def other(params, x, state, tape, dy, dlast, gain, wants_dx): ...

    with pytest.raises(
        zoo.DefinitionError,
        match=r"takes 8 arguments; expected backward\(.*, gain\).*, and optionally needs_dx",
    ):
        type("Other", (Recorder,), {"__doc__": "A recorder.", "backward": staticmethod(other)})


def test_an_option_named_needs_dx_is_an_error() -> None:
    with pytest.raises(zoo.DefinitionError, match="option 'needs_dx' has the name of a parameter of kernels"):
        type("Named", (Recorder,), {"__doc__": "A recorder.", "needs_dx": zoo.Option(True)})
