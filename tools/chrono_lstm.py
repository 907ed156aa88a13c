"""The LSTM with chrono initialisation, under the name ``ChronoLSTM`` that ``results/reproductions.csv`` uses.

This command trains the same network, with other settings of training:

    zoo train --task copying --set delay=100 --cell lstm --set t_max=150

Reference: C. Tallec & Y. Ollivier, *Can recurrent neural networks warp time?*, ICLR 2018,
https://arxiv.org/abs/1804.11188, equation 16.
"""

from __future__ import annotations

from zoo_cells.lstm.lstm import LSTM

import zoo


class ChronoLSTM(LSTM):
    """The LSTM whose units forget within about 1 to ``t_max`` steps at first."""

    name = "chrono_lstm"
    t_max = zoo.Option(150.0, low=2.0, help="longest time that a unit remembers at first, in steps")
