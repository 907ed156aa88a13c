"""The command line that repeats a comparison."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from zoo.comparison import specs
from zoo.comparison.data_sets import data_flags
from zoo.comparison.model_info import merge_layers, stated_options
from zoo.comparison.plan import DEFAULTS, Plan, PlanEntry
from zoo.comparison.resolve import ResolvedPlan
from zoo.comparison.specs import TaskInfo


def command_line(plan: Plan, resolved: ResolvedPlan, folder: Path) -> str:
    """Make the command line that reproduces a comparison, with defaults of ``zoo compare`` spelled out.

    Data sets with different settings need a command each.

    Args:
        plan: The plan.
        resolved: Its cells and tasks.
        folder: Directory of the comparison.
    """
    length, amount = plan.length
    tasks = {label: entry for label, entry in plan.tasks.items() if not entry.is_data}
    options = {
        label: merge_layers(cell.stated_options, cell.options) for label, cell in resolved.cells.items()
    }
    for label, info in resolved.tasks.items():
        options |= {label: stated_options(info.task)} if isinstance(info, TaskInfo) else {}
    options["optimizer"] = stated_options(resolved.optimizer)
    first, *others = _data_groups(plan.tasks.values()) or [[]]
    flags = ["--cells", _label_list(plan.cells), *(("--tasks", _label_list(tasks)) if tasks else ())]
    flags += [*first, "--seeds", str(plan.seeds)]
    sizes = ",".join(map(str, sorted(plan.sizes.numbers)))
    flags += [f"--{plan.sizes.kind}", sizes, f"--{length}", f"{amount:g}"]
    flags += ["--lr" if len(plan.rates) == 1 else "--lr-grid", ",".join(f"{rate:g}" for rate in plan.rates)]
    flags += [] if plan.sweep_steps is None else ["--sweep-steps", str(plan.sweep_steps)]
    flags += ["--sweep-rounds", str(plan.sweep_rounds)] if plan.sweep_rounds and len(plan.rates) > 1 else []
    optimizer = specs.spec_for_commands(plan.optimizer_spec) or plan.settings["optimizer"]
    settings = {**plan.settings, "optimizer": optimizer}
    flags += ["--reference", plan.reference] if plan.reference else []
    flags += [*_setting_flags(settings), *_set_flags(settings, options)]
    plugins = [
        word for file in specs.plugin_files() for word in ("--plugin", specs.path_for_commands(Path(file)))
    ]
    flags, others = [*flags, *plugins], [[*data, *plugins] for data in others]
    out = ["--out", str(folder)] if others else []
    commands = [[*flags, *out], *([*out, *data] for data in others)]
    return " && ".join(shlex.join(["zoo", "compare", *command]) for command in commands)


def _data_groups(entries: Iterable[PlanEntry]) -> list[list[str]]:
    """Flags of the data sets, a list for each group with the same settings."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for entry in entries:
        if entry.is_data:
            files = groups.setdefault(tuple(data_flags(entry)), [])
            files += ["--data", specs.path_for_commands(Path(entry.spec))]
    return [[*files, *settings] for settings, files in groups.items()]


def _label_list(entries: Mapping[str, PlanEntry]) -> str:
    return ",".join(
        spec if specs.has_default_label(label, entry) else f"{label}={spec}"
        for label, entry in entries.items()
        for spec in (specs.spec_for_commands(entry.spec),)
    )


_LIST_FLAGS = {"constraints": "--constraint", "penalties": "--penalty", "param_groups": "--param-group"}


def _setting_flags(settings: Mapping[str, Any]) -> Iterator[str]:
    """Flags of the settings that differ from their defaults."""
    for name, value in settings.items():
        if name in _LIST_FLAGS:
            yield from (part for text in value for part in (_LIST_FLAGS[name], text))
        elif name == "schedule":
            yield from () if _has_default_schedule(settings) else ("--schedule", value)
        elif value != DEFAULTS[name] and not name.endswith("_options"):
            flag = f"--{name.replace('_', '-')}"
            yield from (flag,) if value is True else (flag, f"{value}")


def _has_default_schedule(settings: Mapping[str, Any]) -> bool:
    """Whether neither the schedule nor an option of it was set: ``--schedule`` alone resets the options."""
    return all(settings[name] == DEFAULTS[name] for name in ("schedule", "schedule_options"))


def _set_flags(settings: Mapping[str, Any], options: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """``--set`` flags of the options that a command states, by label."""
    for label, label_options in options.items():
        for name, value in label_options.items():
            yield from ("--set", f"{label}.{name}={value}")
    if _has_default_schedule(settings):
        return
    for name, value in settings["schedule_options"].items():
        yield from ("--set", f"schedule.{name}={value}")
