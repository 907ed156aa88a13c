"""Cells as plain step functions, for libraries that scan any function.

They are independent of the cells of zoo, with the same names and gate orders. A function takes the input
projection with its bias, ``a (B, ·)``, and the states ``(B, H)``, and returns the new states. The first
state is the output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Array = Any
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Functions:
    """A library's functions for the equations.

    Args:
        tanh: Hyperbolic tangent.
        sigmoid: Logistic function.
        split: ``split(a, n)``, n equal parts of the columns.
    """

    tanh: Callable[[Array], Array]
    sigmoid: Callable[[Array], Array]
    split: Callable[[Array, int], Any]


@dataclass(frozen=True)
class CellEquations:
    """The equations of one cell.

    Args:
        weight: Name of the input weight.
        bias: Name of its bias.
        states: Number of states.
        step: ``step(functions, params, options, a, *states)``.
    """

    weight: str
    bias: str
    states: int
    step: Callable[..., tuple[Array, ...]]


def _vanilla(f: Functions, p: Values, _options: Values, a: Array, h: Array) -> tuple[Array, ...]:
    return (f.tanh(a + h @ p["Whh"]),)


def _lstm(f: Functions, p: Values, options: Values, a: Array, h: Array, c: Array) -> tuple[Array, ...]:
    i, forget, g, o = f.split(a + h @ p["Wh"], 4)
    c = f.sigmoid(forget + options["forget_bias"]) * c + f.sigmoid(i) * f.tanh(g)
    return f.sigmoid(o) * f.tanh(c), c


def _peephole(f: Functions, p: Values, options: Values, a: Array, h: Array, c: Array) -> tuple[Array, ...]:
    i, forget, g, o = f.split(a + h @ p["Wh"], 4)
    keep = f.sigmoid(forget + options["forget_bias"] + p["p"][1] * c)
    c = keep * c + f.sigmoid(i + p["p"][0] * c) * f.tanh(g)
    return f.sigmoid(o + p["p"][2] * c) * f.tanh(c), c


def _gru(f: Functions, p: Values, _options: Values, a: Array, h: Array) -> tuple[Array, ...]:
    (r, z, n), (hr, hz, hn) = f.split(a, 3), f.split(h @ p["Wh"], 3)
    z, n = f.sigmoid(z + hz), f.tanh(n + f.sigmoid(r + hr) * (hn + p["bn"]))
    return (n + z * (h - n),)


def _gru_reset_before(f: Functions, p: Values, _options: Values, a: Array, h: Array) -> tuple[Array, ...]:
    (r, z, n), (hr, hz) = f.split(a, 3), f.split(h @ p["Wh"], 2)
    z, n = f.sigmoid(z + hz), f.tanh(n + (f.sigmoid(r + hr) * h) @ p["Wn"])
    return (n + z * (h - n),)


def _mgu(f: Functions, p: Values, _options: Values, a: Array, h: Array) -> tuple[Array, ...]:
    forget, n = f.split(a, 2)
    forget = f.sigmoid(forget + h @ p["Wh"])
    n = f.tanh(n + (forget * h) @ p["Wn"])
    return (h + forget * (n - h),)


def _lem(f: Functions, p: Values, options: Values, a: Array, y: Array, z: Array) -> tuple[Array, ...]:
    (s, t, u, v), (hs, ht, hv) = f.split(a, 4), f.split(y @ p["Wy"], 3)
    s, t = options["dt"] * f.sigmoid(s + hs), options["dt"] * f.sigmoid(t + ht)
    z = z + t * (f.tanh(v + hv) - z)
    return y + s * (f.tanh(u + z @ p["Wz"]) - y), z


EQUATIONS = {
    "vanilla": CellEquations("Wxh", "bh", 1, _vanilla),
    "lstm": CellEquations("Wx", "b", 2, _lstm),
    "gru": CellEquations("Wx", "b", 1, _gru),
    "gru_reset_before": CellEquations("Wx", "b", 1, _gru_reset_before),
    "mgu": CellEquations("Wx", "b", 1, _mgu),
    "peephole_lstm": CellEquations("Wx", "b", 2, _peephole),
    "lem": CellEquations("Wx", "b", 2, _lem),
}
