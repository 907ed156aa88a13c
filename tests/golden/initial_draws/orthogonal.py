"""Initial values of cells with orthogonal or unitary matrices."""

from __future__ import annotations

import inspect
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from initial_draws._draws import Draw, DrawCell, Sizes
from official import official
from references.exp_rnn import AUTHORS as EXP_RNN
from torch import nn

# BSD 3-clause licence.
URNN = ("amarshah/complex_RNN", "3537fbfcca49e087d836a62e0919ac70e75b992e")


def exp_rnn(n: Sizes) -> Draw:
    """``OrthogonalRNN`` in static mode, with the start of the exponential map, ``henaff_init_``."""
    tools: dict[str, Any] = {"torch": torch, "nn": nn}
    _, start = official(*EXP_RNN, "initialization.py", "create_diag_", "henaff_init_", torch=torch, np=np)
    base = official(*EXP_RNN, "parametrization.py", "Parametrization", **tools)
    names = ("Orthogonal", "modrelu", "OrthogonalRNN")
    *_, Class = official(*EXP_RNN, "orthogonal.py", *names, Parametrization=base, **tools)
    cell = Class(n.I, n.H, start, "static", torch.matrix_exp)
    return Draw({"A": cell.recurrent_kernel.A, "Wx": cell.input_kernel.weight.T, "b": cell.nonlinearity.b})


def urnn(n: Sizes) -> Draw:
    """``complex_RNN``, with NumPy in place of Theano, up to the graph of a step.

    The seeds in the code are left out. The permutation is a variable that the function of a step uses.
    """
    variables: dict[str, Any] = {}

    def scan(fn: Any, **others: Any) -> tuple[list[np.ndarray], None]:
        variables.update(inspect.getclosurevars(fn).nonlocals)
        return [np.zeros(1)] * 3, None

    theano = SimpleNamespace(shared=lambda value, name=None: value, scan=scan)
    theano.config = SimpleNamespace(floatX="float64")
    tools = {"theano": theano, "T": np, "np": np}
    tools["initialize_data_nodes"] = lambda *_: (np.zeros((1, 1, n.I)), None)
    unseeded = {"np.random.seed(1234)": "pass", "np.random.RandomState(1234)": "np.random"}
    names = ("initialize_matrix", "complex_RNN")
    _, network = official(*URNN, "models.py", *names, edits=unseeded, **tools)
    _, parameters, _ = network(n.I, n.H, 1, out_every_t=True)
    V, _, bias, reflection, _, theta, _ = parameters
    index = variables["index_permute_long"][: n.H]
    return Draw(
        {
            "w": theta,
            "v": reflection[:, : n.H] - 1j * reflection[:, n.H :],  # the code takes the conjugates
            "Wx": V[:, : n.H] + 1j * V[:, n.H :],
            "b": bias,
            "P": np.eye(n.H)[:, index],
        }
    )


DRAWS: dict[str, DrawCell] = {"exp_rnn": exp_rnn, "urnn": urnn}
