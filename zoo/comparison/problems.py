"""What a comparison has to know of its tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from zoo.contracts import Task


@dataclass(frozen=True)
class Problem:
    """A task with its options, and what is asked of it more than once.

    Args:
        task: The task.

    Attributes:
        kernels: Tasks for which a cell needs the same kernels have the same.
        source: SHA-256 of its data.
        baseline: Its score without memory.
    """

    task: Task
    kernels: str = field(init=False)
    source: str = field(init=False)
    baseline: float = field(init=False)

    def __post_init__(self) -> None:
        """Ask the task: it draws examples for that, which is not done twice."""
        inputs = "tokens" if self.task.batch(0, 1).inputs.ndim == 2 else "numbers"
        model = "sequence model" if self.task.vocabulary is None else "language model"
        facts = {
            "kernels": f"{inputs}, {self.task.loss}, {model}",
            "source": self.task.fingerprint(),
            "baseline": float(self.task.baseline()),
        }
        vars(self).update(facts)

    def goal(self) -> dict[str, Any]:
        """What is measured, as plain JSON."""
        return {
            "metric": self.task.metric,
            "higher_is_better": self.task.higher_is_better,
            "threshold": self.task.threshold,
            "baseline": self.baseline,
        }
