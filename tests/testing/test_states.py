"""Warnings of states that never change, are never read, or have the new value of another state."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import zoo
from zoo.testing import CELL_CHECKS, StateWarning, run_checks

(CHECK,) = [check for check in CELL_CHECKS if check.__name__ == "check_well_formed"]
(FINITE,) = [check for check in CELL_CHECKS if check.__name__ == "check_finite"]


def window(new: Any) -> zoo.Cell:
    """A cell with three values in a state, whose new value is a function of the old one and of a new row."""

    class Window(zoo.Cell):
        """A window."""

        W = zoo.Param("I", "H")
        window = zoo.State(3, "H")

        def step(self, x: Any, window: Any) -> Any:
            row = np.tanh(x @ self.W)
            return zoo.Output(row + window.sum(axis=0), new(window, row[np.newaxis]))

    return Window()


@pytest.mark.parametrize(
    ("new", "what"),
    [
        (lambda old, row: old, "state 'window' never changes"),
        (lambda old, row: old[::-1][::-1], "state 'window' never changes"),
        (lambda old, row: np.concatenate([old[:-1], row]), "some elements"),
        (lambda old, row: np.concatenate([row, old[1:]]), "some elements"),
        (
            lambda old, row: np.stack([old[1], old[0], old[2]]),
            "some elements",
        ),
        (lambda old, row: np.stack([old[1], old[2], old[0]]), ""),
        (lambda old, row: np.concatenate([old[1:], row]), ""),
        (lambda old, row: np.concatenate([row, old[:-1]]), ""),
        (lambda old, row: 1.0 * old + 0.0 * row, ""),
        (lambda old, row: np.concatenate([row, row, row]), ""),
    ],
)
def test_states_that_never_change_are_named(new: Any, what: str) -> None:
    report = run_checks(window(new), [CHECK])
    assert report.ok
    assert bool(report.warnings) == bool(what)
    expected = what.replace("some elements", "some elements of state 'window' never change: step returns")
    assert all(expected in text for text in report.warnings)


def test_all_states_that_never_change_are_named() -> None:
    class Kept(zoo.Cell):
        """Two of its states never change, one of them a matrix."""

        W = zoo.Param("I", "H")
        h, k = zoo.State("H"), zoo.State("H")
        M = zoo.State("H", "H")

        def step(self, x: Any, h: Any, k: Any, M: Any) -> Any:
            return np.tanh(x @ self.W + k + h @ M), k, M

    (text,) = run_checks(Kept(), [CHECK]).warnings
    assert "state 'k' never changes" in text
    assert "state 'M' never changes" in text
    assert "state 'h'" not in text


def memory(update: Any) -> zoo.Cell:
    """An LSTM without an output gate, whose new states are a function of its gates and old states."""

    class Memory(zoo.Cell):
        """A memory."""

        W, U = zoo.Param("I", "3H"), zoo.Param("H", "3H")
        h, c = zoo.State("H"), zoo.State("H")

        def step(self, x: Any, h: Any, c: Any) -> Any:
            i, f, g = zoo.split(x @ self.W + h @ self.U, 3)
            return update(zoo.sigmoid(i), zoo.sigmoid(f), np.tanh(g), h, c)

    return Memory()


class Swapped(zoo.Cell):
    """Returns its new states in the wrong order."""

    W, U = zoo.Param("I", "H"), zoo.Param("H", "H")
    h, c = zoo.State("H"), zoo.State("H")

    def step(self, x: Any, h: Any, c: Any) -> Any:
        c = 0.5 * c + x @ self.W + h @ self.U
        h = np.tanh(c)
        return c, h


class Delayed(zoo.Cell):
    """Returns an old state as the new value of another one, on purpose."""

    W = zoo.Param("I", "H")
    h, before = zoo.State("H"), zoo.State("H")

    def step(self, x: Any, h: Any, before: Any) -> Any:
        new = np.tanh(x @ self.W + h - before)
        return new, h


@pytest.mark.parametrize(
    ("update", "unread"),
    [
        (lambda i, f, g, h, c: (np.tanh(i * g * f), i * g * f), ["c"]),
        (lambda i, f, g, h, c: (np.tanh(f * c + i * g), i * g), []),  # read in the output
        (lambda i, f, g, h, c: (np.tanh(f * c + i * g), f * c + i * g), []),
        (lambda i, f, g, h, c: (np.tanh(i * g + f), 0.0 * c), []),
    ],
)
def test_states_that_are_never_read_are_named(update: Any, unread: list[str]) -> None:
    report = run_checks(memory(update), [CHECK])
    assert report.ok
    texts = [text for text in report.warnings if "never reads the old value of state" in text]
    assert [text.split("'")[3] for text in texts] == unread


class Copied(zoo.Cell):
    """Returns one value for two states, on purpose."""

    W = zoo.Param("I", "H")
    h, copy = zoo.State("H"), zoo.State("H")

    def step(self, x: Any, h: Any, copy: Any) -> Any:
        h = np.tanh(x @ self.W + 0.5 * h - 0.1 * copy)
        return h, h


def test_new_states_in_the_wrong_order_are_named() -> None:
    (text,) = run_checks(Swapped(), [CHECK]).warnings
    assert text.endswith(
        "step returns a value named 'c' for state 'h' and a value named 'h' for state 'c'. Return new states "
        "in the order of their declarations, h, c."
    )
    for cell in (Delayed(), Copied()):
        assert not run_checks(cell, [CHECK]).warnings


def test_the_warning_has_its_own_class() -> None:
    with pytest.warns(StateWarning, match="window\\[1:\\] in place of window\\[:-1\\]"):
        CHECK(window(lambda old, row: np.concatenate([old[:-1], row])))


def test_cells_of_zoo_change_all_their_states() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error", StateWarning)
        for name in zoo.list_cells():
            CHECK(zoo.get_cell(name))


@pytest.mark.parametrize(
    ("root", "is_finite"),
    [
        (lambda v: np.sqrt(v + 1e-6), False),
        (lambda v: np.log(v + 1e-6), False),
        (lambda v: (v + 1e-6) ** 0.5, False),
        (lambda v: np.sqrt(np.maximum(v, 0) + 1e-6), True),
        (lambda v: np.log(np.abs(v) + 1e-6), True),
    ],
)
def test_root_of_a_state_that_may_be_negative(root: Any, is_finite: bool) -> None:
    class Scaled(zoo.Cell):
        """An input that is divided by its running deviation."""

        W = zoo.Param("I", "H", init="glorot_uniform")
        h, v = zoo.State("H"), zoo.State("H")

        def step(self, x: Any, h: Any, v: Any) -> Any:
            a = x @ self.W
            v = 0.9 * v + 0.1 * a**2
            return np.tanh(0.5 * h + a * root(v)), v

    with zoo.kernels.pure_python():
        report = run_checks(Scaled(), [FINITE], on_fail="collect")
    assert report.ok == is_finite
    assert all("for inputs of magnitude 1: found nan" in each.message for each in report.failures)
    assert all("np.sqrt(np.maximum(a, 0) + 1e-6)" in each.message for each in report.failures)
