"""The problem of a training step (sizes, parameters, tokens), and a variant of its computation."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Problem:
    """A language model with one recurrent layer, and its training batch.

    Args:
        cell: Name of the cell.
        options: Values of its options.
        symbols: ``V``.
        hidden: ``H``.
        threads: Number of threads.
        params: Parameters of the cell and the readout, by their names in zoo: ``"Wxh" (V, H)``, ...,
            ``"Why" (H, V)``, ``"by" (V,)``.
        inputs: Tokens ``(T, B)``.
        targets: Target tokens ``(T, B)``.
    """

    cell: str
    options: Mapping[str, Any]
    symbols: int
    hidden: int
    threads: int
    params: Mapping[str, Array]
    inputs: Array
    targets: Array

    @property
    def dtype(self) -> str:
        """``"float32"`` or ``"float64"``."""
        return str(self.params["Why"].dtype)

    def save(self, path: Path) -> None:
        """Write it to a file."""
        settings = {
            "cell": self.cell,
            "options": dict(self.options),
            "symbols": self.symbols,
            "hidden": self.hidden,
            "threads": self.threads,
        }
        arrays: dict[str, Any] = {f"param {name}": value for name, value in self.params.items()}
        np.savez(path, settings=json.dumps(settings), inputs=self.inputs, targets=self.targets, **arrays)


def load(path: Path) -> Problem:
    """Read a problem from a file."""
    with np.load(path, allow_pickle=False) as arrays:
        params = {name[6:]: arrays[name] for name in arrays.files if name.startswith("param ")}
        settings = json.loads(str(arrays["settings"]))
        return Problem(**settings, params=params, inputs=arrays["inputs"], targets=arrays["targets"])


@dataclass(frozen=True)
class Variant:
    """A variant of the training step of a problem.

    Args:
        name: Its difference from other variants, ``"one-hot"``.
        run: Compute the loss and all gradients; finished when it returns.
        check: The loss in nats per symbol, and the Euclidean norm of the gradient of the input weights, which
            does not depend on the order of gates or a second bias.
    """

    name: str
    run: Callable[[], object]
    check: Callable[[], tuple[float, float]]


def norm(*arrays: Any) -> float:
    """Euclidean norm of all elements."""
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(array, np.float64))) for array in arrays)))
