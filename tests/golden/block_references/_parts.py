"""Parts of several references of blocks."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from references import gla
from torch import nn
from torch.nn.functional import linear, rms_norm

Tensors = dict[str, torch.Tensor]
Result = tuple[torch.Tensor, Tensors]


def vanilla(p: Tensors, x: torch.Tensor, state: Tensors) -> Result:
    """The tanh network over a sequence ``(T, B, n)``: outputs and the last state."""
    h, outputs = state["h"], []
    for u in x:
        h = torch.tanh(linear(u, p["Wxh"].T, p["bh"]) + linear(h, p["Whh"].T))
        outputs.append(h)
    return torch.stack(outputs), {"h": h}


class Cell:
    """A cell that takes a place in a module of PyTorch, for sequences ``(B, T, n)``, and holds its state."""

    def __init__(self, run: Callable[[torch.Tensor, Tensors], Result], state: Tensors) -> None:
        self.run = run
        self.state = {name: value for name, value in state.items() if not name.startswith("block_")}

    def __call__(self, u: torch.Tensor) -> torch.Tensor:
        y, self.state = self.run(u.transpose(0, 1), self.state)
        return y.transpose(0, 1)


def inner_cell(options: dict[str, Any], p: Tensors, state: Tensors) -> Cell:
    """The tanh network if the parameters are its own, else gated linear attention, which is a mixer."""
    return Cell(partial(vanilla if "Whh" in p else partial(gla.run, options), p), state)


def is_mixer(p: Tensors) -> bool:
    """Whether the inner cell is gated linear attention."""
    return "Wr" in p


class FunctionModule(nn.Module):
    """A module that calls a function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *arguments: Any, **keywords: Any) -> Any:
        return self.function(*arguments, **keywords)

    def reset_parameters(self) -> None:
        """Do nothing; some modules call it for each of their parts."""


def fill(module: nn.Module, weights: Tensors) -> Any:
    """Replace parameters of a module by tensors, through which gradients go."""
    for name, value in weights.items():
        path, _, leaf = name.rpartition(".")
        owner = module.get_submodule(path)
        assert owner.get_parameter(leaf).shape == value.shape, name
        delattr(owner, leaf)
        setattr(owner, leaf, value)
    return module


def norm_rms(x: torch.Tensor, gain: torch.Tensor, eps: float) -> torch.Tensor:
    return rms_norm(x, x.shape[-1:], gain, eps)


def project(p: Tensors, x: torch.Tensor) -> torch.Tensor:
    """The projection of the input to the model width."""
    return linear(x, p["block_Wi"].T, p["block_bi"])
