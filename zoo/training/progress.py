"""Where a run stands: everything that changes from step to step, and its form in a checkpoint."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import zoo
from zoo.contracts import Optimizer
from zoo.errors import CheckpointError
from zoo.model import LanguageModel, describe_model, model_arrays
from zoo.model.persistence import KIND
from zoo.storage import Checkpoint, expect
from zoo.training.config import Config
from zoo.training.schedules import Schedule

Array = np.ndarray[Any, Any]


@dataclass
class Progress:
    """The state of training besides the parameters.

    Attributes:
        slots: The optimizer's.
        carried: States of the layers after the last window; None at the start of an epoch.
        schedule: The schedule's state.
        step: Updates made.
        best: Lowest validation loss so far, nats; None before the first validation.
        best_step: When it was reached.
        stale: Validations since then.
        clipped: Updates whose gradient was clipped.
    """

    slots: dict[str, Array]
    schedule: Any
    carried: dict[str, Array] | None = None
    step: int = 0
    best: float | None = None
    best_step: int = 0
    stale: int = 0
    clipped: int = 0
    counters: tuple[str, ...] = field(
        default=("step", "best", "best_step", "stale", "clipped", "schedule"), repr=False
    )

    def to_checkpoint(self, model: LanguageModel, config: Config, text: Mapping[str, Any]) -> Checkpoint:
        """Everything a resumed run needs.

        There is no generator state: first values and samples come from the seed by counting, and the place in the text
        from the step.
        """
        arrays = model_arrays(model)
        arrays |= {f"optimizer.{name}": value for name, value in self.slots.items()}
        arrays |= {f"state.{name}": value for name, value in (self.carried or {}).items()}
        meta: dict[str, object] = {
            "kind": KIND,
            "model": describe_model(model),
            "training": {name: getattr(self, name) for name in self.counters},
            "config": config.to_json(),
            "text": dict(text),
            "versions": versions(),
        }
        return Checkpoint(arrays, meta)


def versions() -> dict[str, str]:
    """The versions on which the bits of a run depend."""
    from importlib.metadata import version

    named = {name: version(name) for name in ("numpy", "numba", "llvmlite")}
    return {"zoo": zoo.__version__, "python": platform.python_version(), **named}


def restore(
    checkpoint: Checkpoint,
    model: LanguageModel,
    optimizer: Optimizer,
    schedule: Schedule,
    batch: int,
    source: str,
) -> Progress:
    """Put a checkpoint's parameters into the model, and give back where the run stood.

    Raises:
        CheckpointError: if arrays or counters are not those that this model and optimizer would have saved.
    """
    slots = {f"optimizer.{name}": shape for name, shape in optimizer.slot_shapes(model.theta.size).items()}
    states = {f"state.{name}": (batch, *shape) for name, shape in model.stack.state_shapes.items()}
    params = {f"params.{name}": shape for name, shape in model.layout.shapes.items()}
    carried = any(name.startswith("state.") for name in checkpoint.arrays)
    shapes = {**params, **slots, **(states if carried else {})}
    expect(checkpoint, {name: (shape, model.dtype) for name, shape in shapes.items()}, source=source)
    for name in model.params:
        model.params[name] = checkpoint.arrays[f"params.{name}"]
    try:
        found: dict[str, Any] = dict(checkpoint.meta["training"])  # type: ignore[call-overload]  # or TypeError, below
        found["schedule"] = schedule.restore(found["schedule"])
        progress = Progress(
            slots={name: checkpoint.arrays[f"optimizer.{name}"] for name in optimizer.slots},
            carried={name[6:]: checkpoint.arrays[name] for name in states} if carried else None,
            **found,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{source}: its training state is not one zoo wrote ({error}).") from None
    if type(progress.step) is not int or progress.step < 0:
        raise CheckpointError(f"{source}: its step is {progress.step!r}; expected a count.")
    return progress
