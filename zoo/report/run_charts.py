"""Charts of a run: losses, gradient norms, learning rate, speed, gradient by lag, saturation of gates.

A. Karpathy, J. Johnson, L. Fei-Fei, "Visualizing and Understanding Recurrent Networks", 2015,
https://arxiv.org/abs/1506.02078, define the two shares of a saturated gate.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from zoo.base.metric import metric_text
from zoo.report import palette
from zoo.report.blocks import (
    Axis,
    Chart,
    PageBlock,
    Reference,
    Series,
    TextBlock,
    array_location,
    reference_levels,
    score_axis,
)
from zoo.report.history import RunHistory, number, points

_BEFORE_ONLY = "The log of this run holds the norm before clipping only."

# Name of the chart, title, axis and the value in the events.
_SINGLE_CURVES = (
    ("penalty", "Penalty", Axis("penalty"), "penalty"),
    (
        "clipped",
        "Updates clipped",
        Axis("share of updates", "share", low=0, high=1, switch=False),
        "clip_rate",
    ),
    ("learning-rate", "Learning rate", Axis("learning rate"), "lr"),
)

SPEED_NOUNS = {"text": "symbols", "task": "inputs", "table": "rows", "sequences": "steps"}
"""The things that a speed counts, by the kind of the data."""


def loss_charts(history: RunHistory) -> Iterator[Chart]:
    """Yield the charts of the loss and of the score of a task."""
    part = str(history.last("eval").get("part", "validation"))
    training = Series("training", *history.points("step", "loss"))
    measured = Series(part, *history.points("eval", "loss"), slot=1)
    task = history.last("start", "resume").get("task")
    if isinstance(task, dict):
        metric = str(task.get("metric"))
        scores = Series(part, *history.points("eval", "score"), slot=1)
        axis = score_axis(metric, bool(task.get("higher_is_better")))
        marks = reference_levels(number(task.get("baseline")), number(task.get("threshold")))
        title = metric_text(metric)
        yield from _chart("score", title[:1].upper() + title[1:], axis, scores, wide=True, references=marks)
    unit = "loss (nats per symbol)" if "text" in history.last("start", "resume") else "loss"
    yield from _chart("loss", "Loss", Axis(unit), training, measured, wide=True)


def optimisation_charts(history: RunHistory, clip: float) -> Iterator[Chart]:
    """Yield the charts of gradient norms, penalties, clipped updates, learning rate and speed.

    Args:
        history: The events.
        clip: Largest norm of the gradient; 0 for no limit.
    """
    before = Series("before clipping", *history.points("step", "grad_norm"))
    after = Series("after clipping", *history.points("step", "clipped_norm"), slot=1)
    more: dict[str, Any] = {
        "references": (Reference("limit", float(clip)),) if clip else (),
        "note": "" if after.x else _BEFORE_ONLY,
    }
    yield from _chart("gradient-norm", "Gradient norm", Axis("norm"), before, after, **more)
    start = history.last("start", "resume")
    noun = next((noun for kind, noun in SPEED_NOUNS.items() if kind in start), "steps")
    for name, title, axis, value in (
        *_SINGLE_CURVES,
        ("speed", "Speed", Axis(f"{noun} a second"), "symbols_per_s"),
    ):
        yield from _chart(name, title, axis, Series(title.lower(), *history.points("step", value)))


def _chart(
    name: str, title: str, axis: Axis, *series: Series, wide: bool = False, **more: Any
) -> Iterator[Chart]:
    drawn = tuple(each for each in series if any(y is not None for y in each.y))
    if drawn:
        yield Chart(name, title, Axis("step", "integer", low=0, switch=wide), axis, drawn, wide=wide, **more)


AnalysisValues = list[tuple[int, dict[str, list[Any]]]]
"""Steps with values by name."""

_NONE = (
    "This run did not record gradients by lag and the saturation of gates. Train with --analyse-every N (in "
    "Python, analyse_every=N) to record them every N steps."
)
_LAG_NOTE = (
    "Norm of the gradient of the loss at one step with respect to the state this many steps before. Where "
    "the norm is near zero, the network does not learn from that lag."
)
_GATE_NOTE = (
    "Share of the values near either end of the range of their function: for a sigmoid, such as a gate, "
    "below 0.1 (nearly closed) and above 0.9 (nearly open), and for tanh below −0.9 and above 0.9."
)
_ENDS = ("low", "high")
MAX_LINES = 12


def analysis_blocks(history: RunHistory) -> tuple[PageBlock, ...]:
    """The charts of the analysis events, or a sentence about ``--analyse-every``."""
    return (
        *_lags(_analysis_values(history, "gradient_by_lag")),
        *_gates(_analysis_values(history, "saturation")),
    ) or (TextBlock(_NONE),)


def _analysis_values(history: RunHistory, key: str) -> AnalysisValues:
    events = [(event["step"], event.get(key)) for event in history.events_of("analysis")]
    return [
        (step, {name: values for name, values in analysis.items() if isinstance(values, list)})
        for step, analysis in events
        if isinstance(analysis, dict)
    ]


def _lags(analyses: AnalysisValues) -> Iterator[Chart]:
    """A line for each analysis, from the first, which is pale, to the last; of many, evenly spaced ones."""
    count = min(len(analyses), MAX_LINES)
    some = [analyses[round(turn * (len(analyses) - 1) / max(1, count - 1))] for turn in range(count)]
    series = tuple(
        Series(
            f"step {step:,}",
            *points(enumerate(norms)),
            shade=turn / max(1, count - 1),
            group=array_location(state),
        )
        for turn, (step, states) in enumerate(some)
        for state, norms in states.items()
    )
    if series:
        x, y = Axis("steps back", "integer", switch=False, low=0), Axis("norm of the gradient", log=True)
        title = "Gradient against lag"
        yield Chart("gradient-by-lag", title, x, y, series, note=_LAG_NOTE, choose="state", wide=True)


def _gates(analyses: AnalysisValues) -> Iterator[Chart]:
    """Two lines in one colour for each gate: the shares near its low end and, dashed, near its high end."""
    names = list(dict.fromkeys(name for _, gates in analyses for name in gates))
    series = tuple(
        Series(
            f"{_gate(name)} {word}",
            *points((step, gates[name][end]) for step, gates in analyses if len(gates.get(name, ())) == 2),
            slot=_slot(name, names, end),
            group=array_location(_layer(name)),
        )
        for name in names
        for end, word in enumerate(_ENDS)
    )
    if series:
        x, y = Axis("step", "integer", low=0), Axis("share", "share", low=0, high=1, switch=False)
        title = "Gate saturation"
        yield Chart("gate-saturation", title, x, y, series, note=_GATE_NOTE, choose="layer", wide=True)


def _layer(name: str) -> str:
    return name.rpartition(".")[0]


def _gate(name: str) -> str:
    """Name of a gate as in the equations: ``f``, not ``sigmoid_f``."""
    return name.rpartition(".")[2].removeprefix("sigmoid_")


def _slot(name: str, names: Sequence[str], end: int) -> int:
    """A colour for each gate of a layer, and a dash for each end."""
    of_layer = [other for other in names if _layer(other) == _layer(name)]
    turn, colour = divmod(of_layer.index(name), len(palette.SERIES))
    return colour + (end + len(_ENDS) * turn) * len(palette.SERIES)
