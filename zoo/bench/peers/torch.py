"""PyTorch: ``nn.RNN``, ``nn.LSTM`` and ``nn.GRU``, whose time loops are C++."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo.bench.peers.problem import Problem, Variant, norm, stream_variant

torch: Any = importlib.import_module("torch")
Tensor = Any

CELLS = ("vanilla", "lstm", "gru", "lstm_projected")


def build(problem: Problem) -> list[Variant]:
    """The step with dense inputs, or for tokens with rows of the identity and with ``one_hot``."""
    layer = _layer(problem)

    def variant(name: str, rows: Callable[[Tensor], Tensor]) -> Variant:
        return training_step(
            problem, name, lambda tokens: layer(rows(tokens))[0], layer, [layer.weight_ih_l0]
        )

    if problem.is_dense:
        return [variant("dense", lambda inputs: inputs)]
    identity = torch.eye(problem.symbols, dtype=_dtype(problem))
    return [
        variant("identity", lambda tokens: torch.nn.functional.embedding(tokens, identity)),
        variant(
            "one-hot", lambda tokens: torch.nn.functional.one_hot(tokens, problem.symbols).to(_dtype(problem))
        ),
    ]


def training_step(
    problem: Problem, name: str, recur: Callable[[Tensor], Tensor], layer: Any, input_weights: list[Tensor]
) -> Variant:
    """The training step around a layer, or the forward and backward pass of the layer alone.

    Args:
        problem: The problem.
        name: Name of the variant.
        recur: Function of inputs ``(T, B)`` or ``(T, B, V)`` to outputs ``(T, B, H)``.
        layer: The module with the parameters.
        input_weights: Its input weights.
    """
    torch.set_num_threads(problem.threads)
    readout = _readout(problem) if problem.dy is None else torch.nn.Identity()
    inputs = torch.from_numpy(problem.inputs if problem.is_dense else problem.inputs.astype(np.int64))
    targets = torch.from_numpy(problem.targets.astype(np.int64)).flatten()
    dy = None if problem.dy is None else torch.from_numpy(problem.dy)
    params = [*layer.parameters(), *readout.parameters()]

    def run() -> Tensor:
        for param in params:
            param.grad = None
        y = recur(inputs)
        if dy is not None:
            y.backward(dy)
            return y
        loss = torch.nn.functional.cross_entropy(readout(y).flatten(0, 1), targets)
        loss.backward()
        return loss

    def check() -> tuple[float, float]:
        loss = scalar(run(), dy)
        return loss, norm(*(param.grad.numpy() for param in input_weights))

    return Variant(name, run, check)


def stream(problem: Problem) -> list[Variant]:
    """A call of a cell such as ``nn.LSTMCell`` for each time step, or of the layer with one step."""
    torch.set_num_threads(problem.threads)
    layer, dtype = _layer(problem), _dtype(problem)
    identity = torch.eye(problem.symbols, dtype=dtype)
    inputs = torch.from_numpy(problem.inputs if problem.is_dense else problem.inputs.astype(np.int64))

    def row(x: Tensor) -> Tensor:
        return x if problem.is_dense else torch.nn.functional.embedding(x, identity)

    def run(advance: Callable[[Tensor, Any], tuple[Tensor, Any]]) -> list[Tensor]:
        outputs, state = [], None
        with torch.inference_mode():
            for x in inputs:
                y, state = advance(row(x), state)
                outputs.append(y)
        return outputs

    def advance_layer(x: Tensor, state: Any) -> tuple[Tensor, Any]:
        y, state = layer(x[None], state)
        return y[0], state

    variants = [stream_variant("layer", lambda: run(advance_layer), problem.dy)]
    kinds = {"vanilla": torch.nn.RNNCell, "gru": torch.nn.GRUCell, "lstm": torch.nn.LSTMCell}
    if problem.cell in kinds:
        cell = kinds[problem.cell](problem.input_size, problem.hidden, dtype=dtype)
        fill(cell, **{name.removesuffix("_l0"): value for name, value in _weights(problem).items()})

        def advance_cell(x: Tensor, state: Any) -> tuple[Tensor, Any]:
            state = cell(x, state)
            return state[0] if problem.cell == "lstm" else state, state

        variants.append(stream_variant("cell", lambda: run(advance_cell), problem.dy))
    return variants


def scalar(result: Tensor, dy: Tensor | None) -> float:
    """The loss, or for a layer the sum of ``dy`` times the outputs."""
    return float(result.detach() if dy is None else (result.detach().double() * dy).sum())


def sampler(problem: Problem) -> Callable[[int], None]:
    """A function that samples symbols, each the next input."""
    torch.set_num_threads(problem.threads)
    layer, readout = _layer(problem), _readout(problem)
    identity = torch.eye(problem.symbols, dtype=_dtype(problem))

    def draw(length: int) -> None:
        token, state = 0, None
        with torch.inference_mode():
            for _ in range(length):
                y, state = layer(identity[token].view(1, 1, -1), state)
                token = int(torch.multinomial(torch.softmax(readout(y[0, 0]), 0), 1))

    return draw


def tensor(values: Any) -> Tensor:
    """A tensor with a copy of the values."""
    return torch.tensor(np.ascontiguousarray(values))


def fill(module: Any, **values: Any) -> None:
    """Set all parameters of a module, reshaped to its shapes."""
    missing = {name for name, _ in module.named_parameters()} - set(values)
    assert not missing, missing
    with torch.no_grad():
        for name, value in values.items():
            target = module.get_parameter(name)
            target.copy_(tensor(value).view(target.shape))


def _layer(problem: Problem) -> Any:
    kinds = {"vanilla": torch.nn.RNN, "gru": torch.nn.GRU}
    projection = {"proj_size": problem.params["Wp"].shape[1]} if problem.cell == "lstm_projected" else {}
    kind = kinds.get(problem.cell, torch.nn.LSTM)
    layer = kind(problem.input_size, problem.hidden, dtype=_dtype(problem), **projection)
    fill(layer, **_weights(problem))
    return layer


def _weights(problem: Problem) -> dict[str, Any]:
    """The parameters by PyTorch's names; the second bias is zero."""
    p = problem.params
    if problem.cell == "vanilla":
        return _named(p["Wxh"], p["Whh"], p["bh"], np.zeros_like(p["bh"]))
    if problem.cell == "gru":
        hidden_bias = np.concatenate([np.zeros_like(p["b"][: -p["bn"].size]), p["bn"]])
        return _named(p["Wx"], p["Wh"], p["b"], hidden_bias)
    forget = np.zeros_like(p["b"]).reshape(4, -1)
    forget[1] = problem.options["forget_bias"]
    projection = {"weight_hr_l0": p["Wp"].T} if "Wp" in p else {}
    return {**_named(p["Wx"], p["Wh"], p["b"], forget.reshape(-1)), **projection}


def _named(wx: Any, wh: Any, bx: Any, bh: Any) -> dict[str, Any]:
    return {"weight_ih_l0": wx.T, "weight_hh_l0": wh.T, "bias_ih_l0": bx, "bias_hh_l0": bh}


def _readout(problem: Problem) -> Any:
    weight = problem.params["Why"]
    readout = torch.nn.Linear(*weight.shape, dtype=_dtype(problem))
    fill(readout, weight=weight.T, bias=problem.params["by"])
    return readout


def _dtype(problem: Problem) -> Any:
    return getattr(torch, problem.dtype)
