"""Learning curves as arrays, from runs and from histories of ``fit``."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.errors import UsageError
from zoo.storage import log

NUMBERS = st.floats() | st.integers(-(2**40), 2**40)
NUMPY_TYPES = st.sampled_from([np.float32, np.float64, np.int64, np.int16])
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
    if history and not any(event["event"] in ("step", "eval") for event in history):
        with pytest.raises(
            UsageError, match=f"run has {len(history)} event.*, none of training or validation;"
        ):
            zoo.learning_curves(history)
        return
    check(zoo.learning_curves(history), history)
    check(zoo.learning_curves(iter(history)), history)


@given(data=st.data())
def test_numbers_of_numpy_are_numbers(data):
    """Histories of a loop of the user hold the scalars that NumPy returns."""
    values = data.draw(st.lists(st.integers(0, 99), min_size=1, max_size=4))
    loss_type, step_type = data.draw(NUMPY_TYPES), data.draw(st.sampled_from([np.int64, np.int32, np.uint8]))
    history = [{"event": "step", "step": step_type(n), "loss": loss_type(n), "ok": np.True_} for n in values]
    curves = zoo.learning_curves(history)["step"]
    assert curves.keys() == {"step", "loss"}
    for column in curves.values():
        np.testing.assert_array_equal(column, values)


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
    "wrong",
    [None, 3, np.array(1.0), {"event": "step", "step": 1}, [1], [{"loss": 1.0}], ["step", 1], object()],
)
def test_other_values_raise(wrong):
    with pytest.raises(
        UsageError, match=r"learning_curves: run is .*; expected a zoo\.Run, a run directory, or"
    ):
        zoo.learning_curves(wrong)


def test_a_directory_without_a_run_raises(tmp_path):
    with pytest.raises(UsageError, match="no run is there"):
        zoo.learning_curves(tmp_path)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("form", [str, Path, zoo.Run])
def test_several_runs_raise(count, form, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UsageError, match=f"run is a list of {count} runs?; give one run"):
        zoo.learning_curves([form(tmp_path)] * count)


def test_a_file_raises(tmp_path):
    file = tmp_path / "train.py"
    file.write_text("")
    with pytest.raises(UsageError, match=r"^learning_curves: run is .*, a file; give a directory\.$"):
        zoo.learning_curves(file)
