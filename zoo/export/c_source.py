"""C source text: helper functions, valid names, literals and blocks.

The code of the table of operations calls the functions of ``math.h`` and the helpers here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np

from zoo.array_types import Array
from zoo.export.syntax import Syntax, fill_lines

# The functions of math.h with one or two numbers.
_MATH_H = """
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor
fmax fmin fmod hypot lgamma log log10 log1p log2 pow rint round sin sinh sqrt tan tanh tgamma trunc
"""
FUNCTIONS = tuple(_MATH_H.split())
"""Functions of ``math.h``, without the suffix of their dtype."""

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
/* the remainder of a / b, with the sign of b */
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
    "copy_row_int8": """\
static void copy_row_int8(const int8_t *restrict row, real scale, real *restrict to, size_t width)
{
    for (size_t n = 0; n < width; n++)
        to[n] = scale * row[n];
}
""",
    "add_row_int8": """\
static void add_row_int8(const int8_t *restrict row, real scale, real *restrict to, size_t width)
{
    for (size_t n = 0; n < width; n++)
        to[n] += scale * row[n];
}
""",
    "add_column_int8": """\
/* to += a column of a matrix whose rows are depth long and have scales */
static void add_column_int8(const int8_t *restrict column, const real *restrict scales, real *restrict to,
                            size_t depth, size_t width)
{
    for (size_t n = 0; n < width; n++)
        to[n] += scales[n] * column[n * depth];
}
""",
    "add_product_int8": """\
/* to += a @ w, for w of depth rows with scales and width columns */
static void add_product_int8(const real *restrict a, const int8_t *restrict w, const real *restrict scales,
                             real *restrict to, size_t depth, size_t width)
{
    for (size_t k = 0; k < depth; k++) {
        const real factor = a[k] * scales[k];
        for (size_t n = 0; n < width; n++)
            to[n] += factor * w[k * width + n];
    }
}
""",
    "add_product_transposed_int8": """\
/* to += w @ a, for w of width rows with scales and depth columns */
static void add_product_transposed_int8(const real *restrict a, const int8_t *restrict w,
                                        const real *restrict scales, real *restrict to, size_t depth,
                                        size_t width)
{
    for (size_t n = 0; n < width; n++) {
        real sum = 0;
        for (size_t k = 0; k < depth; k++)
            sum += a[k] * w[n * depth + k];
        to[n] += scales[n] * sum;
    }
}
""",
}


_KEYWORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long
register restrict return short signed sizeof static struct switch typedef union unsigned void volatile while
_Bool _Complex _Imaginary alignas alignof bool constexpr false nullptr static_assert thread_local true typeof
class delete new private protected public template this throw try catch using namespace virtual operator
asm NULL NAN INFINITY HUGE_VAL HUGE_VALF size_t main errno uint64_t UINT64_C
"""
# Variables of a step function.
_STEP_VARIABLES = (
    "state",
    "token",
    "x",
    "y",
    "logits",
    "random",
    "embedded",
    "embedding",
    *(f"at{depth}" for depth in ("", *range(32))),
)
RESERVED = frozenset(
    [*_KEYWORDS.split(), *_STEP_VARIABLES, *HELPERS, *FUNCTIONS, *(f"{name}f" for name in FUNCTIONS)]
)

MAX_PREFIX = 48
"""Characters of the longest prefix."""


def identifier_prefix(text: str) -> str:
    """A text as the prefix of names: letters, digits and single underscores, with a letter in front."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", text, flags=re.ASCII).strip("_")[:MAX_PREFIX].strip("_")
    is_taken = re.fullmatch(r"l\d+|initial|layer|readout", plain) is not None
    return plain if plain[:1].isalpha() and not is_taken else f"model_{plain}".strip("_")


def string_literal(data: bytes) -> str:
    """Bytes as a string literal; ambiguous characters become escapes."""
    return f'"{"".join(_character(byte) for byte in data)}"'


def _character(byte: int) -> str:
    # Question marks could be parts of a trigraph; an octal escape ends after three digits.
    plain = chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\?' else ""
    return plain or f"\\{byte:03o}"


def number_literal(value: Any, dtype: np.dtype[Any]) -> str:
    """A number as the shortest literal with the same value in a dtype."""
    with np.errstate(over="ignore"):
        number = dtype.type(value)
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "-INFINITY" if number < 0 else "INFINITY"
    return f"{number!s}{_suffix(dtype)}"


def _suffix(dtype: np.dtype[Any]) -> str:
    return "f" if dtype == np.float32 else ""


def _numbers(values: Array, dtype: np.dtype[Any]) -> Iterator[str]:
    """Many literals; a model may have millions."""
    values, suffix = values.astype(dtype).ravel(), _suffix(dtype)
    if not np.isfinite(values).all():
        return (number_literal(each, dtype) for each in values)
    return (f"{each}{suffix}" for each in map(str, values))


def array_definition(name: str, value: Array, dtype: np.dtype[Any]) -> Iterator[str]:
    """The lines that define a constant array of a dtype, or of int8, in row-major order."""
    shape = " x ".join(map(str, value.shape))
    is_int8 = value.dtype == np.int8
    kind, numbers = ("int8_t", map(str, value.flat)) if is_int8 else (c_type(dtype), _numbers(value, dtype))
    note = f" /* {shape} */" if value.ndim > 1 else ""
    yield f"static const {kind} {name}[{value.size}] = {{{note}"
    yield from fill_lines(numbers, ", ")
    yield "};"


def c_type(dtype: np.dtype[Any]) -> str:
    """C's name for a dtype."""
    return "float" if dtype == np.float32 else "double"


class CSyntax(Syntax):
    """C99. Functions of the mathematical library have the suffix of the dtype."""

    helpers = HELPERS
    functions: ClassVar = dict(zip(FUNCTIONS, FUNCTIONS, strict=True))
    reserved = RESERVED

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    def function(self, name: str, dtype: np.dtype[Any]) -> str:
        """A function of ``math.h``."""
        return f"{name}{_suffix(dtype)}"

    def number(self, value: float, dtype: np.dtype[Any]) -> str:
        """A number as a literal."""
        return number_literal(value, dtype)

    def constant(self, name: str, value: str, dtype: np.dtype[Any], is_bool: bool = False) -> str:
        """The line that defines a constant number."""
        return f"const {'int' if is_bool else c_type(dtype)} {name} = {value};"

    def variable(self, name: str, value: str, dtype: np.dtype[Any]) -> str:
        """The line that defines a variable number."""
        return f"{c_type(dtype)} {name} = {value};"

    def loop(self, name: str, length: object, is_reverse: bool = False) -> str:
        """The head of a loop over the indices below a length."""
        if is_reverse:
            return f"for (size_t {name} = {length}; {name}-- > 0;)"
        return f"for (size_t {name} = 0; {name} < {length}; {name}++)"

    def integer(self, quotient: str) -> str:
        """A quotient of indices, rounded down."""
        return quotient

    def address(self, array: str, index: object) -> str:
        """An array from an element on."""
        return f"{array} + {index}"

    def row(self, array: str, row: str, width: object) -> str:
        """An array from a row on, for a row that may be a token."""
        return f"{array} + (size_t){row} * {width}"

    def token_row(self, array: str, token: str, width: object) -> str:
        """The row of a token as an argument."""
        return f"&{array}[(size_t){token} * {width}]"

    def element(self, array: str, index: str) -> str:
        """An element of an array that an expression gives."""
        return f"({array})[{index}]" if " " in array else f"{array}[{index}]"

    def element_of_row(self, array: str, start: str, token: str) -> str:
        """The element of a token in a row that begins at an index."""
        return f"{array}[{start} + (size_t){token}]"

    def field(self, name: str) -> str:
        """A state in the struct of all states."""
        return f"state->{name}"

    def state_array(self, name: str, field: str, dtype: np.dtype[Any]) -> str:
        """The line that names the array of a state."""
        return f"{c_type(dtype)} *const {name} = {self.field(field)};"

    def arrays(self, sizes: Mapping[str, int], dtype: np.dtype[Any]) -> Iterator[str]:
        """The lines that define local arrays."""
        if sizes:
            first, *more = fill_lines((f"{name}[{size}]" for name, size in sizes.items()), ", ", 90)
            lines = [f"{c_type(dtype)} {first.lstrip()}", *more]
            lines[-1] += ";"
            yield from lines

    def sequence_arrays(self, sizes: Mapping[str, int], dtype: np.dtype[Any]) -> Iterator[str]:
        """The lines that divide the memory ``work`` of the caller."""
        address = "work"
        for name, size in sizes.items():
            yield f"{c_type(dtype)} *const {name} = {address};"
            address = f"{name} + count * {size}"
        if not sizes:
            yield from self.unused("work")

    def unused(self, name: str) -> Iterator[str]:
        """The cast that avoids a warning."""
        yield f"(void){name};"

    def layer_head(self, name: str, first: str, aux: Iterable[str], y: bool, dtype: np.dtype[Any]) -> str:
        """The head of the function of a layer."""
        kind = c_type(dtype)
        parameters = [f"{self.prefix}_state *state", "int token" if first == "token" else f"const {kind} *x"]
        parameters += [f"const {kind} *{each}" for each in aux]
        parameters += [f"{kind} *y"] if y else []
        return f"static void {name}({', '.join(parameters)})"
