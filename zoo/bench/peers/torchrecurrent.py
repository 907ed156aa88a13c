"""torchrecurrent: many published cells as PyTorch modules, with time loops in Python."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.bench.peers import torch as torch_peer
from zoo.bench.peers.problem import Problem, Variant

torchrecurrent: Any = importlib.import_module("torchrecurrent")
Array = Any
LayerSpec = tuple[str, dict[str, Any], dict[str, Array]]  # class, its arguments, its parameters

NOTES = {"lem": "other equations: its output update uses the old memory, the paper's the new one"}


def build(problem: Problem) -> list[Variant]:
    """The step with rows of the identity as inputs."""
    kind, arguments, values = _CELLS[problem.cell](problem)
    functional = torch_peer.torch.nn.functional
    dtype = getattr(torch_peer.torch, problem.dtype)
    projected = problem.cell == "intersection_rnn"  # it requires inputs of the hidden size
    width = problem.hidden if projected else problem.symbols
    layer = getattr(torchrecurrent, kind)(width, problem.hidden, dtype=dtype, **arguments)
    torch_peer.fill(layer, **{f"cells.0.{name}": value for name, value in values.items()})
    if projected:
        layer.table = torch_peer.torch.nn.Parameter(torch_peer.tensor(problem.params["Wp"]))
        layer.shift = torch_peer.torch.nn.Parameter(torch_peer.tensor(problem.params["bp"]))
        return [
            torch_peer.training_step(
                problem,
                "rows",
                lambda tokens: layer(functional.embedding(tokens, layer.table) + layer.shift)[0],
                layer,
                [layer.table],
            )
        ]
    identity = torch_peer.torch.eye(problem.symbols, dtype=dtype)
    return [
        torch_peer.training_step(
            problem,
            "identity",
            lambda tokens: layer(functional.embedding(tokens, identity))[0],
            layer,
            [layer.cells[0].weight_ih],
        )
    ]


def _standard(wx: Array, wh: Array, b: Array) -> dict[str, Array]:
    """Parameters of a cell with two matrices and two biases; the second bias is zero."""
    zeros = np.zeros(wh.shape[1], b.dtype)
    return {"weight_ih": wx.T, "weight_hh": wh.T, "bias_ih": b, "bias_hh": zeros}


def _reorder(a: Array, order: str, new_order: str) -> Array:
    """Reorder equal parts of the last axis, named by letters."""
    parts = dict(zip(order, np.split(a, len(order), axis=-1), strict=True))
    return np.concatenate([parts[letter] for letter in new_order], axis=-1)


def _mgu(problem: Problem) -> LayerSpec:
    p = problem.params
    return "MGU", {}, _standard(p["Wx"], np.concatenate([p["Wh"], p["Wn"]], axis=1), p["b"])


def _peephole(problem: Problem) -> LayerSpec:
    p = problem.params
    values = _standard(p["Wx"], p["Wh"], p["b"])
    values["bias_hh"].reshape(4, -1)[1] = problem.options["forget_bias"]
    return "PeepholeLSTM", {}, {**values, "weight_ph": p["p"]}


def _indrnn(problem: Problem) -> LayerSpec:
    p = problem.params
    values = {"weight_ih": p["Wx"].T, "vector_u": p["u"], "bias_ih": p["b"], "bias_hh": np.zeros_like(p["b"])}
    return "IndRNN", {"nonlinearity": problem.options["activation"]}, values


def _antisymmetric(problem: Problem) -> LayerSpec:
    p, options = problem.params, problem.options
    arguments = {"epsilon": options["eps"], "gamma": options["gamma"]}
    return "AntisymmetricRNN", arguments, _standard(p["Wx"], p["U"], p["b"])


def _lem(problem: Problem) -> LayerSpec:
    p = problem.params
    values = {
        "weight_ih": _reorder(p["Wx"], "stuv", "stvu").T,
        "weight_hh": p["Wy"].T,
        "weight_ch": p["Wz"].T,
        "bias_ih": _reorder(p["b"], "stuv", "stvu"),
        "bias_hh": np.zeros(p["Wy"].shape[1], p["b"].dtype),
        "bias_ch": np.zeros(p["Wz"].shape[1], p["b"].dtype),
    }
    return "LEM", {"dt": problem.options["dt"]}, values


def _tau_gru(problem: Problem) -> LayerSpec:
    p = problem.params
    u, g, a = np.split(p["Wh"], 3, axis=1)
    hidden = np.concatenate([u, p["Wd"], g, a], axis=1)
    return "tauGRU", {"delay": problem.options["delay"]}, _standard(p["Wx"], hidden, p["b"])


def _intersection(problem: Problem) -> LayerSpec:
    p = problem.params
    matrices = (_reorder(p[name], "hsgy", "ysgh") for name in ("Wx", "Wh", "b"))
    values = _standard(*matrices)
    values["bias_hh"].reshape(4, -1)[2:] = problem.options["forget_bias"]
    return "IntersectionRNN", {}, values


_CELLS: dict[str, Callable[[Problem], LayerSpec]] = {
    "mgu": _mgu,
    "peephole_lstm": _peephole,
    "indrnn": _indrnn,
    "antisymmetric": _antisymmetric,
    "lem": _lem,
    "intersection_rnn": _intersection,
    "tau_gru": _tau_gru,
}
CELLS = tuple(_CELLS)
