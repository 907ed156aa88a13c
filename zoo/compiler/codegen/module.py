"""Emission of both passes of a cell as readable Numba kernels."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.compiler.codegen.matmuls import pack_lines
from zoo.compiler.codegen.pass_emitter import PassEmitter
from zoo.compiler.codegen.prologue import constant_arrays, definitions
from zoo.compiler.codegen.writer import Writer, identifiers_in
from zoo.compiler.frontend.value_names import ValueNames
from zoo.compiler.ir.graph import Node
from zoo.compiler.passes.autodiff import StepGradient
from zoo.compiler.schedule.fusion import Storage
from zoo.compiler.schedule.sections import PassSchedule


@dataclass(frozen=True)
class TapeArray:
    """One array of the tape: the values it holds, and the states whose trajectory it is."""

    name: str
    nodes: tuple[Node, ...]
    states: tuple[str, ...]


def unpack(names: list[str], source: str) -> str:
    """The line that unpacks a tuple; empty without names."""
    return f"{', '.join(names)}{',' * (len(names) == 1)} = {source}" if names else ""


def as_tuple(parts: list[str]) -> str:
    """A tuple as code."""
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"


def unpack_arguments(emitter: PassEmitter) -> list[str]:
    """The lines that unpack parameters, states and auxiliary inputs."""
    writer, step_graph, names = Writer(), emitter.step_graph, emitter.leaf_names
    writer.line(unpack([names["{}", name] for name in (*step_graph.params, *step_graph.buffers)], "params"))
    writer.line(unpack([names["{}_0", name] for name in step_graph.states], "state"))
    if step_graph.inputs:
        writer.line(unpack([names["{}", name] for name in step_graph.inputs], "inputs"))
    return writer.lines


def _bind_leaves(emitter: PassEmitter) -> None:
    step_graph, names = emitter.step_graph, emitter.leaf_names
    for name, node in {**step_graph.params, **step_graph.buffers}.items():
        emitter.bind(node, names["{}", name], Storage.SHARED)
    for name, node in step_graph.states.items():
        emitter.bind(node, names["{}_before", name], Storage.BATCH)
    for name, node in step_graph.inputs.items():
        emitter.bind(node, names["{}_all", name], Storage.STEPS)
    emitter.bind(step_graph.x, names["{}_all", "x"], Storage.STEPS)


def _flatten_rows(emitter: PassEmitter, body: list[str]) -> list[str]:
    """States and auxiliary inputs with one axis per row; x in dense form where tokens are not enough."""
    writer, step_graph, names = Writer(), emitter.step_graph, emitter.leaf_names
    words = identifiers_in(body)
    for name, node in step_graph.states.items():
        if node.ndim != 1:
            initial = names["{}_0", name]
            writer.line(f"{initial} = {initial}.reshape(batch, {emitter.arrays[node].width})")
    for name, node in step_graph.inputs.items():
        rows = names["{}_all", name]
        if rows in words:
            width = emitter.arrays[node].width
            writer.line(f"{rows} = {names['{}', name]}.reshape(steps, batch, {width})")
    if names["{}_all", "x"] in words:
        writer.line(f"{names['{}_all', 'x']} = kernels.to_dense(x, I, {emitter.like})")
    return writer.lines


def _declared_shape(node: Node, name: str) -> str:
    """A state in its declared shape."""
    return name if node.ndim == 1 else f"{name}.reshape(batch, {', '.join(map(str, node.shape))})"


def forward_source(
    step_gradient: StepGradient, schedule: PassSchedule, value_names: ValueNames
) -> tuple[list[str], list[TapeArray]]:
    """The forward pass, and the arrays of its tape."""
    step_graph = step_gradient.step_graph
    emitter = PassEmitter("forward", step_graph, schedule, value_names)
    names = emitter.leaf_names
    _bind_leaves(emitter)
    tape = _tape(step_gradient, emitter)
    once, sequence, step = emitter.section("once"), emitter.section("sequence"), emitter.section("step", 2)
    panels = pack_lines(emitter, [*sequence, *step])
    start, end, last = Writer(), Writer(depth=2), []
    for name, node in step_graph.states.items():
        before = names["{}_before", name]
        start.line(f"{before} = {names['{}_0', name]}")
        end.line(f"{before} = {emitter.array_of(step_graph.new_states[name]).name}[time]")
        last.append(_declared_shape(node, f"{before}.copy()"))
    final = Writer()
    y = emitter.array_of(step_graph.y).name
    final.line(f"return {y}, {as_tuple(last)}, {as_tuple([array.name for array in tape])}")
    step_lines = [f"        {line}" for line in emitter.step_lines]
    loop = ["    for time in range(steps):", *step_lines, *step, *end.lines]
    constants = constant_arrays(emitter)
    body = [*constants, *once, *panels, *sequence, *start.lines, *loop, *final.lines]
    return _assemble(emitter, "forward(params, x, state{})", [], body), tape


def _assemble(emitter: PassEmitter, signature: str, unpacking: list[str], body: list[str]) -> list[str]:
    """The lines of a whole kernel."""
    flattened = _flatten_rows(emitter, body)
    prologue = definitions(emitter, [*flattened, *body])
    inputs = ", inputs" if emitter.step_graph.inputs else ""
    head = [*loop_functions(emitter), "@zoo.njit", f"def {signature.format(inputs)}:"]
    return [*head, *unpack_arguments(emitter), *unpacking, *prologue, *flattened, *body]


def loop_functions(emitter: PassEmitter) -> list[str]:
    """The outlined loops, each followed by two empty lines."""
    return [line for lines in emitter.loops for line in (*lines, "", "")]


def _tape(step_gradient: StepGradient, emitter: PassEmitter) -> list[TapeArray]:
    """The arrays of the tape, each once."""
    contents: dict[str, tuple[list[Node], list[str]]] = {}
    for node in step_gradient.saved:
        contents.setdefault(emitter.array_of(node).name, ([], []))[0].append(node)
    for name in step_gradient.trajectories:
        array = emitter.array_of(step_gradient.step_graph.new_states[name])
        contents.setdefault(array.name, ([], []))[1].append(name)
    if not contents:
        contents[emitter.array_of(step_gradient.step_graph.y).name] = ([step_gradient.step_graph.y], [])
    return [TapeArray(name, tuple(nodes), tuple(states)) for name, (nodes, states) in contents.items()]


def backward_source(
    step_gradient: StepGradient, schedule: PassSchedule, value_names: ValueNames, tape: list[TapeArray]
) -> list[str]:
    """The backward pass."""
    step_graph, taken = step_gradient.step_graph, {array.name for array in tape}
    emitter = PassEmitter("backward", step_graph, schedule, value_names, taken, by_blocks=True)
    names = emitter.leaf_names
    _bind_leaves(emitter)
    for array in tape:
        for node in array.nodes:
            emitter.bind(node, array.name, Storage.STEPS)
        for name in array.states:
            before, initial = names["{}_before", name], names["{}_0", name]
            emitter.trajectories[before] = (initial, array.name)
            emitter.states_before[before] = f"{before} = {array.name}[time - 1] if time > 0 else {initial}"
    emitter.bind(step_gradient.dy, "dy", Storage.STEPS)
    for name, node in step_gradient.dstate_out.items():
        emitter.bind(node, names["d{}", name], Storage.BATCH)
    for name, gradient in step_gradient.dstate_in.items():
        if gradient is not None:
            new = emitter.bind(gradient, names["d{}_before", name], Storage.BATCH)
            emitter.shapes[new.name] = gradient.shape
    if step_gradient.dx is not None:
        emitter.bind(step_gradient.dx, "dx", Storage.STEPS)
    return _backward_lines(step_gradient, emitter, tape)


def _backward_lines(step_gradient: StepGradient, emitter: PassEmitter, tape: list[TapeArray]) -> list[str]:
    step_graph, names = step_gradient.step_graph, emitter.leaf_names
    once, step = emitter.section("once"), emitter.section("step", 3)
    after, final = emitter.section("after", 2), emitter.section("final")
    panels = pack_lines(emitter, [*step, *after])
    start, swap, result = Writer(), Writer(depth=3), Writer()
    dstate = []
    for name, node in step_graph.states.items():
        last = names["dlast_{}", name]
        if step_gradient.dstate_in.get(name) is None:
            dstate.append(f"np.zeros_like({last})")
            continue
        width = emitter.arrays[step_gradient.dstate_out[name]].width
        flat = "" if node.ndim == 1 else f".reshape(batch, {width})"
        now, new = names["d{}", name], names["d{}_before", name]
        start.line(f"{now} = {last}.copy(){flat}")
        swap.line(f"{now}, {new} = {new}, {now}")
        dstate.append(_declared_shape(node, now))
    dparams = [
        f"np.zeros_like({names['{}', name]})" if gradient is None else emitter.array_of(gradient).name
        for name, gradient in step_gradient.dparams.items()
    ]
    dx_before, dx_in_block, dx_after = _dx_lines(emitter, step, after)
    result.line(f"return dx, {as_tuple(dstate)}, {as_tuple(dparams)}")
    words = identifiers_in(step)
    before = [f"            {line}" for name, line in emitter.states_before.items() if name in words]
    loop = _block("        for time in range(last - 1, first - 1, -1):", [*before, *step, *swap.lines])
    blocks = _block_loop([*loop, *after, *dx_in_block])
    constants = constant_arrays(emitter)
    body = [*constants, *once, *panels, *dx_before, *start.lines, *blocks, *dx_after, *final, *result.lines]
    unpacking = Writer()
    unpacking.line(unpack([array.name for array in tape], "tape"))
    unpacking.line(unpack([names["dlast_{}", name] for name in step_graph.states], "dlast"))
    return _assemble(emitter, "backward(params, x, state{}, tape, dy, dlast)", unpacking.lines, body)


def _block_loop(body: list[str]) -> list[str]:
    """The loop over blocks of time steps, from the last."""
    first = ["        first = max(last - span, 0)"] if body else []
    return _block("    for last in range(steps, 0, -span):", [*first, *body])


def _block(head: str, body: list[str]) -> list[str]:
    """The lines of a block; none if its body is empty."""
    return [head, *body] if body else []


def _dx_lines(
    emitter: PassEmitter, step: list[str], after: list[str]
) -> tuple[list[str], list[str], list[str]]:
    """The gradient of x, empty for tokens: lines before the loop over time, in each block, and at the end."""
    products = emitter.dx_writer.lines
    panels = [f"    {line}" for line in pack_lines(emitter, products)]
    guarded = ["        if x.ndim == 3:", *products] if products else []
    in_loops = "dx" in identifiers_in([*step, *after])  # element by element, in fused loops
    shape = "(steps, batch, I)" if in_loops or products else "x.shape"
    zeros = f"dx = np.zeros({shape}, {emitter.like}.dtype)"
    none = ["    if x.ndim == 2:", f"        dx = np.empty((0, 0, 0), {emitter.like}.dtype)"]
    if not in_loops:
        return [*none, "    else:", f"        {zeros}", *panels], guarded, []
    return [f"    {zeros}", *(["    if x.ndim == 3:", *panels] if panels else [])], guarded, none
