"""Write the table of docs/expected-values.md: the source of the expected values of each cell.

    python tools/make_expected_values.py
    python tools/make_expected_values.py --check    # write nothing, and fail if the page is out of date

A reference, ``tests/golden/references/<cell>.py``, computes the expected values of a cell. This program
parses the references and does not run them, so it needs neither PyTorch nor clones of other repositories. It
looks for calls of ``official``, which load published code, and for modules of PyTorch and torchrecurrent.

The arguments of ``official`` are constants, local variables, or parameters of helpers, also of helpers of
another reference. The program computes them for the options of each case, or raises an error.
"""

from __future__ import annotations

import argparse
import ast
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any, NamedTuple

from zoo.base import Cell
from zoo.cell_pages.cell_page import prose, wrapped
from zoo.registry import registry_of
from zoo.storage.atomic import write_bytes
from zoo.storage.document_marker import END, DocumentMarker
from zoo.tables import TextTable

sys.path.append(str(Path(__file__).parents[1] / "tests" / "support"))
from initial_values import CHOSEN, DRAWN, EXPECTED, OFFICIAL, STATED

ROOT = Path(__file__).parents[1]
REFERENCES = ROOT / "tests" / "golden" / "references"
# The values of this cell are older than the references.
OTHER_REFERENCES = {"vanilla": REFERENCES.with_name("make_vanilla.py")}
PAGE = ROOT / "docs" / "expected-values.md"
COMMAND = "python tools/make_expected_values.py"
PUBLISHED, COMPARED = "published code", "own statement, compared with published code"
PACKAGE, OWN = "package", "own statement"
TORCH_MODULES = {f"torch.nn.{name}{end}" for name in ("RNN", "LSTM", "GRU") for end in ("", "Cell")}


class PublishedCode(NamedTuple):
    """Functions and classes of one file of a repository.

    Args:
        repository: Owner and name on GitHub.
        commit: The commit.
        path: File in the repository.
        names: Functions and classes.
    """

    repository: str
    commit: str
    path: str
    names: tuple[str, ...]


@dataclass
class Source:
    """The source of the expected values of a cell.

    Args:
        sentence: First sentence of the docstring of ``run``.
        published: The published code, in the order of its calls.
        modules: Modules of PyTorch and of torchrecurrent that run.
        is_compared: Whether the published code only checks the values that the reference computes.
    """

    sentence: str
    published: list[PublishedCode] = field(default_factory=list)
    modules: list[str] = field(default_factory=list)
    is_compared: bool = False

    @property
    def kind(self) -> str:
        """One of the four kinds in the table."""
        if self.published:
            return COMPARED if self.is_compared else PUBLISHED
        return PACKAGE if self.modules else OWN


# ---- references ------------------------------------------------------------------------------------------


class UnresolvedError(Exception):
    """An expression has no value that the source alone determines."""


class Module:
    """The parsed source of a reference: its constants, its functions and its imports."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.tree = ast.parse(path.read_text(encoding="utf-8"))
        self.functions = {node.name: node for node in self.tree.body if isinstance(node, ast.FunctionDef)}
        self.imports = {
            alias.asname or alias.name: (node.module.removeprefix("references."), alias.name)
            for node in self.tree.body
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("references.")
            for alias in node.names
        }
        self.constants: dict[str, Any] = {}
        for name, (other, original) in self.imports.items():
            constants = read_module(path.with_name(f"{other}.py")).constants
            if original in constants:
                self.constants[name] = constants[original]
        for node in self.tree.body:
            assign(node, self.constants)

    def function(self, name: str) -> tuple[Module, ast.FunctionDef] | None:
        """Return a function of this reference, or one that it imports from another reference."""
        if name in self.functions:
            return self, self.functions[name]
        if name in self.imports:
            other, original = self.imports[name]
            return read_module(self.path.with_name(f"{other}.py")).function(original)
        return None


@cache
def read_module(path: Path) -> Module:
    """Read a reference once."""
    return Module(path)


def assign(node: ast.stmt, values: dict[str, Any], is_certain: bool = True) -> None:
    """Set the variables of an assignment, and remove those with an unknown value.

    Args:
        node: The statement, also a loop, whose variables become unknown.
        values: The variables.
        is_certain: Whether the statement always runs. If not, the value is the old tuple and the new one.
    """
    match node:
        case ast.Assign(targets=[target], value=expression):
            pass
        case ast.AnnAssign(target=target, value=ast.expr() as expression):
            pass
        case ast.AugAssign(target=target) | ast.For(target=target):
            expression = None
        case _:
            return
    names = [name.id for name in ast.walk(target) if isinstance(name, ast.Name)]
    new: dict[str, Any] = {}
    with suppress(UnresolvedError, TypeError, ValueError):
        value = evaluate(expression, values) if expression else None
        parts = value if isinstance(target, ast.Tuple) else (value,)
        new = dict(zip(names, parts, strict=True)) if expression else {}
    for name in names:
        old = values.pop(name, None)
        if name in new and is_certain:
            values[name] = new[name]
        elif isinstance(old, tuple) and isinstance(new.get(name), tuple):
            values[name] = tuple(dict.fromkeys(old + new[name]))


def evaluate(node: ast.expr, values: Mapping[str, Any]) -> Any:
    """Compute an expression of constants, variables, f-strings, dictionaries, and lists, which become tuples.

    A choice between two tuples is both tuples.

    Raises:
        UnresolvedError: if the value depends on anything else.
    """
    match node:
        case ast.Constant():
            return node.value
        case ast.Name() if node.id in values:
            return values[node.id]
        case ast.Tuple() | ast.List():
            return tuple(arguments_of(node.elts, values))
        case ast.Dict():
            keys = [evaluate(key, values) for key in node.keys if key is not None]
            return dict(zip(keys, (evaluate(value, values) for value in node.values), strict=True))
        case ast.JoinedStr():
            return "".join(str(evaluate(part, values)) for part in node.values)
        case ast.FormattedValue():
            return evaluate(node.value, values)
        case ast.Call(func=ast.Attribute(value=text, attr="lower"), args=[]):
            return evaluate(text, values).lower()
        case ast.Subscript():
            container, key = evaluate(node.value, values), evaluate(node.slice, values)
            if isinstance(container, dict) and key in container:
                return container[key]
        case ast.IfExp():
            both = evaluate(node.body, values), evaluate(node.orelse, values)
            if all(isinstance(each, tuple) for each in both):
                return both[0] + both[1]
    raise UnresolvedError(ast.unparse(node))


def arguments_of(nodes: list[ast.expr], values: Mapping[str, Any]) -> Iterator[Any]:
    """Compute positional arguments, of which some have a star."""
    for node in nodes:
        if isinstance(node, ast.Starred):
            yield from evaluate(node.value, values)
        else:
            yield evaluate(node, values)


def read_source(path: Path) -> Source:
    """Read the source of the expected values of a cell from its reference.

    Raises:
        ValueError: if the reference has no ``run`` with a docstring, or if the arguments of ``official`` are
            unknown, or if ``run`` does not call the function that calls it.
    """
    module = read_module(path)
    run = module.functions.get("run")
    docstring = ast.get_docstring(run) if run else None
    if run is None or not docstring:
        raise ValueError(f"{path.name}: expected a function `run` with a docstring")
    source = Source(first_sentence(docstring))
    reached: set[tuple[int, int]] = set()
    used: list[bool] = []
    cases = module.constants.get("CASES") or {"": {}}
    for options in cases.values():
        for owner, call, values, is_used in calls_of(module, run, {"options": options}):
            name = ast.unparse(call.func)
            if name == "official":
                try:
                    repository, commit, file, *names = arguments_of(call.args, values)
                except UnresolvedError as error:
                    where = f"{owner.path.name}:{call.lineno}"
                    raise ValueError(f"{where}: the value of {error} in `official` is unknown") from None
                code = PublishedCode(repository, commit, file, tuple(names))
                source.published += [code] * (code not in source.published)
                used.append(is_used)
                reached |= {(call.lineno, call.col_offset)} if owner is module else set()
            elif name in TORCH_MODULES or name.startswith("torchrecurrent."):
                source.modules += [name] * (name not in source.modules)
    for node in ast.walk(module.tree):
        is_official = isinstance(node, ast.Call) and ast.unparse(node.func) == "official"
        if is_official and (node.lineno, node.col_offset) not in reached:
            raise ValueError(f"{path.name}:{node.lineno}: `run` does not reach this call of `official`")
    source.is_compared = bool(used) and not any(used)
    return source


def calls_of(
    module: Module, function: ast.FunctionDef, parameters: Mapping[str, Any], is_used: bool = True
) -> Iterator[tuple[Module, ast.Call, Mapping[str, Any], bool]]:
    """Yield the calls in a function and in the helpers that it calls, with the variables at each call.

    The last value is false in helpers whose results are not used, such as one that only compares.
    """
    values = {**module.constants, **parameters}
    nodes = [node for statement in function.body for node in ast.walk(statement) if hasattr(node, "lineno")]
    conditional = {id(each) for node in nodes if isinstance(node, ast.If) for each in ast.walk(node)}
    discarded = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
    for node in sorted(nodes, key=lambda each: (each.lineno, each.col_offset)):
        if isinstance(node, ast.stmt):
            assign(node, values, is_certain=id(node) not in conditional)
        if isinstance(node, ast.Call):
            yield module, node, dict(values), is_used
            helper = module.function(ast.unparse(node.func))
            if helper is not None and helper[1] is not function:
                bound = bind(helper[1], node, values)
                yield from calls_of(*helper, bound, is_used=is_used and id(node) not in discarded)


def bind(function: ast.FunctionDef, call: ast.Call, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a function whose arguments in a call are known."""
    bound: dict[str, Any] = {}
    names = [argument.arg for argument in function.args.args]
    plain = list(takewhile(lambda node: not isinstance(node, ast.Starred), call.args))
    pairs = [*zip(names, plain, strict=False)]
    pairs += [(keyword.arg, keyword.value) for keyword in call.keywords if keyword.arg]
    for name, node in pairs:
        with suppress(UnresolvedError):
            bound[name] = evaluate(node, values)
    if function.args.vararg and len(plain) >= len(names):
        with suppress(UnresolvedError):
            bound[function.args.vararg.arg] = tuple(arguments_of(call.args[len(names) :], values))
    return bound


def first_sentence(docstring: str) -> str:
    """Return the first sentence of a docstring, on one line."""
    paragraph = " ".join(docstring.partition("\n\n")[0].split())
    end = re.search(r"(?<!\bal)(?<!\b[A-Z])\.(?= [A-Z`])", paragraph)
    return paragraph[: end.end()] if end else paragraph


# ---- page ------------------------------------------------------------------------------------------------


def shipped_cells() -> list[type[Cell]]:
    """Return the cells of this repository by family and name."""
    registry = registry_of(Cell)
    names = (name for name in registry.list() if registry.source(name).distribution == "recurrent-zoo")
    return sorted((registry.cls(name) for name in names), key=lambda cls: (cls.family, cls.name))


def reference_of(cell: str) -> Path:
    """Return the file of the reference of a cell."""
    return OTHER_REFERENCES.get(cell, REFERENCES / f"{cell}.py")


def row_of(cls: type[Cell], source: Source) -> tuple[str, str, str, str]:
    """Return the row of a cell."""
    path = reference_of(cls.name)
    file = f"[{path.name}](../{path.relative_to(ROOT).as_posix()})"
    sentence = prose(re.sub(r"(?<!/)\bgithub\.com/", "https://github.com/", source.sentence))
    return (
        f"[`{cls.name}`](zoo/{cls.family}/{cls.name}.md)",
        source.kind,
        code_of(source),
        f"{file}: {sentence}",
    )


def code_of(source: Source) -> str:
    """Return the names that run, with links."""
    if not source.published:
        packages = {name: "torchrecurrent" if "recurrent." in name else "PyTorch" for name in source.modules}
        return ", ".join(
            f"`{name.removeprefix('torchrecurrent.')}` of {packages[name]}" for name in source.modules
        )
    texts = []
    for repository, commit in dict.fromkeys((code.repository, code.commit) for code in source.published):
        files: dict[str, dict[str, None]] = {}
        for code in source.published:
            if (code.repository, code.commit) == (repository, commit):
                files.setdefault(code.path, {}).update(dict.fromkeys(code.names))
        address = f"https://github.com/{repository}"
        parts = []
        for path, names in files.items():
            listed = ", ".join(f"`{name}`" for name in names)
            parts.append(f"{listed} in [{Path(path).name}]({address}/blob/{commit}/{path})")
        at_commit = f"[{repository}]({address}) at [`{commit[:8]}`]({address}/commit/{commit})"
        texts.append(f"{at_commit}: {', '.join(parts)}")
    return ". ".join(texts)


def summary(sources: Mapping[str, Source]) -> str:
    """Return the sentence with the number of cells of each kind."""
    kinds = [source.kind for source in sources.values()]
    repositories = {code.repository for source in sources.values() for code in source.published}
    return (
        f"Published code of {len(repositories)} repositories runs and computes the expected values of "
        f"{kinds.count(PUBLISHED)} of {len(kinds)} cells. Our own statement computes the values of "
        f"{kinds.count(COMPARED)} cells, and published code checks the outputs from initial states of zero. "
        f"A module of PyTorch or torchrecurrent computes the values of {kinds.count(PACKAGE)} cells. For the "
        f"remaining {kinds.count(OWN)} cells, our own statement of the equations computes the values, and no "
        "published code runs."
    )


def block() -> list[str]:
    """Return the lines between the marks of the page."""
    cells = shipped_cells()
    sources = {cls.name: read_source(reference_of(cls.name)) for cls in cells}
    lines = wrapped(summary(sources))
    for family in dict.fromkeys(cls.family for cls in cells):
        rows = tuple(row_of(cls, sources[cls.name]) for cls in cells if cls.family == family)
        table = TextTable("", ("cell", "source", "code that runs", "reference"), rows)
        lines += ["", f"### {family}", "", *table.markdown()]
    return [*lines, "", "### Initial values", "", *wrapped(initial_values())]


def initial_values() -> str:
    """Return the sentences about the sources of initial values."""
    drawn = [each for each in EXPECTED.values() if each.kind == DRAWN]
    different = sum(bool(each.official or each.official_options) for each in drawn)
    cells: dict[str, list[str]] = {}
    for cls in shipped_cells():
        cells.setdefault(EXPECTED[cls.name].kind, []).append(f"`{cls.name}`")
    return (
        f"Published code draws the initial values of {len(cells[DRAWN])} cells, and a script compares the "
        f"distributions and defaults with those of the tests. In {different} of these cells, zoo differs "
        f"from the code in a distribution or a default, and the tests have both. The distributions of "
        f"{len(cells[OFFICIAL])} cells were read in published code: {', '.join(cells[OFFICIAL])}. For "
        f"{len(cells[STATED])} cells, a paper or a library states them: {', '.join(cells[STATED])}. For the "
        f"other {len(cells[CHOSEN])} cells no source states them, and they are our choice. The page of a "
        "cell names the initial value of each parameter."
    )


def updated(text: str) -> str:
    """Return the text of the page with a current table."""
    marker = DocumentMarker(PAGE, "", "make_expected_values")
    return marker.replace(text, "\n".join([f"{marker.beginning}{COMMAND} -->", "", *block(), "", END, ""]))


def main(arguments: list[str] | None = None) -> int:
    """Write the page, or compare it, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the page is out of date")
    options = parser.parse_args(arguments)
    old = PAGE.read_text(encoding="utf-8")
    new = updated(old)
    if not options.check:
        write_bytes(PAGE, new.encode())
    elif new != old:
        print(f"{PAGE.relative_to(ROOT)} is out of date: run {COMMAND}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
