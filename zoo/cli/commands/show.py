"""``zoo show``: the card, source or kernel plan of one component."""

from __future__ import annotations

import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import click

from zoo.base import Cell, Component
from zoo.base.card import SCOPES
from zoo.base.component import printed_docstring
from zoo.base.loss import Loss, row_loss_function
from zoo.base.set_options import assign, component_target
from zoo.cell_pages.cell_info import HIDDEN_SIZE, INPUT_SIZE
from zoo.cell_pages.cell_tables import declaration_tables, loss_tables, sized_tables
from zoo.cli.completion import complete_components
from zoo.cli.component_lookup import find_component, plugin_option
from zoo.cli.flags import Command, argument, option
from zoo.cli.terminal import WIDTH, bold, dim, echo, escape_controls, indent, is_terminal, make_console
from zoo.errors import DefinitionError, UnknownNameError, UsageError
from zoo.registry import find_loss, is_composite, list_losses, loss_source, registry_of, split_name
from zoo.registry.hookspecs import CLASSES_BY_KIND
from zoo.tables import TextTable, align

_SIZE = click.IntRange(min=1)


@click.command(cls=Command)
@argument("name", metavar="NAME|FILE.py:Class|RUN", shell_complete=complete_components)
@option("--source", is_flag=True, help="Print the source of the kernels, or of the module of a component.")
@option("--graph", is_flag=True, help="Explain how the kernels derived from `step` run.")
@option(
    "--set",
    "assignments",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set an option of the cell; may be repeated.",
)
@option(
    "--input", "input_size", type=_SIZE, metavar="N", help=f"Show a cell with this size I.  [{INPUT_SIZE}]"
)
@option(
    "--hidden", "hidden_size", type=_SIZE, metavar="N", help=f"Show a cell with this size H.  [{HIDDEN_SIZE}]"
)
@plugin_option
def command(
    name: str,
    source: bool,
    graph: bool,
    assignments: Sequence[str],
    input_size: int | None,
    hidden_size: int | None,
) -> None:
    """Show a component with its equations, or a run.

    NAME is a cell, block, modifier, loss, constraint, penalty, optimizer, sampler, task or tracker. If
    components of several kinds have the name, write KIND:NAME. Without KIND, NAME is the cell if a cell and
    a block share the name: mamba is the cell, and block:mamba the block. FILE.py:Class is a class, or a loss,
    in a Python file. For a cell or a block, zoo also prints the arrays with their shapes and initial values.
    For a cell, --input, --hidden and --set print the shapes as numbers.

    RUN is a run directory or a .safetensors file. zoo prints the names, shapes and numbers of parameters, the
    categories or symbols of the rows of an embedding, and of a run directory the cell, the data, the steps
    and the best validation.
    """
    is_sized = bool(input_size or hidden_size)
    _check_flags(source, graph, is_sized)
    sizes = (input_size or INPUT_SIZE, hidden_size or HIDDEN_SIZE)
    try:
        component = find_component(name)
    except UnknownNameError:
        if is_composite(name) or not (_is_path(name) or Path(name).exists()):
            raise
        if Path(name).exists() and (source or graph):
            raise UsageError(f"{name} is a run; --source and --graph are for components.") from None
        if Path(name).exists() and (is_sized or assignments):
            raise UsageError(f"{name} is a run; --set, --input and --hidden are for cells.") from None
        from zoo.cli.show_run import run_lines

        echo("\n".join(run_lines(Path(name))))
        return
    if isinstance(component, Loss):
        _show_loss(component, source, has_other_flags=bool(graph or is_sized or assignments))
    elif graph:
        _show_graph(_with_options(component, assignments), *sizes)
    elif source:
        _show_source(_with_options(component, assignments))
    elif is_sized or assignments:
        echo("\n".join(_sized_card(_with_options(component, assignments), *sizes)))
    else:
        echo("\n".join(_card(component)))


def _is_path(name: str) -> bool:
    """Whether a name can only be a path: names of components have no separators."""
    return "/" in name or os.sep in name or name.endswith(".safetensors")


def _check_flags(source: bool, graph: bool, is_sized: bool) -> None:
    if source and graph:
        raise UsageError("--source and --graph are two pages; ask for one of them.")
    if source and is_sized:
        raise UsageError("--source prints the same kernels for all sizes; leave --input and --hidden out.")


def _with_options(component: type[Component], assignments: Sequence[str]) -> Component:
    return component(**assign(assignments, [component_target(component.kind, component)])[component.kind])


def _show_loss(loss: Loss, source: bool, has_other_flags: bool) -> None:
    if has_other_flags:
        raise UsageError(
            f"{loss.name!r} is a loss; --graph, --set, --input and --hidden are for cells; leave them out."
        )
    if source:
        _print_source(_module_source(row_loss_function(loss), f"loss {loss.name!r}"))
    else:
        echo("\n".join(_loss_card(loss)))


def _show_graph(component: Component, input_size: int, hidden_size: int) -> None:
    if not isinstance(component, Cell):
        raise UsageError(
            f"{component.label()}: only the kernels of a cell are derived; --source prints its module."
        )
    if not component.is_derived():
        echo(
            f"{component.label()} has its own kernels: nothing is derived, so there is no plan. "
            f"`zoo show {component.name} --source` prints them."
        )
        return
    from zoo.cli.show_graph import graph_lines
    from zoo.compiler.explain import explain

    echo("\n".join(graph_lines(explain(component), input_size, hidden_size)))


def _show_source(component: Component) -> None:
    _print_source(
        _derived_source(component)
        if isinstance(component, Cell) and component.is_derived()
        else _module_source(type(component), component.label())
    )


def _print_source(text: str) -> None:
    if is_terminal():
        from rich.syntax import Syntax

        make_console().print(
            Syntax(escape_controls(text), "python", theme="ansi_dark", background_color="default")
        )
    else:
        echo(text, nl=False)


def _derived_source(cell: Cell) -> str:
    """The module that zoo derives from the step of a cell."""
    from zoo.compiler.compile import plan_kernels

    return plan_kernels(cell).source


def _module_source(definition: type[Component] | Callable[..., float], label: str) -> str:
    module = definition.__module__
    try:
        return inspect.getsource(sys.modules[module])
    except (OSError, TypeError, KeyError):
        raise UsageError(f"{label}: the source of its module {module} cannot be found.") from None


def _heading(component: type[Component]) -> str:
    return f"{bold(component.name)}  {dim(f'{component.kind}, {component.family}, {_origin(component)}')}"


def _loss_card(loss: Loss) -> Iterator[str]:
    function = row_loss_function(loss)
    is_registered = loss.name in list_losses() and find_loss(loss.name) == loss
    origin = f"from {loss_source(loss.name)}" if is_registered else _unregistered(function)
    yield f"{bold(loss.name)}  {dim(f'{loss.kind}, {origin}')}"
    yield from _description(function)
    yield from _declarations(loss_tables(loss))


def _description(documented: type[Component] | Callable[..., float]) -> list[str]:
    text = printed_docstring(inspect.getdoc(documented) or "")
    return ["", *indent(text.splitlines())] if text else []


def _declarations(tables: Iterable[TextTable]) -> Iterator[str]:
    for table in tables:
        yield from ("", bold(table.title), *indent(align(table.rows) if table.rows else ["none"]))


def _card(component: type[Component]) -> Iterator[str]:
    yield _heading(component)
    yield from _description(component)
    yield from _declarations(declaration_tables(component))
    if issubclass(component, Cell):
        yield from ("", bold("Traces"), *indent(_traces(component())))
        yield from ("", bold("Memory"), *indent(_wrapped(_memory(component()))))
    card = component.card
    for heading, text in {"When to use it": card.when_to_use, "History": card.history}.items():
        yield from ("", bold(heading), *indent(_wrapped(text))) if text else ()
    yield from ("", bold("Reference"), *indent(_reference(component)))


def _sized_card(component: Component, input_size: int, hidden_size: int) -> Iterator[str]:
    if not isinstance(component, Cell):
        raise UsageError(f"{component.label()}: --set, --input and --hidden are for cells; leave them out.")
    yield _heading(type(component))
    for table in sized_tables(component, input_size, hidden_size):
        yield from ("", bold(table.title), *indent(align(table.rows)))
    yield from ("", bold("Memory"), *indent(_wrapped(_memory(component, input_size, hidden_size))))


def _origin(component: type[Component]) -> str:
    with suppress(UnknownNameError):  # of a class in a file, or of a part of it
        if find_component(f"{component.kind}:{component.name}") is component:
            root = split_name(component.name).cell if is_composite(component.name) else component.name
            return f"from {registry_of(CLASSES_BY_KIND[component.kind]).source(root)}"
    return _unregistered(component)


def _unregistered(definition: type[Component] | Callable[..., float]) -> str:
    return f"from {inspect.getsourcefile(definition) or definition.__module__}, not registered"


def _traces(cell: Cell) -> list[str]:
    """The values that ``forward(x, trace=...)`` takes, or why they are unknown."""
    from zoo.cell_pages.cell_page import trace_table

    try:
        return align(trace_table(cell).rows)
    except DefinitionError as error:
        return _wrapped(f"unknown: {error}")


def _memory(cell: Cell, input_size: int = INPUT_SIZE, hidden_size: int = HIDDEN_SIZE) -> str:
    """Bytes that a cell saves for backward, or why they are unknown."""
    from zoo.layers.direction import tape_elements_per_token

    try:
        elements = tape_elements_per_token(cell, input_size, hidden_size)
    except (DefinitionError, UsageError) as error:
        return f"unknown: {error}"
    return (
        f"stores {4 * elements:,} bytes for the backward pass, per time step and sequence, at "
        f"H={hidden_size}, float32"
    )


def _reference(component: type[Component]) -> Iterator[str]:
    card = component.card
    remarks = {"Variant": card.variant, "Deviations": card.deviations, "Trainability": card.trainability}
    yield from _wrapped(card.citation())
    if card.base:
        text = remarks.pop("Variant")
        yield from _wrapped(f"{text[0].upper()}{text[1:]}")
    yield from [card.url] if card.published else []
    if issubclass(component, Cell):
        yield from _wrapped(f"Scope: {card.scope}, {SCOPES[card.scope]}.")
        if card.block:
            yield from _wrapped(
                f"Block nearest to the one of the paper: {card.block}. Train with --block {card.block}."
            )
    for heading, text in remarks.items():
        yield from _wrapped(f"{heading}: {text}") if text else ()


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(printed_docstring(text), WIDTH, break_long_words=False, break_on_hyphens=False)
