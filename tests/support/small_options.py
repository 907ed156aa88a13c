"""Options with which heavy cells repeat less: with their defaults, laws in plain Python take minutes."""

from __future__ import annotations

from typing import Any

SMALLER: dict[str, dict[str, Any]] = {
    "cfc": {"units": 8},
    "ltc": {"unfolds": 2},
    "mamba": {"order": 2, "rank": 1},
    "retnet": {"heads": 2},
    "s4d": {"order": 4},
    "s5": {"order": 4, "blocks": 2},
}
