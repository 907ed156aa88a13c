"""From the flags of ``zoo compare`` to the arguments of ``zoo.compare``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.cli.assignments import Target, assign, member_target
from zoo.cli.members import cell_class, task_class
from zoo.cli.resuming import schedule_target
from zoo.comparison.members import by_label
from zoo.contracts import Optimizer
from zoo.errors import UsageError
from zoo.registry import registry_of
from zoo.training import Config


def split(text: str | None) -> list[str]:
    """The parts of a list with commas, each once."""
    return list(dict.fromkeys(part for part in map(str.strip, (text or "").split(",")) if part))


def rates(text: str | None) -> list[float] | None:
    """The learning rates in a list with commas.

    Raises:
        UsageError: if one is no number.
    """
    if text is None:
        return None
    try:
        return [float(part) for part in split(text)]
    except ValueError:
        raise UsageError(
            f"compare: --lr-grid {text!r}; expected numbers with commas, as in 0.001,0.003."
        ) from None


def assigned(
    cells: Sequence[str], tasks: Sequence[str], settings: Mapping[str, Any], assignments: Sequence[str]
) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """What ``--set`` chooses: options of cells and tasks by label, and settings of all runs.

    Args:
        cells: As given to ``--cells``.
        tasks: As given to ``--tasks``.
        settings: Settings that were given as flags.
        assignments: As given to ``--set``.

    Raises:
        ZooError: if a name is unknown or a value is not allowed.
    """
    members = {
        **{label: cell_class(spec) for label, spec in by_label("cell", cells)[0].items()},
        **{label: task_class(spec) for label, spec in by_label("task", tasks)[0].items()},
    }
    optimizer = registry_of(Optimizer).cls(settings.get("optimizer", Config.optimizer))
    targets: list[Target] = [member_target(label, member) for label, member in members.items()]
    targets += [
        member_target("optimizer", optimizer),
        schedule_target(settings.get("schedule", Config.schedule)),
    ]
    chosen = {label: options for label, options in assign(assignments, targets).items() if options}
    ours = {f"{name}_options": chosen.pop(name) for name in ("optimizer", "schedule") if name in chosen}
    return chosen, ours
