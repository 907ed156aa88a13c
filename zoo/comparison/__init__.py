"""Compare cells on tasks: request → plan → jobs → executor → records → statistics → tables.

Names are imported at first use, because a report that reads results needs no compiler.
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {
    "api": "compare",
    "results": "Comparison",
}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS)
