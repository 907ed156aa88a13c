"""What the scripts beside this one share: sizes, tensors, and how a case is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

STEPS, BATCH, IN, H = 5, 3, 4, 6
Shapes = dict[str, tuple[int, ...]]
Tensors = dict[str, torch.Tensor]


def tensor(values: np.ndarray) -> torch.Tensor:
    """Numbers that gradients are asked of."""
    return torch.tensor(values, requires_grad=True)


def back(rng: np.random.Generator, y: torch.Tensor, last: Tensors) -> tuple[torch.Tensor, Tensors]:
    """Random gradients of outputs and last states, sent back.

    The scalar that is differentiated is ``sum(dy * y) + sum(dlast * last)``, so that gradients come in at
    every step and at the last states.
    """
    dy = torch.tensor(rng.normal(size=y.shape))
    dlast = {name: torch.tensor(rng.normal(size=value.shape)) for name, value in last.items()}
    ((dy * y).sum() + sum((dlast[name] * value).sum() for name, value in last.items())).backward()
    return dy, dlast


def gradients(tensors: Tensors) -> Tensors:
    """What came back to some tensors."""
    return {name: value.grad for name, value in tensors.items()}


def named(plain: Tensors, groups: Mapping[str, Tensors]) -> dict[str, np.ndarray]:
    """Arrays under the names they have in a file: ``x``, ``params.Wx``."""
    members = {f"{kind}.{name}": value for kind, group in groups.items() for name, value in group.items()}
    return {name: value.detach().numpy() for name, value in (plain | members).items()}


def write(cases: Mapping[str, Any], golden: Callable[[int, str, Any], dict[str, np.ndarray]]) -> None:
    """Write one file a case beside these scripts."""
    for seed, (name, case) in enumerate(cases.items()):
        np.savez_compressed(
            Path(__file__).parent / "cells" / f"{name}.npz",
            options=np.array(json.dumps(case.options)),
            made_with=np.array(f"torch {torch.__version__}, numpy {np.__version__}"),
            **golden(seed, name, case),
        )
