"""Initial values of cells in continuous time."""

from __future__ import annotations

import random

import numpy as np
import torch
from initial_draws._draws import Draw, DrawCell, Sizes, defaults_of
from official import official
from torch import nn

# Apache licence 2.0.
NCPS = ("mlech26l/ncps", "695ec22d7d1831f2ced67346ef7d2f08c525bd47")
# MIT licence.
GRU_ODE_AUTHORS = (
    "edebrouwer/gru_ode_bayes",
    "ddd0b34e884dbee1c09b6a3927d1e9ab10443af8",
    "gru_ode_bayes/models.py",
)


def cfc(n: Sizes) -> Draw:
    """``CfCCell``, whose backbone is one linear layer of input and state."""
    tools = {"torch": torch, "nn": nn, "np": np}
    Cell = official(*NCPS, "ncps/torch/cfc_cell.py", "LeCun", "CfCCell", **tools)[-1]
    cell = Cell(n.I, n.H, backbone_units=n.units)
    backbone = cell.backbone[0]
    heads = [cell.ff1, cell.ff2, cell.time_a, cell.time_b]
    arrays = {
        "Wx": backbone.weight[:, : n.I].T,
        "Wh": backbone.weight[:, n.I :].T,
        "b": backbone.bias,
        "Wv": torch.cat([each.weight for each in heads]).T,
        "bv": torch.cat([each.bias for each in heads]),
    }
    return Draw(arrays, {"units": defaults_of(Cell.__init__)["backbone_units"]})


def ltc(n: Sizes) -> Draw:
    """``LTCCell`` with a wiring of all neurons, whose seed differs in each draw."""
    path, names = "ncps/wirings/wirings.py", ("Wiring", "FullyConnected")
    _, Wiring = official(*NCPS, path, *names, np=np)
    Cell = official(*NCPS, "ncps/torch/ltc_cell.py", "LTCCell", torch=torch, nn=nn, np=np)
    drawn = Cell(Wiring(n.H, erev_init_seed=random.getrandbits(31)), n.I, ode_unfolds=n.unfolds)._params
    arrays = {name: drawn[name] for name in ("cm", "gleak", "vleak", "w", "mu", "sigma", "erev")}
    arrays |= {f"{name}x": drawn[f"sensory_{name}"] for name in ("w", "mu", "sigma", "erev")}
    return Draw(arrays, {"unfolds": defaults_of(Cell.__init__)["ode_unfolds"]})


def gru_ode(n: Sizes) -> Draw:
    """``FullGRUODECell``, to which the models apply ``init_weights``."""
    init_weights, Cell = official(*GRU_ODE_AUTHORS, "init_weights", "FullGRUODECell", torch=torch)
    cell = Cell(n.I, n.H).apply(init_weights)
    arrays = {
        "Wx": cell.lin_x.weight.T,
        "Wh": torch.cat([cell.lin_hr.weight, cell.lin_hz.weight]).T,
        "Wn": cell.lin_hh.weight.T,
        "b": cell.lin_x.bias,
    }
    return Draw(arrays)


DRAWS: dict[str, DrawCell] = {"cfc": cfc, "gru_ode": gru_ode, "ltc": ltc}
