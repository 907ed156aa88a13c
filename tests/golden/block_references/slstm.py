"""The sLSTM block by its authors' modules."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from block_references import _parts as parts
from block_references import _xlstm as xlstm
from official import official
from torch import nn
from torch.nn.functional import logsigmoid

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "slstm(vanilla)": {"slstm_heads": 2, "slstm_width": 3, "slstm_mlp": 2},
    "slstm(slstm)": {"slstm_heads": 2, "slstm_width": 3, "slstm_mlp": 2, "heads": 2},
    "slstm(gla)": {"slstm_mlp": 2, "rank": 2},
}
# All gates read the convolved input.
INPUTS = {"self.zgate(x)": "self.zgate(x_conv)", "self.ogate(x)": "self.ogate(x_conv)"}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """The largest weight is one, and ``n`` is the sum of all."""
    if "n" in state:
        state["n"][:] = 1 + abs(state["n"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``xLSTMBlock``, ``sLSTMLayer`` and ``GatedFeedForward``, and the plain version of the recurrence.

    The gates are whole matrices. The tanh network takes the place of gates and recurrence, and a mixer that
    of the whole layer. The code stores gains minus one, and calls the gate i of the recurrence ``fgate``, and
    f ``igate``.
    """
    x = parts.project(p, x)
    layer = SimpleNamespace(
        embedding_dim=x.shape[-1],
        conv1d_kernel_size=options["slstm_width"],
        num_heads=options["slstm_heads"],
        group_norm_weight=True,
        dropout=0.0,
    )
    feedforward = SimpleNamespace(
        embedding_dim=x.shape[-1],
        _proj_up_dim=options["slstm_mlp"] * x.shape[-1] // 4,
        act_fn="gelu",
        ff_type="ffn_gated",
        bias=False,
        dropout=0.0,
        _num_blocks=1,
    )
    config = SimpleNamespace(mlstm=None, slstm=layer, feedforward=feedforward)
    path = "xlstm/blocks/slstm/layer.py"
    tools = xlstm.environment() | {"sLSTMCell": parts.FunctionModule}
    Layer = official(*xlstm.AUTHORS, path, "sLSTMLayer", edits=INPUTS, **tools)
    module = xlstm.block(p, config, sLSTMLayer=Layer)
    cell = parts.inner_cell(options, p, state)
    if parts.is_mixer(p):
        return xlstm.mixed(p, x, module, cell)
    fill_layer(p, module.xlstm, cell)
    memory = torch.stack([state[name] for name in "hcnm"]) if "R" in p else None
    final = xlstm.final_norm(p)
    kept, out = {"slstm_state": memory, "conv_state": xlstm.windows(state["block_past"])}, []
    for each in x:
        y, kept = module.step(each[:, None], **kept)
        out.append(final(y)[:, 0])
    last = dict(zip("hcnm", kept["slstm_state"], strict=True)) if "R" in p else cell.state
    return torch.stack(out), last | {"block_past": kept["conv_state"][0][:, 1:]}


def fill_layer(p: Tensors, layer: Any, cell: parts.Cell) -> None:
    """Fill the layer with its parameters, and with gates and recurrence or the tanh network."""
    weights = {
        "conv1d.conv.weight": p["block_taps"].T[:, None],
        "conv1d.conv.bias": p["block_b"],
        "group_norm.weight": p["block_head_gain"].reshape(-1) - 1,
    }
    names, heads = ("fgate", "igate", "zgate", "ogate"), layer.config.num_heads
    if "R" in p:
        weights |= {f"{name}.weight": W.T for name, W in zip(names, p["Wx"].chunk(4, dim=1), strict=True)}
        layer.slstm_cell = parts.FunctionModule(recurrence(p, heads))
    else:
        for name in names:
            setattr(layer, name, nn.Identity())
        layer.slstm_cell = parts.FunctionModule(
            lambda u, state: (split(cell(u.chunk(4, dim=-1)[0]), heads), state)
        )
    parts.fill(layer, weights)


def recurrence(p: Tensors, heads: int) -> Any:
    """Return ``sLSTMCell_vanilla.forward`` with the parameters of the cell."""
    folder = "xlstm/blocks/slstm/src/vanilla"
    scan = official(*xlstm.AUTHORS, f"{folder}/__init__.py", "slstm_forward", **xlstm.TOOLS)
    tools = xlstm.TOOLS | {"logsigmoid": logsigmoid}
    pointwise = official(*xlstm.AUTHORS, f"{folder}/slstm.py", "slstm_forward_pointwise", **tools)

    def forward(u: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        states, last, _ = scan(u.transpose(0, 1), state, p["R"].mT, p["b"], pointwise)
        return split(states[0][1:].transpose(0, 1), heads), last

    return forward


def split(y: torch.Tensor, heads: int) -> torch.Tensor:
    """Split ``(B, S, H)`` into heads ``(B, heads, S, n)``."""
    return y.unflatten(-1, (heads, -1)).transpose(1, 2)
