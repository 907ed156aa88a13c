"""Where a run stands: everything that changes from step to step, and its form in a checkpoint."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import zoo
from zoo.base import Optimizer
from zoo.errors import CheckpointError
from zoo.model import AnyModel, model_arrays, model_metadata
from zoo.model.checkpoint import array_shapes, strip_prefixes
from zoo.storage import Checkpoint, expect
from zoo.training.config import Config
from zoo.training.metrics import Means
from zoo.training.schedules import Schedule

Array = np.ndarray[Any, Any]


@dataclass
class Progress:
    """The state of training besides the parameters.

    Attributes:
        slots: The optimizer's.
        schedule: The schedule's state.
        carried: States of the layers after the last window; None before the first.
        step: Updates made.
        best: Validation loss of the best model so far; None before the first validation.
        best_step: When that was.
        solved: Whether the best model solves its task; no text is ever solved.
        stale: Validations since then.
        clipped: Updates whose gradient was clipped.
        means: What the next line of progress shows.
    """

    slots: dict[str, Array]
    schedule: Any
    carried: dict[str, Array] | None = None
    step: int = 0
    best: float | None = None
    best_step: int = 0
    solved: bool = False
    stale: int = 0
    clipped: int = 0
    means: Means = field(default_factory=Means)

    def improves(self, loss: float, solved: bool) -> bool:
        """Whether a validation is better than all before: solved before unsolved, then by the loss."""
        return self.best is None or (solved, -loss) > (self.solved, -self.best)

    def to_checkpoint(self, model: AnyModel, config: Config, read: Mapping[str, Any]) -> Checkpoint:
        """Everything a resumed run needs; ``read`` identifies the text or the task, ``{"text": facts}``.

        There is no generator state: first values and samples come from the seed by counting, and the place in
        the text or among examples from the step.
        """
        arrays = model_arrays(model)
        arrays |= {f"optimizer.{name}": value for name, value in self.slots.items()}
        arrays |= {f"state.{name}": value for name, value in (self.carried or {}).items()}
        meta: dict[str, object] = {
            "kind": model.kind,
            "model": model_metadata(model),
            "training": {
                **{name: getattr(self, name) for name in (*_COUNTERS, "best", "solved", "schedule")},
                "means": self.means.to_json(),
            },
            "config": config.to_json(),
            **read,
            "versions": versions(),
        }
        return Checkpoint(arrays, meta)


_COUNTERS = ("step", "best_step", "stale", "clipped")


def versions() -> dict[str, str]:
    """The versions on which the bits of a run depend."""
    from importlib.metadata import version

    named = {name: version(name) for name in ("numpy", "numba", "llvmlite")}
    return {"zoo": zoo.__version__, "python": platform.python_version(), **named}


def restore(
    checkpoint: Checkpoint,
    model: AnyModel,
    optimizer: Optimizer,
    schedule: Schedule,
    batch: int,
    source: str,
) -> Progress:
    """Put a checkpoint's parameters and buffers into the model, and give back where the run stood.

    Raises:
        CheckpointError: if arrays or counters are not those that this model and optimizer would have saved.
    """
    slots = {f"optimizer.{name}": shape for name, shape in optimizer.slot_shapes(model.theta.size).items()}
    states = {f"state.{name}": (batch, *shape) for name, shape in model.stack.state_shapes.items()}
    kept = array_shapes(model.layout.shapes, model.stack.buffer_shapes)
    carried = any(name.startswith("state.") for name in checkpoint.arrays)
    shapes = {**kept, **slots, **(states if carried else {})}
    expect(checkpoint, {name: (shape, model.dtype) for name, shape in shapes.items()}, source=source)
    arrays = checkpoint.arrays
    try:
        counters = _counters(checkpoint.meta["training"], schedule)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{source}: its training state is not one zoo wrote ({str(error)[:200]})."
        ) from None
    model.fill(strip_prefixes(arrays))
    return Progress(
        slots={name: arrays[f"optimizer.{name}"] for name in optimizer.slots},
        carried={name.removeprefix("state."): arrays[name] for name in states} if carried else None,
        **counters,
    )


def _counters(stored: Any, schedule: Schedule) -> dict[str, Any]:
    """What a checkpoint says of a run besides arrays, each value checked: a file may hold anything.

    Raises:
        KeyError, TypeError, ValueError: if it is not what ``Progress.to_checkpoint`` wrote.
    """
    found = {name: stored[name] for name in (*_COUNTERS, "best")}
    found["solved"] = stored.get("solved", False)  # checkpoints from before there were tasks lack it
    means = Means.from_json(stored["means"])
    counts = [*(found[name] for name in _COUNTERS), means.steps, means.clipped]
    numbers = [
        means.loss,
        means.norm,
        means.left,
        means.left,
        *([] if found["best"] is None else [found["best"]]),
    ]
    if not all(type(count) is int and 0 <= count < 2**63 for count in counts):
        raise ValueError(f"counts are {counts}")
    if not all(type(number) is float and math.isfinite(number) for number in numbers):
        raise ValueError(f"numbers are {numbers}")
    if not isinstance(found["solved"], bool):
        raise ValueError(f"solved is {found['solved']!r}")
    return {**found, "schedule": schedule.restore(stored["schedule"]), "means": means}
