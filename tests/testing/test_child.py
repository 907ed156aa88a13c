"""Checks in a child process survive what kernels do to it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import zoo
from zoo.errors import UsageError
from zoo.testing import check_in_child
from zoo.testing.suites import CELLS

CELL = '''
import ctypes, os, sys, time
import numpy as np
import zoo

{top}

def forward(params, x, state):
    {body}

def backward(params, x, state, tape, dy, dlast):
    return dy, dlast, params

class Faulty(zoo.Cell):
    """Does harm."""

    card = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")
    W = zoo.Param("I", "H", help="weights")
    h = zoo.State("H", help="output")
    forward = {kernel}
    backward = backward
'''


@pytest.fixture
def faulty(tmp_path):
    """Writes a cell whose forward kernel does something, and checks it in a child."""

    def check(body="pass", top="", kernel="forward", timeout=120.0):
        file = tmp_path / "faulty.py"
        file.write_text(CELL.format(body=body, top=top, kernel=kernel))
        return check_in_child(f"{file}:Faulty", timeout=timeout)

    return check


def failure(report):
    """The one broken law; all after it were not tried."""
    (outcome,) = report.failures
    after = report.outcomes[report.outcomes.index(outcome) + 1 :]
    assert {other.status for other in after} <= {"skipped"}
    return outcome


def test_segmentation_fault_fails_current_law(faulty):
    report = faulty("ctypes.string_at(0)")
    outcome = failure(report)
    assert outcome.check == "check_shapes"
    assert [other.status for other in report.outcomes[:3]] == ["passed"] * 3
    assert report.component == "cell 'faulty'"
    assert outcome.message.startswith("cell 'faulty': found the process ")
    assert "expected an answer" in outcome.message
    assert report.outcomes[-1].message == "not tried, since the process ended during check_shapes"
    if sys.platform != "win32":
        assert "signal 11 (Segmentation fault)" in outcome.message
        assert "faulty.py" in outcome.message  # the traceback of the crash


def test_law_at_timeout_is_not_checked(faulty):
    report = faulty("time.sleep(600)", timeout=5.0)
    (outcome,) = [outcome for outcome in report.outcomes if outcome.status == "not checked"]
    assert (report.ok, report.failures, outcome.check) == (False, (), "check_shapes")
    assert "found the process still busy after 5 s, and ended it." in outcome.message
    assert "larger --timeout" in outcome.message
    assert "1 not checked" in report.summary()
    assert "\n  not checked" in str(report)


def test_silent_exit_is_failure(faulty):
    outcome = failure(faulty("os._exit(0)"))
    assert outcome.check == "check_shapes"
    assert "found the process ended with exit code 0" in outcome.message


def test_abort_during_loading_is_reported(faulty):
    report = faulty(top="os.abort()")
    outcome = failure(report)
    assert outcome.check == "loading"
    assert outcome.law == "The file or plugin can be loaded."
    assert "Faulty" in report.component
    assert "Fatal Python error: Aborted" in outcome.message


def test_index_out_of_bounds_is_detected(faulty):
    body = "return np.empty((x.shape[0], x.shape[1], params[0].shape[1])) + params[0][9, 0], state, params"
    report = faulty(body, kernel="zoo.njit(forward)")
    shapes = next(outcome for outcome in report.outcomes if outcome.check == "check_shapes")
    assert shapes.status == "failed"
    assert "IndexError: index is out of bounds (faulty.py:" in shapes.message
    assert f", in forward: {body})" in shapes.message, "the line of the kernel"
    others = [each.message for each in report.failures if each.check != "check_shapes"]
    assert others.count("as in check_shapes") > 10, "the error is described once"
    assert sum("index is out of bounds" in each for each in others) == 0


def test_output_of_kernels_is_ignored(faulty):
    report = faulty('print("{"); os.write(1, b"noise\\n"); os._exit(3)')
    assert failure(report).check == "check_shapes"
    assert "exit code 3" in failure(report).message
    assert "noise" in failure(report).message


def test_other_kinds_of_members_can_be_checked():
    report = check_in_child("sampler:greedy", timeout=300)
    assert report.component == "sampler 'greedy'"
    assert report.ok, str(report)
    assert len(report.outcomes) > 5


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("no_such_cell", "unknown cell 'no_such_cell'"),
        ("optimizer:admm", "unknown optimizer 'admm'"),
        ("missing.py:Cell", "missing.py: no such file or directory"),
    ],
)
def test_unknown_component_raises(spec, message):
    with pytest.raises(UsageError, match=message):
        check_in_child(spec, timeout=120)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ((), {"heads": 1}),
        (("heads=4",), {"heads": 4}),
        (("gla.heads = 4",), {"heads": 4}),
        (("cell.heads=2",), {"heads": 2}),
    ],
)
def test_options_are_set(texts, expected):
    cell = CELLS.with_options(zoo.get_cell("gla"), texts)
    assert {name: cell.options[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("heads", "--set 'heads' is not an assignment; write NAME=VALUE"),
        ("=4", "is not an assignment"),
        ("head=4", "unknown option 'head': cell 'gla' has .*Did you mean 'heads'"),
        ("retnet.heads=4", "unknown prefix 'retnet'; expected cell"),
        ("heads=four", "option 'heads'"),
        ("heads=0", "option 'heads' is 0; expected an integer at least 1"),
    ],
)
def test_invalid_options_raise(text, message):
    with pytest.raises(UsageError, match=message):
        CELLS.with_options(zoo.get_cell("gla"), [text])


def test_option_set_twice_raises():
    with pytest.raises(UsageError, match="is set twice"):
        CELLS.with_options(zoo.get_cell("gla"), ["cell.heads=2", "heads=3"])


def test_component_is_checked_with_its_options():
    report = check_in_child("sampler:top_k", timeout=300, options=["k=3"])
    assert report.component == "sampler 'top_k' with k=3"
    assert report.ok, str(report)
    with pytest.raises(UsageError, match="unknown option 'n'"):
        check_in_child("sampler:top_k", timeout=300, options=["n=3"])


def test_plugin_file_is_loaded_first(tmp_path):
    file = tmp_path / "plugin.py"
    hook = "@zoo.hookimpl\ndef zoo_register_cells(register):\n    register(Faulty)\n"
    file.write_text(CELL.format(body="os._exit(4)", top="", kernel="forward") + "\n" + hook)
    report = check_in_child("faulty", timeout=120, plugin=str(file))
    assert report.component == "cell 'faulty'"
    assert "exit code 4" in failure(report).message
    with pytest.raises(UsageError, match="no such file or directory"):
        check_in_child("faulty", timeout=120, plugin=str(Path("nowhere.py")))
