"""Cells as pure functions of JAX; needs the extra ``jax``.

>>> import jax.numpy as jnp
>>> rnn = zoo.jax.recurrent("lstm", input_size=3, hidden_size=5)
>>> y, state = rnn(rnn.params, jnp.ones((7, 2, 3)))
>>> y.shape, state["l0.h"].shape
((7, 2, 5), (2, 5))

Importing this room imports no JAX; its first use does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.optional import offered

if TYPE_CHECKING:
    from zoo.jax.recurrent_function import recurrent

__all__ = ["recurrent"]


def __getattr__(name: str) -> Any:
    return offered(__name__, "recurrent_function", __all__, "JAX", name)


def __dir__() -> list[str]:
    return __all__
