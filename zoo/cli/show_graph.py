"""The kernels of a cell as text: equations by phase, saved and recomputed values, and costs."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from zoo.cli.terminal import WIDTH, bold, dim, indent
from zoo.compiler.explain import (
    Cost,
    Equation,
    Explanation,
    Item,
    LoopEquations,
    OperandFields,
    SavedValue,
    SectionEquations,
)
from zoo.compiler.ir.dims import Dim, as_dim
from zoo.compiler.printing import format_dim
from zoo.tables import align

_TEXT = 52  # column of the notes beside equations

_LEGEND = (
    "For a state h, h' is the state after the step, dh the gradient of h, and dh' the gradient from the next "
    "step. (H) @ (H, 4H) is the product of a vector of every sequence and a matrix. A loop runs over the "
    "elements of one sequence. Values that are not stored stay in registers. read_memory, read_scan, "
    "read_filter and read_convolution compute a state for all steps, and return what is read at each of them."
)
_FORWARD_TITLES = {
    "once": "once, from parameters alone",
    "sequence": "for all steps together, before the loop over time",
    "step": "at every step",
    "after": "for a chunk of steps together, after the loop over them",
    "final": "once, at the end",
}
_BACKWARD_TITLES = {
    **_FORWARD_TITLES,
    "sequence": "for a chunk of steps together, before the loop over them",
    "step": "at every step, from the last to the first",
    "final": "once, from sums over all steps",
}


def graph_lines(explanation: Explanation, input_size: int, hidden_size: int) -> Iterator[str]:
    """The lines of ``zoo show --graph``.

    Args:
        explanation: The explanation of the kernels.
        input_size: ``I`` for the costs.
        hidden_size: ``H`` for the costs.

    Raises:
        UsageError: if the cell does not support these sizes.
    """
    explanation.cell.param_shapes(input_size, hidden_size)
    explanation.cell.state_shapes(input_size, hidden_size)
    options = [f"{name}={value!r}" for name, value in explanation.cell.options.items()]
    yield f"{bold(explanation.cell.name)}  {dim(', '.join(['how its kernels run', *options]))}"
    yield ""
    yield from indent(textwrap.wrap(_LEGEND, WIDTH))
    yield from ("", bold("Forward"), *_sections(explanation.forward, _FORWARD_TITLES))
    if explanation.step_by_step:
        yield from ("", bold("Matrix states that are not computed for several steps at once"))
        for reason in explanation.step_by_step:
            yield from indent(textwrap.wrap(reason, WIDTH))
    yield from ("", bold("Saved for backward, for every step and sequence"), *indent(_saved(explanation)))
    yield from ("", bold("Backward"), *_sections(explanation.backward, _BACKWARD_TITLES))
    yield from ("", bold("Recomputed in the backward pass"), *indent(_recomputed(explanation)))
    yield from ("", bold(f"One step of one sequence, for I={input_size} and H={hidden_size}"))
    yield from indent(_costs(explanation, explanation.cell.size_values(input_size, hidden_size)))


def _sections(sections: Iterable[SectionEquations], titles: dict[str, str]) -> Iterator[str]:
    for section in sections:
        if section.items:
            yield f"  {dim(titles[section.name])}"
            for work in section.items:
                yield from indent(_work(work), 2)


def _work(work: Item) -> Iterator[str]:
    if isinstance(work, LoopEquations):
        yield f"one loop over {work.shape}" if work.shape != "()" else "one element"
        for equation in work.equations:
            yield f"  {_line(equation.text, *_marks(equation), width=_TEXT - 2)}"
        return
    parts = [f"its parts are {', '.join(work.slices)}"] if work.slices else []
    parts += [f"with {' and '.join(work.new_states)}"] if work.new_states else []
    yield _line(work.equation.text, "; ".join([work.shapes, *parts]), *_marks(work.equation), width=_TEXT)
    for fields in work.fields:
        yield f"  {dim(_fields(fields))}"


def _fields(fields: OperandFields) -> str:
    updates = f"for each of {fields.updates} updates, " if fields.updates > 1 else ""
    gradients = "gradients of " if fields.is_gradient else ""
    return f"{fields.operand}: {updates}{gradients}{', '.join(fields.names)}"


def _line(text: str, *notes: str, width: int) -> str:
    return f"{text:<{width}}  {dim('; '.join(notes))}" if notes else text


def _marks(equation: Equation) -> list[str]:
    return ["saved"] * equation.saved + ["recomputed"] * equation.recomputed


def _saved(explanation: Explanation) -> list[str]:
    rows = [[value.name, format_dim(value.elements), _saved_note(value)] for value in explanation.saved]
    return align([*rows, ["total", format_dim(explanation.saved_elements), "elements"]])


def _saved_note(value: SavedValue) -> str:
    if value.interval > 1:
        return f"one of {value.interval} steps is saved"
    return "which is the output" if value.is_output else ""


def _recomputed(explanation: Explanation) -> list[str]:
    names = dict.fromkeys(equation.name for equation in explanation.recomputed)
    return textwrap.wrap(", ".join(names), WIDTH) or ["nothing"]


def _costs(explanation: Explanation, sizes: dict[str, int]) -> list[str]:
    saved_bytes = as_dim(4) * explanation.saved_elements
    rows = [
        *_cost_rows("forward", explanation.forward_cost),
        *_cost_rows("backward", explanation.backward_cost),
        ("saved", "bytes in float32", saved_bytes),
        ("", "bytes in float64", as_dim(2) * saved_bytes),
    ]
    return align(
        [[when, what, format_dim(dim), f"{int(dim.evaluate(sizes)):,}"] for when, what, dim in rows],
        right=(3,),
    )


def _cost_rows(when: str, cost: Cost) -> list[tuple[str, str, Dim]]:
    return [
        (when, "flops in products", cost.products),
        ("", "the same for tokens", cost.by_tokens),
        ("", "element-wise operations", cost.arithmetic),
        ("", "values of tanh, exp and similar functions", cost.functions),
    ]
