"""The languages of exported source: everything that C and JavaScript write in different ways."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from string import Template
from typing import Any, ClassVar

import numpy as np

from zoo.compiler.codegen.writer import Names, Writer
from zoo.compiler.ir.op_table import Op


class Syntax:
    """One language. Expressions and calls that both languages write alike are not here.

    Attributes:
        helpers: The text of each function that generated code may call, by name.
        functions: The code of each function of the mathematical library, by its name in C for doubles.
        reserved: Names that no variable may have.
    """

    helpers: ClassVar[Mapping[str, str]]
    functions: ClassVar[Mapping[str, str]]
    reserved: ClassVar[frozenset[str]]

    def names(self) -> Names:
        """Names of one function, with the reserved words taken."""
        return Names(set(self.reserved))

    def operation(self, op: Op, dtype: np.dtype[Any], helpers: set[str]) -> str:
        """The code of an operation.

        Args:
            op: The operation, with code for exports.
            dtype: Data type of the model.
            helpers: Receives the names of the helpers that the code calls.
        """
        return Template(op.export).substitute(_FunctionNames(self, dtype, helpers))

    def function(self, name: str, dtype: np.dtype[Any]) -> str:
        """A function of the mathematical library."""
        raise NotImplementedError

    def number(self, value: float, dtype: np.dtype[Any]) -> str:
        """A number as a literal."""
        raise NotImplementedError

    def constant(self, name: str, value: str, dtype: np.dtype[Any], is_bool: bool = False) -> str:
        """The line that defines a constant number."""
        raise NotImplementedError

    def variable(self, name: str, value: str, dtype: np.dtype[Any]) -> str:
        """The line that defines a variable number."""
        raise NotImplementedError

    def loop(self, name: str, length: object, is_reverse: bool = False) -> str:
        """The head of a loop over the indices below a length."""
        raise NotImplementedError

    def integer(self, quotient: str) -> str:
        """A quotient of indices, rounded down."""
        raise NotImplementedError

    def address(self, array: str, index: object) -> str:
        """An array from an element on."""
        raise NotImplementedError

    def row(self, array: str, row: str, width: object) -> str:
        """An array from a row on, for a row that may be a token."""
        raise NotImplementedError

    def token_row(self, array: str, token: str, width: object) -> str:
        """The row of a token as an argument."""
        return self.row(array, token, width)

    def element(self, array: str, index: str) -> str:
        """An element of an array that an expression gives."""
        return f"{array}[{index}]"

    def element_of_row(self, array: str, start: str, token: str) -> str:
        """The element of a token in a row that begins at an index."""
        return f"{array}[{start} + {token}]"

    def field(self, name: str) -> str:
        """A state in the object of all states."""
        raise NotImplementedError

    def state_array(self, name: str, field: str, dtype: np.dtype[Any]) -> str:
        """The line that names the array of a state."""
        raise NotImplementedError

    def arrays(self, sizes: Mapping[str, int], dtype: np.dtype[Any]) -> Iterator[str]:
        """The lines that define local arrays."""
        raise NotImplementedError

    def sequence_arrays(self, sizes: Mapping[str, int], dtype: np.dtype[Any]) -> Iterator[str]:
        """The lines that define arrays with a row of some size for each of ``count`` steps."""
        raise NotImplementedError

    def unused(self, name: str) -> Iterator[str]:
        """The lines that permit an argument without a use."""
        raise NotImplementedError

    def layer_head(self, name: str, first: str, aux: Iterable[str], y: bool, dtype: np.dtype[Any]) -> str:
        """The head of the function of a layer.

        Args:
            name: Its name.
            first: Its input, ``token`` or ``x``.
            aux: Its auxiliary inputs.
            y: Whether it has an argument ``y`` for the output.
            dtype: Data type of the model.
        """
        raise NotImplementedError


class _FunctionNames(dict[str, str]):
    """The names of functions in a language, by their names in the table of operations."""

    def __init__(self, syntax: Syntax, dtype: np.dtype[Any], helpers: set[str]) -> None:
        self._syntax, self._dtype, self._helpers = syntax, dtype, helpers

    def __missing__(self, name: str) -> str:
        if name in self._syntax.functions:
            return self._syntax.function(name, self._dtype)
        self._helpers.add(name)
        return name


class BraceWriter(Writer):
    """Lines with blocks in braces."""

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Put the lines written inside the context under ``head``, in braces."""
        self.line(f"{head} {{")
        self.depth += 1
        yield
        self.depth -= 1
        self.line("}")


def register_helper(call: str, helpers: set[str]) -> str:
    """Add the name of the helper that a line calls to a set; the line."""
    helpers.add(call.partition("(")[0])
    return call


def fill_lines(words: Iterable[str], separator: str, width: int = 110) -> Iterator[str]:
    """Join words to indented lines of a width."""
    line = ""
    for word in words:
        if line and len(line) + len(word) + len(separator) > width:
            yield f"    {line}".rstrip()
            line = ""
        line += f"{word}{separator}"
    if line:
        yield f"    {line.removesuffix(separator)}"
