"""Objects that hold arrays print as one line: arrays as dtype and shape, long values shortened."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import pickle
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import public_stubs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import zoo
from zoo.field_repr import one_line_repr

OPTIONAL = {"zoo.darts", "zoo.jax", "zoo.sklearn", "zoo.sktime", "zoo.torch"}
LONGEST = 800
ARRAY_TYPES = ("Array", "NDArray", "ndarray")


@one_line_repr
class Pair(NamedTuple):
    first: Any
    second: Any


@one_line_repr
@dataclass(frozen=True, eq=False)
class Record:
    first: Any
    second: Any
    hidden: Any = field(default=None, repr=False)


VALUES = st.deferred(
    lambda: st.one_of(
        st.none(),
        st.text(),
        st.integers(),
        st.floats(),
        arrays.arrays(
            st.sampled_from(["float32", "int64", "bool", "U3"]), arrays.array_shapes(min_dims=0, max_side=40)
        ),
        st.lists(VALUES, max_size=20),
        st.dictionaries(st.text(), VALUES, max_size=20),
        st.builds(Pair, VALUES, VALUES),
        st.builds(Record, VALUES, VALUES),
    )
)


@given(VALUES, VALUES)
def test_any_values_print_as_one_line(first: Any, second: Any) -> None:
    for cls in (Pair, Record):
        text = repr(cls(first, second))
        assert text.startswith(f"{cls.__name__}(first=")
        assert "\n" not in text
        assert len(text) < 300


def test_arrays_print_as_dtype_and_shape() -> None:
    x, y = np.zeros((20, 3), np.float32), np.arange(1000)
    assert repr(Pair(x, {"a": y})) == "Pair(first=float32(20, 3), second={'a': int64(1000,)})"
    assert repr(Record(np.float32(0.5), [x, 1], y)) == "Record(first=0.5, second=[float32(20, 3), 1])"
    assert repr(pickle.loads(pickle.dumps(Pair(x, 1)))) == "Pair(first=float32(20, 3), second=1)"


def public_classes() -> Iterator[type]:
    for package in public_stubs.PACKAGES:
        if package not in OPTIONAL:
            module = importlib.import_module(package)
            for name in module.__all__:
                if inspect.isclass(value := getattr(module, name)):
                    yield value


def array_fields(cls: type) -> list[str]:
    """The fields that a representation of all fields prints."""
    if dataclasses.is_dataclass(cls):
        fields = {each.name: each.type for each in dataclasses.fields(cls) if each.repr}
    else:
        fields = cls.__annotations__ if issubclass(cls, tuple) else {}
    return [name for name, kind in fields.items() if any(word in str(kind) for word in ARRAY_TYPES)]


@pytest.mark.parametrize("cls", sorted({*public_classes()}, key=lambda cls: cls.__qualname__))
def test_public_classes_with_arrays_have_a_representation_of_their_own(cls: type) -> None:
    is_generated = (
        hasattr(cls.__repr__, "__wrapped__") or getattr(cls.__repr__, "__module__", "") == "collections"
    )
    assert not (array_fields(cls) and is_generated), array_fields(cls)


def results() -> Iterator[Any]:
    """Results of public functions."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20, 3, 5)).astype(np.float32)
    rnn = zoo.Recurrent("lstm", 5, 8, num_layers=2)
    y, state, tape = rnn.apply(rnn.theta, x)
    yield from (state, tape, rnn.jvp(x), rnn.params, zoo.Output(y, x), zoo.get_cell("lstm").card)
    task = zoo.get_task("adding")
    yield from (task, task.batch(0, 4), zoo.Batch(x, x, x[..., 0], aux={"dt": x}))
    yield zoo.get_loss("cross_entropy", class_weights=[0.1] * 1000)
    corpus = zoo.data.read_text("builtin:hello")
    parts = zoo.data.split(corpus.tokens, (0.8, 0.1, 0.1))
    batches = zoo.data.BpttBatches(parts.train, 1, 3)
    yield from (corpus, parts, batches, batches.window(0))


@pytest.mark.usefixtures("plain_python")
def test_results_print_as_one_line() -> None:
    for value in results():
        text = repr(value)
        assert "\n" not in text, text
        assert " object at 0x" not in text, text
        assert len(text) < LONGEST, text


def test_representations() -> None:
    x = np.zeros((20, 3, 5), np.float32)
    batch = zoo.Batch(x, x, x[..., 0])
    assert repr(batch) == (
        "Batch(inputs=float32(20, 3, 5), targets=float32(20, 3, 5), weights=float32(20, 3), continues=False, "
        "aux={}, context=None)"
    )
    assert repr(zoo.get_loss("huber", delta=0.5)) == "Loss('huber', delta=0.5)"
