"""Drawing random step programs, fit for finite differences by construction.

Every value carries an interval it lies in, an operand that leaves an operation's domain is squashed into it,
and a value that grows is squashed too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from hypothesis import strategies as st
from random_steps import (
    _GAPS,
    ELEMENTWISE,
    HEADS,
    LIMIT,
    ONE,
    PER_HEAD,
    SIZES,
    THREE,
    H,
    I,
    Interval,
    Line,
    Program,
    Shape,
)

from zoo.compiler.ir.dims import Dim, as_dim, product
from zoo.compiler.ir.op_table import OPS
from zoo.compiler.ir.solve_sizes import solve_sizes


@dataclass(frozen=True)
class Value:
    """A value that lines may use."""

    name: str
    shape: Shape
    interval: Interval
    is_bool: bool = False


@dataclass
class Builder:
    """A program being drawn."""

    draw: Any
    params: dict[str, Shape] = field(default_factory=dict)
    buffers: dict[str, Shape] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def chance(self, percent: int) -> bool:
        """True so often; false first, for shrinking."""
        return bool(self.draw(st.integers(0, 99)) >= 100 - percent)

    def one_of(self, choices: Sequence[Any]) -> Any:
        """One of some things."""
        return choices[self.draw(st.integers(0, len(choices) - 1))]

    def pick(self, fits: Callable[[Value], bool] = lambda _: True, numbers: bool = True) -> Value | None:
        """A value that fits; one not used yet rather than another."""
        result = [value for value in self.values if fits(value) and value.is_bool != numbers]
        fresh = [value for value in result if value.name not in self.used]
        if fresh and self.chance(60):
            result = fresh
        return self.one_of(result) if result else None

    def emit(
        self,
        function: str,
        operands: list[Value | str],
        shape: Shape,
        interval: Interval,
        is_bool: bool = False,
    ) -> Value:
        """Write a line; a value that may be large is squashed."""
        names = tuple(each if isinstance(each, str) else each.name for each in operands)
        self.used |= set(names)
        name = f"v{len(self.lines)}"
        self.lines.append(Line(name, function, names))
        value = Value(name, shape, interval, is_bool)
        if max(abs(interval[0]), abs(interval[1])) > LIMIT:
            squash = self.one_of(["tanh", "sigmoid"])
            return self.emit(squash, [value], shape, (-1.0, 1.0) if squash == "tanh" else (0.0, 1.0))
        if value not in self.values:
            self.values.append(value)
        return value

    def parameter(self, shape: Shape) -> Value:
        """A parameter of a shape, new or not; sometimes a buffer."""
        known = [value for value in self.values if value.name.startswith("self.W") and value.shape == shape]
        if known and self.chance(30):
            return self.one_of(known)
        held = self.buffers if self.chance(12) else self.params
        name = f"W{len(self.params) + len(self.buffers)}"
        held[name] = shape
        value = Value(f"self.{name}", shape, (-1.0, 1.0))
        self.values.append(value)
        return value

    def small(self, shape: Shape) -> str:
        """A parameter of small numbers, for a product that becomes a state."""
        name = f"S{len(self.params)}"
        self.params[name] = shape
        return f"self.{name}"


Rule: TypeAlias = Callable[[Builder], Value | None]


def _length(dim: Dim) -> int:
    return max(int(dim.evaluate(sizes)) for sizes in SIZES)


def _joint(*shapes: Shape) -> Shape | None:
    """The shape that shapes broadcast to, if they do."""
    longest = max(map(len, shapes))
    padded = [(ONE,) * (longest - len(shape)) + shape for shape in shapes]
    results = []
    for dims in zip(*padded, strict=True):
        long = {dim for dim in dims if dim != ONE}
        if len(long) > 1:
            return None
        results.append(long.pop() if long else ONE)
    return tuple(results)


_RANGES: dict[str, Interval] = {"sin": (-1.0, 1.0), "cos": (-1.0, 1.0)}


def _interval(name: str, operands: list[Value]) -> Interval:
    """Range of an element-wise operation. All but a few are monotonic in each operand."""
    if name in _RANGES:
        return _RANGES[name]
    if name == "remainder":
        return 0.0, operands[1].interval[1]
    if name == "where":
        return _union(operands[1:])
    corners = np.array(np.meshgrid(*(value.interval for value in operands))).reshape(len(operands), -1)
    results = np.asarray(OPS[name].numpy(*corners), float)
    low = 0.0 if name == "absolute" else float(results.min())
    return low, float(results.max())


def _union(values: list[Value]) -> Interval:
    return min(value.interval[0] for value in values), max(value.interval[1] for value in values)


def _in_domain(b: Builder, value: Value, domain: Interval) -> Value:
    """A value, squashed if it might leave a domain; those of tests end at two, where most go on."""
    low = domain[0] if domain[0] > -2 else -LIMIT
    high = domain[1] if domain[1] < 2 else LIMIT
    if low <= value.interval[0] and value.interval[1] <= high:
        return value
    return b.emit("below_one", [value], value.shape, (0.3, 1.5))


def _draw_elementwise(b: Builder) -> Value | None:
    name = b.one_of(list(ELEMENTWISE))
    row = OPS[name]
    operands: list[Value] = []
    for domain in row.domain:
        if domain == (0.0, 1.0) and row.accepts_bool:
            operand = b.pick(
                lambda value: _joint(*(each.shape for each in [*operands, value])) is not None, False
            )
            operand = operand or _comparison(b)
        else:
            operand = b.pick(lambda value: _joint(*(each.shape for each in [*operands, value])) is not None)
        if operand is None or _joint(*(each.shape for each in [*operands, operand])) is None:
            return None
        operands.append(operand if row.accepts_bool else _in_domain(b, operand, domain))
    if name in _GAPS and len(operands) == 2 and operands[0] == operands[1] and name != "remainder":
        return None
    if name == "where" and operands[1] == operands[2]:
        return None
    shape = _joint(*(operand.shape for operand in operands))
    assert shape is not None
    interval = (0.0, 1.0) if row.is_bool else _interval(name, operands)
    return b.emit(name, list(operands), shape, interval, row.is_bool)


def _comparison(b: Builder) -> Value | None:
    a = b.pick()
    c = b.pick(lambda value: a is not None and value != a and _joint(a.shape, value.shape) is not None)
    if a is None or c is None:
        return None
    shape = _joint(a.shape, c.shape)
    assert shape is not None
    return b.emit(b.one_of(["greater", "less"]), [a, c], shape, (0.0, 1.0), True)


def _draw_unary(b: Builder) -> Value | None:
    name = b.one_of([*_UNARY])
    value = b.pick()
    assert value is not None
    if name == "ratio":
        value = _in_domain(b, value, (0.3, 2.0))
    extra: list[Value | str] = ["self.slope"] if name in ("scaled", "leaky_relu") else []
    low, high = value.interval
    return b.emit(name, [value, *extra], value.shape, _UNARY[name](low, high))


_UNARY: dict[str, Callable[[float, float], Interval]] = {
    "scaled": lambda low, high: (low, high),
    "shifted": lambda low, high: (low - 0.25, high),
    "squared": lambda low, high: (0.0, max(low * low, high * high)),
    "ratio": lambda low, high: (1 / high, 1 / low),
    "hard_sigmoid": lambda low, high: (0.0, 1.0),
    "relu": lambda low, high: (0.0, max(high, 0.0)),
    "leaky_relu": lambda low, high: (min(low, 0.0), max(high, 0.0)),
    "gelu": lambda low, high: (-0.2, max(high, 0.0)),
    "clip": lambda low, high: (-0.9, 0.8),
}


def _times(value: Value, count: int) -> Interval:
    largest = max(abs(value.interval[0]), abs(value.interval[1])) * count
    return -largest, largest


def _draw_product(b: Builder) -> Value | None:
    """A vector or matrix of the row, or a parameter, times a parameter."""
    a = b.pick(lambda value: 1 <= len(value.shape) <= 3)
    if a is None:
        return None
    width = b.one_of([H, THREE, H + H, I, ONE, H + I])
    kind = b.one_of(["vector @ W", "W @ vector", "vector @ W.T"])
    depth = a.shape[-1]
    bound = _times(a, _length(depth))
    if kind == "vector @ W.T":
        w = b.emit("T", [b.parameter((width, depth))], (depth, width), (-1.0, 1.0))
        return b.emit("matmul", [a, w], (*a.shape[:-1], width), bound)
    if kind == "W @ vector" and len(a.shape) <= 2:
        depth = a.shape[0]
        w = b.parameter((width, depth))
        return b.emit("matmul", [w, a], (width, *a.shape[1:]), _times(a, _length(depth)))
    return b.emit("matmul", [a, b.parameter((depth, width))], (*a.shape[:-1], width), bound)


def _draw_scale_or_bias(b: Builder) -> Value | None:
    """A value joined to a parameter of its last axis."""
    a = b.pick(lambda value: bool(value.shape) and not value.name.startswith("self."))
    if a is None:
        return None
    name = b.one_of(_JOINS)
    operands = [a, b.parameter(a.shape[-1:])]
    return b.emit(name, [*operands], a.shape, _interval(name, operands))


def _draw_sum(b: Builder) -> Value | None:
    """The sum, difference or product of two values of one shape."""
    a = b.pick(lambda value: not value.name.startswith("self."))
    c = b.pick(lambda value: a is not None and value.shape == a.shape and value != a)
    if a is None or c is None:
        return None
    name = b.one_of(_JOINS)
    return b.emit(name, [a, c], a.shape, _interval(name, [a, c]))


_JOINS = ("add", "subtract", "multiply")


def _draw_row_product(b: Builder) -> Value | None:
    """Two values of the row, or of the parameters, whatever they are."""

    def fits(value: Value) -> bool:
        return 1 <= len(value.shape) <= 2

    a = b.pick(fits)
    c = b.pick(lambda v: fits(v) and a is not None and v.shape[-2 if len(v.shape) > 1 else 0] == a.shape[-1])
    if a is None or c is None:
        return None
    count = _length(a.shape[-1])
    largest = max(map(abs, a.interval)) * max(map(abs, c.interval)) * count
    shape = (*a.shape[:-1], *(c.shape[1:] if len(c.shape) == 2 else ()))
    return b.emit("matmul", [a, c], shape, (-largest, largest))


def _draw_heads(b: Builder) -> Value | None:
    a = b.pick(lambda value: value.shape == (H,) or value.shape == (HEADS, PER_HEAD))
    if a is None:
        return None
    width = b.one_of([PER_HEAD, THREE, H])
    w = b.parameter((HEADS, PER_HEAD, width))
    return b.emit("blocks", [a, w, "self.heads"], (HEADS, width), _times(a, _length(PER_HEAD)))


def _draw_stack_product(b: Builder) -> Value | None:
    """A vector, a matrix or a stack of matrices of the row times a stack of parameters."""
    a = b.pick(lambda v: 1 <= len(v.shape) <= 2 or (len(v.shape) == 3 and v.shape[0] in (HEADS, ONE)))
    if a is None:
        return None
    depth, width = a.shape[-1], b.one_of([H, THREE, ONE])
    stack = (HEADS, depth, width)
    order = b.one_of(["as it is", "swap", "turn"])
    if order == "as it is":
        w = b.parameter(stack)
    else:  # of the parameter whose axes the view brings into this order
        stored = (depth, HEADS, width) if order == "swap" else (depth, width, HEADS)
        w = b.emit(order, [b.parameter(stored)], stack, (-1.0, 1.0))
    shape = (HEADS, *a.shape[-2:-1], width)
    return b.emit("matmul", [a, w], shape, _times(a, _length(depth)))


def _draw_view(b: Builder) -> Value | None:
    name = b.one_of([*_VIEWS])
    value = b.pick(lambda each: _VIEWS[name](each.shape) is not None)
    if value is None:
        return None
    shape = _VIEWS[name](value.shape)
    assert shape is not None
    extra: list[Value | str] = ["self.heads"] if name in ("heads", "heads_last") else []
    if name == "trace":
        return b.emit(name, [value], shape, _times(value, _length(value.shape[0])))
    low, high = value.interval
    interval = (min(low, 0.0), max(high, 0.0)) if name in _WITH_ZEROS else value.interval
    return b.emit(name, [value, *extra], shape, interval)


def _halves(shape: Shape) -> Shape | None:
    half = shape[0].divide(as_dim(2)) if shape else None
    whole = half is not None and all(half.evaluate(sizes).denominator == 1 for sizes in SIZES)
    return (half, *shape[1:]) if half is not None and whole else None


def _but_one(shape: Shape) -> Shape | None:
    longer = shape and all(shape[0].evaluate(sizes) > 1 for sizes in SIZES)
    return (shape[0] - ONE, *shape[1:]) if longer else None


_VIEWS: dict[str, Callable[[Shape], Shape | None]] = {
    "half_0": _halves,
    "half_1": _halves,
    "T": lambda s: tuple(reversed(s)) if len(s) > 1 else None,
    "swap": lambda s: (s[1], s[0], *s[2:]) if len(s) > 1 else None,
    "turn": lambda s: (s[2], s[0], s[1]) if len(s) == 3 else None,
    "heads": lambda s: (HEADS, half) if s and (half := _halved(s)) is not None else None,
    "heads_last": lambda s: (half, HEADS) if s and (half := _halved(s)) is not None else None,
    "flat": lambda s: (product(s),) if len(s) > 1 else None,
    "column": lambda s: (s[0], ONE, *s[1:]) if 1 <= len(s) <= 2 else None,
    "row": lambda s: (ONE, *s) if len(s) <= 2 else None,
    "first": lambda s: s[1:] if s else None,
    "last": lambda s: s[:-1] if s else None,
    "but_last": _but_one,
    "but_first": _but_one,
    "roll": lambda s: s or None,
    "even": _halves,
    "odd": _halves,
    "odd_backwards": _halves,
    "backwards": lambda s: s or None,
    "flip": lambda s: s or None,
    "diagonal": lambda s: s[:1] if _is_square(s) else None,
    "diag": lambda s: s * 2 if len(s) == 1 else None,
    "trace": lambda s: () if _is_square(s) else None,
    "triu": lambda s: s if len(s) > 1 else None,
    "tril": lambda s: s if len(s) > 1 else None,
}
# What may be zero, whatever it is made of.
_WITH_ZEROS = ("diag", "triu", "tril")


def _is_square(shape: Shape) -> bool:
    return len(shape) == 2 and shape[0] == shape[1]


def _halved(shape: Shape) -> Dim | None:
    result = _halves((product(shape),))
    return result[0] if result is not None else None


def _draw_join(b: Builder) -> Value | None:
    a = b.pick(lambda value: 1 <= len(value.shape) <= 2)
    if a is None:
        return None
    kind = b.one_of(["concatenate", "concatenate_last", "stack", "stack_last"])
    axis = -1 if kind.endswith("last") else 0

    def fits(value: Value) -> bool:
        if kind.startswith("stack"):
            return value.shape == a.shape
        others = [[*shape] for shape in (a.shape, value.shape)]
        for other in others:
            del other[axis : axis + 1 or None]
        return len(value.shape) == len(a.shape) and others[0] == others[1]

    c = b.pick(fits)
    if c is None:
        return None
    if kind.startswith("stack"):
        shape = (HEADS, *a.shape) if axis == 0 else (*a.shape, HEADS)
    else:
        joined = a.shape[axis] + c.shape[axis]
        shape = (joined, *a.shape[1:]) if axis == 0 else (*a.shape[:-1], joined)
    return b.emit(kind, [a, c], shape, _union([a, c]))


def _is_leaf(value: Value) -> bool:
    """Whether its length may be used. A value used only for its length counts as unused."""
    return not value.name.startswith(("self.", "v"))


def _draw_lengths(b: Builder) -> Value | None:
    """Draw an operation that takes lengths from another value."""
    kind = b.one_of(["head_of", "tail_of", "broadcast", "outer"])
    a = b.pick(lambda value: bool(value.shape))
    if a is None:
        return None
    if kind == "outer":
        c = b.pick(lambda value: len(a.shape) == 1 and len(value.shape) == 1)
        if c is None:
            return None
        largest = max(map(abs, a.interval)) * max(map(abs, c.interval))
        return b.emit(kind, [a, c], (*a.shape, *c.shape), (-largest, largest))
    if kind == "broadcast":
        c = b.pick(
            lambda value: (
                _is_leaf(value) and value.shape != a.shape and _joint(a.shape, value.shape) == value.shape
            )
        )
        return b.emit(kind, [a, c], c.shape, a.interval) if c is not None else None
    c = b.pick(
        lambda value: (
            _is_leaf(value)
            and len(value.shape) >= 1
            and all((a.shape[0] - value.shape[0]).evaluate(sizes) > 0 for sizes in SIZES)
        )
    )
    if c is None:
        return None
    first = c.shape[0] if kind == "head_of" else a.shape[0] - c.shape[0]
    return b.emit(kind, [a, c], (first, *a.shape[1:]), a.interval)


def _draw_reduction(b: Builder) -> Value | None:
    name = b.one_of([*_REDUCED])
    value = b.pick(lambda each: bool(each.shape))
    if value is None:
        return None
    shape, axes = _REDUCED[name](value.shape)
    averaged = name.startswith(("mean", "max"))
    count = 1 if averaged else _length(product(axes))
    interval = value.interval if averaged else _times(value, count)
    return b.emit(name, [value], shape, interval)


_REDUCED: dict[str, Callable[[Shape], tuple[Shape, Shape]]] = {
    "sum": lambda s: ((), s),
    "sum_0": lambda s: (s[1:], s[:1]),
    "sum_last": lambda s: (s[:-1], s[-1:]),
    "sum_kept": lambda s: ((ONE, *s[1:]), s[:1]),
    "mean": lambda s: ((), s),
    "mean_last": lambda s: ((*s[:-1], ONE), s[-1:]),
    "max": lambda s: ((), s),
    "max_0": lambda s: (s[1:], s[:1]),
    "max_last": lambda s: ((*s[:-1], ONE), s[-1:]),
}


def _draw_axis_operation(b: Builder) -> Value | None:
    name = b.one_of(
        [
            "softmax",
            "softmax_0",
            "layer_norm",
            "cumsum",
            "cumsum_0",
            "cumprod",
            "cumprod_0",
            "largest",
            "cumax",
        ]
    )
    value = b.pick(lambda each: bool(each.shape))
    if value is None:
        return None
    if name == "largest":
        return b.emit(name, [value], value.shape, _union([value, Value("", (), (0.0, 0.0))]))
    if name.startswith("cumprod"):
        largest = max(1.0, *map(abs, value.interval)) ** _length(value.shape[-1 if name == "cumprod" else 0])
        return b.emit(name, [value], value.shape, (-largest, largest))
    if name.startswith("cumsum"):
        return b.emit(
            name, [value], value.shape, _times(value, _length(value.shape[-1 if name == "cumsum" else 0]))
        )
    return b.emit(name, [value], value.shape, (-4.0, 4.0) if name == "layer_norm" else (0.0, 1.0))


def _draw_einsum(b: Builder) -> Value | None:
    a = b.pick(lambda value: 1 <= len(value.shape) <= 2)
    if a is None:
        return None
    width = b.one_of([H, THREE])
    if len(a.shape) == 1:
        w = b.parameter((width, a.shape[0]))
        return b.emit("einsum", [a, w], (width,), _times(a, _length(a.shape[0])))
    if b.chance(50):
        w = b.parameter((*a.shape, width))
        return b.emit("einsum_heads", [a, w], (width, a.shape[0]), _times(a, _length(a.shape[1])))
    c = b.pick(lambda value: len(value.shape) == 2 and value.shape[0] == a.shape[0])
    if c is None:
        return None
    largest = max(map(abs, a.interval)) * max(map(abs, c.interval)) * _length(a.shape[0])
    return b.emit("einsum_rows", [a, c], (c.shape[1], a.shape[1]), (-largest, largest))


def _draw_of_parameters(b: Builder) -> Value | None:
    """A matrix that is computed once for a batch; entries of all of them lie within one."""
    size = b.one_of([H, THREE, I, PER_HEAD])
    name = b.one_of(["inverse", "cayley", "expm"])
    return b.emit(name, [b.parameter((size, size))], (size, size), (-1.0, 1.0))


def _draw_loop(b: Builder, longest: int = 6) -> Value | None:
    """An unrolled loop over a value; or a chain of operations, if it is long."""
    name = b.one_of(["sine", "logistic", "euler", "euler_matrix", "rolled"])
    a = b.pick(lambda value: bool(value.shape) and (name != "euler_matrix" or len(value.shape) == 1))
    if a is None:
        return None
    a = _squashed(b, a) if name != "logistic" else _in_unit(b, a)
    others: list[Value | str] = []
    if name == "euler":
        other = b.pick(lambda value: _joint(a.shape, value.shape) == a.shape)
        others = [other or a]
    if name == "euler_matrix":
        others = [b.parameter((a.shape[0], a.shape[0]))]
    for _ in range(b.draw(st.integers(2, longest))):
        a = b.emit(name, [a, *others], a.shape, a.interval)
    return a


def _draw_descent(b: Builder) -> Value | None:
    """One or two steps of gradient descent."""
    name = b.one_of(["product", "matrix", "norm", "softmax", "cumprod"])
    a = b.pick(lambda value: len(value.shape) == 2 if name == "matrix" else len(value.shape) == 1)
    if a is None:
        return None
    a = _squashed(b, a)
    if name == "product":
        other: Value | str | None = b.parameter((a.shape[0], b.one_of([H, THREE])))
    elif name == "matrix":
        other = b.pick(lambda value: value.shape == a.shape[:1])
    else:
        other = b.pick(lambda value: _joint(a.shape, value.shape) == a.shape)
    if other is None:
        return None
    for _ in range(b.draw(st.integers(1, 2))):
        a = b.emit(f"descent_{name}", [a, other], a.shape, (-1.0, 1.0))
    return a


def _in_unit(b: Builder, value: Value) -> Value:
    if value.interval[0] >= 0 and value.interval[1] <= 1:
        return value
    return b.emit("sigmoid", [value], value.shape, (0.0, 1.0))


ALL_RULES: list[Rule] = [
    *[_draw_elementwise] * 8,
    *[_draw_product] * 4,
    *[_draw_view] * 4,
    *[_draw_unary] * 2,
    *[_draw_reduction] * 2,
    _draw_join,
    _draw_join,
    _draw_row_product,
    _draw_row_product,
    _draw_heads,
    _draw_stack_product,
    _draw_lengths,
    _draw_axis_operation,
    _draw_einsum,
    _draw_of_parameters,
    _draw_loop,
    _draw_descent,
]

# Most values of their programs are operands or results of products, so they are in arrays.
PRODUCT_RULES: list[Rule] = [
    *[_draw_product] * 4,
    *[_draw_scale_or_bias] * 3,
    *[_draw_sum] * 3,
    *[_draw_view] * 2,
    _draw_unary,
    _draw_join,
    _draw_heads,
    _draw_stack_product,
]

STATE_SHAPES: list[Shape] = [
    (H,),
    (THREE,),
    (H + H,),
    (HEADS, PER_HEAD),
    (THREE, H),
    (H, THREE),
    (I,),
    (HEADS, PER_HEAD, THREE),
    (),
]


def _declare_leaves(b: Builder) -> tuple[dict[str, Shape], dict[str, Shape]]:
    """States and inputs; a state that is no value is not read."""
    states: dict[str, Shape] = {"h": (H,)}
    for name in ("c", "m"):
        if b.chance(55):
            states[name] = b.one_of(STATE_SHAPES)
    if b.chance(15):
        states["n"] = (ONE,)
    if b.chance(4):
        states = {"n": (ONE,)}
    inputs: dict[str, Shape] = {"dt": b.one_of([(), (H,)])} if b.chance(15) else {}
    b.values.append(Value("x", (I,), (-2.0, 2.0)))
    read = [name for name in states if name != "n" and not b.chance(10)]
    b.values += [Value(name, states[name], (-1.0, 1.0)) for name in read]
    b.values += [Value(name, shape, (0.5, 1.5)) for name, shape in inputs.items()]
    if "n" in states and b.chance(70):
        b.emit("phase", ["n"], (ONE,), (0.0, 2.0))
    return states, inputs


def _squashed(b: Builder, value: Value) -> Value:
    if value.interval[0] >= -1 and value.interval[1] <= 1:
        return value
    return b.emit("tanh", [value], value.shape, (-1.0, 1.0))


def _reaching(b: Builder, shape: Shape) -> Value:
    """Some value that broadcasts to a shape, made from one that is not used yet if there is one."""
    value = b.pick(lambda each: _joint(each.shape, shape) == shape and each.name not in b.used)
    value = value or b.pick(lambda each: each.name not in b.used) or b.pick()
    assert value is not None
    if _joint(value.shape, shape) == shape:
        return value
    if len(value.shape) == 1 and shape:
        return b.emit(
            "matmul",
            [value, b.parameter((*value.shape, shape[-1]))],
            shape[-1:],
            _times(value, _length(value.shape[0])),
        )
    return b.emit("mean", [value], (), value.interval)


def _new_state(b: Builder, states: dict[str, Shape], name: str) -> Value:
    shape = states[name]
    before = Value(name, shape, (-1.0, 1.0))
    if name == "n":
        return b.emit("count", ["n"], shape, (0.0, 1.0)) if b.chance(80) else before
    if b.chance(12):
        others = [other for other in states if states[other] == shape and other != name]
        return Value(b.one_of(others or [name]), shape, (-1.0, 1.0))
    if b.chance(12) and len(shape) <= 1 and (product := _product_of_state(b, states, shape)) is not None:
        return product
    if before not in b.values:
        value = _reaching(b, shape)
        value = value if value.shape == shape else b.emit("broadcast", [value, name], shape, value.interval)
        return _squashed(b, value)
    if len(shape) == 2 and b.chance(50):
        row = _reaching(b, shape[1:])
        row = (
            row
            if row.shape == shape[1:]
            else b.emit("leaky", [b.parameter(shape[1:]), row], shape[1:], (-1, 1))
        )
        return b.emit("delayed", [before, _squashed(b, row)], shape, (-1.0, 1.0))
    value = _reaching(b, shape)
    if b.chance(40):
        raw = _reaching(b, shape)
        gate = b.emit("sigmoid", [raw], raw.shape, (0.0, 1.0))
        return b.emit("kept_by", [before, _squashed(b, value), gate], shape, (-1.0, 1.0))
    return b.emit("leaky", [before, value], shape, (-1.0, 1.0))


def _product_of_state(b: Builder, states: dict[str, Shape], shape: Shape) -> Value | None:
    """A product of a state before the step that is as small as a state; one by one, or with a matrix."""
    names = [name for name, each in states.items() if len(each) == 1 and name != "n"]
    if not names or len(shape) != 1:
        return None
    name = b.one_of(names)
    if states[name] == shape and b.chance(30):
        return b.emit("multiply", [name, b.small(shape)], shape, (-1.0, 1.0))
    return b.emit("matmul", [name, b.small((*states[name], *shape))], shape, (-1.0, 1.0))


def _output(b: Builder, states: dict[str, Shape]) -> Value | None:
    """A state before the step or a product of one; else all that nothing uses, if there is any, in a line."""
    vectors = [name for name, shape in states.items() if len(shape) == 1 and name != "n"]
    if vectors and b.chance(35):
        if b.chance(30):
            name = b.one_of(vectors)
            return Value(name, states[name], (-1.0, 1.0))
        return _product_of_state(b, states, b.one_of([(H,), (THREE,), (I,)]))
    parts = []
    for value in [each for each in b.values if each.name not in b.used and not each.is_bool][:4]:
        flat = value if len(value.shape) == 1 else b.emit(*_flattened(value))
        parts.append(flat)
    total = parts[0] if parts else None
    for part in parts[1:]:
        assert total is not None
        shape = (total.shape[0] + part.shape[0],)
        total = b.emit("concatenate", [total, part], shape, (-LIMIT, LIMIT))
    return total


def _flattened(value: Value) -> tuple[str, list[Value | str], Shape, Interval]:
    if not value.shape:
        return "row_of_one", [value], (ONE,), value.interval
    return "flat", [value], (product(value.shape),), value.interval


def _pruned(program: Program) -> Program:
    """Without lines that no result needs, and parameters that no line does."""
    needed = {*program.new_states, program.y}
    lines = []
    for line in reversed(program.lines):
        if line.name in needed:
            needed |= set(line.operands)
            lines.append(line)
    kept = [
        {name: shape for name, shape in held.items() if f"self.{name}" in needed}
        for held in (program.params, program.buffers)
    ]
    return replace(program, params=kept[0], buffers=kept[1], lines=tuple(reversed(lines)))


@st.composite
def programs(
    draw: Any, least: int = 3, most: int = 12, longest: int = 0, rules: Sequence[Rule] = ALL_RULES
) -> Program:
    """Programs with so many lines by some rules, and those that squash, join and end them.

    If ``longest`` is given, they begin with a loop that runs so often at most.
    """
    b = Builder(draw)
    states, inputs = _declare_leaves(b)
    if longest:
        _draw_loop(b, longest)
    for _ in range(draw(st.integers(least, most))):
        b.one_of(rules)(b)
    after = [_new_state(b, states, name).name for name in states]
    y = _output(b, states) if b.chance(50) else None
    if y is None and len(states) == 1 and "n" in states:
        y = b.emit("matmul", ["x", b.parameter((I, H))], (H,), (-LIMIT, LIMIT))
    program = _pruned(
        Program(
            b.params,
            b.buffers,
            states,
            inputs,
            tuple(b.lines),
            tuple(after),
            y.name if y else None,
            b.chance(30),
        )
    )
    return program if _tells_inputs(program) else _with_projection(program)


def _tells_inputs(program: Program) -> bool:
    """Whether there is a parameter, and the shapes of arrays determine I. Other cells are invalid."""
    arrays = [*program.params.values(), *program.buffers.values(), *program.states.values()]
    lengths = [("", dim) for shape in arrays for dim in shape]
    return bool(program.params) and "I" in solve_sizes(("I", "H"), lengths)


def _with_projection(program: Program) -> Program:
    """The first state moved by ``x @ V``; if it counts, the output with that behind it."""
    params, projected = {**program.params, "V": (I, H)}, Line("u0", "matmul", ("x", "self.V"))
    first, *others = program.new_states
    if program.y is not None and next(iter(program.states)) == "n":
        joined = Line("u1", "concatenate", (program.y, "u0"))
        return replace(program, params=params, lines=(*program.lines, projected, joined), y="u1")
    moved = (projected, Line("u1", "add", (first, "u0")), Line("u2", "tanh", ("u1",)))
    return replace(program, params=params, lines=(*program.lines, *moved), new_states=("u2", *others))
