"""``zoo.grad`` and ``zoo.value_and_grad``: central differences, equations by hand, and invalid arguments.

Random steps with gradients are in test_random_steps.py.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from random_steps import ELEMENTWISE, FUNCTIONS, Function

import zoo
from zoo.compiler.cell_kernels import kernels_of
from zoo.compiler.ir.op_table import OPS
from zoo.kernels import pure_python

SHAPES = [(6,), (4, 6), (6, 6), (2, 3, 4)]
UNARY = [
    name
    for name, function in FUNCTIONS.items()
    if "{1}" not in function.text
    and "self." not in function.text
    and name not in ("T", "inverse", "expm", "cayley")
]


def central_difference(function: Callable[[Any], Any], a: np.ndarray, step: float = 1e-5) -> np.ndarray:
    gradient = np.zeros_like(a)
    for index in np.ndindex(a.shape):
        change = np.zeros_like(a)
        change[index] = step
        gradient[index] = (function(a + change) - function(a - change)) / (2 * step)
    return gradient


def operands(function: Function, name: str) -> Iterator[list[np.ndarray]]:
    """Operands that the function takes, within its domain and away from its kinks."""
    rng = np.random.default_rng(0)
    domain = OPS[name].domain if name in ELEMENTWISE else ((0.2, 0.9),)
    for _ in range(20):
        for shape in SHAPES:
            values = [rng.uniform(low + 0.1 * (high - low), high, shape) for low, high in domain]
            try:
                function.run(*values)
            except (ValueError, IndexError, TypeError, np.exceptions.AxisError):
                continue
            if function.gap is None or np.min(function.gap(*values)) > 0.01:
                yield values
                break


@pytest.mark.parametrize("name", UNARY + [name for name in ELEMENTWISE if name not in UNARY])
def test_first_and_second_gradients_of_every_function(name: str) -> None:
    function = FUNCTIONS[name]
    values = next(operands(function, name))
    weights = np.random.default_rng(1).normal(size=np.shape(function.run(*values)))
    for index, value in enumerate(values):

        def loss(a: Any, index: int = index) -> Any:
            given = [*values[:index], a, *values[index + 1 :]]
            result = function.run(*given)
            return np.sum(np.sin(np.where(result, 1.0, 0.0) if _is_bool(result) else result) * weights)

        gradient = zoo.grad(loss)
        np.testing.assert_allclose(gradient(value), central_difference(loss, value), rtol=1e-6, atol=1e-7)
        directions = np.random.default_rng(2).normal(size=value.shape)
        slope = lambda a, weights=directions, of=gradient: np.sum(of(a) * weights)  # noqa: E731 - bound values
        np.testing.assert_allclose(
            zoo.grad(slope)(value), central_difference(slope, value), rtol=1e-6, atol=1e-6
        )


def _is_bool(result: Any) -> bool:
    return result.node.is_bool if hasattr(result, "node") else result.dtype.kind == "b"


def squared_error(W: Any, k: Any, v: Any) -> Any:
    error = k @ W - v
    return 0.5 * np.sum(error * error)


class Learned(zoo.Cell):
    """A memory that gradient descent trains at every step."""

    Wx = zoo.Param("I", "3H", init="glorot_uniform")
    We = zoo.Param("I", 1, init="glorot_uniform")
    M = zoo.State("H", "H")

    def step(self, x: Any, M: Any) -> zoo.Output:
        q, k, v = zoo.split(x @ self.Wx, 3)
        k = k / np.sqrt(np.sum(k * k) + 1e-6)
        M = M - zoo.sigmoid(x @ self.We) * self.gradient(M, k, v)
        return zoo.Output(q @ M, M)

    def gradient(self, M: Any, k: Any, v: Any) -> Any:
        return zoo.grad(squared_error)(M, k, v)


class DeltaRule(Learned):
    """The same, with the gradient by hand."""

    def gradient(self, M: Any, k: Any, v: Any) -> Any:
        return zoo.outer(k, k @ M - v)


def both_passes(cell: type[zoo.Cell]) -> list[np.ndarray]:
    layer = zoo.Recurrent(cell, input_size=3, hidden_size=4, dtype="float64", seed=1)
    rng = np.random.default_rng(0)
    y, state = layer(rng.normal(size=(20, 3, 3)))
    dx, _ = layer.backward(rng.normal(size=y.shape))
    return [y, *state.values(), dx, layer.grad]


def test_a_cell_with_a_loss_equals_the_delta_rule() -> None:
    for ours, by_hand in zip(both_passes(Learned), both_passes(DeltaRule), strict=True):
        np.testing.assert_allclose(ours, by_hand, rtol=1e-12, atol=1e-14)


def test_a_squared_error_has_the_kernels_of_matrix_memories() -> None:
    sources = [inspect.getsource(kernels_of(cell()).forward.py_func) for cell in (Learned, DeltaRule)]
    for source in sources:
        assert "memory" in source


def test_value_and_grad_of_several_arguments() -> None:
    rng = np.random.default_rng(0)
    W, k, v = rng.normal(size=(3, 4)), rng.normal(size=3), rng.normal(size=4)
    value, (dW, dv) = zoo.value_and_grad(squared_error, (0, 2))(W, k, v)
    assert value == squared_error(W, k, v)
    np.testing.assert_allclose(dW, np.outer(k, k @ W - v), rtol=1e-14)
    np.testing.assert_allclose(dv, v - k @ W, rtol=1e-14)


@pytest.mark.parametrize(("dtype", "expected"), [("f4", "f4"), ("f8", "f8"), ("i8", "f8")])
def test_results_have_the_precision_of_the_arguments(dtype: str, expected: str) -> None:
    gradient = zoo.grad(lambda a: np.sum(a * a))(np.ones(3, dtype))
    assert gradient.dtype == expected


def test_other_arrays_are_constants_of_any_size_and_options_are_passed_on() -> None:
    large = np.random.default_rng(0).normal(size=500)

    def loss(a: Any, power: int = 1) -> Any:
        return np.sum(large * a**power)

    np.testing.assert_array_equal(zoo.grad(loss)(np.ones(500)), large)
    np.testing.assert_allclose(zoo.grad(loss)(np.full(500, 2.0), power=3), 12 * large)
    assert zoo.grad(lambda a: 2.5)(np.ones(3)).tolist() == [0, 0, 0]


INVALID: dict[str, tuple[Callable[[], Any], str]] = {
    "array": (
        lambda: zoo.grad(lambda a: a)(np.ones(2)),
        r"^grad: the function returned an array of shape \(2,\)",
    ),
    "boolean": (
        lambda: zoo.grad(lambda a: np.sum(a) > 0)(np.ones(2)),
        "returned a boolean; expected one number",
    ),
    "nothing": (
        lambda: zoo.value_and_grad(lambda a: None)(1.0),
        "^value_and_grad: the function returned None",
    ),
    "no function": (lambda: zoo.grad(3), "^grad: found an int; expected a function"),  # type: ignore[arg-type]
    "few arguments": (lambda: zoo.grad(lambda a: a, 1)(1.0), "argnums is 1, and the call has 1 positional"),
    "negative index": (lambda: zoo.grad(lambda a: a, -1), "argnums is -1; expected the index"),
    "no index": (lambda: zoo.grad(lambda a: a, ()), r"argnums is \(\); expected the index"),
    "an index twice": (lambda: zoo.grad(lambda a: a, (0, 0)), r"argnums is \(0, 0\); expected .* different"),
    "keyword": (
        lambda: zoo.grad(lambda a: a)(a=1.0),
        "has 0 positional arguments; pass argument 0 by position",
    ),
    "matrix": (
        lambda: zoo.grad(lambda a: np.trace(zoo.expm(a)))(np.eye(2)),
        "or on an argument that zoo.grad",
    ),
    "boolean index": (lambda: zoo.grad(lambda a: a, True), "argnums is True; expected the index"),
    "complex": (lambda: zoo.grad(lambda a: a)(1j), "argument 0 is complex128; expected real numbers"),
    "text": (lambda: zoo.grad(lambda a: a)("a"), "argument 0 is <U1; expected real numbers"),
    "tuple": (
        lambda: zoo.grad(lambda pair: np.sum(pair[0]))((np.ones(2), np.ones(3))),
        r"^grad: argument 0 is a tuple of arrays; expected .* argnums=\(0, 1\)",
    ),
    "dictionary": (
        lambda: zoo.grad(lambda a, each: np.sum(each["W"]), 1)(1.0, {"W": np.ones(2)}),
        "^grad: argument 1 is a dict of arrays; expected a number or an array",
    ),
    "branch": (lambda: zoo.grad(lambda a: a if a > 0 else -a)(1.0), "^grad: step cannot branch on an array"),
    "function": (
        lambda: zoo.grad(lambda a: np.sum(np.sort(a)))(np.ones(2)),
        "^grad: np.sort is not compiled",
    ),
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_arguments_raise_one_sentence(case: str) -> None:
    call, message = INVALID[case]
    with pytest.raises(zoo.UsageError, match=message):
        call()


def test_the_argument_may_be_an_array_of_numbers_in_a_step() -> None:
    class Fitted(zoo.Cell):
        """Gradient descent from zero, on a loss of which only its constants are symbolic."""

        Wx = zoo.Param("I", "2H", init="glorot_uniform")
        h = zoo.State("H")

        def step(self, x: Any, h: Any) -> Any:
            k, v = zoo.split(x @ self.Wx, 2)
            basis = np.stack([k, h, k * h])

            def loss(w: Any) -> Any:
                return np.mean((w @ basis - v) ** 2)

            w = np.zeros(3)
            for _ in range(2):
                w = w - 0.5 * zoo.grad(loss)(w)
            return np.tanh(w @ basis)

    with pure_python():
        layer = zoo.Recurrent(Fitted, input_size=3, hidden_size=4, dtype="float64")
        x = np.random.default_rng(0).normal(size=(3, 1, 3))
        y, _ = layer(x)
    cell, h = Fitted().with_arrays({"Wx": layer.params["Wx"]}), np.zeros(4)
    for row, expected in zip(x[:, 0], y[:, 0], strict=True):
        h = cell.step(row, h)
        np.testing.assert_allclose(h, expected, rtol=1e-12)


def test_arguments_of_nested_gradients_differ() -> None:
    def inner(b: Any, a: Any) -> Any:
        return a * b * b

    # At b = a the derivative of a * b * b with respect to b is 2 a b, and of that along a, with b = a, 4 a.
    assert zoo.grad(lambda a: zoo.grad(inner)(a, a))(3.0) == 12.0
    # Here b is a constant.
    assert zoo.grad(lambda a: zoo.grad(inner)(2.0, a))(3.0) == 4.0
    assert zoo.grad(lambda a: zoo.grad(lambda b: np.sum(b * b * a))(np.ones(2)).sum())(3.0) == 4.0


@pytest.mark.parametrize("returns", [True, False])
def test_an_array_of_the_inside_cannot_leave_it(returns: bool) -> None:
    class Leaks(zoo.Cell):
        """It uses an argument of the loss outside of it."""

        b = zoo.Param("H")
        h = zoo.State("H")

        def step(self, x: Any, h: Any) -> Any:
            inside = []

            def loss(a: Any) -> Any:
                inside.append(a)
                return np.sum(a * a)

            gradient = zoo.grad(loss)(h)
            if not returns:  # the second gradient must not take it for its own argument
                gradient = gradient + zoo.grad(lambda a: np.sum(inside[0] * a))(2 * h)
            return gradient + self.b + (inside[0] if returns else 0)

    with pytest.raises(
        zoo.DefinitionError, match=r"in step: step uses an array of a function that zoo\.grad"
    ):
        zoo.Recurrent(Leaks, 2, 3).forward(np.ones((1, 1, 2)))


@pytest.mark.parametrize("kind", [tuple, list, lambda pair: dict(zip("ab", pair, strict=True))])
def test_several_arrays_in_one_argument_raise_an_error_in_a_step(kind: Callable[[Any], Any]) -> None:
    class Joined(zoo.Cell):
        """Its loss has one argument of two arrays."""

        b = zoo.Param("H")
        h = zoo.State("H")

        def step(self, x: Any, h: Any) -> Any:
            return zoo.grad(lambda pair: np.sum(pair))(kind((h, self.b)))

    with pytest.raises(zoo.DefinitionError, match=r"grad: argument 0 is a \w+ of arrays; expected a number"):
        zoo.Recurrent(Joined, 2, 3).forward(np.ones((1, 1, 2)))


def test_errors_within_a_step_name_the_line() -> None:
    class Wrong(zoo.Cell):
        """Its loss is an array."""

        b = zoo.Param("H")
        h = zoo.State("H")

        def step(self, x: Any, h: Any) -> Any:
            return zoo.grad(lambda a: a * a)(h) + self.b

    with pytest.raises(
        zoo.DefinitionError, match=r"zoo.grad\(lambda a: a \* a\)\(h\)`: grad: the function returned"
    ):
        zoo.Recurrent(Wrong, 2, 3).forward(np.ones((1, 1, 2)))
