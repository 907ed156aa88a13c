"""Every derived cell against its reference in PyTorch, run here and now, at sizes of any choice."""

from __future__ import annotations

import importlib
import importlib.util
import os
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from golden_values import CASES, REFERENCES, Golden

import zoo
from zoo.array_types import Arrays
from zoo.testing.assertions import assert_close
from zoo.testing.trials import DENSE64, Case, Trial, for_all, make_trial, named_gradients, named_outputs, run

torch = pytest.importorskip("torch", reason="needs the extra `peers`")
pytest.importorskip("scipy", reason="the reference of the LMU discretises its window by SciPy")

RTOL = 1e-9
Tensors = dict[str, Any]


@pytest.fixture(autouse=True)
def official_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip references that run official code if there is none."""
    monkeypatch.syspath_prepend(REFERENCES["gru"].parents[1])
    if "OFFICIAL_CODE" not in os.environ:
        reason = "OFFICIAL_CODE names no clones of official code, see tests/golden/official.py"
        monkeypatch.setattr(
            importlib.import_module("official"), "official", lambda *_, **__: pytest.skip(reason)
        )


def reference_of(cell: zoo.Cell) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"reference_{cell.name}", REFERENCES[cell.name])
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_match_reference(case: str) -> None:
    cell = Golden(case).cell
    reference = reference_of(cell)

    def law(sizes: Case) -> None:
        if cell.name == "lstm_projected" and cell.proj >= sizes.sizes[1]:
            return  # PyTorch projects to fewer units only
        trial = reachable(reference, make_trial(sizes))
        assert_close(cell, run(trial), by_torch(reference, trial), RTOL, "Expected is PyTorch.")

    for_all(
        cell, law, kinds=(DENSE64,), steps=(1, 8), batch=(1, 5), most_inputs=6, most_hidden=12, layers=(1,)
    )


def reachable(reference: ModuleType, trial: Trial) -> Trial:
    """The trial with parameters and states that the reference takes for granted."""
    if not hasattr(reference, "reachable"):
        return trial
    theta, state = trial.theta.copy(), {name: value.copy() for name, value in trial.state.items()}
    reference.reachable(
        trial.cell.options, *(plain(group) for group in (trial.rnn.layout.views(theta), state))
    )
    return replace(trial, theta=theta, state=state)


def plain(arrays: Arrays) -> Arrays:
    """Arrays under the cell's names."""
    return {name.removeprefix("l0."): value for name, value in arrays.items()}


def by_torch(reference: ModuleType, trial: Trial) -> Arrays:
    """Results of both passes, under the names that the kit gives them."""
    params, x = tensors(trial.rnn.layout.views(trial.theta)), tensors({"x": trial.x})["x"]
    state = tensors(trial.state, fixed=trial.discrete)
    constants = tensors(dict(trial.rnn.buffers) | trial.inputs, fixed=(*trial.rnn.buffers, *trial.inputs))
    y, last = reference.run(trial.cell.options, params | constants, x, state)
    scalar = (torch.tensor(trial.dy) * y).sum()
    for name, dlast in tensors(trial.dlast, fixed=tuple(trial.dlast)).items():
        scalar = scalar + (dlast * last[name]).sum()
    scalar.backward()
    values = named_outputs(array(y), {f"l0.{name}": array(value) for name, value in last.items()})
    dstate = {f"l0.{name}": gradient(value) for name, value in state.items()}
    dtheta = np.concatenate([gradient(value).ravel() for value in params.values()])
    return values | named_gradients(trial.rnn, gradient(x), dstate, dtheta)


def tensors(arrays: Arrays, fixed: tuple[str, ...] = ()) -> Tensors:
    """Arrays of the layer under the cell's names; what is not fixed is differentiated by."""
    return {
        name.removeprefix("l0."): torch.tensor(value, requires_grad=name not in fixed)
        for name, value in arrays.items()
    }


def array(value: Any) -> np.ndarray:
    return value.detach().numpy()


def gradient(value: Any) -> np.ndarray:
    """Zero for what the scalar does not depend on."""
    return np.zeros(value.shape) if value.grad is None else array(value.grad)
