"""Find the checkpoint to resume from, and check that the configuration is compatible."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import CheckpointError
from zoo.model import AnyModel
from zoo.storage import Checkpoint, RunDirectory
from zoo.training.config import RESUMABLE_CHANGES, Config
from zoo.training.config_conversion import config_from_json
from zoo.training.dataset import Dataset
from zoo.training.schedules import depends_on_steps
from zoo.training.state import versions_and_processor

# Fields that `prepare_text`, `prepare_task`, `prepare_table` and `prepare_sequences` resolve if None.
_RESOLVED_FIELDS = (
    *("split", "batch", "seq", "steps", "eval_every", "save_every"),
    *("sampling_steps", "input", "time", "context", "season", "loss", "label", "pooling"),
)


def resume_config(out: str | Path) -> Config | None:
    """The configuration of the run in a directory, or None if it holds no run.

    Raises:
        CheckpointError: if it cannot be read or is invalid.
    """
    directory = RunDirectory(out)
    if not directory.holds_run():
        return None
    return _stored_config(directory)


def _stored_config(directory: RunDirectory) -> Config:
    stored = directory.read_config()
    if stored.get("task") is None:
        stored = {"kind": "text", **stored}  # the first runs lack it
    return config_from_json(stored, str(directory.config_path))


def fill_defaults_from(config: Config, before: Config, *, has_schedule: bool = True) -> Config:
    """Replace the fields that are None by the fields of the stored run.

    Args:
        config: The requested configuration.
        before: The configuration of the stored run.
        has_schedule: Whether a schedule was requested: `auto` chooses it otherwise.
    """
    names = [name for name in (*_RESOLVED_FIELDS, "lr", "init_from") if getattr(config, name) is None]
    if config.pooling not in (None, before.pooling):  # the other pooling may have no `seq`
        names = [name for name in names if name != "seq"]
    if config.epochs is not None:
        names = [name for name in names if name != "steps"]
    if not config.scheduled_sampling:
        names = [name for name in names if name != "sampling_steps"]
    if config.auto and before.auto and not has_schedule:
        names += ["schedule", "schedule_options"]
    return dataclasses.replace(config, **{name: getattr(before, name) for name in names})


def incompatible_changes(before: Config, now: Config) -> list[str]:
    """Differences between two configurations that would change the results of a resumed run."""
    allowed = RESUMABLE_CHANGES - ({"steps", "epochs"} if _depends_on_length(before) else set())
    if before.task == now.task and not changed_options(before.task_options, now.task_options, may_move=True):
        allowed |= {"task_options"}  # the checkpoint has the digest of the examples
    old, new = before.to_json(), now.to_json()
    return [
        f"{name}: {_value(old[name])} -> {_value(new[name])}"
        for name in old
        if old[name] != new[name] and name not in allowed
    ]


def changed_options(before: Mapping[str, Any], now: Mapping[str, Any], *, may_move: bool) -> list[str]:
    """The options of a task that differ, sorted.

    Args:
        before: The stored options.
        now: The requested options.
        may_move: Whether an option may name a file or a directory in another location. The caller compares
            the examples of the task.
    """
    return [
        name
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name) and not (may_move and _names_file(now.get(name)))
    ]


def _names_file(value: Any) -> bool:
    return isinstance(value, str) and os.path.exists(value)  # noqa: PTH110 - Path.exists raises for some names


def _value(setting: Any) -> str:
    return "default" if setting is None else repr(setting)


def _depends_on_length(config: Config) -> bool:
    """Whether the run up to here depends on its number of steps.

    It does if the schedule spans the run, and if the validation after the last step, which was not due, has
    changed the schedule or early stopping.
    """
    spans = depends_on_steps(config.schedule, config.schedule_options)
    uses_losses = config.schedule == "plateau" or config.patience > 0
    return spans or (uses_losses and (config.steps or 0) % (config.eval_every or 1) != 0)


def find_checkpoint(
    config: Config,
    dataset: Dataset,
    model: AnyModel,
    directory: RunDirectory,
    report: Callable[[str], None],
) -> tuple[int, Checkpoint] | None:
    """Step and checkpoint to resume from, checked to be of the same run; None to start again.

    Args:
        config: The resolved configuration.
        dataset: Its text, task or table.
        model: The new model.
        directory: The run directory.
        report: Called with a sentence for every difference.

    Raises:
        CheckpointError: if the run would be another run, or no checkpoint is valid.
    """
    before = _stored_config(directory)
    if changes := incompatible_changes(before, config):
        is_longer = before.steps != config.steps and _depends_on_length(before)
        reason = f"; the schedule {before.schedule!r} depends on `steps`" if is_longer else ""
        raise CheckpointError(
            f"{directory.path} cannot be resumed with another configuration ({'; '.join(changes)}){reason}; "
            f"give the settings of the run, or another `out`."
        )
    last = directory.load_last(report)
    if last is None:
        return None
    _check_same(last[1].meta, config, dataset, model, directory)
    if difference := _other_versions(last[1].meta.get("versions")):
        report(f"{difference} The run continues. Its results may differ in the last bits.")
    return last


def _check_same(
    meta: dict[str, Any], config: Config, dataset: Dataset, model: AnyModel, directory: RunDirectory
) -> None:
    """Raise an error for a checkpoint of another text, task or cell."""
    try:
        model_then, dataset_then = dict(meta["model"]), meta[dataset.kind]["sha256"]
        cells_then = _sources(model_then)
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{directory.path} cannot be resumed: its checkpoint is not one of training."
        ) from None
    model_now, dataset_now = model.metadata(), dataset.metadata()["sha256"]
    cells = zip(config.cell_names, cells_then, _sources(model_now), strict=False)
    for what, then, now in (
        ("set of sequences" if dataset.kind == "sequences" else dataset.kind, dataset_then, dataset_now),
        *((f"cell {name!r}", *sources) for name, *sources in cells),
    ):
        if then != now:
            raise CheckpointError(
                f"{directory.path} cannot be resumed: the {what} has changed since (sha256 "
                f"{_short_digest(then)} then, {now[:12]} now); restore it, or start a new run with another "
                f"`out`. To begin with the parameters of this run, name it as `init_from`."
            )
    if model_then != model_now:
        raise CheckpointError(
            f"{directory.path} cannot be resumed: its checkpoint is of another model than its configuration."
        )


def _sources(model: dict[str, Any]) -> list[Any]:
    """Digest of the cell of all layers, or of each."""
    cells = model["cell"]
    sources = [cell["source"] for cell in (cells if isinstance(cells, list) else [cells])]
    if not sources:
        raise ValueError("no cells")
    return sources


def _short_digest(digest: object) -> str:
    """The first characters of a digest, or of any other value in a file, escaped for a terminal."""
    return ascii(str(digest)[:12])[1:-1]


def _other_versions(then: Any) -> str:
    """The stored versions that differ from the present ones, as a sentence; empty if none does."""
    known = then if isinstance(then, dict) else {}
    others = [
        f"{name} {str(known.get(name, 'not recorded'))[:40]} -> {now}"
        for name, now in versions_and_processor().items()
        if known.get(name) != now
    ]
    return f"Changed since the last checkpoint: {', '.join(others)}." if others else ""
