"""The numbers that describe float32 and float64, as the elementary functions need them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types

from zoo.kernels.jit import EXACT

OPTIONS: Any = {"fastmath": set(EXACT), "error_model": "numpy", "nogil": True, "forceinline": True}
"""How elementary functions are compiled."""


class Format:
    """The numbers of one dtype.

    ``ln2_high`` has so few bits that ``k * ln2_high`` is exact for every exponent k; ``ln2_low`` is the rest.
    Adding ``shift`` and subtracting it again rounds to an integer, which in between are the last bits.
    """

    def __init__(self, dtype: type, integer: type, high_bits: int) -> None:
        facts = np.finfo(dtype)
        high = math.floor(math.log(2) * 2.0**high_bits) / 2.0**high_bits
        low = 2.3190468138462996e-17 + (math.log(2) - high)  # ln 2 is math.log(2) and that much more
        self.dtype = dtype
        self.ln2_high, self.ln2_low, self.log2e = dtype(high), dtype(low), dtype(1 / math.log(2))
        self.shift = dtype(1.5 * 2.0**facts.nmant)
        self.bias, self.mantissa = integer(facts.maxexp - 1), integer(facts.nmant)
        self.zero, self.half, self.one, self.two = dtype(0), dtype(0.5), dtype(1), dtype(2)
        self.infinity, self.nan, self.tiny = dtype(np.inf), dtype(np.nan), facts.tiny
        self.lift_exponent = dtype(facts.nmant + 2)
        self.lift = dtype(2.0 ** (facts.nmant + 2))  # makes every subnormal number normal
        self.shift_bits = integer(self.shift.view(integer))
        self.one_bits = integer(self.one.view(integer))
        self.root_half_bits = integer(dtype(math.sqrt(0.5)).view(integer))
        self.mantissa_mask = integer(2**facts.nmant - 1)
        self.positive_mask = np.iinfo(integer).max


FORMATS = {
    types.float32: Format(np.float32, np.int32, 15),
    types.float64: Format(np.float64, np.int64, 32),
}
