"""Initial values of oscillators and of other cells that follow differential equations."""

from __future__ import annotations

import math

import jax
import numpy as np
import torch
from initial_draws._draws import Draw, DrawCell, Sizes, defaults_of, jax_key
from official import official, official_arguments
from references.linoss import AUTHORS as LINOSS
from torch import nn

# MIT licence.
CORNN = ("tk-rusch/coRNN", "afd81744d108a2d623761b635b4ba56770d9e05d")
# Without a licence.
UNICORNN = ("tk-rusch/unicornn", "35b243d9ac5f7c3b8efe69e163f8c2739765685c")
# Without a licence.
LEM = ("tk-rusch/LEM", "833da6b338a12c976e45db9061d6bcdccbfa4a5c")
# GPL 3.0.
LIPSCHITZ = ("erichson/LipschitzRNN", "df6552e89fb9aacd086a93dadca624d2ce62ace3")
# CC0 1.0.
MOMENTUM = ("minhtannguyen/MomentumRNN", "f185c5432a52533bb1625e2162ec044651e07d9a")
TOOLS = {"torch": torch, "nn": nn, "math": math}


def cornn(n: Sizes) -> Draw:
    """``coRNNCell``, whose layer reads (x, z, y)."""
    cell = official(*CORNN, "sMNIST/network.py", "coRNNCell", **TOOLS)(n.I, n.H, n.dt, n.gamma, n.epsilon)
    Wx, Wz, Wy = cell.i2h.weight.T.split([n.I, n.H, n.H])
    defaults = official_arguments(*CORNN, "sMNIST/sMNIST_task.py")
    return Draw(
        {"Wx": Wx, "Wz": Wz, "Wy": Wy, "b": cell.i2h.bias},
        {name: defaults[name] for name in ("dt", "gamma", "epsilon")},
    )


def unicornn(n: Sizes) -> Draw:
    """``UnICORNN`` of one layer."""
    path = "psMNIST/network.py"
    recurrence = official(*UNICORNN, path, "UnICORNN_recurrence", Parameter=nn.Parameter, **TOOLS)
    names = ("Linear_overtime", "UnICORNN")
    _, Class = official(*UNICORNN, path, *names, UnICORNN_recurrence=recurrence, **TOOLS)
    model = Class(n.I, n.H, 1, n.dt, n.alpha, n_layers=1)
    linear, units = model.DIs[0].fc, model.RNNs[0]
    defaults = official_arguments(*UNICORNN, "psMNIST/psMNIST_task.py")
    return Draw(
        {"Wx": linear.weight.T, "u": units.weight_hh, "c": units.c_, "b": linear.bias},
        {name: defaults[name] for name in ("dt", "alpha")},
    )


def lem(n: Sizes) -> Draw:
    """``LEM``. The second and third bias are left out."""
    names = ("LEMCell", "LEM")
    _, Class = official(*LEM, "src/adding/network.py", *names, **TOOLS)
    cell = Class(n.I, n.H, 1, n.dt).cell
    weights = {"Wx": cell.inp2hid, "Wy": cell.hid2hid, "Wz": cell.transform_z}
    return Draw(
        {name: linear.weight.T for name, linear in weights.items()} | {"b": cell.inp2hid.bias},
        {"dt": defaults_of(Class.__init__)["dt"]},
    )


def linoss(n: Sizes) -> Draw:
    """``LinOSSLayer``, once with I features for B, and once with H features for C."""
    import equinox as eqx

    tools = {"eqx": eqx, "jr": jax.random, "random": jax.random, "math": math}
    tools["normal"] = jax.nn.initializers.normal
    _, Layer = official(*LINOSS, "simple_uniform_init", "LinOSSLayer", **tools)
    first, last = (Layer(n.H, width, n.scheme.upper(), key=jax_key()) for width in (n.I, n.H))
    B, C = (np.array(value[..., 0] + 1j * value[..., 1]).T for value in (first.B, last.C))
    return Draw({"A": first.A_diag, "s": first.steps, "B": B, "C": C, "D": last.D})


def lipschitz(n: Sizes) -> Draw:
    """``RnnModels`` with ``LipschitzRNN``."""
    start = official(*LIPSCHITZ, "tools.py", "gaussian_init_", torch=torch)
    tools = TOOLS | {"gaussian_init_": start, "get_device": lambda: "cpu"}
    Class = official(*LIPSCHITZ, "models.py", "RnnModels", **tools)
    settings = {name: getattr(n, name) for name in ("eps", "beta", "gamma", "init_std")}
    model = Class(n.I, 1, n.H, model="LipschitzRNN", **settings)
    defaults = official_arguments(*LIPSCHITZ, "driver.py")
    return Draw(
        {"Wx": model.E.weight.T, "Ma": model.B, "Mw": model.C, "b": model.E.bias},
        {name: defaults[name] for name in settings},
    )


def momentum_rnn(n: Sizes) -> Draw:
    """``MomentumLSTMCell``, the arrays of all its gates."""
    Class = official(*MOMENTUM, "mnist-timit/momentumnet.py", "MomentumLSTMCell", **TOOLS)
    cell = Class(n.I, n.H, n.mu, n.epsilon)
    defaults = official_arguments(*MOMENTUM, "mnist-timit/mnist.py")
    return Draw(
        {"Wx": cell.x2h.weight.T, "Wh": cell.h2h.weight.T, "b": cell.x2h.bias},
        {name: defaults[name] for name in ("mu", "epsilon")},
    )


DRAWS: dict[str, DrawCell] = {
    "cornn": cornn,
    "lem": lem,
    "linoss": linoss,
    "lipschitz": lipschitz,
    "momentum_rnn": momentum_rnn,
    "unicornn": unicornn,
}
