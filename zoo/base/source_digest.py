"""SHA-256 of the code that defines a class or function, to notice that it has changed.

Comments, docstrings, cards, help texts, layout, and customary values of options do not count. For a file
given by its path, such as ``cells.py:Mine``, the digest covers the class, the functions and classes of the
file that it uses, and the modules that the file imports from its own folder. So you can add another class to
the file.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo.base.names import snake_case
from zoo.run_module import FILE_MODULE

_FUNCTIONS = ast.FunctionDef, ast.AsyncFunctionDef
_DEFINITIONS = *_FUNCTIONS, ast.ClassDef
_PLAIN_MODULES = {
    *("zoo", "zoo_blocks", "zoo_cells", "zoo_modifiers", "zoo_optimizers", "zoo_tasks"),
    *("functools", "dataclasses", "math", "numpy"),
}
"""Modules whose functions and decorators change no other definition."""
_PLAIN_FUNCTIONS = {
    *("njit", "property", "staticmethod", "classmethod", "int", "float", "bool", "str", "tuple", "list"),
    *("dict", "set", "frozenset", "range", "len", "min", "max", "abs", "sum", "round", "sorted"),
}
_INDIRECT_USES = {
    *("eval", "exec", "_getframe", "globals", "locals", "vars", "modules", "getmodule", "import_module"),
    *("__import__", "__globals__", "__dict__", "__getattr__", "__subclasses__", "__init_subclass__"),
    *("__set_name__", "__class_getitem__", "__all__", "metaclass", "gc", "inspect"),
}
"""Names with which code can use or change a definition without naming it."""


def source_digest(defined: Any) -> str:
    """SHA-256 of the code that defines a class or function; empty without a source."""
    module = sys.modules.get(defined.__module__)
    source = _source(module) or _source(defined)
    if module is None or not module.__name__.startswith(FILE_MODULE):
        return _digest(source, "") if source else ""
    root = defined.__qualname__ if isinstance(defined, type) else ""
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
        root: The class whose code counts, with all that it uses; empty for the whole file.
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


def _used_statements(body: list[ast.stmt], root: str) -> list[ast.stmt]:
    """The statements of a file without the functions and classes that a class does not use.

    Definitions that may do more than define a name stay, used or not. All other statements run when the file
    is imported, so they stay, too, with what they use. If names may be used indirectly, all statements stay.

    Args:
        body: The statements.
        root: The class.
    """
    body = [statement for statement in body if not _is_main_guard_or_all(statement)]
    is_plain_class = any(isinstance(each, ast.ClassDef) and each.name == root for each in body)
    if not is_plain_class or not _INDIRECT_USES.isdisjoint(_identifiers(body)):
        return body
    definitions = [each for each in body if isinstance(each, _DEFINITIONS)]
    classes = {each.name for each in definitions if isinstance(each, ast.ClassDef)}
    plain = _PLAIN_FUNCTIONS.union(*map(_plain_imports, body)) - {each.name for each in definitions}
    unused = [each for each in definitions if _only_defines(each, plain, classes)]
    names = {root}.union(*(_names(statement) for statement in body if statement not in unused))
    while used := [each for each in unused if not names.isdisjoint(_names_of(each))]:
        names = names.union(*map(_names, used))
        unused = [each for each in unused if each not in used]
    return [statement for statement in body if statement not in unused]


def _is_main_guard_or_all(statement: ast.stmt) -> bool:
    """Whether a statement is ``if __name__ == "__main__"`` or ``__all__ = ...``."""
    match statement:
        case ast.If(ast.Compare(ast.Name("__name__"), [ast.Eq()], [ast.Constant("__main__")]), _, []):
            return True
        case ast.Assign([ast.Name("__all__")]):
            return True
    return False


def _only_defines(node: ast.stmt, plain: set[str], classes: set[str]) -> bool:
    """Whether a function or class does nothing but define its name, as far as its form shows.

    Args:
        node: The definition, or a statement in the body of one.
        plain: Names of functions and modules that change no other definition.
        classes: The classes of the file.
    """
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            evaluated: list[ast.AST] = [*node.decorator_list, node.args, *filter(None, [node.returns])]
            return all(_has_plain_calls(each, plain) for each in evaluated) and all(
                _first_name(each) in plain for each in node.decorator_list
            )
        case ast.ClassDef():
            return (
                all(_first_name(each) in plain for each in node.decorator_list)
                and all(_first_name(each) in plain | classes for each in node.bases)
                and all(_has_plain_calls(each, plain) for each in (*node.decorator_list, *node.keywords))
                and all(_only_defines(each, plain, classes) for each in node.body)
            )
        case ast.Assign(targets):
            return all(isinstance(each, ast.Name) for each in targets) and _has_plain_calls(node, plain)
        case ast.AnnAssign(ast.Name()):
            return _has_plain_calls(node, plain)
        case ast.Pass() | ast.Expr(ast.Constant()):
            return True
    return False


def _has_plain_calls(node: ast.AST, plain: set[str]) -> bool:
    """Whether an expression has no assignments, and calls only plain functions outside of lambdas."""
    if isinstance(node, ast.Lambda):
        return _has_plain_calls(node.args, plain)
    if isinstance(node, ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
        return False
    if isinstance(node, ast.Call) and _first_name(node) not in plain:
        return False
    return all(_has_plain_calls(child, plain) for child in ast.iter_child_nodes(node))


def _identifiers(body: list[ast.stmt]) -> set[str]:
    """All names, attributes, keywords of calls and imported names of a file."""
    names = set()
    for node in (node for statement in body for node in ast.walk(statement)):
        match node:
            case ast.Name(name) | ast.Attribute(_, name) | ast.FunctionDef(name) | ast.keyword(str(name)):
                names.add(name)
            case ast.Import(aliases) | ast.ImportFrom(_, aliases):
                names |= {part for alias in aliases for part in alias.name.split(".")}
    return names


def _names(statement: ast.AST) -> set[str]:
    """The names in a statement, and the words of its texts but for docstrings: texts may name components."""
    match statement:
        case ast.Expr(ast.Constant(str())):
            return set()
        case ast.Name(name):
            return {name}
        case ast.Constant(str(text)):
            return set(re.findall(r"\w+", text))
    return set().union(*map(_names, ast.iter_child_nodes(statement)))


def _names_of(definition: ast.stmt) -> set[str]:
    """The names by which a definition can be used, the registered one included."""
    assert isinstance(definition, _DEFINITIONS)
    names = {definition.name, snake_case(definition.name)}
    for statement in definition.body:
        match statement:
            case ast.Assign([ast.Name("name")], ast.Constant(str(name))):
                names.add(name)
    return names


def _plain_imports(statement: ast.stmt) -> Iterator[str]:
    """The names that a statement imports from plain modules."""
    match statement:
        case ast.Import(aliases):
            for alias in aliases:
                if alias.name.partition(".")[0] in _PLAIN_MODULES:
                    yield alias.asname or alias.name.partition(".")[0]
        case ast.ImportFrom(str(module), aliases, 0) if module.partition(".")[0] in _PLAIN_MODULES:
            yield from (alias.asname or alias.name for alias in aliases)


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
