"""Sections of both passes: the products outside the loop over time, and results for several blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo.compiler.compile import plan_kernels
from zoo.compiler.ir.elementwise_ops import COPY
from zoo.compiler.schedule.phases import MatmulItem
from zoo.compiler.schedule.sections import PassSchedule

no_files = checks.no_files

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")


def _params(*shapes: str) -> list[zoo.Param]:
    return [zoo.Param(*shape.split(), init="zeros") for shape in shapes]


def _rms_norm(x: Any, gain: Any) -> Any:
    return x / np.sqrt(np.mean(x * x, keepdims=True) + 1e-5) * gain


class Prenorm(zoo.Cell):
    """A vanilla cell between a norm and a projection, then a norm and a gated MLP, with skip connections."""

    card = CARD
    n1, Wx, Wh, b, Wo = _params("I", "I H", "H H", "H", "H I")
    n2, W1, W2 = _params("I", "I 4I", "2I I")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> zoo.Output:
        h = np.tanh(_rms_norm(x, self.n1) @ self.Wx + h @ self.Wh + self.b)
        r = x + h @ self.Wo
        gate, up = zoo.split(_rms_norm(r, self.n2) @ self.W1, 2)
        return zoo.Output(r + (zoo.silu(gate) * up) @ self.W2, h)


class StateBefore(zoo.Cell):
    """The output reads the state before the step, twice, and a gate of x."""

    card = CARD
    Wx, Wg, U, V, W, b = _params("I H", "I H", "H H", "H H", "H H", "H")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> zoo.Output:
        new = np.tanh(x @ self.Wx + h @ self.U)
        z = (new @ self.V) * zoo.silu(x @ self.Wg) + h
        return zoo.Output((z + h @ self.W) @ self.V + x @ self.Wg + self.b, new)


class ProductOfState(zoo.Cell):
    """The output is a product of the state before the step, so its gradient is a product that is carried."""

    card = CARD
    Wx, V = _params("I H", "H H")
    h = zoo.State("H")

    def step(self, x: Any, h: Any) -> zoo.Output:
        return zoo.Output(h @ self.V, np.tanh(x @ self.Wx + 0.5 * h))


class SkippedInput(zoo.Cell):
    """The output is the sum of a projection of x and one of the state; another state is x itself."""

    card = CARD
    Wx, Ws, U, V = _params("I H", "I H", "H H", "H H")
    h, last = zoo.State("H"), zoo.State("I")

    def step(self, x: Any, h: Any, last: Any) -> zoo.Output:
        new = np.tanh(x @ self.Wx + h @ self.U + np.sum(last))
        return zoo.Output(x @ self.Ws + new @ self.V, new, x)


class Heads(zoo.Cell):
    """An output projection with one matrix for each head, behind a matrix state and a norm."""

    card = CARD
    Wx, U, gain, V = _params("I H", "H H", "H", "2 H/2 H/2")
    S, h = zoo.State("H", "H"), zoo.State("H")

    def step(self, x: Any, S: Any, h: Any) -> zoo.Output:
        h = np.tanh(x @ self.Wx + h @ self.U)
        S = 0.9 * S + zoo.outer(h, h)
        y = (_rms_norm(S @ h, self.gain).reshape(2, 1, -1) @ self.V)[:, 0].reshape(-1)
        return zoo.Output(np.tanh(y) + (S @ self.U)[0], S, h)


class ShiftedInput(zoo.Cell):
    """A projection of a mix of x and past x. The second delay keeps the first, and the loop reads it too."""

    card = CARD
    mix, Wx, U = _params("I", "I H", "H H")
    h, last, before_last = zoo.State("H"), zoo.State("I"), zoo.State("I")

    def step(self, x: Any, h: Any, last: Any, before_last: Any) -> tuple[Any, Any, Any]:
        shifted = self.mix * x + (1 - self.mix) * last + before_last
        return np.tanh(shifted @ self.Wx + h @ self.U + np.sum(before_last)), x, last


class Window(zoo.Cell):
    """A projection, a function of its last values, a projection, the recurrence, and a gate."""

    card = CARD
    Wx, taps, V, U, Wo = _params("I H", "3 H", "H H", "H H", "H H")
    h, past = zoo.State("H"), zoo.State("2", "H")

    def step(self, x: Any, h: Any, past: Any) -> zoo.Output:
        u = x @ self.Wx
        window = np.concatenate([past, u[None]])
        h = np.tanh(zoo.silu(np.sum(np.tanh(window) * self.taps, axis=0)) @ self.V + h @ self.U)
        return zoo.Output((h * zoo.silu(u)) @ self.Wo, h, window[1:])


class DelayedProducts(zoo.Cell):
    """Delays of products, which products read: products and a sum read the gradient of a delay."""

    card = CARD
    Wx, b, V, U, W = _params("I H", "H", "H H", "H H", "H H")
    h, a, c = zoo.State("H"), zoo.State("H"), zoo.State("H")

    def step(self, x: Any, h: Any, a: Any, c: Any) -> zoo.Output:
        v = np.tanh(a @ self.V)
        h = np.tanh(v + h @ self.U)
        return zoo.Output(h @ self.W + np.tanh(c) @ self.V + a, h, x @ self.Wx + self.b, v @ self.V)


def products(schedule: PassSchedule, section: str) -> int:
    """The number of products with matrices in a section."""
    items = schedule.sections[section].items
    return sum(isinstance(item, MatmulItem) and item.node.op.startswith("dot") for item in items)


# The products of the forward pass and of the backward pass: before, in and after the loop over time.
PRODUCTS = {
    Prenorm: ((1, 1, 3), (3, 1, 1)),
    StateBefore: ((2, 2, 2), (2, 2, 2)),
    ProductOfState: ((1, 1, 0), (0, 1, 1)),
    SkippedInput: ((2, 1, 1), (1, 1, 2)),
    Heads: ((1, 1, 2), (2, 1, 1)),
    ShiftedInput: ((1, 1, 0), (0, 1, 1)),
    Window: ((2, 1, 1), (1, 1, 2)),
    DelayedProducts: ((4, 1, 1), (1, 1, 4)),
}


@pytest.mark.parametrize("cell", PRODUCTS)
def test_products_outside_the_recurrence_are_outside_the_loop(cell: type[zoo.Cell]) -> None:
    plan = plan_kernels(cell())
    forward, backward = (
        tuple(products(schedule, section) for section in ("sequence", "step", "after"))
        for schedule in (plan.forward, plan.backward)
    )
    assert (forward, backward) == PRODUCTS[cell]


@pytest.mark.parametrize("cell", PRODUCTS)
@pytest.mark.parametrize(("steps", "batch"), [(1, 1), (5, 2), (2, 5)])
def test_results_in_blocks_of_steps(cell: type[zoo.Cell], steps: int, batch: int) -> None:
    checks.check(checks.trial(cell(), (4, 4), steps, batch))


@pytest.mark.parametrize(
    ("cell", "delays"),
    [
        (ShiftedInput, {"last", "before_last"}),
        (Window, {"past"}),
        (DelayedProducts, {"a", "c"}),
        (SkippedInput, set()),
    ],
)
def test_delays_are_states_that_products_read(cell: type[zoo.Cell], delays: set[str]) -> None:
    assert plan_kernels(cell()).gradient.delays.keys() == delays


def test_step_without_deferred_values_has_no_blocks() -> None:
    cell = zoo.get_cell("lstm")
    forward = plan_kernels(cell).source.split("def backward(")[0]
    assert "block_steps" not in forward


class Kept(zoo.Cell):
    """A state that never changes, and a register that goes round: neither forgets its parts."""

    card = CARD
    W, A = _params("I H", "H H")
    h = zoo.State("H")
    ring = zoo.State("3", "H")

    def step(self, x: Any, h: Any, ring: Any) -> zoo.Output:
        y = h @ self.A + x @ self.W + np.sum(ring, axis=0) @ self.A
        return zoo.Output(y, h, np.concatenate([ring[1:], ring[:1]]))


class ProductOfRegister(zoo.Cell):
    """A product of the oldest input itself, to whose gradient the product adds."""

    card = CARD
    W = zoo.Param("I", "H", init="zeros")
    past = zoo.State("2", "I")

    def step(self, x: Any, past: Any) -> zoo.Output:
        return zoo.Output(past[0] @ self.W + x @ self.W, np.concatenate([past[1:], x[None]]))


@pytest.mark.parametrize("cell", [Kept, ProductOfRegister])
def test_states_with_a_summed_gradient_are_no_delays(cell: type[zoo.Cell]) -> None:
    assert not plan_kernels(cell()).gradient.delays
    checks.check(checks.trial(cell(), steps=5, batch=3))


# The shape of a state and of two parameters, and a product of both.
SUMMANDS: dict[str, tuple[str, str, Callable[[Any, Any], Any]]] = {
    "vector": ("2H", "2H 3", lambda a, w: a @ w),
    "slice": ("2H", "H 3", lambda a, w: a[a.shape[0] // 2 :] @ w),
    "rows": ("3 H", "H 2", lambda a, w: a @ w),
    "heads": ("2 H", "2 H 3", lambda a, w: (a[:, None] @ w)[:, 0]),
}
TERMS: dict[str, Callable[[Any, Any, Callable[[Any], Any]], Any]] = {
    "state": lambda v, u, product: product(v),
    "other state": lambda v, u, product: product(u),
    "function": lambda v, u, product: product(np.tanh(v)),
    "of a product": lambda v, u, product: np.tanh(product(np.cos(v) * u)),
}


def _sum_cell(kind: str, first: str, second: str) -> zoo.Cell:
    state, param, product = SUMMANDS[kind]

    class Sum(zoo.Cell):
        """A sum of two products, which only the output reads."""

        card = CARD
        A, B, W = _params(param, param, "I H")
        v, u = zoo.State(*state.split()), zoo.State(*state.split())

        def step(self, x: Any, v: Any, u: Any) -> zoo.Output:
            y = TERMS[first](v, u, lambda a: product(a, self.A))
            y = y + TERMS[second](v, u, lambda a: product(a, self.B))
            moved = np.mean(x @ self.W)
            return zoo.Output(y.reshape(-1), np.tanh(v + moved), np.tanh(u - v * moved))

    return Sum()


@pytest.mark.parametrize("kind", SUMMANDS)
@pytest.mark.parametrize("first", TERMS)
def test_sums_of_products_after_the_loop_equal_numpy(kind: str, first: str) -> None:
    for second in TERMS:
        checks.check(checks.trial(_sum_cell(kind, first, second), batch=2), tokens=False)


INPUT_OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda x, b: x + b,
    "difference": lambda x, b: b - x,
    "product": lambda x, b: x * b,
    "reversed": lambda x, b: x + b[::-1],
}
# The shape of a parameter, and products with it.
INPUT_PRODUCTS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "matrix": ("I H", lambda x, w: x @ w),
    "sum": ("2 I H", lambda x, w: x @ w[0] + np.tanh(x @ w[1])),
}


def _joined_cell(name: str, product: str) -> zoo.Cell:
    shape, multiply = INPUT_PRODUCTS[product]

    class Joined(zoo.Cell):
        """The gradient of b is a sum of the gradient of x."""

        card = CARD
        b, W = _params("I", shape)
        h = zoo.State("H")

        def step(self, x: Any, h: Any) -> Any:
            return np.tanh(h + multiply(INPUT_OPERATIONS[name](x, self.b), self.W))

    return Joined()


@pytest.mark.parametrize("name", INPUT_OPERATIONS)
@pytest.mark.parametrize("product", INPUT_PRODUCTS)
def test_parameters_joined_to_the_input_have_their_gradient(name: str, product: str) -> None:
    checks.check(checks.trial(_joined_cell(name, product), batch=2))


@pytest.mark.parametrize("product", INPUT_PRODUCTS)
def test_other_gradients_read_the_gradient_of_x_without_a_copy(product: str) -> None:
    plan = plan_kernels(_joined_cell("sum", product))
    assert plan.gradient.dx is not None
    assert plan.gradient.dx.op != COPY
    assert not plan.backward.dx_products
