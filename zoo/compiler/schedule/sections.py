"""Schedules of the two passes of a cell: their sections, in order, and the arrays of their values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from operator import attrgetter

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.graph import Level, Node, ancestors, users, view_of
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import DSTATE_OUT, ROW_SUM, STATE, X
from zoo.compiler.passes.autodiff import StepGradient
from zoo.compiler.passes.insert_copies import copy, ensure_distinct, insert_copies, is_computed
from zoo.compiler.passes.simplify import rebuild, rewrite
from zoo.compiler.schedule.fusion import ArrayLayout
from zoo.compiler.schedule.phases import Section, inplace_sums, plan_section, storage_bases

# The sections of a pass in order, and the kind of array for operands and results of their products.
MATMUL_LAYOUTS = {
    "once": ArrayLayout.SHARED,
    "sequence": ArrayLayout.STEPS,
    "step": ArrayLayout.BATCH,
    "after": ArrayLayout.STEPS,
    "final": ArrayLayout.SHARED,
}


@dataclass(frozen=True)
class PassSchedule:
    """The schedule of a forward or backward pass.

    Args:
        sections: In order: ``once``, values of parameters alone; ``sequence``, values of all steps, or in the
            backward pass of a block of steps, before the loop over time; ``step``, the loop over time;
            ``after``, values of a block of steps, once the loop has passed them; ``final``, values of sums
            over all steps.
        layouts: Kinds of arrays of the values that are stored.
        shares: Values that share the array of another.
        by_blocks: Whether the sections ``sequence`` to ``after`` run for one block of steps after the other.
        dx_products: Products that only the gradient of x needs: a backward pass without it skips them.
    """

    sections: Mapping[str, Section]
    layouts: Mapping[Node, ArrayLayout]
    shares: Mapping[Node, Node]
    by_blocks: bool
    dx_products: frozenset[Node] = frozenset()


_NO_DELAYS: Mapping[Node, Node] = {}


def gradient_with_copies(step_gradient: StepGradient) -> StepGradient:
    """Insert the copies that the kernels need."""
    new = insert_copies([*step_gradient.forward_outputs, *step_gradient.backward_outputs])
    step_graph = step_gradient.step_graph
    outputs = {node: _distinct_output(new[node]) for node in step_graph.outputs}
    dstate = {name: new[node] for name, node in step_gradient.dstate_in.items() if node is not None}
    dparams = {name: new[node] for name, node in step_gradient.dparams.items() if node is not None}
    dx = None if step_gradient.dx is None else new[step_gradient.dx]
    gradients = [*dstate.values(), *dparams.values(), *([] if dx is None else [dx])]
    distinct_dstate = _distinct_state_gradients(dstate, gradients)
    dparams = dict(zip(dparams, ensure_distinct(dparams.values()), strict=True))
    if dx is not None:
        (dx,) = ensure_distinct([dx], [*distinct_dstate.values(), *dparams.values()])
    copied = replace(
        step_gradient,
        step_graph=replace(
            step_graph,
            y=outputs[step_graph.y],
            new_states={name: outputs[node] for name, node in step_graph.new_states.items()},
            memories={name: new[node] for name, node in step_graph.memories.items()},
            names={
                **{new.get(node, node): name for node, name in step_graph.names.items()},
                **step_graph.names,
            },
            default_names={new.get(node, node): name for node, name in step_graph.default_names.items()},
        ),
        dx=dx,
        dparams={name: dparams.get(name) for name in step_gradient.dparams},
        dstate_in={name: distinct_dstate.get(name) for name in step_gradient.dstate_in},
        saved=tuple(new[node] for node in step_gradient.saved),
    )
    return _with_stored_trajectories(copied)


def _with_stored_trajectories(step_gradient: StepGradient) -> StepGradient:
    """Copy the state gradients that are read after the loop over time.

    The array of a state gradient has the rows of one step only, and the next step overwrites them.
    """
    nodes = _backward_nodes(step_gradient)
    delayed = step_gradient.delayed_gradients
    deferred = _deferrable(nodes, _carried_gradient(step_gradient), delayed)
    deferred |= {node for node in nodes if node.op.sums_rows and node.op != ROW_SUM}

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if node in deferred or node.op == ROW_SUM:
            return rebuild(node, tuple(stored(each, node) for each in inputs))
        return None

    def stored(operand: Node, user: Node) -> Node:
        view = view_of(operand)
        assert view is not None  # insert_copies.py made sure of it
        if view.base in delayed:  # loops select the rows of the step
            is_read = not user.op.batches_steps and not user.op.sums_rows
        else:
            is_read = view.base.op != DSTATE_OUT or user not in deferred
        return operand if is_read else copy(operand, Level.STEP, "every step")

    new = rewrite(step_gradient.backward_outputs, rule, fixed=set(step_gradient.saved))
    return replace(
        step_gradient,
        dx=None if step_gradient.dx is None else new[step_gradient.dx],
        dstate_in={name: node and new[node] for name, node in step_gradient.dstate_in.items()},
        dparams={name: node and new[node] for name, node in step_gradient.dparams.items()},
    )


def _backward_nodes(step_gradient: StepGradient) -> list[Node]:
    """All values of the backward pass, inputs first."""
    available = set(step_gradient.saved)
    reached = ancestors(step_gradient.backward_outputs, stop=lambda node: node in available)
    return [node for node in reached if node not in available]


def _carried_gradient(step_gradient: StepGradient) -> set[Node]:
    """The gradients that the loop carries, and all values that they depend on."""
    available = set(step_gradient.saved)
    return set(ancestors(_carried(step_gradient), stop=lambda node: node in available))


def _carried(step_gradient: StepGradient) -> list[Node]:
    """The gradients of the states before the step, but for delays: those are computed after the loop."""
    gradients, delays = step_gradient.dstate_in, step_gradient.delays
    return [node for name, node in gradients.items() if node is not None and name not in delays]


def _deferrable(nodes: Iterable[Node], needed: Collection[Node], delayed: Collection[Node] = ()) -> set[Node]:
    """The values that can wait for the end of the loop: products, and values that depend on them.

    Args:
        nodes: Values of one pass, inputs first.
        needed: Those that the loop needs.
        delayed: Leaves that are known after the loop alone.
    """
    deferred: set[Node] = set()
    for node in nodes:
        if node.level == Level.ONCE or node in needed:
            continue
        is_product = node.op.batches_steps and not _reads_state(node.inputs[0])
        if is_product or any(operand in deferred or operand in delayed for operand in node.inputs):
            deferred.add(node)
    return deferred


def _reads_state(operand: Node) -> bool:
    """Whether an operand is a state before the step, which has no array with rows for all steps."""
    view = view_of(operand)
    return view is not None and view.base.op == STATE


def _distinct_output(node: Node) -> Node:
    """An output with an array that has a row for every step."""
    if is_computed(node) and node.level != Level.ONCE:
        return node
    return copy(node, Level.STEP)


def _distinct_state_gradients(dstate: Mapping[str, Node], outputs: Iterable[Node]) -> dict[str, Node]:
    """Gradients of the states, each in an array that nothing else reads: it is the next step's input."""
    used = users(ancestors(outputs))
    distinct: dict[str, Node] = {}
    for name, node in dstate.items():
        is_distinct = (
            is_computed(node)
            and node.level != Level.ONCE
            and node not in used
            and node not in distinct.values()
        )
        distinct[name] = node if is_distinct else copy(node, Level.STEP, f"gradient of {name}")
    return distinct


def forward_schedule(step_gradient: StepGradient) -> PassSchedule:
    """Schedule the forward pass."""
    outputs = step_gradient.forward_outputs
    nodes = ancestors(outputs)
    rows = [node for node in nodes if node.level != Level.ONCE]
    projections = [node for node in rows if node.level == Level.SEQUENCE and node.op.batches_steps]
    sequence = [node for node in _with_delays(projections, step_gradient) if node.level != Level.ONCE]
    needed = {*ancestors(step_gradient.step_graph.new_states.values()), *sequence}
    deferred = _with_operands_of_x(_deferrable(nodes, needed), nodes, {*needed, *outputs})
    step = [node for node in rows if node not in {*sequence, *deferred}]
    after = [node for node in rows if node in deferred]
    layouts = dict.fromkeys(outputs, ArrayLayout.STEPS)
    read_later = _values_read_by([*step, *after], sequence) + _values_read_by(after, step)
    layouts |= dict.fromkeys(read_later, ArrayLayout.STEPS)
    by_blocks = bool(after or step_gradient.delays or step_gradient.step_graph.memories)
    if not by_blocks:
        layouts |= dict.fromkeys(_projected_per_step(projections, sequence, outputs), ArrayLayout.BATCH)
    sections = {"sequence": sequence, "step": step, "after": after}
    return _schedule(nodes, outputs, sections, layouts, by_blocks, step_gradient.delayed)


def _with_delays(outputs: Iterable[Node], step_gradient: StepGradient) -> list[Node]:
    """The ancestors of some values at this step and at earlier ones, inputs first."""
    delayed, reached = step_gradient.delayed, ancestors(outputs)
    while missing := {delayed[node] for node in reached if node in delayed} - set(reached):
        reached = ancestors([*reached, *missing])
    return reached


def _with_operands_of_x(deferred: set[Node], nodes: list[Node], needed: Collection[Node]) -> set[Node]:
    """Add the values of x that only deferred values read: in the loop they would need an array."""
    used_by = users(nodes)
    for node in reversed(nodes):
        is_of_x = node.level == Level.SEQUENCE and node not in needed and node in used_by
        if is_of_x and all(user in deferred for user in used_by[node]):
            deferred.add(node)
    return deferred


def _projected_per_step(
    projections: Iterable[Node], sequence: Iterable[Node], outputs: Collection[Node]
) -> list[Node]:
    """Projections of x that only the step reads: neither they nor sums in their array are read elsewhere."""
    elsewhere = {base for node in sequence for base in storage_bases(node)} | set(outputs)
    shares = inplace_sums(ancestors(outputs), outputs)
    return [
        node
        for node in projections
        if node.inputs[0].op == X and not elsewhere & {node, shares.get(node, node)}
    ]


def step_with_copies(step_graph: StepGraph) -> StepGraph:
    """Insert the copies that a forward step without gradient needs."""
    new = insert_copies(step_graph.outputs)
    return step_graph.map_nodes({**new, **{node: _distinct_output(new[node]) for node in step_graph.outputs}})


def decode_schedule(step_graph: StepGraph) -> PassSchedule:
    """Schedule the decoding step: one row, no tape, and inputs that come one at a time."""
    outputs = step_graph.outputs
    nodes = ancestors(outputs)
    step = [node for node in nodes if node.level != Level.ONCE]
    return _schedule(nodes, outputs, {"step": step}, dict.fromkeys(outputs, ArrayLayout.BATCH))


def backward_schedule(step_gradient: StepGradient) -> PassSchedule:
    """Schedule the backward pass."""
    outputs = step_gradient.backward_outputs
    nodes = _backward_nodes(step_gradient)
    carried = _carried_gradient(step_gradient)
    delayed = step_gradient.delayed_gradients
    deferred = _deferrable(nodes, carried, delayed)
    dstate = _carried(step_gradient)
    rows = [node for node in nodes if node.level != Level.ONCE]
    early = _before_loop(nodes, carried, dstate)
    sequence = [node for node in rows if node in early]
    step = [node for node in rows if node not in deferred and node not in early]
    after = [node for node in rows if node in deferred]
    sums = [node for node in nodes if node.op.sums_rows]
    layouts = dict.fromkeys(dstate, ArrayLayout.BATCH) | dict.fromkeys(delayed.values(), ArrayLayout.STEPS)
    if step_gradient.dx is not None:
        layouts[step_gradient.dx] = ArrayLayout.STEPS
    readers = [*after, *(node for node in sums if node.op != ROW_SUM)]
    read_later = _values_read_by(readers, [*sequence, *step]) + _values_read_by(step, sequence)
    layouts |= dict.fromkeys(read_later, ArrayLayout.STEPS)
    for node in sums:
        if _sums_after_loop(node, layouts, deferred):
            after.append(node)
        else:
            (sequence if set(storage_bases(node)) <= early else step).append(node)
        layouts[node] = ArrayLayout.SHARED
    sections = {"sequence": sequence, "step": step, "after": after}
    schedule = _schedule(nodes, outputs, sections, layouts, True, delayed)
    return replace(schedule, dx_products=_dx_products(after, schedule.shares, step_gradient))


def _dx_products(
    after: Iterable[Node], shares: Mapping[Node, Node], step_gradient: StepGradient
) -> frozenset[Node]:
    """The products after the loop whose array is the gradient of x, unless another gradient reads it."""
    dx = step_gradient.dx
    others = [node for node in step_gradient.backward_outputs if node is not dx]
    read = set(ancestors(others))
    return frozenset(
        node
        for node in after
        if node.op.kind is Kind.MATMUL and shares.get(node, node) is dx and node not in read
    )


def _before_loop(nodes: list[Node], carried: Collection[Node], dstate: Collection[Node]) -> set[Node]:
    """The products that the loop needs and that do not depend on the gradients that it carries.

    Also all values that these products depend on, and those that only sums over rows read besides, such as
    the terms of the gradient of the scale of a norm.
    """
    rows = [node for node in nodes if node.level != Level.ONCE]
    inside, recurrent = set(rows), set[Node]()
    for node in rows:
        if node.op == DSTATE_OUT or any(operand in recurrent for operand in node.inputs):
            recurrent.add(node)
    # A carried gradient has an array for one step, which it shares with the first term of its sum.
    shares = inplace_sums(rows, ())
    products = [
        node
        for node in rows
        if node.op.batches_steps
        and node in carried
        and node not in recurrent
        and shares.get(node, node) not in dstate
    ]
    early = set(ancestors(products, stop=lambda node: node not in inside)) & inside
    used_by, summed = users(nodes), set[Node]()
    for node in reversed(rows):
        readers = used_by.get(node, ()) if node not in carried and not node.op.batches_steps else ()
        if readers and all(user.op == ROW_SUM or user in summed for user in readers):
            summed.add(node)
    for node in rows:
        operands = [operand for operand in node.inputs if operand in inside]
        if node in summed and any(map(is_computed, operands)) and early.issuperset(operands):
            early.add(node)
    return early


def _sums_after_loop(node: Node, layouts: Mapping[Node, ArrayLayout], deferred: Collection[Node]) -> bool:
    """Whether a sum over rows is computed after the loop, because all rows are stored anyway."""
    if node.op != ROW_SUM:
        return True
    view = view_of(node.inputs[0])
    if view is None or view.base in deferred:
        return True
    return view.is_whole and layouts.get(view.base) == ArrayLayout.STEPS


def _values_read_by(readers: Iterable[Node], section: Iterable[Node]) -> list[Node]:
    """Values of a section that readers outside it need."""
    inside = {node for node in section if is_computed(node)}
    return [base for node in readers for base in storage_bases(node) if base in inside and node not in inside]


def _schedule(
    nodes: list[Node],
    outputs: list[Node],
    parts: Mapping[str, list[Node]],
    layouts: dict[Node, ArrayLayout],
    by_blocks: bool = False,
    delayed: Mapping[Node, Node] = _NO_DELAYS,
) -> PassSchedule:
    shared = [node for node in nodes if node.level == Level.ONCE and not node.op.sums_rows]
    sum_dependents = _dependents_of_sums(nodes)
    once = [node for node in shared if node not in sum_dependents]
    final = [node for node in shared if node in sum_dependents]
    section_of = {node: name for name, part in parts.items() for node in part}
    shares = inplace_sums(nodes, outputs)
    for base, node in shares.items():
        if section_of.get(base) != section_of.get(node):
            layouts[base] = layouts[node] = layouts.get(base, ArrayLayout.STEPS)
    readers = [node for part in (*parts.values(), final) for node in part]
    layouts |= dict.fromkeys(_values_read_by(readers, once), ArrayLayout.SHARED)
    layouts |= {node: ArrayLayout.SHARED for node in outputs if node.level == Level.ONCE}
    parts = {"once": once, **parts, "final": final}
    sections = {
        name: plan_section(
            sorted(parts.get(name, ()), key=attrgetter("index")), layouts, matmul_layout, shares, delayed
        )
        for name, matmul_layout in MATMUL_LAYOUTS.items()
    }
    all_layouts = {node: kind for each in sections.values() for node, kind in each.layouts.items()}
    return PassSchedule(sections, all_layouts, shares, by_blocks)


def _dependents_of_sums(nodes: Iterable[Node]) -> set[Node]:
    dependents: set[Node] = set()
    for node in nodes:
        if node.op.sums_rows or any(operand in dependents for operand in node.inputs):
            dependents.add(node)
    return dependents
