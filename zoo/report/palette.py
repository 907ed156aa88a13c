"""Colours, dashes and markers of the page and of figures.

The six colours of series are distinct with any kind of colour blindness, on light and dark backgrounds
(tests/report/test_figures.py measures it by the model of Machado, Oliveira & Fernandes 2009,
https://doi.org/10.1109/TVCG.2009.113). From the seventh series on, dashes and markers differ too.
"""

from __future__ import annotations

# Name -> (light theme, dark theme).
BACKGROUND = {
    "page": ("#f7f7f5", "#111316"),
    "card": ("#ffffff", "#191c20"),
    "raised": ("#eeeeeb", "#262a30"),
    "ink": ("#1c1e22", "#e6e8eb"),
    "muted": ("#5b616b", "#a2a9b4"),
    "line": ("#dcdedf", "#31363d"),
    "accent": ("#14549c", "#8fbaf7"),
    "warning": ("#8a3b00", "#f0b070"),
    "hatch": ("#b4b8be", "#565d67"),
}
SERIES = (
    ("#14549c", "#8fbaf7"),
    ("#982a0a", "#ef6a52"),
    ("#1a8f5c", "#4ade9f"),
    ("#8f6ee8", "#a184f5"),
    ("#b08514", "#f2cf58"),
    ("#63263c", "#bf7b91"),
)
# Ordered series, from early to late: one hue, so that the order is visible without colour.
SEQUENTIAL = (
    ("#a9c4e4", "#2f4a6e"),
    ("#83a9d6", "#3f659a"),
    ("#5d8ec8", "#5581c1"),
    ("#3b73b5", "#76a1e0"),
    ("#1f5a9f", "#9cc0f3"),
    ("#0b4384", "#c3dbff"),
    ("#062c5c", "#eaf3ff"),
)
# Backgrounds under text: values above and below zero, good scores, and surprise.
HEAT = {
    "positive": ("#5aa2ea", "#2766ad"),
    "negative": ("#f09050", "#a04c14"),
    "good": ("#6fbf97", "#236b49"),
    "surprise": ("#c79be8", "#6d4391"),
}
DASHES = ((), (6, 3), (2, 2), (8, 3, 2, 3))
MARKERS = ("circle", "square", "triangle", "diamond", "cross")


def variables(theme: int) -> str:
    """CSS declarations of all colours of the light theme, 0, or the dark one, 1."""
    named = {
        **BACKGROUND,
        **{f"series-{number}": pair for number, pair in enumerate(SERIES)},
        **{f"sequential-{number}": pair for number, pair in enumerate(SEQUENTIAL)},
    }
    flat = [f"--{name}: {pair[theme]};" for name, pair in named.items()]
    return "\n".join([*flat, *(f"--{name}: {_channels(pair[theme])};" for name, pair in HEAT.items())])


def _channels(colour: str) -> str:
    """Red, green and blue for CSS with an opacity: ``rgb(var(--good) / 0.5)``."""
    return " ".join(str(int(colour[start : start + 2], 16)) for start in (1, 3, 5))
