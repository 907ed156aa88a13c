"""Declarations of a component as tables: arrays with shapes and initial values, and options."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from zoo.base import Block, Cell, Component, Input, Optimizer, State, Task
from zoo.base.component import first_paragraph
from zoo.base.declarations import ArrayDeclaration, Option
from zoo.base.initializers import INITIALIZERS
from zoo.base.loss import Loss
from zoo.base.task import reads_tokens
from zoo.cell_pages.cell_info import option_prefix
from zoo.tables import TextTable

A = TypeVar("A", bound=ArrayDeclaration)
Shapes = Mapping[str, tuple[int, ...]]


def declaration_tables(component: type[Component], in_words: bool = False) -> list[TextTable]:
    """Tables of the declarations; the first column is a name, the last a description.

    Args:
        component: The component.
        in_words: Whether to describe initial values, rather than to give the names of initializers.
    """
    tables = []

    initial = initial_value if in_words else _initializer_name
    if issubclass(component, Cell):
        tables.append(_array_table(f"Parameters: {component.parameter_formula()}", component.params, initial))
        if component.buffers:
            tables.append(_array_table("Buffers, which are not trained", component.buffers, initial))
        tables.append(_array_table(f"States: {component.state_formula()}", component.states))
        if component.inputs:
            tables.append(_array_table("Auxiliary inputs", component.inputs, _default))
    elif issubclass(component, Optimizer):
        tables.append(_array_table("Slots", component.slots))
    elif issubclass(component, Task):
        tables.append(TextTable("Task", ("name", "value", "description"), tuple(_task_rows(component()))))
    elif issubclass(component, Block):
        tables += [
            _array_table(
                "Parameters, of which a layer has those that it uses",
                {} if component.is_bare() else component.params,
                initial,
            ),
            *([_array_table("States", component.states)] if component.states else []),
        ]
    prefix = option_prefix(component)
    options = {prefix + name: option for name, option in component.declared_options.items()}
    return [*tables, _options_table(options)]


def loss_tables(loss: Loss) -> list[TextTable]:
    """Tables of a loss, as `declaration_tables`."""
    weights = ("class_weights", "None", "a number above zero for each class", "weights of the classes")
    options = _options_table(loss.options, [weights] if loss.target == "class" else [])
    rows = (
        ("targets", loss.target_text, "kind of the targets"),
        ("score", loss.metric, "metric of a task with this loss"),
    )
    return [TextTable("Loss", ("name", "value", "description"), rows), options]


def _options_table(
    options: Mapping[str, Option[Any]], others: Sequence[tuple[str, str, str, str]] = ()
) -> TextTable:
    rows = [(name, f"{each.default!r}", _allowed(each), _option_help(each)) for name, each in options.items()]
    return TextTable("Options", ("name", "default", "allowed", "description"), (*rows, *others))


def sized_tables(cell: Cell, input_size: int, hidden_size: int) -> list[TextTable]:
    """Tables of the arrays of a cell with its options, with numbers for I and H.

    Args:
        cell: The cell.
        input_size: ``I``.
        hidden_size: ``H``.

    Raises:
        UsageError: if a size of an array does not come out as a positive integer.
    """
    sizes = (input_size, hidden_size)
    at = f"at I={input_size:,}, H={hidden_size:,}"
    buffers, inputs = cell.buffer_shapes(*sizes), cell.input_shapes(*sizes)
    tables = [
        _array_table(
            f"Parameters {at}: {cell.parameter_count(*sizes):,}",
            cell.params,
            _initializer_name,
            cell.param_shapes(*sizes),
        ),
        _array_table("Buffers, which are not trained", cell.buffers, _initializer_name, buffers),
        _array_table(f"States: {cell.state_size(*sizes):,}", cell.states, shapes=cell.state_shapes(*sizes)),
        _array_table("Auxiliary inputs", cell.inputs, _default, inputs),
    ]
    options = tuple(
        (name, f"{value!r}", _option_help(cell.declared_options[name]))
        for name, value in cell.options.items()
    )
    return [
        *(table for table in tables if table.rows),
        TextTable("Options", ("name", "value", "description"), options),
    ]


def _option_help(option: Option[Any]) -> str:
    return option.help + ("" if option.customary is None else f"; {option.customary!r} in comparisons")


def _allowed(option: Option[Any]) -> str:
    return option.expects().removeprefix("expected ")


def _array_table(
    title: str,
    arrays: Mapping[str, A],
    initial: Callable[[A], str] | None = None,
    shapes: Shapes | None = None,
) -> TextTable:
    headings = ("name", "shape", *(["initial value"] if initial else []), "description")
    rows = tuple(
        (
            name,
            _shape_and_kind(array, shapes[name] if shapes else None),
            *([initial(array)] if initial else []),
            array.description,
        )
        for name, array in arrays.items()
    )
    return TextTable(title, headings, rows)


def _shape_and_kind(array: ArrayDeclaration, shape: tuple[int, ...] | None) -> str:
    words = ["complex"] if array.complex else []
    words += ["discrete"] if isinstance(array, State) and array.discrete else []
    # A complex array is stored with a leading axis of two.
    numbers = None if shape is None else map(str, shape[array.complex :])
    return " ".join([f"({', '.join(numbers or (size.text for size in array.shape))})", *words])


def _initializer_name(array: ArrayDeclaration) -> str:
    if not callable(array.init):
        return str(array.init)
    name: str = getattr(array.init, "__name__", "its own")
    return name if name != "<lambda>" else "its own"


def initial_value(array: ArrayDeclaration) -> str:
    """The distribution of an array's initial values, from the docstring of its initializer."""
    if isinstance(array.init, str):
        return f"``{array.init}``: {_first_sentence(INITIALIZERS[array.init])}"
    init = array.init
    if not callable(init):
        return f"``{init}``"
    if init.__doc__:
        return _first_sentence(init)
    # A function that an outer one returned: its docstring, and the values it was made with.
    outer = vars(sys.modules[init.__module__]).get(init.__qualname__.partition(".")[0])
    if not inspect.isfunction(outer) or not outer.__doc__:
        return "set by the cell"
    values = inspect.getclosurevars(init).nonlocals.items()
    given = ", ".join(f"{name} = {value}" for name, value in sorted(values) if isinstance(value, int | float))
    return f"{_first_sentence(outer)}{f' ({given})' if given else ''}"


_FIRST_WORD = re.compile(r"^(?!Glorot|Gaussian)(A|[A-Z][a-z]+)\b")
"""The first word of a sentence, unless it is a name or a symbol such as H."""


def _first_sentence(documented: object) -> str:
    """The first sentence of a docstring, in lower case and without its full stop, as the cells of a table."""
    sentence = re.split(r"(?<!\bal)\.(?=\s|$)", first_paragraph(documented))[0]
    return _FIRST_WORD.sub(lambda word: word[0].lower(), sentence)


def _default(array: Input) -> str:
    return f"{array.default:g} by default" if array.has_default else "0 if left out"


def _task_rows(task: Task) -> list[tuple[str, ...]]:
    """Inputs, outputs and score of a task with its default options."""
    better = "higher" if task.higher_is_better else "lower"
    rows: list[tuple[str, ...]] = [
        (
            "inputs",
            f"{task.input_size}",
            "different tokens" if reads_tokens(task) else "features at every step",
        ),
        ("outputs", f"{task.output_size}", f"of an answer; the loss is {task.loss}"),
        ("score", task.metric, f"{better} is better"),
        ("without memory", f"{task.baseline():.4g}", "the best score from the current input alone"),
    ]
    if task.threshold is not None:
        rows.append(("solved at", f"{task.threshold:g}", task.threshold_source))
    elif task.no_threshold:
        rows.append(("solved at", "none", task.no_threshold))
    return rows
