"""Initial values of Mamba 1 to 3, Longhorn, RetNet and TTT-Linear by their authors' layers.

These layers have as many inputs as units. Edits make the matrices that read the inputs smaller.
"""

from __future__ import annotations

import math
from functools import partial
from types import SimpleNamespace
from typing import Any

import torch
from block_references import retnet as torchscale
from einops import repeat
from initial_draws._draws import Draw, DrawCell, Sizes, Values, defaults_of
from official import official
from references import ttt_linear as ttt
from references.mamba2 import AUTHORS
from torch import nn

TOOLS: Values = {"torch": torch, "nn": nn, "math": math, "repeat": repeat}
READ = {"self.in_proj = nn.Linear(self.d_model, ": "self.in_proj = nn.Linear(INPUTS, "}
UNITS = 128  # The rule for the rank gives the default of zoo at this number of units.
# The repository has no licence file.
LONGHORN = ("Cranial-XIX/longhorn", "4ea174598787ee189f889d17f9a02c2bbdc381a4", "models/longhorn.py")


def mamba(n: Sizes) -> Draw:
    """``Mamba``."""
    Layer = official(*AUTHORS, "mamba_ssm/modules/mamba_simple.py", "Mamba", edits=READ, INPUTS=n.I, **TOOLS)
    layer = Layer(n.H, d_state=n.order, d_conv=n.width, expand=n.expand, dt_rank=n.rank)
    return Draw(mixer_arrays(layer, layer.dt_proj) | {"A": layer.A_log}, mixer_options(Layer))


def longhorn(n: Sizes) -> Draw:
    """``Longhorn``, to which ``_init_weights`` is applied as in a model of one layer."""
    Layer, start = official(*LONGHORN, "Longhorn", "_init_weights", edits=READ, INPUTS=n.I, **TOOLS)
    layer = Layer(n.H, d_state=n.order, d_conv=n.width, expand=n.expand, dt_rank=n.rank)
    layer.apply(partial(start, n_layer=1))
    return Draw(mixer_arrays(layer, layer.dt_head), mixer_options(Layer))


def mixer_arrays(layer: Any, steps: nn.Linear) -> Values:
    """Arrays of the mixer of Mamba, with the matrix of the steps."""
    return {
        "Wx": layer.in_proj.weight.T,
        "taps": layer.conv1d.weight[:, 0].T,
        "b": layer.conv1d.bias,
        "Wu": layer.x_proj.weight.T,
        "Wd": steps.weight.T,
        "bd": steps.bias,
        "D": layer.D,
        "Wo": layer.out_proj.weight.T,
    }


def mixer_options(Layer: Any) -> Values:
    """Defaults of the mixer of Mamba, whose rank depends on the number of units."""
    names = {"expand": "expand", "order": "d_state", "width": "d_conv"}
    return options_of(Layer, names) | {"rank": Layer(UNITS).dt_rank}


def options_of(Class: Any, names: dict[str, str]) -> Values:
    """Defaults of arguments, by the names of zoo."""
    defaults = defaults_of(Class.__init__)
    return {own: defaults[argument] for own, argument in names.items()}


def mamba2(n: Sizes) -> Draw:
    """``Mamba2``."""
    tools = TOOLS | {"RMSNormGated": gated_norm(), "PyTorchModelHubMixin": object, "INPUTS": n.I}
    Layer = official(*AUTHORS, "mamba_ssm/modules/mamba2.py", "Mamba2", edits=READ, **tools)
    sizes = {"d_state": n.order, "d_conv": n.width, "expand": n.expand}
    layer = Layer(n.H, headdim=n.expand * n.H // n.heads, **sizes)
    arrays = {
        "Wx": layer.in_proj.weight.T,
        "taps": layer.conv1d.weight[:, 0].T,
        "b": layer.conv1d.bias,
        "bd": layer.dt_bias,
        "A": layer.A_log,
        "D": layer.D,
        "gain": layer.norm.weight,
        "Wo": layer.out_proj.weight.T,
    }
    return Draw(arrays, options_of(Layer, {"expand": "expand", "order": "d_state", "width": "d_conv"}))


def mamba3(n: Sizes) -> Draw:
    """``Mamba3``."""
    tools = TOOLS | {"RMSNormGated": gated_norm(), "INPUTS": n.I}
    Layer = official(*AUTHORS, "mamba_ssm/modules/mamba3.py", "Mamba3", edits=READ, **tools)
    layer = Layer(n.H, d_state=n.order, expand=n.expand, headdim=n.expand * n.H // n.heads)
    arrays = {"Wx": layer.in_proj.weight.T, "bd": layer.dt_bias}
    arrays |= {"gainB": layer.B_norm.weight, "gainC": layer.C_norm.weight}
    arrays |= {"biasB": layer.B_bias[:, 0], "biasC": layer.C_bias[:, 0]}
    arrays |= {"D": layer.D, "Wo": layer.out_proj.weight.T}
    return Draw(arrays, options_of(Layer, {"expand": "expand", "order": "d_state"}))


def gated_norm() -> Any:
    """``RMSNorm`` of Mamba 2 and 3."""
    return official(*AUTHORS, "mamba_ssm/ops/triton/layernorm_gated.py", "RMSNorm", torch=torch)


def retnet(n: Sizes) -> Draw:
    """``MultiScaleRetention`` and ``RetNetRelPos``, which has each angle twice."""
    source, tools = torchscale.AUTHORS, torchscale.TOOLS
    path = "torchscale/component/multiscale_retention.py"
    norm = official(*source, "torchscale/component/rms_norm.py", "RMSNorm", **tools)
    wrapper = official(*source, "torchscale/component/multiway_network.py", "MultiwayWrapper", **tools)
    Layer, _ = official(
        *source,
        path,
        "MultiScaleRetention",
        "get_activation_fn",
        edits={"nn.Linear(embed_dim, ": "nn.Linear(INPUTS, "},
        **tools | {"RMSNorm": norm, "MultiwayWrapper": wrapper, "INPUTS": n.I},
    )
    Config = official(*source, "torchscale/architecture/config.py", "RetNetConfig")
    Positions = official(*source, "torchscale/architecture/retnet.py", "RetNetRelPos", **tools)
    heads = Config().decoder_retention_heads
    config = Config(decoder_embed_dim=n.H, decoder_value_embed_dim=n.H, decoder_retention_heads=n.heads)
    layer = Layer(config, n.H, n.H, n.heads)
    positions = Positions(config)
    arrays = {
        "Wx": torch.cat([getattr(layer, f"{end}_proj").weight.T for end in "qkvg"], dim=1),
        "Wo": layer.out_proj.weight.T,
        "gamma": positions.decay.exp(),
        "theta": positions.angle[::2],
    }
    return Draw(arrays, {"heads": heads})


def ttt_linear(n: Sizes) -> Draw:
    """``TTTLinear`` with the defaults of ``TTTConfig``, without the models' other initial matrices."""
    names = ("RotaryEmbedding", "TTTBase", "TTTLinear")
    starts = [*(f"self.{end}_proj = " for end in "qkv"), "linear_weight_data = "]
    edits = {f"{start}nn.Linear(self.width, ": f"{start}nn.Linear(INPUTS, " for start in starts}
    *_, Layer = official(*ttt.AUTHORS, *names, edits=edits, INPUTS=n.I, **TOOLS)
    Config = official(*ttt.AUTHORS, "TTTConfig", PretrainedConfig=object)
    defaults = defaults_of(Config.__init__)
    sizes = {"hidden_size": n.H, "num_attention_heads": n.heads}
    layer = Layer(SimpleNamespace(**defaults | sizes), 0)
    arrays = {
        "Wx": torch.cat([getattr(layer, f"{end}_proj").weight.T for end in "qkv"], dim=1),
        "We": layer.learnable_ttt_lr_weight[:, 0].T,
        "be": layer.learnable_ttt_lr_bias[:, 0],
        "M0": layer.W1,
        "c0": layer.b1.flatten(),
        "w": layer.ttt_norm_weight.flatten(),
        "b": layer.ttt_norm_bias.flatten(),
        "gain": layer.post_norm.weight,
        "bias": layer.post_norm.bias,
        "Wo": layer.o_proj.weight.T,
    }
    return Draw(arrays, {"heads": defaults["num_attention_heads"], "rate": defaults["ttt_base_lr"]})


DRAWS: dict[str, DrawCell] = {
    "longhorn": longhorn,
    "mamba": mamba,
    "mamba2": mamba2,
    "mamba3": mamba3,
    "retnet": retnet,
    "ttt_linear": ttt_linear,
}
