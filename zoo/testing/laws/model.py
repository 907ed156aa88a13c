"""Laws about models of a cell: readout, saving and loading, training."""

from __future__ import annotations

import tempfile
from pathlib import Path
from unittest import SkipTest

import numpy as np

from zoo.array_types import Array, Arrays
from zoo.base import Cell, Chain
from zoo.errors import UsageError
from zoo.model import LanguageModel, Model, load_model
from zoo.testing.assertions import assert_same, fail
from zoo.testing.trials import (
    DENSE32,
    TOKENS32,
    TOKENS64,
    Case,
    InputKind,
    Trial,
    law,
    make_trial,
    suitable_sizes,
)

TOKENS = (TOKENS64, TOKENS32)


@law(kinds=TOKENS, least_inputs=2, most_inputs=5)
def check_softmax(case: Case) -> None:
    """The readout's softmax sums to one, and loss and gradient are finite, also for very large logits."""
    meaning = "Outputs should be of moderate size, or the readout overflows."
    model, tokens = language_model(case)
    for scale in (1, 1e6):
        model.params["Why"][...] *= scale
        logits, _ = model.logits(tokens)
        for row in logits.reshape(-1, len(model.vocab)):
            _check_row(case.cell, row, f"readout weights times {scale:g}. {meaning}")
        loss, _ = model.loss_and_grad(tokens, tokens[::-1])
        if not (np.isfinite(loss) and np.isfinite(model.grad).all()):
            actual = f"loss {loss}, gradient {model.grad[~np.isfinite(model.grad)][:1]}"
            fail(
                case.cell,
                "language model",
                actual,
                "finite numbers",
                f"With readout weights times {scale:g}. {meaning}",
            )


def _check_row(cell: Cell, logits: Array, meaning: str) -> None:
    try:
        total = Chain().probabilities(logits).sum()
    except UsageError:
        fail(cell, "logits of the readout", logits, "finite numbers", f"With {meaning}")
    if abs(total - 1) > 1e-12:
        fail(cell, "sum of the probabilities", total, 1, f"With {meaning}")


@law(kinds=TOKENS, least_inputs=2, most_inputs=5)
def check_save_load(case: Case) -> None:
    """A loaded model has the saved cell, and bitwise equal parameters, buffers and outputs."""
    meaning = "A cell is saved as its class and options: attributes set in __init__ are lost."
    model, tokens = language_model(case)
    expected = _model_arrays(model, tokens)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.safetensors"
        model.save(path)
        loaded = load_model(path, cell=type(case.cell))
    if loaded.cells != model.cells:
        fail(case.cell, "cells of the loaded model", repr(loaded.cells), repr(model.cells), meaning)
    assert_same(case.cell, _model_arrays(loaded, tokens), expected, meaning)


def language_model(case: Case) -> tuple[LanguageModel, Array]:
    """A language model with noisy parameters, and tokens for it."""
    inputs, hidden, layers = case.sizes
    trial = make_trial(case)
    vocab = "abcdefghijklmnopqrstuvwxyz"[:inputs]
    model = LanguageModel(vocab, case.cell, hidden, layers, dtype=case.dtype, seed=case.seed, threads=1)
    model.theta += trial.rng.normal(size=model.theta.size).astype(case.dtype) / 5
    return model, trial.x


def _model_arrays(model: Model, tokens: Array) -> Arrays:
    logits, last = model.outputs(tokens)
    values = {f"parameter {name}": value for name, value in model.params.items()}
    values |= {f"buffer {name}": value for name, value in model.buffers.items()}
    return values | {"logits": logits} | {f"last state {name}": value for name, value in last.items()}


def check_learns(cell: Cell, kinds: tuple[InputKind, ...] = (DENSE32, TOKENS32)) -> None:
    """Thirty gradient descent steps on targets from other parameters of the cell halve the loss.

    Args:
        cell: The cell.
        kinds: Dtypes, each with tokens or without.

    Raises:
        SkipTest: if the outputs of both parameters are equal, for example because no unit spikes.
    """
    size, differ = suitable_sizes(cell, layers=(1,))[-1], False
    for kind in kinds:
        # Sum the losses of several seeds: with a single seed all units may be off.
        with np.errstate(all="ignore"):
            pairs = [_descend(make_trial(Case(cell, 5, 8, size, *kind, seed))) for seed in range(4)]
        first, last = (sum(losses) for losses in zip(*pairs, strict=True))
        differ |= first != 0
        if first != 0 and not last < first / 2:
            meaning = "Check the gradients first: one may be zero or have the wrong sign."
            zero = _without_gradient(make_trial(Case(cell, 5, 8, size, *kind, 0)))
            if zero:
                why = "for example because `step` uses it only in a comparison"
                meaning = f"The gradient of {', '.join(zero)} is zero, {why}. {meaning}"
            actual, expected = f"{last:.3g}, from {first:.3g}", f"less than {first / 2:.3g}"
            fail(cell, f"squared error after {STEPS} steps", actual, expected, f"{meaning} [{kind[0]}]")
    if not differ:
        raise SkipTest("in five steps, its outputs are the same for all parameters that were drawn")


def _without_gradient(trial: Trial) -> list[str]:
    """The parameters whose gradient is zero in all elements."""
    with np.errstate(all="ignore"):
        targets, _, _ = trial.apply()
        y, _, tape = trial.apply(trial.rnn.theta)
        _, _, gradient = trial.rnn.vjp(tape, y - targets)
    return [
        f"parameter {name}" for name, value in trial.rnn.layout.views(gradient).items() if not value.any()
    ]


def _descend(trial: Trial) -> tuple[float, float]:
    """The first and the smallest squared error of gradient descent towards the outputs of the trial."""
    targets, _, _ = trial.apply()
    theta = trial.rnn.theta.copy()
    length = float(np.linalg.norm(trial.theta - theta)) / STEPS  # the distance, in that many steps
    losses: list[float] = []
    for _ in range(STEPS):
        y, _, tape = trial.apply(theta)
        losses.append(float(np.mean((y - targets) ** 2)))
        _, _, gradient = trial.rnn.vjp(tape, y - targets)
        theta -= (length / max(float(np.linalg.norm(gradient)), 1e-30)) * gradient
    return losses[0], min(losses)


STEPS = 30
