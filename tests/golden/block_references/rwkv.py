"""The block of RWKV-4 by its author's model for inference."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from block_references import _parts as parts
from official import official
from torch.nn import functional
from torch.nn.functional import linear

Tensors = dict[str, torch.Tensor]
CASES: dict[str, dict[str, Any]] = {
    "rwkv(vanilla)": {"rwkv_mlp": 2},
    "rwkv(rwkv4)": {"rwkv_mlp": 2},
}
# Apache licence 2.0.
AUTHOR = ("BlinkDL/RWKV-LM", "524481d5099b38d9bc8ef1e89209161b86c8011b")
GRADIENTS = {"with torch.no_grad():": "if True:"}


def reachable(options: dict[str, Any], p: dict[str, Any], state: dict[str, Any]) -> None:
    """The largest weight is one, and ``n`` is the sum of all."""
    if "n" in state:
        state["n"][:] = 1 + abs(state["n"])


def run(options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Run ``forward`` of ``RWKV_RNN`` in RWKV-v4neo/src/model_run.py, one sequence at a time.

    The projected inputs are its embeddings, and its readout is the identity. The tanh network and its
    projection take the place of ``SA``, the time mixing.
    """
    x = parts.project(p, x)
    rows = []
    for row, sequence in enumerate(x.unbind(1)):
        rows.append(one_row(options, p, sequence, {name: value[row] for name, value in state.items()}))
    last = {name: torch.stack([states[name] for _, states in rows]) for name in state}
    return torch.stack([y for y, _ in rows], dim=1), last


def one_row(
    options: dict[str, Any], p: Tensors, x: torch.Tensor, state: Tensors
) -> tuple[torch.Tensor, Tensors]:
    """Outputs of one sequence, and the last states."""
    path = "RWKV-v4neo/src/model_run.py"
    settings = {"RWKV_RESCALE_LAYER": 6, "MyModule": object, "MyFunction": lambda method: method}
    tools = {"torch": torch, "F": functional, "edits": GRADIENTS}
    Model = official(*AUTHOR, path, "RWKV_RNN", **tools, **settings)
    model = Model.__new__(Model)
    model.args = SimpleNamespace(n_layer=1, n_embd=x.shape[-1])
    model.FLOAT_MODE, model.RUN_DEVICE, model.w = "fp32", "cpu", weights(p, x)
    names = ("block_past", "past", "c", "n", "m")
    if "u" in p:
        memory = [state[name] for name in names]
    else:
        memory, names = [state["block_past"]], names[:1]
        cell = parts.inner_cell(options, p, {name: value[None] for name, value in state.items()})
        model.SA = partial(time_mixing, p, cell)
    out = []
    for step in range(len(x)):
        y, memory = model.forward([step], memory)
        out.append(y)
    last = {} if "u" in p else {name: value[0] for name, value in cell.state.items()}
    return torch.stack(out), dict(zip(names, memory, strict=True)) | last


def time_mixing(p: Tensors, cell: parts.Cell, x: torch.Tensor, *_: Any) -> torch.Tensor:
    """The cell and its projection for one step."""
    return linear(cell(x[None, None])[0, 0], p["block_Wo"].T)


def weights(p: Tensors, x: torch.Tensor) -> SimpleNamespace:
    """Parameters by their official names."""

    def norm(name: str) -> SimpleNamespace:
        return SimpleNamespace(weight=p[f"block_{name}gain"], bias=p[f"block_{name}shift"])

    def matrix(value: torch.Tensor) -> SimpleNamespace:
        return SimpleNamespace(weight=value)

    channel = SimpleNamespace(time_mix_k=p["block_mix_k"], time_mix_r=p["block_mix_r"])
    for name, own in (("key", "k"), ("value", "v"), ("receptance", "r")):
        setattr(channel, name, matrix(p[f"block_W{own}"].T))
    if "u" in p:
        time = SimpleNamespace(time_first=p["u"], time_decay=-torch.exp(p["w"]), output=matrix(p["Wo"].T))
        for name, mix, W in zip(("receptance", "key", "value"), p["mix"], p["Wx"], strict=True):
            setattr(time, f"time_mix_{name[0]}", mix)
            setattr(time, name, matrix(W.T))
    else:
        names = ("time_mix_r", "time_mix_k", "time_mix_v", "time_first", "time_decay")
        matrices = ("receptance", "key", "value", "output")
        time = SimpleNamespace(**dict.fromkeys((*names, *matrices), matrix(x.new_zeros(0))))
    block = SimpleNamespace(ln0=norm("in_"), ln1=norm(""), ln2=norm("mlp_"), att=time, ffn=channel)
    return SimpleNamespace(
        emb=matrix(x), blocks=[block], ln_out=norm("final_"), head=matrix(torch.eye(x.shape[-1]))
    )
