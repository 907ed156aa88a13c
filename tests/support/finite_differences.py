"""Derivatives by central differences, with which tests compare gradients."""

from __future__ import annotations

import numpy as np

CHANGE = 1e-6


def derivative(model, index, loss):
    """The derivative of a loss by a parameter, in float64.

    Args:
        model: The model, whose parameters change and are restored.
        index: Index of the parameter in ``theta``.
        loss: Computes the loss of the model.
    """
    theta, losses = model.theta.copy(), []
    for change in (CHANGE, -CHANGE):
        model.theta = np.where(np.arange(theta.size) == index, theta + change, theta)
        losses.append(loss())
    model.theta = theta
    return (losses[0] - losses[1]) / (2 * CHANGE)
