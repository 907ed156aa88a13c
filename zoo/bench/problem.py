"""One training step to be computed: sizes, parameters, tokens; and a way to compute it."""

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
    """A language model with one recurrent layer, and what it has to learn from.

    Args:
        cell: Name of the cell.
        options: The values of its options.
        symbols: ``V``.
        hidden: ``H``.
        threads: Threads to use.
        params: Parameters of the cell and the readout by the names they have in zoo: ``"Wxh" (V, H)``, ...,
            ``"Why" (H, V)``, ``"by" (V,)``.
        inputs: Tokens ``(T, B)``.
        targets: The tokens to be predicted, ``(T, B)``.
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
        """Write it for another process."""
        facts = {
            "cell": self.cell,
            "options": dict(self.options),
            "symbols": self.symbols,
            "hidden": self.hidden,
            "threads": self.threads,
        }
        arrays: dict[str, Any] = {f"param {name}": value for name, value in self.params.items()}
        np.savez(path, facts=json.dumps(facts), inputs=self.inputs, targets=self.targets, **arrays)


def load(path: Path) -> Problem:
    """What another process saved."""
    with np.load(path, allow_pickle=False) as arrays:
        params = {name[6:]: arrays[name] for name in arrays.files if name.startswith("param ")}
        facts = json.loads(str(arrays["facts"]))
        return Problem(**facts, params=params, inputs=arrays["inputs"], targets=arrays["targets"])


@dataclass(frozen=True)
class Way:
    """One way to compute the training step of a problem.

    Args:
        name: What it does differently from the others, ``"one-hot"``.
        run: The whole step: loss and all gradients, finished when it returns.
        check: The loss in nats per symbol, and the Euclidean norm of the gradient of what multiplies the
            input: the one number about the gradients that no order of gates and no second bias changes.
    """

    name: str
    run: Callable[[], object]
    check: Callable[[], tuple[float, float]]


def norm(*arrays: Any) -> float:
    """Euclidean norm of all numbers."""
    return float(np.sqrt(sum(np.sum(np.square(np.asarray(array, np.float64))) for array in arrays)))
