"""One layer as a function in C: its constants, and its step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.compiler.codegen.writer import identifiers_in
from zoo.compiler.ir.views import view_of
from zoo.compiler.schedule.phases import MatmulItem
from zoo.export.c.literals import CWriter, c_type, fill_lines
from zoo.export.c.loops import write_loop, write_matmul
from zoo.export.c.step_emitter import CStepEmitter
from zoo.export.exported_model import Array, DirectionExport


@dataclass(frozen=True)
class CLayer:
    """A layer in C.

    Args:
        name: Of the function.
        constants: Numbers that never change, by name.
        lines: The function.
        inputs: The inputs beside x that it takes, in order.
        scratch: How many numbers it makes room for.
        output: Where its output lies afterwards, if it is a state; empty if it is written to an array.
        helpers: Names of helpers that it calls.
    """

    name: str
    constants: dict[str, Array]
    lines: list[str]
    inputs: tuple[str, ...]
    scratch: int
    output: str
    helpers: set[str]


def state_field(part: DirectionExport, state: str) -> str:
    """What a state is called in the struct of all."""
    return f"{part.name}_{state}"


def write_layer(part: DirectionExport, prefix: str, is_tokens: bool) -> CLayer:
    """Write a layer.

    Args:
        part: The layer.
        prefix: What names that others see begin with.
        is_tokens: Whether its input is a token.
    """
    step = CStepEmitter(part, is_tokens)
    body = _body(step)
    sizes = step.scratch()
    if is_tokens and "x" in identifiers_in(body):
        sizes["x"] = part.layer.input_size
        body = [f"    {step.call('clear')}(x, {sizes['x']});", "    x[token] = 1;", *body]
    name = f"layer_{part.layer.index}"
    lines = [
        f"/* one step of {part.layer.cell.name}, {part.layer.input_size} in, {part.layer.output_size} out */",
        f"static void {name}({', '.join(_parameters(step, prefix))})",
        "{",
        *_declarations(step, sizes, body),
        *body,
        "}",
    ]
    output = f"state->{state_field(part, step.y_is_state)}" if step.y_is_state else ""
    room = sum(sizes.values())
    return CLayer(name, step.constants, lines, tuple(step.inputs), room, output, step.helpers)


def _body(step: CStepEmitter) -> list[str]:
    """What the function does: the plan, then the new states become those before the next step."""
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
    """States under their names, arrays, and a word on what is given and not read."""
    kind, words = c_type(step.dtype), identifiers_in(body)
    for name, called in step.states.items():
        yield f"    {kind} *const {called} = state->{state_field(step.part, name)};"
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
    """Where in an array the parts begin that the author of the cell gave names."""
    found: dict[str, list[tuple[int, str]]] = {}
    for node, name in step.step_graph.names.items():
        view = view_of(node) if node.op == "slice" else None
        if view is not None and view.is_window and step.has_array(view.base):
            start = int(view.offset.evaluate({}))
            found.setdefault(step.array_of(view.base).name, []).append((start, name))
    return found
