"""Learning curves as arrays, from runs and from histories of ``fit``."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.errors import UsageError
from zoo.storage import log

NUMBERS = st.floats() | st.integers(-(2**40), 2**40)
OTHERS = st.none() | st.booleans() | st.text("abn", max_size=3).filter(lambda text: text != "nan")
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"event": st.sampled_from(["start", "step", "eval", "sample"]), "step": st.integers(0, 9)},
        optional={"loss": NUMBERS, "bits": NUMBERS, "part": OTHERS, "best": st.booleans()},
    ),
    max_size=8,
)


def same(a, b):
    return a == b or (math.isnan(a) and math.isnan(b))


def check(curves, history):
    assert list(curves) == ["step", "eval"]
    for kind, columns in curves.items():
        events = [event for event in history if event["event"] == kind]
        kinds = (int, float)
        names = {name for event in events for name, value in event.items() if type(value) in kinds}
        assert columns.keys() == names | {"step"}
        assert columns["step"].dtype == np.int64
        for name, values in columns.items():
            expected = [event.get(name) for event in events]
            numbers = [float(x) if type(x) in kinds else math.nan for x in expected]
            assert values.shape == (len(events),)
            assert all(map(same, values, numbers))


@given(history=EVENTS)
def test_curves_are_the_numbers_of_the_events(history):
    check(zoo.learning_curves(history), history)
    check(zoo.learning_curves(iter(history)), history)


@given(history=EVENTS)
def test_a_run_has_the_curves_of_its_log(history, tmp_path_factory):
    """The log holds numbers that are not finite as strings."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "config.json").write_text("{}")
    (folder / "checkpoints").mkdir()
    for event in history:
        log.append(folder / "log.jsonl", event)
    for run in (zoo.Run(folder), folder, str(folder)):
        check(zoo.learning_curves(run), history)


@pytest.mark.parametrize(
    "wrong", [None, 3, np.array(1.0), {"event": "step", "step": 1}, [1], [{"loss": 1.0}], ["step"], object()]
)
def test_other_values_raise(wrong):
    with pytest.raises(
        UsageError, match=r"learning_curves: run is .*; expected a zoo\.Run, a run directory, or"
    ):
        zoo.learning_curves(wrong)


def test_a_directory_without_a_run_raises(tmp_path):
    with pytest.raises(UsageError, match="no run is there"):
        zoo.learning_curves(tmp_path)
