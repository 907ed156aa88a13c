"""Readable names, and axes and reference levels of scores."""

from __future__ import annotations

from zoo.report.blocks import Axis, Reference


def readable(name: str) -> str:
    """A name with spaces instead of underscores."""
    return name.replace("_", " ")


def array_location(name: str) -> str:
    """Layer and name of an array: ``l0.h`` becomes ``layer 1, h``."""
    layer, *rest = name.split(".")
    if layer[:1] == "l" and layer[1:].isdecimal():
        layer = f"layer {int(layer[1:]) + 1}"
    return ", ".join([layer, *rest])


def score_axis(metric: str, higher_is_better: bool) -> Axis:
    """The axis of a metric; accuracies are shares."""
    better = "higher is better" if higher_is_better else "lower is better"
    return Axis(f"{readable(metric)}, {better}", "share" if "accuracy" in metric else "number")


def reference_levels(baseline: float | None, threshold: float | None) -> tuple[Reference, ...]:
    """Reference levels: the best score without memory, and the threshold, where known."""
    known = {"without memory": baseline, "solved": threshold}
    return tuple(Reference(label, float(level)) for label, level in known.items() if level is not None)
