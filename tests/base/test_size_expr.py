"""The language of sizes: what it says, and what it refuses."""

from __future__ import annotations

import ast
import re
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import zoo
from zoo.base.size_expr import SizeExpr, parse_shape
from zoo.errors import DefinitionError, UsageError

ENV = {"I": 6, "H": 12, "heads": 4, "K2": 5}

atoms = st.integers(0, 40).map(str) | st.sampled_from(sorted(ENV))
trees = st.recursive(
    atoms, lambda inner: st.tuples(st.sampled_from("+-*/"), inner, inner, st.booleans()), max_leaves=8
)


def written(tree) -> tuple[str, str]:
    """A tree as a size, products without a sign where that is allowed, and as Python's own arithmetic."""
    if isinstance(tree, str):
        return tree, tree
    operator, left, right, hide = tree
    (left_size, left_python), (right_size, right_python) = written(left), written(right)
    # A name or a bracket may follow without a sign; a name must not run into what stands before it.
    follows = isinstance(right, tuple) or not right.isdecimal()
    separate = " " if isinstance(left, str) and not left.isdecimal() else ""
    sign = separate if operator == "*" and hide and follows else f" {operator} "
    return f"({left_size}{sign}{right_size})", f"({left_python}{operator}{right_python})"


def exactly(node: ast.expr) -> Fraction:
    """Python's reading of an expression, in fractions; every quotient must be an integer."""
    if isinstance(node, ast.Constant):
        return Fraction(node.value)
    if isinstance(node, ast.Name):
        return Fraction(ENV[node.id])
    assert isinstance(node, ast.BinOp)
    left, right = exactly(node.left), exactly(node.right)
    if isinstance(node.op, ast.Div):
        quotient = left / right
        if quotient.denominator != 1:
            raise ValueError("remainder")
        return quotient
    kinds = {ast.Add: Fraction.__add__, ast.Sub: Fraction.__sub__, ast.Mult: Fraction.__mul__}
    return kinds[type(node.op)](left, right)


@given(trees)
def test_size_expressions_match_python_arithmetic(tree) -> None:
    text, python = written(tree)
    if len(text) > 80:
        return
    try:
        expected = exactly(ast.parse(python, mode="eval").body)
    except (ValueError, ZeroDivisionError):
        expected = Fraction(0)
    if expected >= 1:
        assert SizeExpr(text).evaluate(ENV) == expected, text
    else:
        with pytest.raises((DefinitionError, UsageError)):
            SizeExpr(text).evaluate(ENV)


@pytest.mark.parametrize(
    ("text", "value", "names"),
    [
        ("3", 3, set()),
        ("H", 12, {"H"}),
        ("4H", 48, {"H"}),
        ("4 H", 48, {"H"}),
        ("4*H", 48, {"H"}),
        ("I+H", 18, {"I", "H"}),
        ("2(I+H)", 36, {"I", "H"}),
        ("(I+H)2H", None, None),
        ("(I + H)(I)", 108, {"I", "H"}),
        ("H/heads", 3, {"H", "heads"}),
        ("H/2*3", 18, {"H"}),
        ("H/2I", 36, {"I", "H"}),  # from left to right: (H/2)I
        ("H-I-1", 5, {"I", "H"}),  # (H-I)-1
        ("2H-I/3", 22, {"I", "H"}),
        ("  H  ", 12, {"H"}),
        ("K2", 5, {"K2"}),
        ("007", 7, set()),
    ],
)
def test_examples(text: str, value: int | None, names: set[str] | None) -> None:
    if value is None:
        with pytest.raises(DefinitionError):
            SizeExpr(text)
        return
    size = SizeExpr(text)
    assert size.evaluate(ENV) == value
    assert size.names == names
    assert str(size) == text


MALFORMED = [
    "",
    " ",
    "+",
    "-H",
    "-3",
    "H+",
    "H*",
    "*H",
    "H//2",
    "H**2",
    "H+/2",
    "(H",
    "H)",
    "()",
    "2()",
    "(H))",
    "((H)",
    "4 4",
    "H 2",
    "(H)2",
    "3.5",
    "H%2",
    "H^2",
    "H,I",
    "H.T",
    "H[0]",
    "f'{H}'",
    "__import__('os')\x00",
    "4\tH",
    "\u0397",  # GREEK CAPITAL LETTER ETA
    "\u0664H",  # ARABIC-INDIC DIGIT FOUR
    "４H",  # FULLWIDTH DIGIT FOUR
    "4\u00a0H",  # no-break space
    "H\u2212I",  # minus sign
    "0",
    "(0)",
    "9" * 5000,
    "(" * 10_000 + "H" + ")" * 10_000,
    "H+" * 50 + "H",
]


@pytest.mark.parametrize("text", MALFORMED, ids=range(len(MALFORMED)))
def test_other_size_expressions_raise_with_position(text: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        zoo.Param("H", text)
    message = str(caught.value)
    assert message.startswith(
        f"{text[:80]!r} is not a size; a size is a positive integer or an expression of I, H"
    )
    assert message.endswith("as in '4H', 'I+H' or 'H/heads'.")
    assert len(message) < 500


@pytest.mark.parametrize("sizes", [("H", "I"), ["H", 3], ()])
def test_sizes_in_a_tuple_raise_with_the_arguments(sizes: Any) -> None:
    arguments = ", ".join(map(repr, sizes or ("I", "H")))
    with pytest.raises(DefinitionError, match=re.escape(f"separate arguments, as in {arguments}.")):
        zoo.State(sizes)


@given(st.text(max_size=20) | st.text("IH0123456789+-*/() ", max_size=20))
def test_any_text_parses_or_raises_usage_error(text: str) -> None:
    try:
        size = SizeExpr(text)
    except DefinitionError:
        return
    assert all(name in text for name in size.names)
    try:
        assert size.evaluate(dict.fromkeys(size.names, 2)) >= 1
    except UsageError as error:
        assert f"size {text!r}" in str(error)  # noqa: PT017 - not every size must fail


@pytest.mark.parametrize("size", [3.0, True, None, -1, 0, b"H"])
def test_only_positive_integers_and_texts_are_sizes(size) -> None:
    with pytest.raises(DefinitionError):

        class Odd(zoo.Cell):
            """A cell with a size that is none."""

            card = zoo.Card(title="T", authors="A", year=2000, url="https://example.org")
            W = zoo.Param(size)
            h = zoo.State("H")
            forward = lambda params, x, state: None  # noqa: E731 - the shortest kernel there is
            backward = lambda params, x, state, tape, dy, dlast: None  # noqa: E731


@pytest.mark.parametrize(
    ("size", "env", "message"),
    [
        (
            "H/heads",
            {"H": 8, "heads": 3},
            "H=8 is not divisible by heads=3; choose sizes that divide, for example H=6 or H=9.",
        ),
        ("3H/4", {"H": 3}, "9 is not divisible by 4; choose sizes that divide."),
        ("H/16+1", {"H": 3}, "H=3 is not divisible by 16; choose sizes that divide, for example H=16."),
        ("H/(I-I)", {"H": 8, "I": 3}, "H=8 is not divisible by 0; choose sizes that divide."),
    ],
)
def test_division_with_remainder_raises(size: str, env: dict[str, int], message: str) -> None:
    with pytest.raises(UsageError, match=f"^{re.escape(f'size {size!r}: {message}')}$"):
        SizeExpr(size).evaluate(env)


def test_dimension_below_one_names_sizes() -> None:
    with pytest.raises(
        UsageError, match=r"size 'H-I' is -2 for H=1, I=3; every dimension must be at least 1"
    ):
        SizeExpr("H-I").evaluate({"H": 1, "I": 3, "other": 9})


@pytest.mark.parametrize("text", ["3-3", "2-5", "7/2", "1/0"])
def test_invalid_integer_dimension_raises(text: str) -> None:
    with pytest.raises(UsageError, match=f"size '{text}'"):
        SizeExpr(text).evaluate({})


def test_sizes_are_exact_beyond_floats() -> None:
    assert SizeExpr("(H*H)/H").evaluate({"H": 10**30 + 7}) == 10**30 + 7


def test_sizes_are_values() -> None:
    assert parse_shape((3, "H")) == (SizeExpr("3"), SizeExpr("H"))
    assert len({SizeExpr("H"), SizeExpr("H"), SizeExpr("I")}) == 2
    assert repr(SizeExpr("4H")) == "SizeExpr(text='4H')"
