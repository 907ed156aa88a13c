"""zoo itself, as a module of PyTorch inside PyTorch's training step: what the frame costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

import zoo.torch
from zoo.bench.peers import torch as host
from zoo.bench.peers.own import input_weights
from zoo.bench.problem import Problem, Way
from zoo.convert import to_torch
from zoo.convert.torch import has_layout
from zoo.layers import Recurrent
from zoo.registry import resolve_cell

Array = np.ndarray[Any, Any]

ROUNDS, SECONDS = 20, 1.0  # at least so many rounds, and no new one after so many seconds


def build(problem: Problem) -> list[Way]:
    """The step with tokens, which the module takes as they are."""
    layer = _layer(problem)
    named = has_layout(resolve_cell(problem.cell))
    inner = (
        ["weight_ih_l0"] if named else [f"l0.{name}" for name in input_weights(resolve_cell(problem.cell))]
    )
    weights = [layer.get_parameter(name) for name in inner]
    return [host.training_step(problem, "tokens", lambda tokens: layer(tokens)[0], layer, weights)]


def remark(problem: Problem) -> str:
    """How much longer a call of the module takes than one of ``zoo.Recurrent``, both ways, in turn.

    One token is enough: what the frame does is the same for any number, and kernels do little meanwhile.
    """
    layer, rnn, tokens = _layer(problem), _recurrent(problem), problem.inputs[:1, :1]
    given, parameters = host.torch.from_numpy(tokens.astype(np.int64)), list(layer.parameters())

    def module() -> None:
        for parameter in parameters:
            parameter.grad = None
        y, _ = layer(given)
        y.backward(host.torch.ones_like(y))

    def bare() -> None:
        y, _ = rnn.forward(tokens)
        rnn.backward(np.ones_like(y))

    framed, alone = _least(module, bare)
    return f"a call takes {(framed - alone) * 1e6:.0f} µs more than one of zoo.Recurrent"


def _least(*calls: Callable[[], None]) -> list[float]:
    """Seconds of each call, at its quickest."""
    least = [float("inf")] * len(calls)
    began, rounds = time.perf_counter(), 0
    while rounds < ROUNDS or (rounds < 100 * ROUNDS and time.perf_counter() - began < SECONDS):
        for n, call in enumerate(calls):
            started = time.perf_counter()
            call()
            least[n] = min(least[n], time.perf_counter() - started)
        rounds += 1
    return least


def _recurrent(problem: Problem) -> Recurrent:
    """The layer of zoo, with the parameters of the problem; what is fixed is drawn from the same seed."""
    cell = resolve_cell(problem.cell, **problem.options)
    sizes = problem.symbols, problem.hidden
    rnn = Recurrent(cell, *sizes, dtype=problem.dtype, threads=problem.threads)
    rnn.fill({name: problem.params[name.removeprefix("l0.")] for name in rnn.params})
    return rnn


def _layer(problem: Problem) -> Any:
    """The module with the same numbers; in evaluation, which draws no noise."""
    rnn = _recurrent(problem)
    layer = zoo.torch.Recurrent(rnn.cell, problem.symbols, problem.hidden, dtype=problem.dtype).eval()
    params = to_torch(rnn.cell, rnn.params) if has_layout(rnn.cell) else rnn.params
    layer.load_state_dict({name: host.tensor(value) for name, value in {**params, **rnn.buffers}.items()})
    return layer
