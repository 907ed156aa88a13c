"""Makes vanilla.npz: PyTorch's nn.RNN over a short sequence, with all its gradients, in float64.

    python tests/golden/make_vanilla.py

needs PyTorch (the extra ``peers``). The scalar that is differentiated is ``sum(dy * y) + sum(dlast * last)``,
so that gradients come in at every step and at the last state. PyTorch has two biases; here one is zero.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

STEPS, BATCH, FEATURES, HIDDEN = 7, 3, 5, 6


def arrays() -> dict[str, np.ndarray]:
    """Parameters, first state, inputs and incoming gradients, in zoo's layout."""
    rng = np.random.default_rng(20)
    shapes = {
        "Wxh": (FEATURES, HIDDEN),
        "Whh": (HIDDEN, HIDDEN),
        "bh": (HIDDEN,),
        "h0": (BATCH, HIDDEN),
        "x": (STEPS, BATCH, FEATURES),
        "dy": (STEPS, BATCH, HIDDEN),
        "dlast": (BATCH, HIDDEN),
    }
    values = {name: 0.7 * rng.normal(size=shape) for name, shape in shapes.items()}
    return values | {"tokens": rng.integers(0, FEATURES, (STEPS, BATCH))}


def run(given: dict[str, np.ndarray], x: np.ndarray) -> dict[str, np.ndarray]:
    """Run ``torch.nn.RNN``, and return outputs, last state and gradients for an input (T, B, I)."""
    rnn = torch.nn.RNN(FEATURES, HIDDEN, nonlinearity="tanh", dtype=torch.float64)
    with torch.no_grad():
        rnn.weight_ih_l0.copy_(torch.from_numpy(given["Wxh"].T))
        rnn.weight_hh_l0.copy_(torch.from_numpy(given["Whh"].T))
        rnn.bias_ih_l0.copy_(torch.from_numpy(given["bh"]))
        rnn.bias_hh_l0.zero_()
    inputs = torch.from_numpy(x).requires_grad_()
    first = torch.from_numpy(given["h0"]).requires_grad_()
    y, last = rnn(inputs, first[None])
    scalar = (torch.from_numpy(given["dy"]) * y).sum() + (torch.from_numpy(given["dlast"]) * last[0]).sum()
    scalar.backward()
    results = {
        "y": y,
        "last": last[0],
        "dx": inputs.grad,
        "dh0": first.grad,
        "dWxh": rnn.weight_ih_l0.grad.T,
        "dWhh": rnn.weight_hh_l0.grad.T,
        "dbh": rnn.bias_ih_l0.grad,
    }
    return {name: value.detach().numpy() for name, value in results.items()}


def main() -> None:
    """Write the file beside this script."""
    given = arrays()
    dense = run(given, given["x"])
    one_hot = run(given, np.eye(FEATURES)[given["tokens"]])
    np.savez_compressed(
        Path(__file__).with_name("vanilla.npz"),
        made_with=np.array(f"torch {torch.__version__}, numpy {np.__version__}"),
        **given,
        **{f"dense_{name}": value for name, value in dense.items()},
        **{f"tokens_{name}": value for name, value in one_hot.items()},
    )


if __name__ == "__main__":
    main()
