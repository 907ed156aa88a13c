"""NumPy's element-wise functions on symbolic arrays: rows of the table of operations, or made of rows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.compiler import structure
from zoo.compiler.blame import TraceError
from zoo.compiler.extents import Extent
from zoo.compiler.intercepting import multiplied
from zoo.compiler.operands import guarded, nodes_of, trace
from zoo.compiler.operations import OPERATIONS
from zoo.compiler.tracing import Traced
from zoo.contracts.names import did_you_mean

# A power up to here is a product.
_LARGEST_POWER = 16


def call_ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A ufunc on operands of which one at least is symbolic.

    Raises:
        TraceError: if it is none that can be compiled.
    """
    _check_plain(ufunc, method, kwargs)
    if ufunc is np.matmul:
        left, right = inputs
        return multiplied(left, right, lambda a, b: _called(ufunc, (a, b)))
    return _called(ufunc, inputs)


def _called(ufunc: Any, inputs: tuple[Any, ...]) -> Any:
    name = ufunc.__name__
    if any(map(is_complex, inputs)):
        from zoo.compiler.complex_numbers import call_complex_ufunc

        return call_complex_ufunc(ufunc, inputs)
    if name in _MADE:
        return _MADE[name](*inputs)
    if name in OPERATIONS:
        return trace(name, *inputs)
    raise TraceError(f"{called(ufunc)} is not compiled; {_instead(name)}")


def called(ufunc: Any) -> str:
    """How one writes a ufunc."""
    name: str = ufunc.__name__
    return f"np.{name}" if getattr(np, name, None) is ufunc else name


def is_complex(value: Any) -> bool:
    """Whether a value is of complex numbers."""
    from zoo.compiler.complex_numbers import Complex

    return isinstance(value, Complex) or (not isinstance(value, Traced | Extent) and np.iscomplexobj(value))


def _check_plain(ufunc: Any, method: str, kwargs: dict[str, Any]) -> None:
    if "out" in kwargs:
        raise TraceError("arrays cannot be written to; write `a = a + b` in place of `a += b`, and no out=")
    if method != "__call__":
        raise TraceError(
            f"{called(ufunc)}.{method} is not compiled; write np.sum, np.max, np.cumsum or np.outer"
        )
    if kwargs:
        raise TraceError(f"{called(ufunc)} is compiled without {', '.join(kwargs)}; leave it out")


def _instead(name: str) -> str:
    """What to write in place of a function that is not compiled."""
    if name in _INSTEAD:
        return f"write {_INSTEAD[name]}"
    known = sorted(each for each in {*_MADE, *OPERATIONS} if isinstance(getattr(np, each, None), np.ufunc))
    hint = did_you_mean(name, known)
    return f"these are: {', '.join(known)}, and zoo's own{'.' if hint else ''}{hint}"


_INSTEAD = {
    "bitwise_xor": "a != b",
    "divmod": "np.floor(a / b) and a % b",
    "expit": "zoo.sigmoid",
    "float_power": "a ** b",
    "floor_divide": "np.floor(a / b)",
    "fmax": "np.maximum",
    "fmin": "np.minimum",
    "log_expit": "zoo.log_sigmoid",
    "rint": "np.floor(a + 0.5)",
    "round": "np.floor(a + 0.5)",
}


def _matmul(a: Any, b: Any) -> Traced:
    return guarded(structure.matmul, *nodes_of((a, b)))


def is_truth(value: Any) -> bool:
    """Whether a value is true or false rather than a number."""
    return value.node.truth if isinstance(value, Traced) else np.asarray(value).dtype.kind == "b"


def _of_truths(name: str, otherwise: str | None) -> Callable[..., Any]:
    """Arithmetic that NumPy gives another meaning, or none, where all operands are true or false."""

    def function(*operands: Any) -> Any:
        if not all(map(is_truth, operands)):
            return trace(name, *operands)
        if otherwise is None:
            raise TraceError(f"np.{name} of truth values has no meaning; write ~a, or a != b")
        return trace(otherwise, *operands)

    return function


def _truths_only(name: str, sign: str) -> Callable[..., Any]:
    def function(*operands: Any) -> Any:
        if not all(map(is_truth, operands)):
            raise TraceError(f"`{sign}` takes truth values such as h > 0; found numbers")
        return trace(name, *operands)

    return function


def _power(a: Any, b: Any) -> Any:
    """A power with a known exponent or base is something cheaper, which also takes a negative base."""
    exponent, base = _known(b), _known(a)
    if exponent is not None and exponent == int(exponent) and abs(exponent) <= _LARGEST_POWER:
        return integer_power(a, int(exponent))
    if exponent is not None and abs(exponent) == 0.5:
        return np.sqrt(a) if exponent > 0 else 1.0 / np.sqrt(a)
    if base is not None and base > 0.0:
        return np.exp(b * math.log(base))
    return trace("power", a, b)


def _known(value: Any) -> float | None:
    """The number that an operand is, if it is one."""
    if isinstance(value, Traced | Extent) or np.ndim(value) > 0 or np.asarray(value).dtype.kind not in "iuf":
        return None
    return float(value) if math.isfinite(value) else None


def integer_power(a: Any, exponent: Any) -> Any:
    """``a ** exponent`` by squaring, real or complex.

    Raises:
        TraceError: if the exponent is no small integer.
    """
    number = _known(exponent)
    if number is None or number != int(number) or abs(number) > _LARGEST_POWER:
        raise TraceError(
            f"powers of complex numbers are compiled for the exponents -{_LARGEST_POWER} to {_LARGEST_POWER}"
        )
    if number < 0:
        return 1.0 / integer_power(a, -number)
    if number < 2:
        return a if number else np.ones_like(a)
    half = integer_power(a, number // 2)
    return half * half * a if number % 2 else half * half


def root(square: Any) -> Any:
    """The square root of a sum of squares: where that is zero, its derivative is zero too."""
    is_zero = square == 0.0
    return np.where(is_zero, 0.0, np.sqrt(np.where(is_zero, 1.0, square)))


_MADE: dict[str, Callable[..., Any]] = {
    "matmul": _matmul,
    "power": _power,
    "float_power": _power,
    "positive": lambda a: a,
    "conjugate": lambda a: a,
    "square": lambda a: a * a,
    "reciprocal": lambda a: 1.0 / a,
    "exp2": lambda a: np.exp(a * math.log(2.0)),
    "log2": lambda a: np.log(a) / math.log(2.0),
    "log10": lambda a: np.log(a) / math.log(10.0),
    "fabs": np.absolute,
    "ceil": lambda a: -np.floor(-a),
    "hypot": lambda a, b: root(a * a + b * b),
    "logaddexp": lambda a, b: np.maximum(a, b) + np.log1p(np.exp(-np.absolute(a - b))),
    "heaviside": lambda a, b: np.where(a == 0, b, 0.5 * (np.sign(a) + 1.0)),
    "isnan": lambda a: a != a,
    "isfinite": lambda a: np.absolute(a) < math.inf,
    # Truth values.
    "add": _of_truths("add", "logical_or"),
    "multiply": _of_truths("multiply", "logical_and"),
    "maximum": _of_truths("maximum", "logical_or"),
    "minimum": _of_truths("minimum", "logical_and"),
    "subtract": _of_truths("subtract", None),
    "negative": _of_truths("negative", None),
    "bitwise_and": _truths_only("logical_and", "&"),
    "bitwise_or": _truths_only("logical_or", "|"),
    "invert": _truths_only("logical_not", "~"),
}
