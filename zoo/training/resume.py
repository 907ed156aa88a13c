"""What a run may be resumed with, and from what."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.errors import CheckpointError
from zoo.model import AnyModel, model_metadata
from zoo.storage import Checkpoint, RunDirectory
from zoo.training.config import HARMLESS, Config, config_from_json
from zoo.training.dataset import Reader
from zoo.training.state import versions

# What `prepare` settles when it is left open.
_SETTLED = ("split", "batch", "seq", "steps", "eval_every", "save_every")


def resume_config(out: str | Path) -> Config | None:
    """The configuration of the run in a directory, or None if there is none to resume.

    Raises:
        CheckpointError: if it cannot be read or is none.
    """
    directory = RunDirectory(out)
    if not directory.holds_run():
        return None
    return config_from_json(directory.read_config(), str(directory.config_path))


def left_open(config: Config, before: Config) -> Config:
    """A configuration in which everything that was left open is as the run has it already."""
    names = [name for name in (*_SETTLED, "lr") if getattr(config, name) is None]
    if config.epochs is not None:
        names = [name for name in names if name != "steps"]
    return dataclasses.replace(config, **{name: getattr(before, name) for name in names})


def harmful_changes(before: Config, now: Config) -> list[str]:
    """The settings in which two configurations differ so that a resumed run would not be the same run."""
    harmless = HARMLESS - ({"steps", "epochs"} if _length_matters(before) else set())
    old, new = before.to_json(), now.to_json()
    return [
        f"{name}: {old[name]!r} -> {new[name]!r}"
        for name in old
        if old[name] != new[name] and name not in harmless
    ]


def _length_matters(config: Config) -> bool:
    """Whether a longer run would have come here with other numbers.

    It would if the schedule spans the run; and if the validation after the last step, which comes although
    none is due, moved the schedule or early stopping.
    """
    spans = config.schedule == "cosine" and "total" not in config.schedule_options
    listens = config.schedule == "plateau" or config.patience > 0
    return spans or (listens and (config.steps or 0) % (config.eval_every or 1) != 0)


def find_checkpoint(
    config: Config,
    reader: Reader,
    model: AnyModel,
    directory: RunDirectory,
    report: Callable[[str], None],
) -> tuple[int, Checkpoint] | None:
    """Step and checkpoint to resume from, after checking that they are of the same run; None to begin again.

    Args:
        config: The settled configuration.
        reader: What it reads.
        model: The model, as it starts.
        directory: Of the run.
        report: Called with a sentence for everything that is not as it was.

    Raises:
        CheckpointError: if the run would be another run, or no checkpoint is valid.
    """
    before = config_from_json(directory.read_config(), str(directory.config_path))
    if changes := harmful_changes(before, config):
        raise CheckpointError(
            f"{directory.path} cannot be resumed with another configuration ({'; '.join(changes)}); give the "
            f"settings it was begun with, or another --out."
        )
    last = directory.load_last(report)
    if last is None:
        return None
    _check_same(last[1].meta, config, reader, model, directory)
    if difference := _other_versions(last[1].meta.get("versions")):
        report(f"{difference} The run goes on, but not surely to the same bits.")
    return last


def _check_same(
    meta: dict[str, Any], config: Config, reader: Reader, model: AnyModel, directory: RunDirectory
) -> None:
    """Refuse a checkpoint of another text, task or cell."""
    try:
        described, read_then = dict(meta["model"]), meta[reader.kind]["sha256"]
        cell_then = described["cell"]["source"]
    except (KeyError, TypeError, ValueError):
        raise CheckpointError(
            f"{directory.path} cannot be resumed: its checkpoint is not one of training."
        ) from None
    described_now, read_now = model_metadata(model), reader.facts()["sha256"]
    cell_now = described_now["cell"]["source"]
    for what, then, now in (
        (reader.kind, read_then, read_now),
        (f"cell {config.cell!r}", cell_then, cell_now),
    ):
        if then != now:
            raise CheckpointError(
                f"{directory.path} cannot be resumed: the {what} has changed since (sha256 {_start(then)} "
                f"then, {now[:12]} now); restore it, or begin a new run with another --out."
            )
    if described != described_now:
        raise CheckpointError(
            f"{directory.path} cannot be resumed: its checkpoint is of another model than its configuration."
        )


def _start(digest: object) -> str:
    """The first characters of a digest, or of whatever a file holds instead, made safe for a terminal."""
    return ascii(str(digest)[:12])[1:-1]


def _other_versions(then: Any) -> str:
    """Which versions are not those that a checkpoint was made with, as a sentence; empty if all are."""
    known = then if isinstance(then, dict) else {}
    others = [
        f"{name} {str(known.get(name))[:40]} -> {now}"
        for name, now in versions().items()
        if known.get(name) != now
    ]
    return f"Versions have changed since: {', '.join(others)}." if others else ""
