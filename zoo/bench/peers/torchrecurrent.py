"""torchrecurrent: many published cells as PyTorch modules, with time loops in Python."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.bench.peers import torch as host
from zoo.bench.problem import Problem, Way

torchrecurrent: Any = importlib.import_module("torchrecurrent")
Array = Any
Filled = tuple[str, dict[str, Any], dict[str, Array]]  # class, its arguments, its parameters

NOTES = {"lem": "other equations: its output update sees the old memory, the paper's the new one"}


def build(problem: Problem) -> list[Way]:
    """The step with rows of the identity as inputs."""
    kind, arguments, values = _CELLS[problem.cell](problem)
    functional = host.torch.nn.functional
    dtype = getattr(host.torch, problem.dtype)
    projected = problem.cell == "intersection_rnn"  # it takes inputs of the hidden size alone
    width = problem.hidden if projected else problem.symbols
    layer = getattr(torchrecurrent, kind)(width, problem.hidden, dtype=dtype, **arguments)
    host.fill(layer, **{f"cells.0.{name}": value for name, value in values.items()})
    if projected:
        layer.table = host.torch.nn.Parameter(host.tensor(problem.params["Wp"]))
        layer.shift = host.torch.nn.Parameter(host.tensor(problem.params["bp"]))
        return [
            host.training_step(
                problem,
                "rows",
                lambda tokens: layer(functional.embedding(tokens, layer.table) + layer.shift)[0],
                layer,
                [layer.table],
            )
        ]
    identity = host.torch.eye(problem.symbols, dtype=dtype)
    return [
        host.training_step(
            problem,
            "identity",
            lambda tokens: layer(functional.embedding(tokens, identity))[0],
            layer,
            [layer.cells[0].weight_ih],
        )
    ]


def _usual(wx: Array, wh: Array, b: Array) -> dict[str, Array]:
    """A cell with two matrices and two biases, of which the second is zero."""
    none = np.zeros(wh.shape[1], b.dtype)
    return {"weight_ih": wx.T, "weight_hh": wh.T, "bias_ih": b, "bias_hh": none}


def _reordered(a: Array, order: str, wanted: str) -> Array:
    """Parts of the last axis, named by letters, in another order."""
    parts = dict(zip(order, np.split(a, len(order), axis=-1), strict=True))
    return np.concatenate([parts[letter] for letter in wanted], axis=-1)


def _mgu(problem: Problem) -> Filled:
    p = problem.params
    return "MGU", {}, _usual(p["Wx"], np.concatenate([p["Wh"], p["Wn"]], axis=1), p["b"])


def _peephole(problem: Problem) -> Filled:
    p = problem.params
    values = _usual(p["Wx"], p["Wh"], p["b"])
    values["bias_hh"].reshape(4, -1)[1] = problem.options["forget_bias"]
    return "PeepholeLSTM", {}, {**values, "weight_ph": p["p"]}


def _indrnn(problem: Problem) -> Filled:
    p = problem.params
    values = {"weight_ih": p["Wx"].T, "vector_u": p["u"], "bias_ih": p["b"], "bias_hh": np.zeros_like(p["b"])}
    return "IndRNN", {"nonlinearity": problem.options["activation"]}, values


def _antisymmetric(problem: Problem) -> Filled:
    p, options = problem.params, problem.options
    arguments = {"epsilon": options["eps"], "gamma": options["gamma"]}
    return "AntisymmetricRNN", arguments, _usual(p["Wx"], p["U"], p["b"])


def _lem(problem: Problem) -> Filled:
    p = problem.params
    values = {
        "weight_ih": _reordered(p["Wx"], "stuv", "stvu").T,
        "weight_hh": p["Wy"].T,
        "weight_ch": p["Wz"].T,
        "bias_ih": _reordered(p["b"], "stuv", "stvu"),
        "bias_hh": np.zeros(p["Wy"].shape[1], p["b"].dtype),
        "bias_ch": np.zeros(p["Wz"].shape[1], p["b"].dtype),
    }
    return "LEM", {"dt": problem.options["dt"]}, values


def _tau_gru(problem: Problem) -> Filled:
    p = problem.params
    u, g, a = np.split(p["Wh"], 3, axis=1)
    hidden = np.concatenate([u, p["Wd"], g, a], axis=1)
    return "tauGRU", {"delay": problem.options["delay"]}, _usual(p["Wx"], hidden, p["b"])


def _intersection(problem: Problem) -> Filled:
    p = problem.params
    matrices = (_reordered(p[name], "hsgy", "ysgh") for name in ("Wx", "Wh", "b"))
    values = _usual(*matrices)
    values["bias_hh"].reshape(4, -1)[2:] = problem.options["forget_bias"]
    return "IntersectionRNN", {}, values


_CELLS: dict[str, Callable[[Problem], Filled]] = {
    "mgu": _mgu,
    "peephole_lstm": _peephole,
    "indrnn": _indrnn,
    "antisymmetric": _antisymmetric,
    "lem": _lem,
    "intersection_rnn": _intersection,
    "tau_gru": _tau_gru,
}
CELLS = tuple(_CELLS)
