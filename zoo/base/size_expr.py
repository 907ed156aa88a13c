"""Size expressions, in which shapes are declared: ``"4H"``, ``"H/heads"``, ``"I+H"``.

A size is parsed once, when its class is defined, and evaluated exactly, in integers, for given letters::

    sum     = product (("+" | "-") product)*
    product = atom (("*" | "/") atom | letter | group)*     # "4H" multiplies; from left to right
    atom    = integer | letter | group
    group   = "(" sum ")"

A letter is ``I``, ``H``, or the name of an option.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from zoo.errors import DefinitionError, UsageError

_TOKEN = re.compile(r" *(?:(?P<integer>[0-9]+)|(?P<letter>[A-Za-z_][A-Za-z0-9_]*)|(?P<operator>[-+*/()]))")
# No size needs more, and longer texts could nest deeper than Python can recurse.
_MAX_LENGTH = 80

# An expression is an integer, a letter, or (operator, left, right).
Tree: TypeAlias = "int | str | tuple[str, Tree, Tree]"


@dataclass(frozen=True)
class SizeExpr:
    """One dimension of a declared shape.

    Args:
        text: The expression, ``"4H"`` or ``"3"``.

    Raises:
        DefinitionError: if the text is not a size.
    """

    text: str
    tree: Tree = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Parse the text now, so that the error names its line."""
        tree = _Parser(self.text).parse()
        if tree == 0:
            raise _invalid_size(self.text)
        object.__setattr__(self, "tree", tree)

    @property
    def names(self) -> frozenset[str]:
        """The letters and option names in the expression."""
        return frozenset(_names(self.tree))

    @property
    def terms(self) -> tuple[frozenset[str], ...]:
        """The names in each term of the sum, two sets for ``"2H+order"``."""
        return tuple(frozenset(_names(term)) for term in _terms(self.tree))

    def evaluate(self, env: Mapping[str, int]) -> int:
        """The dimension for given letters, exactly.

        Raises:
            UsageError: if a division leaves a remainder or the result is not positive.
        """
        value = _evaluate(self.tree, env, self.text)
        if value < 1:
            given = ", ".join(f"{name}={env[name]}" for name in sorted(self.names)) or "any letters"
            raise UsageError(
                f"size {self.text!r} is {value} for {given}; every dimension must be at least 1."
            )
        return value

    def __str__(self) -> str:
        return self.text


class _Parser:
    """Recursive descent over the tokens of one size."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = [*_tokens(text), ""]

    def parse(self) -> Tree:
        tree = self.sum()
        if self.tokens[0]:
            raise _invalid_size(self.text)
        return tree

    def sum(self) -> Tree:
        tree = self.product()
        while self.tokens[0] in ("+", "-"):
            tree = (self.tokens.pop(0), tree, self.product())
        return tree

    def product(self) -> Tree:
        tree = self.atom()
        # An integer multiplies what follows it, never what precedes it: "4 4" is an error, not 16.
        while self.tokens[0] and self.tokens[0] not in "+-)" and not self.tokens[0].isdecimal():
            operator = self.tokens.pop(0) if self.tokens[0] in "*/" else "*"
            tree = (operator, tree, self.atom())
        return tree

    def atom(self) -> Tree:
        token = self.tokens.pop(0)
        if token == "(":
            tree = self.sum()
            if self.tokens.pop(0) != ")":
                raise _invalid_size(self.text)
            return tree
        if token.isdecimal():
            return int(token)
        if not token or token in "+-*/)":
            raise _invalid_size(self.text)
        return token


def _invalid_size(text: str) -> DefinitionError:
    return DefinitionError(
        f"{text[:_MAX_LENGTH]!r} is not a size; a size is a positive integer or an expression of I, H, "
        f"integers and option names with + - * / and parentheses, as in '4H', 'I+H' or 'H/heads'."
    )


def _tokens(text: str) -> Iterator[str]:
    position, end = 0, len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None or end > _MAX_LENGTH:
            raise _invalid_size(text)
        position = match.end()
        yield match[0].strip()


def _terms(tree: Tree) -> Iterator[Tree]:
    if isinstance(tree, tuple) and tree[0] in "+-":
        yield from _terms(tree[1])
        yield from _terms(tree[2])
    else:
        yield tree


def _names(tree: Tree) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, tuple):
        yield from _names(tree[1])
        yield from _names(tree[2])


_OPERATORS: dict[str, Callable[[int, int], int]] = {
    "+": int.__add__,
    "-": int.__sub__,
    "*": int.__mul__,
    "/": int.__floordiv__,
}


def _evaluate(tree: Tree, env: Mapping[str, int], text: str) -> int:
    if isinstance(tree, int):
        return tree
    if isinstance(tree, str):
        return env[tree]
    left, right = _evaluate(tree[1], env, text), _evaluate(tree[2], env, text)
    if tree[0] == "/" and (right == 0 or left % right):
        raise _indivisible(tree, left, right, text)
    return _OPERATORS[tree[0]](left, right)


def _indivisible(tree: Tree, left: int, right: int, text: str) -> UsageError:
    """The error. If the expression divides H, as in ``H/heads``, it names the closest sizes."""
    assert isinstance(tree, tuple)
    dividend, divisor = (
        f"{name}={value}" if isinstance(name, str) else str(value)
        for name, value in ((tree[1], left), (tree[2], right))
    )
    examples = ""
    if right > 0 and tree[1] == "H":
        below = left // right * right
        sizes = [size for size in (below, below + right) if size > 0]
        examples = ", for example " + " or ".join(f"H={size}" for size in sizes)
    return UsageError(
        f"size {text!r}: {dividend} is not divisible by {divisor}; choose sizes that divide{examples}."
    )


def parse_shape(sizes: tuple[object, ...]) -> tuple[SizeExpr, ...]:
    """Parse the dimensions of a declaration.

    Raises:
        DefinitionError: if one of them is not a size.
    """
    for size in sizes:
        if isinstance(size, (tuple, list)):
            arguments = ", ".join(repr(each) for each in size) or "'I', 'H'"
            raise DefinitionError(
                f"a size is the {type(size).__name__} {size!r}; pass sizes as separate arguments, as in "
                f"{arguments}."
            )
    return tuple(SizeExpr(str(size)) for size in sizes)
