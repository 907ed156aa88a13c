"""Names for people, and how scores are drawn: their axis, and the levels to compare them with."""

from __future__ import annotations

from zoo.report.blocks import Axis, Reference


def readable(name: str) -> str:
    """A name as people read it."""
    return name.replace("_", " ")


def array_location(name: str) -> str:
    """Where an array belongs: ``l0.h`` is ``layer 1, h``."""
    layer, *rest = name.split(".")
    if layer[:1] == "l" and layer[1:].isdecimal():
        layer = f"layer {int(layer[1:]) + 1}"
    return ", ".join([layer, *rest])


def score_axis(metric: str, higher_is_better: bool) -> Axis:
    """The axis of a metric's values; accuracies are shares."""
    better = "higher is better" if higher_is_better else "lower is better"
    return Axis(f"{readable(metric)}, {better}", "share" if "accuracy" in metric else "number")


def reference_levels(baseline: float | None, threshold: float | None) -> tuple[Reference, ...]:
    """The best score without memory, and the one that counts as solved, where they are known."""
    known = {"without memory": baseline, "solved": threshold}
    return tuple(Reference(label, float(level)) for label, level in known.items() if level is not None)
