"""The command that makes a comparison again."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from zoo.comparison.plan import Member, Plan
from zoo.contracts import Member as Registered
from zoo.contracts import Optimizer
from zoo.registry import registry_of
from zoo.training.config import Config

_SPELT = {"stop_when_solved": "--until-solved"}


def command(plan: Plan, members: Mapping[str, Registered]) -> str:
    """The command line, with nothing left to defaults but the settings that are the same for all.

    Args:
        plan: The plan.
        members: Its cells and tasks by label.
    """
    (size, number), (length, amount) = plan.size, plan.length
    words = ["--cells", _names(plan.cells), "--tasks", _names(plan.tasks), "--seeds", str(plan.seeds)]
    words += [f"--{size}", str(number), f"--{length}", f"{amount:g}"]
    words += ["--lr" if len(plan.rates) == 1 else "--lr-grid", ",".join(f"{rate:g}" for rate in plan.rates)]
    words += [] if plan.sweep_steps is None else ["--sweep-steps", str(plan.sweep_steps)]
    words += [*_settings(plan.settings), *_assignments(plan.settings, members)]
    return shlex.join(["zoo", "compare", *words])


def _names(members: Mapping[str, Member]) -> str:
    return ",".join(
        label if label == member.name else f"{label}={member.name}" for label, member in members.items()
    )


def _settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """Flags for the settings that are not as they are without."""
    for name, value in settings.items():
        if value != getattr(Config(), name) and not name.endswith("_options"):
            flag = _SPELT.get(name, f"--{name.replace('_', '-')}")
            yield from (flag,) if value is True else (flag, f"{value}")


def _assignments(settings: Mapping[str, Any], members: Mapping[str, Registered]) -> Iterator[str]:
    """``--set`` for every option that has another value than its default."""
    optimizer = registry_of(Optimizer).get(settings["optimizer"], **settings["optimizer_options"])
    for label, member in {**members, "optimizer": optimizer}.items():
        for name, option in member.declared_options.items():
            if member.options[name] != option.default:
                yield from ("--set", f"{label}.{name}={member.options[name]}")
    for name, value in settings["schedule_options"].items():
        yield from ("--set", f"schedule.{name}={value}")
