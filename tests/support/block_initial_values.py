"""Initial values and option defaults of every shipped block, as official code states them.

``EXPECTED_BLOCKS`` lists what the code of a repository has, at the commit that was read and run.
``tests/golden/check_block_initial_values.py`` draws initial values from this code and compares them with the
distributions. Where zoo has another distribution or default, the entry has both, and words of the card that
declare it.

A distribution takes ``n``, which holds the sizes ``I``, ``D`` and ``Y``, ``layers``, and the options of the
block. The draws of an array are those of all layers that have it, first by seed and then by layer.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from initial_distributions import Array, Distribution, exact, orthonormal, truncated_normal
from initial_values import DistributionOf, Sizes, ones, scaled, within, zeros


@dataclass(frozen=True)
class Start:
    """Initial values of one parameter.

    Args:
        official: Distribution in the official code, or None if it has no such parameter.
        file: File of the repository that states it.
        zoo: Distribution of zoo, if it is another one.
        declared: Words of the block's card that declare the difference.
    """

    official: DistributionOf | None
    file: str = ""
    zoo: DistributionOf | None = None
    declared: str = ""


@dataclass(frozen=True)
class Default:
    """Default of one option.

    Args:
        zoo: Default of zoo.
        official: Default of the official code, if it is another one.
        declared: Words of the block's card that declare the difference.
    """

    zoo: Any
    official: Any = None
    declared: str = ""


@dataclass(frozen=True)
class ExpectedBlock:
    """Initial values and options of one block.

    Args:
        block: Name of the block.
        source: Repository and commit of the official code, ``owner/name@commit``, or nothing.
        arrays: Initial values of each parameter.
        options: Default of each option.
    """

    block: str
    source: str
    arrays: Mapping[str, Start]
    options: Mapping[str, Default]


def alike(distribution: DistributionOf, file: str, *names: str) -> dict[str, Start]:
    """Parameters that start in zoo as in the official code."""
    return dict.fromkeys(names, Start(distribution, file))


def added(distribution: DistributionOf, *names: str, declared: str = "") -> dict[str, Start]:
    """Parameters that the official code does not have."""
    return dict.fromkeys(names, Start(None, zoo=distribution, declared=declared))


def differing(
    official: DistributionOf, file: str, zoo: DistributionOf, declared: str, *names: str
) -> dict[str, Start]:
    """Parameters that start by another distribution than in the official code."""
    return dict.fromkeys(names, Start(official, file, zoo, declared))


# --- Distributions. A fan is that of the matrix that the official code draws. ---

by_inputs = scaled(lambda n: 1 / math.sqrt(n.I))
by_width = within(lambda n: 1 / math.sqrt(n.D))  # nn.Linear
by_units = within(lambda n: 1 / math.sqrt(n.mlp * n.D))  # nn.Linear
by_taps = within(lambda n: 1 / math.sqrt(n.width))  # nn.Conv1d of single features
lecun_width = scaled(lambda n: 1 / math.sqrt(n.D))
small = scaled(lambda n: math.sqrt(2 / (5 * n.D)))  # small_init_init_
wang = scaled(lambda n: 2 / (n.layers * math.sqrt(n.D)))  # wang_init_
fixed = scaled(lambda _: 0.02)  # initializer_range
lecun_outputs = scaled(lambda n: 1 / math.sqrt(n.Y))
gpt2 = scaled(lambda n: 1 / math.sqrt(n.Y * n.layers))


def truncated_inputs(n: Sizes) -> Distribution:
    """Initial values of ``nn.Dense`` of Flax that reads I features."""
    return truncated_normal(1 / math.sqrt(n.I))


def truncated_outputs(n: Sizes) -> Distribution:
    """Initial values of ``nn.Dense`` of Flax that reads the output of the cell."""
    return truncated_normal(1 / math.sqrt(n.Y))


def rising(n: Sizes) -> Distribution:
    """``i / D`` for each feature."""
    return exact(np.arange(n.D) / n.D)


def rising_by_layer(n: Sizes) -> Distribution:
    """``i / D`` for each feature, to a power that falls from one in the first layer towards zero."""
    powers = 1 - np.arange(n.layers)[:, None] / n.layers
    distribution = exact((np.arange(n.D) / n.D) ** powers)

    def check(draws: Array) -> None:
        distribution(draws.reshape(-1, n.layers, n.D))

    return check


# --- Blocks ---

FLA = "fla-org/flash-linear-attention@bc3b101dcb713ddc5bd8924b66754eb68b5ccf89"
FLA_MATRICES = "starts embeddings and all matrices with deviation 0.02"
GRIFFIN = "google-deepmind/recurrentgemma@2efa84dac0e68e63547a27a18fa943c98f1c312e"
GRIFFIN_LAYERS, GRIFFIN_MODULES = "recurrentgemma/torch/layers.py", "recurrentgemma/torch/modules.py"
LRU_FILE, S5_FILE, S5_MODEL = "lru/model.py", "s5/layers.py", "s5/seq_model.py"
MAMBA_MODEL, MAMBA_MIXER = "mamba_ssm/models/mixer_seq_simple.py", "mamba_ssm/modules/mamba_simple.py"
RWKV_MODEL = "RWKV-v4neo/src/model.py"
TRUNCATED = "Normal draws are not truncated"
XLSTM = "NX-AI/xlstm@032a6fb8ee19a8c0db80ae6111ff4744a09414a9"
XLSTM_CONV, XLSTM_NORM = "xlstm/components/conv.py", "xlstm/components/ln.py"
XLSTM_INPUTS = differing(
    small, "xlstm/xlstm_lm_model.py", by_inputs, "embeddings with variance 2 / (5 D)", "Wi"
) | added(zeros, "bi")


def fla_block(
    block: str, file: str, own: Mapping[str, Start], options: Mapping[str, Default]
) -> ExpectedBlock:
    """A block with a SwiGLU of flash-linear-attention, which draws all matrices alike."""
    arrays = (
        alike(ones, file, "gain", "mlp_gain", "final_gain")
        | differing(fixed, file, by_inputs, FLA_MATRICES, "Wi")
        | differing(fixed, file, by_width, FLA_MATRICES, "Wg", "Wv")
        | differing(fixed, file, by_units, FLA_MATRICES, "Wd")
        | added(zeros, "bi")
    )
    return ExpectedBlock(block, FLA, arrays | own, options)


def dense_glu(source: str, file: str, model: str) -> ExpectedBlock:
    """The block ``glu`` with a layer norm and dense layers of Flax."""
    return ExpectedBlock(
        "glu",
        source,
        differing(truncated_inputs, model, by_inputs, TRUNCATED, "Wi")
        | differing(truncated_outputs, file, lecun_outputs, TRUNCATED, "Wv", "Wg")
        | alike(ones, file, "gain")
        | alike(zeros, file, "shift", "bv", "bg")
        | alike(zeros, model, "bi"),
        {"eps": Default(1e-6)},
    )


EXPECTED_BLOCKS = (
    fla_block(
        "deltanet",
        "fla/models/delta_net/modeling_delta_net.py",
        differing(fixed, "fla/models/delta_net/modeling_delta_net.py", by_taps, "and taps too", "taps")
        | differing(fixed, "fla/models/delta_net/modeling_delta_net.py", by_width, FLA_MATRICES, "Wo")
        | alike(ones, "fla/layers/delta_net.py", "head_gain"),
        {
            "convolution": Default(True),
            "width": Default(4),
            "heads": Default(1, 16, "16 heads"),
            "mlp": Default(3, 8 / 3, "in the library 8/3 D"),
            "eps": Default(1e-6),
        },
    ),
    dense_glu("lindermanlab/S5@3c18fdb6b06414da35e77b94b9cd855f6a95ef17", S5_FILE, S5_MODEL),
    dense_glu("NicolasZucchet/minimal-LRU@bbd71b1104c399ec0d13819527d791949e66f599", LRU_FILE, LRU_FILE),
    ExpectedBlock(
        "griffin",
        GRIFFIN,
        differing(lecun_width, GRIFFIN_MODULES, by_inputs, "embeddings with variance 1 / D", "Wi")
        | added(zeros, "bi", declared="has a bias")
        | alike(ones, GRIFFIN_LAYERS, "gain", "mlp_gain", "final_gain")
        | alike(lecun_width, GRIFFIN_MODULES, "Wu", "Wz")
        | alike(lecun_width, GRIFFIN_LAYERS, "Wg", "Wv")
        | alike(scaled(lambda n: 0.1 / math.sqrt(n.width)), GRIFFIN_LAYERS, "taps")
        | alike(scaled(lambda n: math.sqrt(2 / (n.Y * n.layers))), GRIFFIN_MODULES, "Wo")
        | alike(scaled(lambda n: math.sqrt(2 / (n.mlp * n.D * n.layers))), GRIFFIN_MODULES, "Wd")
        | alike(zeros, GRIFFIN_MODULES, "bu", "bz", "bo", "bd")
        | alike(zeros, GRIFFIN_LAYERS, "b", "bg", "bv"),
        {"width": Default(4), "mlp": Default(3), "eps": Default(1e-6)},
    ),
    ExpectedBlock(
        "mamba",
        "state-spaces/mamba@e9594ce1c732d97440f0332fdc43170a2294dbfa",
        differing(fixed, MAMBA_MODEL, by_inputs, "draws embeddings with deviation 0.02", "Wi")
        | added(zeros, "bi")
        | alike(ones, "mamba_ssm/ops/triton/layer_norm.py", "gain", "final_gain")
        | alike(by_width, MAMBA_MIXER, "Wu", "Wz")
        | alike(by_taps, MAMBA_MIXER, "taps", "b")
        | alike(within(lambda n: 1 / math.sqrt(n.Y * n.layers)), MAMBA_MODEL, "Wo"),
        {"expand": Default(2), "width": Default(4), "eps": Default(1e-5)},
    ),
    ExpectedBlock(
        "mlstm",
        XLSTM,
        XLSTM_INPUTS
        | alike(ones, XLSTM_NORM, "gain", "head_gain", "final_gain")
        | alike(small, "xlstm/blocks/mlstm/layer.py", "Wu", "Wz")
        | alike(by_taps, XLSTM_CONV, "taps", "b")
        | alike(ones, "xlstm/blocks/mlstm/layer.py", "skip")
        | alike(wang, "xlstm/blocks/mlstm/layer.py", "Wo"),
        {"expand": Default(2), "width": Default(4), "heads": Default(4), "eps": Default(1e-5)},
    ),
    ExpectedBlock(
        "prenorm",
        "",
        added(by_inputs, "Wi")
        | added(zeros, "bi")
        | added(ones, "gain", "final_gain")
        | added(gpt2, "Wo", declared="an output projection"),
        {"eps": Default(1e-5)},
    ),
    ExpectedBlock(
        "retnet",
        "microsoft/torchscale@4d1e0e82e5adf86dd424f1463192635b73fc8efc",
        added(by_inputs, "Wi")
        | added(zeros, "bi")
        | alike(ones, "torchscale/component/rms_norm.py", "gain", "mlp_gain", "final_gain")
        | alike(by_width, "torchscale/component/gate_linear_unit.py", "Wg", "Wv")
        | alike(by_units, "torchscale/component/gate_linear_unit.py", "Wd")
        | added(gpt2, "Wo", declared="Both papers have no projection"),
        {"mlp": Default(3, 1280 / 768, "5/3 D"), "eps": Default(1e-6)},
    ),
    fla_block(
        "retnet",
        "fla/models/gla/modeling_gla.py",
        added(gpt2, "Wo", declared="Both papers have no projection"),
        {"mlp": Default(3, 8 / 3, "8/3 D"), "eps": Default(1e-6)},
    ),
    ExpectedBlock(
        "rwkv",
        "BlinkDL/RWKV-LM@524481d5099b38d9bc8ef1e89209161b86c8011b",
        differing(within(lambda _: 6e-4), RWKV_MODEL, by_inputs, "embeddings within 0.0006", "Wi")
        | added(zeros, "bi")
        | alike(ones, RWKV_MODEL, "in_gain", "gain", "mlp_gain", "final_gain")
        | alike(zeros, RWKV_MODEL, "in_shift", "shift", "mlp_shift", "final_shift", "Wv", "Wr")
        | alike(lambda n: orthonormal(math.sqrt(n.mlp)), RWKV_MODEL, "Wk")
        | differing(rising_by_layer, RWKV_MODEL, rising, "mixtures of the first layer", "mix_k", "mix_r")
        | differing(zeros, RWKV_MODEL, gpt2, "starts its output projection at zero", "Wo"),
        {"mlp": Default(4), "eps": Default(1e-5)},
    ),
    ExpectedBlock(
        "slstm",
        XLSTM,
        XLSTM_INPUTS
        | alike(ones, XLSTM_NORM, "gain", "head_gain", "mlp_gain", "final_gain")
        | alike(by_taps, XLSTM_CONV, "taps", "b")
        | alike(small, "xlstm/components/feedforward.py", "Wg", "Wv")
        | alike(wang, "xlstm/components/feedforward.py", "Wd"),
        {
            "width": Default(4),
            "heads": Default(4),
            "mlp": Default(5, 5.2, "in the code 1.3 D"),
            "eps": Default(1e-5),
        },
    ),
)

# Parameters of cells that start in the official block by another distribution than in the cell alone, by the
# name of the cell in its block. Where zoo has no such distribution, the card of the block or cell says so.
of_mixer = within(lambda n: 1 / math.sqrt(2 * n.D * n.layers))
EXPECTED_INNER: Mapping[str, Mapping[str, Start]] = {
    "mamba(mamba)": alike(of_mixer, MAMBA_MODEL, "Wo"),
    "mamba(mamba2)": alike(of_mixer, MAMBA_MODEL, "Wo"),
    "mamba(longhorn)": alike(of_mixer, "models/longhorn.py of Cranial-XIX/longhorn", "Wo"),
    "mlstm(matrix_lstm)": alike(small, "xlstm/blocks/mlstm/layer.py", "Wx"),
    "rwkv(rwkv4)": alike(zeros, RWKV_MODEL, "Wo"),
    "rwkv(rwkv5)": alike(zeros, "RWKV-v5/src/model.py", "Wo"),
    "rwkv(rwkv6)": alike(zeros, "RWKV-v5/src/model.py", "Wo"),
    "rwkv(rwkv7)": alike(zeros, "RWKV-v7/train_temp/src/model.py", "Wo"),
}
