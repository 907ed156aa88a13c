"""Compare initial values and defaults of official blocks with those that the tests expect.

    OFFICIAL_CODE=code python tests/golden/check_block_initial_values.py

needs the packages of ``make_cells.py``. It draws models of three layers by the official code, and raises
AssertionError for a distribution or a default in ``tests/support/block_initial_values.py`` that this code
does not have. Otherwise it prints nothing.
"""

from __future__ import annotations

import contextlib
import copy
import io
import math
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, overload

import jax
import numpy as np
import torch
from block_references import _fla, _parts, _xlstm, griffin, mamba, retnet
from flax import linen
from initial_draws._draws import Values, defaults_of, to_numpy
from official import official
from torch import nn
from torch.nn import functional

sys.path.append(str(Path(__file__).parents[1] / "support"))
from block_initial_values import EXPECTED_BLOCKS, ExpectedBlock

INPUTS, WIDTH, LAYERS, DRAWS = 48, 128, 3, 3


@dataclass
class Model:
    """Initial values and defaults of a model, by the names of zoo.

    Args:
        first: Parameters in front of the layers.
        layers: Parameters of each layer.
        last: Parameters behind the layers.
        defaults: Defaults of options.
    """

    first: Values
    layers: list[Values]
    last: Values
    defaults: Values

    def draws(self, name: str) -> list[np.ndarray]:
        """Draws of one parameter."""
        values = (place.get(name) for place in (*self.layers, self.first, self.last))
        return [to_numpy(value) for value in values if value is not None]


def source_of(expected: ExpectedBlock) -> tuple[str, str]:
    """Repository and commit."""
    repository, _, commit = expected.source.partition("@")
    return repository, commit


def draw_mamba(source: tuple[str, str]) -> Model:
    """``MixerModel`` with ``Mamba``."""
    layer = official(*source, "mamba_ssm/modules/mamba_simple.py", "Mamba", math=math, **mamba.TOOLS)
    block = official(*source, "mamba_ssm/modules/block.py", "Block", torch=torch, nn=nn)
    path, names = "mamba_ssm/models/mixer_seq_simple.py", ("MixerModel", "create_block", "_init_weights")
    others = dict.fromkeys(("Mamba2", "Mamba3", "MHA", "GatedMLP"))
    tools = {"torch": torch, "nn": nn, "math": math, "copy": copy, "partial": partial, "Mamba": layer}
    tools |= {"Block": block, "RMSNorm": mamba.norm_class()} | others
    Class, create, _ = official(*source, path, *names, **tools)
    config = official(*source, "mamba_ssm/models/config_mamba.py", "MambaConfig", field=lambda **_: None)
    model = Class(WIDTH, LAYERS, 0, INPUTS, rms_norm=config.rms_norm)
    layers = [
        {"gain": each.norm.weight, "b": each.mixer.conv1d.bias, "taps": each.mixer.conv1d.weight[:, 0].T}
        | dict(zip(("Wu", "Wz"), each.mixer.in_proj.weight.T.chunk(2, 1), strict=True))
        | {"Wo": each.mixer.out_proj.weight.T}
        for each in model.layers
    ]
    inner = defaults_of(layer.__init__)
    defaults = {
        "expand": inner["expand"],
        "width": inner["d_conv"],
        "eps": defaults_of(create)["norm_epsilon"],
    }
    return Model({"Wi": model.embedding.weight}, layers, {"final_gain": model.norm_f.weight}, defaults)


def draw_fla(source: tuple[str, str], name: str, title: str, layer: Any, **others: Any) -> Model:
    """Blocks, an embedding and a norm, to all of which ``_init_weights`` is applied."""
    folder = f"fla/models/{name}"
    tools = _fla.environment() | {layer.__name__: layer}
    Block = official(*source, f"{folder}/modeling_{name}.py", f"{title}Block", **tools)
    start = official(*source, f"{folder}/modeling_{name}.py", "_init_weights", **tools)
    path, bases = f"{folder}/configuration_{name}.py", {"_HybridAttentionConfigMixin": nn.Identity}
    Config = official(*source, path, f"{title}Config", PretrainedConfig=nn.Module, **bases)
    given = defaults_of(Config.__init__)
    config = SimpleNamespace(**given | {"hidden_size": WIDTH, "fuse_norm": False, "fuse_swiglu": False})
    config.intermediate_size, config.num_heads, config.attn_mode = 3 * WIDTH, 1, "fused_recurrent"
    model = nn.ModuleList([Block(config, 0) for _ in range(LAYERS)])
    model.extend([nn.Embedding(INPUTS, WIDTH), nn.RMSNorm(WIDTH)])
    model.apply(partial(start, SimpleNamespace(config=config)))
    layers = [
        {"gain": each.attn_norm.weight, "mlp_gain": each.mlp_norm.weight, "Wg": each.mlp.gate_proj.weight.T}
        | {"Wv": each.mlp.up_proj.weight.T, "Wd": each.mlp.down_proj.weight.T}
        | {own: read(each.attn) for own, read in others.items()}
        for each in model[:LAYERS]
    ]
    whole = {"mlp": given["hidden_ratio"] * 2 / 3, "eps": given["norm_eps"], "heads": given["num_heads"]}
    whole |= {"width": given["conv_size"], "convolution": given["use_short_conv"]}
    return Model({"Wi": model[-2].weight}, layers, {"final_gain": model[-1].weight}, whole)


def draw_deltanet(source: tuple[str, str]) -> Model:
    """``DeltaNetBlock``."""
    layer = official(*source, "fla/layers/delta_net.py", "DeltaNet", **_fla.environment())
    own = {"Wo": lambda attn: attn.o_proj.weight.T, "head_gain": lambda attn: attn.o_norm.weight}
    own["taps"] = lambda attn: attn.q_conv1d.weight[:, 0].T
    return draw_fla(source, "delta_net", "DeltaNet", layer, **own)


def draw_gla(source: tuple[str, str]) -> Model:
    """``GLABlock``."""
    layer = official(*source, "fla/layers/gla.py", "GatedLinearAttention", **_fla.environment())
    return draw_fla(source, "gla", "GLA", layer)


def draw_retnet(source: tuple[str, str]) -> Model:
    """Norms and ``GLU`` of torchscale."""
    Norm = official(*source, "torchscale/component/rms_norm.py", "RMSNorm", **retnet.TOOLS)
    path = "torchscale/component/feedforward_network.py"
    activation = official(*source, path, "get_activation_fn", **retnet.TOOLS)
    path, tools = "torchscale/component/gate_linear_unit.py", retnet.TOOLS
    Mlp = official(*source, path, "GLU", get_activation_fn=activation, **tools)
    config = official(*source, "torchscale/architecture/config.py", "RetNetConfig")()
    eps, width = config.layernorm_eps, config.decoder_embed_dim
    layers = []
    for _ in range(LAYERS):
        mlp = Mlp(WIDTH, 3 * WIDTH, config.activation_fn, 0.0, 0.0)
        matrices = {"Wg": mlp.fc1.weight.T, "Wv": mlp.gate.weight.T, "Wd": mlp.fc2.weight.T}
        layers.append({"gain": Norm(WIDTH, eps).weight, "mlp_gain": Norm(WIDTH, eps).weight} | matrices)
    defaults = {"mlp": config.decoder_ffn_embed_dim / width, "eps": eps}
    return Model({}, layers, {"final_gain": Norm(WIDTH, eps).weight}, defaults)


def draw_griffin(source: tuple[str, str]) -> Model:
    """``Griffin``."""
    layers, *_, kind = griffin.modules()
    same = SimpleNamespace(typed=lambda function: function)
    names = ("ResidualBlock", "RecurrentBlock", "MLPBlock", "Embedder", "RecurrentBlockCache", "gelu")
    tools = {"torch": torch, "nn": nn, "math": math, "at": same, "overload": overload, "Literal": Literal}
    common = SimpleNamespace(TemporalBlockType=kind)
    tools |= {"NamedTuple": tuple, "layers": layers, "common": common}
    modules = dict(
        zip(names, official(*source, "recurrentgemma/torch/modules.py", *names, **tools), strict=True)
    )
    Class = official(
        *source,
        "recurrentgemma/torch/griffin.py",
        "Griffin",
        **tools | {"modules": SimpleNamespace(**modules)},
    )
    config = SimpleNamespace(vocab_size=INPUTS, width=WIDTH, mlp_expanded_width=3 * WIDTH, num_heads=1)
    config.attention_window_size, config.lru_width, config.num_layers = 1, None, LAYERS
    config.block_types, config.embeddings_scale_by_sqrt_dim = [kind.RECURRENT] * LAYERS, False
    model = Class(config)
    places = []
    for each in model.blocks:
        inner, mlp = each.recurrent_block, each.mlp_block
        place = {"gain": 1 + each.temporal_pre_norm.scale, "mlp_gain": 1 + each.channel_pre_norm.scale}
        for end, linear in (("u", inner.linear_x), ("z", inner.linear_y), ("o", inner.linear_out)):
            place |= {f"W{end}": linear.weight.T, f"b{end}": linear.bias}
        place |= {"taps": inner.conv_1d.w, "b": inner.conv_1d.b}
        place |= dict(zip(("Wg", "Wv"), mlp.ffw_up.w, strict=True))
        place |= dict(zip(("bg", "bv"), mlp.ffw_up.b.flatten(1), strict=True))
        places.append(place | {"Wd": mlp.ffw_down.weight.T, "bd": mlp.ffw_down.bias})
    defaults = {"width": defaults_of(modules["ResidualBlock"].__init__)["conv1d_temporal_width"]}
    defaults |= {"mlp": 3, "eps": defaults_of(layers.RMSNorm.__init__)["eps"]}  # mlp of all presets
    first, last = {"Wi": model.embedder.input_embedding}, {"final_gain": 1 + model.final_norm.scale}
    return Model(first, places, last, defaults)


def draw_xlstm(source: tuple[str, str], kind: str) -> Model:
    """``xLSTMBlock``, and the embedding of ``xLSTMLMModel``."""
    tools = _xlstm.environment() | {"sLSTMCell": lambda _: _parts.FunctionModule(nn.Identity())}
    cell = SimpleNamespace(parallel_stabilized_simple=None, recurrent_step_stabilized_simple=None)
    path = "xlstm/blocks/mlstm/cell.py"
    tools["mLSTMCell"] = official(*source, path, "mLSTMCell", **tools | vars(cell))
    for letter in "ms":
        Layer = official(*source, f"xlstm/blocks/{letter}lstm/layer.py", f"{letter}LSTMLayer", **tools)
        tools[f"{letter}LSTMLayer"] = Layer
    Block = official(*source, "xlstm/blocks/xlstm_block.py", "xLSTMBlock", **tools)
    layer = SimpleNamespace(embedding_dim=WIDTH, _inner_embedding_dim=2 * WIDTH, qkv_proj_blocksize=4)
    layer.conv1d_kernel_size, layer.num_heads, layer.context_length, layer.bias = 4, 4, 1, False
    layer.dropout, layer._num_blocks, layer.group_norm_weight = 0.0, LAYERS, True
    mlp = SimpleNamespace(embedding_dim=WIDTH, _proj_up_dim=5 * WIDTH // 4, act_fn="gelu", bias=False)
    mlp.dropout, mlp.ff_type, mlp._num_blocks = 0.0, "ffn_gated", LAYERS
    is_matrix = kind == "mlstm"
    config = SimpleNamespace(mlstm=None, slstm=layer, feedforward=mlp)
    if is_matrix:
        config = SimpleNamespace(mlstm=layer, slstm=None, feedforward=None)
    places = [xlstm_values(Block(config), is_matrix) for _ in range(LAYERS)]
    embedding = tools["small_init_init_"](torch.empty(INPUTS, WIDTH), dim=WIDTH)
    norm = tools["LayerNorm"](WIDTH)
    folder = f"xlstm/blocks/{kind}/layer.py"
    bases = {"UpProjConfigMixin": object, "sLSTMCellConfig": object}
    given = official(*source, folder, f"{kind[0]}LSTMLayerConfig", **bases)
    path = "xlstm/components/feedforward.py"
    wide = official(*source, path, "FeedForwardConfig", UpProjConfigMixin=object)
    defaults = {"width": given.conv1d_kernel_size, "heads": given.num_heads, "eps": norm.eps}
    defaults |= {"expand": given.proj_factor} if is_matrix else {"mlp": 4 * wide.proj_factor}
    return Model({"Wi": embedding}, places, {"final_gain": norm.weight_proxy}, defaults)


def xlstm_values(block: Any, is_matrix: bool) -> Values:
    """Initial values of an ``xLSTMBlock``."""
    inner = block.xlstm
    norm = inner.mlstm_cell.outnorm if is_matrix else inner.group_norm
    place = {"gain": block.xlstm_norm.weight_proxy, "head_gain": norm.weight_proxy}
    place |= {"taps": inner.conv1d.conv.weight[:, 0].T, "b": inner.conv1d.conv.bias}
    if is_matrix:
        wide, down = inner.proj_up.weight.T.chunk(2, 1), inner.proj_down.weight.T
        return place | {"Wu": wide[0], "Wz": wide[1], "skip": inner.learnable_skip, "Wo": down}
    wide, down = block.ffn.proj_up.weight.T.chunk(2, 1), block.ffn.proj_down.weight.T
    return place | {"mlp_gain": block.ffn_norm.weight_proxy, "Wg": wide[0], "Wv": wide[1], "Wd": down}


def draw_rwkv(source: tuple[str, str]) -> Model:
    """``generate_init_weight`` of ``RWKV``, with the settings of RWKV-4."""
    plain = {"RWKV_MY_TESTING": "", "RWKV_FLOAT_MODE": "fp32"}
    tools = {"torch": torch, "nn": nn, "math": math, "MyModule": nn.Module, "F": functional}
    tools |= {"MyFunction": lambda method: method, "os": SimpleNamespace(environ=plain)}
    tools |= {"pl": SimpleNamespace(LightningModule=nn.Module), "gc": SimpleNamespace(collect=lambda: None)}
    names = ("RWKV_TimeMix", "RWKV_ChannelMix", "Block", "RWKV")
    *_, Class = official(*source, "RWKV-v4neo/src/model.py", *names, **tools)
    args = SimpleNamespace(vocab_size=INPUTS, n_embd=WIDTH, n_layer=LAYERS, my_pos_emb=0, pre_ffn=0)
    args.tiny_att_dim, args.dropout, args.head_qk, args.accelerator, args.lr_init = 0, 0, 0, "CPU", 6e-4
    args.ctx_len = 1
    model = Class(args)
    with contextlib.redirect_stdout(io.StringIO()):
        values = model.generate_init_weight()
    places = []
    for layer in range(LAYERS):
        start = f"blocks.{layer}"
        place = {f"mix_{end}": values[f"{start}.ffn.time_mix_{end}"].flatten() for end in "kr"}
        place |= {"Wk": values[f"{start}.ffn.key.weight"].T, "Wv": values[f"{start}.ffn.value.weight"].T}
        place |= {
            "Wr": values[f"{start}.ffn.receptance.weight"].T,
            "Wo": values[f"{start}.att.output.weight"].T,
        }
        for norm, own in (("ln1", ""), ("ln2", "mlp_")):
            place |= norm_values(values, f"{start}.{norm}", own)
        places.append(place)
    first = {"Wi": values["emb.weight"]} | norm_values(values, "blocks.0.ln0", "in_")
    defaults = {"mlp": args.dim_ffn // WIDTH, "eps": model.ln_out.eps}
    return Model(first, places, norm_values(values, "ln_out", "final_"), defaults)


def norm_values(values: Values, name: str, own: str) -> Values:
    """Scale and shift of a norm."""
    return {f"{own}gain": values[f"{name}.weight"], f"{own}shift": values[f"{name}.bias"]}


def draw_glu(source: tuple[str, str], draw: int) -> Model:
    """``StackedEncoderModel`` of S5 or of the LRU, around the identity."""
    tools = {"nn": linen, "jax": jax, "np": jax.numpy}
    if "S5" in source[0]:
        layer = official(*source, "s5/layers.py", "SequenceLayer", **tools)
        Class = official(*source, "s5/seq_model.py", "StackedEncoderModel", SequenceLayer=layer, **tools)
        model, norm = Class(lambda **_: lambda u: u, WIDTH, LAYERS, "full_glu", prenorm=True), "norm"
        arguments = [jax.numpy.zeros((1, INPUTS)), None]
    else:
        names = ("SequenceLayer", "StackedEncoderModel")
        _, Class = official(*source, "lru/model.py", *names, LRU=None, jnp=jax.numpy, **tools)
        model, norm = Class(lambda: lambda u: u, WIDTH, LAYERS, norm="layer", prenorm=True), "normalization"
        arguments = [jax.numpy.zeros((1, INPUTS))]
    keys = {"params": jax.random.key(draw), "dropout": jax.random.key(draw)}
    values = model.init(keys, *arguments)["params"]
    places = []
    for layer in range(LAYERS):
        place = values[f"layers_{layer}"]
        own = {"gain": place[norm]["scale"], "shift": place[norm]["bias"]}
        for end, name in (("v", "out1"), ("g", "out2")):
            own |= {f"W{end}": place[name]["kernel"], f"b{end}": place[name]["bias"]}
        places.append(own)
    first = {"Wi": values["encoder"]["kernel"], "bi": values["encoder"]["bias"]}
    return Model(first, places, {}, {"eps": linen.LayerNorm().epsilon})


def draw(expected: ExpectedBlock, seed: int) -> Model:
    """Initial values by the official code of a block."""
    torch.manual_seed(seed)
    source = source_of(expected)
    if expected.block == "glu":
        return draw_glu(source, seed)
    if expected.block in ("mlstm", "slstm"):
        return draw_xlstm(source, expected.block)
    if expected.block == "retnet" and source[0] == _fla.LIBRARY[0]:
        return draw_gla(source)
    functions = {"deltanet": draw_deltanet, "griffin": draw_griffin, "mamba": draw_mamba}
    functions |= {"retnet": draw_retnet, "rwkv": draw_rwkv}
    return functions[expected.block](source)


def check(expected: ExpectedBlock) -> None:
    """Compare distributions and defaults of a block with its official code."""
    models = [draw(expected, seed) for seed in range(DRAWS)]
    options = {name: each.zoo for name, each in expected.options.items()}
    outputs = options.get("expand", 1) * WIDTH
    sizes = SimpleNamespace(I=INPUTS, D=WIDTH, Y=outputs, layers=LAYERS, **options)
    for name, start in expected.arrays.items():
        values = [value for model in models for value in model.draws(name)]
        assert bool(values) == (start.official is not None), name
        if start.official is not None:
            start.official(sizes)(np.stack(values))
    for name, default in expected.options.items():
        official_default = default.zoo if default.official is None else default.official
        assert np.isclose(models[0].defaults[name], official_default, rtol=1e-9), name


def main() -> None:
    """Check all blocks that have official code."""
    torch.set_default_dtype(torch.float64)
    jax.config.update("jax_enable_x64", True)
    for expected in EXPECTED_BLOCKS:
        if expected.source:
            check(expected)


if __name__ == "__main__":
    main()
