"""Initial values of reservoirs."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable
from functools import partial
from inspect import signature
from types import SimpleNamespace
from typing import Any, Union

import numpy as np
import scipy
import torch
from initial_draws._draws import Draw, DrawCell, Sizes, defaults_of
from official import official, official_values
from references import deep_esn as deep
from references import eusn as euler
from references.es2n import LIBRARY

# The code of the paper. MIT licence.
NEXT_GENERATION = ("quantinfo/ng-rc-paper-code", "410de8c3f4a902ab3ca70d023207cdde23f64daf")


def deep_esn(n: Sizes) -> Draw:
    """``DeepESN`` with the configuration of the Mackey-Glass task, whose example has five layers."""
    path = "src/deepesn/configurations.py"
    _, configure = official(*deep.AUTHORS, path, "Struct", "config_MG", np=np)
    config, default = configure([]), configure([])
    config.rhos, config.lis, config.iss = n.radius, n.leak, n.scale
    matlib = SimpleNamespace(repmat=lambda a, rows, columns: np.tile(a, (rows, columns)))
    path = "src/deepesn/deepesn.py"
    Network = official(*deep.AUTHORS, path, "DeepESN", np=np, npm=matlib, random=random)
    units = Network(n.I, n.H // n.layers, n.layers, config)
    below = [units.Win[layer] for layer in range(n.layers)]
    arrays = {
        "Wx": below[0][:, :-1].T,
        "Wl": np.stack([W[:, :-1].T for W in below[1:]]),
        "b": np.stack([W[:, -1] for W in below]),
        "Wh": np.stack([units.W[layer].T for layer in range(n.layers)]),
    }
    example = official_values(*deep.AUTHORS, "examples/main_MackeyGlass.py", "Nl")
    options = {"layers": example["Nl"], "leak": default.lis, "radius": default.rhos, "scale": default.iss}
    return Draw(arrays, options)


def reservoirpy_initializers() -> dict[str, Any]:
    """Functions of ReservoirPy that ``ES2N`` uses, by their names."""
    tools = {"np": np, "Generator": np.random.Generator, "default_rng": np.random.default_rng}
    tools["rand_generator"] = official(*LIBRARY, "reservoirpy/utils/random.py", "rand_generator", **tools)
    tools |= {"issparse": scipy.sparse.issparse, "eigs": scipy.sparse.linalg.eigs, "linalg": scipy.linalg}
    path = "reservoirpy/observables.py"
    tools["spectral_radius"] = official(*LIBRARY, path, "spectral_radius", **tools)
    tools["is_array"] = official(*LIBRARY, "reservoirpy/type.py", "is_array", **tools)
    tools |= official_values(*LIBRARY, "reservoirpy/type.py", "global_dtype", np=np)
    tools |= {"sparse": scipy.sparse, "stats": scipy.stats, "copy": copy, "partial": partial}
    tools |= {"signature": signature, "Union": Union, "Iterable": Iterable}
    tools["ArpackNoConvergence"] = scipy.sparse.linalg.ArpackNoConvergence
    path = "reservoirpy/mat_gen.py"
    tools |= official_values(*LIBRARY, path, "_epsilon")
    scales = "_scale_spectral_radius", "_scale_inputs"
    draws = "_bernoulli_discrete_rvs", "_get_rvs", "_random_sparse", "_normal", "_bernoulli", "_orthogonal"
    names = (*scales, *draws, "Initializer")
    tools |= dict(zip(names, official(*LIBRARY, path, *names, **tools), strict=True))
    return tools | official_values(*LIBRARY, path, "normal", "bernoulli", "orthogonal", **tools)


def es2n(n: Sizes) -> Draw:
    """``ES2N``."""

    class Node:
        """The base class, of which the size of the input is given."""

        def _set_input_dim(self, x: Any) -> None:
            pass

    tools = reservoirpy_initializers() | {"Node": Node, "tanh": np.tanh, "get_function": lambda name: name}
    Network = official(*LIBRARY, "reservoirpy/nodes/es2n.py", "ES2N", **tools)
    shares = {"input_connectivity": n.density, "rc_connectivity": n.density}
    sizes = {"input_dim": n.I, "seed": random.getrandbits(31)}
    units = Network(n.H, n.proximity, n.radius, n.scale, **shares, **sizes)
    units.initialize(None)
    arrays = {"Wx": units.Win.toarray().T, "Wh": units.W.toarray().T, "Q": units.O.T}
    defaults = defaults_of(Network.__init__)
    options = {"proximity": defaults["proximity"], "radius": defaults["sr"]}
    options |= {"density": defaults["rc_connectivity"], "scale": defaults["input_scaling"]}
    return Draw(arrays, options)


def eusn(n: Sizes) -> Draw:
    """``EulerReservoirCell``, with PyTorch in place of TensorFlow. Its matrix includes the diffusion."""

    def uniform(shape: tuple[int, ...], minval: float, maxval: float) -> torch.Tensor:
        return torch.empty(shape).uniform_(minval, maxval)

    generator = SimpleNamespace(uniform=uniform)
    tf = SimpleNamespace(nn=torch, linalg=torch, random=generator, transpose=torch.t)
    keras = SimpleNamespace(layers=SimpleNamespace(Layer=object))
    Cell = official(*euler.AUTHORS, "euler.py", "EulerReservoirCell", tf=tf, keras=keras)
    cell = Cell(n.H, n.scale, n.scale, n.recurrent_scale, n.eps, n.gamma)
    cell.build((n.I,))
    arrays = {"Wx": cell.kernel, "Wh": cell.recurrent_kernel + n.gamma * torch.eye(n.H), "b": cell.bias}
    defaults = defaults_of(Cell.__init__)
    assert defaults["bias_scaling"] == defaults["input_scaling"]  # they are one option here
    options = {"eps": defaults["epsilon"], "gamma": defaults["gamma"]}
    options |= {"recurrent_scale": defaults["recurrent_scaling"], "scale": defaults["input_scaling"]}
    return Draw(arrays, options)


def nvar(n: Sizes) -> Draw:
    """Settings of the forecast of the Lorenz system, and the default of ``NVAR`` of ReservoirPy.

    Neither draws weights.
    """
    forecast = "LorenzConstLinQuadraticNVARtimedelay-RK23.py"
    Node = official(*LIBRARY, "reservoirpy/nodes/nvar.py", "NVAR", Node=object)
    delay = official_values(*NEXT_GENERATION, forecast, "k")["k"]
    return Draw({}, {"delay": delay, "stride": defaults_of(Node.__init__)["strides"]})


DRAWS: dict[str, DrawCell] = {
    "deep_esn": deep_esn,
    "es2n": es2n,
    "eusn": eusn,
    "nvar": nvar,
}
