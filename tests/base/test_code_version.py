"""Kernels follow the code and the constants of a cell, also when the class statement does not run again."""

from __future__ import annotations

import functools
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.base.code_version import code_version
from zoo.compiler.compile import plan_kernels
from zoo.kernels import pure_python

FACTOR = 1.0
TABLE = {"shift": [0.0, 0.0]}
MODULE = types.ModuleType("helpers")


def activation(a: Any) -> Any:
    return 0.5 * a


def outer(a: Any, scale: float = 1.0) -> Any:
    """A helper that calls a helper."""
    return scale * activation(a)


def closure(scale: float) -> Callable[[Any], Any]:
    def scaled(a: Any) -> Any:
        return scale * a

    return scaled


IN_CLOSURE = closure(1.0)
PARTIAL = functools.partial(lambda a, scale: scale * a, scale=1.0)
MODULE.scale = 1.0  # type: ignore[attr-defined]


class Reader(zoo.Cell):
    """A cell whose step reads everything that can change."""

    W = zoo.Param("I", "H", init="ones")
    h = zoo.State("H")
    gain = 1.0

    def step(self, x: Any, h: Any) -> Any:
        y = outer(x @ self.W) * FACTOR * self.gain + TABLE["shift"][1]
        return PARTIAL(IN_CLOSURE(y)) * MODULE.scale + 0 * h


def output(cell: Any = Reader) -> float:
    with pure_python():
        (y,) = zoo.Recurrent(cell, 1, 1, dtype="float64")(np.ones((1, 1, 1)))[0].ravel()
    return float(y)


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the module after each test."""
    for name in ("FACTOR", "TABLE", "IN_CLOSURE", "PARTIAL", "activation", "outer"):
        monkeypatch.setitem(globals(), name, globals()[name])
    monkeypatch.setattr(Reader, "gain", 1.0)
    monkeypatch.setattr(MODULE, "scale", 1.0)


def change(kind: str, value: float) -> None:
    """Change one thing that the step reads, such that its output is ``value``."""
    match kind:
        case "global":
            globals()["FACTOR"] = 2 * value
        case "container":
            globals()["TABLE"] = {"shift": [0.0, value - 0.5]}
        case "function":
            globals()["activation"] = lambda a: value * a
        case "defaults":
            outer.__defaults__ = (2 * value,)
        case "closure":
            globals()["IN_CLOSURE"] = closure(2 * value)
        case "partial":
            globals()["PARTIAL"] = functools.partial(PARTIAL.func, scale=2 * value)
        case "class":
            Reader.gain = 2 * value
        case "module":
            MODULE.scale = 2 * value  # type: ignore[attr-defined]


KINDS = "global", "container", "function", "defaults", "closure", "partial", "class", "module"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("modified", [Reader, "reader+zoneout", "prenorm(reader)"])
def test_new_layers_use_the_code_of_now(kind: str, modified: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outer, "__defaults__", (1.0,))
    if isinstance(modified, str):
        modified = type(zoo.get_cell(modified.replace("reader", "vanilla"))).compose_class(
            Reader, type(zoo.get_cell(modified.replace("reader", "vanilla"))).component
        )
    before, cell = plan_kernels(modified()).source, modified()
    if modified is Reader:
        assert output() == pytest.approx(0.5)
    change(kind, 3.0)
    assert plan_kernels(modified()).source != before
    assert plan_kernels(cell).source == before, "a layer keeps the equations that it was made with"
    if modified is Reader:
        assert output() == pytest.approx(3.0)


@pytest.mark.parametrize("kind", KINDS)
def test_instances_made_before_a_change_use_the_code_of_now(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outer, "__defaults__", (1.0,))
    cell = Reader()
    assert output(cell) == pytest.approx(0.5)
    change(kind, 3.0)
    assert output(cell) == pytest.approx(3.0)


@pytest.mark.parametrize("cell", [Reader(), zoo.get_cell("lstm"), zoo.get_cell("lstm+zoneout")])
def test_attribute_of_an_instance_raises(cell: Any) -> None:
    """A copy, from which the step is compiled, would not have it."""
    assert cell.refreshed() is cell
    cell.gain = 2.0
    with pytest.raises(zoo.UsageError, match="the attribute 'gain' was set on an instance, and zoo makes"):
        zoo.Recurrent(cell, 1, 1)


def test_equal_code_keeps_its_kernels() -> None:
    first = plan_kernels(Reader())
    globals()["TABLE"] = {"shift": [0.0, 0.0]}
    globals()["IN_CLOSURE"] = closure(1.0)
    globals()["activation"] = types.FunctionType(activation.__code__, globals())
    assert plan_kernels(Reader()) is first
    assert Reader() == Reader()
    assert hash(Reader()) == hash(Reader())


@given(
    st.recursive(
        st.one_of(st.integers(), st.floats(), st.text(max_size=3), st.none()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=2), inner, max_size=3)
        ),
        max_leaves=6,
    ),
    st.data(),
)
def test_version_of_constants_follows_their_values(value: Any, data: st.DataObject) -> None:
    def version(constant: Any) -> Any:
        return code_version(type("Holder", (), {"constant": constant, "__module__": __name__}))

    import copy

    hash(version(value))
    assert version(value) == version(copy.deepcopy(value))
    assert version(value) != version([value, 1])


@pytest.mark.parametrize("value", [np.arange(3.0), np.float32(2), np.eye(2, dtype=np.int64), np.array("a")])
def test_version_of_arrays_follows_their_elements(value: Any) -> None:
    def version(constant: Any) -> Any:
        return code_version(type("Holder", (), {"constant": constant, "__module__": __name__}))

    assert version(value) == version(value.copy())
    assert version(value) != version(np.zeros_like(value))
    assert version(value) != version(np.array([value, value]))


def test_recursive_functions_and_containers_have_a_version() -> None:
    def even(n: int) -> bool:
        return n == 0 or odd(n - 1)

    def odd(n: int) -> bool:
        return n != 0 and even(n - 1)

    looped: list[Any] = [1]
    looped.append(looped)
    holder = type("Holder", (), {"even": even, "looped": looped, "__module__": __name__})
    assert code_version(holder) == code_version(holder)
    hash(code_version(holder))


def test_shipped_components_have_no_version() -> None:
    assert zoo.get_cell("lstm").code_version() == ()
    assert zoo.get_cell("lstm+zoneout").code_version() == ((), ())


@pytest.mark.parametrize(
    ("base", "members"),
    [
        (
            zoo.Cell,
            {"W": zoo.Param("I", "H"), "h": zoo.State("H"), "step": lambda self, x, h: x @ self.W + h},
        ),
        (zoo.Block, {"step": lambda self, x, cell: x + cell(x)}),
    ],
)
def test_constructor_with_arguments_raises(base: type[Any], members: dict[str, Any]) -> None:
    """Copies are made from the options, so the compiled step would read other values."""

    def constructor(self: Any, k: float = 0.5) -> None:
        self.k = k

    members = {**members, "__module__": __name__, "__doc__": "A component.", "__init__": constructor}
    with pytest.raises(zoo.ZooError, match=r"found __init__\(self, k: .* = 0.5\); declare each setting as"):
        type("WithConstructor", (base,), members)


def test_constructor_that_takes_options_is_allowed() -> None:
    class Checked(zoo.Cell):
        """A cell that checks its options."""

        W = zoo.Param("I", "H")
        h = zoo.State("H")
        low = zoo.Option(0.0)

        def __init__(self, **options: float) -> None:
            super().__init__(**options)
            assert self.low >= 0

        def step(self, x: Any, h: Any) -> Any:
            return x @ self.W + self.low * h

    assert Checked(low=2.0).low == 2.0
    with pytest.raises(AssertionError):
        Checked(low=-1.0)
