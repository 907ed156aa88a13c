"""Emission of one layer as a C function with its constants."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.compiler.codegen.writer import identifiers_in
from zoo.compiler.ir.graph import view_of
from zoo.compiler.ir.structural_ops import SLICE
from zoo.compiler.schedule.phases import MatmulItem
from zoo.export.c.literals import CWriter, c_type, fill_lines
from zoo.export.c.loops import write_loop, write_matmul
from zoo.export.c.step_emitter import CStepEmitter
from zoo.export.exported_model import Array, DirectionExport


@dataclass(frozen=True)
class CLayer:
    """A layer in C.

    Args:
        name: Name of the function.
        constants: Constant arrays by name.
        lines: The function.
        inputs: The auxiliary inputs that it reads, in order.
        scratch: Number of elements of its local arrays.
        output: Expression for its output, if that is a state; empty if it is written to an array.
        helpers: Names of the helpers that it calls.
    """

    name: str
    constants: dict[str, Array]
    lines: list[str]
    inputs: tuple[str, ...]
    scratch: int
    output: str
    helpers: set[str]


def state_field(direction: DirectionExport, state: str) -> str:
    """The field of a state in the struct of all states."""
    return f"{direction.name}_{state}"


def write_layer(direction: DirectionExport, prefix: str, is_tokens: bool) -> CLayer:
    """Write a layer.

    Args:
        direction: The layer direction.
        prefix: Prefix of public names.
        is_tokens: Whether its input is a token.
    """
    spec, step = direction.spec, CStepEmitter(direction, is_tokens)
    body = _body(step)
    sizes = step.scratch()
    if is_tokens and "x" in identifiers_in(body):
        sizes["x"] = spec.input_size
        body = [f"    {step.call('clear')}(x, {sizes['x']});", "    x[token] = 1;", *body]
    name = f"layer_{spec.index}"
    lines = [
        f"/* one step of {spec.cell.name}, {spec.input_size} in, {spec.output_size} out */",
        f"static void {name}({', '.join(_parameters(step, prefix))})",
        "{",
        *_declarations(step, sizes, body),
        *body,
        "}",
    ]
    output = f"state->{state_field(direction, step.y_is_state)}" if step.y_is_state else ""
    return CLayer(name, step.constants, lines, tuple(step.inputs), sum(sizes.values()), output, step.helpers)


def _body(step: CStepEmitter) -> list[str]:
    """The body of the function: the schedule, then the copy of the new states."""
    writer = CWriter()
    for item in step.schedule.sections["step"].items:
        if isinstance(item, MatmulItem):
            write_matmul(item.node, step, writer)
            continue
        for loop in item.loops:
            write_loop(loop, step, writer)
    for name, node in step.step_graph.new_states.items():
        new = step.array_of(node)
        writer.line(f"{step.call('copy')}({new.name}, {step.states[name]}, {new.width});")
    return writer.lines


def _parameters(step: CStepEmitter, prefix: str) -> Iterator[str]:
    kind = c_type(step.dtype)
    yield f"{prefix}_state *state"
    yield "int token" if step.is_tokens else f"const {kind} *x"
    yield from (f"const {kind} *{name}" for name in step.inputs.values())
    if not step.y_is_state:
        yield f"{kind} *y"


def _declarations(step: CStepEmitter, sizes: dict[str, int], body: list[str]) -> Iterator[str]:
    """States, local arrays, and casts of the arguments that are not read."""
    kind, words = c_type(step.dtype), identifiers_in(body)
    for name, called in step.states.items():
        yield f"    {kind} *const {called} = state->{state_field(step.direction, name)};"
    if sizes:
        first, *more = fill_lines((f"{name}[{size}]" for name, size in sizes.items()), ", ", 90)
        lines = [f"    {kind} {first.lstrip()}", *(f"    {line}" for line in more)]
        lines[-1] += ";"
        yield from lines
    for array, parts in _named_slices(step).items():
        if array in sizes:
            yield f"    /* {array}: {', '.join(f'{name} from {start}' for start, name in sorted(parts))} */"
    for name in ("token" if step.is_tokens else "x", *step.inputs.values()):
        if name not in words:
            yield f"    (void){name};"
    yield ""


def _named_slices(step: CStepEmitter) -> dict[str, list[tuple[int, str]]]:
    """The slices of each array that the author named: first index and name."""
    slices: dict[str, list[tuple[int, str]]] = {}
    for node, name in step.step_graph.names.items():
        view = view_of(node) if node.op == SLICE else None
        if view is not None and view.is_window and step.has_array(view.base):
            start = int(view.offset.evaluate({}))
            slices.setdefault(step.array_of(view.base).name, []).append((start, name))
    return slices
