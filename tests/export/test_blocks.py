"""Stacks of blocks and cells that Hypothesis draws: exports compute the values of zoo."""

from __future__ import annotations

import numpy as np
import pytest
from export_asserts import CC, case, compiled_step, largest_difference
from hypothesis import given
from hypothesis import strategies as st
from random_trials import examples

import zoo
from zoo.export.exported_model import exported_model
from zoo.export.onnx_model import onnx_model
from zoo.kernels import pure_python
from zoo.testing.blocks import CELLS_OF_EVERY_KIND

INPUTS, WIDTH, STEPS, BATCH = 3, 4, 4, 2
EQUAL = {"float32": 2e-5, "float64": 1e-9}

layers = st.tuples(st.sampled_from(zoo.list_blocks()), st.sampled_from(CELLS_OF_EVERY_KIND)).map(
    "{0[0]}({0[1]})".format
)
stacks = given(cells=st.lists(layers, min_size=1, max_size=3))


def trial(cells, dtype="float64"):
    """A stack of layers with parameters of which none is zero, its arrays, and its results."""
    rnn = zoo.Recurrent(cells, INPUTS, WIDTH, dtype=dtype, threads=1)
    rnn.theta += np.random.default_rng(1).normal(size=rnn.theta.size) / 5
    numbers = case(rnn, STEPS, BATCH)
    with pure_python():
        y, last = rnn.forward(numbers.x, numbers.state, **numbers.inputs)
    return numbers, exported_model(rnn), [y, *last.values()]


@examples(12)
@stacks
def test_onnx_of_any_stack(cells):
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    # onnxruntime has no erf of float64, which the block slstm needs.
    dtype = "float32" if any(name.startswith("slstm(") for name in cells) else "float64"
    numbers, subject, expected = trial(cells, dtype)
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    model = onnx_model(subject, False).SerializeToString()
    session = runtime.InferenceSession(model, options, ["CPUExecutionProvider"])
    actual = session.run(None, {"x": numbers.x, **numbers.inputs, **numbers.state})
    assert largest_difference(actual, expected) < EQUAL[dtype]


@pytest.mark.skipif(CC is None, reason="there is no C compiler")
def test_c_of_any_stack(tmp_path):
    number = 0

    @examples(5)
    @stacks
    def compare(cells):
        nonlocal number
        number += 1
        numbers, subject, (y, *last) = trial(cells)
        run = compiled_step(subject, f"stack_{number}", tmp_path)
        aux = [value[:, 0] for value in numbers.inputs.values()]
        actual = run(numbers.x[:, 0], aux, [value[0] for value in numbers.state.values()])
        expected = [y[:, 0], np.concatenate([value[0].ravel() for value in last])]
        assert largest_difference(actual, expected) < EQUAL["float64"]

    compare()


@examples(10)
@stacks
def test_javascript_of_any_stack(cells, node):
    numbers, subject, (y, *last) = trial(cells)
    aux = [value[:, 0] for value in numbers.inputs.values()]
    state = {name: value[0] for name, value in numbers.state.items()}
    actual = node.steps(node.module(subject), numbers.x[:, 0], aux, state)
    expected = [y[:, 0], np.concatenate([value[0].ravel() for value in last])]
    assert largest_difference(actual, expected) < EQUAL["float64"]
