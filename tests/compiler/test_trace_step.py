"""Tracing of ``step``: its kernels equal NumPy and have exact gradients."""

from __future__ import annotations

import functools
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo.compiler.compile import plan_kernels
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.frontend.value_names import record_names

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
Step = Callable[..., Any]


def cell(step: Step, **members: Any) -> zoo.Cell:
    """A cell with two matrices, a state, and a step."""
    arrays = {"W": zoo.Param("I", "H"), "U": zoo.Param("H", "H"), "h": zoo.State("H")}
    return type(
        "Tried", (zoo.Cell,), {"__doc__": "A cell.", "card": CARD, **arrays, "step": step, **members}
    )()


def check(tried: zoo.Cell, sizes: tuple[int, int] = (3, 6)) -> None:
    """Compiled it is what NumPy makes of it, and its gradients are right."""
    checks.check(checks.trial(tried, sizes=sizes))


def of(body: Callable[[Any, Any], Any]) -> Step:
    """A step whose new state is a function of a vector ``a`` and the old one, kept within bounds."""

    def step(self: Any, x: Any, h: Any) -> Any:
        a = np.tanh(x @ self.W + h @ self.U)
        return np.tanh(body(a, h) + 0.1 * a)

    return step


HALF = np.array([0.5, -1.0, 2.0])

WRITTEN: dict[str, Callable[[Any, Any], Any]] = {
    # Joining and taking apart.
    "concatenate": lambda a, h: np.concatenate([a[:2], h[2:]]) * np.concatenate((a[1:], [1.0])),
    "concatenate, no axis": lambda a, h: np.concatenate(
        [a.reshape(2, -1)[0], h.reshape(2, -1)[:1]], axis=None
    ),
    "stack": lambda a, h: np.stack([a, h, a * h]).sum(axis=0) + np.stack([a, h], axis=1)[:, -1],
    "hstack and vstack": lambda a, h: np.hstack([a[1:], 0.5]) + np.vstack([a, h])[1] * np.vstack([a, h])[-2],
    "split in parts": lambda a, h: np.concatenate(np.split(a, 2)[::-1]),
    "split at places": lambda a, h: np.concatenate([*np.split(a, [1, 3])[1:], np.split(h, [-1])[1]]),
    "unpacking": lambda a, h: (lambda p, q, r: np.concatenate([q, p * r, r]))(*a.reshape(3, -1)),
    "a loop over a small axis": lambda a, h: np.concatenate([row * row[0] for row in a.reshape(2, -1)]),
    "sum() and len()": lambda a, h: sum(np.split(a, 3)).sum() * h / len(a.reshape(3, -1)),
    "repeat": lambda a, h: a.reshape(2, -1).repeat(2, axis=0)[1:3].reshape(-1) + np.repeat(a[:2], 3)[-1],
    "tile": lambda a, h: np.tile(a[:2], 2)[-3] * h + np.tile(a.reshape(2, -1), (2, 1))[1:3].ravel(),
    "roll": lambda a, h: np.roll(a, 1) * np.roll(h, -2) + np.roll(a.reshape(2, -1), 1).reshape(-1),
    "roll along an axis": lambda a, h: np.roll(a.reshape(2, -1), 1, axis=0).ravel() * zoo.roll(h, 0),
    # Indexing.
    "negative bounds": lambda a, h: np.concatenate([a[-2:] * h[:2], a[:-2]]) * a[-1],
    "the last entry": lambda a, h: a.reshape(2, -1)[..., -1].sum() * a + a[..., 0] * h,
    "new axes": lambda a, h: (a[:, None] * h[None]).sum(axis=0) + (a[None, :, None] * h).mean(axis=(0, 1)),
    "places by length": lambda a, h: np.concatenate([a[a.shape[0] // 2 :], h[: h.shape[0] // 2]]),
    "places from the end by length": lambda a, h: np.concatenate(
        [a[-(a.shape[0] // 2) :], h[: h.shape[0] // 2]]
    ),
    # Shapes.
    "reshape and T": lambda a, h: a.reshape(2, -1).T.reshape(-1) * np.reshape(h, (-1, 2)).transpose().ravel(),
    "axes moved": lambda a, h: np.moveaxis(a.reshape(2, 1, -1), 0, 2).squeeze().swapaxes(0, 1).flatten(),
    "axes put in": lambda a, h: np.squeeze(np.expand_dims(a, (0, 2)), axis=0)[:, 0] + h.copy(),
    "shapes as numbers": lambda a, h: a * np.ndim(a) + np.size(h) * h / np.shape(a)[0],
    "arrays like another": lambda a, h: np.full_like(a, a[0]) + np.ones_like(a) * h - np.zeros_like(a),
    "broadcast_to": lambda a, h: np.broadcast_to(a[1], h.shape) * np.broadcast_to(0.5, (3,)).sum(),
    # Arithmetic.
    "integer powers": lambda a, h: a**3 - a**2 / 4 + h**5 + a**0 + a**1 + (2 + a) ** -2,
    "other powers": lambda a, h: (1 + a * a) ** 0.5 + (2 + a) ** -0.5 + (2 + a) ** 1.7,
    "constant bases": lambda a, h: 1.3**a + 2**h + np.e**a,
    "powers of powers": lambda a, h: (1 + a * a) ** h,
    "remainders": lambda a, h: (a + 7) % 5 + np.mod(a - 2.5, 5.0) + 1.0 % (0.3 * h * h + 0.6),
    "python's numbers": lambda a, h: 2 * a - (1 - h) / 3 + np.float64(0.5) * a + abs(-a) + (+a) + True * h,
    "small arrays": lambda a, h: (
        (HALF * a.reshape(-1, 3) + h.reshape(-1, 3) @ np.eye(3)).reshape(-1) * [0.5] + [2]
    ),
    # Sums.
    "reductions": lambda a, h: (
        a.mean() * h + np.sum(a) + a.max() * a.min() + np.max(a.reshape(2, -1), 0, keepdims=True).sum()
    ),
    "moments": lambda a, h: (a - np.mean(a)) / (np.std(a) + 0.1) + h.var() + a.std(),
    "products": lambda a, h: np.prod(a.reshape(-1, 3), axis=1).sum() * h + a[:3].prod(),
    "norms": lambda a, h: (
        a / np.linalg.norm(a) + np.linalg.norm(a.reshape(2, -1), axis=1, keepdims=True).sum()
    ),
    "running sums": lambda a, h: np.cumsum(a) + np.cumsum(h.reshape(2, -1), axis=1).ravel() + h.cumsum(),
    "vector products": lambda a, h: (
        np.outer(a, h) @ h + np.dot(a, h) + np.inner(a, h) + a @ h + np.dot(2.0, a)
    ),
    # Truth.
    "masks": lambda a, h: ((a > 0) & ~(h > 0.2) | (h < -0.3)) * a + (~(a > 0)) * h,
    "arithmetic of truth": lambda a, h: ((a > 0) + (h > 0)) * a + ((a > 0) * (h > 0)) * h + (1 - (a > 0)),
    "where": lambda a, h: np.where(a > 0, a, -1.0) + np.where(True, a, h) + np.where(False, a, h),
    "where of truth": lambda a, h: np.where(np.where(a > 0, a > h, h > 0), a, -a) + np.where(a, h, 0.0),
    "any and all": lambda a, h: np.where((a > 0.3).any(), a, h) + np.where(np.all(a > -3), a, 2 * a),
    "logic of numbers": lambda a, h: np.where(np.logical_and(a, h > 0) | np.logical_not(h > 0), a, h),
    "astype": lambda a, h: (
        (a > 0).astype(float) * h + (a * h).astype(np.float64) + np.where(a.astype(bool), 1, 0)
    ),
    "not a number": lambda a, h: np.where(np.isnan(a) | ~np.isfinite(h), 0.0, a),
    # Functions.
    "exponentials": lambda a, h: (
        np.exp2(a) + np.expm1(h) + np.log2(2 + a) + np.log10(2 + h) + np.logaddexp(a, h)
    ),
    "hyperbolic and circular": lambda a, h: np.sinh(a) + np.cosh(h) + np.arctan(a) + np.sin(h) * np.cos(a),
    "pieces": lambda a, h: np.sign(a) * h + np.ceil(a) + np.floor(h) + np.fabs(a) + np.heaviside(a, 0.5) * h,
    "clip": lambda a, h: np.clip(a, -0.5, 0.5) + h.clip(-0.1, 0.2) + np.clip(a, a_min=0, a_max=None),
    "squares": lambda a, h: np.square(a) + np.reciprocal(2 + a) + np.hypot(a, h) + np.sqrt(2 + h),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_traced_step_equals_numpy(name: str) -> None:
    check(cell(of(WRITTEN[name])))


def test_lengths_convert_to_numbers() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        n = h.shape[-1]
        a = x @ self.W / np.sqrt(x.shape[0]) + h @ self.U / n**0.5
        return np.tanh(a * (1 / n) + 2 ** (1 / n) + h.size * 0.1 + a[: n // 2].sum() / (n - x.shape[0] + 1))

    check(cell(step))


def test_comparison_of_lengths_that_always_holds() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        n = h.shape[0]
        known = n > 0 and n >= 1 and n != 0 and n + 1 > n and 2 * n == n + n and not n < 1
        return x @ self.W + h @ self.U if known and h.shape == (n,) else x

    check(cell(step))


# States, parameters and outputs of every kind.


def test_complex_numbers_equal_numpy() -> None:
    def step(self: Any, x: Any, h: Any, c: Any) -> Any:
        c = np.exp(1j * self.g) * c * 0.5 + 0.3 * (h @ self.V) + x @ self.W
        c = c / (1 + abs(c))
        d = c**2 + 0.1 * (2 + c) ** -1 + np.conj(c) * 0.1 + 1j * h + np.where(h > 0, c, 2 * c) + c.T
        d = np.concatenate([d[:2], d[2:]]).reshape(2, -1).T.reshape(-1) * np.array([1j] * 2 + [1.0])[0]
        p, q = np.stack([d, h])
        norm = np.linalg.norm(d) + np.sum(d).real + np.abs(p).mean() + np.square(q).real.sum()
        return np.tanh((c @ self.V).real + d.imag + h @ self.U + norm), c + 0j * h + (h > 0) * 0.1 - 0.5

    members = {"V": zoo.Param("H", "H", complex=True), "g": zoo.Param("H"), "c": zoo.State("H", complex=True)}
    check(cell(step, **members))


def test_real_value_fits_a_complex_state() -> None:
    check(
        cell(
            lambda self, x, h, c: (np.tanh(x @ self.W + h @ self.U + c.real), h),
            c=zoo.State("H", complex=True),
        )
    )


def test_zero_magnitude_has_zero_gradient() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        return zoo.Output(np.tanh(x @ self.W + h @ self.U) * np.linalg.norm(h) + np.abs(h + 1j * h), h * 0.5)

    case = checks.trial(cell(step), steps=1, ranges={"h": (0.0, 0.0)})
    with checks.interpreted(case):
        _, (_, (dh,), _) = case.both_passes(case.x)
    np.testing.assert_allclose(dh, 0.5 * case.dlast[0])


def test_delay_line_of_length_one() -> None:
    def step(self: Any, x: Any, h: Any, line: Any) -> Any:
        return np.tanh(x @ self.W + h @ self.U + line[0]), np.concatenate([line[1:], h[None]])

    check(cell(step, line=zoo.State("k", "H"), k=zoo.Option(1)))
    check(type(cell(step, line=zoo.State("k", "H"), k=zoo.Option(1)))(k=3))


def test_options_choose_the_compiled_branch() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        a = x @ self.W
        for _ in range(self.depth):
            a = np.tanh(a + h @ self.U) if self.squash else a + h @ self.U
        return a * self.scale if self.mode == "plain" else -a

    members = {
        "depth": zoo.Option(2),
        "squash": zoo.Option(True),
        "scale": zoo.Option(0.5),
        "mode": zoo.Option("plain", choices=["plain", "minus"]),
    }
    kind = type(cell(step, **members))
    for options in ({}, {"depth": 3}, {"squash": False}, {"mode": "minus"}):
        check(kind(**options))
    assert plan_kernels(kind()).source != plan_kernels(kind(depth=3)).source


# Forms of ``step``.

GAIN = 0.7


def helper(a: Any, b: Any) -> Any:
    """Somewhere else in the module."""
    return np.tanh(a) * GAIN + b


def test_step_calls_a_module_function() -> None:
    check(cell(lambda self, x, h: helper(x @ self.W, h @ self.U)))


def test_step_uses_a_method_and_an_attribute() -> None:
    class Base(zoo.Cell, abstract=True):
        """A base."""

        gain = 0.3
        W = zoo.Param("I", "H")
        U = zoo.Param("H", "H")
        h = zoo.State("H")

        def mixed(self, x: Any, h: Any) -> Any:
            return self.gain * (x @ self.W) + h @ self.U

        def step(self, x: Any, h: Any) -> Any:
            return np.tanh(self.mixed(x, h))

    class Derived(Base):
        """Inherits step."""

        card = CARD
        gain = 0.9

    class Further(Derived):
        """Calls it."""

        def step(self, x: Any, h: Any) -> Any:
            return 0.5 * super().step(x, h)

    check(Derived())
    check(Further())


def test_step_uses_a_closure() -> None:
    scale = 0.25

    def made(factor: float) -> Step:
        def step(self: Any, x: Any, h: Any) -> Any:
            return np.tanh(scale * (x @ self.W) + factor * (h @ self.U))

        return step

    check(cell(made(2.0)))


def test_decorated_step_is_traced() -> None:
    def halved(step: Step) -> Step:
        @functools.wraps(step)
        def wrapper(*args: Any) -> Any:
            return step(*args) * 0.5

        return wrapper

    def step(self: Any, x: Any, h: Any) -> Any:
        gate = x @ self.W
        return np.tanh(gate + h @ self.U)

    tried = cell(halved(step))
    check(tried)
    assert "gate" in trace_step(tried).names.values()


WITHOUT_SOURCE = """
class Typed(zoo.Cell):
    "A cell typed at a prompt."
    card = CARD
    W, U, h = zoo.Param("I", "H"), zoo.Param("H", "H"), zoo.State("H")

    def step(self, x, h):
        gate = x @ self.W
        return np.tanh(gate + h @ self.U)
"""


def test_cell_without_source_is_traced() -> None:
    members: dict[str, Any] = {"zoo": zoo, "np": np, "CARD": CARD, "__name__": "prompt"}
    exec(compile(WITHOUT_SOURCE, "<stdin>", "exec"), members)
    check(members["Typed"]())
    assert "gate" in trace_step(members["Typed"]()).names.values()


# Names.


def lstm(self: Any, x: Any, h: Any, c: Any) -> Any:
    gates = x @ self.W + h @ self.U
    i, f = gates[: h.shape[0]], gates[h.shape[0] :]
    c = zoo.sigmoid(f) * c + i
    _hidden = zoo.tanh(c)
    lambda_ = _hidden * 2
    return lambda_, c


def two_gates() -> zoo.Cell:
    return cell(lstm, W=zoo.Param("I", "2H"), U=zoo.Param("H", "2H"), c=zoo.State("H"))


def test_values_keep_the_authors_names() -> None:
    equations = trace_step(two_gates())
    names = set(equations.names.values())
    assert {"gates", "i", "f", "c"} <= names
    assert "_hidden" not in names
    assert [equations.names[node] for node in equations.new_states.values()] == ["h", "c"]


def test_complex_values_keep_the_authors_names() -> None:
    def step(self: Any, x: Any, h: Any) -> Any:
        turned = (x @ self.W + h @ self.U) * np.exp(1j * h)
        return turned.real + turned.imag

    assert {"turned_re", "turned_im"} <= set(trace_step(cell(step)).names.values())


def test_other_trace_functions_are_restored() -> None:
    seen = []

    def tracer(frame: FrameType, event: str, arg: Any) -> None:
        seen.append(frame.f_code.co_name)

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        trace_step(two_gates())
        current = sys.gettrace()
        seen.clear()
        helper(1.0, 2.0)
    finally:
        sys.settrace(before)
    assert current is tracer
    assert "helper" in seen


def test_other_trace_functions_are_restored_after_errors() -> None:
    def tracer(frame: FrameType, event: str, arg: Any) -> None: ...

    before = sys.gettrace()
    sys.settrace(tracer)
    try:
        with pytest.raises(zoo.DefinitionError):
            trace_step(cell(lambda self, x, h: np.sort(h)))
        current = sys.gettrace()
    finally:
        sys.settrace(before)
    assert current is tracer


def test_trace_function_set_in_step_stays() -> None:
    def tracer(frame: FrameType, event: str, arg: Any) -> None: ...

    def step() -> None:
        sys.settrace(tracer)

    before = sys.gettrace()
    try:
        with record_names(step):
            step()
        current = sys.gettrace()
    finally:
        sys.settrace(before)
    assert current is tracer


def test_other_threads_are_not_traced() -> None:
    tracers = []

    def step() -> None:
        thread = threading.Thread(target=lambda: tracers.append(sys.gettrace()))
        thread.start()
        thread.join()

    with record_names(step):
        step()
    assert tracers == [None]


def test_cells_are_traced_in_several_threads() -> None:
    sources: list[str] = []

    def work() -> None:
        sources.append(repr(trace_step(two_gates()).y.graph.nodes))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sources) == 8
    assert len(set(sources)) == 1


def counting(update):
    """A cell with a discrete state, updated by a function of the step."""

    class Counting(zoo.Cell):
        """Counts."""

        W = zoo.Param("I", "H", init="glorot_uniform")
        b = zoo.Param("H")
        period = zoo.Buffer("H", init=3)
        h = zoo.State("H")
        n = zoo.State("H", discrete=True)
        event = zoo.Input()
        limit = zoo.Option(5)

        def step(self, x, h, n, event):
            h = np.tanh(x @ self.W + h + 0 * self.b + n % self.period)
            return h, update(self, x, h, n, event)

    return Counting()


@pytest.mark.parametrize(
    ("update", "reason"),
    [
        (lambda self, x, h, n, event: n + 0.5, "contains 0.5, which is not an integer"),
        (lambda self, x, h, n, event: np.where(h > 0, n, 1.5), "contains 1.5, which is not an integer"),
        (lambda self, x, h, n, event: np.minimum(n + 1, 2.5), "contains 2.5, which is not an integer"),
        (lambda self, x, h, n, event: -(n - np.float32(0.25)), "contains 0.25, which is not an integer"),
        (
            lambda self, x, h, n, event: np.concatenate([n[:1] + 0.5, n[1:]]),
            "contains 0.5, which is not an integer",
        ),
        (lambda self, x, h, n, event: n + self.b, "depends on parameter 'b', which holds real numbers"),
    ],
)
def test_fractions_of_a_discrete_state_raise(update, reason):
    with pytest.raises(zoo.DefinitionError, match=f"state 'n' is declared with discrete=True, .* {reason};"):
        trace_step(counting(update))


def test_real_state_of_a_discrete_state_raises():
    class Adding(zoo.Cell):
        """Adds a real state."""

        W = zoo.Param("I", "H")
        h = zoo.State("H")
        n = zoo.State("H", discrete=True)

        def step(self, x, h, n):
            return np.tanh(x @ self.W + h), n + h

    with pytest.raises(
        zoo.DefinitionError, match=r"in `return .*`: state 'n' .* depends on state 'h', which"
    ):
        trace_step(Adding())


@pytest.mark.parametrize(
    "update",
    [
        lambda self, x, h, n, event: n + 1,
        lambda self, x, h, n, event: np.where(h > 0.5, 0, n + 1),
        lambda self, x, h, n, event: (n + 1) % self.limit,
        lambda self, x, h, n, event: np.minimum(n + 1, self.limit) * (h > 0),
        lambda self, x, h, n, event: n + np.floor(3 * h),
        lambda self, x, h, n, event: n + np.sign(h),
        lambda self, x, h, n, event: n * (1 - event) + 1,
        lambda self, x, h, n, event: n + x[0],
        lambda self, x, h, n, event: (n % self.period) + zoo.heaviside(h),
        lambda self, x, h, n, event: 0.5 * n * (n + 1),
        lambda self, x, h, n, event: n + h.shape[0],
        lambda self, x, h, n, event: n + np.floor(h + 0.5),
    ],
)
def test_integer_updates_of_a_discrete_state_are_allowed(update):
    trace_step(counting(update))
