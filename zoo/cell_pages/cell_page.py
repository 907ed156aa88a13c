"""The page of one cell in Markdown.

It has its source, its names, equations, a diagram of one step, history, when to use it, differences from the
paper, arrays, options, costs, results, related cells and references.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import takewhile

from zoo.base import Card, Cell, Component
from zoo.base.card import SCOPES, UNPUBLISHED
from zoo.base.declarations import ArrayDeclaration
from zoo.cell_pages import GENERATED_MARK
from zoo.cell_pages.cell_info import HIDDEN_SIZE, INPUT_SIZE
from zoo.cell_pages.cell_tables import declaration_tables
from zoo.cell_pages.equations import latex_block
from zoo.compiler.compile import plan_kernels
from zoo.compiler.explain import Cost, cost_of, explain
from zoo.compiler.frontend.trace_step import TraceableValue, step_graph_of
from zoo.compiler.frontend.value_names import SQUASHING_RANGES
from zoo.compiler.ir.dims import ZERO, Dim, as_dim, dim_of, product
from zoo.compiler.printing import format_dim, format_shape
from zoo.convert import flax, keras, torch
from zoo.errors import UsageError
from zoo.layers.direction import tape_elements_per_token
from zoo.layers.tracing import cell_gates, cell_trace_values
from zoo.tables import TextTable

WIDTH = 120


def prose(text: str) -> str:
    """A line of a docstring with its code, with addresses as links and Markdown characters escaped."""
    parts = re.split(r"``(.+?)``", text)
    return "".join(f"`{part}`" if odd % 2 else _linked(_escaped(part)) for odd, part in enumerate(parts))


def _linked(text: str) -> str:
    return re.sub(r"https?://[\w./%#~+-]*[\w/]", r"<\g<0>>", text)


def with_links(text: str, addresses: dict[str, str]) -> str:
    """A text in Markdown with links where the names of cells and the paths of documents occur first.

    Args:
        text: The text.
        addresses: The addresses by name or path; those that are used are removed.
    """

    def replace_name(match: re.Match[str]) -> str:
        address = addresses.pop(match[0].strip("`"), "")
        return f"[{match[0]}]({address})" if address else match[0]

    parts = re.split(r"(`[^`]*`|<http[^>]*>|\[[^\]]*\]\([^)]*\))", text)
    words = re.compile(r"(?<![\w./-])(?:docs/[\w-]+\.md|[a-z]\w*(?![\w/-]|\.\w))")
    for n, part in enumerate(parts):
        if n % 2 == 0:
            parts[n] = words.sub(replace_name, part)
        elif re.fullmatch(r"`[a-z]\w*`", part):
            parts[n] = re.sub(".+", replace_name, part)
    return "".join(parts)


def _escaped(text: str) -> str:
    return re.sub(r"([\\*`\[\]])", r"\\\1", text).replace("<", "&lt;")


def document(blocks: Iterable[str], addresses: Mapping[str, str] | None = None) -> Iterator[str]:
    """The lines of blocks of a docstring: paragraphs, and literal blocks after a double colon.

    Args:
        blocks: The blocks.
        addresses: Addresses of cells by name, for links.
    """
    unused = dict(addresses or {})
    for block in filter(None, blocks):
        if block.startswith("    "):
            yield from ("```text", *textwrap.dedent(block).splitlines(), "```", "")
        else:
            paragraph = re.sub(r"::$", ":", " ".join(line.strip() for line in block.splitlines()))
            yield from (*wrapped(with_links(prose(paragraph), unused)), "")


@dataclass(frozen=True)
class ComponentDocument:
    """The docstring of a cell or a block in parts.

    Args:
        summary: The first paragraph.
        lead: The blocks before the equations.
        equations: The equations in plain text, with the paragraph before them.
        notes: The paragraphs after the equations.
        examples: The literal blocks after the equations, with the paragraphs before them.
    """

    summary: list[str]
    lead: list[str]
    equations: list[str]
    notes: list[str]
    examples: list[str]


def cell_document(cls: type[Cell]) -> ComponentDocument:
    """Split the docstring of a cell, without the paragraphs on arrays, which are in the tables of a page."""
    return component_document(cls, (*cls.params, *cls.buffers, *cls.states))


def component_document(cls: type[Component], arrays: Iterable[str] = ()) -> ComponentDocument:
    """Split a docstring into parts.

    Args:
        cls: The component.
        arrays: Names of arrays, whose paragraphs are left out.
    """
    names = list(arrays)
    text = (inspect.getdoc(cls) or "").strip()
    blocks = [
        block
        for block in re.split(r"\n\s*?\n(?=\S|    )", text)
        if block.startswith("    ") or not any(f"``{name} (" in block for name in names)
    ]
    start = next((n for n, block in enumerate(blocks) if block.startswith("Equations")), len(blocks))
    after = start + 1 + sum(1 for _ in takewhile(lambda block: block.startswith("    "), blocks[start + 1 :]))
    notes: list[str] = []
    examples: list[str] = []
    for block in blocks[after:]:
        is_example = block.startswith("    ") or block.endswith("::")
        (examples if is_example else notes).append(block)
    return ComponentDocument(blocks[:1], blocks[1:start], blocks[start:after], notes, examples)


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
        formula: The quantity as a formula of I and H; empty if only the number is known.
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
    parameters = count_in_letters(cell.params, cell.options) or cell.parameter_formula()
    states = count_in_letters(cell.states, cell.options) or cell.state_formula()
    return [
        CostRow("parameters", parameters, cell.parameter_count(*sizes) if fits else None),
        CostRow("state size", states, cell.state_size(*sizes) if fits else None),
        *(_planned_rows(cell, fits) if cell.has_step() else ()),
        _saved_row(cell, fits),
    ]


def count_in_letters(arrays: Mapping[str, ArrayDeclaration], options: Mapping[str, object]) -> str:
    """The number of elements of arrays as a polynomial in I and H; empty if it is none.

    Args:
        arrays: The declarations.
        options: Values of options, which sizes may name.
    """
    total = ZERO
    for array in arrays.values():
        dims = [dim_of(size, options) for size in array.shape]
        known = [dim for dim in dims if dim is not None]
        if len(known) < len(dims):
            return ""
        total += product(known) * as_dim(2 if array.complex else 1)
    return format_polynomial(total)


def format_polynomial(dim: Dim) -> str:
    """A polynomial with powers: ``3H² + 3I·H``."""
    text = re.sub(r"\b([A-Z])·\1·\1\b", r"\1³", format_dim(dim))
    text = re.sub(r"\b([A-Z])·\1\b", r"\1²", text)
    return re.sub(r"\b(\d+)·(?=[A-Z])", r"\1", text)


def _has_default_size(cell: Cell) -> bool:
    try:
        cell.param_shapes(INPUT_SIZE, HIDDEN_SIZE), cell.state_shapes(INPUT_SIZE, HIDDEN_SIZE)
    except UsageError:
        return False
    return True


def _planned_rows(cell: Cell, fits: bool) -> list[CostRow]:
    plan = plan_kernels(cell)
    forward, backward = cost_of(plan.forward), cost_of(plan.backward)
    return [*_pass_rows(cell, "forward", forward, fits), *_pass_rows(cell, "backward", backward, fits)]


def _pass_rows(cell: Cell, name: str, cost: Cost, fits: bool) -> Iterator[CostRow]:
    yield _cost_row(cell, f"Matmul FLOPs ({name})", cost.products, fits)
    yield _cost_row(cell, f"Matmul FLOPs ({name}), with token input", cost.by_tokens, fits)
    yield _cost_row(cell, f"element-wise operations ({name})", cost.arithmetic, fits)
    yield _cost_row(cell, f"transcendental evaluations ({name})", cost.functions, fits)


def _cost_row(cell: Cell, what: str, dim: Dim, fits: bool) -> CostRow:
    dim = dim.substitute(cell.options)
    return CostRow(
        what, format_polynomial(dim), int(dim.evaluate({"I": INPUT_SIZE, "H": HIDDEN_SIZE})) if fits else None
    )


def _saved_row(cell: Cell, fits: bool) -> CostRow:
    what = "stored activations"
    if cell.is_derived():
        return _cost_row(cell, what, explain(cell).saved_elements, fits)
    return CostRow(what, "", tape_elements_per_token(cell, INPUT_SIZE, HIDDEN_SIZE) if fits else None)


_NOTE = (
    "Vectors are rows, and the index t-1 marks the states before the step. {1}The diagram shows the shapes "
    "and the names in the code: blue are arguments, grey are parameters and buffers, green are results, and "
    "{0}' is the state {0} after the step."
)


# Sentences on what only some equations have.
_NOTES = {
    r"\odot": "The circled dot multiplies element by element, and a vector multiplies every row of a "
    "matrix. ",
    r"\top": "The symbol ⊤ transposes, so the transpose of a row is a column, and a column times a row is an "
    "outer product. ",
    r"\mathrm{diag}": "The matrix diag(a) has the vector a as its diagonal, so it multiplies the rows of the "
    "matrix behind it. ",
    r"_{\mathrm{rows}}": "The index rows marks the sum of the rows of a matrix. ",
    r"_{\mathrm{columns}}": "The index columns marks the sum of the columns of a matrix. ",
    r"\sigma(": "The symbol σ is the logistic function. ",
}
_OPTIONS_NOTE = "Options have their default values. "
# A number that the step computes from options, such as exp(-1 / tau): the plain text names the options.
_COMPUTED_NUMBER = re.compile(r"\d\.\d{6}")
_HEADS_NOTE = "With several heads, the equations of matrices hold for each head. "
_HEAD_SIZE_NOTE = "H in them is the number of units of a head then. "
_SIZE = re.compile(r"(?<![A-Za-z])H(?![A-Za-z_])")


@dataclass(frozen=True)
class PageLinks:
    """Addresses and facts that a page takes from the folder it is in.

    Args:
        index: Address of the page that lists the component; empty for none.
        cells: Addresses of the pages of cells by name.
        source: Address of the file that defines the component; empty for none.
        result: A sentence with results; empty for none.
        documents: Addresses of documents by their path in the project, ``docs/errata.md``.
        results_block: Results in Markdown between markers, which another program writes; empty for none.
        blocks: Addresses of the pages of blocks by name.
    """

    index: str = ""
    cells: Mapping[str, str] = field(default_factory=dict)
    source: str = ""
    result: str = ""
    documents: Mapping[str, str] = field(default_factory=dict)
    results_block: str = ""
    blocks: Mapping[str, str] = field(default_factory=dict)


def cell_page(cls: type[Cell], links: PageLinks | None = None) -> str:
    """The page of a cell.

    Args:
        cls: The cell.
        links: Addresses of other pages.

    Raises:
        DefinitionError: if its ``step`` cannot be compiled.
    """
    return "\n".join(_lines(cls, links or PageLinks())).rstrip("\n") + "\n"


def _lines(cls: type[Cell], links: PageLinks) -> Iterator[str]:
    doc, card, cells = cell_document(cls), cls.card, _linked_cells(cls, links)
    yield from (GENERATED_MARK, "", f"# {cls.name}", "", *document(doc.summary))
    yield from (*wrapped(_origin(cls, links)), "", *wrapped(_use(cls)), "")
    yield from ("## Equations", "", *document(doc.lead, cells))
    if cls.has_step():
        equations = latex_block(cls())
        used = "".join(text for macro, text in _NOTES.items() if any(macro in line for line in equations))
        has_heads = any(len(state.shape) == 3 for state in cls.states.values())
        if has_heads:
            used += _HEADS_NOTE + _HEAD_SIZE_NOTE * any(map(_SIZE.search, equations))
        used += _OPTIONS_NOTE * bool(cls.declared_options)
        note = wrapped(_NOTE.format(next(iter(cls.states)), used))
        picture = f"![One step of {cls.name}]({cls.name}.svg)"
        if _is_complex(cls):
            yield from (*document(doc.equations), "The same in real and imaginary parts:", "")
        elif any(_COMPUTED_NUMBER.search(line) for line in equations):
            yield from (*document(doc.equations), "The same in numbers, with the default options:", "")
        yield from (*equations, "", *_gates(cls), *note, "", picture, "")
    else:
        yield from document(doc.equations)
        yield from (
            "The cell has its own kernels and no `step`, so there are no typeset equations and no diagram.",
            "",
        )
    yield from section("History", document([card.history], cells))
    use = [card.when_to_use, card.trainability, *doc.examples]
    yield from section("When to use it", document(use, cells))
    variant = document([card.variant, card.deviations, *doc.notes], cells)
    yield from section("Variant and differences from the paper", variant)
    yield from ("## Arrays and options", "", *_output(cls), *declarations(cls))
    yield from ("## Cost of one step of one sequence", "", *_costs(cls))
    block = [*links.results_block.splitlines(), ""] if links.results_block else []
    short_run = [*wrapped(links.result), ""] if links.result else []
    yield from section("Results", [*block, *short_run])
    if card.related:
        yield from ("## Related cells", "")
        for name, difference in card.related.items():
            label = f"[{name}]({links.cells[name]})" if name in links.cells else name
            yield f"- {label} {prose(difference)}"
        yield ""
    yield from ("## References", "", "```bibtex", cls.bibtex(), "```", "")


def _linked_cells(cls: type[Cell], links: PageLinks) -> dict[str, str]:
    """Addresses to link in sentences: documents, related cells, and cells whose names are no words."""
    cells = {
        name: address
        for name, address in links.cells.items()
        if name in cls.card.related or (name != cls.name and re.search(r"[_\d]", name))
    }
    return {**links.documents, **cells}


def _is_complex(cls: type[Cell]) -> bool:
    """Whether the typeset equations have real and imaginary parts, and the plain text is easier to read."""
    return any(array.complex for group in (cls.params, cls.buffers, cls.states) for array in group.values())


def section(heading: str, lines: Iterable[str]) -> Iterator[str]:
    """A section, or nothing if there are no lines."""
    lines = list(lines)
    yield from (f"## {heading}", "", *lines) if lines else ()


def _origin(cls: type[Cell], links: PageLinks) -> str:
    family = f"[{cls.family}]({links.index}#{cls.family})" if links.index else cls.family
    card = cls.card
    source = f"From {papers(card)}" if card.published else UNPUBLISHED.capitalize()
    scope = f"Scope: `{card.scope}` ({SCOPES[card.scope]})"
    file = f" [Source]({links.source})." if links.source else ""
    name = f"`{card.block}`"
    address = links.blocks.get(card.block)
    nearest = f"[{name}]({address})" if address else name
    block = f" Block nearest to the one of the paper: {nearest}." if card.block else ""
    return f"Family {family}. {source}. {scope}.{block}{file}"


def papers(card: Card) -> str:
    """The papers of a card, with links."""
    return " and ".join(
        f"{link(each.title, each.url)} by {prose(each.authors)} ({each.year})" for each in (card, *card.also)
    )


def _gates(cls: type[Cell]) -> Iterator[str]:
    """The names of the gates in traces."""
    gates = {name: value for name, value in dataclasses.asdict(cls.gates).items() if value}
    named = ", ".join(f"{name.replace('_', ' ')} `{value}`" for name, value in gates.items())
    yield from (
        (*wrapped(f"Gates, by the names that traces of all cells share: {named}."), "") if named else ()
    )


def _use(cls: type[Cell]) -> str:
    """The use of a cell, and its names in other libraries."""
    python = f'`zoo.Recurrent("{cls.name}", input_size, hidden_size)`'
    use = f"Use it with {python} in Python, or with `zoo train --cell {cls.name}` on the command line."
    libraries = {"PyTorch": torch.CELLS, "Keras": keras.CELLS, "Flax": flax.CELLS}
    names = [f"`{cells[cls.name]}` in {library}" for library, cells in libraries.items() if cls.name in cells]
    if not names:
        return use
    return f"{use} Its names elsewhere: {', '.join(names)}. `zoo.convert` converts the weights."


def _output(cls: type[Cell]) -> Iterator[str]:
    """The shape of the output, and whether it is a state."""
    if cls.has_step():
        graph = step_graph_of(cls())
        states = [f"the state `{name}`" for name, node in graph.new_states.items() if node is graph.y]
        source = states[0] if states else "not a state"
        yield from (f"Output: `{format_shape(graph.y.shape)}`, {source}.", "")


def declarations(component: type[Component]) -> Iterator[str]:
    """The tables of arrays and options."""
    for table in declaration_tables(component, in_words=True):
        if not table.rows:
            yield from (f"{table.title}: none.", "")
        else:
            rows = tuple((*(f"`{text}`" for text in row[:2]), *map(prose, row[2:])) for row in table.rows)
            yield from (f"**{table.title.partition(':')[0]}**", "", *replace(table, rows=rows).markdown(), "")


def _costs(cls: type[Cell]) -> Iterator[str]:
    headings = ("", "formula", f"I={INPUT_SIZE}, H={HIDDEN_SIZE}")
    rows = tuple(
        (item.what, item.formula, "-" if item.count is None else f"{item.count:,}")
        for item in cost_rows(cls())
    )
    yield from (*TextTable("", headings, rows, right=(2,)).markdown(), "")
    if cls.has_step() and not cls.is_derived():
        yield from wrapped(
            "The cell has its own kernels. Operations are counted in the kernels that zoo would derive from "
            "its `step`, and stored activations in its own."
        )
        yield ""


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
