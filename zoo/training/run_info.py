"""The facts of a run: cell, data, steps, best validation and state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.base.metric import metric_text
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.training.run import Run

Info = dict[str, Any]


def run_info(run: Run) -> Info:
    """The facts of a run; a run that cannot be read has only its path and the problem."""
    names = ("cell", "data", "steps", "of", "metric", "best", "loss", "state", "problem")
    info: Info = {"run": str(run.path), **dict.fromkeys(names)}
    last: Info = {}
    best: Info = {}
    try:
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


def end_reason(last: Mapping[str, Any]) -> str | None:
    """The reason for which training ended, from the last event; None if training did not end."""
    if last.get("event") == "end":
        return str(last.get("reason"))
    return "diverged" if last.get("event") == "diverged" else None


def info_rows(info: Info) -> list[tuple[str, str]]:
    """The facts with a heading each."""
    if info["problem"]:
        return [("problem", info["problem"])]
    loss = "-" if info["loss"] is None else f"{info['loss']:.4g}"
    return [
        ("cell", info["cell"]),
        ("data", info["data"]),
        ("steps", f"{steps_text(info)}, {state_text(info)}"),
        ("best", f"validation loss {loss}" + (f", {best_text(info)}" if info["metric"] != "loss" else "")),
    ]


def _if_number(value: Any) -> float | None:
    """A number of a log; None for anything else, which another program wrote."""
    return value if isinstance(value, (int, float)) else None


def steps_text(info: Info) -> str:
    """The steps so far and in all, as ``300 of 600``."""
    of = "-" if info["of"] is None else f"{info['of']:,}"
    return "-" if info["steps"] is None else f"{info['steps']:,} of {of}"


def best_text(info: Info) -> str:
    """The metric of the validation with the lowest loss."""
    return "-" if info["best"] is None else f"{metric_text(info['metric'])} {info['best']:.4g}"


def state_text(info: Info) -> str:
    """The reason of the end, or why there is none."""
    return "unreadable" if info["problem"] else info["state"] or "not finished"
