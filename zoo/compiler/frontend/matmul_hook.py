"""Who is asked before a step multiplies: a modifier may give another answer than the product."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Handler = Callable[[Any, Any], Any]

_handlers: ContextVar[tuple[Handler, ...]] = ContextVar("zoo_products", default=())


@contextmanager
def matmul_hook(handler: Handler) -> Iterator[None]:
    """Within the block, ``handler(a, b)`` answers for ``a @ b`` of symbolic arrays.

    Within a handler, a product is asked of those that were there before it: what a modifier multiplies is
    seen by the modifiers around it, not by itself.
    """
    token = _handlers.set((*_handlers.get(), handler))
    try:
        yield
    finally:
        _handlers.reset(token)


def dispatch_matmul(a: Any, b: Any, plain: Handler) -> Any:
    """What ``a @ b`` is: the answer of the innermost handler, or the product."""
    handlers = _handlers.get()
    if not handlers:
        return plain(a, b)
    token = _handlers.set(handlers[:-1])
    try:
        return handlers[-1](a, b)
    finally:
        _handlers.reset(token)
