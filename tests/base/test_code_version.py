"""Kernels follow the code and the constants of a cell, also when the class statement does not run again."""

from __future__ import annotations

import array
import collections
import dataclasses
import functools
import re
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.base.code_version import SHIPPED_PACKAGES, _Walk, code_version, version_of
from zoo.compiler.compile import plan_kernels
from zoo.kernels import pure_python

FACTOR = 1.0
TABLE = {"shift": [0.0, 0.0]}
MODULE = types.ModuleType("helpers")
MODULE.inner = types.ModuleType("helpers.inner")  # type: ignore[attr-defined]


class Settings:
    """Attributes of a class."""

    gain = 1.0

    @staticmethod
    def scaled(a: Any) -> Any:
        return Settings.gain * a


class Scaler:
    """An instance that is called."""

    def __init__(self, gain: float) -> None:
        self.gain = gain

    def __call__(self, a: Any) -> Any:
        return self.gain * a


@functools.cache
def cached() -> float:
    return CONSTANT


CONSTANT = 1.0
NAMESPACE = types.SimpleNamespace(gain=1.0)
ORDERED = collections.OrderedDict(gain=1.0)
CALLED = Scaler(1.0)
METHOD = CALLED.__call__


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
MODULE.scale = MODULE.inner.scale = 1.0  # type: ignore[attr-defined]


class Reader(zoo.Cell):
    """A cell whose step reads everything that can change."""

    W = zoo.Param("I", "H", init="ones")
    h = zoo.State("H")
    gain = 1.0

    def step(self, x: Any, h: Any) -> Any:
        y = outer(x @ self.W) * FACTOR * self.gain + TABLE["shift"][1]
        y = PARTIAL(IN_CLOSURE(y)) * MODULE.scale * MODULE.inner.scale * NAMESPACE.gain
        return METHOD(Settings.scaled(y)) * ORDERED["gain"] * cached() + 0 * h


def output(cell: Any = Reader) -> float:
    with pure_python():
        (y,) = zoo.Recurrent(cell, 1, 1, dtype="float64")(np.ones((1, 1, 1)))[0].ravel()
    return float(y)


@pytest.fixture(autouse=True)
def unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Restore the module after each test."""
    for name in ("FACTOR", "TABLE", "IN_CLOSURE", "PARTIAL", "CONSTANT", "NAMESPACE", "activation", "outer"):
        monkeypatch.setitem(globals(), name, globals()[name])
    for owner, name in ((Reader, "gain"), (Settings, "gain"), (CALLED, "gain"), (NAMESPACE, "gain")):
        monkeypatch.setattr(owner, name, 1.0)
    for module in (MODULE, MODULE.inner):
        monkeypatch.setattr(module, "scale", 1.0)
    monkeypatch.setitem(ORDERED, "gain", 1.0)
    cached.cache_clear()


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
        case "inner module":
            MODULE.inner.scale = 2 * value
        case "other class":
            Settings.gain = 2 * value
        case "instance":
            CALLED.gain = 2 * value
        case "namespace":
            NAMESPACE.gain = 2 * value
        case "new namespace":
            globals()["NAMESPACE"] = types.SimpleNamespace(gain=2 * value)
        case "ordered":
            ORDERED["gain"] = 2 * value
        case "cache":
            cached.cache_clear()
            globals()["CONSTANT"] = 2 * value


KINDS = (
    *("global", "container", "function", "defaults", "closure", "partial", "class", "module", "inner module"),
    *("other class", "instance", "namespace", "new namespace", "ordered", "cache"),
)


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


def test_objects_at_one_address_are_different() -> None:
    """Python reuses the address of an object that is gone."""
    versions = set()
    for gain in range(50):
        globals()["NAMESPACE"] = types.SimpleNamespace(gain=float(gain))
        versions.add(Reader().code_version())
    assert len(versions) == 50


def test_libraries_are_not_followed() -> None:
    class Labelled(Reader):
        """A cell with a method that uses a module with a cache."""

        def label_of(self, text: str) -> str:
            return re.sub("a+", "b", text)

    before = Labelled.code_version()
    re.match("another pattern", "text")
    assert Labelled.code_version() == before


def test_wrapper_of_a_shipped_function_is_followed() -> None:
    def holder(scale: float) -> Any:
        @functools.wraps(zoo.sigmoid)
        def wrapper(a: Any) -> Any:
            return scale * zoo.sigmoid(a)

        return code_version(type("Holder", (), {"function": wrapper, "__module__": __name__}))

    assert holder(1.0) == holder(1.0)
    assert holder(1.0) != holder(2.0)


def test_version_of_large_containers_is_bounded() -> None:
    holder = type("Holder", (), {"values": [[float(n)] * 1000 for n in range(200)], "__module__": __name__})
    assert code_version(holder) == code_version(holder)
    assert _Walk().version([0.0] * 50_000) is not None


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


class Slotted:
    """An object whose attributes are in slots, some of them not set."""

    __slots__ = ("absent", "gain")

    def __init__(self) -> None:
        self.gain: Any = 1.0


class SlottedChild(Slotted):
    __slots__ = ("__dict__", "shift")


@dataclasses.dataclass(slots=True)
class SlottedData:
    gain: float = 1.0


class Gains(collections.UserDict):  # type: ignore[type-arg]
    """A mapping of the user's."""


@pytest.mark.parametrize(
    ("value", "change"),
    [
        (Slotted(), lambda value: setattr(value, "gain", 2.0)),
        (Slotted(), lambda value: setattr(value, "absent", 2.0)),
        (SlottedChild(), lambda value: setattr(value, "gain", 2.0)),
        (SlottedChild(), lambda value: setattr(value, "shift", 2.0)),
        (SlottedChild(), lambda value: setattr(value, "other", 2.0)),
        (SlottedData(), lambda value: setattr(value, "gain", 2.0)),
        (collections.deque([1.0, 2.0]), lambda value: value.rotate()),
        (collections.deque([[1.0]]), lambda value: value[0].append(2.0)),
        (array.array("d", [1.0]), lambda value: value.append(2.0)),
        (array.array("i", [1]), lambda value: value.__setitem__(0, 2)),
        (collections.ChainMap({"a": 1.0}, {"b": 2.0}), lambda value: value.maps[1].update(b=3.0)),
        (collections.Counter("a"), lambda value: value.update("a")),
        (collections.defaultdict(list, a=[1.0]), lambda value: value["a"].append(2.0)),
        (Gains(a=1.0), lambda value: value.update(a=2.0)),
    ],
)
def test_version_of_objects_follows_their_attributes_and_elements(value: Any, change: Any) -> None:
    before = version_of(value)
    assert version_of(value) == before
    change(value)
    assert version_of(value) != before


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


def test_all_shipped_packages_are_listed() -> None:
    plugins = Path(__file__).parents[2] / "plugins"
    assert {path.name for path in plugins.iterdir() if path.name.startswith("zoo_")} | {"zoo"} == (
        SHIPPED_PACKAGES
    )


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


def test_inherited_constructor_with_arguments_raises() -> None:
    class Mixin:
        def __init__(self, gain: float = 1.0) -> None:
            self.gain = gain

    with pytest.raises(zoo.ZooError, match=r"found __init__\(self, gain: .* = 1.0\)"):

        class Mixed(Mixin, zoo.Cell):
            """A cell with a constructor of another class."""

            W = zoo.Param("I", "H")
            h = zoo.State("H")

            def step(self, x: Any, h: Any) -> Any:
                return x @ self.W + h


def test_constructor_that_removes_an_option_raises() -> None:
    class Removing(zoo.Cell):
        """A cell with an option that copies do not have."""

        W = zoo.Param("I", "H")
        h = zoo.State("H")

        def __init__(self, **options: float) -> None:
            gain = options.pop("gain", 1.0)
            super().__init__(**options)
            self.gain = gain

        def step(self, x: Any, h: Any) -> Any:
            return self.gain * (x @ self.W) + h

    assert zoo.Recurrent(Removing(), 1, 1)
    with pytest.raises(zoo.UsageError, match="the attribute 'gain' was set on an instance"):
        zoo.Recurrent(Removing(gain=2.0), 1, 1)


@pytest.mark.parametrize(
    "use",
    [
        lambda cls: zoo.Recurrent(cls, 1, 1),
        lambda cls: zoo.Recurrent(cls(), 1, 1),
        hash,
        lambda cls: cls() == cls(),
    ],
)
def test_constructor_without_that_of_base_class_raises(use: Any) -> None:
    class Forgetful(zoo.Cell):
        """A cell without options."""

        W = zoo.Param("I", "H")
        h = zoo.State("H")

        def __init__(self, **options: float) -> None:
            self.gain = 2.0

        def step(self, x: Any, h: Any) -> Any:
            return self.gain * (x @ self.W) + h

    with pytest.raises(
        zoo.DefinitionError, match=r"Forgetful .*does not call super\(\).__init__\(\*\*options\)"
    ):
        use(Forgetful() if use is hash else Forgetful)


def test_option_that_is_read_before_constructor_of_base_class_raises() -> None:
    class Early(zoo.Cell):
        """A cell that reads an option too early."""

        W = zoo.Param("I", "H")
        h = zoo.State("H")
        gain = zoo.Option(1.0)

        def __init__(self, **options: float) -> None:
            self.twice = 2 * self.gain
            super().__init__(**options)

        def step(self, x: Any, h: Any) -> Any:
            return self.twice * (x @ self.W) + h

    with pytest.raises(zoo.UsageError, match="option 'gain' of a Early is read before the options are set"):
        Early()


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
    assert zoo.Recurrent(Checked(low=2.0), 1, 1)
    with pytest.raises(AssertionError):
        Checked(low=-1.0)
