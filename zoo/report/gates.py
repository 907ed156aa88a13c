"""Gates over time, averaged over units."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from zoo.array_types import Array
from zoo.report.blocks import Axis, Chart, Series
from zoo.report.figures import gate_range
from zoo.report.gate_figures import gate_label
from zoo.report.history import number
from zoo.tables import Number

MAX_CHART_STEPS = 1000
"""Largest number of steps in the chart of means."""

_MEANS_NOTE = (
    "Mean over the units of the layer. An open gate is 1, a closed one 0. A forget gate near 1 keeps the "
    "state, and near 0 erases it."
)


def means_chart(gates: Mapping[str, Array], starts: Sequence[int], source: str, noun: str) -> Chart:
    """Chart of the mean of each gate over the units, for the first steps.

    Args:
        gates: Name to values, ``(units, N)``.
        starts: First step of each example; a line has a gap there, and where a mean is not finite.
        source: Description of the inputs.
        noun: Name of a step.
    """
    series, slots, ends = [], dict[str, int](), [0.0, 1.0]
    for name, values in gates.items():
        *layer, gate = gate_label(name).rsplit(", ", 1)
        means = values[:, :MAX_CHART_STEPS].mean(axis=0)
        ends += gate_range(means)
        x, y = zip(*_points(means, starts), strict=True)
        slot = slots.setdefault(gate, len(slots))
        series.append(Series(gate, x, y, slot=slot, group=", ".join(layer)))
    shown = (
        f", the first {MAX_CHART_STEPS:,} steps"
        if next(iter(gates.values())).shape[1] > MAX_CHART_STEPS
        else ""
    )
    return Chart(
        "gate-means",
        f"Means of the gates over {source}{shown}",
        Axis(noun, "integer", switch=False, low=0),
        Axis("mean over units", low=min(ends), high=max(ends), switch=False),
        tuple(series),
        note=_MEANS_NOTE,
        choose="layer",
        wide=True,
    )


def _points(means: Array, starts: Sequence[int]) -> Iterator[tuple[Number, Number]]:
    """Steps and means, with a gap before each example but the first."""
    begins = set(starts[1:])
    for step, mean in enumerate(means.tolist()):
        if step in begins:
            yield step - 0.5, None
        yield step, number(float(f"{mean:.3g}"))
