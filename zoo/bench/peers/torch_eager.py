"""PyTorch: the equations of any cell that has a ``step``, in eager mode with a time loop in Python."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from zoo.bench.peers import torch as torch_peer
from zoo.bench.peers.problem import Problem, Variant, norm
from zoo.bench.peers.step_functions import StepFunction, default_inputs, step_functions
from zoo.bench.peers.step_library import Library
from zoo.bench.peers.zoo import input_weights
from zoo.registry import resolve_cell

torch: Any = importlib.import_module("torch")
Tensor = Any


def _softplus(x: Tensor) -> Tensor:
    """PyTorch's own threshold, 20, would be visible in float64."""
    return torch.nn.functional.softplus(x, threshold=40.0)


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, torch.Tensor) else x


def _with_derivative(value: Any, x: Tensor, slope: Any) -> Tensor:
    """The usual straight-through estimator."""
    return _detached(value) + (x - x.detach()) * _detached(slope)


def _one_hot(tokens: Tensor, count: int, dtype: Any) -> Tensor:
    return torch.nn.functional.one_hot(tokens, count).to(dtype)


LIBRARY = Library(
    "torch",
    {
        "torch": torch,
        "sigmoid": torch.sigmoid,
        "silu": torch.nn.functional.silu,
        "log_sigmoid": torch.nn.functional.logsigmoid,
        "softplus": _softplus,
        "erf": torch.erf,
        "stop_gradient": _detached,
        "with_derivative": _with_derivative,
        "expm": torch.linalg.matrix_exp,
        "one_hot": _one_hot,
        "rows": torch.nn.functional.embedding,
    },
    {
        "bound_below": "torch.clamp({0}, min={1})",
        "bound_above": "torch.clamp({0}, max={1})",
        "as_number": "{0}.to(dtype)",
        "add_product": "torch.addmm({0}, {1}, {2})",
        "split": "torch.split({0}, {1}, {3})",
        "permute": "{0}.permute({1})",
        "max": "torch.amax({0}, {1})",
    },
)


def scan(steps: int) -> Callable[..., tuple[Tensor, ...]]:
    """The loop over time: a function of a step, the initial states and sequences to stacked outputs."""

    def run(step: Any, states: Any, sequences: Sequence[Tensor]) -> tuple[Tensor, ...]:
        # The gradient of `sequence[t]` is as long as the sequence, that of `unbind` is one step.
        inputs = (
            zip(*[sequence.unbind(0) for sequence in sequences], strict=True) if sequences else [()] * steps
        )
        outputs = []
        for each in inputs:
            states, output = step(states, each)
            outputs.append(output)
        return tuple(torch.stack(values) for values in zip(*outputs, strict=True))

    return run


def build(problem: Problem) -> list[Variant]:
    """The step with rows of matrices and with one-hot products, with ``einsum`` and with sums."""
    torch.set_num_threads(problem.threads)
    functions = step_functions(LIBRARY, problem, getattr(torch, problem.dtype))
    return [_variant(problem, function) for function in functions]


def _variant(problem: Problem, function: StepFunction) -> Variant:
    params = {name: torch_peer.tensor(value).requires_grad_() for name, value in problem.params.items()}
    arrays = params | {name: torch_peer.tensor(value) for name, value in problem.buffers.items()}
    aux = {name: torch_peer.tensor(value) for name, value in default_inputs(problem).items()}
    inputs = torch_peer.tensor(problem.inputs if problem.is_dense else problem.inputs.astype("int64"))
    targets = torch_peer.tensor(problem.targets.astype("int64")).flatten()
    dy = None if problem.dy is None else torch_peer.tensor(problem.dy)
    loop = scan(len(inputs))
    weights = input_weights(resolve_cell(problem.cell, **problem.options))

    def run() -> Tensor:
        for param in params.values():
            param.grad = None
        y = function.forward(arrays, inputs, aux, loop)
        if dy is not None:
            y.backward(dy)
            return y
        logits = torch.nn.functional.linear(y.flatten(0, 1), params["Why"].T, params["by"])
        loss = torch.nn.functional.cross_entropy(logits, targets)
        loss.backward()
        return loss

    def check() -> tuple[float, float]:
        loss = torch_peer.scalar(run(), dy)
        return loss, norm(*(params[name].grad.numpy() for name in weights))

    def gradients() -> dict[str, Any]:
        return {
            name: (torch.zeros_like(param) if param.grad is None else param.grad).numpy()
            for name, param in params.items()
        }

    return Variant(function.variant.name, run, check, gradients)
