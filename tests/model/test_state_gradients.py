"""Gradients of the loss of a model with respect to the initial states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import zoo
from zoo.kernels import pure_python

MODELS: dict[str, Any] = {
    "classes": lambda options: zoo.SequenceModel("lstm", 5, 3, num_layers=2, **options),
    "embedding": lambda options: zoo.SequenceModel("gru", 5, 3, embedding=4, **options),
    "tied": lambda options: zoo.LanguageModel("abcde", "gru", embedding=4, tie=True, **options),
    "segments": lambda options: zoo.SequenceModel("lstm", 5, 3, recompute=2, **options),
}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("lengths", [None, [6, 3, 4]])
def test_gradients_of_initial_states(name: str, lengths: Any) -> None:
    rng = np.random.default_rng(0)
    model = MODELS[name]({"hidden_size": 4, "dtype": "float64", "threads": 1})
    x, targets = rng.integers(0, 5, (6, 3)), rng.integers(0, 3, (6, 3))
    state, direction = (
        {each: rng.normal(size=(3, *shape)) for each, shape in model.stack.state_shapes.items()}
        for _ in range(2)
    )
    with pure_python():
        loss, final = model.loss_and_grad(x, targets, state=state, lengths=lengths)
        grad = model.grad.copy()
        result = model.loss_and_state_grad(x, targets, state=state, lengths=lengths)
        above, below = (
            model.loss(
                x,
                targets,
                state={each: value + by * direction[each] for each, value in state.items()},
                lengths=lengths,
            )[0]
            for by in (1e-6, -1e-6)
        )
    assert np.isclose(result[0], loss)
    np.testing.assert_allclose(model.grad, grad, rtol=1e-9, atol=1e-14)
    for each, value in final.items():
        np.testing.assert_allclose(result[1][each], value)
    slope = sum(np.sum(value * direction[each]) for each, value in result[2].items())
    np.testing.assert_allclose(slope, (above - below) / 2e-6, rtol=1e-6)
