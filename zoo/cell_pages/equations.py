r"""The equations of a cell in LaTeX, from the compiler's graph of its step.

The diagram prints the graph as equations in Python's operators. They are parsed, and printed again with the
symbols of mathematics. Code hosts render few macros (GitHub rejects ``\operatorname``), so only those in
:data:`MACROS` occur.
"""

from __future__ import annotations

import ast
import re

from zoo.base import Cell
from zoo.cell_pages.diagram.boxes import DiagramNames, build_diagram
from zoo.compiler.frontend.trace_step import step_graph_of
from zoo.compiler.ir.graph import Level

# Without sigma, which is the logistic function, and xi, which cells write for a part of x.
_GREEK = frozenset(
    [
        "alpha",
        "beta",
        "gamma",
        "delta",
        "epsilon",
        "zeta",
        "eta",
        "theta",
        "kappa",
        "lambda",
        "mu",
        "nu",
        "rho",
        "tau",
        "phi",
        "chi",
        "psi",
        "omega",
    ]
)
# Functions with a macro of their own; other names are upright.
_FUNCTIONS = {
    **{name: rf"\{name}" for name in ("cos", "exp", "log", "sin", "tanh")},
    "maximum": r"\max",
    "minimum": r"\min",
    "sigmoid": r"\sigma",
}
_BRACKETS = {"abs": (r"\lvert ", r" \rvert"), "floor": (r"\lfloor ", r" \rfloor"), "sqrt": (r"\sqrt{", "}")}
# The index of a reduction of a matrix, by its axis.
_AXES = {"-1": "columns", "-2": "rows"}
_REDUCTIONS = ("max", "sum")
_COMPARISONS = {
    ast.Lt: r"\lt",
    ast.LtE: r"\le",
    ast.Gt: r"\gt",
    ast.GtE: r"\ge",
    ast.Eq: "=",
    ast.NotEq: r"\ne",
}
# Precedences. A product of a vector and a matrix binds more tightly than an element-wise one.
_OR, _AND, _COMPARISON, _SUM, _TERM, _PRODUCT, _FRACTION, _ATOM = range(8)
_OPERATORS: dict[type[ast.operator], tuple[str, int]] = {
    ast.Add: ("+", _SUM),
    ast.Sub: ("-", _SUM),
    ast.Mult: (r"\odot", _TERM),
    ast.MatMult: ("", _PRODUCT),
    ast.Mod: (r"\bmod", _TERM),
}
MACROS = frozenset(
    [
        *(rf"\{name}" for name in _GREEK),
        *_FUNCTIONS.values(),
        *(macro for macro in _COMPARISONS.values() if macro != "="),
        *(
            r"\lvert",
            r"\rvert",
            r"\lfloor",
            r"\rfloor",
            r"\sqrt",
            r"\frac",
            r"\odot",
            r"\cdot",
            r"\bmod",
            r"\top",
        ),
        *(
            r"\lor",
            r"\land",
            r"\mathrm",
            r"\Delta",
            r"\left",
            r"\right",
            r"\infty",
            r"\begin",
            r"\end",
            "\\\\",
        ),
    ]
)
"""The macros that equations use."""


def latex_equations(cell: Cell) -> list[str]:
    """Return the equations of one step of a cell, in the order of the diagram, with ``&=`` between the sides.

    Raises:
        DefinitionError: if its ``step`` cannot be traced.
    """
    printer = LatexPrinter(cell)
    texts = [text for box in build_diagram(cell).boxes for text in box.equations if " = " in text]
    return [printer.equation(text) for text in texts]


def latex_block(cell: Cell) -> list[str]:
    """Return the lines of a displayed block with the equations of a cell."""
    lines = [f"{line} \\\\" for line in latex_equations(cell)]
    return ["$$", r"\begin{aligned}", *lines[:-1], lines[-1].removesuffix(r" \\"), r"\end{aligned}", "$$"]


class LatexPrinter:
    """Prints equations of a step, given in Python's operators, in LaTeX.

    Args:
        cell: The cell.

    Attributes:
        symbols: The name of each symbol that was printed; ``h'`` is the state ``h`` after the step.
    """

    def __init__(self, cell: Cell) -> None:
        self.symbols: dict[str, str] = {}
        named = DiagramNames(step_graph_of(cell)).names.items()
        states = [*cell.states, *(f"{name}_{part}" for name in cell.states for part in ("re", "im"))]
        fixed = [name for node, name in named if node.level == Level.ONCE and not name.endswith("'")]
        fixed += [f"{name}_{part}" for name in fixed for part in ("re", "im")]
        self._times = {**dict.fromkeys([*fixed, "I", "H"], ""), **dict.fromkeys(states, "t-1")}

    def equation(self, text: str) -> str:
        """One equation, ``h' = tanh(x @ W)``."""
        left, _, right = (_as_python(side) for side in text.partition(" = "))
        names = [self._symbol(name.strip()) for name in left.split(",")]
        value = ast.parse(right, mode="eval").body
        if len(names) > 1 and isinstance(value, ast.Call) and ast.unparse(value.func) == "split":
            value = value.args[0]
        return f"{', '.join(names)} &= {self._print(value)[0]}"

    def _symbol(self, name: str) -> str:
        name = name.replace(_AFTER, "'")
        time = self._times.get(name, "t")
        symbol = latex_symbol(name.removesuffix("'"), time)
        if self.symbols.setdefault(symbol, name) != name:  # `hr` and `h_r`
            symbol = latex_symbol(name.replace("_", "").removesuffix("'"), time, is_word=True)
            self.symbols[symbol] = name
        return symbol

    def _operand(self, node: ast.expr, precedence: int) -> str:
        text, own = self._print(node)
        return text if own >= precedence else in_parentheses(text)

    def _print(self, node: ast.expr) -> tuple[str, int]:
        """An expression and its precedence."""
        match node:
            case ast.Name(name):
                return (r"\infty" if name == "inf" else self._symbol(name)), _ATOM
            case ast.Constant(value):
                return latex_number(float(str(value))), _ATOM
            case ast.UnaryOp(ast.USub(), operand):
                return f"-{self._operand(operand, _TERM)}", _SUM
            case ast.BinOp(left, ast.Div(), right):
                return rf"\frac{{{self._print(left)[0]}}}{{{self._print(right)[0]}}}", _FRACTION
            case ast.BinOp(left, ast.Pow(), right):
                return f"{{{self._operand(left, _ATOM)}}}^{{{self._print(right)[0]}}}", _ATOM
            case ast.BinOp(left, op, right):
                sign, precedence = _OPERATORS[type(op)]
                b = self._operand(right, precedence + 1)
                if isinstance(left, ast.UnaryOp):  # the sign of the first factor is that of the product
                    left, precedence = left.operand, _SUM
                    a = f"-{self._operand(left, _TERM)}"
                else:
                    a = self._operand(left, precedence)
                if isinstance(op, ast.Mult) and any(isinstance(each, ast.Constant) for each in (left, right)):
                    sign = r"\cdot"
                return " ".join(filter(None, (a, sign, b))), precedence
            case ast.BoolOp(op, values):
                sign, precedence = (r"\lor", _OR) if isinstance(op, ast.Or) else (r"\land", _AND)
                return f" {sign} ".join(self._operand(each, precedence + 1) for each in values), precedence
            case ast.Compare(left, [op], [right]):
                a, b = self._operand(left, _SUM), self._operand(right, _SUM)
                return f"{a} {_COMPARISONS[type(op)]} {b}", _COMPARISON
            case ast.Call(ast.Name("outer"), [a, b]):
                return self._outer(a, b), _PRODUCT
            case ast.Call(ast.Name(name), arguments):
                return self._call(name, arguments), _ATOM
            case ast.List(elements):
                return f"[{', '.join(self._print(each)[0] for each in elements)}]", _ATOM
            case ast.Attribute(value, "T"):
                return rf"{{{self._operand(value, _ATOM)}}}^{{\top}}", _ATOM
            case ast.Subscript(value, index):
                return f"{self._operand(value, _ATOM)}[{self._index(index)}]", _ATOM
        raise AssertionError(ast.dump(node))

    def _outer(self, a: ast.expr, b: ast.expr) -> str:
        return rf"{{{self._operand(a, _ATOM)}}}^{{\top}} {self._operand(b, _FRACTION)}"

    def _call(self, name: str, arguments: list[ast.expr]) -> str:
        if name in _REDUCTIONS and len(arguments) == 2:
            values, axis = arguments
            index = _AXES[ast.unparse(axis)]
            return rf"{_upright(name)}_{{{_upright(index)}}}{in_parentheses(self._print(values)[0])}"
        text = ", ".join(self._print(each)[0] for each in arguments)
        if name in _BRACKETS:
            opening, closing = _BRACKETS[name]
            return f"{opening}{text}{closing}"
        return f"{_FUNCTIONS.get(name) or _upright(name)}{in_parentheses(text)}"

    def _index(self, index: ast.expr) -> str:
        if isinstance(index, ast.Tuple):
            return ", ".join(map(self._index, index.elts))
        if isinstance(index, ast.Slice):
            ends = [index.lower, index.upper, *([index.step] if index.step else [])]
            return ":".join(self._size(end) if end else "" for end in ends)
        return self._size(index)

    def _size(self, size: ast.expr) -> str:
        return ast.unparse(size).replace(" ", "").replace("//", "/").replace("*", "")


_AFTER = "_after_the_step"


def _as_python(text: str) -> str:
    """An equation of the diagram as Python: ``h'`` gets a name, ``3H`` an operator and parentheses."""
    text = text.replace("'", _AFTER).replace("·", "*")
    text = re.sub(r"(?<![\w.])(\d+)([A-Z]\w*)", r"(\1 * \2)", text)
    return re.sub(r"(?<![\w.])(\d+)(?=\()", r"\1*", text)


def latex_symbol(name: str, time: str = "", is_word: bool = False) -> str:
    r"""Return a name with its index of time as a symbol: ``W_{x}``, ``z_{t}``, ``\alpha_{1,t}``.

    Args:
        name: The name. ``Wx`` and ``hr`` are letters with a subscript, ``_re`` and ``_im`` mark parts of a
            complex value.
        time: ``t``, ``t-1``, or nothing.
        is_word: Whether to print the name as it is, in upright letters.
    """
    part = next((part for part in ("re", "im") if name.endswith(f"_{part}")), "")
    stem, *subscripts = name.removesuffix(f"_{part}").split("_") if part else name.split("_")
    if name == "dt":
        base = r"\Delta"
    elif is_word or not (
        match := re.fullmatch(r"([a-z])([a-z])|([A-Z])([a-z]{1,2})|([A-Za-z]+?)(\d+)", stem)
    ):
        base = stem if len(stem) == 1 else rf"\{stem}" if stem in _GREEK and not is_word else _upright(stem)
    elif stem in _GREEK:
        base = rf"\{stem}"
    else:
        word, letters = filter(None, match.groups())
        base = latex_symbol(word)
        subscripts.insert(0, letters)
    subscripts = [each if len(each) < 3 and each != "t" else _upright(each) for each in subscripts]
    below = ",".join(filter(None, [*subscripts, time]))
    above = rf"^{{\mathrm{{{part}}}}}" if part else ""
    return f"{base}{f'_{{{below}}}' if below else ''}{above}"


def latex_number(value: float) -> str:
    """Return a number in LaTeX, a power of ten where it has an exponent."""
    mantissa, _, exponent = f"{value:.12g}".partition("e")
    if not exponent:
        return mantissa
    power = f"{{10}}^{{{int(exponent)}}}"
    return power if mantissa == "1" else rf"{mantissa} \cdot {power}"


def in_parentheses(text: str) -> str:
    """Return an expression in parentheses, as high as its fractions."""
    return rf"\left({text}\right)" if r"\frac" in text else f"({text})"


def _upright(name: str) -> str:
    """A word in upright letters: ``layer_norm`` is ``layerNorm``."""
    first, *others = name.split("_")
    return rf"\mathrm{{{first}{''.join(map(str.capitalize, others))}}}"
