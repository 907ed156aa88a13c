"""The page of one cell in Markdown: equations, a diagram of one step, arrays, options, costs, reference."""

from __future__ import annotations

import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace

from zoo.base import Cell, Component
from zoo.base.card import SCOPES, UNPUBLISHED
from zoo.cell_pages import GENERATED_MARK
from zoo.cell_pages.cell_info import HIDDEN_SIZE, INPUT_SIZE
from zoo.cell_pages.cell_tables import declaration_tables
from zoo.compiler.compile import plan_kernels
from zoo.compiler.explain import Cost, cost_of, explain
from zoo.compiler.frontend.trace_step import TraceableValue, step_graph_of
from zoo.compiler.frontend.value_names import SQUASHING_RANGES
from zoo.compiler.ir.dims import Dim
from zoo.compiler.printing import format_dim, format_shape
from zoo.errors import UsageError
from zoo.layers.direction import tape_elements_per_token
from zoo.layers.tracing import cell_gates, cell_trace_values
from zoo.tables import TextTable

WIDTH = 120


def prose(text: str) -> str:
    """A line of a docstring with its code and with Markdown characters escaped."""
    parts = re.split(r"``(.+?)``", text)
    return "".join(f"`{part}`" if odd % 2 else _escaped(part) for odd, part in enumerate(parts))


def _escaped(text: str) -> str:
    return re.sub(r"([\\*`\[\]])", r"\\\1", text).replace("<", "&lt;")


def document(docstring: str) -> Iterator[str]:
    """The lines of a docstring: paragraphs, and literal blocks after a double colon."""
    for block in re.split(r"\n\s*\n", docstring.strip("\n")):
        lines = block.splitlines()
        if lines[0].startswith("    "):
            yield from ("```text", *textwrap.dedent(block).splitlines(), "```", "")
        else:
            paragraph = re.sub(r"::$", ":", " ".join(line.strip() for line in lines))
            yield from (*wrapped(prose(paragraph)), "")


def wrapped(text: str) -> list[str]:
    """The lines of a paragraph."""
    return textwrap.wrap(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def link(text: str, url: str) -> str:
    """A link, with the parentheses of the address escaped."""
    return f"[{_escaped(text)}]({url.replace('(', '%28').replace(')', '%29')})"


@dataclass(frozen=True)
class CostRow:
    """One quantity.

    Args:
        what: Name of the quantity.
        formula: The quantity in letters; empty if only the number is known.
        count: The number for the sizes of :mod:`zoo.cell_pages.cell_info`; None if they are invalid.
    """

    what: str
    formula: str
    count: int | None


def cost_rows(cell: Cell) -> list[CostRow]:
    """Sizes of a cell, and the costs of its step if it has one.

    Raises:
        DefinitionError: if its ``step`` cannot be compiled.
    """
    sizes = (INPUT_SIZE, HIDDEN_SIZE)
    fits = _has_default_size(cell)
    return [
        CostRow("parameters", cell.parameter_formula(), cell.parameter_count(*sizes) if fits else None),
        CostRow("state size", cell.state_formula(), cell.state_size(*sizes) if fits else None),
        *(_planned_rows(cell, fits) if cell.has_step() else ()),
        _saved_row(cell, fits),
    ]


def _has_default_size(cell: Cell) -> bool:
    try:
        cell.param_shapes(INPUT_SIZE, HIDDEN_SIZE), cell.state_shapes(INPUT_SIZE, HIDDEN_SIZE)
    except UsageError:
        return False
    return True


def _planned_rows(cell: Cell, fits: bool) -> list[CostRow]:

    plan = plan_kernels(cell)
    forward, backward = cost_of(plan.forward), cost_of(plan.backward, plan.gradient.dx)
    return [*_pass_rows("forward", forward, fits), *_pass_rows("backward", backward, fits)]


def _pass_rows(name: str, cost: Cost, fits: bool) -> Iterator[CostRow]:
    yield _cost_row(f"flops in matrix products, {name}", cost.products, fits)
    yield _cost_row("the same for tokens", cost.by_tokens, fits)
    yield _cost_row(f"element-wise operations, {name}", cost.arithmetic, fits)
    yield _cost_row(f"values of tanh, exp and the like, {name}", cost.functions, fits)


def _cost_row(what: str, dim: Dim, fits: bool) -> CostRow:

    return CostRow(
        what, format_dim(dim), int(dim.evaluate({"I": INPUT_SIZE, "H": HIDDEN_SIZE})) if fits else None
    )


def _saved_row(cell: Cell, fits: bool) -> CostRow:

    what = "elements saved for backward"
    if cell.is_derived():
        return _cost_row(what, explain(cell).saved_elements, fits)
    return CostRow(what, "", tape_elements_per_token(cell, INPUT_SIZE, HIDDEN_SIZE) if fits else None)


_CAPTION = (
    "One step with default options. Blue: arguments. Grey: parameters and buffers. Green: results. {0}' is "
    "the state {0} after the step."
)


def cell_page(cls: type[Cell], index: str = "") -> str:
    """The page of a cell.

    Args:
        cls: The cell.
        index: Address of the page with all cells; empty for none.

    Raises:
        DefinitionError: if its ``step`` cannot be compiled.
    """
    return "\n".join(_lines(cls, index)).rstrip("\n") + "\n"


def _lines(cls: type[Cell], index: str) -> Iterator[str]:
    doc = (inspect.getdoc(cls) or "").strip()
    summary, _, rest = doc.partition("\n\n")
    yield from (GENERATED_MARK, "", f"# {cls.name}", "", *document(summary))
    yield from (*wrapped(_origin(cls, index)), "")
    if cls.has_step():
        caption = wrapped(_CAPTION.format(next(iter(cls.states))))
        yield from (f"![One step of {cls.name}]({cls.name}.svg)", "", *caption, "")
    else:
        yield from ("It brings its own kernels and has no step, so there is no diagram.", "")
    yield from document(rest) if rest else ()
    yield from ("## Arrays and options", "", *_declarations(cls))
    yield from ("## One step of one row", "", *_costs(cls))
    yield from ("## Reference", "", *_reference(cls))


def _origin(cls: type[Cell], index: str) -> str:
    family = f"[{cls.family}]({index}#{cls.family})" if index else cls.family
    card = cls.card
    source = f"From {link(card.title, card.url)} by {prose(card.authors)}, {card.year}"
    scope = f"Scope: `{card.scope}` ({SCOPES[card.scope]})"
    return f"Family {family}. {source if card.published else UNPUBLISHED.capitalize()}. {scope}."


def _declarations(component: type[Component]) -> Iterator[str]:
    for table in declaration_tables(component):
        if not table.rows:
            yield from (f"{table.title}: none.", "")
        else:
            rows = tuple((*(f"`{text}`" for text in row[:2]), *map(prose, row[2:])) for row in table.rows)
            yield from (f"{table.title}.", "", *replace(table, rows=rows).markdown(), "")


def _costs(cls: type[Cell]) -> Iterator[str]:
    headings = ("", "in letters", f"I={INPUT_SIZE}, H={HIDDEN_SIZE}")
    rows = tuple(
        (item.what, item.formula, "-" if item.count is None else f"{item.count:,}")
        for item in cost_rows(cls())
    )
    yield from (*TextTable("", headings, rows, right=(2,)).markdown(), "")
    if cls.has_step() and not cls.is_derived():
        yield from wrapped(
            "It brings its own kernels. Operations are counted in the kernels that zoo would derive from its "
            "`step`, saved elements in its own."
        )
        yield ""


def _reference(cls: type[Cell]) -> Iterator[str]:
    card = cls.card
    remarks = {"Variant": card.variant, "Deviations": card.deviations, "Trainability": card.trainability}
    for heading, text in remarks.items():
        yield from (*wrapped(f"{heading}: {prose(text)}"), "") if text else ()
    yield from ("```bibtex", cls.bibtex(), "```", "")


def trace_table(cell: Cell) -> TextTable:
    """Name, shape in one row, and description of every traceable value.

    Raises:
        DefinitionError: if the ``step`` of the cell cannot be traced.
    """
    rows = tuple(_trace_row(cell, name, value) for name, value in cell_trace_values(cell).items())
    return TextTable("Traces", ("name", "shape", "description"), rows)


def _trace_row(cell: Cell, name: str, value: TraceableValue | None) -> tuple[str, ...]:
    if value is None:
        return name, f"({', '.join(size.text for size in cell.states[name].shape)})", "state"
    gates = [
        f"{gate} is 1 - {name}" if source.is_complement else gate
        for gate, source in cell_gates(cell).items()
        if source.value == name
    ]
    return name, format_shape(value.shape), ", ".join([*gates, *_description(cell, value)])


def _description(cell: Cell, value: TraceableValue) -> list[str]:
    words = ["state"] if value.is_state else []
    words += ["output"] if value.nodes == (step_graph_of(cell).y,) else []
    if value.function in SQUASHING_RANGES:
        low, high = SQUASHING_RANGES[value.function]
        words.append(f"{value.function}, from {low:g} to {high:g}")
    elif value.function:
        words.append(value.function)
    words += ["complex, as real and imaginary parts"] if len(value.nodes) > 1 else []
    return words + ([] if value.varies else ["the same at every step"])
