"""Random step programs: cells whose equations are data, to be run and to be printed as source.

A program is a list of lines, each an operation on values that are there already: x, states, parameters and
results of other lines. :func:`watched` measures the distance to a kink; step_strategies.py draws programs.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import zoo
from zoo.compiler.ir.dims import Dim, as_dim, letter
from zoo.compiler.ir.op_table import OPS, elementwise_rows

Shape = tuple[Dim, ...]
Interval = tuple[float, float]

ONE, THREE = as_dim(1), as_dim(3)
H, I, HEADS = letter("H"), letter("I"), as_dim(2)  # noqa: E741 - as everywhere
PER_HEAD = H.divide(HEADS)
assert PER_HEAD is not None
# Lengths are compared at these sizes; H is even, since there are two heads.
SIZES = ({"I": 3, "H": 4}, {"I": 1, "H": 2}, {"I": 5, "H": 6}, {"I": 2, "H": 10})
SMALL = (-0.08, 0.08)
"""Parameters called S: by a matrix of these, no state grows at any of the sizes above."""
LIMIT = 5.0
"""A value that may be larger than this is squashed."""

CARD = zoo.Card(title="None", authors="The tests", year=2024, url="https://example.org")


@dataclass(frozen=True)
class Function:
    """Operation of a line.

    Args:
        text: Its source; ``{0}`` and so on are the operands.
        run: The same on arrays, symbolic or not.
        gap: How far each entry is from a kink, on arrays; None where there are none.
    """

    text: str
    run: Callable[..., Any]
    gap: Callable[..., Any] | None = None


_INFIX = {
    "add": ("{0} + {1}", lambda a, b: a + b),
    "subtract": ("{0} - {1}", lambda a, b: a - b),
    "multiply": ("{0} * {1}", lambda a, b: a * b),
    "divide": ("{0} / {1}", lambda a, b: a / b),
    "negative": ("-{0}", lambda a: -a),
    "power": ("{0} ** {1}", lambda a, b: a**b),
    "remainder": ("{0} % {1}", lambda a, b: a % b),
    "less": ("{0} < {1}", lambda a, b: a < b),
    "less_equal": ("{0} <= {1}", lambda a, b: a <= b),
    "greater": ("{0} > {1}", lambda a, b: a > b),
    "greater_equal": ("{0} >= {1}", lambda a, b: a >= b),
}


def _to_integer(a: Any) -> Any:
    return np.abs(a - np.round(a))


def _difference(a: Any, b: Any) -> Any:
    return np.abs(np.subtract(a, b, dtype=float))


_GAPS: dict[str, Callable[..., Any]] = {
    "absolute": np.abs,
    "equal": _difference,
    "floor": _to_integer,
    "greater": _difference,
    "greater_equal": _difference,
    "less": _difference,
    "less_equal": _difference,
    "maximum": _difference,
    "minimum": _difference,
    "not_equal": _difference,
    "remainder": lambda a, b: _to_integer(a / b),
}
# Rows that no `step` writes as they are.
_UNWRITTEN = ("copy", "stop_gradient", "with_derivative")
ELEMENTWISE = {name: row for name, row in elementwise_rows().items() if name not in _UNWRITTEN}


def _elementwise(name: str) -> Function:
    """A row of the table, as one writes it in a step."""
    if name in _INFIX:
        return Function(*_INFIX[name], _GAPS.get(name))
    home = "np" if hasattr(np, name) else "zoo"
    operands = ", ".join(f"{{{place}}}" for place in range(len(OPS[name].domain)))
    return Function(f"{home}.{name}({operands})", _named(home, name), _GAPS.get(name))


def _named(home: str, name: str) -> Callable[..., Any]:
    # Looked up when run: this module is read before zoo's functions are.
    return lambda *operands: getattr(np if home == "np" else zoo, name)(*operands)


def _top_two(axis: int | None) -> Callable[..., Any]:
    def gap(a: Any) -> Any:
        a = np.ravel(a) if axis is None else np.moveaxis(a, axis, -1)
        ordered = np.sort(a, axis=-1)
        return ordered[..., -1] - ordered[..., -2] if a.shape[-1] > 1 else np.array(np.inf)

    return gap


def _descent(loss: str, run: Callable[..., Any]) -> Function:
    """A step of gradient descent on a loss of ``a``, in which ``{1}`` is a constant."""
    return Function(
        f"np.tanh({{0}} - 0.1 * zoo.grad(lambda a: {loss})({{0}}))",
        lambda value, other: np.tanh(value - 0.1 * zoo.grad(lambda a: run(a, other))(value)),
    )


def _spacing(a: Any) -> Any:
    """Distances of the sorted entries along the last axis."""
    return np.diff(np.sort(a, axis=-1)) if a.shape[-1] > 1 else np.array(np.inf)


FUNCTIONS: dict[str, Function] = {name: _elementwise(name) for name in ELEMENTWISE} | {
    "below_one": Function("0.3 + 1.2 * zoo.sigmoid({0})", lambda a: 0.3 + 1.2 * zoo.sigmoid(a)),
    "squared": Function("{0} ** 2", lambda a: a**2),
    "ratio": Function("1.0 / {0}", lambda a: 1.0 / a),
    "hard_sigmoid": Function(
        "zoo.hard_sigmoid({0})", lambda a: zoo.hard_sigmoid(a), lambda a: np.abs(np.abs(a) - 3.0)
    ),
    "relu": Function("zoo.relu({0})", lambda a: zoo.relu(a), np.abs),
    "leaky_relu": Function(
        "zoo.leaky_relu({0}, self.slope)", lambda a, slope: zoo.leaky_relu(a, slope), lambda a, _: np.abs(a)
    ),
    "gelu": Function("zoo.gelu({0})", lambda a: zoo.gelu(a)),
    "clip": Function(
        "np.clip({0}, -0.9, 0.8)",
        lambda a: np.clip(a, -0.9, 0.8),
        lambda a: np.minimum(np.abs(a + 0.9), np.abs(a - 0.8)),
    ),
    "phase": Function("{0} % 3", lambda a: a % 3),
    "count": Function("{0} + 1", lambda a: a + 1),
    "scaled": Function("self.slope * {0}", lambda a, slope: slope * a),
    "shifted": Function("{0} - 0.25", lambda a: a - 0.25),
    "matmul": Function("{0} @ {1}", lambda a, b: a @ b),
    "einsum": Function("np.einsum('i,ji->j', {0}, {1})", lambda a, w: np.einsum("i,ji->j", a, w)),
    "einsum_heads": Function("np.einsum('hk,hkn->nh', {0}, {1})", lambda a, w: np.einsum("hk,hkn->nh", a, w)),
    "einsum_rows": Function("np.einsum('ij,ik->kj', {0}, {1})", lambda a, b: np.einsum("ij,ik->kj", a, b)),
    "inverse": Function(
        "np.linalg.inv({0} + 12 * zoo.eye({0}.shape[0]))",
        lambda a: np.linalg.inv(a + 12 * zoo.eye(a.shape[0])),
    ),
    "cayley": Function("zoo.cayley({0} - {0}.T)", lambda a: zoo.cayley(a - a.T)),
    "expm": Function("zoo.expm({0} - {0}.T)", lambda a: zoo.expm(a - a.T)),
    "T": Function("{0}.T", lambda a: a.T),
    "swap": Function("np.swapaxes({0}, 0, 1)", lambda a: np.swapaxes(a, 0, 1)),
    "turn": Function("np.transpose({0}, (2, 0, 1))", lambda a: np.transpose(a, (2, 0, 1))),
    "heads": Function("{0}.reshape(self.heads, -1)", lambda a, n: a.reshape(n, -1)),
    "heads_last": Function("{0}.reshape(-1, self.heads)", lambda a, n: a.reshape(-1, n)),
    "blocks": Function(
        "({0}.reshape(self.heads, 1, -1) @ {1})[:, 0]", lambda a, w, n: (a.reshape(n, 1, -1) @ w)[:, 0]
    ),
    "row_of_one": Function("{0}[None]", lambda a: a[None]),
    "flat": Function("{0}.reshape(-1)", lambda a: a.reshape(-1)),
    "column": Function("{0}[:, None]", lambda a: a[:, None]),
    "row": Function("{0}[None]", lambda a: a[None]),
    "first": Function("{0}[0]", lambda a: a[0]),
    "last": Function("{0}[..., -1]", lambda a: a[..., -1]),
    "but_last": Function("{0}[:-1]", lambda a: a[:-1]),
    "but_first": Function("{0}[1:]", lambda a: a[1:]),
    "head_of": Function("{0}[: {1}.shape[0]]", lambda a, b: a[: b.shape[0]]),
    "tail_of": Function("{0}[{1}.shape[0] :]", lambda a, b: a[b.shape[0] :]),
    "half_0": Function("zoo.split({0}, 2, axis=0)[0]", lambda a: zoo.split(a, 2, axis=0)[0]),
    "half_1": Function("np.split({0}, 2)[1]", lambda a: np.split(a, 2)[1]),
    "even": Function("{0}[::2]", lambda a: a[::2]),
    "odd": Function("{0}[1::2]", lambda a: a[1::2]),
    "backwards": Function("{0}[::-1]", lambda a: a[::-1]),
    "odd_backwards": Function("{0}[::-2]", lambda a: a[::-2]),
    "flip": Function("np.flip({0}, -1)", lambda a: np.flip(a, -1)),
    "diagonal": Function("np.diagonal({0})", lambda a: np.diagonal(a)),
    "diag": Function("np.diag({0})", lambda a: np.diag(a)),
    "trace": Function("np.trace({0})", lambda a: np.trace(a)),
    "triu": Function("np.triu({0}, 1)", lambda a: np.triu(a, 1)),
    "tril": Function("np.tril({0})", lambda a: np.tril(a)),
    "concatenate": Function("np.concatenate([{0}, {1}])", lambda a, b: np.concatenate([a, b])),
    "concatenate_last": Function(
        "np.concatenate([{0}, {1}], axis=-1)", lambda a, b: np.concatenate([a, b], axis=-1)
    ),
    "stack": Function("np.stack([{0}, {1}])", lambda a, b: np.stack([a, b])),
    "stack_last": Function("np.stack([{0}, {1}], axis=-1)", lambda a, b: np.stack([a, b], axis=-1)),
    "broadcast": Function("np.broadcast_to({0}, {1}.shape)", lambda a, b: np.broadcast_to(a, b.shape)),
    "roll": Function("zoo.roll({0}, 1)", lambda a: zoo.roll(a, 1)),
    "outer": Function("zoo.outer({0}, {1})", lambda a, b: zoo.outer(a, b)),
    "sum": Function("np.sum({0})", lambda a: np.sum(a)),
    "sum_0": Function("{0}.sum(axis=0)", lambda a: a.sum(axis=0)),
    "sum_last": Function("{0}.sum(axis=-1)", lambda a: a.sum(axis=-1)),
    "sum_kept": Function("np.sum({0}, axis=0, keepdims=True)", lambda a: np.sum(a, axis=0, keepdims=True)),
    "mean": Function("np.mean({0})", lambda a: np.mean(a)),
    "mean_last": Function("{0}.mean(axis=-1, keepdims=True)", lambda a: a.mean(axis=-1, keepdims=True)),
    "max": Function("np.max({0})", lambda a: np.max(a), _top_two(None)),
    "max_0": Function("np.max({0}, axis=0)", lambda a: np.max(a, axis=0), _top_two(0)),
    "max_last": Function(
        "np.max({0}, axis=-1, keepdims=True)", lambda a: np.max(a, axis=-1, keepdims=True), _top_two(-1)
    ),
    "softmax": Function("zoo.softmax({0})", lambda a: zoo.softmax(a)),
    "softmax_0": Function("zoo.softmax({0}, axis=0)", lambda a: zoo.softmax(a, axis=0)),
    "layer_norm": Function("zoo.layer_norm({0}, eps=0.3)", lambda a: zoo.layer_norm(a, eps=0.3)),
    "cumsum": Function("zoo.cumsum({0})", lambda a: zoo.cumsum(a)),
    "cumsum_0": Function("zoo.cumsum({0}, axis=0)", lambda a: zoo.cumsum(a, axis=0)),
    "cumprod": Function("np.cumprod({0}, axis=-1)", lambda a: np.cumprod(a, axis=-1)),
    "cumprod_0": Function("np.cumprod({0}, axis=0)", lambda a: np.cumprod(a, axis=0)),
    "largest": Function(
        "np.where(zoo.top_k({0}, 2), {0}, 0.0)", lambda a: np.where(zoo.top_k(a, 2), a, 0.0), _spacing
    ),
    "cumax": Function("zoo.cumax({0})", lambda a: zoo.cumax(a)),
    # One pass of an unrolled loop: values stay within their interval, and no pass magnifies a difference.
    "logistic": Function("{0} * (1 - {0})", lambda a: a * (1 - a)),
    "euler": Function("{0} + 0.1 * (np.tanh({1}) - {0})", lambda a, b: a + 0.1 * (np.tanh(b) - a)),
    "euler_matrix": Function(
        "{0} + 0.1 * (np.tanh({0} @ {1}) - {0})", lambda a, w: a + 0.1 * (np.tanh(a @ w) - a)
    ),
    "rolled": Function("0.5 * ({0} + zoo.roll({0}, 1))", lambda a: 0.5 * (a + zoo.roll(a, 1))),
    "sine": Function("np.sin({0})", lambda a: np.sin(a)),
    # Steps of gradient descent.
    "descent_product": _descent("np.sum(np.tanh(a @ {1}))", lambda a, w: np.sum(np.tanh(a @ w))),
    "descent_matrix": _descent("np.sum((np.tanh({1}) @ a) ** 2)", lambda a, b: np.sum((np.tanh(b) @ a) ** 2)),
    "descent_norm": _descent(
        "np.sum(zoo.layer_norm(a, eps=0.3) * np.sin({1}))",
        lambda a, b: np.sum(zoo.layer_norm(a, eps=0.3) * np.sin(b)),
    ),
    "descent_softmax": _descent(
        "np.sum(zoo.softmax(a) * np.sin({1}))", lambda a, b: np.sum(zoo.softmax(a) * np.sin(b))
    ),
    "descent_cumprod": _descent(
        "np.mean(np.cumprod(a, axis=-1) * np.cos({1}))",
        lambda a, b: np.mean(np.cumprod(a, axis=-1) * np.cos(b)),
    ),
    # How states end up.
    "kept_by": Function("{2} * {0} + (1 - {2}) * {1}", lambda a, b, z: z * a + (1 - z) * b),
    "leaky": Function("np.tanh(0.5 * {0} + {1})", lambda a, b: np.tanh(0.5 * a + b)),
    "delayed": Function(
        "np.concatenate([{1}[None], {0}[:-1]])", lambda a, b: np.concatenate([b[None], a[:-1]])
    ),
}


@dataclass(frozen=True)
class Line:
    """``name = function(operands)``."""

    name: str
    function: str
    operands: tuple[str, ...]


@dataclass(frozen=True)
class Program:
    """A cell as data.

    Args:
        params: Shapes of parameters by name.
        buffers: Shapes of buffers by name.
        states: Shapes of states by name; one called ``n`` counts steps.
        inputs: Shapes of auxiliary inputs by name.
        lines: The equations.
        after: Names of the new states.
        y: Name of the output, if it is not the first state.
        named: Whether every line has a name in the source, rather than those used twice only.
    """

    params: dict[str, Shape]
    buffers: dict[str, Shape]
    states: dict[str, Shape]
    inputs: dict[str, Shape]
    lines: tuple[Line, ...]
    new_states: tuple[str, ...]
    y: str | None
    named: bool

    def cell(self) -> zoo.Cell:
        """A cell that runs it."""
        return type("Drawn", (zoo.Cell,), self._namespace())()

    def _namespace(self) -> dict[str, Any]:
        names = [*self.states, *self.inputs]

        def step(self_: Any, x: Any, *values: Any) -> Any:
            return _execute(self, self_, {"x": x, **dict(zip(names, values, strict=True))})

        def named_step(self_: Any, x: Any, *values: Any) -> Any:
            known = {"x": x, **dict(zip(names, values, strict=True))}
            for line in self.lines:
                value = _value(line, self_, known)
                known[line.name] = value
            return _returned(self, known)

        chosen: Any = named_step if self.named else step
        chosen.__signature__ = inspect.Signature(
            [
                inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
                for name in ("self", "x", *names)
            ]
        )
        return {
            "__doc__": "Drawn by chance.",
            "card": CARD,
            "slope": zoo.Option(0.7),
            "heads": zoo.Option(2),
            **{name: zoo.Param(*_texts(shape)) for name, shape in self.params.items()},
            **{name: zoo.Buffer(*_texts(shape)) for name, shape in self.buffers.items()},
            **{name: zoo.State(*_texts(shape), discrete=name == "n") for name, shape in self.states.items()},
            **{name: zoo.Input(*_texts(shape), default=1.0) for name, shape in self.inputs.items()},
            "step": chosen,
        }

    def source(self) -> str:
        """The cell as one would write it."""
        kinds = {"Param": self.params, "Buffer": self.buffers, "State": self.states, "Input": self.inputs}
        body = [
            f"    {name} = zoo.{kind}({_arguments(name, shape)})"
            for kind, shapes in kinds.items()
            for name, shape in shapes.items()
        ]
        lines, texts = self._written()
        after = [texts[name] for name in self.new_states]
        result = f"zoo.Output({', '.join([texts[self.y], *after])})" if self.y else ", ".join(after)
        return "\n".join(
            [
                "class Drawn(zoo.Cell):",
                '    """Drawn by chance."""',
                "    card = CARD",
                "    slope = zoo.Option(0.7)",
                "    heads = zoo.Option(2)",
                *body,
                f"    def step(self, x, {', '.join([*self.states, *self.inputs])}):",
                *(f"        {line}" for line in lines),
                f"        return {result}",
            ]
        )

    def _written(self) -> tuple[list[str], dict[str, str]]:
        """The lines that have names, and what every value is called where it is used."""
        uses: dict[str, int] = {}
        for name in [
            *(name for line in self.lines for name in line.operands),
            *self.new_states,
            self.y or "",
        ]:
            uses[name] = uses.get(name, 0) + 1
        texts = {name: name for name in ("x", *self.states, *self.inputs)}
        texts |= {f"self.{name}": f"self.{name}" for name in (*self.params, *self.buffers)}
        texts |= {"self.slope": "self.slope", "self.heads": "self.heads"}
        lines = []
        for line in self.lines:
            text = FUNCTIONS[line.function].text.format(*(texts[name] for name in line.operands))
            twice = any(
                FUNCTIONS[user.function].text.count(f"{{{place}}}") > 1
                for user in self.lines
                for place, name in enumerate(user.operands)
                if name == line.name
            )
            if self.named or uses[line.name] > 1 or twice:
                lines.append(f"{line.name} = {text}")
                texts[line.name] = line.name
            else:
                texts[line.name] = f"({text})"
        return lines, texts

    def __str__(self) -> str:
        return self.source()


def _texts(shape: Shape) -> list[str]:
    """Lengths as declarations take them."""
    return [str(dim).replace("//", "/") for dim in shape]


def _arguments(name: str, shape: Shape) -> str:
    texts = [text if text.isdecimal() else f'"{text}"' for text in _texts(shape)]
    return ", ".join([*texts, *(["discrete=True"] if name == "n" else [])])


def _execute(program: Program, cell: Any, known: dict[str, Any]) -> Any:
    for line in program.lines:
        known[line.name] = _value(line, cell, known)
    return _returned(program, known)


def _returned(program: Program, known: dict[str, Any]) -> Any:
    after = tuple(known[name] for name in program.new_states)
    return zoo.Output(known[program.y], *after) if program.y else after


def _value(line: Line, cell: Any, known: dict[str, Any]) -> Any:
    operands = [
        getattr(cell, name[len("self.") :]) if name.startswith("self.") else known[name]
        for name in line.operands
    ]
    function = FUNCTIONS[line.function]
    if _watchers and function.gap is not None and "n" not in line.operands:
        _watchers[-1].note(function.gap(*operands))
    return function.run(*operands)


@dataclass
class Watch:
    """The smallest distance of a run from a kink."""

    nearest: float = np.inf

    def note(self, gaps: Any) -> None:
        """Take note of distances."""
        self.nearest = min(self.nearest, float(np.min(gaps)))


_watchers: list[Watch] = []


@contextlib.contextmanager
def watched() -> Iterator[Watch]:
    """Record the distance of runs on arrays from the nearest kink."""
    _watchers.append(Watch())
    try:
        yield _watchers[-1]
    finally:
        _watchers.pop()
