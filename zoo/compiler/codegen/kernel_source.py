"""Python source of the kernels of a cell: both passes with their loops over time, and the tape."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from zoo.compiler.codegen.definitions import allocations, constant_arrays, definitions, flat_arrays
from zoo.compiler.codegen.matmuls import copied_memory, memory_state, pack_lines, setup_lines
from zoo.compiler.codegen.pass_emitter import PassEmitter, declared_arrays, loop_functions, unpack_arguments
from zoo.compiler.codegen.writer import Writer, as_tuple, identifiers_in, unpack
from zoo.compiler.frontend.value_names import ValueNames
from zoo.compiler.ir.graph import Node, ancestors
from zoo.compiler.ir.memory_ops import FACTORS_GRADIENT, MemoryForm
from zoo.compiler.passes.autodiff import StepGradient
from zoo.compiler.schedule.fusion import ArrayLayout
from zoo.compiler.schedule.sections import PassSchedule
from zoo.errors import DefinitionError


@dataclass(frozen=True)
class TapeArray:
    """One array of the tape: the values it holds, the states whose trajectory it is, or a matrix memory."""

    name: str
    nodes: tuple[Node, ...] = ()
    states: tuple[str, ...] = ()
    memory: str = ""


def _bind_leaves(emitter: PassEmitter) -> None:
    step_graph, names = emitter.step_graph, emitter.leaf_names
    for name, node in {**step_graph.params, **step_graph.buffers}.items():
        emitter.bind(node, names.declared(name), ArrayLayout.SHARED)
    for name, node in step_graph.states.items():
        emitter.bind(node, names.state_before(name), ArrayLayout.BATCH)
    for name, node in step_graph.inputs.items():
        emitter.bind(node, names.flat_input(name), ArrayLayout.STEPS)
    emitter.bind(step_graph.x, names.flat_input("x"), ArrayLayout.STEPS)


def _flatten_rows(emitter: PassEmitter, body: list[str]) -> list[str]:
    """States and auxiliary inputs with one axis per row; x in dense form where tokens are not enough."""
    writer, step_graph, names = Writer(), emitter.step_graph, emitter.leaf_names
    words = identifiers_in(body)
    for name, node in step_graph.states.items():
        if node.ndim != 1:
            initial = names.initial_state(name)
            writer.line(f"{initial} = kernels.reshape({initial}, (batch, {emitter.arrays[node].width}))")
    for name, node in step_graph.inputs.items():
        rows = names.flat_input(name)
        if rows in words:
            width = emitter.arrays[node].width
            writer.line(f"{rows} = kernels.reshape({names.declared(name)}, (steps, batch, {width}))")
    if names.flat_input("x") in words:
        writer.line(f"{names.flat_input('x')} = kernels.to_dense(x, {step_graph.x.shape[0]}, {emitter.like})")
    return writer.lines


def _declared_shape(node: Node, name: str) -> str:
    """A state in its declared shape."""
    return name if node.ndim == 1 else f"kernels.reshape({name}, (batch, {', '.join(map(str, node.shape))}))"


def forward_source(
    step_gradient: StepGradient, schedule: PassSchedule, value_names: ValueNames
) -> tuple[list[str], list[TapeArray]]:
    """The forward pass, and the arrays of its tape."""
    step_graph = step_gradient.step_graph
    emitter = PassEmitter("forward", step_graph, schedule, value_names)
    names = emitter.leaf_names
    _bind_leaves(emitter)
    tape = _tape(step_gradient, emitter)
    once = emitter.section("once")
    loop = _loop_by_blocks(step_gradient, emitter) if schedule.by_blocks else _loop_over_steps(emitter)
    last = [
        _memory_state(emitter, name)
        if name in emitter.memories
        else _declared_shape(node, f"kernels.copy({names.state_before(name)})")
        for name, node in step_graph.states.items()
    ]
    y, final = emitter.array_of(step_graph.y).name, Writer()
    final.line(f"return {y}, {as_tuple(last)}, {as_tuple([array.name for array in tape])}")
    body = [*loop, *final.lines]
    return _assemble(emitter, "", once, [], body), tape


def _loop_over_steps(emitter: PassEmitter) -> list[str]:
    """The products of all steps, then the loop over time."""
    sequence, step = emitter.section("sequence"), emitter.section("step", 2)
    trajectories = _trajectories(emitter).items()
    body = [
        *(f"        {line}" for line in emitter.step_lines),
        *step,
        *(f"        {before} = kernels.at_step({array}, time)" for before, array in trajectories),
    ]
    return [
        *_initial_memories(emitter),
        *sequence,
        *_initial_states(emitter),
        *_block("    for time in range(steps):", body),
    ]


def _initial_states(emitter: PassEmitter) -> list[str]:
    """The lines that start with the initial states."""
    names = emitter.leaf_names
    states = emitter.step_graph.new_states
    return [f"    {names.state_before(name)} = {names.initial_state(name)}" for name in states]


def _loop_by_blocks(step_gradient: StepGradient, emitter: PassEmitter) -> list[str]:
    """The loop over blocks of steps: values before the recurrence, the loop over time, values after it."""
    emitter.begin_blocks(step_gradient.forward_outputs)
    trajectories = _trajectories(emitter)
    for name in emitter.step_graph.new_states:
        before, initial = emitter.leaf_names.state_before(name), emitter.leaf_names.initial_state(name)
        emitter.trajectories[before] = (initial, trajectories[before])
        emitter.states_before[before] = _state_before_line(before, trajectories[before], initial)
    sequence, step = emitter.section("sequence", 2), emitter.section("step", 3)
    after = emitter.section("after", 2)
    words = identifiers_in(step)
    selected = [f"            {line}" for before, line in emitter.states_before.items() if before in words]
    return [
        *_initial_memories(emitter),
        *_initial_states(emitter),
        "    for first in range(0, steps, block_steps):",
        "        last = kernels.int_min(first + block_steps, steps)",
        *sequence,
        *_block("        for time in range(first, last):", [*selected, *step]),
        *after,
        *(f"        {before} = kernels.at_step({array}, last - 1)" for before, array in trajectories.items()),
    ]


def _trajectories(emitter: PassEmitter) -> dict[str, str]:
    """The arrays of the states after every step, by the variable of the state before a step."""
    step_graph, names = emitter.step_graph, emitter.leaf_names
    nodes = step_graph.new_states.items()
    return {names.state_before(name): emitter.array_of(node).name for name, node in nodes}


def _state_before_line(before: str, trajectory: str, initial: str) -> str:
    """The line that selects the states before step ``time``."""
    return f"{before} = kernels.at_step({trajectory}, time - 1) if time > 0 else {initial}"


def _initial_memories(emitter: PassEmitter) -> Iterator[str]:
    """The lines that copy the initial matrix memories and allocate those of the tape."""
    for name, arrays in emitter.memories.items():
        form = emitter.step_graph.memories[name].attr
        yield f"    {arrays.state} = {copied_memory(form, emitter.leaf_names.initial_state(name))}"
        steps = "steps" if form.updates == 1 else f"steps * {form.updates}"
        sizes = f"{steps}, batch, {form.heads}, {form.elements}"
        yield f"    {arrays.saved} = kernels.empty_memories({sizes}, {emitter.like})"


def _memory_state(emitter: PassEmitter, name: str) -> str:
    """Expression for matrix memories, or their gradients, in the declared shape of the state."""
    step_graph, array = emitter.step_graph, emitter.memories[name].state
    return _declared_shape(step_graph.states[name], memory_state(step_graph.memories[name].attr, array))


def _assemble(
    emitter: PassEmitter, arguments: str, once: list[str], unpacking: list[str], body: list[str]
) -> list[str]:
    """The lines of a kernel, after those of the function that prepares its parameters.

    Args:
        emitter: The kernel.
        arguments: Its arguments after ``state`` and auxiliary inputs.
        once: The lines that compute values of parameters alone.
        unpacking: The lines that unpack the arguments.
        body: All other lines.
    """
    preparation = [*constant_arrays(emitter), *once, *pack_lines(emitter), *setup_lines(emitter)]
    body = [*_flatten_rows(emitter, body), *body]
    prepared = _prepared_variables(emitter, preparation, body)
    try:
        prepare_lines = _prepare_function(emitter, preparation, prepared) if prepared else []
    except DefinitionError:  # the shapes of the parameters do not determine the sizes
        prepared, prepare_lines, body = [], [], [*preparation, *body]
    inputs = ", inputs" if emitter.step_graph.inputs else ""
    return [
        *loop_functions(emitter),
        *prepare_lines,
        "@zoo.njit",
        f"def {emitter.name}(params, x, state{inputs}{arguments}):",
        *unpack_arguments(emitter, prepared),
        *unpacking,
        *definitions(emitter, body, prepared),
        *body,
    ]


def _prepared_variables(emitter: PassEmitter, preparation: list[str], body: list[str]) -> list[str]:
    """The variables of the preparation that the body reads."""
    in_preparation, in_body = (_variables_in(emitter, lines) for lines in (preparation, body))
    arrays = [name for name in allocations(emitter) if name in in_preparation]
    return [name for name in (*arrays, *emitter.packed.values(), *emitter.setup) if name in in_body]


def _variables_in(emitter: PassEmitter, lines: list[str]) -> set[str]:
    """The identifiers in some lines; an array also if the lines contain the name of its flat view."""
    words = identifiers_in(lines)
    return words | identifiers_in(flat_arrays(emitter, words))


def _prepare_function(emitter: PassEmitter, preparation: list[str], prepared: list[str]) -> list[str]:
    """The function that computes what depends on the parameters alone, followed by two empty lines.

    It runs once for all shards of a batch: if each shard packs the matrices for itself, sixteen threads hold
    sixteen copies, which do not fit in the cache that they share. Two threads took 1.08 times as long that
    way for an LSTM of 512 units and 24 sequences, on an AMD EPYC (Zen 5).

    Raises:
        DefinitionError: if the shapes of the parameters do not determine the sizes.
    """
    needs_dx, declared = ", needs_dx" if emitter.name == "backward" else "", declared_arrays(emitter)
    return [
        "@zoo.njit",
        f"def prepare_{emitter.name}(params, x{needs_dx}):",
        f"    {unpack(declared, 'params')}",
        *definitions(emitter, preparation, has_states=False),
        *preparation,
        f"    return {as_tuple([*declared, *prepared])}",
        "",
        "",
    ]


def _tape(step_gradient: StepGradient, emitter: PassEmitter) -> list[TapeArray]:
    """The arrays of the tape, each once."""
    contents: dict[str, tuple[list[Node], list[str]]] = {}
    for node in step_gradient.saved:
        contents.setdefault(emitter.array_of(node).name, ([], []))[0].append(node)
    for name in step_gradient.trajectories:
        array = emitter.array_of(step_gradient.step_graph.new_states[name])
        contents.setdefault(array.name, ([], []))[1].append(name)
    memories = [TapeArray(arrays.saved, memory=name) for name, arrays in emitter.memories.items()]
    if not contents and not memories:
        contents[emitter.array_of(step_gradient.step_graph.y).name] = ([step_gradient.step_graph.y], [])
    values = [TapeArray(name, tuple(nodes), tuple(states)) for name, (nodes, states) in contents.items()]
    return [*values, *memories]


def backward_source(
    step_gradient: StepGradient, schedule: PassSchedule, value_names: ValueNames, tape: list[TapeArray]
) -> list[str]:
    """The backward pass."""
    step_graph, taken = step_gradient.step_graph, {array.name for array in tape}
    emitter = PassEmitter("backward", step_graph, schedule, value_names, taken, by_blocks=True)
    names = emitter.leaf_names
    _bind_leaves(emitter)
    for array in tape:
        if array.memory:
            emitter.memories[array.memory] = emitter.memories[array.memory]._replace(saved=array.name)
        for node in array.nodes:
            emitter.bind(node, array.name, ArrayLayout.STEPS)
        for name in array.states:
            before, initial = names.state_before(name), names.initial_state(name)
            emitter.trajectories[before] = (initial, array.name)
            emitter.states_before[before] = _state_before_line(before, array.name, initial)
    emitter.bind(step_gradient.dy, "dy", ArrayLayout.STEPS)
    for name, node in step_gradient.dstate_out.items():
        emitter.bind(node, names.dstate(name), ArrayLayout.BATCH)
    for name, gradient in step_gradient.dstate_in.items():
        if gradient is not None and name not in step_gradient.delays:
            new = emitter.bind(gradient, names.dstate_before(name), ArrayLayout.BATCH)
            emitter.shapes[new.name] = gradient.shape
    if step_gradient.dx is not None:
        emitter.bind(step_gradient.dx, "dx", ArrayLayout.STEPS)
    for node in ancestors(step_gradient.backward_outputs):
        if node.op == FACTORS_GRADIENT:
            arrays, state = emitter.memories[node.attr.state], node.attr.state
            emitter.memories[state] = arrays._replace(dfactors=emitter.array_of(node).name)
    for leaf, gradient in step_gradient.delayed_gradients.items():
        after, before = names.dstate(leaf.attr), names.dstate_before(leaf.attr)
        later = f"kernels.at_step({emitter.array_of(gradient).name}, time + 1 - first)"
        emitter.states_after[after] = f"{after} = {later} if time + 1 < last else {before}"
    return _backward_lines(step_gradient, emitter, tape)


def _backward_lines(step_gradient: StepGradient, emitter: PassEmitter, tape: list[TapeArray]) -> list[str]:
    step_graph, names = step_gradient.step_graph, emitter.leaf_names
    once, sequence = emitter.section("once"), emitter.section("sequence", 2)
    step, after, final = emitter.section("step", 3), emitter.section("after", 2), emitter.section("final")
    start, swap, result = Writer(), Writer(depth=3), Writer()
    dstate = []
    for name, node in step_graph.states.items():
        last, gradient = names.dlast(name), step_gradient.dstate_in.get(name)
        if name in emitter.memories:
            form, arrays = step_graph.memories[name].attr, emitter.memories[name]
            start.line(f"{arrays.state} = {copied_memory(form, last)}")
            has_factors = not isinstance(form, MemoryForm)
            if has_factors and arrays.dfactors not in emitter.shapes:  # factors without gradient
                shape = as_tuple([str(dim) for dim in form.factors_shape])
                start.line(f"{arrays.dfactors} = kernels.zeros({shape}, {emitter.like})")
            dstate.append(_memory_state(emitter, name))
            continue
        if gradient is None:
            dstate.append(_zeros_like(last))
            continue
        width = emitter.arrays[step_gradient.dstate_out[name]].width
        now, new, copy = names.dstate(name), names.dstate_before(name), f"kernels.copy({last})"
        if name in step_gradient.delays:
            now = new
            after.append(
                f"        {now} = kernels.copy(kernels.at_step({emitter.array_of(gradient).name}, 0))"
            )
        else:
            swap.line(f"{now}, {new} = {new}, {now}")
        start.line(f"{now} = {copy if node.ndim == 1 else f'kernels.reshape({copy}, (batch, {width}))'}")
        dstate.append(_declared_shape(node, now))
    dparams = [
        _zeros_like(names.declared(name)) if gradient is None else emitter.array_of(gradient).name
        for name, gradient in step_gradient.dparams.items()
    ]
    dx_before, dx_in_block, dx_after = _dx_lines(emitter, [*sequence, *step], after)
    result.line(f"return dx, {as_tuple(dstate)}, {as_tuple(dparams)}")
    words = identifiers_in(step)
    before = [f"            {line}" for name, line in emitter.states_before.items() if name in words]
    loop = _block("        for time in range(last - 1, first - 1, -1):", [*before, *step, *swap.lines])
    blocks = _block_loop(emitter, [*sequence, *loop, *after, *dx_in_block])
    body = [*dx_before, *start.lines, *blocks, *dx_after, *final, *result.lines]
    unpacking = Writer()
    unpacking.line(unpack([array.name for array in tape], "tape"))
    unpacking.line(unpack([names.dlast(name) for name in step_graph.states], "dlast"))
    return _assemble(emitter, ", tape, dy, dlast, needs_dx", once, unpacking.lines, body)


def _zeros_like(name: str) -> str:
    """Expression for zeros of the shape of an array."""
    return f"kernels.zeros({name}.shape, {name})"


def _block_loop(emitter: PassEmitter, body: list[str]) -> list[str]:
    """The loop over blocks of time steps, from the last."""
    if emitter.memories:  # blocks begin where chunks do
        last = "        last = kernels.int_min(first + block_steps, steps)"
        start = "(steps - 1) // block_steps * block_steps"
        return [f"    for first in range({start}, -1, -block_steps):", last, *body]
    first = ["        first = kernels.int_max(last - block_steps, 0)"] if body else []
    return _block("    for last in range(steps, 0, -block_steps):", [*first, *body])


def _block(head: str, body: list[str]) -> list[str]:
    """The lines of a block; none if its body is empty."""
    return [head, *body] if body else []


def _dx_lines(
    emitter: PassEmitter, step: list[str], after: list[str]
) -> tuple[list[str], list[str], list[str]]:
    """The gradient of x: lines before the loop over time, in each block, and at the end.

    It is empty for tokens. It is also empty if ``needs_dx`` is false, except in cells whose fused loops write
    to it.
    """
    products = emitter.dx_writer.lines
    in_loops = "dx" in identifiers_in([*step, *after])  # element by element, in fused loops
    sizes = f"steps, batch, {emitter.step_graph.x.shape[0]}"
    shape = f"({sizes})" if in_loops or products else "x.shape"
    new = f"dx = kernels.zeros({shape}, {emitter.like})"
    if not in_loops and "dx" in emitter.set_by_products:
        new = f"dx = kernels.empty_sequence({sizes}, {emitter.like})"
    empty = f"dx = kernels.empty((0, 0, 0), {emitter.like})"
    in_block = _guard_dx(2, products)
    if in_loops:
        for_tokens = ["    if x.ndim == 2:", f"        {empty}"]
        return [f"    {new}"], in_block, for_tokens
    return [f"    {empty}", *_guard_dx(1, [f"    {new}"])], in_block, []


def _guard_dx(depth: int, lines: list[str]) -> list[str]:
    """Lines that run if x is dense and its gradient is needed.

    There are two conditions, because Numba removes a branch that depends on ``x.ndim`` alone: kernels for
    tokens do not compile these lines.

    Args:
        depth: Depth of the condition.
        lines: Lines of that depth.
    """
    if not lines:
        return []
    indent = "    "
    conditions = [f"{indent * depth}if x.ndim == 3:", f"{indent * (depth + 1)}if needs_dx:"]
    return [*conditions, *(f"{indent * 2}{line}" for line in lines)]
