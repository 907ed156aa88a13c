"""Explanation of a plan, compared with the work of the kernels."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import zoo_cells

import zoo
from zoo import kernels
from zoo.base.initializers import initialize
from zoo.compiler.cell_kernels import derive_kernels
from zoo.compiler.compile import plan_kernels
from zoo.compiler.explain import Equation, Explanation, LoopEquations, MatmulEquation, explain
from zoo.compiler.ir.dims import Dim, as_dim, letter
from zoo.compiler.ir.op_table import elementwise_rows
from zoo.compiler.printing import format_dim

CARD = zoo.Card(title="A cell for tests", authors="Nobody", year=2020, url="https://example.org")
H, INPUTS = letter("H"), letter("I")


class Gated(zoo.Cell):
    """An LSTM without a bias."""

    card = CARD
    Wx = zoo.Param("I", "4H", init="glorot_uniform")
    Wh = zoo.Param("H", "4H", init="orthogonal")
    h = zoo.State("H")
    c = zoo.State("H")
    forget_bias = zoo.Option(1.0)

    def step(self, x, h, c):
        i, f, g, o = zoo.split(x @ self.Wx + h @ self.Wh, 4)
        c = zoo.sigmoid(f + self.forget_bias) * c + zoo.sigmoid(i) * zoo.tanh(g)
        return zoo.sigmoid(o) * zoo.tanh(c), c


class Derived(zoo.Cell):
    """A recurrent matrix computed from a parameter, a value computed again, and an output of its own."""

    card = CARD
    W = zoo.Param("I", "H", init="glorot_uniform")
    U = zoo.Param("H", "H", init="orthogonal")
    s = zoo.State("H")

    def step(self, x, s):
        skew = self.U - self.U.T
        u = zoo.tanh(x @ self.W + s @ skew)
        doubled = 2.0 * u
        return zoo.Output(doubled * u, u * doubled * doubled)


def shipped() -> Iterator[zoo.Cell]:
    """Every shipped cell that has a step, with its default options."""
    for module in pkgutil.walk_packages(zoo_cells.__path__, "zoo_cells."):
        for value in vars(importlib.import_module(module.name)).values():
            is_own = isinstance(value, type) and value.__module__ == module.name
            if is_own and issubclass(value, zoo.Cell) and value.is_derived():
                yield value()


SHIPPED = {cell.name: cell for cell in shipped()}
every_cell = pytest.mark.parametrize("cell", SHIPPED.values(), ids=list(SHIPPED))


def texts(result: Explanation, direction: str) -> dict[str, list[str]]:
    return {
        section.name: [equation.text for equation in equations(section.items)]
        for section in getattr(result, direction)
    }


def equations(work: tuple[LoopEquations | MatmulEquation, ...]) -> list[Equation]:
    return [
        equation
        for each in work
        for equation in (each.equations if isinstance(each, LoopEquations) else [each.equation])
    ]


# ---- two cells in full --------------------------------------------------------------------------------


def test_forward_pass_of_lstm() -> None:
    explanation = explain(Gated())
    assert texts(explanation, "forward") == {
        "once": [],
        "sequence": ["a = x @ Wx"],
        "step": [
            "a += h @ Wh",
            "sigmoid_f = sigmoid(f + 1)",
            "sigmoid_i = sigmoid(i)",
            "tanh_g = tanh(g)",
            "c' = sigmoid_f * c + sigmoid_i * tanh_g",
            "sigmoid_o = sigmoid(o)",
            "tanh_c = tanh(c')",
            "h' = sigmoid_o * tanh_c",
        ],
        "after": [],
        "final": [],
    }
    (projection,) = explanation.forward[1].items
    assert isinstance(projection, MatmulEquation)
    assert (projection.shapes, projection.slices) == ("(I) @ (I, 4H)", ("i", "f", "g", "o"))


def test_backward_pass_of_lstm() -> None:
    sections = texts(explain(Gated()), "backward")
    assert sections["step"][-2:] == ["da = [di, df, dg, do]", "dh = da @ Wh.T"]
    assert "dg = dc_2 * sigmoid_i * (1 - tanh_g * tanh_g)" in sections["step"]
    assert set(sections["after"]) == {
        "dWh += outer(h, da)",
        "dWx += outer(x, da)",
        "dx = da @ Wx.T",
    }


def test_saved_values_and_costs_of_lstm() -> None:
    explanation = explain(Gated())
    names = ["sigmoid_f", "sigmoid_i", "tanh_g", "sigmoid_o", "tanh_c", "h'", "c'"]
    assert [(kept.name, kept.elements) for kept in explanation.saved] == [(name, H) for name in names]
    assert [kept.name for kept in explanation.saved if kept.is_output] == ["h'"]
    assert explanation.saved_elements == as_dim(7) * H
    assert explanation.recomputed == ()
    once = as_dim(2) * as_dim(4) * H * (H + INPUTS)
    recurrent = as_dim(2) * as_dim(4) * H * H
    assert (explanation.forward_cost.products, explanation.backward_cost.products) == (once, once + once)
    assert (explanation.forward_cost.by_tokens, explanation.backward_cost.by_tokens) == (
        recurrent,
        recurrent + recurrent,
    )
    assert (explanation.forward_cost.arithmetic, explanation.forward_cost.functions) == (
        as_dim(5) * H,
        as_dim(5) * H,
    )
    assert explanation.backward_cost.functions == as_dim(0)
    assert not explanation.surrogate


def test_derived_matrix_is_computed_once() -> None:
    explanation = explain(Derived())
    forward, backward = texts(explanation, "forward"), texts(explanation, "backward")
    assert forward["once"] == ["skew = U - U.T"]
    assert backward["once"] == ["skew = U - U.T"]
    assert forward["step"][:4] == [
        "pre_u += s @ skew",
        "u = tanh(pre_u)",
        "doubled = 2 * u",
        "y = doubled * u",
    ]
    assert "doubled = 2 * u" in backward["step"]
    assert set(backward["after"]) == {"dskew += outer(s, da)", "dW += outer(x, da)", "dx = da @ W.T"}
    assert backward["final"] == ["negative_dskew = -dskew", "dU = dskew + negative_dskew.T"]
    assert {equation.name for equation in explanation.recomputed} >= {"skew", "doubled"}
    assert [kept.name for kept in explanation.saved] == ["u", "s'"]
    assert not any(kept.is_output for kept in explanation.saved)


def test_options_are_numbers_in_the_equations() -> None:
    assert "sigmoid_f = sigmoid(f - 0.5)" in texts(explain(Gated(forget_bias=-0.5)), "forward")["step"]


def test_surrogate_gradient_is_named() -> None:
    assert explain(SHIPPED["lif"]).surrogate


def test_hand_written_kernels_have_no_plan() -> None:
    with pytest.raises(zoo.UsageError, match="cell 'vanilla' has its own kernels: nothing is derived"):
        explain(zoo.get_cell("vanilla"))


@pytest.mark.parametrize(
    ("dim", "text"),
    [
        (as_dim(0), "0"),
        (as_dim(4) * H, "4H"),
        (as_dim(8) * H * H + as_dim(8) * H * INPUTS + as_dim(3) * H + as_dim(2), "8·H·H + 8·H·I + 3H + 2"),
        (H.divide(as_dim(4)), "H/4"),
        (H * INPUTS, "H·I"),
    ],
)
def test_sizes_as_one_writes_them(dim: Dim, text: str) -> None:
    assert format_dim(dim) == text


# ---- every shipped cell -------------------------------------------------------------------------------

FUNCTIONS = {"where", "outer", "sum", "max", "cumsum", "eye", "abs", "and", "or", "T", "inf", "nan"}
FUNCTIONS |= {*elementwise_rows(), "expm", "expm_derivative", "read_memory", "memory_gradient"}
FUNCTIONS |= {"read_scan", "scan_gradient", "read_filter", "filter_gradient", "factors_gradient"}
FUNCTIONS |= {"read_convolution", "convolution_gradient"}
WORD = re.compile(r"[A-Za-z_]\w*'?")


@every_cell
def test_every_value_is_explained_before_use(cell: zoo.Cell) -> None:
    explanation = explain(cell)
    leaves = {"x", *cell.size_values(1, 1), *cell.params, *cell.buffers, *cell.states, *cell.inputs}
    known = leaves | _unexplained(explanation.forward, leaves)
    assert {f"{name}'" for name in cell.states} <= known
    kept = {kept.name for kept in explanation.saved}
    parts = {
        part for each in _products(explanation.forward) if each.equation.name in kept for part in each.slices
    }
    given = leaves | kept | parts | {"dy", *(f"d{name}'" for name in cell.states)}
    known = given | _unexplained(explanation.backward, given)
    assert {f"d{name}" for name in cell.params} <= known


def _unexplained(sections: tuple[Any, ...], known: set[str]) -> set[str]:
    """Walk through equations; everything that stands on the right was known."""
    known = set(known)
    for section in sections:
        for work in section.items:
            for equation in equations((work,)):
                right = equation.text.partition("= ")[2]
                foreign = set(WORD.findall(right)) - known - FUNCTIONS - {"e"}
                assert not foreign, equation.text
                known.add(equation.name)
            known |= {*work.slices, *work.new_states} if isinstance(work, MatmulEquation) else set()
    return known


def _products(sections: tuple[Any, ...]) -> list[MatmulEquation]:
    return [work for section in sections for work in section.items if isinstance(work, MatmulEquation)]


class Counting:
    """``zoo.kernels`` that counts flops in products: twice the rows times the depth times the width."""

    def __init__(self) -> None:
        self.flops = 0

    def __getattr__(self, name: str) -> Any:
        def counted(*arguments: Any) -> Any:
            if name in _FLOPS:
                self.flops += 2 * _FLOPS[name](*arguments)
            return getattr(kernels, name)(*arguments)

        return counted


def _rows(array: np.ndarray) -> int:
    return array.size // array.shape[-1]


_FLOPS = {
    "project": lambda x, w, b: x.size * w.shape[1] if x.ndim == 3 else 0,
    "project_into": lambda x, w, b, out: x.size * b.size if x.ndim == 3 else 0,
    "project_at": lambda buffer, t, x, w, b: x[t].size * b.size if x.ndim == 3 else 0,
    "add_matmul": lambda a, w, out: a.size * out.shape[1],
    "set_matmul": lambda a, w, out: a.size * out.shape[1],
    "add_matmul_offset": lambda a, start, w, out, into, width: _rows(a) * w.size,
    "set_matmul_offset": lambda a, start, w, out, into, width: _rows(a) * w.size,
    "add_matmul_heads": lambda a, start, w, out, into, width, rows: _rows(a) * rows * w.size,
    "add_matmul_ta": lambda a, g, out, adds: a.size * out.shape[1],
    "add_matmul_ta_offset": lambda a, i, k, g, j, n, out, adds: _rows(a) * k * n,
    "add_matmul_ta_heads": lambda a, i, g, j, out, rows: _rows(a) * rows * out.size,
    "add_weight_gradient": lambda x, g, out, adds: _rows(g) * out.size if x.ndim == 3 else 0,
}


def _run(cell: zoo.Cell, tokens: bool, module: Any = kernels) -> tuple[Any, dict[str, int]]:
    """Both passes as plain Python: the tape, and what a token costs in products."""
    env, steps, batch = {"I": 4, "H": 8}, 3, 2
    sizes = (env["I"], env["H"])
    arrays = [
        np.asarray(initialize(part, shapes[name], 0, (0, place), "cell", cell), float)
        for parts, shapes in (
            (cell.params, cell.param_shapes(*sizes)),
            (cell.buffers, cell.buffer_shapes(*sizes)),
        )
        for place, (name, part) in enumerate(parts.items())
    ]
    state = tuple(np.zeros((batch, *shape)) for shape in cell.state_shapes(*sizes).values())
    inputs = tuple(np.ones((steps, batch, *shape)) for shape in cell.input_shapes(*sizes).values())
    extra = (inputs,) if inputs else ()
    x = np.zeros((steps, batch), np.int32) if tokens else np.ones((steps, batch, env["I"]))
    result, flops = derive_kernels(cell), {}
    with kernels.pure_python(), pytest.MonkeyPatch.context() as patch:
        counting = Counting()
        patch.setitem(result.forward.py_func.__globals__, "kernels", counting)
        params = [each(tuple(arrays), not tokens) for each in (result.forward_params, result.backward_params)]
        counting.flops = 0
        y, last, tape = result.forward(params[0], x, state, *extra)
        flops["forward"], counting.flops = counting.flops // (steps * batch), 0
        result.backward(params[1], x, state, *extra, tape, y, last, True)
        flops["backward"] = counting.flops // (steps * batch)
    return tape, flops


@every_cell
def test_tape_holds_saved_values(cell: zoo.Cell) -> None:
    tape, _ = _run(cell, tokens=False)
    sizes = cell.size_values(4, 8)
    saved = [value.elements.evaluate(sizes) for value in explain(cell).saved if value.interval == 1]
    memories = {slot for slot, each in enumerate(plan_kernels(cell).tape) if each.memory}
    assert sum(array.size for slot, array in enumerate(tape) if slot not in memories) == 3 * 2 * sum(saved)


@every_cell
def test_tape_holds_one_memory_of_a_chunk(cell: zoo.Cell) -> None:
    tape, _ = _run(cell, tokens=True)
    memories = [value for value in explain(cell).saved if value.interval > 1]
    expected = [as_dim(2 * value.interval) * value.elements for value in memories]
    actual = [tape[slot].size for slot, each in enumerate(plan_kernels(cell).tape) if each.memory]
    assert actual == [each.evaluate(cell.size_values(4, 8)) for each in expected]


@every_cell
@pytest.mark.parametrize("tokens", [False, True], ids=["floats", "tokens"])
def test_costs_of_products(cell: zoo.Cell, tokens: bool) -> None:
    explanation = explain(cell)
    _, flops = _run(cell, tokens)
    for direction, cost in (("forward", explanation.forward_cost), ("backward", explanation.backward_cost)):
        said = cost.by_tokens if tokens else cost.products
        assert flops[direction] == said.evaluate(cell.size_values(4, 8)), direction


@every_cell
def test_equations_fit_one_line(cell: zoo.Cell) -> None:
    explanation = explain(cell)
    lines = [
        line
        for direction in ("forward", "backward")
        for each in texts(explanation, direction).values()
        for line in each
    ]
    assert max(map(len, lines)) <= 110
