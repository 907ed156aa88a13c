"""Explanation of kernels: the values of each section, what is saved and recomputed, and the costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from zoo.base import Cell
from zoo.compiler.compile import KernelPlan, plan_kernels
from zoo.compiler.frontend.trace_step import step_graph_of
from zoo.compiler.ir.dims import GENERIC_SIZES, Dim, as_dim, product
from zoo.compiler.ir.elementwise_ops import COPY
from zoo.compiler.ir.graph import Node, ancestors, view_of
from zoo.compiler.ir.memory_ops import (
    FACTORS_GRADIENT,
    FILTER,
    MEMORY,
    READ_OPS,
    SCAN,
    ConvolutionForm,
    FilterForm,
    ScanForm,
    SequenceForm,
    states_of,
)
from zoo.compiler.ir.op_table import Kind
from zoo.compiler.ir.structural_ops import CONCAT, ROW_SUM, SLICE, X
from zoo.compiler.passes.autodiff import StepGradient
from zoo.compiler.passes.sequence_states import step_by_step_reasons
from zoo.compiler.printing import EquationPrinter, format_shape
from zoo.compiler.schedule.fusion import FusedLoop
from zoo.compiler.schedule.phases import Item as ScheduleItem
from zoo.compiler.schedule.phases import MatmulItem, RowLoops, is_matmul_item, storage_bases
from zoo.compiler.schedule.sections import PassSchedule
from zoo.errors import UsageError
from zoo.kernels.memory_chunk import CHUNK

# Nesting of concatenations in one equation.
_MAX_DEPTH = 3

_SUM_KINDS = (Kind.REDUCTION, Kind.SCAN, Kind.OUTER, Kind.ROW_SUM)


def computed_values(schedule: PassSchedule) -> Iterator[Node]:
    """The values that a pass computes, in order."""
    for section in schedule.sections.values():
        for item in section.items:
            if isinstance(item, RowLoops):
                for loop in item.loops:
                    yield from (*loop.body, *concatenations(loop))
            else:
                yield item.node


def concatenations(loop: FusedLoop) -> list[Node]:
    """The concatenations whose parts a loop stores."""
    return list(dict.fromkeys(view.base for _, view in loop.stores if view.base.op == CONCAT))


def recomputed_values(derivation: StepGradient, backward: PassSchedule) -> set[Node]:
    """Values of the forward pass that the backward pass recomputes."""
    return set(computed_values(backward)) & set(ancestors(derivation.forward_outputs))


def values_read_outside(schedule: PassSchedule, inner: Container[Node]) -> set[Node]:
    """The values among ``inner`` that other values read."""
    return {
        base
        for node in computed_values(schedule)
        if node not in inner
        for base in storage_bases(node)
        if base in inner
    }


def explained_values(schedule: PassSchedule) -> set[Node]:
    """The values with an equation of their own; a concatenation only if it is deeply nested."""
    nodes = list(dict.fromkeys(computed_values(schedule)))
    uses = Counter(base for node in nodes for base in storage_bases(node))
    several = {node for node, count in uses.items() if count > 1}
    parts = {base for node in nodes if node.op == CONCAT for base in storage_bases(node)}
    sums = {node for node in nodes if is_matmul_item(node) or node.op.kind in _SUM_KINDS}
    plain = {node for node in nodes if node.op != CONCAT}
    operands = {base for node in nodes if node.op.kind is Kind.MEMORY for base in storage_bases(node)}
    # The operands of each of several updates, too.
    updates = {
        base for node in operands if node.op == CONCAT and node.attr == 0 for base in storage_bases(node)
    }
    memory_operands = operands | updates
    explained = plain & (sums | several | parts | schedule.layouts.keys())
    return explained | memory_operands & set(nodes) | _deep_concatenations(nodes, several)


def _deep_concatenations(nodes: Iterable[Node], several: Container[Node]) -> set[Node]:
    """Nested concatenations that are read twice or are too deep to inline."""
    deep: set[Node] = set()
    depth: dict[Node, int] = {}
    for node in nodes:
        if node.op == CONCAT:
            inlined = [base for base in storage_bases(node) if base not in deep]
            depth[node] = 1 + max((depth.get(base, 0) for base in inlined), default=0)
            if depth[node] > 1 and (node in several or depth[node] > _MAX_DEPTH):
                deep.add(node)
    return deep


ZERO_COST = as_dim(0)


@dataclass(frozen=True)
class Cost:
    """The cost of one step of one row, as polynomials in I and H.

    Args:
        products: Floating point operations in matrix products, two for each multiply-add, for a dense x.
        by_tokens: The same for tokens, which select rows of a matrix.
        arithmetic: Element-wise operations and additions.
        functions: Evaluations of tanh, exp and other expensive functions.
    """

    products: Dim
    by_tokens: Dim
    arithmetic: Dim
    functions: Dim


def cost_of(schedule: PassSchedule) -> Cost:
    """Count the sections that run for every step."""
    counts = _CostCounter()
    for section in ("sequence", "step", "after"):
        for item in schedule.sections[section].items:
            if isinstance(item, MatmulItem):
                counts.add_product(item.node, item.node in schedule.dx_products)
            else:
                counts.add_loops(item.loops)
    return Cost(counts.products, counts.by_tokens, counts.arithmetic, counts.functions)


def weights_of_step(schedule: PassSchedule) -> Dim:
    """Elements of the matrices that every time step multiplies with, in the loop over time."""
    items = schedule.sections["step"].items
    products = [item.node for item in items if isinstance(item, MatmulItem)]
    sizes = [product(node.inputs[1].shape) for node in products if node.op.kind is Kind.MATMUL]
    return sum(sizes, ZERO_COST)


@dataclass
class _CostCounter:
    products: Dim = ZERO_COST
    by_tokens: Dim = ZERO_COST
    arithmetic: Dim = ZERO_COST
    functions: Dim = ZERO_COST

    def add_product(self, node: Node, is_dx: bool) -> None:
        if node.op == ROW_SUM:
            self.arithmetic += product(node.shape)
            return
        if node.op == FACTORS_GRADIENT:  # counted with the kernel that adds it up
            return
        if node.op.kind is Kind.MEMORY:
            form: SequenceForm = node.attr
            shape = form.factors_shape if isinstance(form, ConvolutionForm) else (form.heads, form.elements)
            elements = product(shape)
            self.arithmetic += as_dim(_memory_operations(node)) * elements
            self.functions += elements if isinstance(form, ScanForm) else ZERO_COST
            return
        a, b, *_ = node.inputs
        flops = as_dim(2) * product(a.shape) * b.shape[-1]
        self.products += flops
        if a.op != X and not is_dx:
            self.by_tokens += flops

    def add_loops(self, loops: Iterable[FusedLoop]) -> None:
        for loop in loops:
            for node in loop.body:
                self._add(node, product(loop.shape))

    def _add(self, node: Node, elements: Dim) -> None:
        if node.op == COPY:
            return
        if node.op.kind is Kind.ELEMENTWISE and node.op.expensive:
            self.functions += elements
        elif node.op.kind in (Kind.ELEMENTWISE, *_SUM_KINDS):
            self.arithmetic += elements


def _memory_operations(node: Node) -> int:
    """Operations of a step for each element of a state or a window, except exponential functions."""
    form: SequenceForm = node.attr
    if isinstance(form, ConvolutionForm):
        return 2 if node.op in READ_OPS else 4
    if isinstance(form, FilterForm):
        return (3 + form.planes) * (2 if node.op == FILTER else 6)
    if isinstance(form, ScanForm):
        return 6 if node.op == SCAN else 20
    forward = 2 + 2 * form.writes + bool(form.decays) + 3 * bool(form.rotations) + 2 * form.has_probe
    forward += 3 * bool(form.momentum)  # two products and a sum
    backward = forward + 7 + 4 * form.writes + 4 * form.has_probe
    return form.updates * (forward if node.op == MEMORY else backward)


def _saved_memory(form: SequenceForm, state: str) -> SavedValue:
    """The saved part of a state that kernels compute for all steps."""
    interval = CHUNK // form.updates
    elements = (form.heads * form.elements).divide(as_dim(interval))
    assert elements is not None  # a number divides every size
    return SavedValue(f"{state}'", elements, interval=interval)


def _form_shape(form: SequenceForm) -> str:
    """The size of a state that kernels compute for all steps."""
    if isinstance(form, ConvolutionForm):
        return f"window {format_shape(form.factors_shape)}"
    return f"memory {format_shape((form.heads, form.depth, form.width))}"


# A longer equation becomes two.
_MAX_EQUATION = 48


class PlanPrinter(EquationPrinter):
    """Writes the values of both passes with the names of the kernels
    (:mod:`zoo.compiler.frontend.value_names`).

    A state after the step has a prime, ``h'``. ``dh`` is the gradient of ``h``. Values that the author named,
    that are stored, used twice or recomputed have an equation of their own. The others are written where they
    are used.

    Args:
        plan: The plan.
    """

    def __init__(self, plan: KernelPlan) -> None:
        gradient, graph = plan.gradient, plan.gradient.step_graph
        self.values, self.author = plan.names, graph.names
        self.shares = {**plan.forward.shares, **plan.backward.shares}
        self.primed = {*graph.new_states.values(), *gradient.dstate_out.values()}
        self._slices: dict[Node, list[Node]] = {}  # slices that the author named, by their base
        for view in self.author:
            if view.op == SLICE:
                self._slices.setdefault(self.stored_in(view.inputs[0]), []).append(view)
        leaves = [*graph.params.values(), *graph.buffers.values(), *graph.states.values()]
        gradients = [gradient.dx, *gradient.dstate_in.values(), *gradient.dparams.values()]
        declared = [graph.x, *leaves, *graph.inputs.values(), *graph.outputs]
        declared += [gradient.dy, *gradient.dstate_out.values(), *filter(None, gradients)]
        self.named = set(map(self.stored_in, declared))
        recomputed = values_read_outside(plan.backward, recomputed_values(gradient, plan.backward))
        for schedule in (plan.forward, plan.backward):
            explained = recomputed | explained_values(schedule)
            for node in dict.fromkeys(computed_values(schedule)):
                if node in explained or node in self.author:
                    self.named.add(self.stored_in(node))
                    self.slices(node)

    def stored_in(self, node: Node) -> Node:
        """The value whose array holds a value: a sum accumulates in one array."""
        return self.shares.get(node, node)

    def has_name(self, node: Node) -> bool:
        """Whether a value has an equation of its own."""
        return self.stored_in(node) in self.named

    def give_name(self, node: Node) -> str:
        """The name of a value, which has an equation from now on."""
        node = self.stored_in(node)
        self.named.add(node)
        return f"{self.values.name(node)}{chr(39) * (node in self.primed)}"

    def slices(self, node: Node) -> tuple[str, ...]:
        """The author's names of the slices of a value, in order."""
        slices = sorted(self._slices.get(self.stored_in(node), ()), key=_slice_offset)
        return tuple(dict.fromkeys(map(self.give_name, slices)))

    def is_long(self, node: Node) -> bool:
        """Whether the equation of a value is too long to be part of another."""
        return len(self.equation(node)) > _MAX_EQUATION


def _slice_offset(node: Node) -> int:
    view = view_of(node)
    return 0 if view is None else int(view.offset.evaluate(GENERIC_SIZES))


@dataclass(frozen=True)
class Equation:
    """One value.

    Args:
        name: ``c'``.
        text: ``c' = sigmoid_f * c + sigmoid_i * tanh_g``.
        saved: Whether the forward pass saves it for the backward pass.
        recomputed: Whether the backward pass recomputes it.
    """

    name: str
    text: str
    saved: bool = False
    recomputed: bool = False


@dataclass(frozen=True)
class LoopEquations:
    """Values of one fused loop.

    Args:
        shape: The shape that it runs over, ``(H)``.
        equations: Its values, in order.
    """

    shape: str
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class OperandFields:
    """The parts of an operand of a state that kernels compute for all steps.

    Args:
        operand: The operand, ``concat``; of a gradient, the gradient itself.
        names: Names of its parts, in order: ``value``, ``key``, ``query``, ``decay``.
        updates: Updates of a step, each of which has such parts.
        is_gradient: Whether these are the gradients of the parts.
    """

    operand: str
    names: tuple[str, ...]
    updates: int
    is_gradient: bool


@dataclass(frozen=True)
class MatmulEquation:
    """A matrix product of all rows, or a sum over them.

    Args:
        equation: ``a += h @ Wh``.
        shapes: ``(H) @ (H, 4H)``.
        slices: The author's names of slices of the result.
        new_states: The states that it also computes, for example ``S'``.
        fields: The parts of the operands of such a state, or of their gradient.
    """

    equation: Equation
    shapes: str
    slices: tuple[str, ...] = ()
    new_states: tuple[str, ...] = ()
    fields: tuple[OperandFields, ...] = ()


Item: TypeAlias = "LoopEquations | MatmulEquation"


@dataclass(frozen=True)
class SectionEquations:
    """One section of a pass.

    Args:
        name: ``once``, ``sequence``, ``step``, ``after`` or ``final``, as in the schedule.
        items: Loops and products, in order.
    """

    name: str
    items: tuple[Item, ...]


@dataclass(frozen=True)
class SavedValue:
    """A value that the forward pass saves for every step and sequence.

    Args:
        name: Its name.
        elements: Its number of elements, divided by ``interval``.
        is_output: Whether it is stored anyway, as the output.
        interval: Steps from one to the next; more than one for a state that kernels compute for all steps.
    """

    name: str
    elements: Dim
    is_output: bool = False
    interval: int = 1


@dataclass(frozen=True)
class Explanation:
    """The plan of the kernels of a cell.

    Args:
        cell: The cell.
        forward: Sections of the forward pass.
        backward: Sections of the backward pass.
        saved: Values that the forward pass saves for the backward pass.
        forward_cost: Cost of the forward pass.
        backward_cost: Cost of the backward pass.
        surrogate: Whether the step declares a derivative other than the derivative of its function.
        step_by_step: Why states that are matrices are not computed for several steps at once.
    """

    cell: Cell
    forward: tuple[SectionEquations, ...]
    backward: tuple[SectionEquations, ...]
    saved: tuple[SavedValue, ...]
    forward_cost: Cost
    backward_cost: Cost
    surrogate: bool
    step_by_step: tuple[str, ...]

    @property
    def saved_elements(self) -> Dim:
        """Elements saved for every step and sequence."""
        return sum((value.elements for value in self.saved), ZERO_COST)

    @property
    def recomputed(self) -> tuple[Equation, ...]:
        """The values that the backward pass recomputes."""
        items = [item for section in self.backward for item in section.items]
        return tuple(equation for item in items for equation in _equations(item) if equation.recomputed)


def _equations(item: Item) -> tuple[Equation, ...]:
    return item.equations if isinstance(item, LoopEquations) else (item.equation,)


def explain(cell: Cell) -> Explanation:
    """Explain the kernels of a cell that has a ``step``.

    Raises:
        UsageError: if the cell has its own kernels.
        DefinitionError: if its ``step`` cannot be compiled.
    """
    if not cell.is_derived():
        raise UsageError(f"{cell.label()} has its own kernels: nothing is derived, so there is no plan.")
    plan = plan_kernels(cell)
    reader = _PlanReader(plan)
    return Explanation(
        cell,
        reader.sections(plan.forward),
        reader.sections(plan.backward),
        reader.saved_values(),
        cost_of(plan.forward),
        cost_of(plan.backward),
        plan.gradient.surrogate,
        step_by_step_reasons(step_graph_of(cell)),
    )


class _PlanReader:
    """Collects the parts of an explanation from a plan."""

    def __init__(self, plan: KernelPlan) -> None:
        self.plan, self.gradient = plan, plan.gradient
        self.printer = PlanPrinter(plan)
        self.recomputed = recomputed_values(plan.gradient, plan.backward)
        states = [self.gradient.step_graph.new_states[name] for name in self.gradient.trajectories]
        stored = [self.printer.stored_in(node) for node in [*self.gradient.saved, *states]]
        self.tape = tuple(dict.fromkeys(stored))
        self.listed: set[Node] = set()

    def saved_values(self) -> tuple[SavedValue, ...]:
        """The values on the tape, each array once."""
        step_graph = self.gradient.step_graph
        y, name = self.printer.stored_in(step_graph.y), self.printer.give_name
        values = [SavedValue(name(node), product(node.shape), node is y) for node in self.tape]
        memories = [_saved_memory(node.attr, state) for state, node in step_graph.memories.items()]
        return (*values, *memories)

    def sections(self, schedule: PassSchedule) -> tuple[SectionEquations, ...]:
        """The sections of a pass, in order."""
        return tuple(
            SectionEquations(
                name, tuple(each for item in section.items for each in self._items(item, schedule))
            )
            for name, section in schedule.sections.items()
        )

    def _items(self, item: ScheduleItem, schedule: PassSchedule) -> Iterator[Item]:
        if isinstance(item, MatmulItem):
            yield self._matmul(item.node, schedule)
            return
        last = {node: loop for loop in item.loops for node in concatenations(loop)}
        for loop in item.loops:
            complete = [
                node for node in concatenations(loop) if self.printer.has_name(node) and last[node] is loop
            ]
            equations = tuple(self._loop_equations([*loop.body, *complete], schedule))
            if equations:
                yield LoopEquations(format_shape(loop.shape), equations)

    def _loop_equations(self, nodes: Iterable[Node], schedule: PassSchedule) -> Iterator[Equation]:
        printer = self.printer
        for node in nodes:
            if node.op == ROW_SUM:
                yield self._equation(node, "+=", printer.operand(node.inputs[0]), schedule)
            elif printer.has_name(node) or printer.is_long(node):
                yield self._equation(node, "=", printer.equation(node), schedule)

    def _equation(self, node: Node, sign: str, text: str, schedule: PassSchedule) -> Equation:
        is_backward = schedule is self.plan.backward
        saved = not is_backward and self.printer.stored_in(node) in self.tape
        name = self.printer.give_name(node)
        return Equation(name, f"{name} {sign} {text}", saved, is_backward and node in self.recomputed)

    def _matmul(self, node: Node, schedule: PassSchedule) -> MatmulEquation:
        sign, text = self._matmul_text(node)
        shapes = " @ ".join(format_shape(operand.shape) for operand in node.inputs[:2])
        if node.op.sums_rows:
            shapes = f"{format_shape(node.shape)} summed over steps and rows"
        elif node.op.kind is Kind.MEMORY:
            shapes = _form_shape(node.attr)
        elif node.op.kind is Kind.MATRIX_FUNCTION:
            shapes = ", ".join(format_shape(operand.shape) for operand in node.inputs)
        new_states = tuple(f"{name}'" for name in states_of(node.attr)) if node.op in READ_OPS else ()
        equation = self._equation(node, sign, text, schedule)
        return MatmulEquation(equation, shapes, self._slices(node), new_states, tuple(self._fields(node)))

    def _fields(self, node: Node) -> Iterator[OperandFields]:
        """The parts of the operands of a state that kernels compute for all steps, or of their gradient."""
        if node.op.kind is not Kind.MEMORY:
            return
        form: SequenceForm = node.attr
        is_gradient = node.op not in READ_OPS
        operands = [node] if is_gradient else node.inputs
        for operand, names in zip(operands, form.fields, strict=False):
            yield OperandFields(self.printer.operand(operand), names, form.updates, is_gradient)

    def _slices(self, node: Node) -> tuple[str, ...]:
        """The named slices of a value, at the first product of the value only."""
        stored = self.printer.stored_in(node)
        slices = () if stored in self.listed else self.printer.slices(stored)
        self.listed.add(stored)
        return slices

    def _matmul_text(self, node: Node) -> tuple[str, str]:
        if node.op.kind in (Kind.MATRIX_FUNCTION, Kind.MEMORY):
            return "=", self.printer.equation(node)
        a, *others = (self.printer.operand(operand, precedence=5) for operand in node.inputs)
        if node.op.sums_rows:
            return "+=", f"outer({a}, {others[0]})" if others else a
        text = f"{a} @ {others[0]}"
        if len(others) == 1:
            return "=", text
        in_place = self.printer.stored_in(node.inputs[2]) is self.printer.stored_in(node)
        return ("+=", text) if in_place else ("=", f"{text} + {others[1]}")
