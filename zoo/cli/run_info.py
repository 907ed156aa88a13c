"""The facts of a run directory: cell, data, steps, best validation and state."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.errors import ZooError

Info = dict[str, Any]


def run_info(path: Path) -> Info:
    """The facts of a run; a run that cannot be read has only its path and the problem."""
    from zoo.training.run import Run, end_reason

    names = ("cell", "data", "steps", "of", "metric", "best", "loss", "state", "problem")
    info: Info = {"run": str(path), **dict.fromkeys(names)}
    last: Info = {}
    best: Info = {}
    try:
        run = Run(path)
        config = run.config
        for event in run.events():
            last = dict(event)
            best = last if last.get("event") == "eval" and last.get("best") else best
        data = config.task or " ".join(Path(source).name for source in config.data)
        info.update(cell=config.cell_label, data=data, of=config.steps, state=end_reason(last))
        info.update(steps=_if_number(last.get("step")), metric=str(best.get("metric", "loss")))
        info.update(best=_if_number(best.get("score", best.get("loss"))), loss=_if_number(best.get("loss")))
    except ZooError as error:
        info["problem"] = str(error)
    return info


def _if_number(value: Any) -> float | None:
    """A number of a log; None for anything else, which another program wrote."""
    return value if isinstance(value, (int, float)) else None


def steps_text(info: Info) -> str:
    """The steps so far and in all, as ``300 of 600``."""
    of = "-" if info["of"] is None else f"{info['of']:,}"
    return "-" if info["steps"] is None else f"{info['steps']:,} of {of}"


def best_text(info: Info) -> str:
    """The metric of the validation with the lowest loss."""
    return "-" if info["best"] is None else f"{info['metric'].replace('_', ' ')} {info['best']:.4g}"


def state_text(info: Info) -> str:
    """The reason of the end, or why there is none."""
    return "unreadable" if info["problem"] else info["state"] or "not finished"
