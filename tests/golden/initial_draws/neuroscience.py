"""Initial values of models of circuits and of piecewise-linear networks."""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

import numpy as np
import torch
from initial_draws._draws import Draw, DrawCell, Sizes, defaults_of
from official import official, official_text, official_values
from references import al_rnn as almost_linear
from references import dendritic_plrnn as dendritic
from references import ei_rnn as balanced
from references import low_rank_rnn as low_rank
from references import shallow_plrnn as shallow
from references import stsp_rnn as plasticity
from torch import nn

# The code of the authors of shallow_plrnn in Julia. GPL-3.0 licence.
JULIA = ("DurstewitzLab/GTF-shPLRNN", "b6172ce816f1910e54c30776ff49e52b5489430a")


def ei_rnn(n: Sizes) -> Draw:
    """``EIRNN``. Its two biases are one here."""
    tools = {"torch": torch, "nn": nn, "init": nn.init, "F": nn.functional, "np": np, "math": math}
    edits = {"EIRecLinear(hidden_size, e_prop=0.8)": "EIRecLinear(hidden_size, e_prop)"}
    Network, _ = official(*balanced.AUTHORS, "EI_RNN.ipynb", "EIRNN", "EIRecLinear", edits=edits, **tools)
    step = official_values(*balanced.AUTHORS, "EI_RNN.ipynb", "timing", "kwargs")["kwargs"]["dt"]
    units = Network(n.I, n.H, step, n.excitatory)
    signs = np.sign(units.h2h.mask.sum(0))
    arrays = {"Wx": units.input2h.weight.T, "Wh": units.h2h.weight.T, "b": units.h2h.bias, "sign": signs}
    return Draw(arrays, {"alpha": units.alpha, "excitatory": defaults_of(Network.__init__)["e_prop"]})


def stsp_rnn(n: Sizes) -> Draw:
    """Parameters of ``parameters.py``, in double precision, as after its import and a change of sizes."""
    file = "parameters.py"
    par = official_values(*plasticity.AUTHORS, file, "par")["par"]
    excitatory = par["exc_inh_prop"]
    names = "update_trial_params", "update_dependencies", "update_parameters", "initialize"
    tools = {"np": np, "par": par, "print": lambda text: None}
    edits = {"np.float32": "np.float64"}
    trial, dependencies, update, _ = official(*plasticity.AUTHORS, file, *names, edits=edits, **tools)
    trial()
    dependencies()
    update({"num_motion_tuned": n.I, "n_hidden": n.H, "exc_inh_prop": n.excitatory})
    arrays = {"Wx": par["w_in0"], "Wh": par["w_rnn0"], "b": par["b_rnn0"][0], "sign": par["EI_list"]}
    arrays |= {"U": par["U"][0], "fast": par["alpha_std"][0], "slow": par["alpha_stf"][0]}
    return Draw(arrays, {"dt": par["dt_sec"], "alpha": par["alpha_neuron"], "excitatory": excitatory})


def low_rank_rnn(n: Sizes) -> Draw:
    """``LowRankRNN`` with trained input weights."""
    path = "low_rank_rnns/modules.py"
    Network = official(*low_rank.AUTHORS, path, "LowRankRNN", torch=torch, nn=nn)
    units = Network(n.I, n.H, 1, 0.0, n.alpha, n.rank, train_wi=True)
    script = "training_scripts/train_mante_lr.py"
    options = official_values(*low_rank.AUTHORS, script, "alpha") | {
        "rank": defaults_of(Network.__init__)["rank"]
    }
    return Draw({"Wx": units.wi, "m": units.m, "n": units.n}, options)


def al_rnn(n: Sizes) -> Draw:
    """``AL_RNN`` of the tutorial, in double precision, and the default of the program in Julia."""
    tools = {"torch": torch, "nn": nn, "F": nn.functional, "np": np, "math": math}
    edits = {"np.float32": "np.float64"}
    Network = official(*almost_linear.AUTHORS, almost_linear.FILE, "AL_RNN", edits=edits, **tools)
    units = Network(n.H, n.rectified, 1)
    settings = json.loads(official_text(*almost_linear.AUTHORS, "settings/defaults.json"))
    return Draw({"A": units.A, "Wh": units.W.T, "b": units.h}, {"rectified": settings["pwl_units"]})


def shallow_plrnn(n: Sizes) -> Draw:
    """``shallowPLRNN`` of the tutorial, and the defaults of the program in Julia."""
    Network = official(*shallow.AUTHORS, "shallowPLRNN", torch=torch, nn=nn, uniform_=nn.init.uniform_)
    units = Network(n.H, n.units, n.I)
    arrays = {"A": units.A, "W1": units.W1.T, "W2": units.W2.T, "Wx": units.C.T}
    settings = json.loads(official_text(*JULIA, "settings/defaults.json"))
    options = {"units": settings["hidden_dim"], "clipped": settings["model"] == "clippedShallowPLRNN"}
    return Draw(arrays | {"h1": units.h1, "h2": units.h2}, options)


def plrnn_step(n: Sizes, kind: str, bases: int) -> Any:
    """``PLRNN.latent_step``, without data that give the range of the thresholds."""
    names = (*dendritic.CLASSES, "PLRNN_Step")
    path = "BPTT_TF/bptt/PLRNN_model.py"
    Network, *_ = official(*dendritic.AUTHORS, path, *names, tc=torch, nn=nn, math=math)
    return Network(1, n.H, bases, None, kind, False, None).latent_step


def dendritic_plrnn(n: Sizes) -> Draw:
    """``PLRNN`` with a basis expansion."""
    step = plrnn_step(n, "clipped-PLRNN" if n.clipped else "dendr-PLRNN", n.bases)
    Network = official(*dendritic.AUTHORS, "BPTT_TF/bptt/PLRNN_model.py", "PLRNN", tc=torch, nn=nn)
    path = "BPTT_TF/main.py"
    parser = official(*dendritic.AUTHORS, path, "get_parser", argparse=argparse, PLRNN=Network)()
    arrays = {"Wh": step.AW.T, "alpha": step.alphas, "theta": step.thetas, "bias": step.h}
    return Draw(arrays, {"bases": parser.get_default("n_bases")})


def plrnn(n: Sizes) -> Draw:
    """``PLRNN`` without a basis expansion. Its bias takes the place of the thresholds."""
    step = plrnn_step(n, "PLRNN", 0)
    return Draw({"Wh": step.AW.T, "theta": step.h})


DRAWS: dict[str, DrawCell] = {
    "al_rnn": al_rnn,
    "dendritic_plrnn": dendritic_plrnn,
    "ei_rnn": ei_rnn,
    "low_rank_rnn": low_rank_rnn,
    "plrnn": plrnn,
    "shallow_plrnn": shallow_plrnn,
    "stsp_rnn": stsp_rnn,
}
