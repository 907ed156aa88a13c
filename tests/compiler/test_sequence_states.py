"""States that kernels compute for all steps, where one depends on another."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable

import numpy as np
import pytest
import step_asserts as checks

import zoo
from zoo.compiler.frontend.trace_step import trace_step
from zoo.compiler.ir.graph import Level
from zoo.compiler.passes.autodiff import differentiate
from zoo.compiler.passes.sequence_states import find_sequence_states

no_files = checks.no_files

STATES = {
    "past": zoo.State("2", "2H"),
    "first": zoo.State("H", "H"),
    "second": zoo.State("H", "2H"),
    "last": zoo.State("2H"),
    "h": zoo.State("H"),
}


def stack(order: tuple[str, ...]) -> zoo.Cell:
    """Two memories, a convolution of their result, a delay of it, and a recurrence; states in some order."""

    def step(self, x, *states):
        old = dict(zip(order, states, strict=True))
        key, query = zoo.split(x @ self.W, 2)
        new = {"first": 0.5 * old["first"] + zoo.outer(key, np.tanh(key))}
        value = query @ new["first"]
        decay = zoo.sigmoid(value)[:, None]
        new["second"] = decay * old["second"] + zoo.outer(key, np.concatenate([key, value]))
        value, new["past"] = zoo.short_convolution(query @ new["second"], old["past"], self.taps)
        new["last"] = value
        new["h"] = np.tanh(np.tanh(old["last"]) @ self.U + 0.5 * old["h"])
        return zoo.Output(new["h"], *(new[name] for name in order))

    names = [
        inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in ("self", "x", *order)
    ]
    step.__signature__ = inspect.Signature(names)
    params = {
        "W": zoo.Param("I", "2H", init="glorot_uniform"),
        "U": zoo.Param("2H", "H", init="glorot_uniform"),
        "taps": zoo.Param("3", "2H", init="ones"),
    }
    members = {**params, **{name: STATES[name] for name in order}, "step": step}
    return type("Stack", (zoo.Cell,), {"__doc__": "A stack.", **members})()


@pytest.mark.parametrize("order", [*itertools.permutations(STATES)][::17])
def test_order_of_declaration_has_no_influence(order: tuple[str, ...]) -> None:
    step_graph = differentiate(find_sequence_states(trace_step(stack(order)))).step_graph
    assert step_graph.memories.keys() == {"past", "first", "second"}
    assert {node.level for node in step_graph.memories.values()} == {Level.SEQUENCE}


@pytest.mark.parametrize("order", [tuple(STATES), tuple(reversed(STATES))])
def test_both_passes_equal_the_step_and_its_differences(order, monkeypatch: pytest.MonkeyPatch) -> None:
    checks.set_chunk(monkeypatch, 2)
    checks.check(checks.trial(stack(order), (3, 3), 5, 2))


def read_memory(cell, x, state):
    value = x @ cell.W
    state = 0.9 * state + zoo.outer(value @ cell.A, np.tanh(value))
    return value @ state, state


def read_scan(cell, x, state):
    state = np.exp(-zoo.exp(cell.A) * zoo.softplus(x @ cell.W)[:, None]) * state + zoo.outer(
        x @ cell.W, x @ cell.W
    )
    return state @ (x @ cell.W), state


def read_filter(cell, x, state):
    state = zoo.sigmoid(cell.A) * state + cell.A * (x @ cell.W)[:, None]
    return (cell.A * state).sum(axis=1), state


def read_convolution(cell, x, state):
    return zoo.short_convolution(x @ cell.W, state, cell.A)


@pytest.mark.parametrize("read", [read_memory, read_scan, read_filter, read_convolution])
def test_final_state_has_a_gradient_if_its_reads_have_none(
    read: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = "2" if read is read_convolution else "H"

    class Cut(zoo.Cell):
        """A state whose reads have no gradient."""

        W = zoo.Param("I", "H", init="glorot_uniform")
        A = zoo.Param("3" if read is read_convolution else "H", "H", init="glorot_uniform")
        C = zoo.State(rows, "H")

        def step(self, x, C):
            value, C = read(self, x, C)
            return zoo.Output(zoo.stop_gradient(value), C)

    assert find_sequence_states(trace_step(Cut())).memories.keys() == {"C"}
    checks.set_chunk(monkeypatch, 2)
    case = checks.trial(Cut(), (3, 3), 5, 2)
    case.dy[...] = 0
    checks.check(case)
