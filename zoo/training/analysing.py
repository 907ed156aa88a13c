"""Looking at a model while it is trained: how its gates saturate, and how far gradients reach back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.training.trainer import Trainer

MOST_ROWS, MOST_LAGS = 16, 128


def analyse(trainer: Trainer) -> dict[str, Any]:
    """The facts of an ``analysis`` event; parameters, gradients and carried states stay as they are.

    Of every value that a sigmoid made a share lies below 0.1 and another above 0.9, of one that tanh made
    below -0.9 and above 0.9. The norm at lag k is that of the gradient of the loss of one step with respect
    to the state k steps before.

    Args:
        trainer: Of which run.

    Returns:
        ``saturation``, ``{"l0.f": [low, high], ...}``, and ``gradient_by_lag``, ``{"l0.h": [norms], ...}``.
    """
    from zoo.analysis import gate_saturation, gradient_by_lag  # which most runs do without

    model, (inputs, targets) = trainer.model, trainer.reader.probe()
    inputs, targets = inputs[:, :MOST_ROWS], None if targets is None else targets[:MOST_ROWS]
    saturation = gate_saturation(model, inputs)
    lags = gradient_by_lag(model, inputs, targets, lags=MOST_LAGS)
    return {
        "saturation": {name: [_short(share) for share in shares] for name, shares in saturation.items()},
        "gradient_by_lag": {name: [_short(norm) for norm in norms] for name, norms in lags.items()},
    }


def _short(value: float) -> float:
    """Six digits, so that a log of long sequences stays small."""
    return float(f"{value:.6g}")
