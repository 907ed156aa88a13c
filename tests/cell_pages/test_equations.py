"""Equations in LaTeX: they say what the diagram says, with macros that code hosts render."""

from __future__ import annotations

import ast
import re

import numpy as np
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


CARD = zoo.Card(title="T")


def column(vector, heads):
    """A vector as a column, with an axis for the heads in front or without."""
    return vector.reshape(*[1] * heads, -1, 1)


def row(vector, heads):
    return vector.reshape(*[1] * heads, 1, -1)


# Expressions of vectors a and b and a matrix M, and their equation for row vectors.
PRODUCTS = {
    "outer(a, b)": lambda a, b, M, n: column(a, n) * row(b, n),
    "outer(b, a)": lambda a, b, M, n: row(a, n) * column(b, n),
    "outer(a * b, b)": lambda a, b, M, n: column(a, n) * column(b, n) * row(b, n),
    "outer(a, b * (a @ M))": lambda a, b, M, n: column(a, n) * (row(b, n) * (row(a, n) @ M)),
    "diag(a) @ M": lambda a, b, M, n: column(a, n) * M,
    "diag(b) @ M + M": lambda a, b, M, n: M * column(b, n) + M,
    "diag(a) @ (M - 1)": lambda a, b, M, n: column(a, n) * (M - 1),
    "diag(a) @ outer(a, b)": lambda a, b, M, n: column(a, n) * (column(a, n) * row(b, n)),
    "a * M": lambda a, b, M, n: row(a, n) * M,
    "a.T + M": lambda a, b, M, n: column(a, n) + M,
    "M / a.T": lambda a, b, M, n: M / column(a, n),
    "outer(a @ M.T, b)": lambda a, b, M, n: (M @ column(a, n)) * row(b, n),
    "sum(M, -2) * M": lambda a, b, M, n: np.sum(M, axis=-2, keepdims=True) * M,
    "diag(sum(M, -1)) @ M": lambda a, b, M, n: np.sum(M, axis=-1, keepdims=True) * M,
}


@pytest.mark.parametrize("heads", [0, 1])
@pytest.mark.parametrize("expected", PRODUCTS)
def test_products_of_vectors_and_matrices_hold_for_rows(expected: str, heads: int) -> None:
    def step(self, x, a, b, M):
        return zoo.Output(x @ self.W, a, b, PRODUCTS[expected](a, b, M, heads))

    members = {"a": zoo.State("H"), "b": zoo.State("H"), "M": zoo.State(*[1] * heads, "H", "H")}
    members = {"W": zoo.Param("I", "H"), **members, "step": step, "card": CARD, "__doc__": "Made."}
    cell = type("Made", (zoo.Cell,), members)()
    texts = [text for box in build_diagram(cell).boxes for text in box.equations]
    equation = next(text for text in texts if text.startswith("M' = ")).partition(" = ")[2]
    assert equation == expected
    rng = np.random.default_rng(0)
    a, b, M = rng.normal(size=(1, 3)), rng.normal(size=(1, 3)), rng.normal(size=(3, 3))
    names = {"a": a, "b": b, "M": M, "outer": lambda a, b: a.T @ b, "diag": lambda a: np.diag(a.ravel())}
    names["sum"] = lambda values, axis: values.sum(axis)[None]
    head = M[None] if heads else M
    computed = PRODUCTS[expected](a[0], b[0], head, heads)
    np.testing.assert_allclose(eval(equation, names), computed.reshape(3, 3), rtol=1e-12)


def test_outer_products_and_scaled_rows_in_latex() -> None:
    assert latex_equations(zoo.get_cell("kda"))[-3:-1] == [
        r"S_{1,t} &= \mathrm{diag}(\alpha_{t}) S_{t-1}",
        r"S_{t} &= S_{1,t} + {k_{t}}^{\top} (\beta_{t} \odot (v_{t} - k_{t} S_{1,t}))",
    ]
    assert latex_equations(zoo.get_cell("plrnn"))[1].startswith(
        r"\mathrm{add}_{h,t} &= h_{t-1} \odot \mathrm{sum}_{\mathrm{rows}}(\mathrm{diagonal})"
    )


def test_declared_matrices_of_one_column_keep_their_transpose() -> None:
    assert r"\tanh(h_{t-1}) n {m}^{\top}" in latex_equations(zoo.get_cell("low_rank_rnn"))[0]


def test_a_multiple_of_a_size_is_one_divisor() -> None:
    assert LatexPrinter(zoo.get_cell("gru")).equation("s = a / 2H") == r"s_{t} &= \frac{a_{t}}{2 \cdot H}"


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
    text = text.replace("'", "__after").replace("·", "*")
    text = re.sub(r"(?<![\w.])(\d+)([A-Z]\w*)", r"(\1*\2)", text)
    text = re.sub(r"(?<![\w.])(\d+)(?=\()", r"\1*", text)

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
            case ast.Call(ast.Name("outer"), [a, b]):
                return ("@", ("T", tree(a)), tree(b))
            case ast.Call(ast.Name("sum" | "max" as name), [values, axis]):
                return (f"{name} of {'columns' if ast.unparse(axis) == '-1' else 'rows'}", tree(values))
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
_REDUCTION = re.compile(r"\\mathrm\{(sum|max)\}_\{\\mathrm\{(rows|columns)\}\}\(")
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
        if match := _REDUCTION.match(self.text, self.at):
            self.at = match.end()
            return (f"{match[1]} of {match[2]}", *self.arguments(")"))
        match = _SYMBOL.match(self.text, self.at)
        assert match, self.text[self.at :]
        self.at = match.end()
        if self.take("("):
            name = _FUNCTIONS.get(match[0]) or re.sub(r"\\mathrm|[\\{}]", "", match[0])
            name = re.sub(r"(?<=[a-z])([A-Z])", lambda capital: f"_{capital[0].lower()}", name)
            return (name, *self.arguments(")"))
        return "inf" if match[0] == r"\infty" else self.symbols[match[0]]
