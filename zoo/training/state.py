"""``TrainingState``: everything that changes from step to step, and its form in a checkpoint."""

from __future__ import annotations

import functools
import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import zoo
from zoo.array_types import Array
from zoo.base.param_groups import AnyOptimizer
from zoo.errors import CheckpointError
from zoo.kernels.processor import describe_processor
from zoo.layers.parameters import Shapes, array_shapes, strip_prefixes
from zoo.model import AnyModel
from zoo.model.checkpoint import CALIBRATION_PREFIX
from zoo.storage import Checkpoint, expect
from zoo.training.config import Config
from zoo.training.metrics import RunningMeans
from zoo.training.schedules import Schedule


@dataclass
class TrainingState:
    """The state of training besides the parameters.

    Attributes:
        optimizer_state: State of the optimizer.
        schedule: State of the schedule.
        carried_states: States of the layers after the last batch, with an online gradient also their
            influence; None before the first.
        step: Number of updates.
        best: Validation loss of the best model so far; None before the first validation.
        criterion: The value that the best model minimises, its loss by default; None before.
        best_step: Its step.
        solved: Whether the best model solves its task; always False for a text.
        evals_since_best: Validations since then.
        clipped: Number of updates whose gradient was clipped.
        means: Means for the next progress line.
    """

    optimizer_state: Mapping[str, Array]
    schedule: Any
    carried_states: dict[str, Array] | None = None
    step: int = 0
    best: float | None = None
    criterion: float | None = None
    best_step: int = 0
    solved: bool = False
    evals_since_best: int = 0
    clipped: int = 0
    means: RunningMeans = field(default_factory=RunningMeans)

    def improves(self, criterion: float, solved: bool) -> bool:
        """Whether a validation is the best so far: solved before unsolved, then by the criterion."""
        return self.criterion is None or (solved, -criterion) > (self.solved, -self.criterion)

    def to_checkpoint(self, model: AnyModel, config: Config, dataset: Mapping[str, Any]) -> Checkpoint:
        """Everything a resumed run needs; ``dataset`` identifies the text or task, ``{"text": metadata}``.

        There is no generator state: initial values and samples are counter-based random numbers, and the
        position in the text or among the examples follows from the step.
        """
        of_model = model.to_checkpoint()
        arrays = dict(of_model.arrays)
        arrays |= {f"optimizer.{name}": value for name, value in self.optimizer_state.items()}
        arrays |= {f"state.{name}": value for name, value in (self.carried_states or {}).items()}
        meta: dict[str, object] = {
            **of_model.meta,
            "training": {
                **{key: getattr(self, name) for key, name in _COUNTERS.items()},
                **{name: getattr(self, name) for name in ("best", "criterion", "solved", "schedule")},
                "means": self.means.to_json(),
            },
            "config": config.to_json(),
            **dataset,
            "versions": versions_and_processor(),
        }
        return Checkpoint(arrays, meta)


_COUNTERS = {"step": "step", "best_step": "best_step", "stale": "evals_since_best", "clipped": "clipped"}
"""Keys of counters in a checkpoint, and their attributes."""


def versions_and_processor() -> dict[str, str]:
    """The versions, and the processor, which decide the bits of a run."""
    return {**versions(), "processor": describe_processor()}


def versions() -> dict[str, str]:
    """The versions of Python and its packages that decide the bits of a run."""
    named = {name: _version(name) for name in ("numpy", "numba", "llvmlite")}
    return {"zoo": zoo.__version__, "python": platform.python_version(), **named}


@functools.cache  # for each checkpoint; the three took 0.6 ms
def _version(name: str) -> str:
    from importlib.metadata import version

    return version(name)


def restore(
    checkpoint: Checkpoint,
    model: AnyModel,
    optimizer: AnyOptimizer,
    schedule: Schedule,
    carry_shapes: Shapes,
    source: str,
) -> TrainingState:
    """Load a checkpoint's parameters and buffers into the model, and return the training state.

    Args:
        checkpoint: The checkpoint.
        model: The model.
        optimizer: The optimizer.
        schedule: The schedule of the learning rate.
        carry_shapes: Shapes of the carried states, and of their influence.
        source: Its name in messages.

    Raises:
        CheckpointError: if arrays or counters do not match the model and the optimizer.
    """
    slots = {f"optimizer.{name}": shape for name, shape in optimizer.slot_shapes(model.theta.size).items()}
    states = {f"state.{name}": shape for name, shape in carry_shapes.items()}
    model_shapes = array_shapes(model.layout.shapes, model.stack.buffer_shapes)
    has_states = any(name.startswith("state.") for name in checkpoint.arrays)
    shapes = {**model_shapes, **slots, **(states if has_states else {})}
    arrays = {
        name: array for name, array in checkpoint.arrays.items() if not name.startswith(CALIBRATION_PREFIX)
    }
    expected = {name: (shape, model.dtype) for name, shape in shapes.items()}
    expect(Checkpoint(arrays, checkpoint.meta), expected, source=source)
    try:
        counters = _counters(checkpoint.meta["training"], schedule)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{source}: its training state is not one zoo wrote ({str(error)[:200]})."
        ) from None
    model.fill(strip_prefixes(arrays))
    return TrainingState(
        optimizer_state={name: arrays[f"optimizer.{name}"] for name in optimizer.slots},
        carried_states={name.removeprefix("state."): arrays[name] for name in states} if has_states else None,
        **counters,
    )


def _counters(stored: Any, schedule: Schedule) -> dict[str, Any]:
    """Read and check the values of a training state that are not arrays; a file may hold anything.

    Raises:
        KeyError, TypeError, ValueError: if it is not what ``Progress.to_checkpoint`` wrote.
    """
    counters = {name: stored[key] for key, name in _COUNTERS.items()}
    best, solved = stored["best"], stored.get("solved", False)  # the first checkpoints lack `solved`
    criterion = stored.get("criterion", best)  # and `criterion`
    means = RunningMeans.from_json(stored["means"])
    counts = [*counters.values(), means.steps, means.clipped]
    optional = [number for number in (best, criterion, means.penalty) if number is not None]
    numbers = [means.loss, means.norm, means.clipped_norm, *optional]
    if not all(type(count) is int and 0 <= count < 2**63 for count in counts):
        raise ValueError(f"counts are {counts}")
    if not all(type(number) is float and math.isfinite(number) for number in numbers):
        raise ValueError(f"numbers are {numbers}")
    if not isinstance(solved, bool):
        raise ValueError(f"solved is {solved!r}")
    restored = schedule.restore(stored["schedule"])
    return {
        **counters,
        "best": best,
        "criterion": criterion,
        "solved": solved,
        "schedule": restored,
        "means": means,
    }
