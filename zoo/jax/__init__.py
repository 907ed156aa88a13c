"""Cells as pure functions of JAX; needs the extra ``jax``.

>>> import jax.numpy as jnp
>>> rnn = zoo.jax.recurrent("lstm", input_size=3, hidden_size=5)
>>> y, state = rnn(rnn.params, jnp.ones((7, 2, 3)))
>>> y.shape, state["l0.h"].shape
((7, 2, 5), (2, 5))

Importing this package does not import JAX; its first use does.
"""

from __future__ import annotations

from zoo._lazy import attach

_EXPORTS = {"recurrent_function": "recurrent"}

__getattr__, __dir__, __all__ = attach(__name__, _EXPORTS, library="JAX")
