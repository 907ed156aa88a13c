"""Makes optimizers.npz: trajectories of PyTorch's optimizers, and of Lion written out in NumPy.

    python tests/golden/make_optimizers.py

needs PyTorch (the extra ``peers``). The trajectories are in float64, on one fixed sequence of gradients that
the parameters have no influence on, so that an error cannot heal itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

STEPS, SIZE, EVERY = 250, 7, 10


def betas(options: dict[str, Any]) -> dict[str, Any]:
    """PyTorch's spelling of the two decay rates."""
    rest = {name: value for name, value in options.items() if name not in ("beta1", "beta2")}
    return rest | {"betas": (options.get("beta1", 0.9), options.get("beta2", 0.999))}


def same(options: dict[str, Any]) -> dict[str, Any]:
    """Options that both spell alike."""
    return options


def adagrad(options: dict[str, Any]) -> dict[str, Any]:
    """PyTorch's longer name."""
    renamed = dict(options)
    if "initial_accumulator" in renamed:
        renamed["initial_accumulator_value"] = renamed.pop("initial_accumulator")
    return renamed


PEERS = {
    "sgd": (torch.optim.SGD, same),
    "adagrad": (torch.optim.Adagrad, adagrad),
    "rmsprop": (torch.optim.RMSprop, same),
    "adam": (torch.optim.Adam, betas),
    "adamw": (torch.optim.AdamW, betas),
    "nadam": (torch.optim.NAdam, betas),
    "adamax": (torch.optim.Adamax, betas),
}
CASES: list[tuple[str, dict[str, Any]]] = [
    ("sgd", {"lr": 0.01}),
    ("sgd", {"lr": 0.01, "momentum": 0.9}),
    ("sgd", {"lr": 0.01, "momentum": 0.8, "dampening": 0.3, "weight_decay": 0.05}),
    ("sgd", {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.01, "nesterov": True}),
    ("sgd", {"lr": 0.01, "dampening": 0.5, "weight_decay": 0.1}),
    ("adagrad", {"lr": 0.01}),
    ("adagrad", {"lr": 0.1, "lr_decay": 0.01, "eps": 1e-3, "weight_decay": 0.1}),
    ("adagrad", {"lr": 0.05, "initial_accumulator": 0.5}),
    ("rmsprop", {"lr": 0.01}),
    ("rmsprop", {"lr": 0.01, "alpha": 0.9, "eps": 1e-4, "momentum": 0.7, "weight_decay": 0.1}),
    ("rmsprop", {"lr": 0.01, "centered": True, "eps": 1e-3}),
    ("rmsprop", {"lr": 0.005, "centered": True, "momentum": 0.9, "eps": 1e-2, "weight_decay": 0.01}),
    ("adam", {"lr": 0.001}),
    ("adam", {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-4, "weight_decay": 0.1}),
    ("adam", {"lr": 0.01, "amsgrad": True, "beta2": 0.9}),
    ("adam", {"lr": 0.01, "beta1": 0.0, "beta2": 0.0, "eps": 0.1}),
    ("adamw", {"lr": 0.001, "weight_decay": 0.01}),
    ("adamw", {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-4, "weight_decay": 1.0}),
    ("nadam", {"lr": 0.002}),
    ("nadam", {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-4, "weight_decay": 0.1}),
    ("nadam", {"lr": 0.01, "momentum_decay": 0.1}),
    ("adamax", {"lr": 0.002}),
    ("adamax", {"lr": 0.01, "beta1": 0.8, "beta2": 0.95, "eps": 1e-3, "weight_decay": 0.1}),
    ("lion", {"lr": 0.001}),
    ("lion", {"lr": 0.01, "beta1": 0.95, "beta2": 0.98, "weight_decay": 0.1}),
    ("lion", {"lr": 0.01, "beta1": 0.5, "beta2": 0.9, "weight_decay": 1.0}),
]


def gradients() -> np.ndarray:
    """The sequence ``(STEPS, SIZE)``: six orders of magnitude, zeros in places where they can do harm."""
    rng = np.random.default_rng(20240229)
    grads = rng.normal(size=(STEPS, SIZE)) * 10.0 ** np.array([-3, -2, -1, 0, 1, 2, 0])
    grads[:, 1] += 0.02  # a mean, so that momentum builds up
    grads[:40, 2] = 0.0  # nothing at first
    grads[100:, 3] = 0.0  # nothing any more
    grads[60:70] = 0.0  # nothing at all
    grads[:, 6] = 0.0  # never anything
    return grads


def peer(name: str, options: dict[str, Any], start: np.ndarray, grads: np.ndarray) -> Iterator[np.ndarray]:
    """Parameters after each of PyTorch's updates."""
    make, spell = PEERS[name]
    theta = torch.tensor(start, requires_grad=True)
    optimizer = make([theta], foreach=False, **spell(options))
    for grad in grads:
        theta.grad = torch.tensor(grad)
        optimizer.step()
        yield theta.detach().numpy().copy()


def lion(options: dict[str, Any], start: np.ndarray, grads: np.ndarray) -> Iterator[np.ndarray]:
    """Parameters after each update of Lion: Algorithm 2 of arXiv 2302.06675, line by line."""
    lr, decay = options["lr"], options.get("weight_decay", 0.0)
    beta1, beta2 = options.get("beta1", 0.9), options.get("beta2", 0.99)
    theta, m = start.copy(), np.zeros_like(start)
    for g in grads:
        c = beta1 * m + (1 - beta1) * g
        theta = theta - lr * (np.sign(c) + decay * theta)
        m = beta2 * m + (1 - beta2) * g
        yield theta


def main() -> None:
    """Write the file beside this script."""
    torch.set_default_dtype(torch.float64)  # NAdam keeps its product of momenta in the default dtype
    grads = gradients()
    start = np.linspace(-1.5, 2.0, SIZE)
    paths = [
        list(lion(options, start, grads) if name == "lion" else peer(name, options, start, grads))
        for name, options in CASES
    ]
    np.savez_compressed(
        Path(__file__).with_name("optimizers.npz"),
        cases=np.array(json.dumps(CASES)),
        made_with=np.array(f"torch {torch.__version__}, numpy {np.__version__}"),
        start=start,
        grads=grads,
        every=np.array(EVERY),
        theta=np.array(paths)[:, EVERY - 1 :: EVERY],  # (case, step, SIZE)
    )


if __name__ == "__main__":
    main()
