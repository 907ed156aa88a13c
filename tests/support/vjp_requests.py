"""Records whether backward passes were asked for the gradient of the input."""

from __future__ import annotations

from typing import Any

import pytest

from zoo.layers.functional import FunctionalStack


def record_needs_dx(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """The ``needs_dx`` of every later backward pass of a stack."""
    requests: list[bool] = []
    vjp = FunctionalStack.vjp

    def recorded(*args: Any, needs_dx: bool = True, **rest: Any) -> Any:
        requests.append(needs_dx)
        return vjp(*args, needs_dx=needs_dx, **rest)

    monkeypatch.setattr(FunctionalStack, "vjp", recorded)
    return requests
