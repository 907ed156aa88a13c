"""Cells without connections between units, and the unit of each of their parameters."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import zoo
from zoo.compiler.frontend.trace_step import step_graph_of
from zoo.compiler.passes.unit_groups import UnitGroups, match_unit_groups
from zoo.kernels import pure_python
from zoo.online.state_groups import state_groups

Step = Callable[..., Any]

GROUPED = (
    *("brc", "damped_linoss", "elstm", "hgrn", "indrnn", "indy_lstm", "linoss", "lru", "min_gru", "min_lstm"),
    *("nvar", "para_gru", "para_lstm", "rtu", "s5", "sru", "t_rnn", "unicornn"),
)


def cell_of(step: Step) -> zoo.Cell:
    """A cell with this step and the parameters that it reads."""
    shapes: dict[str, tuple[Any, ...]] = {
        "W": ("I", "H"),
        "U": ("I", "2H"),
        "V": ("H", "H"),
        "a": ("H",),
        "scalar": (1,),
    }
    params = {name: zoo.Param(*shapes[name]) for name in shapes if name in step.__code__.co_names}
    states = {"h": zoo.State("H"), "c": zoo.State("H")}
    cls: type[zoo.Cell] = type(
        "Trial", (zoo.Cell,), {**params, **states, "step": step, "__doc__": "A trial."}
    )
    return cls()


def groups_of(step: Step) -> UnitGroups | None:
    return match_unit_groups(step_graph_of(cell_of(step)), {"I": 3, "H": 4})


def separate(self: Any, x: Any, h: Any, c: Any) -> Any:
    z, f = zoo.split(x @ self.U, 2)
    f = zoo.sigmoid(f + h * self.a)
    return f * h + c, np.tanh(z + c * np.exp(self.a)) + np.mean(x)


def mixed_output(self: Any, x: Any, h: Any, c: Any) -> Any:
    return zoo.Output((h + c) @ self.V * self.scalar, self.a * h + x @ self.W, c)


def through_reshape(self: Any, x: Any, h: Any, c: Any) -> Any:
    pairs = np.concatenate([h, c]).reshape(2, -1)
    return pairs.sum(axis=0) + x @ self.W, pairs[1] * self.a


CONNECTED: dict[str, Step] = {
    "matrix": lambda self, x, h, c: (h @ self.V + x @ self.W + self.a, c),
    "roll": lambda self, x, h, c: (zoo.roll(h, 1) + x @ self.W, c * self.a),
    "roll of one state alone": lambda self, x, h, c: (x @ self.W + h, zoo.roll(h, 1)),
    "mean": lambda self, x, h, c: (h - np.mean(h) + x @ self.W, c * self.a),
    "norm": lambda self, x, h, c: (zoo.rms_norm(h) + x @ self.W, c * self.a),
    "softmax": lambda self, x, h, c: (zoo.softmax(h) + x @ self.W, c * self.a),
    "running sum": lambda self, x, h, c: (zoo.cumsum(h) + x @ self.W, c * self.a),
    "shared parameter": lambda self, x, h, c: (self.scalar * h + x @ self.W, c * self.a),
    "parameter of two units": lambda self, x, h, c: (h * self.a + zoo.roll(self.a, 1) + x @ self.W, c),
    "softmax of a parameter": lambda self, x, h, c: (h * zoo.softmax(self.a) + x @ self.W, c),
    "product of two matrices": lambda self, x, h, c: (h + x @ (self.W @ self.V), c),
    "order": lambda self, x, h, c: (np.flip(c) + x @ self.W, np.flip(h) * self.a),
}


@pytest.mark.parametrize("step", [separate, mixed_output, through_reshape])
def test_units_that_are_not_connected(step: Step) -> None:
    groups = groups_of(step)
    assert groups is not None
    for units in groups.states.values():
        np.testing.assert_array_equal(units, np.arange(4))
    expected = {"W": [[0, 1, 2, 3]] * 3, "U": [[0, 1, 2, 3] * 2] * 3, "a": [0, 1, 2, 3]}
    for name, units in groups.params.items():
        assert np.all(units == -1) or units.tolist() == expected[name]


@pytest.mark.parametrize("name", CONNECTED)
def test_units_that_are_connected(name: str) -> None:
    assert groups_of(CONNECTED[name]) is None


@pytest.mark.parametrize("step", [separate, mixed_output, through_reshape])
def test_rtrl_with_groups_is_back_propagation(step: Step) -> None:
    rng = np.random.default_rng(0)
    rnn = zoo.Recurrent(cell_of(step), 3, 4, dtype="float64", threads=1, learned_state=True)
    rnn.theta = rnn.theta + 0.3 * rng.normal(size=rnn.theta.shape)
    x, dy = rng.normal(size=(7, 2, 3)), rng.normal(size=(7, 2, 4))
    with pure_python():
        rnn.forward(x)
        rnn.backward(dy)
        expected, total, gradient = rnn.grad.copy(), np.zeros_like(rnn.grad), zoo.RTRL(rnn)
        for chunk in (slice(0, 2), slice(2, 3), slice(3, 7)):
            gradient.forward(x[chunk])
            gradient.backward(dy[chunk])
            total += rnn.grad
    assert state_groups(rnn.stack).states.shape == (4, 2)
    np.testing.assert_allclose(total, expected, rtol=1e-9, atol=1e-12)


def test_shipped_cells_without_connections() -> None:
    layers = {cell: zoo.Recurrent(cell, 8, 8) for cell in zoo.list_cells()}
    assert tuple(cell for cell, rnn in layers.items() if len(state_groups(rnn.stack).states) > 1) == GROUPED
    assert len(state_groups(zoo.Recurrent("lru", 8, 8, num_layers=2).stack).states) == 1


def test_influence_is_linear_in_the_units() -> None:
    """An LRU of 512 units has an influence of two numbers for each parameter and part of a state."""
    rnn = zoo.Recurrent("lru", 8, 512)
    ((_, shape),) = zoo.RTRL.influence_shapes(rnn.stack, 1).items()
    assert np.prod(shape) < 2 * rnn.theta.size


def test_page_lists_the_grouped_cells():
    page = Path(__file__).parents[2] / "docs" / "howto" / "online-learning.md"
    text = page.read_text(encoding="utf-8")
    listed = text.partition("The cells ")[2].partition(" have this structure")[0]
    assert tuple(re.findall(r"`(\w+)`", listed)) == tuple(sorted(GROUPED))
