"""Looking into cells: traces, saturation of gates, gradients against lag, Jacobians, exponents, fixed points.

Every function takes a :class:`zoo.Recurrent`, or a model such as :class:`zoo.LanguageModel`, with the inputs
that it takes, a language model's also as a text; and changes nothing of it::

    rnn = zoo.Recurrent("gru", input_size=3, hidden_size=16)
    zoo.analysis.gate_saturation(rnn, x)  # {"l0.r": (0.02, 0.11), ...}

    model = zoo.load("runs/first")
    zoo.analysis.gradient_by_lag(model, "a text to read", lags=10)  # {"l0.h": (10,) norms}
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.analysis.fixed_point_search import FixedPoints, fixed_points
    from zoo.analysis.jacobians import jacobian, jacobian_spectrum, state_places
    from zoo.analysis.lag_gradients import gradient_by_lag
    from zoo.analysis.lyapunov import lyapunov_exponents
    from zoo.analysis.saturation import gate_saturation
    from zoo.analysis.traces import trace, trace_grads

_HOMES = {
    "FixedPoints": "fixed_point_search",
    "fixed_points": "fixed_point_search",
    "gate_saturation": "saturation",
    "gradient_by_lag": "lag_gradients",
    "jacobian": "jacobians",
    "jacobian_spectrum": "jacobians",
    "lyapunov_exponents": "lyapunov",
    "state_places": "jacobians",
    "trace": "traces",
    "trace_grads": "traces",
}

__all__ = [
    "FixedPoints",
    "fixed_points",
    "gate_saturation",
    "gradient_by_lag",
    "jacobian",
    "jacobian_spectrum",
    "lyapunov_exponents",
    "state_places",
    "trace",
    "trace_grads",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo.analysis' has no attribute {name!r}")
    return getattr(importlib.import_module(f"zoo.analysis.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
