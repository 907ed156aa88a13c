"""The problem of a training step, and equations of cells for libraries that scan any function."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.array_types import Array
from zoo.errors import ZooError


class UnsupportedProblemError(ZooError):
    """A problem that a library cannot express; the message is the reason."""


@dataclass(frozen=True)
class Problem:
    """A model with one recurrent layer that predicts a class at every step, and its training batch.

    With ``dy`` it is the layer alone, without readout, and its loss is ``sum(dy * y)`` for the outputs ``y``.

    Args:
        cell: Name of the cell.
        options: Values of its options.
        symbols: ``V``.
        hidden: ``H``.
        threads: Number of threads.
        params: Parameters of the cell and of the readout, if it has one, by their names in zoo:
            ``"Wxh" (I, H)``, ..., ``"Why" (H, V)``, ``"by" (V,)``.
        inputs: Tokens ``(T, B)``, or dense inputs ``(T, B, I)``.
        targets: Target classes ``(T, B)``.
        precision: Precision of the matrix products of zoo.
        buffers: Buffers of the cell, by name.
        dy: Gradient with respect to the outputs of the layer, ``(T, B, ·)``; None for a model.
        is_stream: Whether the layer computes outputs alone, one time step in each call.
    """

    cell: str
    options: Mapping[str, Any]
    symbols: int
    hidden: int
    threads: int
    params: Mapping[str, Array]
    inputs: Array
    targets: Array
    precision: str | None = None
    buffers: Mapping[str, Array] = field(default_factory=dict)
    dy: Array | None = None
    is_stream: bool = False

    @property
    def input_size(self) -> int:
        """``I``, the features of a dense input; for tokens ``V``."""
        size: int = self.inputs.shape[2] if self.is_dense else self.symbols
        return size

    @property
    def is_dense(self) -> bool:
        """Whether the inputs are numbers and not tokens."""
        return self.inputs.ndim == 3

    @property
    def dtype(self) -> str:
        """``"float32"`` or ``"float64"``."""
        return str(next(iter(self.params.values())).dtype)

    def save(self, path: Path) -> None:
        """Write it to a file."""
        settings = {
            "cell": self.cell,
            "options": dict(self.options),
            "symbols": self.symbols,
            "hidden": self.hidden,
            "threads": self.threads,
            "precision": self.precision,
            "is_stream": self.is_stream,
        }
        arrays: dict[str, Any] = {f"param {name}": value for name, value in self.params.items()}
        arrays |= {f"buffer {name}": value for name, value in self.buffers.items()}
        if self.dy is not None:
            arrays["dy"] = self.dy
        np.savez(path, settings=json.dumps(settings), inputs=self.inputs, targets=self.targets, **arrays)


def load(path: Path) -> Problem:
    """Read a problem from a file."""
    with np.load(path, allow_pickle=False) as arrays:
        params, buffers = (
            {name.removeprefix(kind): arrays[name] for name in arrays.files if name.startswith(kind)}
            for kind in ("param ", "buffer ")
        )
        settings = json.loads(str(arrays["settings"]))
        inputs, targets = arrays["inputs"], arrays["targets"]
        dy = arrays["dy"] if "dy" in arrays.files else None
        return Problem(**settings, params=params, buffers=buffers, inputs=inputs, targets=targets, dy=dy)


class Traffic(NamedTuple):
    """Bytes of an array of a step.

    Attributes:
        size: Bytes of the array.
        moved: Bytes that a step reads from it or writes to it.
    """

    size: int
    moved: int


@dataclass(frozen=True)
class Variant:
    """A variant of the training step of a problem.

    Args:
        name: Its difference from other variants, ``"one-hot"``.
        run: Compute the loss and all gradients; finished when it returns.
        check: The loss in nats per symbol, and the Euclidean norm of the gradient of the input weights, which
            does not depend on the order of gates or a second bias.
        gradients: The gradients of the last step by the names of parameters in zoo; None if the library has
            other parameters.
    """

    name: str
    run: Callable[[], object]
    check: Callable[[], tuple[float, float]]
    gradients: Callable[[], Mapping[str, Any]] | None = None


def summary(array: Any) -> tuple[float, float]:
    """Two numbers to compare gradients by: the norm, and the product with a random vector."""
    values = np.asarray(array, np.float64).ravel()
    direction = np.random.default_rng(0).standard_normal(values.size)
    return float(np.sqrt(values @ values)), float(values @ direction)


def norm(*arrays: Any) -> float:
    """Euclidean norm of all elements."""
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(array, np.float64))) for array in arrays)))


Tensor = Any
"""An array of any library."""
Values = Mapping[str, Any]


def stream_variant(name: str, run: Callable[[], Iterable[Any]], dy: Array | None) -> Variant:
    """A variant of a stream.

    Args:
        name: Its name.
        run: Runs a layer over all inputs, one in each call, and returns the outputs, ``(B, ·)`` each.
        dy: As in :class:`Problem`.
    """

    def check() -> tuple[float, float]:
        return float(np.vdot(np.stack([np.asarray(y, np.float64) for y in run()]), dy)), 0.0

    return Variant(name, run, check)


@dataclass(frozen=True)
class Functions:
    """A library's functions for the equations.

    Args:
        tanh: Hyperbolic tangent.
        sigmoid: Logistic function.
        split: ``split(a, n)``, n equal parts of the columns.
    """

    tanh: Callable[[Tensor], Tensor]
    sigmoid: Callable[[Tensor], Tensor]
    split: Callable[[Tensor, int], Any]


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
    step: Callable[..., tuple[Tensor, ...]]


def _vanilla(f: Functions, p: Values, _options: Values, a: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    return (f.tanh(a + h @ p["Whh"]),)


def _lstm(f: Functions, p: Values, options: Values, a: Tensor, h: Tensor, c: Tensor) -> tuple[Tensor, ...]:
    i, forget, g, o = f.split(a + h @ p["Wh"], 4)
    c = f.sigmoid(forget + options["forget_bias"]) * c + f.sigmoid(i) * f.tanh(g)
    return f.sigmoid(o) * f.tanh(c), c


def _peephole(
    f: Functions, p: Values, options: Values, a: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, ...]:
    i, forget, g, o = f.split(a + h @ p["Wh"], 4)
    keep = f.sigmoid(forget + options["forget_bias"] + p["p"][1] * c)
    c = keep * c + f.sigmoid(i + p["p"][0] * c) * f.tanh(g)
    return f.sigmoid(o + p["p"][2] * c) * f.tanh(c), c


def _gru(f: Functions, p: Values, _options: Values, a: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    (r, z, n), (hr, hz, hn) = f.split(a, 3), f.split(h @ p["Wh"], 3)
    z, n = f.sigmoid(z + hz), f.tanh(n + f.sigmoid(r + hr) * (hn + p["bn"]))
    return (n + z * (h - n),)


def _gru_reset_before(f: Functions, p: Values, _options: Values, a: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    (r, z, n), (hr, hz) = f.split(a, 3), f.split(h @ p["Wh"], 2)
    z, n = f.sigmoid(z + hz), f.tanh(n + (f.sigmoid(r + hr) * h) @ p["Wn"])
    return (n + z * (h - n),)


def _mgu(f: Functions, p: Values, _options: Values, a: Tensor, h: Tensor) -> tuple[Tensor, ...]:
    forget, n = f.split(a, 2)
    forget = f.sigmoid(forget + h @ p["Wh"])
    n = f.tanh(n + (forget * h) @ p["Wn"])
    return (h + forget * (n - h),)


def _lem(f: Functions, p: Values, options: Values, a: Tensor, y: Tensor, z: Tensor) -> tuple[Tensor, ...]:
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
