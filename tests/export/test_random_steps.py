"""Random step programs: what is exported makes what NumPy makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from export_asserts import CC, compiled_step, largest_difference
from hypothesis import given
from hypothesis import strategies as st
from random_steps import SIZES
from random_trials import away_from_kinks, examples
from step_strategies import programs

import zoo
from zoo.export.exported_model import exported_model
from zoo.export.onnx_model import onnx_model

EQUAL = 1e-9

trials = given(program=programs(), sizes=st.sampled_from(SIZES[:3]), seed=st.integers(0, 99))


def trial(program, sizes, seed, tokens=False):
    """A layer of the program's cell in float64, what goes in, and what comes out."""
    case = away_from_kinks(program, sizes, 3, 2, seed)
    rnn = zoo.Recurrent(case.cell, sizes["I"], sizes["H"], dtype="float64")
    rnn.fill({f"l0.{name}": value for name, value in {**case.params, **case.buffers}.items()})
    y, last = case.reference(case.one_hot if tokens else case.x)
    return case, exported_model(rnn, tokens), [y, *last.values()]


@examples(40)
@trials
def test_onnx(program, sizes, seed):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    case, subject, expected = trial(program, sizes, seed)
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        model = onnx_model(subject, False).SerializeToString()
        session = runtime.InferenceSession(model, options, ["CPUExecutionProvider"])
    except runtime.capi.onnxruntime_pybind11_state.NotImplemented:
        return  # no kernel of float64, see test_export_onnx.py
    state = {f"l0.{name}": value for name, value in case.state.items()}
    actual = session.run(None, {"x": case.x, **case.inputs, **state})
    assert largest_difference(actual, expected) < EQUAL


@pytest.mark.skipif(CC is None, reason="there is no C compiler")
@pytest.mark.parametrize("tokens", [False, True], ids=["features", "tokens"])
def test_c(tokens, tmp_path):
    number = 0

    @examples(6)
    @trials
    def compare(program, sizes, seed):
        nonlocal number
        number += 1
        case, subject, expected = trial(program, sizes, seed, tokens)
        run = compiled_step(subject, f"program_{number}", tmp_path)
        for row in range(case.x.shape[1]):
            x = case.tokens[:, row] if tokens else case.x[:, row]
            aux = [value[:, row] for value in case.inputs.values()]
            actual = run(x, aux, [value[row] for value in case.state.values()])
            y, *last = (value[:, row] if not n else value[row] for n, value in enumerate(expected))
            wanted = [y, np.concatenate([value.ravel() for value in last])]
            assert largest_difference(actual, wanted) < EQUAL

    compare()


@pytest.mark.parametrize("tokens", [False, True], ids=["features", "tokens"])
@examples(12)
@trials
def test_javascript(tokens, program, sizes, seed, node):
    case, subject, (y, *last) = trial(program, sizes, seed, tokens)
    path = node.module(subject)
    for row in range(case.x.shape[1]):
        x = case.tokens[:, row] if tokens else case.x[:, row]
        aux = [value[:, row] for value in case.inputs.values()]
        state = {f"l0.{name}": value[row] for name, value in case.state.items()}
        expected = [y[:, row], np.concatenate([value[row].ravel() for value in last])]
        assert largest_difference(node.steps(path, x, aux, state), expected) < EQUAL
