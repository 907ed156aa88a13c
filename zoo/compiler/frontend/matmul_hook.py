"""The hook on ``a @ b`` while a step is traced: a modifier may return another value than the product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Handler = Callable[[Any, Any], Any]

_handlers: ContextVar[tuple[Handler, ...]] = ContextVar("zoo_matmul_hooks", default=())


@contextmanager
def matmul_hook(handler: Handler) -> Iterator[None]:
    """Within the block, ``a @ b`` of symbolic arrays returns ``handler(a, b)``.

    A product within a handler goes to the handlers around it: a modifier does not handle its own products,
    the modifiers around it do.
    """
    token = _handlers.set((*_handlers.get(), handler))
    try:
        yield
    finally:
        _handlers.reset(token)


def dispatch_matmul(a: Any, b: Any, default: Handler) -> Any:
    """Return ``a @ b``: the result of the innermost handler, or of ``default`` if there is none."""
    handlers = _handlers.get()
    if not handlers:
        return default(a, b)
    token = _handlers.set(handlers[:-1])
    try:
        return handlers[-1](a, b)
    finally:
        _handlers.reset(token)
