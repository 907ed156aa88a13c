"""Initial values of networks of spiking neurons."""

from __future__ import annotations

import ast
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from initial_draws._draws import Draw, DrawCell, Sizes, Values, defaults_of
from official import official, official_text, official_values
from references import adlif as radlif
from references import alif as lsnn
from references import brf as resonators
from references import se_adlif as symplectic
from references.adex import NORSE, functions
from references.synaptic import SNNTORCH, neuron
from torch import nn

# Norse.

SURROGATES = {"super": "fast_sigmoid"}
"""Surrogate gradients of zoo by the names of Norse."""


def norse_weights(n: Sizes) -> tuple[Values, Values]:
    """Weights of ``SNNRecurrent``, and defaults of its constructor."""
    Network = official(*NORSE, "norse/torch/module/snn.py", "SNNRecurrent", torch=torch)
    network = Network(None, None, n.I, n.H, None)
    arrays = {"Wx": network.input_weights.T, "Wh": network.recurrent_weights.T}
    return arrays, defaults_of(Network.__init__)


def adex(n: Sizes) -> Draw:
    """``SNNRecurrent`` of Norse, the base class of ``LIFAdExRecurrent``."""
    arrays, defaults = norse_weights(n)
    constants = functions("lif_adex", "LIFAdExParameters")()
    return Draw(
        arrays,
        {
            "dt": defaults["dt"],
            "tau_mem": 1 / float(constants.tau_mem_inv),
            "tau_syn": 1 / float(constants.tau_syn_inv),
            "tau_ada": 1 / float(constants.tau_ada_inv),
            "sharpness": float(constants.delta_T),
            "threshold": float(constants.v_th),
            "coupling": float(constants.adaptation_current),
            "jump": float(constants.adaptation_spike),
            "surrogate": SURROGATES[constants.method],
        },
    )


def izhikevich(n: Sizes) -> Draw:
    """``SNNRecurrent`` of Norse, the base class of ``IzhikevichRecurrent``, and its tonic neuron."""
    arrays, defaults = norse_weights(n)
    Parameters = functions("izhikevich", "IzhikevichParameters")
    file, name = "norse/torch/functional/izhikevich.py", "tonic_spiking_p"
    tonic = official_values(*NORSE, file, name, IzhikevichParameters=Parameters)[name]
    options = {"dt": defaults["dt"] * tonic.tau_inv, "surrogate": SURROGATES[tonic.method]}
    return Draw(arrays, options | {"a": tonic.a, "b": tonic.b, "reset": tonic.c, "d": tonic.d})


# snnTorch, whose neurons read the output of nn.Linear in the examples of their docstrings.


def snntorch_defaults(name: str) -> Values:
    """Defaults of a class of neurons and of its surrogate gradient, of those that have a default."""
    atan = official(*SNNTORCH, "snntorch/surrogate.py", "atan")
    threshold = defaults_of(neuron(name).__init__)["threshold"]
    return {"threshold": threshold, "slope": defaults_of(atan)["alpha"]}


def lif(n: Sizes) -> Draw:
    """``RLeaky`` behind ``nn.Linear``. The two biases are one here."""
    weights = neuron("RLeaky")(n.beta, linear_features=n.H).recurrent
    arrays = {"Wx": nn.Linear(n.I, n.H).weight.T, "Wh": weights.weight.T, "b": weights.bias}
    return Draw(arrays, snntorch_defaults("RLeaky"))


def synaptic(n: Sizes) -> Draw:
    """``RSynaptic`` behind ``nn.Linear``. The two biases are one here."""
    weights = neuron("RSynaptic")(n.alpha, n.beta, linear_features=n.H).recurrent
    arrays = {"Wx": nn.Linear(n.I, n.H).weight.T, "Wh": weights.weight.T, "b": weights.bias}
    return Draw(arrays, snntorch_defaults("RSynaptic"))


def alpha(n: Sizes) -> Draw:
    """``nn.Linear`` in front of ``Alpha``, which has no weights."""
    units, linear = neuron("Alpha")(n.alpha, n.beta), nn.Linear(n.I, n.H)
    assert not list(units.parameters())
    return Draw({"Wx": linear.weight.T, "b": linear.bias}, snntorch_defaults("Alpha"))


# Others.


def adlif(n: Sizes) -> Draw:
    """``RadLIFLayer``."""
    spike = official(*radlif.AUTHORS, "SpikeFunctionBoxcar", torch=torch)
    tools = {"torch": torch, "nn": nn, "np": np, "SpikeFunctionBoxcar": spike}
    Layer = official(*radlif.AUTHORS, "RadLIFLayer", **tools)
    layer = Layer(n.I, n.H, 1, n.threshold)
    arrays = {"Wx": layer.W.weight.T, "Wh": layer.V.weight} | {
        name: getattr(layer, name) for name in ("alpha", "beta", "a", "b")
    }
    return Draw(arrays, {"threshold": defaults_of(Layer.__init__)["threshold"]})


def alif(n: Sizes) -> Draw:
    """``ALIF``, with PyTorch in place of TensorFlow 1."""

    def variable(value: Any, name: str, dtype: Any = None, trainable: bool = True) -> torch.Tensor:
        return torch.as_tensor(value)

    tf = SimpleNamespace(Variable=variable, **lsnn.TF)
    tools = {"tf": tf, "np": np, "rd": np.random, "Variable": variable, "Cell": object}
    names = "weight_matrix_with_delay_dimension", "LIF", "ALIF"
    *_, Network = official(*lsnn.AUTHORS, *names, **tools)
    constants = {"thr": n.threshold, "tau_adaptation": n.tau_b, "beta": n.beta, "dampening_factor": n.scale}
    cell = Network(n.I, n.H, n.tau, **constants)
    defaults = defaults_of(Network.__init__)
    options = {"tau": defaults["tau"], "tau_b": defaults["tau_adaptation"], "threshold": defaults["thr"]}
    options |= {"beta": defaults["beta"], "scale": defaults["dampening_factor"]}
    return Draw({"Wx": cell.w_in_var, "Wh": cell.w_rec_var}, options)


def brf(n: Sizes) -> Draw:
    """``SimpleResRNN``, whose one linear layer reads input and spikes."""
    file = "snn/modules/rf.py"
    constants = official_values(*resonators.AUTHORS, file)
    cells = official(*resonators.AUTHORS, file, "RFCell", "BRFCell", torch=torch, **constants)
    modules = SimpleNamespace(BRFCell=cells[1], LICell=nn.Identity)
    Network = official(
        *resonators.AUTHORS, "snn/models/resonaternns.py", "SimpleResRNN", torch=torch, modules=modules
    )
    units = Network(n.I, n.H, 1, dt=n.dt).hidden
    Wx, Wh = units.linear.weight.T.split([n.I, n.H])
    arrays = {"Wx": Wx, "Wh": Wh, "omega": units.omega, "damping": units.b_offset}
    return Draw(arrays, {"dt": defaults_of(Network.__init__)["dt"]})


def se_adlif(n: Sizes) -> Draw:
    """``SEAdLIF`` with the settings of the experiment on spoken digits."""
    text = official_text(*symplectic.AUTHORS, "config/experiment/SHD_SE_adLIF.yaml")
    numbers = re.findall(r"(?m)^(\w+): ([\d.]+|\[.*\])$", text)
    config = symplectic.Config({name: ast.literal_eval(value) for name, value in numbers})
    config |= {"input_size": n.I, "n_neurons": n.H}
    tools = {"torch": torch, "Module": nn.Module, "Parameter": nn.Parameter}
    trainers = "TauTrainer", "InterpolationTrainer", "get_tau_trainer_class"
    path = "module/tau_trainers.py"
    *_, tools["get_tau_trainer_class"] = official(*symplectic.AUTHORS, path, *trainers, **tools)
    _, Network = official(*symplectic.AUTHORS, "models/alif.py", "EFAdLIF", "SEAdLIF", **tools)
    layer = Network(config)
    arrays = {"Wx": layer.weight.T, "Wh": layer.recurrent.T, "bias": layer.bias, "a": layer.a, "b": layer.b}
    arrays |= {"t": layer.tau_u_trainer.weight, "r": layer.tau_w_trainer.weight}
    options = {"q": layer.q, "threshold": layer.thr, "slope": layer.alpha, "scale": layer.c}
    for kind, limits in (("u", layer.tau_u_range), ("w", layer.tau_w_range)):
        options |= dict(zip((f"tau_{kind}_min", f"tau_{kind}_max"), limits, strict=True))
    return Draw(arrays, options)


DRAWS: dict[str, DrawCell] = {
    "adex": adex,
    "adlif": adlif,
    "alif": alif,
    "alpha": alpha,
    "brf": brf,
    "izhikevich": izhikevich,
    "lif": lif,
    "se_adlif": se_adlif,
    "synaptic": synaptic,
}
