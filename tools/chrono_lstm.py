"""The LSTM with chrono initialisation, for ``tools/reproduce.py`` and as a cell of your own.

    zoo train --task copying --set delay=100 --cell tools/chrono_lstm.py:ChronoLSTM --set t_max=150

Reference: C. Tallec & Y. Ollivier, *Can recurrent neural networks warp time?*, ICLR 2018,
https://arxiv.org/abs/1804.11188, equation 16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from zoo_cells.lstm.lstm import LSTM

import zoo

Array = Any


def chrono(rng: np.random.Generator, shape: tuple[int, ...], cell: Any) -> Array:
    """Logarithms of numbers uniform between 1 and ``t_max - 1`` for gate f, their negatives for gate i."""
    memory = np.log(rng.uniform(1, cell.t_max - 1, shape[0] // 4))
    return np.concatenate([-memory, memory, np.zeros(shape[0] // 2)])


class ChronoLSTM(LSTM):
    """The LSTM whose units forget within about 1 to ``t_max`` steps at first."""

    name = "chrono_lstm"
    b = zoo.Param("4H", init=chrono, help="bias of gates i, f, g, o")
    t_max = zoo.Option(150.0, low=2.0, help="longest time that a unit remembers at first, in steps")
