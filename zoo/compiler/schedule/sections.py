"""The two passes of a cell: their sections, in order, and where their values are stored."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from zoo.compiler.frontend.trace_step import StepGraph
from zoo.compiler.ir.graph import Level, Node, ancestors, users
from zoo.compiler.ir.structural_ops import PRODUCTS, SUMS
from zoo.compiler.ir.views import view_of
from zoo.compiler.passes.autodiff import StepGradient
from zoo.compiler.passes.insert_copies import copy, ensure_distinct, insert_copies, is_computed
from zoo.compiler.passes.simplify import rebuild, rewrite
from zoo.compiler.schedule.fusion import Storage
from zoo.compiler.schedule.phases import Section, inplace_sums, plan_section, storage_bases

# The sections of a pass in order, and the kind of array for what a product in them reads or makes.
MATMUL_STORAGE = {
    "once": Storage.SHARED,
    "sequence": Storage.STEPS,
    "step": Storage.BATCH,
    "after": Storage.STEPS,
    "final": Storage.SHARED,
}


@dataclass(frozen=True)
class PassSchedule:
    """One direction.

    Args:
        sections: Its parts, in order: ``once``, what depends on parameters alone; ``sequence``, what is
            computed for all steps together before the loop over time; ``step``, what is computed at every
            step; ``after``, what is computed for some steps together, once the loop is through them;
            ``final``, what depends on sums over all steps.
        stores: What kind of array each stored value has.
        shares: Values that lie in the array of another.
    """

    sections: Mapping[str, Section]
    stores: Mapping[Node, Storage]
    shares: Mapping[Node, Node]


def gradient_with_copies(derivation: StepGradient) -> StepGradient:
    """The derivation with the copies it takes to run."""
    new = insert_copies([*derivation.forward_outputs, *derivation.backward_outputs])
    equations = derivation.step_graph
    outputs = {node: _distinct_output(new[node]) for node in equations.outputs}
    before = {name: new[node] for name, node in derivation.dstate_in.items() if node is not None}
    params = {name: new[node] for name, node in derivation.dparams.items() if node is not None}
    dx = None if derivation.dx is None else new[derivation.dx]
    back = [*before.values(), *params.values(), *([] if dx is None else [dx])]
    carried = _distinct_state_gradients(before, back)
    params = dict(zip(params, ensure_distinct(params.values()), strict=True))
    if dx is not None:
        (dx,) = ensure_distinct([dx], [*carried.values(), *params.values()])
    made = replace(
        derivation,
        step_graph=replace(
            equations,
            y=outputs[equations.y],
            new_states={name: outputs[node] for name, node in equations.new_states.items()},
            names={
                **{new.get(node, node): name for node, name in equations.names.items()},
                **equations.names,
            },
        ),
        dx=dx,
        dparams={name: params.get(name) for name in derivation.dparams},
        dstate_in={name: carried.get(name) for name in derivation.dstate_in},
        kept=tuple(new[node] for node in derivation.kept),
    )
    return _with_stored_trajectories(made)


def _with_stored_trajectories(derivation: StepGradient) -> StepGradient:
    """Copies of the carried gradients for everything that runs once the loop over time is through them.

    The array of a carried gradient has the rows of one step only, and the next step overwrites them.
    """
    back = _backward_nodes(derivation)
    late = _deferrable(derivation, back)
    late |= {node for node in back if node.op in SUMS and node.op != "row_sum"}

    def stored(operand: Node) -> Node:
        view = view_of(operand)
        assert view is not None  # copies.py saw to it
        return copy(operand, Level.STEP, "every step") if view.base.op == "dafter" else operand

    def rule(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        return rebuild(node, tuple(map(stored, inputs))) if node in late else None

    new = rewrite(derivation.backward_outputs, rule, fixed=set(derivation.kept))
    return replace(
        derivation,
        dx=None if derivation.dx is None else new[derivation.dx],
        dparams={name: node and new[node] for name, node in derivation.dparams.items()},
    )


def _backward_nodes(derivation: StepGradient) -> list[Node]:
    """Everything that the step back computes, inputs first."""
    available = set(derivation.kept)
    reached = ancestors(derivation.backward_outputs, stop=lambda node: node in available)
    return [node for node in reached if node not in available]


def _deferrable(derivation: StepGradient, nodes: Iterable[Node]) -> set[Node]:
    """The values of rows that can wait for the end of the loop: products, and what is made of them."""
    available = set(derivation.kept)
    carried = [node for node in derivation.dstate_in.values() if node is not None]
    loop = set(ancestors(carried, stop=lambda node: node in available))
    late: set[Node] = set()
    for node in nodes:
        if node.level == Level.ONCE or node in loop:
            continue
        if node.op in PRODUCTS or any(operand in late for operand in node.inputs):
            late.add(node)
    return late


def _distinct_output(node: Node) -> Node:
    """A result of the step forward in an array of its own, with a row for every step."""
    if is_computed(node) and node.level != Level.ONCE:
        return node
    return copy(node, Level.STEP)


def _distinct_state_gradients(before: Mapping[str, Node], outputs: Iterable[Node]) -> dict[str, Node]:
    """Gradients of the states, each in an array that nothing else reads: it is the next step's input."""
    used = users(ancestors(outputs))
    found: dict[str, Node] = {}
    for name, node in before.items():
        plain = (
            is_computed(node) and node.level != Level.ONCE and node not in used and node not in found.values()
        )
        found[name] = node if plain else copy(node, Level.STEP, f"gradient of {name}")
    return found


def forward_schedule(derivation: StepGradient) -> PassSchedule:
    """Plan the step forward."""
    outputs = derivation.forward_outputs
    nodes = ancestors(outputs)
    rows = [node for node in nodes if node.level != Level.ONCE]
    early = [node for node in rows if node.level == Level.SEQUENCE and node.op in PRODUCTS]
    sequence = [node for node in ancestors(early) if node.level != Level.ONCE]
    step = [node for node in rows if node not in set(sequence)]
    stores = dict.fromkeys(outputs, Storage.STEPS)
    stores |= dict.fromkeys(_values_read_by(step, sequence), Storage.STEPS)
    stores |= dict.fromkeys(_projected_per_step(early, sequence, outputs), Storage.BATCH)
    return _schedule(nodes, outputs, {"sequence": sequence, "step": step}, stores)


def _projected_per_step(
    early: Iterable[Node], sequence: Collection[Node], outputs: Collection[Node]
) -> list[Node]:
    """Products of x that only the step reads, and nobody after it, nor the sums that grow in their place."""
    elsewhere = {base for node in sequence for base in storage_bases(node)} | set(outputs)
    shares = inplace_sums(ancestors(outputs), outputs)
    return [
        node for node in early if node.inputs[0].op == "x" and not elsewhere & {node, shares.get(node, node)}
    ]


def step_with_copies(equations: StepGraph) -> StepGraph:
    """The equations with the copies it takes to run one step after the other, and no step back."""
    new = insert_copies(equations.outputs)
    return equations.map_nodes({**new, **{node: _distinct_output(new[node]) for node in equations.outputs}})


def decode_schedule(equations: StepGraph) -> PassSchedule:
    """Plan the step forward at a batch of one, for which nothing is kept and nothing known in advance."""
    outputs = equations.outputs
    nodes = ancestors(outputs)
    step = [node for node in nodes if node.level != Level.ONCE]
    return _schedule(nodes, outputs, {"step": step}, dict.fromkeys(outputs, Storage.BATCH))


def backward_schedule(derivation: StepGradient) -> PassSchedule:
    """Plan the step back."""
    outputs = derivation.backward_outputs
    nodes = _backward_nodes(derivation)
    late = _deferrable(derivation, nodes)
    carried = [node for node in derivation.dstate_in.values() if node is not None]
    rows = [node for node in nodes if node.level != Level.ONCE]
    step = [node for node in rows if node not in late]
    after = [node for node in rows if node in late]
    sums = [node for node in nodes if node.op in SUMS]
    stores = dict.fromkeys(carried, Storage.BATCH)
    if derivation.dx is not None:
        stores[derivation.dx] = Storage.STEPS
    whole = [node for node in sums if node.op != "row_sum"]
    stores |= dict.fromkeys(_values_read_by([*after, *whole], step), Storage.STEPS)
    for node in sums:
        (after if _sums_after_loop(node, stores, late) else step).append(node)
        stores[node] = Storage.SHARED
    return _schedule(nodes, outputs, {"step": step, "after": after}, stores)


def _sums_after_loop(node: Node, stores: Mapping[Node, Storage], late: Collection[Node]) -> bool:
    """Whether a sum over rows waits for the end of the loop: if all rows are stored by then anyway."""
    if node.op != "row_sum":
        return True
    view = view_of(node.inputs[0])
    if view is None or view.base in late:
        return True
    return view.is_whole and stores.get(view.base) == Storage.STEPS


def _values_read_by(readers: Iterable[Node], section: Iterable[Node]) -> list[Node]:
    """Values of a section that others read."""
    there = {node for node in section if is_computed(node)}
    return [base for node in readers for base in storage_bases(node) if base in there and node not in there]


def _schedule(
    nodes: list[Node], outputs: list[Node], parts: Mapping[str, list[Node]], stores: dict[Node, Storage]
) -> PassSchedule:
    """The sections of a pass."""
    shared = [node for node in nodes if node.level == Level.ONCE and node.op not in SUMS]
    late = _depend_on_sums(nodes)
    once = [node for node in shared if node not in late]
    final = [node for node in shared if node in late]
    where = {node: name for name, part in parts.items() for node in part}
    shares = inplace_sums(nodes, outputs)
    for base, node in shares.items():
        if where.get(base) != where.get(node):
            stores[base] = stores[node] = stores.get(base, Storage.STEPS)
    readers = [node for part in (*parts.values(), final) for node in part]
    stores |= dict.fromkeys(_values_read_by(readers, once), Storage.SHARED)
    stores |= {node: Storage.SHARED for node in outputs if node.level == Level.ONCE}
    parts = {"once": once, **parts, "final": final}
    sections = {
        name: plan_section(sorted(parts.get(name, ()), key=_index), stores, between, shares)
        for name, between in MATMUL_STORAGE.items()
    }
    everything = {node: store for each in sections.values() for node, store in each.stores.items()}
    return PassSchedule(sections, everything, shares)


def _index(node: Node) -> int:
    return node.index


def _depend_on_sums(nodes: Iterable[Node]) -> set[Node]:
    found: set[Node] = set()
    for node in nodes:
        if node.op in SUMS or any(operand in found for operand in node.inputs):
            found.add(node)
    return found
