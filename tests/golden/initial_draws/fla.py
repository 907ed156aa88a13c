"""Initial values of the layers of flash-linear-attention, without those of the models around them."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import torch
from einops import rearrange, repeat
from initial_draws._draws import Draw, DrawCell, Sizes, Values, defaults_of
from official import official, official_values
from references.kda import LIBRARY
from references.momentum_delta_net import CODE as MOMENTUM
from references.momentum_delta_net import FOLDER
from references.rebased import AUTHORS as REBASED
from torch import nn
from torch.nn import functional

READ = "nn.Linear(hidden_size, "


def draw_layer(
    n: Sizes,
    path: str,
    name: str,
    sizes: Values,
    options: dict[str, str],
    read: str = READ,
    library: tuple[str, str, str] = (*LIBRARY, "fla/layers"),
) -> tuple[Any, Values]:
    """Draw a layer without convolutions, and read defaults of its arguments.

    The layers have as many inputs as units. An edit makes the matrices that read the inputs smaller.

    Args:
        n: Sizes and options.
        path: File in the folder of layers.
        name: Class of the layer.
        sizes: Arguments of the layer.
        options: Arguments whose defaults are returned, by the names of zoo.
        read: Text that begins a matrix of the inputs in the code of the layer.
        library: Repository, commit and folder of the layer.
    """
    tools: Values = {"torch": torch, "nn": nn, "math": math, "rearrange": rearrange, "repeat": repeat}
    norms = {
        "RMSNorm": official(*LIBRARY, "fla/modules/layernorm.py", "RMSNorm", **tools),
        "FusedRMSNormGated": official(
            *LIBRARY, "fla/modules/fused_norm_gate.py", "FusedRMSNormGated", **tools
        ),
    }
    parts = {"ShortConvolution": lambda **_: None, "SwishFeatureMap": nn.Identity, "ACT2FN": {"swish": None}}
    quiet = {"warnings": SimpleNamespace(warn=lambda *_: None)}
    edits = {read: "nn.Linear(INPUTS, "}
    tools |= norms | parts | quiet | {"INPUTS": n.I}
    *code, folder = library
    Class = official(*code, f"{folder}/{path}", name, edits=edits, **tools)
    defaults = defaults_of(Class.__init__)
    layer = Class(hidden_size=n.H, layer_idx=0, **sizes)
    return layer, {own: defaults[argument] for own, argument in options.items()}


def columns(*linears: Any) -> torch.Tensor:
    """Matrices of linear layers side by side."""
    return torch.cat([linear.weight.T for linear in linears], dim=1)


def heads_of(n: Sizes) -> Values:
    """Arguments for heads that are together as wide as the units."""
    return {"num_heads": n.heads, "head_dim": n.H // n.heads}


def abc(n: Sizes) -> Draw:
    """``ABCAttention`` without rotary embedding, and the number of slots of ``ABCConfig``."""
    sizes = {"num_heads": n.heads, "num_slots": n.slots, "use_rope": False}
    read = "nn.Linear(self.hidden_size, "
    layer, options = draw_layer(n, "abc.py", "ABCAttention", sizes, {"heads": "num_heads"}, read)
    arrays = {
        "Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj, layer.g_proj),
        "Ws": columns(layer.s_proj),
        "gain": layer.g_norm.weight,
        "Wo": columns(layer.o_proj),
    }
    return Draw(arrays, options | {"slots": config_of("abc", "ABCConfig")["num_slots"]})


def based(n: Sizes) -> Draw:
    """``BasedLinearAttention``."""
    edits = {"nn.Linear(self.hidden_size, ": f"nn.Linear({n.I}, "}
    tools = {"torch": torch, "nn": nn, "TaylorFeatureMap": nn.Identity}
    Layer = official(*LIBRARY, "fla/layers/based.py", "BasedLinearAttention", edits=edits, **tools)
    layer = Layer(n.H, n.rank, num_key_value_heads=n.heads, num_heads=n.heads)
    defaults = defaults_of(Layer.__init__)
    options = {"heads": defaults["num_heads"], "rank": defaults["feature_dim"]}
    return Draw({"Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj)}, options)


def comba(n: Sizes) -> Draw:
    """``Comba``."""
    sizes = {"expand_v": 1, **heads_of(n)}
    layer, options = draw_layer(n, "comba.py", "Comba", sizes, {"heads": "num_heads"})
    return Draw(delta_arrays(layer) | {"s": layer.decay, "d": layer.D}, options)


def gated_delta_net(n: Sizes) -> Draw:
    """``GatedDeltaNet``."""
    names = {"heads": "num_heads", "negative_eigenvalues": "allow_neg_eigval"}
    sizes = {"expand_v": 1, **heads_of(n)}
    layer, options = draw_layer(n, "gated_deltanet.py", "GatedDeltaNet", sizes, names)
    return Draw(delta_arrays(layer), options)


def delta_arrays(layer: Any) -> Values:
    """Arrays of the gated delta rule with a gate for each head."""
    return {
        "Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj),
        "Wb": columns(layer.b_proj),
        "Wa": columns(layer.a_proj),
        "ba": layer.dt_bias,
        "A": layer.A_log,
    }


def gated_delta_product(n: Sizes) -> Draw:
    """``GatedDeltaProduct``."""
    names = {"heads": "num_heads", "negative_eigenvalues": "allow_neg_eigval"}
    names["corrections"] = "num_householder"
    sizes = {"expand_v": 1, "num_householder": n.corrections, **heads_of(n)}
    layer, options = draw_layer(n, "gated_deltaproduct.py", "GatedDeltaProduct", sizes, names)
    arrays = {f"W{end}": columns(getattr(layer, f"{end}_proj")) for end in "qkvba"}
    return Draw(arrays | {"ba": layer.dt_bias, "A": layer.A_log}, options)


def gated_delta_net2(n: Sizes) -> Draw:
    """``GatedDeltaNet2``."""
    names = {"heads": "num_heads", "negative_eigenvalues": "allow_neg_eigval"}
    layer, options = draw_layer(n, "gdn2.py", "GatedDeltaNet2", heads_of(n), names)
    return Draw(kimi_arrays(layer) | {"We": columns(layer.b_proj), "Ww": columns(layer.w_proj)}, options)


def kda(n: Sizes) -> Draw:
    """``KimiDeltaAttention``."""
    names = {"heads": "num_heads", "negative_eigenvalues": "allow_neg_eigval"}
    layer, options = draw_layer(n, "kda.py", "KimiDeltaAttention", heads_of(n), names)
    return Draw(kimi_arrays(layer) | {"Wb": columns(layer.b_proj)}, options)


def kimi_arrays(layer: Any) -> Values:
    """Arrays of the gated delta rule with gates of low rank for the rows."""
    first, second = layer.f_proj
    return {
        "Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj),
        "Wa": columns(first),
        "Wr": columns(second),
        "b": layer.dt_bias,
        "A": layer.A_log,
    }


def gla(n: Sizes) -> Draw:
    """``GatedLinearAttention``."""
    names = {"heads": "num_heads", "rank": "gate_low_rank_dim", "tau": "gate_logit_normalizer"}
    sizes = {"num_heads": n.heads, "gate_low_rank_dim": n.rank}
    layer, options = draw_layer(n, "gla.py", "GatedLinearAttention", sizes, names)
    first, second = layer.gk_proj
    arrays = {
        "Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj, layer.g_proj),
        "Wa": columns(first),
        "Wr": columns(second),
        "b": second.bias,
        "gain": layer.g_norm_swish_gate.weight,
        "Wo": columns(layer.o_proj),
    }
    return Draw(arrays, options)


def gsa(n: Sizes) -> Draw:
    """``GatedSlotAttention``, and the number of slots of ``GSAConfig``."""
    names = {"heads": "num_heads", "tau": "gate_logit_normalizer"}
    sizes = {"num_heads": n.heads, "num_slots": n.slots}
    read = "nn.Linear(self.hidden_size, "
    layer, options = draw_layer(n, "gsa.py", "GatedSlotAttention", sizes, names, read)
    arrays = {
        "Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj),
        "Wf": columns(layer.f_proj),
        "gain": layer.g_norm.weight,
        "Wo": columns(layer.o_proj),
    }
    return Draw(arrays, options | {"slots": config_of("gsa", "GSAConfig")["num_slots"]})


def config_of(model: str, name: str) -> Values:
    """Defaults of the configuration of a model."""
    path, bases = f"fla/models/{model}/configuration_{model}.py", {"_HybridAttentionConfigMixin": nn.Identity}
    config = official(*LIBRARY, path, name, PretrainedConfig=nn.Module, **bases)
    return defaults_of(config.__init__)


def hgrn2(n: Sizes) -> Draw:
    """``HGRN2Attention``, whose lower bound is an argument of the call."""
    sizes = {"num_heads": n.heads, "expand_ratio": n.H // n.heads}
    layer, _ = draw_layer(n, "hgrn2.py", "HGRN2Attention", sizes, {})
    arrays = {
        "Wx": columns(layer.q_proj, layer.f_proj, layer.i_proj),
        "gain": layer.g_norm.weight,
        "Wo": columns(layer.o_proj),
    }
    return Draw(arrays)


def lightnet(n: Sizes) -> Draw:
    """``LightNetAttention``."""
    names = {"rank": "gate_low_rank_dim"}
    sizes = {"num_heads": n.heads, "expand_ratio": None, "gate_low_rank_dim": n.rank}
    layer, options = draw_layer(n, "lightnet.py", "LightNetAttention", sizes, names)
    first, second = layer.g_proj
    arrays = {
        "Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj),
        "Wa": columns(first),
        "Wr": columns(second),
        "gain": layer.g_norm.weight,
        "Wo": columns(layer.o_proj),
    }
    return Draw(arrays, options)


def log_linear_attention(n: Sizes) -> Draw:
    """``LogLinearMamba2`` with the biases of ``Mamba2Config``."""
    file, tools = "fla/layers/log_linear_mamba2.py", {"torch": torch, "nn": nn, "math": math}
    edits = {"nn.Linear(self.hidden_size, projection": f"nn.Linear({n.I}, projection"}
    levels = official(*LIBRARY, file, "get_num_levels", "ceil_log", **tools)[0]
    longest = official_values(*LIBRARY, file, "MAX_SEQUENCE_LENGTH")["MAX_SEQUENCE_LENGTH"]
    parts = {
        "RMSNormGated": official(*LIBRARY, "fla/modules/layernorm_gated.py", "RMSNormGated", **tools),
        "ACT2FN": {"silu": None},
        "MAX_NUM_LEVELS": n.levels,
        "is_fast_path_available": True,
        "logger": SimpleNamespace(warning_once=lambda _: None),
        **dict.fromkeys(("causal_conv1d_fn", "causal_conv1d_update"), functional.conv1d),
    }
    Layer = official(*LIBRARY, file, "LogLinearMamba2", edits=edits, **tools, **parts)
    config = config_of("mamba2", "Mamba2Config")
    biases = {name: config[name] for name in ("use_bias", "use_conv_bias")}
    sizes = {"head_dim": n.expand * n.H // n.heads, "hidden_size": n.H, "state_size": n.order}
    layer = Layer(n.heads, **sizes, expand=n.expand, conv_kernel=n.width, **biases)
    arrays = {
        "Wx": columns(layer.in_proj),
        "taps": layer.conv1d.weight[:, 0].T,
        "b": layer.conv1d.bias,
        "bd": layer.dt_bias,
        "A": layer.A_log,
        "L": layer.L,
        "D": layer.D,
        "gain": layer.norm.weight,
        "Wo": columns(layer.out_proj),
    }
    defaults = defaults_of(Layer.__init__)
    names = {"expand": "expand", "order": "state_size", "width": "conv_kernel"}
    options = {own: defaults[name] for own, name in names.items()}
    return Draw(arrays, options | {"levels": levels(longest, 2)})


def mesa_net(n: Sizes) -> Draw:
    """``MesaNet``."""
    names = {"heads": "num_heads", "iterations": "max_cg_step_decoding"}
    layer, options = draw_layer(n, "mesa_net.py", "MesaNet", heads_of(n), names)
    arrays = {
        "Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj),
        "Wg": columns(layer.b_proj, layer.a_proj),
        "b": torch.cat([layer.b_proj.bias, layer.a_proj.bias]),
        "ridge": layer.lambda_params,
    }
    return Draw(arrays, options)


def momentum_delta_net(n: Sizes) -> Draw:
    """``MomentumDeltaNet`` of a fork of the library."""
    names = {"heads": "num_heads", "min_log_mu": "min_log_mu"}
    path, sizes = "momentum_deltanet.py", {"expand_v": 1, **heads_of(n)}
    library = (*MOMENTUM, f"{FOLDER}/layers")
    layer, options = draw_layer(n, path, "MomentumDeltaNet", sizes, names, library=library)
    arrays = {
        "Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj),
        "Wg": columns(layer.a_proj, layer.m_proj, layer.b_proj, layer.e_proj),
        "ba": layer.dt_bias,
        "bm": layer.mu_bias,
        "A": layer.A_log,
        "Am": layer.Mu_log,
        "f": layer.log_factor,
        "d": layer.D_log,
    }
    return Draw(arrays, options)


def precond_kda(n: Sizes) -> Draw:
    """``PrecondKDA``."""
    names = {"heads": "num_heads", "squash": "squash_x"}
    layer, options = draw_layer(n, "precond_kda.py", "PrecondKDA", heads_of(n), names)
    gates = {"Wb": columns(layer.b_proj), "Wg": columns(layer.a_proj, layer.b_atk_proj)}
    return Draw(kimi_arrays(layer) | preconditioner_arrays(layer) | gates, options)


def precond_gated_delta_net(n: Sizes) -> Draw:
    """``PrecondGatedDeltaNet``."""
    names = {"heads": "num_heads", "squash": "squash_x"}
    path, sizes = "precond_gated_deltanet.py", {"expand_v": 1, **heads_of(n)}
    layer, options = draw_layer(n, path, "PrecondGatedDeltaNet", sizes, names)
    arrays = {
        "Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj),
        "Wg": columns(layer.a_proj, layer.b_proj, layer.a_atk_proj, layer.b_atk_proj),
        "b": layer.dt_bias,
        "A": layer.A_log,
    }
    return Draw(arrays | preconditioner_arrays(layer), options)


def preconditioner_arrays(layer: Any) -> Values:
    """Arrays of the gates of the preconditioner."""
    return {"bg": layer.dt_bias_atk, "Ag": layer.A_log_atk, "centre": layer.log_atk_scale}


def raven(n: Sizes) -> Draw:
    """``Raven``, and the number of slots of ``RavenConfig``."""
    names = {"heads": "num_heads", "top": "topk"}
    sizes = {"num_heads": n.heads, "num_slots": n.slots, "topk": n.top}
    read = "nn.Linear(self.hidden_size, "
    layer, options = draw_layer(n, "raven.py", "Raven", sizes, names, read)
    arrays = {
        "Wx": columns(layer.q_proj, layer.k_proj, layer.v_proj),
        "gainq": layer.q_norm.weight,
        "gaink": layer.k_norm.weight,
        "Wr": columns(layer.r_proj),
        "Wa": columns(layer.a_proj),
        "ba": layer.dt_bias,
        "A": layer.A_log,
        "gain": layer.g_norm.weight,
        "Wo": columns(layer.o_proj),
    }
    return Draw(arrays, options | {"slots": config_of("raven", "RavenConfig")["num_slots"]})


def rebased(n: Sizes) -> Draw:
    """``ReBased`` of the authors."""
    edits = {"nn.Linear(self.d_model, ": f"nn.Linear({n.I}, "}
    tools = {"nn": nn, "LayerNorm": nn.LayerNorm, "print": lambda *_: None}
    Layer = official(*REBASED, "src/mixers/rebased.py", "ReBased", edits=edits, **tools)
    layer = Layer(n.H, feature_dim=n.rank, num_key_value_heads=n.heads, num_heads=n.heads)
    arrays = {
        "Wx": columns(layer.proj_q, layer.proj_k, layer.proj_v),
        "gainq": layer.ln_q.weight,
        "biasq": layer.ln_q.bias,
        "gaink": layer.ln_k.weight,
        "biask": layer.ln_k.bias,
    }
    defaults = defaults_of(Layer.__init__)
    return Draw(arrays, {"heads": defaults["num_heads"], "rank": defaults["feature_dim"]})


def rodimus(n: Sizes) -> Draw:
    """``RodimusAttention``, whose models draw the gates, with a convolution of PyTorch."""
    tools = {"torch": torch, "nn": nn, "math": math}
    norm = official(*LIBRARY, "fla/modules/layernorm_gated.py", "RMSNormGated", **tools)
    edits = {"nn.Linear(self.hidden_size, ": f"nn.Linear({n.I}, "}
    parts = {"RMSNormGated": norm, "ShortConvolution": convolution}
    file, name = "fla/layers/rodimus.py", "RodimusAttention"
    Layer, _ = official(*LIBRARY, file, name, "align_multiple", edits=edits, **tools, **parts)
    layer = Layer(hidden_size=n.H, expand_ratio=n.order, input_gate_low_rank=n.rank, conv_size=n.width)
    file = "fla/models/rodimus/modeling_rodimus.py"
    draw = official(*LIBRARY, file, "_init_weights", **tools, DTensor=())
    config = SimpleNamespace(expand_ratio=n.order)
    draw(SimpleNamespace(config=config, num_residuals_per_layer=1), layer)
    first, second, _ = layer.i_gate_proj
    arrays = {
        "Wx": columns(layer.up_proj, layer.gate_proj),
        "taps": layer.short_conv.weight[:, 0].T,
        "b": layer.short_conv.bias,
        "Wq": columns(layer.q_proj, layer.k_proj),
        "Wg": columns(layer.g_gate_proj, layer.tau_gate_proj),
        "bg": layer.g_gate_proj.bias,
        "bt": layer.tau_gate_proj.bias,
        "Wa": columns(first),
        "Wr": columns(second),
        "br": second.bias,
        "d": layer.residual_weight,
        "gain": layer.activation_norm.weight,
        "Wo": columns(layer.down_proj),
    }
    defaults = defaults_of(Layer.__init__)
    return Draw(arrays, {"order": defaults["expand_ratio"], "width": defaults["conv_size"]})


def convolution(hidden_size: int, kernel_size: int, bias: bool, activation: str) -> nn.Conv1d:
    """The convolution that ``ShortConvolution`` is."""
    return nn.Conv1d(hidden_size, hidden_size, kernel_size, groups=hidden_size, bias=bias)


DRAWS: dict[str, DrawCell] = {
    "abc": abc,
    "based": based,
    "comba": comba,
    "gated_delta_net": gated_delta_net,
    "gated_delta_net2": gated_delta_net2,
    "gated_delta_product": gated_delta_product,
    "gla": gla,
    "gsa": gsa,
    "hgrn2": hgrn2,
    "kda": kda,
    "lightnet": lightnet,
    "log_linear_attention": log_linear_attention,
    "mesa_net": mesa_net,
    "momentum_delta_net": momentum_delta_net,
    "precond_gated_delta_net": precond_gated_delta_net,
    "precond_kda": precond_kda,
    "raven": raven,
    "rebased": rebased,
    "rodimus": rodimus,
}
