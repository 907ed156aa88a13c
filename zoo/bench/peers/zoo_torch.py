"""zoo as a PyTorch module inside a PyTorch training step: measures the overhead of PyTorch."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import zoo.torch
from zoo.bench.peers import torch as torch_peer
from zoo.bench.peers.problem import Problem, Variant
from zoo.bench.peers.zoo import input_weights, loaded_layer
from zoo.bench.timing import run_alternating
from zoo.convert import to_torch
from zoo.convert.torch import has_layout
from zoo.registry import resolve_cell

SECONDS = 1.0  # after which no round starts


def build(problem: Problem) -> list[Variant]:
    """The step with the inputs as they are: the module accepts tokens too."""
    layer = _layer(problem)
    cell = resolve_cell(problem.cell)
    names = ["weight_ih_l0"] if has_layout(cell) else [f"l0.{name}" for name in input_weights(cell)]
    weights = [layer.get_parameter(name) for name in names]
    return [torch_peer.training_step(problem, "module", lambda inputs: layer(inputs)[0], layer, weights)]


def remark(problem: Problem) -> str:
    """Overhead of a call of the module, forward and backward, over ``zoo.Recurrent``, interleaved.

    One token is enough: the overhead does not depend on the number, and the kernels do little.
    """
    layer, rnn, tokens = _layer(problem), loaded_layer(problem), problem.inputs[:1, :1]
    inputs = torch_peer.torch.from_numpy(tokens if problem.is_dense else tokens.astype(np.int64))
    parameters = list(layer.parameters())

    def module() -> None:
        for parameter in parameters:
            parameter.grad = None
        y, _ = layer(inputs)
        y.backward(torch_peer.torch.ones_like(y))

    def bare() -> None:
        y, _ = rnn.forward(tokens)
        rnn.backward(np.ones_like(y))

    with_torch, without = run_alternating([module, bare], SECONDS, time.perf_counter)[:, :, 0].min(axis=0)
    return f"a call takes {(with_torch - without) * 1e6:.0f} µs more than one of zoo.Recurrent"


def _layer(problem: Problem) -> Any:
    """The module with the same values, in evaluation mode, without noise."""
    rnn = loaded_layer(problem)
    layer = zoo.torch.Recurrent(rnn.cell, problem.input_size, problem.hidden, dtype=problem.dtype).eval()
    params = to_torch(rnn.cell, rnn.params) if has_layout(rnn.cell) else rnn.params
    layer.load_state_dict(
        {name: torch_peer.tensor(value) for name, value in {**params, **rnn.buffers}.items()}
    )
    layer._shared.pure(np.dtype(problem.dtype)).compile_passes()
    return layer
