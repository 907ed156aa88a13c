"""Initial values of the first layer of RWKV-4 to RWKV-7 by their author's code."""

from __future__ import annotations

import contextlib
import io
import math
from types import SimpleNamespace
from typing import Any

import torch
from initial_draws._draws import Draw, DrawCell, Sizes, Values
from official import official
from references.rwkv7 import AUTHOR
from torch import nn

LAYERS = 2  # of which the first is drawn
UNITS = 128  # The rule for the ranks gives the default of zoo at this number of units.
V4, V5, V7 = "RWKV-v4neo/src/model.py", "RWKV-v5/src/model.py", "RWKV-v7/train_temp/src/model.py"
TOOLS: Values = {
    "torch": torch,
    "nn": nn,
    "math": math,
    "MyModule": nn.Module,
    "MyFunction": lambda method: method,
    "os": SimpleNamespace(environ={"RWKV_MY_TESTING": "", "RWKV_FLOAT_MODE": "fp32"}),
    "gc": SimpleNamespace(collect=lambda: None),
}


def arguments(inputs: int, units: int, heads: int = 1) -> SimpleNamespace:
    """Settings of a model whose time mixing has as many inputs and units, by the names of all versions."""
    args = SimpleNamespace(n_embd=inputs, dim_att=units, n_layer=LAYERS, accelerator="CPU", ctx_len=1)
    args.head_size = args.head_size_a = units // heads
    args.head_size_divisor, args.my_testing = 8, ""
    return args


def draw_model(path: str, name: str, inputs: int, n: Sizes) -> Values:
    """Draw the time mixing of the first layer by ``generate_init_weight`` of ``RWKV``."""
    tools = TOOLS | {"HEAD_SIZE": n.H // getattr(n, "heads", 1)}
    Layer, start = official(*AUTHOR, path, name, "generate_init_weight", **tools)
    args = arguments(inputs, n.H, getattr(n, "heads", 1))
    prefix = "blocks.0.att."
    weights = {f"{prefix}{key}": value for key, value in Layer(args, 0).state_dict().items()}
    with contextlib.redirect_stdout(io.StringIO()):
        values = start(SimpleNamespace(args=args, state_dict=lambda: weights))
    return {key.removeprefix(prefix): value for key, value in values.items()}


def draw_projections(values: Values, *names: str) -> torch.Tensor:
    """Matrices of the projections, one behind another."""
    return torch.stack([values[f"{name}.weight"].T for name in names])


def mixtures(values: Values, start: str, ends: str) -> torch.Tensor:
    """Shares of the present input or the previous one, one row each."""
    return torch.stack([values[f"{start}{end}"].flatten() for end in ends])


def rwkv4(n: Sizes) -> Draw:
    """``RWKV_TimeMix``, whose projection out has as many outputs as inputs."""
    values, whole = (draw_model(V4, "RWKV_TimeMix", inputs, n) for inputs in (n.I, n.H))
    arrays = {
        "mix": mixtures(values, "time_mix_", "rkv"),
        "Wx": draw_projections(values, "receptance", "key", "value"),
        "w": values["time_decay"],
        "u": values["time_first"],
        "Wo": whole["output.weight"].T,
    }
    return Draw(arrays)


def rwkv5(n: Sizes) -> Draw:
    """``RWKV_Tmix_x052``."""
    values, whole = (draw_model(V5, "RWKV_Tmix_x052", inputs, n) for inputs in (n.I, n.H))
    return Draw(memory(values, whole) | {"mix": mixtures(values, "time_mix_", "rkvg")})


def rwkv6(n: Sizes) -> Draw:
    """``RWKV_Tmix_x060``, whose ranks are constants."""
    values, whole = (draw_model(V5, "RWKV_Tmix_x060", inputs, n) for inputs in (n.I, n.H))
    arrays = {
        "mix": mixtures(values, "time_maa_", "xwkvrg"),
        "A1": values["time_maa_w1"],
        "A2": values["time_maa_w2"],
        "D1": values["time_decay_w1"],
        "D2": values["time_decay_w2"],
    }
    ranks = {"rank": arrays["A2"].shape[1], "decay_rank": arrays["D1"].shape[1]}
    return Draw(memory(values, whole) | arrays, ranks)


def memory(values: Values, whole: Values) -> Values:
    """Arrays of RWKV-5 and RWKV-6, with the projection out from a layer with as many inputs as units."""
    return {
        "Wx": draw_projections(values, "receptance", "key", "value", "gate"),
        "w": values["time_decay"].flatten(),
        "u": values["time_faaaa"].flatten(),
        "gain": values["ln_x.weight"],
        "bias": values["ln_x.bias"],
        "Wo": whole["output.weight"].T,
    }


def rwkv7(n: Sizes) -> Draw:
    """``RWKV_Tmix_x070`` alone, without ``generate_init_weight``.

    The older file states the initial projections in a comment, for use of the layer alone. The layer of the
    newer file draws them so. It has another rule for the ranks, and projections with as many inputs as
    outputs, which an edit makes smaller.
    """
    name, edits = "RWKV_Tmix_x070", {"nn.Linear(C, C, ": "nn.Linear(C, args.dim_att, "}
    Layer = official(*AUTHOR, V5, name, **TOOLS)
    Newer = official(*AUTHOR, V7, name, edits=edits, **TOOLS)
    values = Layer(arguments(n.I, n.I), 0).state_dict()
    whole: Any = Layer(arguments(n.H, n.H, n.heads), 0).state_dict()
    projections = Newer(arguments(n.I, n.H), 0).state_dict()
    last = Newer(arguments(n.H, n.H), 0).state_dict()
    arrays = {
        "mix": mixtures(values, "x_", "rwkvag"),
        "Wx": draw_projections(projections, "receptance", "key", "value"),
        "kappa": whole["k_k"].flatten(),
        "ka": whole["k_a"].flatten(),
        "rho": whole["r_k"].flatten(),
        "gain": whole["ln_x.weight"],
        "bias": whole["ln_x.bias"],
        "Wo": last["output.weight"].T,
    }
    arrays |= {f"{end}0": whole[f"{end}0"].flatten() for end in "wa"}
    for end in "wag":
        arrays |= {f"{end.upper()}1": values[f"{end}1"], f"{end.upper()}2": whole[f"{end}2"]}
    usual = Layer(arguments(UNITS, UNITS), 0)
    (rank,) = {len(getattr(usual, f"{end}2")) for end in "wag"}
    return Draw(arrays, {"rank": rank})


DRAWS: dict[str, DrawCell] = {"rwkv4": rwkv4, "rwkv5": rwkv5, "rwkv6": rwkv6, "rwkv7": rwkv7}
