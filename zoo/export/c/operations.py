"""Templates of element-wise operations in C99: one for each row of ``zoo.compiler.ir.elementwise_ops``.

``{0}``, ``{1}`` are the operands. ``real`` in a helper stands for the model's dtype, and the functions of
``math.h`` get its suffix.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from zoo.compiler.codegen.op_code import ReductionCode, ScanCode
from zoo.compiler.ir.op_table import Op
from zoo.compiler.ir.structural_ops import CUMSUM, DOT, DOT_HEADS, MAX, RECURRENCE, SUM

# Functions of math.h, without the suffix of their dtype.
FUNCTIONS = (
    "atan",
    "cos",
    "cosh",
    "erf",
    "exp",
    "expm1",
    "fabs",
    "floor",
    "fmod",
    "log",
    "log1p",
    "pow",
    "sin",
    "sinh",
    "sqrt",
    "tanh",
)


@dataclass(frozen=True)
class OperationTemplate:
    """The template of an operation.

    Args:
        code: The expression.
        function: Function of ``math.h`` for ``{f}``.
        helper: Helper for ``{f}``.
    """

    code: str
    function: str = ""
    helper: str = ""


def _call(function: str, operands: int = 1) -> OperationTemplate:
    listed = ", ".join(f"{{{index}}}" for index in range(operands))
    return OperationTemplate(f"{{f}}({listed})", function=function)


def _helper(helper: str, operands: int = 1) -> OperationTemplate:
    listed = ", ".join(f"{{{index}}}" for index in range(operands))
    return OperationTemplate(f"{{f}}({listed})", helper=helper)


@dataclass(frozen=True)
class ReductionTemplate(ReductionCode):
    """The code of a reduction in C.

    Args:
        helper: Helper for ``{f}``.
    """

    helper: str = ""


REDUCTIONS: Mapping[Op, ReductionTemplate] = {
    SUM: ReductionTemplate(0.0, "{0} += {1};"),
    MAX: ReductionTemplate(-math.inf, "{0} = {f}({0}, {1});", "larger"),
}

SCANS: Mapping[Op, ScanCode] = {
    CUMSUM: ("{total} += {0};",),
    # The first entry has no predecessor, whatever its factor is.
    RECURRENCE: ("{total} = at == {first} ? {zero} : {total} * {0};", "{total} += {1};"),
}

# The matrix that multiplies row `at`: `{0}` is the first one, `{1}` the number of its elements.
MATMULS: Mapping[Op, str] = {DOT: "{0}", DOT_HEADS: "{0} + at * {1}"}

OPERATIONS: Mapping[str, OperationTemplate] = {
    "add": OperationTemplate("{0} + {1}"),
    "subtract": OperationTemplate("{0} - {1}"),
    "multiply": OperationTemplate("{0} * {1}"),
    "divide": OperationTemplate("{0} / {1}"),
    "negative": OperationTemplate("-{0}"),
    "power": _call("pow", 2),
    "remainder": _helper("remainder_of", 2),
    "floor": _call("floor"),
    "sign": _helper("sign"),
    "exp": _call("exp"),
    "exp_diff": OperationTemplate("{f}(({0}) - ({1}))", function="exp"),
    "erf": _call("erf"),
    "expm1": _call("expm1"),
    "log": _call("log"),
    "log1p": _call("log1p"),
    "sqrt": _call("sqrt"),
    "sin": _call("sin"),
    "cos": _call("cos"),
    "arctan": _call("atan"),
    "sinh": _call("sinh"),
    "cosh": _call("cosh"),
    "tanh": _call("tanh"),
    "sigmoid": _helper("sigmoid"),
    "softplus": _helper("softplus"),
    "absolute": _call("fabs"),
    "maximum": _helper("larger", 2),
    "minimum": _helper("smaller", 2),
    "where": OperationTemplate("(({0}) ? {1} : {2})"),
    "less": OperationTemplate("{0} < {1}"),
    "less_equal": OperationTemplate("{0} <= {1}"),
    "greater": OperationTemplate("{0} > {1}"),
    "greater_equal": OperationTemplate("{0} >= {1}"),
    "equal": OperationTemplate("{0} == {1}"),
    "not_equal": OperationTemplate("{0} != {1}"),
    "logical_and": OperationTemplate("{0} && {1}"),
    "logical_or": OperationTemplate("{0} || {1}"),
    "logical_not": OperationTemplate("!{0}"),
    "copy": OperationTemplate("{0}"),
}

# Operations without a C operator or a function of math.h. Each propagates NaN.
HELPERS: Mapping[str, str] = {
    "sigmoid": """\
/* 1 / (1 + exp(-x)), without overflow */
static real sigmoid(real x)
{
    const real e = exp(-fabs(x));
    return (x < 0 ? e : 1) / (1 + e);
}
""",
    "softplus": """\
/* log(1 + exp(x)), without overflow */
static real softplus(real x)
{
    return (x < 0 ? 0 : x) + log1p(exp(-fabs(x)));
}
""",
    "larger": """\
static real larger(real a, real b)
{
    return a >= b || a != a ? a : b;
}
""",
    "smaller": """\
static real smaller(real a, real b)
{
    return a <= b || a != a ? a : b;
}
""",
    "sign": """\
static real sign(real x)
{
    return x > 0 ? 1 : x < 0 ? -1 : x;
}
""",
    "remainder_of": """\
/* what is left of a when b is taken as often as goes, with the sign of b */
static real remainder_of(real a, real b)
{
    const real rest = fmod(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
""",
    "clear": """\
static void clear(real *restrict to, size_t count)
{
    for (size_t n = 0; n < count; n++)
        to[n] = 0;
}
""",
    "copy": """\
static void copy(const real *restrict from, real *restrict to, size_t count)
{
    for (size_t n = 0; n < count; n++)
        to[n] = from[n];
}
""",
    "add": """\
static void add(const real *restrict from, real *restrict to, size_t count)
{
    for (size_t n = 0; n < count; n++)
        to[n] += from[n];
}
""",
    "add_column": """\
/* to += a column of a matrix whose rows are depth long */
static void add_column(const real *restrict column, real *restrict to, size_t depth, size_t width)
{
    for (size_t n = 0; n < width; n++)
        to[n] += column[n * depth];
}
""",
    "add_product": """\
/* to += a @ w, for w of depth rows and width columns */
static void add_product(const real *restrict a, const real *restrict w, real *restrict to,
                        size_t depth, size_t width)
{
    for (size_t k = 0; k < depth; k++)
        for (size_t n = 0; n < width; n++)
            to[n] += a[k] * w[k * width + n];
}
""",
    "add_product_transposed": """\
/* to += w @ a, for w of width rows and depth columns */
static void add_product_transposed(const real *restrict a, const real *restrict w, real *restrict to,
                                   size_t depth, size_t width)
{
    for (size_t n = 0; n < width; n++)
        for (size_t k = 0; k < depth; k++)
            to[n] += a[k] * w[n * depth + k];
}
""",
}
