"""The equations in the docstrings of cells compute the same step as their code."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

import zoo
from zoo.cell_pages.cell_page import cell_document
from zoo.testing import reference

INPUTS, HIDDEN = 4, 8


def equations_of(name: str) -> list[str]:
    """The equations in a docstring, without remarks, which follow three spaces."""
    (block,) = cell_document(type(zoo.get_cell(name))).equations[1:]
    return [re.split(r"(?<=\S)\s{3,}(?!=)", line.strip())[0] for line in block.splitlines()]


def as_complex(stored):
    return stored[0] + 1j * stored[1]


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


FUNCTIONS = {
    "Re": np.real,
    "abs": np.abs,
    "clip": np.clip,
    "cumax": zoo.cumax,
    "exp": np.exp,
    "expm": zoo.expm,
    "heaviside": lambda a: np.heaviside(a, 1),
    "log": np.log,
    "max": np.maximum,
    "mean": np.mean,
    "min": np.minimum,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": sigmoid,
    "sign": np.sign,
    "silu": lambda a: a * sigmoid(a),
    "softplus": lambda a: np.log1p(np.exp(a)),
    "sqrt": np.sqrt,
    "tanh": np.tanh,
    "triu": np.triu,
}
TOKEN = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?|[A-Za-z_]\w*'?|\*\*|\^|\S")


def joined(value):
    """Values in parentheses, for example of two gates, as one vector."""
    return np.concatenate(value) if isinstance(value, list) else value


class Evaluator:
    """Computes equations in the notation of docstrings: a space between two factors is a matrix product."""

    def __init__(self, values: dict) -> None:
        self.values = values

    def run(self, equations: list[str]) -> None:
        for equation in equations:
            left, right = re.fullmatch(r"(.*?)\s+=\s+(.*)", equation).groups()
            if definition := re.fullmatch(r"(\w+)\((\w+)\)", left):
                name, argument = definition.groups()
                self.values[name] = self.function(argument, right)
            else:
                self.assign(left.split(", "), self.value(right))

    def function(self, argument: str, text: str) -> Callable:
        return lambda value: Evaluator({**self.values, argument: value}).value(text)

    def assign(self, names: list[str], value) -> None:
        if len(names) > 1 and not isinstance(value, list):
            value = (
                list(value)
                if value.ndim == 2 and len(value) == len(names)
                else np.split(value, len(names), -1)
            )
        self.values.update(zip(names, value if len(names) > 1 else [value], strict=True))

    def value(self, text: str):
        self.tokens = [(match[0], match.start(), match.end()) for match in TOKEN.finditer(text)] + [
            ("", 0, 0)
        ]
        self.at = 0
        value = self.tuple()
        assert self.token == "", (text, self.tokens[self.at :])
        return value

    @property
    def token(self) -> str:
        return self.tokens[self.at][0]

    def take(self, *tokens: str) -> str:
        token = self.token
        if token not in tokens:
            return ""
        self.at += 1
        return token

    def tuple(self):
        values = [self.sum()]
        while self.take(","):
            values.append(self.sum())
        return values if len(values) > 1 else values[0]

    def sum(self):
        value = -joined(self.term()) if self.take("-") else self.term()
        while sign := self.take("+", "-"):
            other = joined(self.term())
            value = joined(value) + other if sign == "+" else joined(value) - other
        return value

    def term(self):
        value = self.product()
        while sign := self.take("*", "/"):
            other = joined(self.product())
            value = joined(value) * other if sign == "*" else joined(value) / other
        return value

    def product(self):
        value = self.power()
        while re.match(r"[\w(]", self.token):
            other = joined(self.power())
            is_row = np.ndim(value) == 1 and np.shape(other)[:-1] == (
                1,
            )  # one element and a matrix of one row
            is_scalar = (np.size(value) == 1 or np.size(other) == 1) and not is_row
            value = value * other if is_scalar else joined(value) @ other
        return value

    def power(self):
        value = self.atom()
        while True:
            if self.take("["):
                value = value[self.sum()]
                assert self.take("]")
            elif self.take("^", "**"):
                value = value.T if self.take("T") else value ** self.atom()
            elif self.take("²"):
                value = value**2
            else:
                return value

    def atom(self):
        token, _, end = self.tokens[self.at]
        self.at += 1
        if token == "(":
            value = self.tuple()
            assert self.take(")")
            return value
        if token == "[":
            value = joined(self.tuple())
            assert self.take("]")
            return value
        if re.match(r"\d", token):
            return float(token) if re.search(r"[.e]", token) else int(token)
        if self.token == "(" and self.tokens[self.at][1] == end:
            self.at += 1
            arguments = self.tuple()
            assert self.take(")")
            function = self.values.get(token) or FUNCTIONS[token]
            return function(*(arguments if isinstance(arguments, list) else [arguments]))
        return self.values[token]


# Cells whose equations need more than this notation.
OTHER_NOTATION = {
    *("m2rnn", "mamba3"),  # heads
    *("comba", "gsa", "hgrn2", "mesa_net", "raven", "titans", "ttt_linear"),  # heads
    *(
        "abc",
        "based",
        "gated_delta_net2",
        "gated_delta_product",
        "kda",
        "mamba2",
        "rwkv5",
        "rwkv6",
        "rwkv7",
        "kalman_delta",
        "lightnet",
        "linear_attention",
        "log_linear_attention",
        "momentum_delta_net",
        "precond_gated_delta_net",
        "precond_kda",
        "rebased",
        "srwm",
    ),  # heads
    *("delta_net", "gated_delta_net", "gla", "matrix_lstm", "retnet", "rg_lru", "slstm"),  # heads
    *("clockwork", "lif", "min_gru", "min_lstm", "phased_lstm", "rwkv4"),  # conditions in words
    *(
        "deep_esn",
        "dendritic_plrnn",
        "mamba",
        "nas",
        "nvar",
        "plrnn",
        "qrnn",
        "rhn",
        "rodimus",
        "tau_gru",
    ),  # indices, loops
    *("ltc", "s4d", "urnn"),  # sums along an axis
    *("damped_linoss", "linoss", "longhorn", "rtu", "slice"),  # pairs and conditions
}
CELLS = [name for name in zoo.list_cells() if zoo.get_cell(name).has_step()]


def test_notation() -> None:
    a, b, w = np.array([1.0, 2.0]), np.array([3.0, -4.0]), np.array([[1.0, 2.0], [3.0, 4.0]])
    values = {"a": a, "b": b, "W": w}
    Evaluator(values).run(
        ["c' = b * a W - 2 relu(b)", "d, e = (a, b) * (b, a)", "f(z) = z^2 + W^T[0]", "g = f(a)"]
    )
    np.testing.assert_array_equal(values["c'"], b * (a @ w) - [6, 0])
    np.testing.assert_array_equal(values["e"], a * b)
    np.testing.assert_array_equal(values["g"], a**2 + w.T[0])


@pytest.mark.parametrize("name", [name for name in CELLS if name not in OTHER_NOTATION])
def test_equations_of_docstrings_compute_the_step(name: str) -> None:
    cell = zoo.get_cell(name)
    rng = np.random.default_rng(5)
    shapes = cell.param_shapes(INPUTS, HIDDEN) | cell.buffer_shapes(INPUTS, HIDDEN)
    arrays = {key: rng.normal(size=shape) for key, shape in shapes.items()}
    state = {key: rng.normal(size=(1, *shape)) for key, shape in cell.state_shapes(INPUTS, HIDDEN).items()}
    inputs = {
        key: rng.uniform(0.5, 1.5, (1, 1, *shape)) for key, shape in cell.input_shapes(INPUTS, HIDDEN).items()
    }
    x = rng.normal(size=(1, 1, INPUTS))
    y, last = reference.run_sequence(cell, arrays, x, state, inputs)

    declared = {**cell.params, **cell.buffers, **cell.states}
    before = {key: value[0] for key, value in state.items()}
    values = {
        "i": 1j,
        "I": np.eye(HIDDEN),
        "H": HIDDEN,
        **{key: FUNCTIONS.get(value, value) for key, value in cell.options.items()},
        **{
            key: as_complex(value) if declared[key].complex else value
            for key, value in (arrays | before).items()
        },
        **{key: value[0, 0] for key, value in inputs.items()},
        "x": x[0, 0],
    }
    Evaluator(values).run(equations_of(name))
    for key in state:
        expected = as_complex(last[key][0]) if declared[key].complex else last[key][0]
        np.testing.assert_allclose(joined(values[f"{key}'"]), expected, rtol=1e-12, atol=1e-12, err_msg=key)
    output = next((key for key in ("output", "y", "h") if key in values and key not in state), None)
    computed = values[f"{next(iter(state))}'"] if output is None else values[output]
    np.testing.assert_allclose(joined(computed), y[0, 0], rtol=1e-12, atol=1e-12, err_msg=output or "")
