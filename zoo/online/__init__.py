"""Gradients of endless streams in memory that does not grow with their length: RTRL and UORO."""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {"gradients": "OnlineGradient RTRL UORO"}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS)
