"""Makes keras.npz: weights of Keras layers, an input, and what Keras computes from them, in float32.

    KERAS_BACKEND=jax python tests/golden/make_keras.py

needs Keras 3 and JAX. Every cell as a stack of two, and in two directions; all weights are random, biases
too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

STEPS, BATCH, FEATURES, HIDDEN = 5, 2, 3, 4


def gru_reset_before(units: int, **more: Any) -> Any:
    """The GRU of the papers, which Keras had before version 2."""
    return keras.layers.GRU(units, reset_after=False, **more)


KINDS: dict[str, Callable[..., Any]] = {
    "vanilla": keras.layers.SimpleRNN,
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "gru_reset_before": gru_reset_before,
}


def models(kind: Callable[..., Any]) -> dict[str, Any]:
    """Two layers, and one in both directions."""
    first = keras.Input((STEPS, FEATURES))
    one, other, both = (kind(HIDDEN, return_sequences=True) for _ in range(3))
    return {
        "stack": keras.Sequential([first, one, other]),
        "bidirectional": keras.Sequential([first, keras.layers.Bidirectional(both)]),
    }


def main() -> None:
    """Write the file beside this script."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(BATCH, STEPS, FEATURES)).astype(np.float32)
    arrays = {"x": x}
    for cell, kind in KINDS.items():
        for name, model in models(kind).items():
            model.set_weights([rng.normal(size=value.shape) / 2 for value in model.get_weights()])
            arrays[f"{cell}.{name}.y"] = np.asarray(model(x))
            arrays |= {f"{cell}.{name}.{n}": value for n, value in enumerate(model.get_weights())}
    made_with = np.array(f"keras {keras.__version__}, {keras.backend.backend()}, numpy {np.__version__}")
    np.savez_compressed(Path(__file__).with_name("keras.npz"), made_with=made_with, **arrays)


if __name__ == "__main__":
    main()
