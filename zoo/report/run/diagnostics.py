"""What analysis events tell: how far gradients reach back, and how gates saturate.

The two shares of a saturated gate are those of A. Karpathy, J. Johnson, L. Fei-Fei, "Visualizing and
Understanding Recurrent Networks", 2015, https://arxiv.org/abs/1506.02078.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from zoo.report import palette
from zoo.report.blocks import Axis, Block, Chart, Series, Text
from zoo.report.format import array_location
from zoo.report.history import History, points

AnalysisValues = list[tuple[int, dict[str, list[Any]]]]
"""Steps, and at each the values by name."""

_NONE = (
    "How far gradients reach back and how gates saturate is not in the log of this run: train with "
    "--analyse-every N (in Python, analyse_every=N), and it is measured every N steps."
)
_LAG_NOTE = (
    "Norm of the gradient of the loss at one step with respect to the state so many steps before. What a "
    "line does not reach back to, the network does not learn from."
)
_GATE_NOTE = (
    "Share of the values near either end of what their function can give: of a sigmoid, such as a gate, "
    "below 0.1 (nearly shut) and above 0.9 (nearly open); of tanh below −0.9 and above 0.9."
)
_ENDS = ("low", "high")
MAX_LINES = 12


def analysis_blocks(history: History) -> tuple[Block, ...]:
    """The charts of a run that was analysed, or the sentence that tells how to have it analysed."""
    return (
        *_lags(_analysis_values(history, "gradient_by_lag")),
        *_gates(_analysis_values(history, "saturation")),
    ) or (Text(_NONE),)


def _analysis_values(history: History, what: str) -> AnalysisValues:
    found = [(event["step"], event.get(what)) for event in history.events_of("analysis")]
    return [
        (step, {name: values for name, values in told.items() if isinstance(values, list)})
        for step, told in found
        if isinstance(told, dict)
    ]


def _lags(told: AnalysisValues) -> Iterator[Chart]:
    """A line for each analysis, or for some of many, from the first, which is faint, to the last."""
    count = min(len(told), MAX_LINES)
    some = [told[round(turn * (len(told) - 1) / max(1, count - 1))] for turn in range(count)]
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


def _gates(told: AnalysisValues) -> Iterator[Chart]:
    """Two lines in one colour for each gate: how often it is near its low end and, broken, its high one."""
    names = list(dict.fromkeys(name for _, gates in told for name in gates))
    series = tuple(
        Series(
            f"{_gate(name)} {word}",
            *points((step, gates[name][end]) for step, gates in told if len(gates.get(name, ())) == 2),
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
    """A gate is called as in the equations: ``f``, not ``sigmoid_f``."""
    return name.rpartition(".")[2].removeprefix("sigmoid_")


def _slot(name: str, names: Sequence[str], end: int) -> int:
    """A colour for each value of a layer, and a dash for each of its ends."""
    mine = [other for other in names if _layer(other) == _layer(name)]
    turn, colour = divmod(mine.index(name), len(palette.SERIES))
    return colour + (end + len(_ENDS) * turn) * len(palette.SERIES)
