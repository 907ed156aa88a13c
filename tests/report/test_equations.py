"""Equations in LaTeX: they say what the diagram says, with macros that code hosts render."""

from __future__ import annotations

import ast
import re

import pytest

import zoo
from zoo.cell_pages.diagram import build_diagram
from zoo.cell_pages.equations import (
    MACROS,
    LatexPrinter,
    latex_block,
    latex_equations,
    latex_number,
    latex_symbol,
)

CELLS = [name for name in zoo.list_cells() if zoo.get_cell(name).has_step()]


@pytest.mark.parametrize("name", CELLS)
def test_block_has_balanced_braces_and_known_macros(name: str) -> None:
    first, begin, *lines, end, last = latex_block(zoo.get_cell(name))
    assert (first, begin, end, last) == ("$$", r"\begin{aligned}", r"\end{aligned}", "$$")
    assert not [line for line in lines[:-1] if not line.endswith(r" \\")]
    assert all(line.count(" &= ") == 1 for line in lines)
    for line in lines:
        assert set(re.findall(r"\\[A-Za-z]+|\\.", line)) <= MACROS
        depth = [line[: n + 1].count("{") - line[: n + 1].count("}") for n in range(len(line))]
        assert min(depth) == depth[-1] == 0
        assert line.count(r"\left(") == line.count(r"\right)")
        assert line.count("(") == line.count(")")
        assert not line.startswith("[")  # it would be the argument of the line break before it
        assert not set("<>&*_'\"$") & set(re.sub(r"_\{|&=", "", line))


@pytest.mark.parametrize("name", CELLS)
def test_equations_have_the_operations_of_the_graph(name: str) -> None:
    """The diagram prints the graph; its own tests compute with its equations."""
    cell = zoo.get_cell(name)
    printer = LatexPrinter(cell)
    for text in (text for box in build_diagram(cell).boxes for text in box.equations if " = " in text):
        left, right = printer.equation(text).split(" &= ")
        expected_left, _, expected = text.partition(" = ")
        assert re.findall(r"[\w']+", expected_left) == [
            printer.symbols[symbol] for symbol in left.split(", ")
        ]
        value = _python_tree(expected)
        is_split = ", " in expected_left and value[0] == "split"
        assert _LatexParser(right, printer.symbols).parse() == (value[1] if is_split else value)


def test_gru_equations() -> None:
    assert latex_equations(zoo.get_cell("gru"))[2:] == [
        r"r_{t} &= \sigma(r_{1,t} + h_{r,t})",
        r"z_{t} &= \sigma(z_{1,t} + h_{z,t})",
        r"n_{t} &= \tanh(n_{1,t} + r_{t} \odot (h_{n,t} + b_{n}))",
        r"h_{t} &= (1 - z_{t}) \odot n_{t} + z_{t} \odot h_{t-1}",
    ]


def test_symbols_and_numbers() -> None:
    assert latex_symbol("Whh") == "W_{hh}"
    assert latex_symbol("hr", "t") == "h_{r,t}"
    assert latex_symbol("alpha_1", "t") == r"\alpha_{1,t}"
    assert latex_symbol("h_re", "t-1") == r"h_{t-1}^{\mathrm{re}}"
    assert latex_symbol("forget_bias") == r"\mathrm{forget}_{\mathrm{bias}}"
    assert [latex_number(value) for value in (0.5, 1e-6, 2.5e-7)] == [
        "0.5",
        "{10}^{-6}",
        r"2.5 \cdot {10}^{-7}",
    ]


def test_two_names_have_two_symbols() -> None:
    printer = LatexPrinter(zoo.get_cell("gru"))
    assert printer.equation("hr = h_r") == r"h_{r,t} &= \mathrm{hr}_{t}"


# Both forms as trees: an operator or a function, and its operands.

_SIGNS: dict[type, str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.MatMult: "@",
    ast.Div: "/",
    ast.Mod: "%",
    ast.Pow: "**",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.And: "and",
    ast.Or: "or",
}


def _python_tree(text: str):
    text = re.sub(r"(?<![\w.])(\d+)(?=[A-Z(])", r"\1*", text.replace("'", "__after").replace("·", "*"))

    def tree(node):
        match node:
            case ast.Name(name):
                return name.replace("__after", "'")
            case ast.Constant(value):
                return float(value)
            case ast.UnaryOp(_, operand):
                return ("neg", tree(operand))
            case ast.BinOp(left, op, right):
                return (_SIGNS[type(op)], tree(left), tree(right))
            case ast.BoolOp(op, values):
                return (_SIGNS[type(op)], *map(tree, values))
            case ast.Compare(left, [op], [right]):
                return (_SIGNS[type(op)], tree(left), tree(right))
            case ast.Call(ast.Name(name), arguments):
                return (name, *map(tree, arguments))
            case ast.List(elements):
                return ("list", *map(tree, elements))
            case ast.Attribute(value, "T"):
                return ("T", tree(value))
            case ast.Subscript(value, index):
                written = ast.unparse(index).strip("()").replace("//", "/")
                return ("index", tree(value), re.sub(r"[ *()]", "", written))
        raise AssertionError(ast.dump(node))

    return tree(ast.parse(text, mode="eval").body)


_LEVELS = (
    {r"\lor": "or"},
    {r"\land": "and"},
    {r"\lt": "<", r"\le": "<=", r"\gt": ">", r"\ge": ">=", "=": "==", r"\ne": "!="},
    {"+": "+", "-": "-"},
    {r"\odot": "*", r"\cdot": "*", r"\bmod": "%"},
)
_FUNCTIONS = {r"\max": "maximum", r"\min": "minimum", r"\sigma": "sigmoid"}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?: \\cdot \{10\}\^\{(-?\d+)\})?|\{10\}\^\{(-?\d+)\}")
_SYMBOL = re.compile(
    r"(\\mathrm\{\w+\}|\\[A-Za-z]+|[A-Za-z])(_\{(?:[^{}]|\{[^{}]*\})*\})?(\^\{\\mathrm\{\w+\}\})?"
)


class _LatexParser:
    """A parser of exactly the form that is printed."""

    def __init__(self, text: str, symbols: dict[str, str]) -> None:
        self.text, self.at = text.replace(r"\left(", "(").replace(r"\right)", ")"), 0
        self.symbols = symbols

    def parse(self):
        tree = self.level(0)
        assert self.at == len(self.text), self.text[self.at :]
        return tree

    def take(self, text: str) -> bool:
        is_next = self.text.startswith(text, self.at)
        self.at += len(text) * is_next
        return is_next

    def level(self, depth: int):
        if depth == len(_LEVELS):
            return self.product()
        tree = self.level(depth + 1)
        while sign := next((sign for sign in _LEVELS[depth] if self.take(f" {sign} ")), None):
            right, name = self.level(depth + 1), _LEVELS[depth][sign]
            flat = tree[0] == name and depth < 2 if isinstance(tree, tuple) else False
            tree = (*tree, right) if flat else (name, tree, right)
        return tree

    def product(self):
        tree = ("neg", self.factor()) if self.take("-") else self.factor()
        while re.match(
            r" (?=[A-Za-z({]|\\(?!lor|land|l[te]|g[te]|ne|odot|cdot|bmod|rvert|rfloor))", self.text[self.at :]
        ):
            self.at += 1
            tree = ("@", tree, self.factor())
        return tree

    def arguments(self, end: str) -> list:
        values = [self.level(0)]
        while self.take(", "):
            values.append(self.level(0))
        assert self.take(end), self.text[self.at :]
        return values

    def factor(self):
        tree = self.atom()
        while self.take("["):
            end = self.text.index("]", self.at)
            tree, self.at = ("index", tree, self.text[self.at : end].replace(" ", "")), end + 1
        return tree

    def atom(self):
        if match := _NUMBER.match(self.text, self.at):
            self.at = match.end()
            number, exponent, power = match.groups()
            return float(f"{number or 1}e{exponent or power or 0}")
        for opening, closing, name in (
            (r"\lvert ", r" \rvert", "abs"),
            (r"\lfloor ", r" \rfloor", "floor"),
            (r"\sqrt{", "}", "sqrt"),
            ("[", "]", "list"),
        ):
            if self.take(opening):
                return (name, *self.arguments(closing))
        if self.take(r"\frac{"):
            (top,) = self.arguments("}{")
            return ("/", top, *self.arguments("}"))
        if self.take("{"):
            (base,) = self.arguments("}^{")
            return ("T", base) if self.take(r"\top}") else ("**", base, *self.arguments("}"))
        if self.take("("):
            (inner,) = self.arguments(")")
            return inner
        match = _SYMBOL.match(self.text, self.at)
        assert match, self.text[self.at :]
        self.at = match.end()
        if self.take("("):
            name = _FUNCTIONS.get(match[0]) or re.sub(r"\\mathrm|[\\{}]", "", match[0])
            name = re.sub(r"(?<=[a-z])([A-Z])", lambda capital: f"_{capital[0].lower()}", name)
            return (name, *self.arguments(")"))
        return "inf" if match[0] == r"\infty" else self.symbols[match[0]]
