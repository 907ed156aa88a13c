"""Initial values of cells with diagonal recurrent matrices, most of them linear, and of gated averages."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, overload

import einops
import flax
import jax
import numpy as np
import scipy.signal
import torch
from block_references.glu import AUTHORS as S5
from block_references.glu import LRU
from block_references.griffin import AUTHORS as GRIFFIN
from flax import linen
from initial_draws._draws import Draw, DrawCell, Sizes, Values, defaults_of, jax_key
from official import official, official_arguments, official_values
from references.min_gru import LIBRARY as MIN_GRU
from references.rtu import AUTHORS as RTU
from references.slice import AUTHORS as SLICE
from torch import nn

# Apache licence 2.0.
S4 = ("state-spaces/s4", "e757cef57d89e448c413de7325ed5601aceaac13")
# Without a licence.
LMU = ("hrshtv/pytorch-lmu", "95a0b937c16b18cc8469e6e86440aa8dcb006726")
# MIT licence.
HGRU = ("Doraemonzzz/hgru-pytorch", "09f4ed2c78f7a4e45b4fbe5d2beeab4c04a64779")
# BSD 3-clause licence.
QRNN = ("salesforce/pytorch-qrnn", "1634991a8270060d48128a0af5ffd1f75db3ae08")
# MIT licence. Version 2.6.0.
SRU = ("asappresearch/sru", "a6987849321df1d98028be968a1e1edefa025433")
# No licence file.
INDRNN = ("Sunnydreamrain/IndRNN_pytorch", "9b9cb4cd6b42bfedb90605b51a962ea44443efdd")
TOOLS = {"torch": torch, "nn": nn, "math": math}


def lru(n: Sizes) -> Draw:
    """``LRU``, once with I features for B, and once with H features for C."""
    names = ("matrix_init", "nu_init", "theta_init", "gamma_log_init", "binary_operator_diag", "LRU")
    tools = {"jax": jax, "jnp": jax.numpy, "nn": linen, "partial": partial}
    tools["parallel_scan"] = jax.lax.associative_scan
    precise = {"jnp.float32": "jnp.float64"}
    *_, operator, Class = official(*LRU, *names, edits=precise, **tools)
    Class.setup.__globals__["binary_operator_diag"] = jax.vmap(operator)
    first, last = (
        Class(n.H, width, n.r_min, n.r_max, n.max_phase).init(jax_key(), jax.numpy.zeros((1, width)))
        for width in (n.I, n.H)
    )
    first, last = first["params"], last["params"]
    return Draw(
        {
            "poles": np.stack([first[f"{name}_log"] for name in ("nu", "theta", "gamma")]),
            "B": np.array(first["B_re"] + 1j * first["B_im"]).T,
            "C": np.array(last["C_re"] + 1j * last["C_im"]).T,
            "D": last["D"],
        },
        {name: getattr(Class, name) for name in ("r_min", "r_max", "max_phase")},
    )


def s5(n: Sizes) -> Draw:
    """``S5SSM`` as ``train`` makes it, once with I features for B, and once with H features for C."""
    defaults = official_arguments(*S5, "run_train.py")
    names = {"order": "ssm_size_base", "blocks": "blocks", "clip": "clip_eigs"}
    names |= {"dt_min": "dt_min", "dt_max": "dt_max"}
    settings = defaults | {theirs: getattr(n, own) for own, theirs in names.items()}
    first, last = (s5_values(settings | {"d_model": width}) for width in (n.I, n.H))
    B, C = (np.array(value[..., 0] + 1j * value[..., 1]).T for value in (first["B"], last["C"]))
    return Draw(
        {
            "A": np.array(first["Lambda_re"] + 1j * first["Lambda_im"]),
            "log_dt": first["log_step"][:, 0],
            "B": B,
            "C": C,
            "D": last["D"],
        },
        {own: defaults[theirs] for own, theirs in names.items()},
    )


def s5_values(settings: Values) -> Any:
    """Initial values of ``S5SSM`` with the settings of a command line.

    ``train`` is left where the model would be initialized for the data.
    """
    tools = {"np": jax.numpy, "random": jax.random, "lecun_normal": jax.nn.initializers.lecun_normal}
    tools |= {"eigh": jax.numpy.linalg.eigh}
    names = ("init_CV", "init_VinvB", "init_log_steps", "trunc_standard_normal", "log_step_initializer")
    names = (*names, "make_HiPPO", "make_NPLR_HiPPO", "make_DPLR_HiPPO")
    tools |= dict(zip(names, official(*S5, "s5/ssm_init.py", *names, **tools), strict=True))
    tools |= {"jax": jax, "nn": linen, "normal": jax.nn.initializers.normal, "partial": partial}
    names = ("discretize_zoh", "binary_operator", "apply_ssm", "S5SSM", "init_S5SSM")
    _, operator, apply, _, tools["init_S5SSM"] = official(*S5, "s5/ssm.py", *names, **tools)
    apply.__globals__["binary_operator"] = jax.vmap(operator)
    tools |= {"block_diag": jax.scipy.linalg.block_diag, "BatchClassificationModel": dict}
    tools["wandb"] = SimpleNamespace(init=lambda **_: None, log=lambda _: None)
    tools["Datasets"] = {settings["dataset"]: lambda *_, **__: [None] * 8}
    layers: list[Callable[..., Any]] = []

    def stop(model: Any, *others: Any, **more: Any) -> None:
        layers.append(model.keywords["ssm"])
        raise StopIteration

    train = official(*S5, "s5/train.py", "train", create_train_state=stop, **tools)
    with contextlib.suppress(StopIteration), contextlib.redirect_stdout(io.StringIO()):
        train(SimpleNamespace(**settings))
    return layers[0]().init(jax_key(), jax.numpy.zeros((1, settings["d_model"])))["params"]


def s4d(n: Sizes) -> Draw:
    """``S4D``."""
    tools = TOOLS | {"repeat": einops.repeat, "DropoutNd": nn.Identity}
    Kernel, Class = official(*S4, "models/s4/s4d.py", "S4DKernel", "S4D", **tools)
    layer = Class(n.H, n.order, dt_min=n.dt_min, dt_max=n.dt_max)
    kernel, defaults = layer.kernel, defaults_of(Kernel.__init__)
    return Draw(
        {
            "log_rate": kernel.log_A_real,
            "freq": kernel.A_imag,
            "log_dt": kernel.log_dt,
            "C": torch.view_as_complex(kernel.C),
            "D": layer.D,
        },
        {
            "order": defaults_of(Class.__init__)["d_state"],
            "dt_min": defaults["dt_min"],
            "dt_max": defaults["dt_max"],
        },
    )


def rg_lru(n: Sizes) -> Draw:
    """``RGLRU``, whose number of heads has no default."""
    names = ("BlockDiagonalLinear", "rnn_param_init", "RGLRU")
    tools = TOOLS | {
        "at": SimpleNamespace(typed=lambda function: function),
        "overload": overload,
        "Literal": Literal,
    }
    *_, Class = official(*GRIFFIN, "recurrentgemma/torch/layers.py", *names, **tools)
    unit = Class(n.H, n.heads)
    return Draw(
        {
            "Wg": torch.cat([unit.a_gate.w, unit.input_gate.w], dim=2),
            "b": torch.cat([unit.a_gate.b, unit.input_gate.b], dim=1),
            "decay": unit.a_param,
        }
    )


def lmu(n: Sizes) -> Draw:
    """``LMUCell``, whose order and window have no default."""
    tools = {"torch": torch, "nn": nn, "np": np, "init": nn.init}
    tools["cont2discrete"] = scipy.signal.cont2discrete
    _, Class = official(*LMU, "src/lmu.py", "leCunUniform", "LMUCell", **tools)
    cell = Class(n.I, n.H, n.order, n.theta)
    names = {"ex": "e_x", "eh": "e_h", "em": "e_m", "Wx": "W_x", "Wh": "W_h", "Wm": "W_m", "A": "A"}
    return Draw({own: getattr(cell, theirs).T for own, theirs in names.items()} | {"B": cell.B[:, 0]})


def min_gru(n: Sizes) -> Draw:
    """``minGRU``, whose product has the candidate first."""
    return Draw({"Wx": candidate_last(n, "minGRU").to_hidden_and_gate.weight.T.roll(-n.H, 1)})


def min_lstm(n: Sizes) -> Draw:
    """``minLSTM``, whose product has the candidate first."""
    return Draw({"Wx": candidate_last(n, "minLSTM").to_hidden_and_f_i_gate.weight.T.roll(-n.H, 1)})


def candidate_last(n: Sizes, name: str) -> Any:
    """A layer of minGRU-pytorch with I inputs and H units."""
    tools = {"Module": nn.Module, "Linear": nn.Linear, "Identity": nn.Identity}
    names = ("exists", "default")
    tools |= dict(zip(names, official(*MIN_GRU, "minGRU_pytorch/minGRU.py", *names), strict=True))
    return official(*MIN_GRU, f"minGRU_pytorch/{name}.py", name, **tools)(n.I, n.H / n.I)


def hgrn(n: Sizes) -> Draw:
    """``HgruRealV6``, which has as many units as inputs."""
    tools = {"nn": nn, "print_params": lambda **_: None, "get_activation_fn": lambda _: None}
    tools["HgruRealFunction"] = SimpleNamespace(apply=None)
    Class = official(*HGRU, "hgru/hgrureal1d.py", "HgruRealV6", **tools)
    layer = Class(n.I)
    linears = (layer.lambda_proj, layer.input_proj)
    return Draw(
        {
            "Wx": torch.cat([linear.weight.T for linear in linears], dim=1),
            "b": torch.cat([linear.bias for linear in linears]),
        },
        {"lower_bound": defaults_of(Class.forward)["lower_bound"]},
    )


def qrnn(n: Sizes) -> Draw:
    """``QRNNLayer``, whose product reads the present input first."""
    Class = official(*QRNN, "torchqrnn/qrnn.py", "QRNNLayer", torch=torch, nn=nn)
    linear = Class(n.I, n.H, window=n.k).linear
    Wx, *Wp = linear.weight.T.split(n.I)
    return Draw(
        {"Wx": Wx, "Wp": torch.stack(Wp), "b": linear.bias},
        {"k": defaults_of(Class.__init__)["window"]},
    )


def sru(n: Sizes) -> Draw:
    """``SRUCell``, whose product has the four parts of a unit next to each other."""
    Class = official(*SRU, "sru/modules.py", "SRUCell", **TOOLS)
    cell = Class(n.I, n.H, highway_bias=n.highway_bias)
    return Draw(
        {
            "Wx": cell.weight.view(n.I, n.H, 4).transpose(1, 2).flatten(1),
            "v": cell.weight_c.view(2, n.H),
            "b": cell.bias,
        },
        {"highway_bias": defaults_of(Class.__init__)["highway_bias"]},
    )


def indrnn(n: Sizes) -> Draw:
    """``IndRNN_onlyrecurrent``, and the linear layer of ``stackedIndRNN_encoder`` for pixelMNIST.

    The latter draws the recurrent weights again. Their bound is then 1.002, which these draws cannot tell
    from one.
    """
    settings = official_arguments(*INDRNN, "pixelMNIST/opts.py") | {"hidden_size": n.H, "num_layers": 1}
    args = SimpleNamespace(**settings)
    tools = TOOLS | {"Parameter": nn.Parameter, "np": np, "args": args, "MAG": args.MAG}
    assert args.U_bound == 0  # then the script computes the bound
    script, path = "pixelMNIST/Indrnn_mnist_train.py", "pixelMNIST/Indrnn_plainnet.py"
    tools |= official_values(*INDRNN, script, "U_bound", **tools)
    tools |= official_values(*INDRNN, path, "U_lowbound", **tools)
    names = ("IndRNNCell_onlyrecurrent", "IndRNN_onlyrecurrent")
    edits = {"nn.init.uniform(": "nn.init.uniform_("}
    *_, tools["IndRNN"] = official(
        *INDRNN, "pixelMNIST/IndRNN_onlyrecurrent.py", *names, edits=edits, **tools
    )
    names = ("Batch_norm_overtime", "Linear_overtime_module")
    tools["BN"], tools["Linear_overtime"] = official(*INDRNN, "pixelMNIST/utils.py", *names, **tools)
    *_, Class = official(*INDRNN, path, "IndRNNwithBN", "stackedIndRNN_encoder", **tools)
    linear, layer = Class(n.I, 2).DIs[0].fc, tools["IndRNN"](n.H)
    return Draw({"Wx": linear.weight.T, "b": linear.bias, "u": layer.indrnn_cell.weight_hh})


def rtu(n: Sizes) -> Draw:
    """``RealTimeNonLinearRTUsLayer``, where H / 2 pairs are its ``n_hidden``."""
    path = "src/nets/rtus/rtus_utils.py"
    tools = {"jax": jax, "jnp": jax.numpy, "lax": jax.lax, "nn": linen, "flax": flax}
    names = ("g_phi_params", "initialize_exp_exp_r", "initialize_theta_log", "d_g_phi_exp_exp_nu_params")
    names = (*names, "linear_act", "drelu", "dtanh", "dlinear")
    tools |= dict(zip(names, official(*RTU, path, *names, **tools), strict=True))
    tools |= official_values(*RTU, path, "act_options", "d_act", **tools)
    names = ("FwdRealTimeNonLinearRTUs", "RealTimeNonLinearRTUs")
    _, unit = official(*RTU, "src/nets/rtus/non_linear_rtus.py", *names, **tools)
    tools["RealTimeNonLinearRTUs"] = unit
    Layer = official(*RTU, "src/nets/rtus/rtus.py", "RealTimeNonLinearRTUsLayer", **tools)
    carry = Layer.initialize_state(1, n.H // 2, n.I)
    values = Layer(n.H // 2, n.activation).init(jax_key(), carry, jax.numpy.zeros((1, n.I)))
    for name in ("params", "RealTimeNonLinearRTUs_0", "FwdRealTimeNonLinearRTUs_0"):
        values = values[name]
    Wx = np.concatenate([values["wx1"]["kernel"], values["wx2"]["kernel"]], axis=1)
    arrays = {"nu": values["r_param"][0], "theta": values["theta_param"][0], "Wx": Wx}
    return Draw(arrays, {"activation": Layer.activation})


def slice_blocks(n: Sizes) -> Draw:
    """``LinearCDE`` with blocks along the diagonal. The first row of its matrix is that of the time."""
    Class = official(*SLICE, "models/slcde.py", "LinearCDE", torch=torch, nn=nn)
    model, defaults = Class(n.I, n.H, block_size=n.block, dt=n.dt, diagonal=True), defaults_of(Class.__init__)
    return Draw(
        {
            "A0": model.vf_A[0].view(-1, n.block, n.block),
            "Wa": model.vf_A[1:],
            "Wi": model.init_layer.weight.T,
            "bi": model.init_layer.bias,
        },
        {"block": defaults["block_size"], "dt": defaults["dt"]},
    )


DRAWS: dict[str, DrawCell] = {
    "hgrn": hgrn,
    "indrnn": indrnn,
    "lmu": lmu,
    "lru": lru,
    "min_gru": min_gru,
    "min_lstm": min_lstm,
    "qrnn": qrnn,
    "rg_lru": rg_lru,
    "rtu": rtu,
    "s4d": s4d,
    "s5": s5,
    "slice": slice_blocks,
    "sru": sru,
}
