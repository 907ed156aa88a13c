"""Emission of a module: both passes of a cell, as a person could have written them."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.compiler.codegen.pass_emitter import PassEmitter
from zoo.compiler.codegen.prologue import definitions, fixed_arrays
from zoo.compiler.codegen.writer import Writer, identifiers_in
from zoo.compiler.ir.graph import Node
from zoo.compiler.passes.autodiff import StepGradient
from zoo.compiler.schedule.fusion import Storage
from zoo.compiler.schedule.sections import PassSchedule


@dataclass(frozen=True)
class TapeArray:
    """One array of the tape: the values it holds, and the state whose course it is."""

    name: str
    nodes: tuple[Node, ...]
    states: tuple[str, ...]


def unpack(names: list[str], source: str) -> str:
    """The line that takes a tuple apart; empty for no names."""
    return f"{', '.join(names)}{',' * (len(names) == 1)} = {source}" if names else ""


def as_tuple(parts: list[str]) -> str:
    """A tuple as code."""
    return f"({', '.join(parts)}{',' * (len(parts) == 1)})"


def unpacked(function: PassEmitter) -> list[str]:
    """Parameters, states and inputs under their names."""
    writer, equations, called = Writer(), function.step_graph, function.called
    writer.line(unpack([called["{}", name] for name in (*equations.params, *equations.buffers)], "params"))
    writer.line(unpack([called["{}_0", name] for name in equations.states], "state"))
    if equations.inputs:
        writer.line(unpack([called["{}", name] for name in equations.inputs], "inputs"))
    return writer.lines


def _give_leaves(function: PassEmitter) -> None:
    equations, called = function.step_graph, function.called
    for name, node in {**equations.params, **equations.buffers}.items():
        function.give(node, called["{}", name], Storage.SHARED)
    for name, node in equations.states.items():
        function.give(node, called["{}_before", name], Storage.BATCH)
    for name, node in equations.inputs.items():
        function.give(node, called["{}_all", name], Storage.STEPS)
    function.give(equations.x, called["{}_all", "x"], Storage.STEPS)


def _flattened(function: PassEmitter, body: list[str]) -> list[str]:
    """States and inputs with one axis for all that a row holds; x as numbers where tokens will not do."""
    writer, equations, called = Writer(), function.step_graph, function.called
    words = identifiers_in(body)
    for name, node in equations.states.items():
        if node.ndim != 1:
            first = called["{}_0", name]
            writer.line(f"{first} = {first}.reshape(batch, {function.arrays[node].width})")
    for name, node in equations.inputs.items():
        every = called["{}_all", name]
        if every in words:
            writer.line(
                f"{every} = {called['{}', name]}.reshape(steps, batch, {function.arrays[node].width})"
            )
    if called["{}_all", "x"] in words:
        writer.line(f"{called['{}_all', 'x']} = kernels.dense(x, I, {function.like})")
    return writer.lines


def _in_shape(node: Node, name: str) -> str:
    """A state as it is declared."""
    return name if node.ndim == 1 else f"{name}.reshape(batch, {', '.join(map(str, node.shape))})"


def forward_source(derivation: StepGradient, plan: PassSchedule) -> tuple[list[str], list[TapeArray]]:
    """The forward pass, and what its tape holds."""
    equations = derivation.step_graph
    function = PassEmitter("forward", equations, plan)
    called = function.called
    _give_leaves(function)
    kept = _tape(derivation, function)
    once, sequence, step = function.section("once"), function.section("sequence"), function.section("step", 2)
    panels = function.panel_lines([*sequence, *step])
    start, end, last = Writer(), Writer(depth=2), []
    for name, node in equations.states.items():
        before = called["{}_before", name]
        start.line(f"{before} = {called['{}_0', name]}")
        end.line(f"{before} = {function.array_of(equations.new_states[name]).name}[t]")
        last.append(_in_shape(node, f"{before}.copy()"))
    final = Writer()
    y = function.array_of(equations.y).name
    final.line(f"return {y}, {as_tuple(last)}, {as_tuple([each.name for each in kept])}")
    found = [f"        {line}" for line in function.found]
    loop = ["    for t in range(steps):", *found, *step, *end.lines]
    fixed = fixed_arrays(function)
    body = [*fixed, *once, *panels, *sequence, *start.lines, *loop, *final.lines]
    return _assembled(function, "forward(params, x, state{})", [], body), kept


def _assembled(function: PassEmitter, signature: str, given: list[str], body: list[str]) -> list[str]:
    """The lines of a whole function: what it is given, what it needs, what it does."""
    flattened = _flattened(function, body)
    front = definitions(function, [*flattened, *body])
    inputs = ", inputs" if function.step_graph.inputs else ""
    head = [*loop_lines(function), "@zoo.njit", f"def {signature.format(inputs)}:"]
    return [*head, *unpacked(function), *given, *front, *flattened, *body]


def loop_lines(function: PassEmitter) -> list[str]:
    """The loops that became functions, each with two empty lines behind it."""
    return [line for lines in function.loops for line in (*lines, "", "")]


def _tape(derivation: StepGradient, function: PassEmitter) -> list[TapeArray]:
    """The arrays of the tape, each once."""
    found: dict[str, tuple[list[Node], list[str]]] = {}
    for node in derivation.kept:
        found.setdefault(function.array_of(node).name, ([], []))[0].append(node)
    for name in derivation.trajectories:
        found.setdefault(function.array_of(derivation.step_graph.new_states[name]).name, ([], []))[1].append(
            name
        )
    if not found:
        found[function.array_of(derivation.step_graph.y).name] = ([derivation.step_graph.y], [])
    return [TapeArray(name, tuple(nodes), tuple(states)) for name, (nodes, states) in found.items()]


def backward_source(derivation: StepGradient, plan: PassSchedule, kept: list[TapeArray]) -> list[str]:
    """The backward pass."""
    equations = derivation.step_graph
    function = PassEmitter("backward", equations, plan, {each.name for each in kept}, by_spans=True)
    called = function.called
    _give_leaves(function)
    for each in kept:
        for node in each.nodes:
            function.give(node, each.name, Storage.STEPS)
        for name in each.states:
            before, first = called["{}_before", name], called["{}_0", name]
            function.trajectory[before] = (first, each.name)
            function.before[before] = f"{before} = {each.name}[t - 1] if t > 0 else {first}"
    function.give(derivation.dy, "dy", Storage.STEPS)
    for name, node in derivation.dstate_out.items():
        function.give(node, called["d{}", name], Storage.BATCH)
    for name, gradient in derivation.dstate_in.items():
        if gradient is not None:
            array = function.give(gradient, called["d{}_new", name], Storage.BATCH)
            function.shapes[array.name] = gradient.shape
    if derivation.dx is not None:
        function.give(derivation.dx, "dx", Storage.STEPS)
    return _backward_lines(derivation, function, kept)


def _backward_lines(derivation: StepGradient, function: PassEmitter, kept: list[TapeArray]) -> list[str]:
    equations, called = derivation.step_graph, function.called
    once, step = function.section("once"), function.section("step", 3)
    after, final = function.section("after", 2), function.section("final")
    panels = function.panel_lines([*step, *after])
    start, swap, back = Writer(), Writer(depth=3), Writer()
    dstate = []
    for name, node in equations.states.items():
        last = called["dlast_{}", name]
        if derivation.dstate_in.get(name) is None:
            dstate.append(f"np.zeros_like({last})")
            continue
        flat = (
            "" if node.ndim == 1 else f".reshape(batch, {function.arrays[derivation.dstate_out[name]].width})"
        )
        now, new = called["d{}", name], called["d{}_new", name]
        start.line(f"{now} = {last}.copy(){flat}")
        swap.line(f"{now}, {new} = {new}, {now}")
        dstate.append(_in_shape(node, now))
    dparams = [
        f"np.zeros_like({called['{}', name]})" if gradient is None else function.array_of(gradient).name
        for name, gradient in derivation.dparams.items()
    ]
    dx_first, dx_here, dx_last = _dx(function, step, after)
    back.line(f"return dx, {as_tuple(dstate)}, {as_tuple(dparams)}")
    words = identifiers_in(step)
    before = [f"            {line}" for name, line in function.before.items() if name in words]
    loop = _block("        for t in range(last - 1, first - 1, -1):", [*before, *step, *swap.lines])
    spans = _over_spans([*loop, *after, *dx_here])
    fixed = fixed_arrays(function)
    body = [*fixed, *once, *panels, *dx_first, *start.lines, *spans, *dx_last, *final, *back.lines]
    given = Writer()
    given.line(unpack([each.name for each in kept], "tape"))
    given.line(unpack([called["dlast_{}", name] for name in equations.states], "dlast"))
    return _assembled(function, "backward(params, x, state{}, tape, dy, dlast)", given.lines, body)


def _over_spans(body: list[str]) -> list[str]:
    """The loop over time, a span of steps after the other, from the last."""
    first = ["        first = max(last - span, 0)"] if body else []
    return _block("    for last in range(steps, 0, -span):", [*first, *body])


def _block(head: str, body: list[str]) -> list[str]:
    """The lines of a block; none if its body is empty."""
    return [head, *body] if body else []


def _dx(function: PassEmitter, step: list[str], after: list[str]) -> tuple[list[str], list[str], list[str]]:
    """The gradient of x, empty for tokens: lines before the loop over time, after each span, after all."""
    late = function.for_dx.lines
    panels = [f"    {line}" for line in function.panel_lines(late)]
    guarded = ["        if x.ndim == 3:", *late] if late else []
    written = "dx" in identifiers_in([*step, *after])  # number by number, beside what else a loop does
    shape = "(steps, batch, I)" if written or late else "x.shape"
    zeros = f"dx = np.zeros({shape}, {function.like}.dtype)"
    none = ["    if x.ndim == 2:", f"        dx = np.empty((0, 0, 0), {function.like}.dtype)"]
    if not written:
        return [*none, "    else:", f"        {zeros}", *panels], guarded, []
    return [f"    {zeros}", *(["    if x.ndim == 3:", *panels] if panels else [])], guarded, none
