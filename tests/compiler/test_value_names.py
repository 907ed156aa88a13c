"""One name for each value of a step, in traces, explanations, diagrams and kernels."""

from __future__ import annotations

import re

import pytest

import zoo
from zoo.cell_pages.diagram.boxes import DiagramNames
from zoo.compiler.compile import plan_kernels
from zoo.compiler.explain import PlanPrinter, explain
from zoo.compiler.frontend.trace_step import trace_step, traceable_values

CELLS = ["vanilla", "lstm", "gru", "nas", "mgu", "slstm", "mamba", "lmu", "peephole_lstm", "intersection_rnn"]


def plain(name: str) -> str:
    """A name without the prime of states after the step."""
    return name.rstrip("'")


@pytest.mark.parametrize("name", CELLS)
def test_author_names_agree_everywhere(name: str) -> None:
    cell = zoo.get_cell(name)
    traced = set(traceable_values(cell))
    diagram = DiagramNames(trace_step(cell))
    declared = {"x", *cell.params, *cell.buffers, *cell.inputs, *cell.states}
    in_diagram = {plain(each) for each in diagram.names.values()} - declared
    plan = plan_kernels(cell)
    printer = PlanPrinter(plan)
    graph = plan.gradient.step_graph
    in_plan = {plain(printer.give_name(node)) for node in graph.names if node in printer.named}
    # The names of gradients come after those of the forward pass.
    forward = {each for each in in_plan if not re.match(r"d[A-Za-z]", each) or each in traced} - declared
    author = {each for each in in_diagram if each in traced}
    assert set(cell.states) <= traced
    assert forward <= traced
    for each in forward & author:
        assert re.search(rf"\b{each}(_all|_step|_row)?\b", plan.source) or _is_slice(plan, each), each


def _is_slice(plan, name: str) -> bool:
    return any(node.op == "slice" for node, each in plan.gradient.step_graph.names.items() if each == name)


@pytest.mark.parametrize("name", CELLS)
def test_kernels_use_the_names_of_the_explanation(name: str) -> None:
    """Every saved value of the explanation is an array of the kernels."""
    cell = zoo.get_cell(name)
    if not cell.is_derived():
        pytest.skip("has its own kernels")
    source = plan_kernels(cell).source
    for value in explain(cell).saved:
        name, suffix = plain(value.name).removesuffix("'"), "memories" if value.interval > 1 else "all"
        assert re.search(rf"\b{name}_{suffix}\b", source), value.name


@pytest.mark.parametrize("name", CELLS)
def test_names_are_unique(name: str) -> None:
    plan = plan_kernels(zoo.get_cell(name))
    printer = PlanPrinter(plan)
    names = [printer.give_name(node) for node in printer.named]
    assert len(names) == len(set(names))


def test_lstm_has_the_same_names_in_all_texts() -> None:
    cell = zoo.get_cell("lstm")
    diagram = DiagramNames(trace_step(cell)).names.values()
    assert {"i", "f", "g", "o", "c'", "h'"} <= set(diagram)
    assert {"i", "f", "g", "o", "c", "h", "sigmoid_i", "tanh_g"} <= set(traceable_values(cell))
    assert {"c'", "h'", "sigmoid_i", "tanh_g"} <= {value.name for value in explain(cell).saved}
    source = plan_kernels(cell).source
    assert all(f"{each}_all" in source for each in ("c", "h", "sigmoid_i", "tanh_g"))
