"""The skip LSTM by its authors' code, with PyTorch in place of TensorFlow 1."""

from __future__ import annotations

from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import torch
from official import official
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {"skip_lstm": {}}
# MIT licence.
AUTHORS = (
    "imatge-upc/skiprnn-2017-telecombcn",
    "63f93a539a3f2c7a713089fdd2c38bb7b0c581ca",
    "src/rnn_cells/skip_rnn_cells.py",
)


def rounded(value: torch.Tensor, name: str) -> torch.Tensor:
    """Round, with the gradient of the identity, as ``_binary_round`` asks of TensorFlow."""
    return torch.round(value).detach() + (value - value.detach())


TENSORFLOW = SimpleNamespace(
    nn=SimpleNamespace(rnn_cell=SimpleNamespace(RNNCell=object)),
    variable_scope=nullcontext,
    get_default_graph=lambda: SimpleNamespace(gradient_override_map=nullcontext),
    split=lambda value, num_or_size_splits, axis: value.chunk(num_or_size_splits, axis),
    minimum=torch.minimum,
    sigmoid=torch.sigmoid,
    tanh=torch.tanh,
    round=rounded,
)


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """Probabilities are between zero and one, and some sequences are about to copy their state."""
    for name in ("n", "a"):
        state[name][:] = 0.35 + 0.2 * state[name]
    p["bu"][:] = -1 + 0.1 * p["bu"]


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``SkipLSTMCell``, which rounds by ``_binary_round``. Its probability of an update is ``1 - n``."""

    def product(args: Any, size: int, bias: bool, bias_start: float = 0.0) -> torch.Tensor:
        if size == 1:
            return linear(args, p["Wu"].T, p["bu"])
        return linear(torch.cat(args, 1), torch.cat([p["Wx"], p["Wh"]]).T, p["b"])

    tools: dict[str, Any] = {
        "tf": TENSORFLOW,
        "ops": SimpleNamespace(name_scope=nullcontext),
        "rnn_ops": SimpleNamespace(linear=product),
        "SkipLSTMStateTuple": lambda *values: values,
        "SkipLSTMOutputTuple": lambda *values: values,
    }
    layer = official(*AUTHORS, "_binary_round", "SkipLSTMCell", **tools)[-1]
    cell = layer(len(p["Wh"]), options["forget_bias"])
    values, out = (state["c"], state["h"], 1.0 - state["n"], state["a"]), []
    for each in x:
        (h, _), values = cell(each, values)
        out.append(h)
    c, h, prob, total = values
    return torch.stack(out), {"h": h, "c": c, "n": 1.0 - prob, "a": total}
