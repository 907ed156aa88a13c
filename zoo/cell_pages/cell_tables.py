"""What a member declares, as tables: arrays with their shapes and first values, and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from zoo.base import Cell, Component, Input, Optimizer, State, Task
from zoo.base.declarations import Array

A = TypeVar("A", bound=Array)
Rows = list[list[str]]


def declaration_tables(member: type[Component]) -> dict[str, Rows]:
    """Rows by heading: a name first, what it is in words last."""
    found: dict[str, Rows] = {}
    if issubclass(member, Cell):
        found[f"Parameters: {member.parameter_formula()}"] = _array_rows(member.params, _init)
        if member.buffers:
            found["Buffers, which are not trained"] = _array_rows(member.buffers, _init)
        found[f"States: {member.state_formula()}"] = _array_rows(member.states)
        if member.inputs:
            found["Inputs beside x"] = _array_rows(member.inputs, _default)
    elif issubclass(member, Optimizer):
        found["Slots beside the parameters"] = _array_rows(member.slots)
    elif issubclass(member, Task):
        found["Task"] = _task_rows(member())
    found["Options"] = [
        [name, f"{option.default!r}", option.expects().removeprefix("expected "), option.help]
        for name, option in member.declared_options.items()
    ]
    return found


def _array_rows(arrays: Mapping[str, A], start: Callable[[A], str] | None = None) -> Rows:
    """A row for each array: name, shape, how it starts if that is told, and what it is."""
    return [
        [name, _shape_and_kind(array), *([start(array)] if start else []), array.help]
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
    return f"{array.default:g} if not given"


def _task_rows(task: Task) -> Rows:
    """What goes in and out, and what is counted, with the options that nobody chose."""
    better = "higher" if task.higher_is_better else "lower"
    rows = [
        ["inputs", f"{task.input_size}", "numbers at every step, or different tokens"],
        ["outputs", f"{task.output_size}", f"of an answer; the loss is {task.loss}"],
        ["score", task.metric, f"{better} is better"],
        ["without memory", f"{task.baseline():.4g}", "the best score from the input of the step alone"],
    ]
    if task.threshold is not None:
        rows.append(["solved at", f"{task.threshold:g}", task.threshold_source])
    return rows
