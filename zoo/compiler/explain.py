"""What a plan says, as facts: what is computed when, kept, computed again, and what a step costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from zoo.compiler import schedule
from zoo.compiler.contents import joined, recomputed
from zoo.compiler.costs import NOTHING, Cost, cost_of
from zoo.compiler.derive import Plan, plan
from zoo.compiler.dims import Dim, product
from zoo.compiler.graph import Node
from zoo.compiler.notation import shape_text
from zoo.compiler.program import Pass
from zoo.compiler.structure import MATRIX_FUNCTIONS, SUMS
from zoo.compiler.wording import Wording
from zoo.contracts import Cell
from zoo.errors import UsageError


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
class Loop:
    """Values computed in one loop over the numbers of a row.

    Args:
        shape: What it runs over, ``(H)``.
        equations: What it computes, in order.
    """

    shape: str
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class Product:
    """A product of all rows at once, or a sum over all of them.

    Args:
        equation: ``a += h @ Wh``.
        shapes: ``(H) @ (H, 4H)``.
        parts: What the author calls the parts of the result.
    """

    equation: Equation
    shapes: str
    parts: tuple[str, ...] = ()


Work: TypeAlias = "Loop | Product"


@dataclass(frozen=True)
class Section:
    """What is computed in one go.

    Args:
        when: The section of :class:`zoo.compiler.program.Pass`: ``once``, ``sequence``, ``step``, ``after``
            or ``final``.
        work: Loops and products, in order; empty if nothing is.
    """

    when: str
    work: tuple[Work, ...]


@dataclass(frozen=True)
class Kept:
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
    forward: tuple[Section, ...]
    backward: tuple[Section, ...]
    kept: tuple[Kept, ...]
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


def _equations(work: Work) -> tuple[Equation, ...]:
    return work.equations if isinstance(work, Loop) else (work.equation,)


def explain(cell: Cell) -> Explanation:
    """Explain how the kernels of a cell run that has a ``step``.

    Raises:
        UsageError: if the cell brings its own kernels.
        DefinitionError: if its ``step`` cannot be compiled.
    """
    if not cell.is_derived():
        raise UsageError(f"{cell.label()} brings its own kernels: nothing is derived, so there is no plan.")
    found = plan(cell)
    teller = _Teller(found)
    return Explanation(
        cell,
        teller.sections(found.forward),
        teller.sections(found.backward),
        teller.kept(),
        cost_of(found.forward),
        cost_of(found.backward, found.derivation.dx),
        found.derivation.surrogate,
    )


class _Teller:
    """Reads the facts off a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.derivation = plan, plan.derivation
        self.wording = Wording(plan.derivation, plan.forward, plan.backward)
        self.again = recomputed(plan.derivation, plan.backward)
        self.tape = self._tape()
        self.told: set[Node] = set()

    def _tape(self) -> tuple[Node, ...]:
        """The values in the tape, each array once."""
        derivation = self.derivation
        courses = [derivation.equations.after[name] for name in derivation.trajectories]
        return tuple(dict.fromkeys(self.wording.held(node) for node in [*derivation.kept, *courses]))

    def kept(self) -> tuple[Kept, ...]:
        """What the tape holds."""
        y = self.wording.held(self.derivation.equations.y)
        return tuple(Kept(self.wording.give_name(node), product(node.shape), node is y) for node in self.tape)

    def sections(self, plan: Pass) -> tuple[Section, ...]:
        """Everything a pass does, in order."""
        return tuple(
            Section(name, tuple(work for item in section.items for work in self._work(item, plan)))
            for name, section in plan.sections.items()
        )

    def _work(self, item: schedule.Item, plan: Pass) -> Iterator[Work]:
        if isinstance(item, schedule.Product):
            yield self._product(item.node, plan)
            return
        last = {node: loop for loop in item.loops for node in joined(loop)}
        for loop in item.loops:
            whole = [node for node in joined(loop) if self.wording.has_name(node) and last[node] is loop]
            equations = tuple(self._equations([*loop.body, *whole], plan))
            if equations:
                yield Loop(shape_text(loop.shape), equations)

    def _equations(self, nodes: Iterable[Node], plan: Pass) -> Iterator[Equation]:
        for node in nodes:
            if node.op == "row_sum":
                yield self._equation(node, "+=", self.wording.operand(node.inputs[0]), plan)
            elif self.wording.has_name(node) or self.wording.is_long(node):
                yield self._equation(node, "=", self.wording.equation(node), plan)

    def _equation(self, node: Node, sign: str, text: str, plan: Pass) -> Equation:
        back = plan is self.plan.backward
        kept = not back and self.wording.held(node) in self.tape
        name = self.wording.give_name(node)
        return Equation(name, f"{name} {sign} {text}", kept, back and node in self.again)

    def _product(self, node: Node, plan: Pass) -> Product:
        sign, text = self._product_text(node)
        shapes = " @ ".join(shape_text(operand.shape) for operand in node.inputs[:2])
        if node.op in SUMS:
            shapes = f"{shape_text(node.shape)} summed over steps and rows"
        elif node.op in MATRIX_FUNCTIONS:
            shapes = ", ".join(shape_text(operand.shape) for operand in node.inputs)
        return Product(self._equation(node, sign, text, plan), shapes, self._parts(node))

    def _parts(self, node: Node) -> tuple[str, ...]:
        """The named parts of a value, told where it first appears as a product."""
        held = self.wording.held(node)
        parts = () if held in self.told else self.wording.windows(held)
        self.told.add(held)
        return parts

    def _product_text(self, node: Node) -> tuple[str, str]:
        if node.op in MATRIX_FUNCTIONS:
            return "=", self.wording.equation(node)
        a, *others = (self.wording.operand(operand, binding=5) for operand in node.inputs)
        if node.op in SUMS:
            return "+=", f"outer({a}, {others[0]})" if others else a
        text = f"{a} @ {others[0]}"
        if len(others) == 1:
            return "=", text
        grows = self.wording.held(node.inputs[2]) is self.wording.held(node)
        return ("+=", text) if grows else ("=", f"{text} + {others[1]}")


def _sum(dims: Iterable[Dim]) -> Dim:
    total = NOTHING
    for dim in dims:
        total = total + dim
    return total
