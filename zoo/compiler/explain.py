"""Values of a plan as a reader writes them: by name, or as an equation in terms of what has one.

What a plan says, as facts: what is computed when, kept, computed again, and what a step costs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from zoo.base import Cell
from zoo.compiler.codegen.writer import Names
from zoo.compiler.compile import KernelPlan, plan_kernels
from zoo.compiler.frontend.value_names import default_name
from zoo.compiler.ir.dims import GENERIC_SIZES, Dim, product
from zoo.compiler.ir.graph import Node
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import BROADCAST, ROW_SUM, SLICE
from zoo.compiler.ir.views import view_of
from zoo.compiler.passes.autodiff import StepGradient
from zoo.compiler.plan_values import (
    ZERO_COST,
    Cost,
    computed_values,
    concatenations,
    cost_of,
    explained_values,
    recomputed_values,
    values_read_outside,
)
from zoo.compiler.printing import EquationPrinter, format_shape
from zoo.compiler.schedule import phases
from zoo.compiler.schedule.sections import PassSchedule
from zoo.errors import UsageError

# A longer equation is told in two.
_MAX_EQUATION = 60


class PlanNames(EquationPrinter):
    """The names of all values of both passes, and equations in them.

    A state after the step has a prime, ``h'``; ``dh`` is the gradient by ``h``. What the author named keeps
    its name. What is stored, used twice or computed again is called after what it is made of,
    ``sigmoid_f``; the rest has no name, and stands in the equations of its users.

    Args:
        derivation: Both passes.
        forward: The plan of the one.
        backward: The plan of the other.
    """

    def __init__(self, derivation: StepGradient, forward: PassSchedule, backward: PassSchedule) -> None:
        self.author = derivation.step_graph.names
        self.names: dict[Node, str] = {}
        self.shares = {**forward.shares, **backward.shares}
        self._slices: dict[Node, list[Node]] = {}  # those that the author named, by what they are slices of
        self._wholes: dict[Node, str] = {}  # what the author calls a view of all of a value
        for view, name in self.author.items():
            if view.op == SLICE:
                self._slices.setdefault(self.held(view.inputs[0]), []).append(view)
            if (whole := _viewed_whole(view)) is not None:
                self._wholes.setdefault(whole, name)
        self._given = Names(set())  # names that stand for a value
        self._free = Names(set(self.author.values()))  # the same, and those of the author's to come
        for name, node in _declared_names(derivation):
            if self.held(node) not in self.names:
                self._call(self.held(node), name)
        again = values_read_outside(backward, recomputed_values(derivation, backward))
        for schedule in (forward, backward):
            wanted = again | explained_values(schedule)
            for node in dict.fromkeys(computed_values(schedule)):
                if node in wanted or node in self.author:
                    self.give_name(node)
                    self.windows(node)

    def held(self, node: Node) -> Node:
        """The value in whose array a value lies: a sum grows in one place."""
        return self.shares.get(node, node)

    def has_name(self, node: Node) -> bool:
        """Whether a value is told in an equation of its own."""
        return self.held(node) in self.names

    def give_name(self, node: Node) -> str:
        """The name of a value, which gets one if it has none."""
        node = self.held(node)
        if node not in self.names:
            authors = self.author.get(node) or self._wholes.get(node)
            free = self._free if authors is None else self._given
            self._call(node, free.fresh(authors or default_name(node, self._word)))
        return self.names[node]

    def _call(self, node: Node, name: str) -> None:
        self.names[node] = name
        self._given.taken.add(name)
        self._free.taken.add(name)

    def _word(self, node: Node) -> str:
        """What the author or a declaration calls a value."""
        declared = self.names.get(node, "").rstrip("'") if node.op.kind is Kind.LEAF else ""
        return self.author.get(node, declared)

    def windows(self, node: Node) -> tuple[str, ...]:
        """What the author calls the parts of a value, in order."""
        held = self.held(node)
        parts = sorted(self._slices.get(held, ()), key=_slice_offset)
        return tuple(dict.fromkeys(map(self.give_name, parts)))

    def is_long(self, node: Node) -> bool:
        """Whether an equation had better be told on its own."""
        return len(self.equation(node)) > _MAX_EQUATION


def _declared_names(derivation: StepGradient) -> Iterator[tuple[str, Node]]:
    """Names that follow from the declarations."""
    equations = derivation.step_graph
    leaves = {**equations.params, **equations.buffers, **equations.states, **equations.inputs}
    yield from (("x", equations.x), ("dy", derivation.dy), *leaves.items())
    yield from ((f"{name}'", node) for name, node in equations.new_states.items())
    yield "y", equations.y
    yield from ((f"d{name}'", node) for name, node in derivation.dstate_out.items())
    gradients = {"x": derivation.dx, **derivation.dstate_in, **derivation.dparams}
    yield from ((f"d{name}", node) for name, node in gradients.items() if node is not None)


def _viewed_whole(node: Node) -> Node | None:
    """What a view shows all of, if it does; None for what is no view."""
    view = view_of(node) if node.op.kind is Kind.VIEW else None
    return view.base if view is not None and node.op != BROADCAST and view.is_whole else None


def _slice_offset(view: Node) -> int:
    found = view_of(view)
    return 0 if found is None else int(found.offset.evaluate(GENERIC_SIZES))


@dataclass(frozen=True)
class Equation:
    """One value.

    Args:
        name: ``c'``.
        text: ``c' = sigmoid_f * c + sigmoid_i * tanh_g``.
        kept: Whether the way forward keeps it for the way back.
        again: Whether the way back computes it again.
    """

    name: str
    text: str
    kept: bool = False
    again: bool = False


@dataclass(frozen=True)
class LoopEquations:
    """Values computed in one loop over the numbers of a row.

    Args:
        shape: What it runs over, ``(H)``.
        equations: What it computes, in order.
    """

    shape: str
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class MatmulEquation:
    """A product of all rows at once, or a sum over all of them.

    Args:
        equation: ``a += h @ Wh``.
        shapes: ``(H) @ (H, 4H)``.
        parts: What the author calls the parts of the result.
    """

    equation: Equation
    shapes: str
    parts: tuple[str, ...] = ()


Item: TypeAlias = "LoopEquations | MatmulEquation"


@dataclass(frozen=True)
class SectionEquations:
    """What is computed in one go.

    Args:
        when: The section of the schedule: ``once``, ``sequence``, ``step``, ``after`` or ``final``.
        work: Loops and products, in order; empty if nothing is.
    """

    when: str
    work: tuple[Item, ...]


@dataclass(frozen=True)
class SavedValue:
    """What the way forward keeps of every step and row.

    Args:
        name: Of the value.
        numbers: How many.
        is_output: Whether it is kept anyway, as the output.
    """

    name: str
    numbers: Dim
    is_output: bool


@dataclass(frozen=True)
class Explanation:
    """How the kernels of a cell run.

    Args:
        cell: Whose they are.
        forward: Sections of the way forward.
        backward: Sections of the way back.
        kept: What the one keeps for the other.
        forward_cost: Of the way forward.
        backward_cost: Of the way back.
        surrogate: Whether some derivative is on purpose not that of the function computed.
    """

    cell: Cell
    forward: tuple[SectionEquations, ...]
    backward: tuple[SectionEquations, ...]
    kept: tuple[SavedValue, ...]
    forward_cost: Cost
    backward_cost: Cost
    surrogate: bool

    @property
    def numbers_kept(self) -> Dim:
        """Numbers kept of every step and row."""
        return _sum(kept.numbers for kept in self.kept)

    @property
    def again(self) -> tuple[Equation, ...]:
        """What the way back computes again."""
        work = [each for section in self.backward for each in section.work]
        found = [equation for each in work for equation in _equations(each) if equation.again]
        return tuple(found)


def _equations(work: Item) -> tuple[Equation, ...]:
    return work.equations if isinstance(work, LoopEquations) else (work.equation,)


def explain(cell: Cell) -> Explanation:
    """Explain how the kernels of a cell run that has a ``step``.

    Raises:
        UsageError: if the cell brings its own kernels.
        DefinitionError: if its ``step`` cannot be compiled.
    """
    if not cell.is_derived():
        raise UsageError(f"{cell.label()} brings its own kernels: nothing is derived, so there is no plan.")
    found = plan_kernels(cell)
    teller = _PlanReader(found)
    return Explanation(
        cell,
        teller.sections(found.forward),
        teller.sections(found.backward),
        teller.kept(),
        cost_of(found.forward),
        cost_of(found.backward, found.gradient.dx),
        found.gradient.surrogate,
    )


class _PlanReader:
    """Reads the facts off a plan."""

    def __init__(self, plan: KernelPlan) -> None:
        self.plan, self.derivation = plan, plan.gradient
        self.wording = PlanNames(plan.gradient, plan.forward, plan.backward)
        self.again = recomputed_values(plan.gradient, plan.backward)
        self.tape = self._tape()
        self.told: set[Node] = set()

    def _tape(self) -> tuple[Node, ...]:
        """The values in the tape, each array once."""
        derivation = self.derivation
        courses = [derivation.step_graph.new_states[name] for name in derivation.trajectories]
        return tuple(dict.fromkeys(self.wording.held(node) for node in [*derivation.saved, *courses]))

    def kept(self) -> tuple[SavedValue, ...]:
        """What the tape holds."""
        y = self.wording.held(self.derivation.step_graph.y)
        return tuple(
            SavedValue(self.wording.give_name(node), product(node.shape), node is y) for node in self.tape
        )

    def sections(self, plan: PassSchedule) -> tuple[SectionEquations, ...]:
        """Everything a pass does, in order."""
        return tuple(
            SectionEquations(name, tuple(work for item in section.items for work in self._work(item, plan)))
            for name, section in plan.sections.items()
        )

    def _work(self, item: phases.Item, plan: PassSchedule) -> Iterator[Item]:
        if isinstance(item, phases.MatmulItem):
            yield self._product(item.node, plan)
            return
        last = {node: loop for loop in item.loops for node in concatenations(loop)}
        for loop in item.loops:
            whole = [
                node for node in concatenations(loop) if self.wording.has_name(node) and last[node] is loop
            ]
            equations = tuple(self._equations([*loop.body, *whole], plan))
            if equations:
                yield LoopEquations(format_shape(loop.shape), equations)

    def _equations(self, nodes: Iterable[Node], plan: PassSchedule) -> Iterator[Equation]:
        for node in nodes:
            if node.op == ROW_SUM:
                yield self._equation(node, "+=", self.wording.operand(node.inputs[0]), plan)
            elif self.wording.has_name(node) or self.wording.is_long(node):
                yield self._equation(node, "=", self.wording.equation(node), plan)

    def _equation(self, node: Node, sign: str, text: str, plan: PassSchedule) -> Equation:
        back = plan is self.plan.backward
        kept = not back and self.wording.held(node) in self.tape
        name = self.wording.give_name(node)
        return Equation(name, f"{name} {sign} {text}", kept, back and node in self.again)

    def _product(self, node: Node, plan: PassSchedule) -> MatmulEquation:
        sign, text = self._product_text(node)
        shapes = " @ ".join(format_shape(operand.shape) for operand in node.inputs[:2])
        if node.op.sums_rows:
            shapes = f"{format_shape(node.shape)} summed over steps and rows"
        elif node.op.kind is Kind.MATRIX_FUNCTION:
            shapes = ", ".join(format_shape(operand.shape) for operand in node.inputs)
        return MatmulEquation(self._equation(node, sign, text, plan), shapes, self._parts(node))

    def _parts(self, node: Node) -> tuple[str, ...]:
        """The named parts of a value, told where it first appears as a product."""
        held = self.wording.held(node)
        parts = () if held in self.told else self.wording.windows(held)
        self.told.add(held)
        return parts

    def _product_text(self, node: Node) -> tuple[str, str]:
        if node.op.kind is Kind.MATRIX_FUNCTION:
            return "=", self.wording.equation(node)
        a, *others = (self.wording.operand(operand, precedence=5) for operand in node.inputs)
        if node.op.sums_rows:
            return "+=", f"outer({a}, {others[0]})" if others else a
        text = f"{a} @ {others[0]}"
        if len(others) == 1:
            return "=", text
        grows = self.wording.held(node.inputs[2]) is self.wording.held(node)
        return ("+=", text) if grows else ("=", f"{text} + {others[1]}")


def _sum(dims: Iterable[Dim]) -> Dim:
    total = ZERO_COST
    for dim in dims:
        total = total + dim
    return total
