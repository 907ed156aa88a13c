"""Declarations of a component as tables: arrays with shapes and initial values, and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from zoo.base import Cell, Component, Input, Optimizer, State, Task
from zoo.base.declarations import Array

A = TypeVar("A", bound=Array)
Rows = list[list[str]]


def declaration_tables(component: type[Component]) -> dict[str, Rows]:
    """Rows by heading; the first column is a name, the last a description."""
    tables: dict[str, Rows] = {}
    if issubclass(component, Cell):
        tables[f"Parameters: {component.parameter_formula()}"] = _array_rows(component.params, _init)
        if component.buffers:
            tables["Buffers, which are not trained"] = _array_rows(component.buffers, _init)
        tables[f"States: {component.state_formula()}"] = _array_rows(component.states)
        if component.inputs:
            tables["Auxiliary inputs"] = _array_rows(component.inputs, _default)
    elif issubclass(component, Optimizer):
        tables["Slots"] = _array_rows(component.slots)
    elif issubclass(component, Task):
        tables["Task"] = _task_rows(component())
    tables["Options"] = [
        [name, f"{option.default!r}", option.expects().removeprefix("expected "), option.help]
        for name, option in component.declared_options.items()
    ]
    return tables


def _array_rows(arrays: Mapping[str, A], initial: Callable[[A], str] | None = None) -> Rows:
    """A row for each array: name, shape, initial value if given, and description."""
    return [
        [name, _shape_and_kind(array), *([initial(array)] if initial else []), array.help]
        for name, array in arrays.items()
    ]


def _shape_and_kind(array: Array) -> str:
    words = ["complex"] if array.complex else []
    words += ["discrete"] if isinstance(array, State) and array.discrete else []
    return " ".join([f"({', '.join(size.text for size in array.shape)})", *words])


def _init(array: Array) -> str:
    name = array.init if isinstance(array.init, str) else getattr(array.init, "__name__", "its own")
    return name if name != "<lambda>" else "its own"


def _default(array: Input) -> str:
    return f"{array.default:g} by default"


def _task_rows(task: Task) -> Rows:
    """Inputs, outputs and score of a task with its default options."""
    better = "higher" if task.higher_is_better else "lower"
    rows = [
        ["inputs", f"{task.input_size}", "features at every step, or different tokens"],
        ["outputs", f"{task.output_size}", f"of an answer; the loss is {task.loss}"],
        ["score", task.metric, f"{better} is better"],
        ["without memory", f"{task.baseline():.4g}", "the best score from the current input alone"],
    ]
    if task.threshold is not None:
        rows.append(["solved at", f"{task.threshold:g}", task.threshold_source])
    return rows
