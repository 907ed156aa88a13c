"""SHA-256 of the code that defines a class or function, to notice that it has changed.

Comments, docstrings, cards, help texts, customary values of options and layout do not count. For a file given
by its path, such as ``cells.py:Mine``, the digest covers the definitions that the class uses, so you can add
another class to the file; and the modules that the file imports from its own folder.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo.base.names import snake_case
from zoo.run_module import FILE_MODULE

_DEFINITIONS = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef
_NAMESPACES = {"eval", "exec", "globals", "locals", "vars"}
"""Functions that can use a definition without its name."""


def source_digest(defined: Any) -> str:
    """SHA-256 of the code that defines a class or function; empty without a source."""
    module = sys.modules.get(defined.__module__)
    source = _source(module) or _source(defined)
    if module is None or not module.__name__.startswith(FILE_MODULE):
        return _digest(source, "") if source else ""
    root = defined.__qualname__.partition(".")[0]
    return _digest(source, root, *sorted(_folder_sources(module, source).items()))


def _source(defined: Any) -> str:
    try:
        return inspect.getsource(defined)
    except (OSError, TypeError):
        return ""


@functools.lru_cache(maxsize=256)  # for each checkpoint; one takes 1 to 5 ms
def _digest(source: str, root: str, *imported: tuple[str, str]) -> str:
    code = _code(source, root)
    if imported:
        code = code, [(name, _code(text)) for name, text in imported]
    return hashlib.sha256(repr(code).encode()).hexdigest()


def _code(source: str, root: str = "") -> object:
    """The syntax tree without texts for readers; the source if it is invalid.

    Args:
        source: The source.
        root: The definition whose code counts, with all that it uses; empty for all.
    """
    try:
        tree = ast.parse(textwrap.dedent(source))
    except SyntaxError:  # the file was edited after the import
        return source
    if root:
        tree.body = _used_statements(tree.body, root)
    return _without_texts(tree)


def _without_texts(node: Any) -> object:
    """A syntax tree as tuples. ``ast.dump`` prints other fields in each version of Python."""
    match node:
        case list():
            return [_without_texts(each) for each in node if not _is_text(each)]
        case ast.Call(ast.Attribute(_, "Card") | ast.Name("Card")):
            return None
        case ast.AST():
            fields = [(name, _without_texts(value)) for name, value in ast.iter_fields(node)]
            return type(node).__name__, [(name, value) for name, value in fields if value not in (None, [])]
    return node


def _is_text(node: Any) -> bool:
    """Whether a node of a syntax tree is a docstring, a help text, or a value for comparisons only."""
    match node:
        case ast.Expr(ast.Constant(str())) | ast.keyword("help" | "customary"):
            return True
    return False


# --- The definitions that a class uses ---


def _used_statements(statements: Iterable[ast.stmt], root: str) -> list[ast.stmt]:
    """The statements of a file without the functions and classes that a definition does not use.

    All other statements run when the file is imported, so they count, with what they use. A decorator of the
    file itself may change other definitions, so what it decorates counts, too.
    """
    body = [statement for statement in statements if not _is_for_programs(statement)]
    if any(map(_reads_namespace, body)):
        return body
    imported = {name for statement in body for name in _bound_by_imports(statement)}
    unused = [
        statement
        for statement in body
        if isinstance(statement, _DEFINITIONS)
        and all(_first_name(decorator) in imported for decorator in statement.decorator_list)
    ]
    names = {root}.union(*(_names(statement) for statement in body if statement not in unused))
    while used := [each for each in unused if not names.isdisjoint((each.name, snake_case(each.name)))]:
        names = names.union(*map(_names, used))
        unused = [statement for statement in unused if statement not in used]
    return [statement for statement in body if statement not in unused]


def _is_for_programs(statement: ast.stmt) -> bool:
    """Whether a statement has no effect on imports of single names."""
    match statement:
        case ast.If(ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]), _, []):
            return True
        case ast.Assign([ast.Name("__all__")]):
            return True
    return False


def _reads_namespace(statement: ast.stmt) -> bool:
    for node in ast.walk(statement):
        match node:
            case ast.Name(name) if name in _NAMESPACES:
                return True
            case ast.Attribute(ast.Name("sys"), "modules"):
                return True
    return False


def _names(statement: ast.stmt) -> set[str]:
    """The names in a statement, and its texts, which may be names: annotations, or names of components."""
    names = set()
    for node in ast.walk(statement):
        match node:
            case ast.Name(name) | ast.Constant(str(name)):
                names.add(name)
    return names


def _bound_by_imports(statement: ast.stmt) -> Iterator[str]:
    for node in ast.walk(statement):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name).partition(".")[0] for alias in node.names)


def _first_name(node: ast.expr) -> str:
    """The name with which an expression begins: ``zoo`` of ``zoo.register_cell(...)``; empty for others."""
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


# --- Modules of the same folder ---


def _folder_sources(module: ModuleType, source: str) -> dict[str, str]:
    """The sources of the modules that a file imports from its own folder, and of those that they import."""
    folder = Path(str(module.__file__)).parent
    sources: dict[str, str] = {}
    waiting = [source]
    while waiting:
        for name in _imported_names(waiting.pop()):
            imported = sys.modules.get(name)
            if name not in sources and imported is not None and _is_in_folder(imported, folder):
                sources[name] = _source(imported)
                waiting.append(sources[name])
    return sources


def _imported_names(source: str) -> Iterator[str]:
    """The names after ``import``, and those that may be modules after ``from ... import``."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # the file was edited after the import
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        for name in names:  # `import a.b` imports a, too
            parts = name.split(".")
            yield from (".".join(parts[:count]) for count in range(1, len(parts) + 1))


def _is_in_folder(module: ModuleType, folder: Path) -> bool:
    """Whether a module is ``folder/NAME.py`` or in the package ``folder/NAME``."""
    file = Path(getattr(module, "__file__", None) or "")
    top = module.__name__.partition(".")[0]
    return file == folder / f"{top}.py" or folder / top in file.parents
