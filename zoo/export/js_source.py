"""JavaScript source text: helper functions, literals, arrays in base64, and the parts that differ from C."""

from __future__ import annotations

import base64
import json
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Any, ClassVar

import numpy as np

from zoo.array_types import Array
from zoo.export.syntax import Syntax

# Functions of the global object Math, by their names in C.
_SAME = "acos acosh asin asinh atan atan2 atanh cbrt ceil cos cosh exp expm1 floor hypot log log10 log1p log2"
FUNCTIONS: Mapping[str, str] = {
    **{name: f"Math.{name}" for name in f"{_SAME} sin sinh sqrt tan tanh trunc".split()},
    "fabs": "Math.abs",
    "larger": "Math.max",
    "smaller": "Math.min",
    "sign": "Math.sign",
}
"""The code of functions, by their names in C. ``Math.max`` and ``Math.min`` propagate NaN, as NumPy does."""

# Functions that JavaScript lacks, and the products. Loops over arrays are those of C.
HELPERS: Mapping[str, str] = {
    "sigmoid": """\
/** 1 / (1 + exp(-x)), without overflow */
function sigmoid(x) {
    const e = Math.exp(-Math.abs(x));
    return (x < 0 ? e : 1) / (1 + e);
}
""",
    "softplus": """\
/** log(1 + exp(x)), without overflow */
function softplus(x) {
    return (x < 0 ? 0 : x) + Math.log1p(Math.exp(-Math.abs(x)));
}
""",
    "pow": """\
/** a to the power of b; 1 to any power is 1, as in C and unlike Math.pow */
function pow(a, b) {
    return a === 1 || (a === -1 && Math.abs(b) === Infinity) ? 1 : a ** b;
}
""",
    "remainder_of": """\
/** the remainder of a / b, with the sign of b */
function remainder_of(a, b) {
    const rest = a % b;
    return rest !== 0 && (rest < 0) !== (b < 0) ? rest + b : rest;
}
""",
    "erf": """\
/** the error function: a series of positive terms near zero, else a continued fraction of 1 - erf */
function erf(x) {
    const a = Math.abs(x);
    if (a < 2) {
        let term = x, sum = x;
        for (let n = 1; n < 40; n++) {
            term *= 2 * x * x / (2 * n + 1);
            sum += term;
        }
        return 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) * sum;
    }
    let rest = a;
    for (let n = 50; n > 0; n--)
        rest = a + n / 2 / rest;
    const y = 1 - Math.exp(-a * a) / (rest * Math.sqrt(Math.PI));
    return x < 0 ? -y : y;
}
""",
    "clear": """\
function clear(to, count) {
    to.fill(0, 0, count);
}
""",
    "copy": """\
function copy(from, to, count) {
    for (let n = 0; n < count; n++)
        to[n] = from[n];
}
""",
    "add": """\
function add(from, to, count) {
    for (let n = 0; n < count; n++)
        to[n] += from[n];
}
""",
    "add_column": """\
/** to += a column of a matrix whose rows are depth long */
function add_column(column, to, depth, width) {
    for (let n = 0; n < width; n++)
        to[n] += column[n * depth];
}
""",
    "add_product": """\
/** to += a @ w, for w of depth rows and width columns */
function add_product(a, w, to, depth, width) {
    for (let k = 0; k < depth; k++)
        for (let n = 0; n < width; n++)
            to[n] += a[k] * w[k * width + n];
}
""",
    "add_product_transposed": """\
/** to += w @ a, for w of width rows and depth columns */
function add_product_transposed(a, w, to, depth, width) {
    for (let n = 0; n < width; n++)
        for (let k = 0; k < depth; k++)
            to[n] += a[k] * w[n * depth + k];
}
""",
    "copy_row_int8": """\
function copy_row_int8(row, scale, to, width) {
    for (let n = 0; n < width; n++)
        to[n] = scale * row[n];
}
""",
    "add_row_int8": """\
function add_row_int8(row, scale, to, width) {
    for (let n = 0; n < width; n++)
        to[n] += scale * row[n];
}
""",
    "add_column_int8": """\
/** to += a column of a matrix whose rows are depth long and have scales */
function add_column_int8(column, scales, to, depth, width) {
    for (let n = 0; n < width; n++)
        to[n] += scales[n] * column[n * depth];
}
""",
    "add_product_int8": """\
/** to += a @ w, for w of depth rows with scales and width columns */
function add_product_int8(a, w, scales, to, depth, width) {
    for (let k = 0; k < depth; k++) {
        const factor = a[k] * scales[k];
        for (let n = 0; n < width; n++)
            to[n] += factor * w[k * width + n];
    }
}
""",
    "add_product_transposed_int8": """\
/** to += w @ a, for w of width rows with scales and depth columns */
function add_product_transposed_int8(a, w, scales, to, depth, width) {
    for (let n = 0; n < width; n++) {
        let sum = 0;
        for (let k = 0; k < depth; k++)
            sum += a[k] * w[n * depth + k];
        to[n] += scales[n] * sum;
    }
}
""",
}

_KEYWORDS = """
arguments async await break case catch class const continue debugger default delete do else enum eval export
extends false finally for function get if implements import in instanceof interface let new null of package
private protected public return set static super switch this throw true try typeof undefined var void while
with yield NaN Infinity Math Array Float32Array Float64Array Int8Array Object Number Error RangeError
TypeError
"""
# Variables of the functions that are written here, and names of a module that they use.
_VARIABLES = """
state states token tokens x y logits count outputs embedded embedding t row_of token_of rows_of
check fail length_of state_of initial_state RealArray INPUTS OUTPUTS Model info
"""
RESERVED = frozenset(
    [
        *_KEYWORDS.split(),
        *_VARIABLES.split(),
        *(f"at{depth}" for depth in ("", *range(32))),
        *(f"y{layer}" for layer in range(100)),
        *HELPERS,
    ]
)


class JsSyntax(Syntax):
    """JavaScript. Variables are doubles, and a store to an array rounds to the dtype of the model."""

    helpers: ClassVar = HELPERS
    functions: ClassVar = FUNCTIONS
    reserved = RESERVED

    def function(self, name: str, dtype: np.dtype[Any]) -> str:  # noqa: ARG002 - one function for all dtypes
        """A function of ``Math``."""
        return self.functions[name]

    def number(self, value: float, dtype: np.dtype[Any]) -> str:
        """The shortest literal that is the number in the dtype."""
        with np.errstate(over="ignore"):
            return str(dtype.type(value)).replace("inf", "Infinity").replace("nan", "NaN")

    def constant(self, name: str, value: str, dtype: np.dtype[Any], is_bool: bool = False) -> str:  # noqa: ARG002
        """The line that defines a constant."""
        return f"const {name} = {value};"

    def variable(self, name: str, value: str, dtype: np.dtype[Any]) -> str:  # noqa: ARG002 - no types
        """The line that defines a variable."""
        return f"let {name} = {value};"

    def loop(self, name: str, length: object, is_reverse: bool = False) -> str:
        """The head of a loop over the indices below a length."""
        if is_reverse:
            return f"for (let {name} = {length}; {name}-- > 0;)"
        return f"for (let {name} = 0; {name} < {length}; {name}++)"

    def integer(self, quotient: str) -> str:
        """A quotient of indices, rounded down."""
        return f"Math.floor({quotient})"

    def address(self, array: str, index: object) -> str:
        """An array from an element on, in the same memory."""
        return f"{array}.subarray({index})"

    def row(self, array: str, row: str, width: object) -> str:
        """An array from a row on."""
        return f"{array}.subarray({row} * {width})"

    def field(self, name: str) -> str:
        """A state in the object of all states."""
        return f"state.{name}"

    def state_array(self, name: str, field: str, dtype: np.dtype[Any]) -> str:  # noqa: ARG002 - no types
        """The line that names the array of a state."""
        return f"const {name} = {self.field(field)};"

    def arrays(self, sizes: Mapping[str, int], dtype: np.dtype[Any]) -> Iterator[str]:
        """The lines that define local arrays."""
        for name, size in sizes.items():
            yield f"const {name} = new {js_array(dtype)}({size});"

    def sequence_arrays(self, sizes: Mapping[str, int], dtype: np.dtype[Any]) -> Iterator[str]:
        """The lines that define arrays with a row for each step."""
        for name, size in sizes.items():
            yield f"const {name} = new {js_array(dtype)}(count * {size});"

    def unused(self, name: str) -> Iterator[str]:  # noqa: ARG002 - JavaScript permits it
        """No lines: JavaScript permits it."""
        yield from ()

    def layer_head(self, name: str, first: str, aux: Iterable[str], y: bool, dtype: np.dtype[Any]) -> str:  # noqa: ARG002
        """The head of the function of a layer."""
        return f"function {name}({', '.join(['state', first, *aux, *['y'] * y])})"


def js_array(dtype: np.dtype[Any]) -> str:
    """JavaScript's class for arrays of a dtype."""
    return "Int8Array" if dtype == np.int8 else f"Float{8 * dtype.itemsize}Array"


def js_value(value: object) -> str:
    """A JSON value, NaN or infinity as an expression of ASCII that is safe in a script of a page, too."""
    text = json.dumps(value, ensure_ascii=True)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def js_comment(text: str) -> str:
    """A text on one line of a comment, as ASCII."""
    plain = js_value(" ".join(text.split()))[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return plain.replace("*/", "* /")


def array_definition(name: str, value: Array, dtype: np.dtype[Any]) -> Iterator[str]:
    """The lines that define a constant array of a dtype, or of int8, in row-major order.

    The elements are little-endian in base64, on lines of the length that editors like.
    """
    kind = np.dtype(np.int8) if value.dtype == np.int8 else dtype
    data = np.ascontiguousarray(value, kind.newbyteorder("<")).tobytes()
    shape = " x ".join(map(str, value.shape))
    yield f"/** {js_array(kind)}, {shape} */"
    lines = textwrap.wrap(base64.b64encode(data).decode("ascii"), 110)
    yield f"const {name} = {'integers' if kind == np.int8 else 'numbers'}(`{chr(10).join(lines)}`);"


def asset(name: str) -> str:
    """The text of a file of the package."""
    return (files("zoo.export") / "assets" / name).read_text(encoding="utf-8")
