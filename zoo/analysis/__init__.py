"""Looking into cells: saturation of gates, gradients against lag, Jacobians, Lyapunov exponents, fixed points.

Everything here takes a :class:`zoo.Recurrent` or a model such as :class:`zoo.LanguageModel`, with the inputs it
takes, a language model's also as text, and changes nothing of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.analysis.lags import gradient_by_lag
    from zoo.analysis.saturation import gate_saturation

_HOMES = {
    "gate_saturation": "saturation",
    "gradient_by_lag": "lags",
}

__all__ = [
    "gate_saturation",
    "gradient_by_lag",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.analysis' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.analysis.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
