"""Analysis of cells: traces, gates, gradients by lag, Jacobians, exponents, fixed points, reconstruction.

Every function takes a :class:`zoo.Recurrent`, or a model such as :class:`zoo.LanguageModel`, and its inputs,
for a language model also as a text. No function changes the model::

    rnn = zoo.Recurrent("gru", input_size=3, hidden_size=16)
    zoo.analysis.gate_saturation(rnn, x)  # {"l0.r": (0.02, 0.11), ...}

    model = zoo.load("runs/first")
    zoo.analysis.gradient_by_lag(model, "a text to read", lags=10)  # {"l0.h": (10,) norms}
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {
    "fixed_point_search": "FixedPoints fixed_points",
    "jacobians": "jacobian jacobian_spectrum lyapunov_exponents state_slices",
    "loss_gradients": "gradient_by_lag",
    "reconstruction": "power_spectrum_error state_space_divergence",
    "traces": "gate_saturation gate_traces trace trace_grads",
}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS)
