"""The forms of statements in generated kernels, by which tests choose the cells to compile.

Numba compiles a call of a kernel function, an operator or a loop in the same way in every cell. So a cell
whose kernels have no form of their own needs no compilation in the tests.
"""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator

import zoo
from zoo.compiler.compile import plan_kernels

Form = tuple[str, ...]


@functools.cache
def kernel_forms(cell: zoo.Cell) -> frozenset[Form]:
    """The forms in both passes of a cell with a ``step``, each with its pass and whether in an inner loop."""
    module = ast.parse(plan_kernels(cell).source)
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef)]
    return frozenset(
        (name.partition("_")[0], "inner loop" if "_loop_" in name else "body", *form)
        for function in functions
        for name in (function.name,)
        if name.startswith(("forward", "backward"))
        for form in _forms(function)
    )


def _forms(function: ast.FunctionDef) -> Iterator[Form]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call):
            yield _call(node)
        elif isinstance(node, (ast.BinOp, ast.UnaryOp, ast.AugAssign)):
            yield (type(node).__name__, type(node.op).__name__)
        elif isinstance(node, ast.Compare):
            yield ("Compare", *(type(op).__name__ for op in node.ops))
        elif isinstance(node, ast.Subscript):
            indices = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
            yield ("Subscript", *("slice" if isinstance(each, ast.Slice) else "index" for each in indices))
        elif isinstance(node, (ast.If, ast.IfExp, ast.For, ast.While)):
            yield (type(node).__name__,)


def _call(node: ast.Call) -> Form:
    """A call of a function of a module, of a method of any array, or of an inner loop."""
    name, arguments = ast.unparse(node.func), tuple(map(_argument, node.args))
    if "_loop_" in name:
        return ("call", "loop")
    if isinstance(node.func, ast.Attribute) and ast.unparse(node.func.value) not in ("kernels", "np"):
        return ("call", "array", node.func.attr, *arguments)
    return ("call", name, *arguments)


def _argument(node: ast.expr) -> str:
    """A shape of an array has a number of sizes; names and calls hold arrays or numbers."""
    return f"{len(node.elts)} sizes" if isinstance(node, ast.Tuple) else "value"
